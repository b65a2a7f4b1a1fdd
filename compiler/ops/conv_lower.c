/* Convolutions as kernels: a convolution and its two gradients are one loop nest read from three
 * sides. */
#include "compiler/graph/layout.h"
#include "compiler/ops/conv_layout.h"

/* Sizes and memory steps that the three lowerings share. `weight` is [o, i/groups, kh, kw]. */
typedef struct ConvLoops {
    CvmStrides x, y;
    int64_t lanes, blocks; /* of the batch */
    int64_t groups, group_inputs, group_outputs;
    int64_t kernel[2], x_size[2], y_size[2];
    const int64_t *stride, *pad, *dilation;
} ConvLoops;

static ConvLoops conv_loops(const CvmNode *node, const CvmType *x, const CvmType *y,
                            const CvmType *weight) {
    int64_t lanes = x->layout == CVM_LAYOUT_BATCH ? x->lanes : 1;
    int64_t groups = cvm_node_int(node, "groups");
    ConvLoops loops = {
        .x = cvm_value_strides(x),
        .y = cvm_value_strides(y),
        .lanes = lanes,
        .blocks = x->shape.sizes[0] / lanes,
        .groups = groups,
        .group_inputs = weight->shape.sizes[1],
        .group_outputs = weight->shape.sizes[0] / groups,
        .kernel = {weight->shape.sizes[2], weight->shape.sizes[3]},
        .x_size = {x->shape.sizes[2], x->shape.sizes[3]},
        .y_size = {y->shape.sizes[2], y->shape.sizes[3]},
        .stride = cvm_node_attribute(node, "stride")->integers,
        .pad = cvm_node_attribute(node, "pad")->integers,
        .dilation = cvm_node_attribute(node, "dilation")->integers,
    };
    return loops;
}

typedef struct ConvAxes {
    int n, group, output, input, y[2], x[2], tap[2], lane; /* -1: this side has no such loop */
} ConvAxes;

