/* Activations, element by element, and their gradients in terms of the result y:
 *
 *   relu: y = max(x, 0), dx = dy where y > 0;  tanh: dx = dy (1 - y^2);
 *   sigmoid: y = 1 / (1 + exp(-x)), dx = dy y (1 - y) */
#include "compiler/ops/common.h"

#include <math.h>

/* For every layer that has no arguments and keeps the shape. */
CvmNode *activation_build(CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return NULL;
    bool rows = cvm_op_info(layer->op)->class == CVM_CLASS_ROWS;
    if (rows && layer->input->type.shape.rank != 2)
        return cvm_layer_needs_vector(layer);
    return cvm_layer_add(layer, layer->op, &layer->input, 1, NULL);
}

/* Operands and result of one shape and layout. */
bool pointwise_infer(CvmNode *node, CvmDiag *diag) {
    for (int i = 0; i < node->input_count; i++) {
        if (!cvm_check_operand(node, i, -1, diag) || !cvm_check_layouts(node, 0, i, diag))
            return false;
        if (!cvm_shape_equal(&node->inputs[i]->type.shape, &node->inputs[0]->type.shape))
            return cvm_refuse_operands(node, diag, "has operands of different shapes");
    }
    return cvm_set_type(node, node->inputs[0]->type.shape, &node->inputs[0]->type, diag);
}

CvmCost pointwise_cost(const CvmNode *node) {
    return (CvmCost){(double)cvm_count(node), cvm_traffic(node)};
}

static void give_activation_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy, CvmOp op) {
    CvmNode *operands[] = {dy, node};
    cvm_autodiff_give(autodiff, node->inputs[0], cvm_autodiff_add(autodiff, op, operands, 2, NULL));
}

void relu_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    give_activation_gradient(autodiff, node, dy, CVM_OP_RELU_GRAD);
}

void tanh_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    give_activation_gradient(autodiff, node, dy, CVM_OP_TANH_GRAD);
}

void sigmoid_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    give_activation_gradient(autodiff, node, dy, CVM_OP_SIGMOID_GRAD);
}

/* --- references --- */

static void map(const CvmNode *node, const float *x, float *y, float (*function)(float x)) {
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = function(x[i]);
}

static void map_gradient(const CvmNode *node, const void *const *operands, float *dx,
                         float (*slope)(float y)) {
    const float *dy = operands[0], *y = operands[1];
    for (int64_t i = 0; i < cvm_count(node); i++)
        dx[i] = dy[i] * slope(y[i]);
}

static float relu(float x) {
    return x < 0 ? 0 : x; /* NaN stays NaN */
}

static float tanh_slope(float y) {
    return 1 - y * y;
}

static float sigmoid(float x) {
    return (float)(1 / (1 + exp(-(double)x)));
}

static float sigmoid_slope(float y) {
    return y * (1 - y);
}

void relu_reference(const CvmNode *node, const void *const *operands, void *output) {
    map(node, operands[0], output, relu);
}

void relu_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *dy = operands[0], *y = operands[1];
    float *dx = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        dx[i] = y[i] > 0 ? dy[i] : 0; /* chosen, not multiplied: dy may be infinite */
}

void tanh_reference(const CvmNode *node, const void *const *operands, void *output) {
    map(node, operands[0], output, tanhf);
}

void tanh_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    map_gradient(node, operands, output, tanh_slope);
}

void sigmoid_reference(const CvmNode *node, const void *const *operands, void *output) {
    map(node, operands[0], output, sigmoid);
}

void sigmoid_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    map_gradient(node, operands, output, sigmoid_slope);
}

/* --- kernels --- */

static const CvmExpr *number(CvmLowering *lowering, double value) {
    return cvm_expr_constant(lowering, value);
}

/* The zero stands first: a comparison with NaN then gives the NaN, which must not be hidden. */
void relu_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_MAXIMUM, number(lowering, 0),
                             cvm_lower_operand(lowering, node, 0), NULL));
}

void relu_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *y = cvm_lower_operand(lowering, node, 1);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, y, dy, number(lowering, 0)));
}

void tanh_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_TANH, cvm_lower_operand(lowering, node, 0), NULL, NULL));
}

void tanh_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *y = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *square = cvm_expr(lowering, CVM_EXPR_MULTIPLY, y, y, NULL);
    const CvmExpr *slope = cvm_expr(lowering, CVM_EXPR_SUBTRACT, number(lowering, 1), square, NULL);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_MULTIPLY, dy, slope, NULL));
}

void sigmoid_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_SIGMOID, cvm_lower_operand(lowering, node, 0), NULL, NULL));
}

void sigmoid_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *y = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *rest = cvm_expr(lowering, CVM_EXPR_SUBTRACT, number(lowering, 1), y, NULL);
    const CvmExpr *slope = cvm_expr(lowering, CVM_EXPR_MULTIPLY, y, rest, NULL);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_MULTIPLY, dy, slope, NULL));
}
