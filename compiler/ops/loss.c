/* The negative log-likelihood of the target classes, from log probabilities [n, c] and targets [n]:
 *
 *   loss[n] = -log_probability[n, target[n]],  gradient -dy[n] at the target, 0 elsewhere
 *
 * With log_softmax before it and the mean behind it, it is cross-entropy on logits. */
#include "compiler/ops/common.h"

#include <string.h>

/* Operand 1 is i32 [n]. */
static bool check_target(const CvmNode *node, int64_t batch, CvmDiag *diag) {
    const CvmType *target = &node->inputs[1]->type;
    if (target->dtype == CVM_I32 && target->shape.rank == 1 && target->shape.sizes[0] == batch &&
        target->layout == CVM_LAYOUT_PLAIN)
        return true;
    return cvm_refuse_operands(node, diag, "needs one i32 target for each row");
}

bool nll_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 2, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    int64_t batch = node->inputs[0]->type.shape.sizes[0];
    return check_target(node, batch, diag) &&
           cvm_set_type(node, (CvmShape){1, {batch}}, NULL, diag);
}

bool nll_grad_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 1, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    int64_t batch = node->inputs[0]->type.shape.sizes[0];
    return check_target(node, batch, diag) &&
           cvm_set_type(node, (CvmShape){2, {batch, cvm_node_int(node, "classes")}}, NULL, diag);
}

void nll_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *log_probability = node->inputs[0];
    CvmAttribute classes = {.integers = {log_probability->type.shape.sizes[1]}};
    CvmNode *operands[] = {dy, node->inputs[1]};
    cvm_autodiff_give(autodiff, log_probability,
                      cvm_autodiff_add(autodiff, CVM_OP_NLL_GRAD, operands, 2, &classes));
}

/* --- references: a target that is no class picks nothing --- */

void nll_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t classes = node->inputs[0]->type.shape.sizes[1];
    const float *log_probability = operands[0];
    const int32_t *target = operands[1];
    float *loss = output;
    for (int64_t n = 0; n < cvm_count(node); n++)
        loss[n] =
            target[n] >= 0 && target[n] < classes ? -log_probability[n * classes + target[n]] : 0;
}

void nll_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t classes = node->type.shape.sizes[1];
    const float *dy = operands[0];
    const int32_t *target = operands[1];
    float *dx = output;
    memset(dx, 0, (size_t)cvm_count(node) * sizeof *dx);
    for (int64_t n = 0; n < node->type.shape.sizes[0]; n++)
        if (target[n] >= 0 && target[n] < classes)
            dx[n * classes + target[n]] = -dy[n];
}

/* --- kernels: sums over one row, with the target's column singled out --- */

void nll_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->inputs[0]->type);
    const CvmExpr *log_probability = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *is_target = cvm_expr_is_target(lowering, node, 1);
    const CvmExpr *zero = cvm_expr_constant(lowering, 0);
    /* chosen, not multiplied: a class of probability 0 has the logarithm -inf */
    const CvmExpr *chosen =
        cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, is_target, log_probability, zero);
    int sum = cvm_lower_statement(lowering, CVM_STATEMENT_SUM, chosen);
    const CvmExpr *picked = cvm_expr_row(lowering, CVM_EXPR_ROW_SCALAR, sum);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_SUBTRACT, zero, picked, NULL));
}

void nll_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *zero = cvm_expr_constant(lowering, 0);
    const CvmExpr *minus = cvm_expr(lowering, CVM_EXPR_SUBTRACT, zero, dy, NULL);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE,
                             cvm_expr_is_target(lowering, node, 1), minus, zero));
}
