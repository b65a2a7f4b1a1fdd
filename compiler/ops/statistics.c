/* Sums over every axis but the channels that batch norm needs:
 *
 *   batch_mean: m = mean of x;  batch_variance: v = mean of (x - m)^2;
 *   centered_product: sum of dy (x - m), of which its gradient is made
 *
 * The variance takes a second pass over x, so that a mean far from 0 costs it no digits. Its
 * derivative by the mean is 0, since the sum of x - m is. */
#include "compiler/ops/common.h"

/* Elements that one channel's sum is taken over. */
static double elements_of(const CvmNode *x) {
    return (double)cvm_count(x) / (double)x->type.shape.sizes[1];
}

bool batch_variance_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_channels(node, 0, 1, diag))
        return false;
    return cvm_set_type(node, node->inputs[1]->type.shape, NULL, diag);
}

bool centered_product_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_channels(node, 1, 2, diag) || !cvm_check_operand(node, 0, -1, diag) ||
        !cvm_check_layouts(node, 0, 1, diag))
        return false;
    if (!cvm_shape_equal(&node->inputs[0]->type.shape, &node->inputs[1]->type.shape))
        return cvm_refuse_operands(node, diag, "has operands of different shapes");
    return cvm_set_type(node, node->inputs[2]->type.shape, NULL, diag);
}

static CvmNode *multiple(CvmAutodiff *autodiff, CvmNode *x, double factor) {
    CvmAttribute attribute = {.real = factor};
    return cvm_autodiff_add(autodiff, CVM_OP_SCALE, &x, 1, &attribute);
}

/* dx = dm / count */
void batch_mean_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dm) {
    CvmNode *x = node->inputs[0];
    CvmNode *operands[] = {multiple(autodiff, dm, 1 / elements_of(x)), x};
    cvm_autodiff_give(autodiff, x,
                      cvm_autodiff_add(autodiff, CVM_OP_CHANNEL_EXPAND, operands, 2, NULL));
}

/* dx = 2 dv (x - m) / count */
void batch_variance_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dv) {
    CvmNode *x = node->inputs[0];
    if (!cvm_autodiff_wants(autodiff, x))
        return;
    CvmNode *minus[] = {x, multiple(autodiff, node->inputs[1], -1)};
    CvmNode *operands[] = {cvm_autodiff_add(autodiff, CVM_OP_BIAS, minus, 2, NULL),
                           multiple(autodiff, dv, 2 / elements_of(x))};
    cvm_autodiff_give(autodiff, x,
                      cvm_autodiff_add(autodiff, CVM_OP_CHANNEL_SCALE, operands, 2, NULL));
}

/* --- references --- */

/* sums[c] = share times the sum of (a - a_mean) (b - b_mean); NULL stands for what is left out. */
static void sum_channels(const CvmShape *shape, const float *a, const float *b, const float *mean_a,
                         const float *mean_b, double share, float *sums) {
    int64_t channels = shape->sizes[1], pixels = cvm_pixels(shape);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t n = 0; n < shape->sizes[0]; n++)
            for (int64_t i = (n * channels + c) * pixels; i < (n * channels + c + 1) * pixels; i++)
                sum +=
                    ((double)a[i] - (mean_a ? mean_a[c] : 0)) * (b ? (double)b[i] - mean_b[c] : 1);
        sums[c] = (float)(share * sum);
    }
}

void batch_mean_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmNode *x = node->inputs[0];
    sum_channels(&x->type.shape, operands[0], NULL, NULL, NULL, 1 / elements_of(x), output);
}

void batch_variance_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmNode *x = node->inputs[0];
    sum_channels(&x->type.shape, operands[0], operands[0], operands[1], operands[1],
                 1 / elements_of(x), output);
}

void centered_product_reference(const CvmNode *node, const void *const *operands, void *output) {
    sum_channels(&node->inputs[0]->type.shape, operands[0], operands[1], NULL, operands[2], 1,
                 output);
}

/* --- kernels --- */

static const CvmExpr *load(CvmLowering *lowering, int buffer) {
    return cvm_expr_row(lowering, CVM_EXPR_LOAD, buffer);
}

static void store_share(CvmLowering *lowering, const CvmNode *node, double share) {
    const CvmExpr *sum = cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL);
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_MULTIPLY, sum, cvm_expr_constant(lowering, share), NULL));
}

void batch_mean_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmNode *x = node->inputs[0];
    CvmChannelSum sum = cvm_lower_channel_sum(lowering, &x->type);
    lowering->kernel->a = cvm_lower_channel_operand(lowering, &sum, x);
    store_share(lowering, node, 1 / elements_of(x));
}

void batch_variance_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmNode *x = node->inputs[0];
    CvmKernel *kernel = lowering->kernel;
    CvmChannelSum sum = cvm_lower_channel_sum(lowering, &x->type);
    kernel->a = cvm_lower_channel_operand(lowering, &sum, x);
    int mean = cvm_lower_channel_operand(lowering, &sum, node->inputs[1]);
    const CvmExpr *centered = cvm_expr(lowering, CVM_EXPR_SUBTRACT, load(lowering, kernel->a),
                                       load(lowering, mean), NULL);
    kernel->term = cvm_expr(lowering, CVM_EXPR_MULTIPLY, centered, centered, NULL);
    store_share(lowering, node, 1 / elements_of(x));
}

void centered_product_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    CvmChannelSum sum = cvm_lower_channel_sum(lowering, &node->inputs[0]->type);
    kernel->a = cvm_lower_channel_operand(lowering, &sum, node->inputs[0]);
    kernel->b = cvm_lower_channel_operand(lowering, &sum, node->inputs[1]);
    int mean = cvm_lower_channel_operand(lowering, &sum, node->inputs[2]);
    const CvmExpr *centered = cvm_expr(lowering, CVM_EXPR_SUBTRACT, load(lowering, kernel->b),
                                       load(lowering, mean), NULL);
    kernel->term = cvm_expr(lowering, CVM_EXPR_MULTIPLY, load(lowering, kernel->a), centered, NULL);
    store_share(lowering, node, 1);
}
