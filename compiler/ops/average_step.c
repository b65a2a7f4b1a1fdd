/* One step of a moving average that never owes anything to its start: with the shares
 * (1 - keep) keep^age of the values so far, divided by their sum, the moving average of ones
 * (`total`, as Adam's correction of its averages, Kingma and Ba 2015):
 *
 *   average + (1 - keep) / total (value - average)
 *
 * In the first step total is 1 - keep, and the average is the value. */
#include "compiler/ops/common.h"

bool average_step_infer(CvmNode *node, CvmDiag *diag) {
    return cvm_check_operand(node, 2, 0, diag) && moving_average_infer(node, diag);
}

void average_step_reference(const CvmNode *node, const void *const *operands, void *output) {
    double keep = cvm_node_attribute(node, "keep")->real;
    const float *average = operands[0], *value = operands[1], *total = operands[2];
    float gain = (float)(1 - keep) / *total;
    float *next = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        next[i] = average[i] + gain * (value[i] - average[i]);
}

void average_step_lower(CvmLowering *lowering, const CvmNode *node) {
    double keep = cvm_node_attribute(node, "keep")->real;
    const CvmExpr *average = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *gain = cvm_expr(lowering, CVM_EXPR_DIVIDE, cvm_expr_constant(lowering, 1 - keep),
                                   cvm_lower_operand(lowering, node, 2), NULL);
    const CvmExpr *way =
        cvm_expr(lowering, CVM_EXPR_SUBTRACT, cvm_lower_operand(lowering, node, 1), average, NULL);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_ADD, average,
                             cvm_expr(lowering, CVM_EXPR_MULTIPLY, gain, way, NULL), NULL));
}
