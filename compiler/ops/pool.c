/* Pooling over windows of pictures [n, c, h, w]: the largest value or the mean of each window, and
 * their gradients. Padding never wins a maximum. Where windows lie is pool_window.c's knowledge,
 * their code pool_lower.c's. */
#include "compiler/ops/common.h"
#include "compiler/ops/pool_window.h"

#include <string.h>

/* maxpool or avgpool with this kernel and stride, already checked. */
static CvmNode *add_pool(CvmLayer *layer, CvmOp op, const int64_t kernel[2],
                         const int64_t stride[2]) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{.integers = {kernel[0], kernel[1]}},
                                                   {.integers = {stride[0], stride[1]}},
                                                   [4] = {.integers = {1}}};
    return cvm_layer_add(layer, op, &layer->input, 1, attributes);
}

CvmNode *pool_build(CvmLayer *layer) {
    if (!cvm_layer_needs_picture(layer))
        return NULL;
    static const int64_t one[] = {1, 1};
    const CvmArgument *given = cvm_layer_argument(layer, "stride");
    const int64_t *kernel = cvm_layer_argument(layer, "kernel")->integers;
    const int64_t *stride = given->given ? given->integers : kernel;
    bool ceil = cvm_layer_argument(layer, "ceil")->integers[0];
    const char *name = cvm_op_info(layer->op)->name;
    if (kernel[0] < 1 || kernel[1] < 1 || stride[0] < 1 || stride[1] < 1)
        return cvm_layer_refuse(layer, 1223, "give numbers of 1 or more",
                                "%s's kernel and stride count from 1", name);
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{.integers = {kernel[0], kernel[1]}},
                                                   {.integers = {stride[0], stride[1]}},
                                                   [3] = {.integers = {ceil}}};
    if (layer->op == CVM_OP_AVGPOOL)
        attributes[4].integers[0] = cvm_layer_argument(layer, "count_pad")->integers[0];
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
        if (cvm_pool_count(size[i], kernel[i], stride[i], pad[i], pad[2 + i], ceil) < 1)
            return cvm_layer_refuse(layer, 1225, "use a smaller kernel, or more pad",
                                    "a %lldx%lld window does not fit into %s", (long long)kernel[0],
                                    (long long)kernel[1],
                                    cvm_picture_text(layer->input, shape, sizeof shape));
    }
    return cvm_layer_add(layer, layer->op, &layer->input, 1, attributes);
}

/* Pictures of that size already pass as they are, and an even division is an ordinary avgpool. */
CvmNode *adaptive_avgpool_build(CvmLayer *layer) {
    if (!cvm_layer_needs_picture(layer))
        return NULL;
    const int64_t *size = cvm_layer_argument(layer, "size")->integers;
    const int64_t *input = layer->input->type.shape.sizes + 2;
    if (size[0] < 1 || size[1] < 1)
        return cvm_layer_refuse(layer, 1223, "give numbers of 1 or more",
                                "adaptive_avgpool's size counts from 1");
    if (input[0] == size[0] && input[1] == size[1])
        return layer->input;
    if (input[0] % size[0] == 0 && input[1] % size[1] == 0) {
        const int64_t kernel[] = {input[0] / size[0], input[1] / size[1]};
        return add_pool(layer, CVM_OP_AVGPOOL, kernel, kernel);
    }
    CvmAttribute attribute = {.integers = {size[0], size[1]}};
    return cvm_layer_add(layer, CVM_OP_ADAPTIVE_AVGPOOL, &layer->input, 1, &attribute);
}

CvmNode *global_avgpool_build(CvmLayer *layer) {
    return cvm_layer_needs_picture(layer)
               ? cvm_layer_add(layer, CVM_OP_GLOBAL_AVGPOOL, &layer->input, 1, NULL)
               : NULL;
}

/* Height and width of the pooled picture; false (reported). */
static bool pooled_size(const CvmNode *node, const int64_t *size, int64_t out[2], CvmDiag *diag) {
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    for (int i = 0; i < 2; i++) {
        out[i] = cvm_pool_count(size[i], kernel[i], stride[i], pad[i], pad[2 + i],
                                cvm_node_int(node, "ceil"));
        if (out[i] < 1 || pad[i] >= kernel[i] || pad[2 + i] >= kernel[i])
            return cvm_refuse_operands(node, diag, "has a kernel, stride or pad that do not fit");
    }
    return true;
}

static bool set_pooled(CvmNode *node, int64_t height, int64_t width, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type;
    return cvm_set_type(node, (CvmShape){4, {x->shape.sizes[0], x->shape.sizes[1], height, width}},
                        x, diag);
}

