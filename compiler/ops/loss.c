/* The negative log-likelihood of the target classes, from log probabilities l [n, c] and targets t
 * [n], where the target is mixed with all classes alike by `smoothing` e (Szegedy et al.,
 * "Rethinking the Inception architecture", 2016, section 7):
 *
 *   loss[n] = -(1 - e) l[n, t[n]] - e/c * sum of l[n],
 *   gradient -dy[n] ((1 - e) at the target, plus e/c everywhere)
 *
 * With log_softmax before it and the mean behind it, it is cross-entropy on logits. */
#include "compiler/ops/common.h"

/* Operand 1 is i32 [n]. */
static bool check_target(const CvmNode *node, int64_t batch, CvmDiag *diag) {
    const CvmType *target = &node->inputs[1]->type;
    if (target->dtype == CVM_I32 && target->shape.rank == 1 && target->shape.sizes[0] == batch &&
        target->layout == CVM_LAYOUT_PLAIN)
        return true;
    return cvm_refuse_operands(node, diag, "needs one i32 target for each row");
}

static double smoothing_of(const CvmNode *node) {
    return cvm_node_attribute(node, "smoothing")->real;
}

static bool check_smoothing(const CvmNode *node, CvmDiag *diag) {
    double smoothing = smoothing_of(node);
    return (smoothing >= 0 && smoothing <= 1) ||
           cvm_refuse_operands(node, diag, "needs a smoothing from 0 to 1");
}

bool nll_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 2, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    int64_t batch = node->inputs[0]->type.shape.sizes[0];
    return check_target(node, batch, diag) && check_smoothing(node, diag) &&
           cvm_set_type(node, (CvmShape){1, {batch}}, NULL, diag);
}

bool nll_grad_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 1, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    int64_t batch = node->inputs[0]->type.shape.sizes[0];
    return check_target(node, batch, diag) && check_smoothing(node, diag) &&
           cvm_set_type(node, (CvmShape){2, {batch, cvm_node_int(node, "classes")}}, NULL, diag);
}

void nll_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *log_probability = node->inputs[0];
    CvmAttribute attributes[] = {{.integers = {log_probability->type.shape.sizes[1]}},
                                 {.real = smoothing_of(node)}};
    CvmNode *operands[] = {dy, node->inputs[1]};
    cvm_autodiff_give(autodiff, log_probability,
                      cvm_autodiff_add(autodiff, CVM_OP_NLL_GRAD, operands, 2, attributes));
}

/* --- references: a target that is no class picks nothing --- */

void nll_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t classes = node->inputs[0]->type.shape.sizes[1];
    const float *log_probability = operands[0];
    const int32_t *target = operands[1];
    float *loss = output;
    double smoothing = smoothing_of(node);
    for (int64_t n = 0; n < cvm_count(node); n++, log_probability += classes) {
        bool is_class = target[n] >= 0 && target[n] < classes;
        double picked = is_class ? log_probability[target[n]] : 0, sum = 0;
        for (int64_t c = 0; c < classes && smoothing > 0; c++)
            sum += log_probability[c];
        loss[n] = (float)(-(1 - smoothing) * picked - smoothing / (double)classes * sum);
    }
}

void nll_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t classes = node->type.shape.sizes[1];
    const float *dy = operands[0];
    const int32_t *target = operands[1];
    float *dx = output;
    double smoothing = smoothing_of(node), share = smoothing / (double)classes;
    for (int64_t n = 0; n < node->type.shape.sizes[0]; n++)
        for (int64_t c = 0; c < classes; c++)
            dx[n * classes + c] = (float)(-dy[n] * (share + (c == target[n] ? 1 - smoothing : 0)));
}

/* --- kernels: sums over one row, with the target's column singled out --- */

static const CvmExpr *times(CvmLowering *lowering, double factor, const CvmExpr *x) {
    return factor == 1 ? x
                       : cvm_expr(lowering, CVM_EXPR_MULTIPLY, cvm_expr_constant(lowering, factor),
                                  x, NULL);
}

void nll_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->inputs[0]->type);
    const CvmExpr *log_probability = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *is_target = cvm_expr_is_target(lowering, node, 1);
    const CvmExpr *zero = cvm_expr_constant(lowering, 0);
    /* chosen, not multiplied: a class of probability 0 has the logarithm -inf */
    double smoothing = smoothing_of(node);
    const CvmExpr *chosen = cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, is_target,
                                     times(lowering, 1 - smoothing, log_probability), zero);
    if (smoothing > 0)
        chosen = cvm_expr(
            lowering, CVM_EXPR_ADD, chosen,
            times(lowering, smoothing / (double)lowering->kernel->columns, log_probability), NULL);
    int sum = cvm_lower_statement(lowering, CVM_STATEMENT_SUM, chosen);
    const CvmExpr *picked = cvm_expr_row(lowering, CVM_EXPR_ROW_SCALAR, sum);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_SUBTRACT, zero, picked, NULL));
}

void nll_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *zero = cvm_expr_constant(lowering, 0);
    const CvmExpr *minus = cvm_expr(lowering, CVM_EXPR_SUBTRACT, zero, dy, NULL);
    double smoothing = smoothing_of(node), share = smoothing / (double)lowering->kernel->columns;
    const CvmExpr *elsewhere = share > 0 ? times(lowering, share, minus) : zero;
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE,
                             cvm_expr_is_target(lowering, node, 1),
                             times(lowering, 1 - smoothing + share, minus), elsewhere));
}