/* Memory steps of x, y and the weights along whichever loops exist. */
static void conv_strides(CvmLowering *lowering, const ConvLoops *loops, const ConvAxes *axes, int x,
                         int y, int weight) {
    int64_t taps = loops->kernel[0] * loops->kernel[1];
    struct {
        int buffer, axis;
        int64_t stride;
    } steps[] = {
        {x, axes->n, loops->x.dims[0]},
        {x, axes->group, loops->group_inputs * loops->x.dims[1]},
        {x, axes->input, loops->x.dims[1]},
        {x, axes->x[0], loops->x.dims[2]},
        {x, axes->x[1], loops->x.dims[3]},
        {x, axes->lane, 1},
        {y, axes->n, loops->y.dims[0]},
        {y, axes->group, loops->group_outputs * loops->y.dims[1]},
        {y, axes->output, loops->y.dims[1]},
        {y, axes->y[0], loops->y.dims[2]},
        {y, axes->y[1], loops->y.dims[3]},
        {y, axes->lane, 1},
        {weight, axes->group, loops->group_outputs * loops->group_inputs * taps},
        {weight, axes->output, loops->group_inputs * taps},
        {weight, axes->input, taps},
        {weight, axes->tap[0], loops->kernel[1]},
        {weight, axes->tap[1], 1},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        if (steps[i].axis >= 0)
            cvm_lower_stride(lowering, steps[i].buffer, steps[i].axis, steps[i].stride);
}

static int lane_axis(CvmLowering *lowering, int64_t lanes, bool reduce) {
    return lanes > 1 ? cvm_lower_axis(lowering, "lane", lanes, reduce) : -1;
}

/* What is read along dimension i of the pictures, for a position and a tap. */
typedef CvmWindow Window(const ConvLoops *loops, int i);

/* x, where taps fall on it: forward and for the weights' gradient. */
static CvmWindow input_window(const ConvLoops *loops, int i) {
    return (CvmWindow){.position_scale = loops->stride[i],
                       .tap_scale = loops->dilation[i],
                       .offset = -loops->pad[i],
                       .divisor = 1,
                       .extent = loops->x_size[i],
                       .stride = loops->x.dims[2 + i]};
}

/* dy, for a pixel of dx: at (x + pad - tap dilation) / stride, where that is whole. */
static CvmWindow output_window(const ConvLoops *loops, int i) {
    return (CvmWindow){.position_scale = 1,
                       .tap_scale = -loops->dilation[i],
                       .offset = loops->pad[i],
                       .divisor = loops->stride[i],
                       .extent = loops->y_size[i],
                       .stride = loops->y.dims[2 + i]};
}

/* The same for turned taps, kernel - 1 - tap, where dy is what a forward convolution calls x. */
static CvmWindow turned_window(const ConvLoops *loops, int i) {
    return (CvmWindow){.position_scale = 1,
                       .tap_scale = loops->dilation[i],
                       .offset = loops->pad[i] - (loops->kernel[i] - 1) * loops->dilation[i],
                       .divisor = loops->stride[i],
                       .extent = loops->x_size[i],
                       .stride = loops->x.dims[2 + i]};
}

static void add_windows(CvmKernel *kernel, const ConvLoops *loops, Window *of,
                        const int position[2], const int tap[2]) {
    for (int i = 0; i < 2; i++) {
        CvmWindow window = of(loops, i);
        window.position = position[i];
        window.tap = tap[i];
        kernel->windows[kernel->window_count++] = window;
    }
}

static CvmMix group_mix(const ConvLoops *loops, const CvmType *x) {
    return (CvmMix){.inputs = loops->group_inputs,
                    .outputs = loops->group_outputs,
                    .lanes = x->lanes,
                    .block = loops->x.dims[1]};
}

/* Forward in any layout. Channels are counted in blocks where they are blocked; where groups share
 * them, a run of groups counts as one. */
typedef struct ForwardAxes {
    int n, group, output, y[2], lane, input, tap[2], inside; /* inside: of a block of inputs */
} ForwardAxes;

/* How many inputs the innermost loop has: those of a block of the filter; where groups share blocks
 * of the pictures, as many of them as never lie in two of these. */
static int64_t inputs_inside(const ConvLoops *loops, const CvmStrides *weight,
                             const CvmGroupRun *run) {
    int64_t inside = weight->block[1];
    while (run->groups && (weight->block[1] % inside || loops->x.block[1] % inside))
        inside--;
    return inside;
}

static ForwardAxes add_forward_axes(CvmLowering *lowering, const ConvLoops *loops, int64_t inside,
                                    const CvmGroupRun *run) {
    int64_t lanes = loops->y.block[1];
    ForwardAxes axes;
    axes.n = cvm_lower_axis(lowering, "n", loops->blocks, false);
    axes.group = cvm_lower_axis(lowering, "group",
                                run->groups ? loops->groups / run->groups : loops->groups, false);
    axes.output = cvm_lower_axis(lowering, "output",
                                 run->groups ? run->outputs : loops->group_outputs / lanes, false);
    axes.y[0] = cvm_lower_axis(lowering, "y", loops->y_size[0], false);
    axes.y[1] = cvm_lower_axis(lowering, "x", loops->y_size[1], false);
    axes.lane = lane_axis(lowering, loops->lanes * lanes, false);
    axes.input = cvm_lower_axis(lowering, "input", loops->group_inputs / inside, true);
    axes.tap[0] = cvm_lower_axis(lowering, "tap_y", loops->kernel[0], true);
    axes.tap[1] = cvm_lower_axis(lowering, "tap_x", loops->kernel[1], true);
    axes.inside = inside > 1 ? cvm_lower_axis(lowering, "inside", inside, true) : -1;
    return axes;
}

static void set_forward_strides(CvmLowering *lowering, const ConvLoops *loops,
                                const ForwardAxes *axes, const CvmType *y, const CvmStrides *weight,
                                const CvmGroupRun *run) {
    int a = lowering->kernel->a, b = lowering->kernel->b;
    const CvmStrides *x = &loops->x;
    bool shared = run->groups > 0, depthwise = shared && !lowering->kernel->mix.inputs;
    int64_t inside = axes->inside < 0 ? 1 : lowering->kernel->axes[axes->inside].extent;
    int64_t input_blocks =
        shared ? run->inputs : loops->group_inputs / x->block[1]; /* of a group, or run */
    int64_t output_blocks = shared ? run->outputs : loops->group_outputs / weight->block[0];
    int64_t next_input = x->block[1] > 1 ? x->inside[1] : x->dims[1];
    struct {
        int buffer, axis;
        int64_t stride;
    } steps[] = {
        {a, axes->n, x->dims[0]},
        {a, axes->group, input_blocks * x->dims[1]},
        {a, axes->input, shared ? 0 : inside / x->block[1] * x->dims[1]},
        {a, axes->inside, shared ? 0 : next_input},
        {a, axes->lane, loops->lanes > 1 || depthwise}, /* lanes are lanes of x too */
        {b, axes->group, output_blocks * weight->dims[0]},
        {b, axes->output, weight->dims[0]},
        {b, axes->input, inside == weight->block[1] ? weight->dims[1] : inside * weight->inside[1]},
        {b, axes->tap[0], weight->dims[2]},
        {b, axes->tap[1], weight->dims[3]},
        {b, axes->inside, weight->inside[1]},
        {b, axes->lane, weight->block[0] > 1},
    };
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
        cvm_lower_stride(lowering, steps[i].buffer, steps[i].axis, steps[i].stride);
    cvm_lower_picture(lowering, y,
                      (CvmPictureAxes){.n = axes->n,
                                       .group = axes->group,
                                       .c = axes->output,
                                       .y = axes->y[0],
                                       .x = axes->y[1],
                                       .lane = axes->lane,
                                       .group_channels = output_blocks * weight->block[0]});
}

/* From pictures through weights to pictures: conv, and with other windows the gradient of its input
 * where its weights are turned. */
static void lower_forward(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0], *weight = node->inputs[1];
    ConvLoops loops = conv_loops(node, &x->type, &node->type, &weight->type);
    CvmStrides filter = cvm_value_strides(&weight->type);
    CvmGroupRun run = {.groups = 0};
    if (weight->type.layout == CVM_LAYOUT_FILTER)
        run = cvm_conv_run(&weight->type.shape, loops.groups, weight->type.lanes);
    int64_t inside = inputs_inside(&loops, &filter, &run);
    ForwardAxes axes = add_forward_axes(lowering, &loops, inside, &run);
    if (run.groups && !cvm_conv_is_depthwise(&weight->type.shape, loops.groups)) {
        kernel->mix = group_mix(&loops, &x->type);
        kernel->mixed.output = axes.output;
        kernel->mixed.input = axes.input;
        kernel->mixed.step = inside;
    }
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    kernel->b = cvm_lower_buffer(lowering, weight, false);
    add_windows(kernel, &loops, node->op == CVM_OP_CONV ? input_window : turned_window, axes.y,
                axes.tap);
    set_forward_strides(lowering, &loops, &axes, &node->type, &filter, &run);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

void conv_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_forward(lowering, node);
}

