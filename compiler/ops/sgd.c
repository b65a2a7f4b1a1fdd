/* Stochastic gradient descent, by PyTorch's rule (torch.optim.SGD):
 *
 *   v = momentum v + (g + decay w),  w = w - multiplier rate v */
#include "compiler/ops/common.h"

bool sgd_step_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag) || !cvm_check_operand(node, 1, -1, diag) ||
        !cvm_check_operand(node, 2, 0, diag) || !cvm_check_layouts(node, 0, 1, diag))
        return false;
    if (!cvm_shape_equal(&node->inputs[0]->type.shape, &node->inputs[1]->type.shape))
        return cvm_refuse_operands(node, diag, "has operands of different shapes");
    return cvm_set_type(node, node->inputs[0]->type.shape, &node->inputs[0]->type, diag);
}

/* --- references --- */

void sgd_momentum_reference(const CvmNode *node, const void *const *operands, void *output) {
    float momentum = (float)cvm_node_attribute(node, "momentum")->real;
    float decay = (float)cvm_node_attribute(node, "decay")->real;
    const float *velocity = operands[0], *gradient = operands[1], *weight = operands[2];
    float *next = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        next[i] = momentum * velocity[i] + (gradient[i] + decay * weight[i]);
}

void sgd_step_reference(const CvmNode *node, const void *const *operands, void *output) {
    float multiplier = (float)cvm_node_attribute(node, "multiplier")->real;
    const float *weight = operands[0], *velocity = operands[1], *rate = operands[2];
    float *next = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        next[i] = weight[i] - multiplier * *rate * velocity[i];
}

/* --- kernels --- */

static const CvmExpr *times(CvmLowering *lowering, double factor, const CvmExpr *x) {
    return factor == 1 ? x
                       : cvm_expr(lowering, CVM_EXPR_MULTIPLY, cvm_expr_constant(lowering, factor),
                                  x, NULL);
}

void sgd_momentum_lower(CvmLowering *lowering, const CvmNode *node) {
    double momentum = cvm_node_attribute(node, "momentum")->real;
    double decay = cvm_node_attribute(node, "decay")->real;
    const CvmExpr *sum = cvm_lower_operand(lowering, node, 1);
    if (decay != 0)
        sum = cvm_expr(lowering, CVM_EXPR_ADD, sum,
                       times(lowering, decay, cvm_lower_operand(lowering, node, 2)), NULL);
    if (momentum != 0)
        sum = cvm_expr(lowering, CVM_EXPR_ADD,
                       times(lowering, momentum, cvm_lower_operand(lowering, node, 0)), sum, NULL);
    cvm_lower_value(lowering, node, sum);
}

void sgd_step_lower(CvmLowering *lowering, const CvmNode *node) {
    double multiplier = cvm_node_attribute(node, "multiplier")->real;
    const CvmExpr *rate = times(lowering, multiplier, cvm_lower_operand(lowering, node, 2));
    const CvmExpr *step =
        cvm_expr(lowering, CVM_EXPR_MULTIPLY, rate, cvm_lower_operand(lowering, node, 1), NULL);
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_SUBTRACT, cvm_lower_operand(lowering, node, 0), step, NULL));
}
