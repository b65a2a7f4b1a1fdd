/* Pooling over windows of pictures [n, c, h, w]: the largest value or the mean of each window, and
 * their gradients. Windows that do not fit at the end are left out (PyTorch's default); padding
 * never wins a maximum and counts as zeros in a mean. */
#include "compiler/ops/common.h"

#include <string.h>

CvmNode *pool_build(CvmLayer *layer) {
    if (!cvm_layer_needs_picture(layer))
        return NULL;
    static const int64_t one[] = {1, 1};
    const CvmArgument *given = cvm_layer_argument(layer, "stride");
    const int64_t *kernel = cvm_layer_argument(layer, "kernel")->integers;
    const int64_t *stride = given->given ? given->integers : kernel;
    const char *name = cvm_op_info(layer->op)->name;
    if (kernel[0] < 1 || kernel[1] < 1 || stride[0] < 1 || stride[1] < 1)
        return cvm_layer_refuse(layer, 1223, "give numbers of 1 or more",
                                "%s's kernel and stride count from 1", name);
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{.integers = {kernel[0], kernel[1]}},
                                                   {.integers = {stride[0], stride[1]}}};
    int64_t *pad = attributes[2].integers;
    cvm_layer_pads(layer, kernel, stride, one, pad);
    const int64_t *size = layer->input->type.shape.sizes + 2;
    for (int i = 0; i < 2; i++) {
        char shape[96];
        if (pad[i] >= kernel[i] || pad[2 + i] >= kernel[i])
            return cvm_layer_refuse(layer, 1226, "use a smaller pad",
                                    "%s's pad must be smaller than its kernel: a window would lie "
                                    "in the padding alone",
                                    name);
        if (cvm_window_count(size[i], kernel[i], stride[i], pad[i], pad[2 + i], 1) < 1)
            return cvm_layer_refuse(layer, 1225, "use a smaller kernel, or more pad",
                                    "a %lldx%lld window does not fit into %s", (long long)kernel[0],
                                    (long long)kernel[1],
                                    cvm_picture_text(layer->input, shape, sizeof shape));
    }
    return cvm_layer_add(layer, layer->op, &layer->input, 1, attributes);
}

/* Height and width of the pooled picture; false (reported). */
static bool pooled_size(const CvmNode *node, const int64_t *size, int64_t out[2], CvmDiag *diag) {
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    for (int i = 0; i < 2; i++) {
        out[i] = cvm_window_count(size[i], kernel[i], stride[i], pad[i], pad[2 + i], 1);
        if (out[i] < 1 || pad[i] >= kernel[i] || pad[2 + i] >= kernel[i])
            return cvm_refuse_operands(node, diag, "has a kernel, stride or pad that do not fit");
    }
    return true;
}

bool pool_infer(CvmNode *node, CvmDiag *diag) {
    int64_t out[2];
    if (!cvm_check_operand(node, 0, 4, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    if (!pooled_size(node, x + 2, out, diag))
        return false;
    return cvm_set_type(node, (CvmShape){4, {x[0], x[1], out[0], out[1]}}, &node->inputs[0]->type,
                        diag);
}

static bool check_gradient(const CvmNode *node, const int64_t *x, CvmDiag *diag) {
    const int64_t *dy = node->inputs[0]->type.shape.sizes;
    int64_t out[2];
    if (!pooled_size(node, x + 2, out, diag))
        return false;
    if (dy[0] != x[0] || dy[1] != x[1] || dy[2] != out[0] || dy[3] != out[1])
        return cvm_refuse_operands(node, diag, "has a gradient that is not of the result's shape");
    return true;
}

bool maxpool_grad_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag) ||
        !cvm_check_layouts(node, 0, 1, diag))
        return false;
    const CvmType *x = &node->inputs[1]->type;
    return check_gradient(node, x->shape.sizes, diag) && cvm_set_type(node, x->shape, x, diag);
}

bool avgpool_grad_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag))
        return false;
    const int64_t *dy = node->inputs[0]->type.shape.sizes;
    const int64_t *size = cvm_node_attribute(node, "size")->integers;
    CvmShape x = {4, {dy[0], dy[1], size[0], size[1]}};
    return check_gradient(node, x.sizes, diag) &&
           cvm_set_type(node, x, &node->inputs[0]->type, diag);
}

void maxpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *operands[] = {dy, node->inputs[0]};
    cvm_autodiff_give(
        autodiff, node->inputs[0],
        cvm_autodiff_add(autodiff, CVM_OP_MAXPOOL_GRAD, operands, 2, node->attributes));
}

void avgpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    memcpy(attributes, node->attributes, 3 * sizeof *attributes);
    memcpy(attributes[3].integers, node->inputs[0]->type.shape.sizes + 2, 2 * sizeof(int64_t));
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_AVGPOOL_GRAD, &dy, 1, attributes));
}

static double window_area(const CvmNode *node) {
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    return (double)kernel[0] * (double)kernel[1];
}

CvmCost pool_cost(const CvmNode *node) {
    return (CvmCost){(double)cvm_count(node) * window_area(node), cvm_traffic(node)};
}

CvmCost pool_grad_cost(const CvmNode *node) {
    return (CvmCost){(double)cvm_count(node->inputs[0]) * window_area(node), cvm_traffic(node)};
}

/* --- references --- */

/* The window of output (i, j), cut to the picture. */
typedef struct PoolWindow {
    int64_t first[2], last[2];
} PoolWindow;

static PoolWindow window_at(const CvmNode *node, int64_t i, int64_t j, const int64_t *size) {
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const int64_t at[] = {i, j};
    PoolWindow window;
    for (int k = 0; k < 2; k++) {
        int64_t start = at[k] * stride[k] - pad[k], end = start + kernel[k];
        window.first[k] = start < 0 ? 0 : start;
        window.last[k] = end > size[k] ? size[k] : end;
    }
    return window;
}

/* Where the window's first largest value lies in the plane. */
static int64_t largest_of(const float *plane, int64_t width, const PoolWindow *window) {
    int64_t best = window->first[0] * width + window->first[1];
    for (int64_t i = window->first[0]; i < window->last[0]; i++)
        for (int64_t j = window->first[1]; j < window->last[1]; j++)
            if (plane[i * width + j] > plane[best])
                best = i * width + j;
    return best;
}

/* Calls visit(window, plane number, index of the output) for every window. */
static void for_windows(const CvmNode *node, const CvmShape *x, const CvmShape *y,
                        void (*visit)(const PoolWindow *, int64_t plane, int64_t out, void *state),
                        void *state) {
    for (int64_t plane = 0; plane < y->sizes[0] * y->sizes[1]; plane++)
        for (int64_t i = 0; i < y->sizes[2]; i++)
            for (int64_t j = 0; j < y->sizes[3]; j++) {
                PoolWindow window = window_at(node, i, j, x->sizes + 2);
                visit(&window, plane, (plane * y->sizes[2] + i) * y->sizes[3] + j, state);
            }
}

typedef struct PoolReference {
    const float *x, *dy;
    float *output;
    int64_t height, width; /* of x */
    double area;
} PoolReference;

static void take_largest(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    const float *x = reference->x + plane * reference->height * reference->width;
    reference->output[out] = x[largest_of(x, reference->width, window)];
}

static void take_mean(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    const float *x = reference->x + plane * reference->height * reference->width;
    double sum = 0;
    for (int64_t i = window->first[0]; i < window->last[0]; i++)
        for (int64_t j = window->first[1]; j < window->last[1]; j++)
            sum += x[i * reference->width + j];
    reference->output[out] = (float)(sum / reference->area);
}

static void give_largest(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    int64_t start = plane * reference->height * reference->width;
    reference->output[start + largest_of(reference->x + start, reference->width, window)] +=
        reference->dy[out];
}

static void give_mean(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    float *dx = reference->output + plane * reference->height * reference->width;
    for (int64_t i = window->first[0]; i < window->last[0]; i++)
        for (int64_t j = window->first[1]; j < window->last[1]; j++)
            dx[i * reference->width + j] += (float)(reference->dy[out] / reference->area);
}

static PoolReference reference_of(const CvmNode *node, const CvmShape *x, void *output) {
    return (PoolReference){
        .output = output, .height = x->sizes[2], .width = x->sizes[3], .area = window_area(node)};
}

static void pool_forward(const CvmNode *node, const void *const *operands, void *output,
                         void (*visit)(const PoolWindow *, int64_t, int64_t, void *)) {
    const CvmShape *x = &node->inputs[0]->type.shape;
    PoolReference reference = reference_of(node, x, output);
    reference.x = operands[0];
    for_windows(node, x, &node->type.shape, visit, &reference);
}

void maxpool_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_forward(node, operands, output, take_largest);
}

void avgpool_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_forward(node, operands, output, take_mean);
}

