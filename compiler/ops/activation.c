/* Activations, element by element, and their gradients in terms of the result y:
 *
 *   relu: y = max(x, 0), dx = dy where y > 0;  tanh: dx = dy (1 - y^2);
 *   sigmoid: y = 1 / (1 + exp(-x)), dx = dy y (1 - y);
 *   leaky relu: y = x where x > 0, else slope x, dx by the sign of y
 *
 * and GELU (Hendrycks and Gimpel 2016), in its exact form and in terms of x: y = x F(x),
 * dx = dy (F(x) + x f(x)), F and f the normal distribution's function and density. */
#include "compiler/ops/common.h"

#include <math.h>

/* For every layer that has no arguments and keeps the shape. */
CvmNode *activation_build(CvmLayer *layer) {
    return cvm_layer_has_input(layer) ? cvm_layer_add(layer, layer->op, &layer->input, 1, NULL)
                                      : NULL;
}

CvmNode *leaky_relu_build(CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return NULL;
    CvmAttribute slope = {.real = cvm_layer_argument(layer, "slope")->real};
    if (!(slope.real >= 0)) /* below it the sign of y would not tell that of x */
        return cvm_layer_refuse(layer, 1228, "give a small number such as 0.01",
                                "leaky_relu's slope must be 0 or more");
    return cvm_layer_add(layer, CVM_OP_LEAKY_RELU, &layer->input, 1, &slope);
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

void leaky_relu_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *operands[] = {dy, node};
    cvm_autodiff_give(
        autodiff, node->inputs[0],
        cvm_autodiff_add(autodiff, CVM_OP_LEAKY_RELU_GRAD, operands, 2, node->attributes));
}

void gelu_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *operands[] = {dy, node->inputs[0]};
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_GELU_GRAD, operands, 2, NULL));
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

static float gelu(float x) {
    return (float)(x * 0.5 * (1 + erf(x * M_SQRT1_2)));
}

static float gelu_slope(float x) {
    double density = exp(-0.5 * x * x) * M_SQRT1_2 * 0.5 * M_2_SQRTPI;
    return (float)(0.5 * (1 + erf(x * M_SQRT1_2)) + x * density);
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

void leaky_relu_reference(const CvmNode *node, const void *const *operands, void *output) {
    float slope = (float)cvm_node_attribute(node, "slope")->real, *y = output;
    const float *x = operands[0];
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = x[i] > 0 ? x[i] : slope * x[i];
}

void leaky_relu_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    float slope = (float)cvm_node_attribute(node, "slope")->real, *dx = output;
    const float *dy = operands[0], *y = operands[1];
    for (int64_t i = 0; i < cvm_count(node); i++)
        dx[i] = y[i] > 0 ? dy[i] : slope * dy[i];
}

void gelu_reference(const CvmNode *node, const void *const *operands, void *output) {
    map(node, operands[0], output, gelu);
}

void gelu_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    map_gradient(node, operands, output, gelu_slope);
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

/* value where sign > 0, else slope times value. */
static void lower_leaky(CvmLowering *lowering, const CvmNode *node, const CvmExpr *sign,
                        const CvmExpr *value) {
    const CvmExpr *slope = number(lowering, cvm_node_attribute(node, "slope")->real);
    const CvmExpr *below = cvm_expr(lowering, CVM_EXPR_MULTIPLY, slope, value, NULL);
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, sign, value, below));
}

void leaky_relu_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *x = cvm_lower_operand(lowering, node, 0);
    lower_leaky(lowering, node, x, x);
}

void leaky_relu_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    lower_leaky(lowering, node, cvm_lower_operand(lowering, node, 1), dy);
}

static const CvmExpr *times(CvmLowering *lowering, const CvmExpr *a, const CvmExpr *b) {
    return cvm_expr(lowering, CVM_EXPR_MULTIPLY, a, b, NULL);
}

/* The normal distribution's function: (1 + erf(x / sqrt 2)) / 2. */
static const CvmExpr *distribution(CvmLowering *lowering, const CvmExpr *x) {
    const CvmExpr *scaled = times(lowering, number(lowering, M_SQRT1_2), x);
    const CvmExpr *error = cvm_expr(lowering, CVM_EXPR_ERF, scaled, NULL, NULL);
    const CvmExpr *half = number(lowering, 0.5);
    return cvm_expr(lowering, CVM_EXPR_ADD, half, times(lowering, half, error), NULL);
}

void gelu_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *x = cvm_lower_operand(lowering, node, 0);
    cvm_lower_value(lowering, node, times(lowering, x, distribution(lowering, x)));
}

void gelu_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *x = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *power = times(lowering, number(lowering, -0.5), times(lowering, x, x));
    const CvmExpr *bell = cvm_expr(lowering, CVM_EXPR_EXP, power, NULL, NULL);
    const CvmExpr *density = times(lowering, number(lowering, M_SQRT1_2 * 0.5 * M_2_SQRTPI), bell);
    const CvmExpr *slope = cvm_expr(lowering, CVM_EXPR_ADD, distribution(lowering, x),
                                    times(lowering, x, density), NULL);
    cvm_lower_value(lowering, node, times(lowering, dy, slope));
}