bool pool_infer(CvmNode *node, CvmDiag *diag) {
    int64_t out[2];
    return cvm_check_operand(node, 0, 4, diag) &&
           pooled_size(node, node->inputs[0]->type.shape.sizes + 2, out, diag) &&
           set_pooled(node, out[0], out[1], diag);
}

enum { MAX_ADAPTIVE = 65536 }; /* windows along an axis: kernels keep a table of them */

/* Pooling `node` to or from so many windows along each axis. */
static bool check_adaptive(const CvmNode *node, const int64_t windows[2], CvmDiag *diag) {
    for (int i = 0; i < 2; i++)
        if (windows[i] < 1 || windows[i] > MAX_ADAPTIVE)
            return cvm_refuse_operands(node, diag, "must have 1 to 65536 windows along an axis");
    return true;
}

bool adaptive_avgpool_infer(CvmNode *node, CvmDiag *diag) {
    const int64_t *size = cvm_node_attribute(node, "size")->integers;
    return cvm_check_operand(node, 0, 4, diag) && check_adaptive(node, size, diag) &&
           set_pooled(node, size[0], size[1], diag);
}

bool global_avgpool_infer(CvmNode *node, CvmDiag *diag) {
    return cvm_check_operand(node, 0, 4, diag) && set_pooled(node, 1, 1, diag);
}

/* Whether dy is of the shape that pooling x gives. */
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
    if (!cvm_check_operand(node, 1, 4, diag) || !cvm_check_layouts(node, 0, 1, diag))
        return false;
    if (!cvm_shape_equal(&node->inputs[0]->type.shape, &node->inputs[1]->type.shape))
        return cvm_refuse_operands(node, diag, "has operands of different shapes");
    return avgpool_grad_infer(node, diag);
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

enum { MAXPOOL_ATTRIBUTES = 4 }; /* the gradient has the same, then `size` */

/* The pooled picture itself need not be kept: an index for each window takes a fraction of it. */
void maxpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *x = node->inputs[0];
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    memcpy(attributes, node->attributes, MAXPOOL_ATTRIBUTES * sizeof *attributes);
    memcpy(attributes[MAXPOOL_ATTRIBUTES].integers, x->type.shape.sizes + 2, 2 * sizeof(int64_t));
    CvmNode *operands[] = {
        dy, cvm_autodiff_keep(autodiff, CVM_OP_MAXPOOL_INDEX, &x, 1, node->attributes)};
    cvm_autodiff_give(autodiff, x,
                      cvm_autodiff_add(autodiff, CVM_OP_MAXPOOL_GRAD, operands, 2, attributes));
}

bool adaptive_avgpool_grad_infer(CvmNode *node, CvmDiag *diag) {
    const int64_t *size = cvm_node_attribute(node, "size")->integers;
    return cvm_check_operand(node, 0, 4, diag) &&
           check_adaptive(node, node->inputs[0]->type.shape.sizes + 2, diag) &&
           set_pooled(node, size[0], size[1], diag);
}

static void give_mean_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy, CvmOp op,
                               CvmAttribute *attributes, int size) {
    memcpy(attributes[size].integers, node->inputs[0]->type.shape.sizes + 2, 2 * sizeof(int64_t));
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, op, &dy, 1, attributes));
}

enum { AVGPOOL_ATTRIBUTES = 5 }; /* the gradient has the same, then `size` */

void avgpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    memcpy(attributes, node->attributes, AVGPOOL_ATTRIBUTES * sizeof *attributes);
    give_mean_gradient(autodiff, node, dy, CVM_OP_AVGPOOL_GRAD, attributes, AVGPOOL_ATTRIBUTES);
}

void adaptive_avgpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmAttribute size = {{0}};
    give_mean_gradient(autodiff, node, dy, CVM_OP_ADAPTIVE_AVGPOOL_GRAD, &size, 0);
}

/* That of an avgpool whose one window is the picture. */
void global_avgpool_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    const int64_t *size = node->inputs[0]->type.shape.sizes + 2;
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{.integers = {size[0], size[1]}},
                                                   {.integers = {size[0], size[1]}},
                                                   [4] = {.integers = {1}}};
    give_mean_gradient(autodiff, node, dy, CVM_OP_AVGPOOL_GRAD, attributes, AVGPOOL_ATTRIBUTES);
}

/* x's and y's shapes of a pooling op or of its gradient. */
static bool is_gradient(const CvmNode *node) {
    return node->op == CVM_OP_MAXPOOL_GRAD || node->op == CVM_OP_AVGPOOL_GRAD ||
           node->op == CVM_OP_ADAPTIVE_AVGPOOL_GRAD;
}

