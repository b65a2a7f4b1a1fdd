/* Adam (Kingma and Ba 2015), element by element: moving averages of the gradient and of its square,
 * and the direction they give. Their bias towards the zero they begin at goes by dividing them by
 * the moving average of ones, which begins at zero too. */
#include "compiler/ops/common.h"

#include <math.h>

bool moving_average_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag) || !cvm_check_operand(node, 1, -1, diag) ||
        !cvm_check_layouts(node, 0, 1, diag))
        return false;
    if (!cvm_shape_equal(&node->inputs[0]->type.shape, &node->inputs[1]->type.shape))
        return cvm_refuse_operands(node, diag, "has operands of different shapes");
    return cvm_set_type(node, node->inputs[0]->type.shape, &node->inputs[0]->type, diag);
}

bool adam_direction_infer(CvmNode *node, CvmDiag *diag) {
    return cvm_check_operand(node, 2, 0, diag) && cvm_check_operand(node, 3, 0, diag) &&
           moving_average_infer(node, diag);
}

/* --- references --- */

void moving_average_reference(const CvmNode *node, const void *const *operands, void *output) {
    double keep = cvm_node_attribute(node, "keep")->real;
    const float *average = operands[0], *value = operands[1];
    float *next = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        next[i] = (float)keep * average[i] + (float)(1 - keep) * value[i];
}

void adam_direction_reference(const CvmNode *node, const void *const *operands, void *output) {
    float epsilon = (float)cvm_node_attribute(node, "epsilon")->real;
    const float *mean = operands[0], *square = operands[1];
    const float *mean_weight = operands[2], *square_weight = operands[3];
    float *direction = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        direction[i] = mean[i] / *mean_weight / (sqrtf(square[i] / *square_weight) + epsilon);
}

/* --- kernels --- */

static const CvmExpr *times(CvmLowering *lowering, double factor, const CvmExpr *x) {
    return cvm_expr(lowering, CVM_EXPR_MULTIPLY, cvm_expr_constant(lowering, factor), x, NULL);
}

void moving_average_lower(CvmLowering *lowering, const CvmNode *node) {
    double keep = cvm_node_attribute(node, "keep")->real;
    const CvmExpr *kept = times(lowering, keep, cvm_lower_operand(lowering, node, 0));
    const CvmExpr *taken = times(lowering, 1 - keep, cvm_lower_operand(lowering, node, 1));
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ADD, kept, taken, NULL));
}

void adam_direction_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *epsilon = cvm_expr_constant(lowering, cvm_node_attribute(node, "epsilon")->real);
    const CvmExpr *unbiased[2];
    for (int i = 0; i < 2; i++)
        unbiased[i] = cvm_expr(lowering, CVM_EXPR_DIVIDE, cvm_lower_operand(lowering, node, i),
                               cvm_lower_operand(lowering, node, i + 2), NULL);
    const CvmExpr *deviation = cvm_expr(lowering, CVM_EXPR_SQRT, unbiased[1], NULL, NULL);
    const CvmExpr *bounded = cvm_expr(lowering, CVM_EXPR_ADD, deviation, epsilon, NULL);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_DIVIDE, unbiased[0], bounded, NULL));
}