static void pool_backward(const CvmNode *node, const float *dy, const float *x, float *output,
                          void (*visit)(const PoolWindow *, int64_t, int64_t, void *)) {
    PoolReference reference = reference_of(node, &node->type.shape, output);
    reference.dy = dy;
    reference.x = x;
    memset(output, 0, (size_t)cvm_count(node) * sizeof *output);
    for_windows(node, &node->type.shape, &node->inputs[0]->type.shape, visit, &reference);
}

void maxpool_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_backward(node, operands[0], operands[1], output, give_largest);
}

void avgpool_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_backward(node, operands[0], NULL, output, give_mean);
}

/* --- kernels --- */

static const CvmExpr *accumulator(CvmLowering *lowering) {
    return cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL);
}

/* Loops over every output position and the taps of its window; taps in the padding are left out. */
static void lower_pool(CvmLowering *lowering, const CvmNode *node, CvmCombine combine) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0];
    const CvmShape *in = &x->type.shape, *out = &node->type.shape;
    CvmStrides from = cvm_value_strides(&x->type), to = cvm_value_strides(&node->type);
    bool blocked = x->type.layout == CVM_LAYOUT_BATCH;
    int64_t lanes = blocked ? x->type.lanes : 1;
    const int64_t *size = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    int n = cvm_lower_axis(lowering, "n", in->sizes[0] / lanes, false);
    int c = cvm_lower_axis(lowering, "c", in->sizes[1], false);
    int position[] = {cvm_lower_axis(lowering, "y", out->sizes[2], false),
                      cvm_lower_axis(lowering, "x", out->sizes[3], false)};
    int lane = blocked ? cvm_lower_axis(lowering, "lane", lanes, false) : -1;
    int tap[] = {cvm_lower_axis(lowering, "tap_y", size[0], true),
                 cvm_lower_axis(lowering, "tap_x", size[1], true)};
    kernel->combine = combine;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    cvm_lower_stride(lowering, kernel->a, n, from.dims[0]);
    cvm_lower_stride(lowering, kernel->a, c, from.dims[1]);
    cvm_lower_stride(lowering, kernel->a, lane, 1);
    cvm_lower_output(lowering, n, to.dims[0], 0);
    cvm_lower_output(lowering, c, to.dims[1], 1);
    cvm_lower_output(lowering, lane, 1, 0);
    for (int i = 0; i < 2; i++) {
        cvm_lower_output(lowering, position[i], to.dims[2 + i], 0);
        kernel->windows[kernel->window_count++] = (CvmWindow){
            .position = position[i],
            .tap = tap[i],
            .position_scale = stride[i],
            .tap_scale = 1,
            .offset = -pad[i],
            .divisor = 1,
            .extent = in->sizes[2 + i],
            .stride = from.dims[2 + i],
        };
    }
}

void maxpool_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_pool(lowering, node, CVM_COMBINE_MAXIMUM);
    cvm_lower_value(lowering, node, accumulator(lowering));
}

void avgpool_lower(CvmLowering *lowering, const CvmNode *node) {
    const int64_t *size = cvm_node_attribute(node, "kernel")->integers;
    lower_pool(lowering, node, CVM_COMBINE_SUM);
    const CvmExpr *share = cvm_expr_constant(lowering, 1.0 / (double)(size[0] * size[1]));
    cvm_lower_value(lowering, node,
                    cvm_expr(lowering, CVM_EXPR_MULTIPLY, accumulator(lowering), share, NULL));
}

static void lower_pool_grad(CvmLowering *lowering, const CvmNode *node, bool maximum) {
    CvmKernel *kernel = lowering->kernel;
    const CvmShape *in = &node->type.shape, *out = &node->inputs[0]->type.shape;
    bool blocked = node->type.layout == CVM_LAYOUT_BATCH;
    int64_t lanes = blocked ? node->type.lanes : 1;
    const int64_t *size = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    kernel->scatter = (CvmScatter){
        .maximum = maximum,
        .planes = in->sizes[0] / lanes * in->sizes[1],
        .lanes = lanes,
        .kernel = {size[0], size[1]},
        .stride = {stride[0], stride[1]},
        .pad = {pad[0], pad[1]},
        .input = {in->sizes[2], in->sizes[3]},
        .output = {out->sizes[2], out->sizes[3]},
        .gradient = cvm_lower_buffer(lowering, node->inputs[0], false),
        .x = maximum ? cvm_lower_buffer(lowering, node->inputs[1], false) : -1,
    };
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
