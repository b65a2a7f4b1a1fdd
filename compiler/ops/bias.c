/* One number per channel (axis 1) added to every element: y[n, c, …] = x[n, c, …] + b[c]. */
#include "compiler/ops/common.h"

bool bias_infer(CvmNode *node, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type;
    if (!cvm_check_operand(node, 0, x->shape.rank == 4 ? 4 : 2, diag) ||
        !cvm_check_operand(node, 1, 1, diag) || !cvm_check_plain(node, 1, diag))
        return false;
    if (node->inputs[1]->type.shape.sizes[0] != x->shape.sizes[1])
        return cvm_refuse_operands(node, diag, "needs one number for each channel");
    return cvm_set_type(node, x->shape, x, diag);
}

void bias_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    cvm_autodiff_give(autodiff, node->inputs[0], dy);
    if (cvm_autodiff_wants(autodiff, node->inputs[1]))
        cvm_autodiff_give(autodiff, node->inputs[1],
                          cvm_autodiff_add(autodiff, CVM_OP_BIAS_GRAD, &dy, 1, NULL));
}

void bias_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmShape *shape = &node->type.shape;
    int64_t channels = shape->sizes[1],
            inner = shape->rank == 4 ? shape->sizes[2] * shape->sizes[3] : 1;
    const float *x = operands[0], *bias = operands[1];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = x[i] + bias[i / inner % channels];
}

void bias_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_ADD, cvm_lower_operand(lowering, node, 0),
                             cvm_lower_operand(lowering, node, 1), NULL));
}
