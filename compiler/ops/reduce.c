/* Sums to a smaller shape: the gradient of a bias (over everything but the channels) and the mean
 * (a loss over its batch) or sum of a vector [n]. */
#include "compiler/ops/common.h"

bool bias_grad_infer(CvmNode *node, CvmDiag *diag) {
    int rank = node->inputs[0]->type.shape.rank == 4 ? 4 : 2;
    if (!cvm_check_operand(node, 0, rank, diag))
        return false;
    return cvm_set_type(node, (CvmShape){1, {node->inputs[0]->type.shape.sizes[1]}}, NULL, diag);
}

bool mean_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 1, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    return cvm_set_type(node, (CvmShape){0}, NULL, diag);
}

/* Every element takes part equally: dx = dy / count. */
void mean_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *x = node->inputs[0];
    CvmAttribute share = {.real = 1.0 / (double)cvm_count(x)};
    CvmAttribute count = {.integers = {cvm_count(x)}};
    CvmNode *scaled = cvm_autodiff_add(autodiff, CVM_OP_SCALE, &dy, 1, &share);
    cvm_autodiff_give(autodiff, x, cvm_autodiff_add(autodiff, CVM_OP_EXPAND, &scaled, 1, &count));
}

CvmCost reduce_cost(const CvmNode *node) {
    return (CvmCost){(double)cvm_count(node->inputs[0]), cvm_traffic(node)};
}

/* --- references --- */

void bias_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmShape *shape = &node->inputs[0]->type.shape;
    int64_t channels = shape->sizes[1],
            pixels = shape->rank == 4 ? shape->sizes[2] * shape->sizes[3] : 1;
    const float *dy = operands[0];
    float *sums = output;
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t n = 0; n < shape->sizes[0]; n++)
            for (int64_t i = 0; i < pixels; i++)
                sum += dy[(n * channels + c) * pixels + i];
        sums[c] = (float)sum;
    }
}

static double sum_of(const CvmNode *x, const float *elements) {
    double sum = 0;
    for (int64_t i = 0; i < cvm_count(x); i++)
        sum += elements[i];
    return sum;
}

void mean_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmNode *x = node->inputs[0];
    *(float *)output = (float)(sum_of(x, operands[0]) / (double)cvm_count(x));
}

void sum_reference(const CvmNode *node, const void *const *operands, void *output) {
    *(float *)output = (float)sum_of(node->inputs[0], operands[0]);
}

/* --- kernels --- */

CvmChannelSum cvm_lower_channel_sum(CvmLowering *lowering, const CvmType *x) {
    bool by_channel = x->layout == CVM_LAYOUT_CHANNEL;
    CvmStrides strides = cvm_value_strides(x);
    CvmChannelSum sum = {.x = *x, .pixel = -1, .lane = -1};
    lowering->kernel->combine = CVM_COMBINE_SUM;
    sum.c = cvm_lower_axis(lowering, "c", x->shape.sizes[1] / strides.block[1], false);
    sum.n = cvm_lower_axis(lowering, "n", x->shape.sizes[0] / strides.block[0], true);
    if (x->shape.rank == 4) /* a plane's pixels lie in one run */
        sum.pixel = cvm_lower_axis(lowering, "pixel", cvm_pixels(&x->shape), true);
    sum.lane = cvm_lower_lane(lowering, x, !by_channel);
    cvm_lower_output(lowering, sum.c, strides.block[1], strides.block[1]);
    if (by_channel)
        cvm_lower_output(lowering, sum.lane, 1, 1);
    return sum;
}

int cvm_lower_channel_operand(CvmLowering *lowering, const CvmChannelSum *sum,
                              const CvmNode *value) {
    int buffer = cvm_lower_buffer(lowering, value, false);
    CvmStrides strides = cvm_value_strides(&sum->x);
    if (value->type.shape.rank == 1) {
        cvm_lower_stride(lowering, buffer, sum->c, strides.block[1]);
        if (sum->x.layout == CVM_LAYOUT_CHANNEL)
            cvm_lower_stride(lowering, buffer, sum->lane, 1);
        return buffer;
    }
    cvm_lower_stride(lowering, buffer, sum->c, strides.dims[1]);
    cvm_lower_stride(lowering, buffer, sum->n, strides.dims[0]);
    cvm_lower_stride(lowering, buffer, sum->pixel, strides.dims[3]);
    cvm_lower_stride(lowering, buffer, sum->lane, 1);
    return buffer;
}

void bias_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    if (node != lowering->nodes[0]) {
        cvm_lower_side_sum(lowering, node);
    } else {
        CvmChannelSum sum = cvm_lower_channel_sum(lowering, &node->inputs[0]->type);
        lowering->kernel->a = cvm_lower_channel_operand(lowering, &sum, node->inputs[0]);
    }
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

/* The sum of a vector's elements. */
static const CvmExpr *lower_sum(CvmLowering *lowering, const CvmNode *x) {
    CvmKernel *kernel = lowering->kernel;
    kernel->combine = CVM_COMBINE_SUM;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    cvm_lower_stride(lowering, kernel->a, cvm_lower_axis(lowering, "i", cvm_count(x), true), 1);
    return cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL);
}

void mean_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *sum = lower_sum(lowering, node->inputs[0]);
    const CvmExpr *share = cvm_expr_constant(lowering, 1.0 / (double)cvm_count(node->inputs[0]));
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_MULTIPLY, sum, share, NULL));
}

void sum_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node, lower_sum(lowering, node->inputs[0]));
}
