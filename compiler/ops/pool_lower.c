/* Pooling as kernels: forward a reduction over the taps of each window, backward a scatter of each
 * window's gradient. */
#include "compiler/ops/common.h"
#include "compiler/ops/pool_window.h"

static const CvmExpr *accumulator(CvmLowering *lowering) {
    return cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL);
}

/* Whether one window is the whole picture, so that taps are simply its pixels. */
static bool covers_picture(const CvmPoolAxis axes[2]) {
    for (int i = 0; i < 2; i++)
        if (axes[i].adaptive || axes[i].outputs != 1 || axes[i].kernel != axes[i].input ||
            axes[i].before || axes[i].after)
            return false;
    return true;
}

/* The pixels of a plane lie in one run. */
static void lower_whole_picture(CvmLowering *lowering, const CvmPoolAxis axes[2], int64_t stride) {
    int pixel = cvm_lower_axis(lowering, "pixel", axes[0].input * axes[1].input, true);
    cvm_lower_stride(lowering, lowering->kernel->a, pixel, stride);
}

static void lower_windows(CvmLowering *lowering, const CvmPoolAxis axes[2], const int position[2],
                          const CvmStrides *from) {
    CvmKernel *kernel = lowering->kernel;
    int tap[] = {cvm_lower_axis(lowering, "tap_y", axes[0].kernel, true),
                 cvm_lower_axis(lowering, "tap_x", axes[1].kernel, true)};
    for (int i = 0; i < 2; i++)
        kernel->windows[kernel->window_count++] = (CvmWindow){
            .position = position[i],
            .tap = tap[i],
            .position_scale = axes[i].stride,
            .tap_scale = 1,
            .offset = -axes[i].before,
            .divisor = 1,
            .extent = axes[i].input,
            .stride = from->dims[2 + i],
            .table = axes[i].adaptive ? kernel->tables[i] : NULL,
        };
}

/* Pools what the kernel computes. */
static void lower_behind(CvmLowering *lowering, const CvmNode *node, CvmCombine combine) {
    const int64_t *sizes = cvm_node_attribute(node, "kernel")->integers;
    const CvmPooling *pooling = &lowering->kernel->pooling;
    bool shared = pooling->combine == CVM_COMBINE_MAXIMUM && combine == pooling->combine &&
                  pooling->sizes[0] == sizes[0] && pooling->sizes[1] == sizes[1] &&
                  pooling->value == cvm_lower_operand(lowering, node, 0);
    if (!cvm_pool_is_separate(node))
        cvm_lower_refuse(lowering, node, "its windows overlap or reach into padding");
    else if (!shared)
        cvm_lower_pooling(lowering, node, combine, sizes);
}

/* Loops over every output position and the taps of its window; taps in the padding are left out.
 * Behind a convolution in one kernel the loops are there already, and where maxpool and
 * maxpool_index share a kernel, the second finds those of the first. */
static void lower_pool(CvmLowering *lowering, const CvmNode *node, CvmCombine combine) {
    if (cvm_lower_has_operand(lowering, node, 0)) {
        lower_behind(lowering, node, combine);
        return;
    }
    if (node != lowering->nodes[0])
        return;
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0];
    const CvmShape *in = &x->type.shape, *out = &node->type.shape;
    const CvmPoolAxis axes[] = {cvm_pool_axis(node, 0, in, out), cvm_pool_axis(node, 1, in, out)};
    CvmStrides from = cvm_value_strides(&x->type);
    int n = cvm_lower_axis(lowering, "n", in->sizes[0] / from.block[0], false);
    int c = cvm_lower_axis(lowering, "c", in->sizes[1] / from.block[1], false);
    int position[] = {cvm_lower_axis(lowering, "y", out->sizes[2], false),
                      cvm_lower_axis(lowering, "x", out->sizes[3], false)};
    int lane = cvm_lower_lane(lowering, &x->type, false);
    kernel->combine = combine;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    for (int i = 0; i < 2; i++)
        kernel->tables[i] =
            cvm_pool_table(&axes[i], combine == CVM_COMBINE_MAXIMUM, lowering->arena);
    if (covers_picture(axes))
        lower_whole_picture(lowering, axes, from.dims[3]);
    else
        lower_windows(lowering, axes, position, &from);
    CvmPictureAxes loops = {.n = n, .group = -1, .c = c, .y = -1, .x = -1, .lane = lane};
    cvm_lower_picture_strides(lowering, kernel->a, &x->type, loops);
    loops.y = position[0];
    loops.x = position[1];
    cvm_lower_picture(lowering, &node->type, loops);
}

void maxpool_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pool(lowering, node, CVM_COMBINE_MAXIMUM);
    cvm_lower_value(lowering, node, accumulator(lowering));
}

void maxpool_index_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pool(lowering, node, CVM_COMBINE_MAXIMUM);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_PLACE, NULL, NULL, NULL));
}

/* The sum times the share along each axis: one number where windows are alike, else looked up. */
void avgpool_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmShape *in = &node->inputs[0]->type.shape, *out = &node->type.shape;
    lower_pool(lowering, node, CVM_COMBINE_SUM);
    const CvmExpr *value = accumulator(lowering);
    double uniform = 1;
    for (int i = 0; i < 2; i++) {
        if (lowering->kernel->tables[i])
            value = cvm_expr(lowering, CVM_EXPR_MULTIPLY, value,
                             cvm_expr_row(lowering, CVM_EXPR_SHARE, i), NULL);
        else
            uniform *= (double)cvm_pool_axis(node, i, in, out).kernel;
    }
    if (uniform != 1)
        value = cvm_expr(lowering, CVM_EXPR_MULTIPLY, value,
                         cvm_expr_constant(lowering, 1 / uniform), NULL);
    cvm_lower_value(lowering, node, value);
}

static void lower_pool_grad(CvmLowering *lowering, const CvmNode *node, bool maximum) {
    CvmKernel *kernel = lowering->kernel;
    const CvmShape *in = &node->type.shape, *out = &node->inputs[0]->type.shape;
    CvmStrides strides = cvm_value_strides(&node->type);
    kernel->scatter = (CvmScatter){
        .maximum = maximum,
        .planes = in->sizes[0] / strides.block[0] * (in->sizes[1] / strides.block[1]),
        .lanes = strides.block[0] * strides.block[1],
        .gradient = cvm_lower_buffer(lowering, node->inputs[0], false),
        .index = maximum ? cvm_lower_buffer(lowering, node->inputs[1], false) : -1,
    };
    for (int i = 0; i < 2; i++) {
        const CvmPoolAxis axis = cvm_pool_axis(node, i, in, out);
        kernel->tables[i] = cvm_pool_table(&axis, maximum, lowering->arena);
        kernel->scatter.kernel[i] = axis.kernel;
        kernel->scatter.stride[i] = axis.stride;
        kernel->scatter.pad[i] = axis.before;
        kernel->scatter.input[i] = axis.input;
        kernel->scatter.output[i] = axis.outputs;
    }
    kernel->extent = kernel->scatter.planes;
    if (lowering->node_count > 1 && cvm_scatter_overlaps(&kernel->scatter))
        cvm_lower_refuse(lowering, node, "its windows overlap, so nothing can be fused behind it");
    cvm_lower_value(lowering, node, accumulator(lowering));
}

void maxpool_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pool_grad(lowering, node, true);
}

void avgpool_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pool_grad(lowering, node, false);
}
