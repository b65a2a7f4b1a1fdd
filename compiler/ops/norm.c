/* Norms of whole tensors, and the factors that optimizers make of them. A sum of squares is taken
 * in two steps, so that the rows of a large tensor are summed by all threads. */
#include "compiler/graph/layout.h"
#include "compiler/ops/common.h"

#include <math.h>

/* PyTorch adds it to a norm that it divides by (torch.nn.utils.clip_grad_norm_). */
static const double CLIP_EPSILON = 1e-6;

bool square_sum_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag) ||
        (node->inputs[0]->type.layout != CVM_LAYOUT_FILTER && !cvm_check_plain(node, 0, diag)))
        return false;
    if (node->inputs[0]->type.shape.rank < 1)
        return cvm_refuse_operands(node, diag, "needs an axis that stays");
    return cvm_set_type(node, (CvmShape){1, {node->inputs[0]->type.shape.sizes[0]}}, NULL, diag);
}

bool factor_infer(CvmNode *node, CvmDiag *diag) {
    for (int i = 0; i < node->input_count; i++)
        if (!cvm_check_operand(node, i, 0, diag))
            return false;
    return cvm_set_type(node, (CvmShape){0}, NULL, diag);
}

/* --- references --- */

void square_sum_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *x = operands[0];
    int64_t rows = cvm_count(node), length = cvm_count(node->inputs[0]) / rows;
    for (int64_t row = 0; row < rows; row++) {
        double sum = 0;
        for (int64_t i = row * length; i < (row + 1) * length; i++)
            sum += (double)x[i] * x[i];
        ((float *)output)[row] = (float)sum;
    }
}

void clip_factor_reference(const CvmNode *node, const void *const *operands, void *output) {
    float most = (float)cvm_node_attribute(node, "norm")->real;
    float norm = sqrtf(*(const float *)operands[0]) + (float)CLIP_EPSILON;
    *(float *)output = most / fmaxf(most, norm);
}

void lars_factor_reference(const CvmNode *node, const void *const *operands, void *output) {
    float trust = (float)cvm_node_attribute(node, "trust")->real;
    float decay = (float)cvm_node_attribute(node, "decay")->real;
    float weight = sqrtf(*(const float *)operands[0]);
    float gradient = sqrtf(*(const float *)operands[1]);
    *(float *)output =
        weight > 0 && gradient > 0 ? trust * weight / (gradient + decay * weight) : 1;
}

/* --- kernels --- */

void square_sum_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *type = &node->inputs[0]->type;
    int64_t lanes = cvm_layout_block(type, 0); /* of a filter: rows side by side */
    int64_t rows = cvm_count(node), length = cvm_count(node->inputs[0]) / rows;
    int row = cvm_lower_axis(lowering, "row", rows / lanes, false);
    int lane = cvm_lower_lane(lowering, type, false);
    kernel->combine = CVM_COMBINE_SUM;
    kernel->a = cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_stride(lowering, kernel->a, row, length * lanes);
    cvm_lower_stride(lowering, kernel->a, lane, 1);
    cvm_lower_stride(lowering, kernel->a, cvm_lower_axis(lowering, "i", length, true), lanes);
    cvm_lower_output(lowering, row, lanes, 0);
    cvm_lower_output(lowering, lane, 1, 0);
    const CvmExpr *x = cvm_expr_row(lowering, CVM_EXPR_LOAD, kernel->a);
    kernel->term = cvm_expr(lowering, CVM_EXPR_MULTIPLY, x, x, NULL);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

static const CvmExpr *root(CvmLowering *lowering, const CvmNode *node, int operand) {
    return cvm_expr(lowering, CVM_EXPR_SQRT, cvm_lower_operand(lowering, node, operand), NULL,
                    NULL);
}

void clip_factor_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *most = cvm_expr_constant(lowering, cvm_node_attribute(node, "norm")->real);
    const CvmExpr *norm = cvm_expr(lowering, CVM_EXPR_ADD, root(lowering, node, 0),
                                   cvm_expr_constant(lowering, CLIP_EPSILON), NULL);
    const CvmExpr *larger = cvm_expr(lowering, CVM_EXPR_MAXIMUM, most, norm, NULL);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_DIVIDE, most, larger, NULL));
}

void lars_factor_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *one = cvm_expr_constant(lowering, 1);
    const CvmExpr *trust = cvm_expr_constant(lowering, cvm_node_attribute(node, "trust")->real);
    const CvmExpr *decay = cvm_expr_constant(lowering, cvm_node_attribute(node, "decay")->real);
    const CvmExpr *weight = root(lowering, node, 0), *gradient = root(lowering, node, 1);
    const CvmExpr *pull =
        cvm_expr(lowering, CVM_EXPR_ADD, gradient,
                 cvm_expr(lowering, CVM_EXPR_MULTIPLY, decay, weight, NULL), NULL);
    const CvmExpr *factor =
        cvm_expr(lowering, CVM_EXPR_DIVIDE,
                 cvm_expr(lowering, CVM_EXPR_MULTIPLY, trust, weight, NULL), pull, NULL);
    const CvmExpr *learning = cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, gradient, factor, one);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, weight, learning, one));
}