static void lower_grad_input(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *dy = node->inputs[0], *weight = node->inputs[1];
    ConvLoops loops = conv_loops(node, &node->type, &dy->type, &weight->type);
    ConvAxes axes = {.y = {-1, -1}};
    axes.n = cvm_lower_axis(lowering, "n", loops.blocks, false);
    axes.group = cvm_lower_axis(lowering, "group", loops.groups, false);
    axes.input = cvm_lower_axis(lowering, "input", loops.group_inputs, false);
    axes.x[0] = cvm_lower_axis(lowering, "y", loops.x_size[0], false);
    axes.x[1] = cvm_lower_axis(lowering, "x", loops.x_size[1], false);
    axes.lane = lane_axis(lowering, loops.lanes, false);
    axes.output = cvm_lower_axis(lowering, "output", loops.group_outputs, true);
    axes.tap[0] = cvm_lower_axis(lowering, "tap_y", loops.kernel[0], true);
    axes.tap[1] = cvm_lower_axis(lowering, "tap_x", loops.kernel[1], true);
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, dy, false);
    kernel->b = cvm_lower_buffer(lowering, weight, false);
    conv_strides(lowering, &loops, &axes, -1, kernel->a, kernel->b);
    add_windows(kernel, &loops, output_window, axes.x, axes.tap);
    cvm_lower_output(lowering, axes.n, loops.x.dims[0], 0);
    cvm_lower_output(lowering, axes.group, loops.group_inputs * loops.x.dims[1],
                     loops.group_inputs);
    cvm_lower_output(lowering, axes.input, loops.x.dims[1], 1);
    cvm_lower_output(lowering, axes.x[0], loops.x.dims[2], 0);
    cvm_lower_output(lowering, axes.x[1], loops.x.dims[3], 0);
    cvm_lower_output(lowering, axes.lane, 1, 0);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