static CvmPoolAxis axis_of(const CvmNode *node, int axis) {
    const CvmShape *own = &node->type.shape, *operand = &node->inputs[0]->type.shape;
    return is_gradient(node) ? cvm_pool_axis(node, axis, own, operand)
                             : cvm_pool_axis(node, axis, operand, own);
}

static double window_area(const CvmNode *node) {
    return (double)axis_of(node, 0).kernel * (double)axis_of(node, 1).kernel;
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
    int64_t start[2], width; /* of the whole window: where it starts, pixels of a row */
    double area;             /* values its mean is taken over */
} PoolWindow;

static PoolWindow window_at(const CvmPoolAxis axes[2], int64_t i, int64_t j) {
    const int64_t at[] = {i, j};
    PoolWindow window = {.width = axes[1].kernel, .area = 1};
    for (int k = 0; k < 2; k++) {
        CvmPoolSpan span = cvm_pool_span(&axes[k], at[k]);
        window.start[k] = at[k] * axes[k].stride - axes[k].before;
        window.first[k] = span.first;
        window.last[k] = span.last;
        window.area *= (double)span.count;
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

/* Calls visit(window, plane number, index of the output) for every window; y: the pooled shape. */
static void for_windows(const CvmNode *node, const CvmShape *y,
                        void (*visit)(const PoolWindow *, int64_t plane, int64_t out, void *state),
                        void *state) {
    const CvmPoolAxis axes[] = {axis_of(node, 0), axis_of(node, 1)};
    for (int64_t plane = 0; plane < y->sizes[0] * y->sizes[1]; plane++)
        for (int64_t i = 0; i < y->sizes[2]; i++)
            for (int64_t j = 0; j < y->sizes[3]; j++) {
                PoolWindow window = window_at(axes, i, j);
                visit(&window, plane, (plane * y->sizes[2] + i) * y->sizes[3] + j, state);
            }
}

typedef struct PoolReference {
    const float *x, *dy, *index;
    float *output;
    int64_t height, width; /* of x */
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
    reference->output[out] = (float)(sum / window->area);
}

/* Elements of a window are counted as if all of it lay inside. */
static void take_index(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    const float *x = reference->x + plane * reference->height * reference->width;
    int64_t at = largest_of(x, reference->width, window);
    int64_t row = at / reference->width - window->start[0];
    int64_t column = at % reference->width - window->start[1];
    reference->output[out] = (float)(row * window->width + column);
}

static void give_chosen(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    float *dx = reference->output + plane * reference->height * reference->width;
    for (int64_t i = window->first[0]; i < window->last[0]; i++)
        for (int64_t j = window->first[1]; j < window->last[1]; j++)
            if (reference->index[out] ==
                (float)((i - window->start[0]) * window->width + j - window->start[1]))
                dx[i * reference->width + j] += reference->dy[out];
}

static void give_mean(const PoolWindow *window, int64_t plane, int64_t out, void *state) {
    PoolReference *reference = state;
    float *dx = reference->output + plane * reference->height * reference->width;
    for (int64_t i = window->first[0]; i < window->last[0]; i++)
        for (int64_t j = window->first[1]; j < window->last[1]; j++)
            dx[i * reference->width + j] += (float)(reference->dy[out] / window->area);
}

static void pool_forward(const CvmNode *node, const void *const *operands, void *output,
                         void (*visit)(const PoolWindow *, int64_t, int64_t, void *)) {
    const CvmShape *x = &node->inputs[0]->type.shape;
    PoolReference reference = {
        .x = operands[0], .output = output, .height = x->sizes[2], .width = x->sizes[3]};
    for_windows(node, &node->type.shape, visit, &reference);
}

void maxpool_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_forward(node, operands, output, take_largest);
}

void maxpool_index_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_forward(node, operands, output, take_index);
}

void avgpool_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_forward(node, operands, output, take_mean);
}

static void pool_backward(const CvmNode *node, const float *dy, const float *index, float *output,
                          void (*visit)(const PoolWindow *, int64_t, int64_t, void *)) {
    const int64_t *size = node->type.shape.sizes + 2;
    PoolReference reference = {
        .dy = dy, .index = index, .output = output, .height = size[0], .width = size[1]};
    memset(output, 0, (size_t)cvm_count(node) * sizeof *output);
    for_windows(node, &node->inputs[0]->type.shape, visit, &reference);
}

void maxpool_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_backward(node, operands[0], operands[1], output, give_chosen);
}

void avgpool_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    pool_backward(node, operands[0], NULL, output, give_mean);
}
