/* Sums, products, multiples and repetitions, element by element. */
#include "compiler/ops/common.h"

/* For layers of two named tensors of one shape. */
CvmNode *elementwise_build(CvmLayer *layer) {
    const char *name = cvm_op_info(layer->op)->name;
    CvmNode *operands[] = {cvm_layer_argument(layer, "a")->tensor,
                           cvm_layer_argument(layer, "b")->tensor};
    char a[96], b[96];
    if (!operands[0] || !operands[1])
        return cvm_layer_refuse(layer, 1220, "declare one first: input image: [1, 28, 28]",
                                "%s has nothing to work on: no tensor flows yet", name);
    if (!cvm_shape_equal(&operands[0]->type.shape, &operands[1]->type.shape))
        return cvm_layer_refuse(layer, 1227, "give both the same channels, height and width",
                                "%s needs two tensors of one shape, and these are %s and %s", name,
                                cvm_picture_text(operands[0], a, sizeof a),
                                cvm_picture_text(operands[1], b, sizeof b));
    return cvm_layer_add(layer, layer->op, operands, 2, NULL);
}

bool expand_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 0, diag))
        return false;
    return cvm_set_type(node, (CvmShape){1, {cvm_node_int(node, "count")}}, NULL, diag);
}

bool scale_by_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag) || !cvm_check_operand(node, 1, 0, diag))
        return false;
    return cvm_set_type(node, node->inputs[0]->type.shape, &node->inputs[0]->type, diag);
}

void add_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    cvm_autodiff_give(autodiff, node->inputs[0], dy);
    cvm_autodiff_give(autodiff, node->inputs[1], dy);
}

void mul_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    for (int i = 0; i < 2; i++) {
        CvmNode *operands[] = {dy, node->inputs[1 - i]};
        if (cvm_autodiff_wants(autodiff, node->inputs[i]))
            cvm_autodiff_give(autodiff, node->inputs[i],
                              cvm_autodiff_add(autodiff, CVM_OP_MUL, operands, 2, NULL));
    }
}

void scale_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_SCALE, &dy, 1, node->attributes));
}

/* --- references --- */

void add_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *a = operands[0], *b = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = a[i] + b[i];
}

void mul_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *a = operands[0], *b = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = a[i] * b[i];
}

void scale_reference(const CvmNode *node, const void *const *operands, void *output) {
    float factor = (float)cvm_node_attribute(node, "factor")->real;
    const float *x = operands[0];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = factor * x[i];
}

void scale_by_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *x = operands[0], *factor = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = x[i] * *factor;
}

void expand_reference(const CvmNode *node, const void *const *operands, void *output) {
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = *(const float *)operands[0];
}

/* --- kernels --- */

static void lower_pair(CvmLowering *lowering, const CvmNode *node, CvmExprKind kind) {
    const CvmExpr *a = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *b = cvm_lower_operand(lowering, node, 1);
    cvm_lower_value(lowering, node, cvm_expr(lowering, kind, a, b, NULL));
}

void add_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pair(lowering, node, CVM_EXPR_ADD);
}

void mul_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pair(lowering, node, CVM_EXPR_MULTIPLY);
}

void scale_by_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pair(lowering, node, CVM_EXPR_MULTIPLY);
}

void scale_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *factor = cvm_expr_constant(lowering, cvm_node_attribute(node, "factor")->real);
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_MULTIPLY, cvm_lower_operand(lowering, node, 0), factor, NULL));
}

void expand_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node, cvm_lower_operand(lowering, node, 0));
}