/* Depthwise with several outputs for each input, in channel blocks: dy times weights is summed up
 * in vectors of dy's channels, and neighbours of these are added up at the end. */
static void lower_folded_grad_input(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *dy = node->inputs[0], *weight = node->inputs[1];
    ConvLoops loops = conv_loops(node, &node->type, &dy->type, &weight->type);
    CvmStrides filter = cvm_value_strides(&weight->type);
    CvmPictureAxes axes = {.group = -1, .group_channels = loops.x.block[1]};
    int tap[2];
    axes.n = cvm_lower_axis(lowering, "n", loops.blocks, false);
    axes.c = cvm_lower_axis(lowering, "input", loops.groups / loops.x.block[1], false);
    kernel->fold = loops.group_outputs;
    kernel->folded = cvm_lower_axis(lowering, "output", kernel->fold, false);
    axes.y = cvm_lower_axis(lowering, "y", loops.x_size[0], false);
    axes.x = cvm_lower_axis(lowering, "x", loops.x_size[1], false);
    axes.lane = cvm_lower_lane(lowering, &node->type, false);
    tap[0] = cvm_lower_axis(lowering, "tap_y", loops.kernel[0], true);
    tap[1] = cvm_lower_axis(lowering, "tap_x", loops.kernel[1], true);
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, dy, false);
    kernel->b = cvm_lower_buffer(lowering, weight, false);
    cvm_lower_stride(lowering, kernel->a, axes.n, loops.y.dims[0]);
    cvm_lower_stride(lowering, kernel->a, axes.c, kernel->fold * loops.y.dims[1]);
    cvm_lower_stride(lowering, kernel->a, kernel->folded, loops.y.dims[1]);
    cvm_lower_stride(lowering, kernel->a, axes.lane, 1);
    cvm_lower_stride(lowering, kernel->b, axes.c, kernel->fold * filter.dims[0]);
    cvm_lower_stride(lowering, kernel->b, kernel->folded, filter.dims[0]);
    cvm_lower_stride(lowering, kernel->b, tap[0], filter.dims[2]);
    cvm_lower_stride(lowering, kernel->b, tap[1], filter.dims[3]);
    cvm_lower_stride(lowering, kernel->b, axes.lane, 1);
    add_windows(kernel, &loops, output_window, (const int[]){axes.y, axes.x}, tap);
    cvm_lower_picture(lowering, &node->type, axes);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

void conv_grad_input_lower(CvmLowering *lowering, const CvmNode *node) {
    if (cvm_node_int(node, "turned"))
        lower_forward(lowering, node);
    else if (node->inputs[1]->type.layout == CVM_LAYOUT_FILTER)
        lower_folded_grad_input(lowering, node);
    else
        lower_grad_input(lowering, node);
}

