/* One number per channel (axis 1), added to every element (y[n, c, …] = x[n, c, …] + b[c]),
 * multiplied with it, or repeated. */
#include "compiler/ops/common.h"

bool bias_infer(CvmNode *node, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type;
    return cvm_check_channels(node, 0, 1, diag) && cvm_set_type(node, x->shape, x, diag);
}

bool channel_expand_infer(CvmNode *node, CvmDiag *diag) {
    const CvmType *like = &node->inputs[1]->type;
    return cvm_check_channels(node, 1, 0, diag) && cvm_set_type(node, like->shape, like, diag);
}

void bias_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    cvm_autodiff_give(autodiff, node->inputs[0], dy);
    if (cvm_autodiff_wants(autodiff, node->inputs[1]))
        cvm_autodiff_give(autodiff, node->inputs[1],
                          cvm_autodiff_add(autodiff, CVM_OP_BIAS_GRAD, &dy, 1, NULL));
}

void bias_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t channels = node->type.shape.sizes[1], inner = cvm_pixels(&node->type.shape);
    const float *x = operands[0], *bias = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = x[i] + bias[i / inner % channels];
}

void channel_scale_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t channels = node->type.shape.sizes[1], inner = cvm_pixels(&node->type.shape);
    const float *x = operands[0], *factor = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = x[i] * factor[i / inner % channels];
}

void channel_expand_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t channels = node->type.shape.sizes[1], inner = cvm_pixels(&node->type.shape);
    const float *value = operands[0];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = value[i / inner % channels];
}

void bias_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_ADD, cvm_lower_operand(lowering, node, 0),
                             cvm_lower_operand(lowering, node, 1), NULL));
}

void channel_scale_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_MULTIPLY, cvm_lower_operand(lowering, node, 0),
                             cvm_lower_operand(lowering, node, 1), NULL));
}

void channel_expand_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node, cvm_lower_operand(lowering, node, 0));
}