/* Channel-blocked: see CvmWeightGrad. */
static void lower_filter_grad(CvmLowering *lowering, const CvmNode *node) {
    const CvmNode *x = node->inputs[0], *dy = node->inputs[1];
    ConvLoops loops = conv_loops(node, &x->type, &dy->type, &node->type);
    int64_t lanes = node->type.lanes, run = cvm_layout_block(&node->type, 1);
    CvmGroupRun shared = cvm_conv_run(&node->type.shape, loops.groups, node->type.lanes);
    int64_t in_blocks = shared.groups ? shared.inputs : loops.group_inputs / loops.x.block[1];
    CvmWeightGrad weights = {
        .pictures = x->type.shape.sizes[0],
        .groups = shared.groups ? loops.groups / shared.groups : loops.groups,
        .inputs = loops.group_inputs,
        .outputs = shared.groups ? shared.outputs : loops.group_outputs / lanes,
        .run = run,
        .in_picture = loops.x.dims[0],
        .in_group = in_blocks * loops.x.dims[1],
        .in_block = shared.groups ? 0 : run / loops.x.block[1] * loops.x.dims[1],
        .in_inside = shared.groups          ? 0
                     : loops.x.block[1] > 1 ? 1
                                            : loops.x.dims[1],
        .in_row = loops.x.dims[2],
        .in_column = loops.x.dims[3],
    };
    if (shared.groups)
        weights.mix = group_mix(&loops, &x->type);
    for (int i = 0; i < 2; i++) {
        weights.kernel[i] = loops.kernel[i];
        weights.stride[i] = loops.stride[i];
        weights.pad[i] = loops.pad[i];
        weights.dilation[i] = loops.dilation[i];
        weights.in_size[i] = loops.x_size[i];
        weights.size[i] = loops.y_size[i];
    }
    cvm_conv_edges(node, loops.x_size[1], loops.y_size[1], loops.kernel[1], &weights.left,
                   &weights.right);
    for (int i = 1; i < lowering->node_count; i++) {
        weights.applies |= !cvm_lower_is_beside(lowering, lowering->nodes[i]);
        weights.unpacks |= lowering->nodes[i]->op == CVM_OP_RELAYOUT;
    }
    lowering->kernel->weights = weights;
    cvm_lower_buffer(lowering, x, false);
    cvm_lower_buffer(lowering, dy, false);
    if (weights.applies)
        cvm_lower_scratch(lowering);
    else
        cvm_lower_buffer(lowering, node, true);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

static void lower_weight_grad(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0], *dy = node->inputs[1];
    ConvLoops loops = conv_loops(node, &x->type, &dy->type, &node->type);
    int64_t taps = loops.kernel[0] * loops.kernel[1];
    ConvAxes axes = {.x = {-1, -1}};
    axes.group = cvm_lower_axis(lowering, "group", loops.groups, false);
    axes.output = cvm_lower_axis(lowering, "output", loops.group_outputs, false);
    axes.input = cvm_lower_axis(lowering, "input", loops.group_inputs, false);
    axes.tap[0] = cvm_lower_axis(lowering, "tap_y", loops.kernel[0], false);
    axes.tap[1] = cvm_lower_axis(lowering, "tap_x", loops.kernel[1], false);
    axes.n = cvm_lower_axis(lowering, "n", loops.blocks, true);
    axes.y[0] = cvm_lower_axis(lowering, "y", loops.y_size[0], true);
    axes.y[1] = cvm_lower_axis(lowering, "x", loops.y_size[1], true);
    axes.lane = lane_axis(lowering, loops.lanes, true);
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    kernel->b = cvm_lower_buffer(lowering, dy, false);
    conv_strides(lowering, &loops, &axes, kernel->a, kernel->b, -1);
    add_windows(kernel, &loops, input_window, axes.y, axes.tap);
    cvm_lower_output(lowering, axes.group, loops.group_outputs * loops.group_inputs * taps, 0);
    cvm_lower_output(lowering, axes.output, loops.group_inputs * taps, 0);
    cvm_lower_output(lowering, axes.input, taps, 0);
    cvm_lower_output(lowering, axes.tap[0], loops.kernel[1], 0);
    cvm_lower_output(lowering, axes.tap[1], 1, 0);
    lowering->side_steps[axes.group] = loops.group_outputs;
    lowering->side_steps[axes.output] = 1;
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

void conv_grad_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    if (node->type.layout == CVM_LAYOUT_FILTER)
        lower_filter_grad(lowering, node);
    else
        lower_weight_grad(lowering, node);
}
