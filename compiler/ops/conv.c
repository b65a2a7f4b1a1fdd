/* Convolution (cross-correlation, as the field calls it) of pictures [n, c, h, w] with weights
 * [o, c/groups, kh, kw]:
 *
 *   y[n, o, i, j] = sum over c, p, q of x[n, c, i s - pad + p d, j s - pad + q d] w[o, c, p, q]
 *
 * with zeros outside the picture; and its gradients with respect to x and w, which read the same
 * products from the other two sides. Their kernels are described in conv_lower.c. */
#include "compiler/ops/conv_layout.h"

#include <math.h>
#include <string.h>

/* --- the layer --- */

CvmNode *conv_build(CvmLayer *layer) {
    if (!cvm_layer_needs_picture(layer))
        return NULL;
    const CvmShape *in = &layer->input->type.shape;
    int64_t channels = cvm_layer_argument(layer, "channels")->integers[0];
    int64_t groups = cvm_layer_argument(layer, "groups")->integers[0];
    const int64_t *kernel = cvm_layer_argument(layer, "kernel")->integers;
    const int64_t *stride = cvm_layer_argument(layer, "stride")->integers;
    const int64_t *dilation = cvm_layer_argument(layer, "dilation")->integers;
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{.integers = {stride[0], stride[1]}},
                                                   {{0}},
                                                   {.integers = {dilation[0], dilation[1]}},
                                                   {.integers = {groups}}};
    if (channels < 1 || groups < 1 || kernel[0] < 1 || kernel[1] < 1 || stride[0] < 1 ||
        stride[1] < 1 || dilation[0] < 1 || dilation[1] < 1)
        return cvm_layer_refuse(
            layer, 1223, "give numbers of 1 or more",
            "conv's channels, kernel, stride, dilation and groups count from 1");
    if (in->sizes[1] % groups || channels % groups)
        return cvm_layer_refuse(layer, 1224, "choose groups that divide both",
                                "conv's %lld %s channels do not divide into %lld groups",
                                (long long)(in->sizes[1] % groups ? in->sizes[1] : channels),
                                in->sizes[1] % groups ? "input" : "output", (long long)groups);
    cvm_layer_pads(layer, kernel, stride, dilation, attributes[1].integers);
    const int64_t *pad = attributes[1].integers;
    for (int i = 0; i < 2; i++)
        if (cvm_window_count(in->sizes[2 + i], kernel[i], stride[i], pad[i], pad[2 + i],
                             dilation[i]) < 1) {
            char shape[96];
            return cvm_layer_refuse(layer, 1225, "use a smaller kernel, or more pad",
                                    "a %lldx%lld kernel does not fit into %s", (long long)kernel[0],
                                    (long long)kernel[1],
                                    cvm_picture_text(layer->input, shape, sizeof shape));
        }
    CvmShape weights = {4, {channels, in->sizes[1] / groups, kernel[0], kernel[1]}};
    double bound = 1 / sqrt((double)weights.sizes[1] * (double)kernel[0] * (double)kernel[1]);
    CvmNode *operands[] = {layer->input, cvm_layer_parameter(layer, "weight", weights, bound, 0)};
    CvmNode *y = operands[1] ? cvm_layer_add(layer, CVM_OP_CONV, operands, 2, attributes) : NULL;
    bool bias = cvm_layer_argument(layer, "bias")->integers[0];
    return y && bias ? cvm_layer_bias(layer, y, channels, bound) : y;
}

/* --- types --- */

/* The picture that y has over `size` [h, w] pixels with weights of `kernel`; false (reported). */
static bool conv_sizes(const CvmNode *node, const int64_t *size, const int64_t *kernel,
                       int64_t out[2], CvmDiag *diag) {
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
    for (int i = 0; i < 2; i++) {
        out[i] = cvm_window_count(size[i], kernel[i], stride[i], pad[i], pad[2 + i], dilation[i]);
        if (out[i] < 1)
            return cvm_refuse_operands(node, diag,
                                       "has a kernel, stride, pad or dilation that do not fit");
    }
    return true;
}

static bool conv_groups(const CvmNode *node, int64_t inputs, int64_t group_inputs, int64_t outputs,
                        CvmDiag *diag) {
    int64_t groups = cvm_node_int(node, "groups");
    if (groups >= 1 && inputs % groups == 0 && inputs / groups == group_inputs &&
        outputs % groups == 0)
        return true;
    return cvm_refuse_operands(node, diag,
                               "has channels that do not go with its weights and groups");
}

bool cvm_conv_in_channels(const CvmShape *weight, int64_t groups, int lanes, CvmLayoutKind *x) {
    const int64_t *sizes = weight->sizes;
    bool shares = cvm_conv_run(weight, groups, lanes).groups > 0;
    *x = shares || sizes[1] % lanes == 0 ? CVM_LAYOUT_CHANNEL : CVM_LAYOUT_PLAIN;
    return sizes[0] % lanes == 0 && (groups == 1 || shares || sizes[0] / groups % lanes == 0);
}

CvmGroupRun cvm_conv_run(const CvmShape *weight, int64_t groups, int lanes) {
    enum { MAX_VECTORS = 16 }; /* each has code of its own */
    int64_t inputs = weight->sizes[1], outputs = weight->sizes[0] / groups, run = 1;
    while (run * (inputs % lanes) % lanes || run * (outputs % lanes) % lanes)
        run *= 2; /* as lanes are a power of two */
    if (groups == 1 || run == 1 || groups % run || outputs > MAX_VECTORS * lanes / run)
        return (CvmGroupRun){0, 0, 0};
    return (CvmGroupRun){run, run * inputs / lanes, run * outputs / lanes};
}

bool cvm_conv_is_depthwise(const CvmShape *weight, int64_t groups) {
    return weight->sizes[1] == 1 && weight->sizes[0] == groups;
}

int64_t cvm_conv_multiplier(const CvmShape *weight, int64_t groups, int lanes) {
    enum { MOST = 8 }; /* vectors of sums for each vector of results */
    int64_t multiplier = weight->sizes[0] / groups;
    bool folds = weight->sizes[1] == 1 && groups % lanes == 0 && multiplier > 1;
    return folds && multiplier <= MOST ? multiplier : 0;
}

bool cvm_conv_prefers_rows(const CvmNode *node, const CvmShape *weight, int64_t width, int lanes) {
    CvmGroupRun run = cvm_conv_run(weight, cvm_node_int(node, "groups"), lanes);
    int64_t inputs = weight->sizes[1], vectors = (width + lanes - 1) / lanes;
    bool spreads = inputs < lanes && lanes % inputs == 0 && run.inputs <= run.outputs;
    bool rows = vectors > 1 && 4 * width >= 3 * vectors * lanes;
    return run.groups && !spreads && rows && weight->sizes[3] > 1 &&
           cvm_node_attribute(node, "stride")->integers[1] == 1;
}

bool cvm_node_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x) {
    const CvmShape *weight = &node->inputs[1]->type.shape;
    int64_t groups = cvm_node_int(node, "groups");
    *x = CVM_LAYOUT_CHANNEL;
    if (node->op == CVM_OP_CONV_GRAD_INPUT && !cvm_node_int(node, "turned"))
        return cvm_conv_multiplier(weight, groups, lanes) > 0;
    return cvm_conv_in_channels(weight, groups, lanes, x);
}

void cvm_conv_edges(const CvmNode *node, int64_t columns, int64_t outputs, int64_t taps,
                    int64_t *left, int64_t *right) {
    int64_t stride = cvm_node_attribute(node, "stride")->integers[1];
    int64_t pad = cvm_node_attribute(node, "pad")->integers[1];
    int64_t reach = (taps - 1) * cvm_node_attribute(node, "dilation")->integers[1];
    *left = (pad + stride - 1) / stride;
    *left = *left < outputs ? *left : outputs;
    int64_t room = columns - 1 + pad - reach; /* of the first tap's column, from that of pixel 0 */
    int64_t inside = room < 0 ? 0 : room / stride + 1;
    *right = inside < *left ? outputs - *left : inside < outputs ? outputs - inside : 0;
}

bool cvm_weight_grad_in_channels(const CvmNode *node, int lanes, CvmLayoutKind *x) {
    enum { MAX_EDGES = 12 };
    const CvmShape *weight = &node->type.shape;
    int64_t left, right;
    cvm_conv_edges(node, node->inputs[0]->type.shape.sizes[3], node->inputs[1]->type.shape.sizes[3],
                   weight->sizes[3], &left, &right);
    return cvm_conv_in_channels(weight, cvm_node_int(node, "groups"), lanes, x) &&
           left + right <= MAX_EDGES;
}

/* The result's layout follows from the weights': pictures in channel blocks where they are filters,
 * else x's. */
static bool set_conv_type(CvmNode *node, CvmShape shape, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type, *weight = &node->inputs[1]->type;
    if (weight->layout == CVM_LAYOUT_PLAIN && x->layout != CVM_LAYOUT_CHANNEL)
        return cvm_set_type(node, shape, x, diag);
    CvmType channels = {.layout = CVM_LAYOUT_CHANNEL, .lanes = weight->lanes};
    CvmLayoutKind wanted;
    if (weight->layout != CVM_LAYOUT_FILTER ||
        !cvm_node_in_channels(node, weight->lanes, &wanted) || x->layout != wanted ||
        (wanted == CVM_LAYOUT_CHANNEL && x->lanes != weight->lanes))
        return cvm_refuse_operands(node, diag, "has pictures and weights whose layouts do not fit");
    return cvm_set_type(node, shape, &channels, diag);
}

bool conv_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    const int64_t *weight = node->inputs[1]->type.shape.sizes;
    int64_t out[2];
    if (!conv_groups(node, x[1], weight[1], weight[0], diag) ||
        !conv_sizes(node, x + 2, weight + 2, out, diag))
        return false;
    return set_conv_type(node, (CvmShape){4, {x[0], weight[0], out[0], out[1]}}, diag);
}

bool conv_grad_input_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag))
        return false;
    const int64_t *dy = node->inputs[0]->type.shape.sizes;
    const int64_t *weight = node->inputs[1]->type.shape.sizes;
    const int64_t *size = cvm_node_attribute(node, "size")->integers;
    int64_t groups = cvm_node_int(node, "groups"), out[2], across;
    bool turned = cvm_node_int(node, "turned");
    if (__builtin_mul_overflow(weight[1], groups, &across))
        return cvm_refuse_operands(node, diag, "has too many channels");
    if (!conv_groups(node, across, weight[1], weight[0], diag) ||
        !conv_sizes(node, size, weight + 2, out, diag))
        return false;
    if (dy[1] != (turned ? across : weight[0]) || dy[2] != out[0] || dy[3] != out[1])
        return cvm_refuse_operands(node, diag, "has a gradient that is not of the result's shape");
    CvmShape shape = {4, {dy[0], turned ? weight[0] : across, size[0], size[1]}};
    return set_conv_type(node, shape, diag);
}

/* A filter where dy is channel-blocked, else plain. */
static bool set_weight_grad_type(CvmNode *node, CvmShape shape, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type, *dy = &node->inputs[1]->type;
    if (dy->layout != CVM_LAYOUT_CHANNEL && x->layout != CVM_LAYOUT_CHANNEL)
        return cvm_check_layouts(node, 0, 1, diag) && cvm_set_type(node, shape, NULL, diag);
    CvmType filter = {.layout = CVM_LAYOUT_FILTER, .lanes = dy->lanes};
    CvmLayoutKind wanted;
    if (!cvm_set_type(node, shape, NULL, diag))
        return false;
    if (dy->layout != CVM_LAYOUT_CHANNEL ||
        !cvm_weight_grad_in_channels(node, dy->lanes, &wanted) || x->layout != wanted ||
        (wanted == CVM_LAYOUT_CHANNEL && x->lanes != dy->lanes))
        return cvm_refuse_operands(node, diag, "has pictures whose layouts do not fit");
    return cvm_set_type(node, shape, &filter, diag);
}

bool conv_grad_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    const int64_t *dy = node->inputs[1]->type.shape.sizes;
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    int64_t groups = cvm_node_int(node, "groups"), out[2];
    int64_t group_inputs = groups < 1 ? 0 : x[1] / groups; /* conv_groups reports the former */
    if (!conv_groups(node, x[1], group_inputs, dy[1], diag) ||
        !conv_sizes(node, x + 2, kernel, out, diag))
        return false;
    if (x[0] != dy[0] || dy[2] != out[0] || dy[3] != out[1])
        return cvm_refuse_operands(node, diag, "has a gradient that is not of the result's shape");
    return set_weight_grad_type(node, (CvmShape){4, {dy[1], group_inputs, kernel[0], kernel[1]}},
                                diag);
}

/* --- gradient --- */

void conv_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *x = node->inputs[0], *weight = node->inputs[1];
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    memcpy(attributes, node->attributes, 4 * sizeof *attributes);
    if (cvm_autodiff_wants(autodiff, x)) {
        memcpy(attributes[4].integers, x->type.shape.sizes + 2, 2 * sizeof(int64_t));
        CvmNode *operands[] = {dy, weight};
        cvm_autodiff_give(
            autodiff, x,
            cvm_autodiff_add(autodiff, CVM_OP_CONV_GRAD_INPUT, operands, 2, attributes));
    }
    if (cvm_autodiff_wants(autodiff, weight)) {
        memcpy(attributes[4].integers, weight->type.shape.sizes + 2, 2 * sizeof(int64_t));
        CvmNode *operands[] = {x, dy};
        cvm_autodiff_give(
            autodiff, weight,
            cvm_autodiff_add(autodiff, CVM_OP_CONV_GRAD_WEIGHT, operands, 2, attributes));
    }
}

/* --- cost: every output pixel takes c/groups * kh * kw multiply-adds --- */

static CvmCost products(const CvmNode *node, const CvmNode *y, const int64_t *weight) {
    return (CvmCost){2.0 * (double)cvm_count(y) * (double)weight[1] * (double)weight[2] *
                         (double)weight[3],
                     cvm_traffic(node)};
}

CvmCost conv_cost(const CvmNode *node) {
    return products(node, node, node->inputs[1]->type.shape.sizes);
}

CvmCost conv_grad_input_cost(const CvmNode *node) {
    return products(node, node->inputs[0], node->inputs[1]->type.shape.sizes);
}

CvmCost conv_grad_weight_cost(const CvmNode *node) {
    return products(node, node->inputs[1], node->type.shape.sizes);
}

/* --- references --- */

/* Products x[x + k step] weight[weight] that add to y[y + k], for k below count: a tap's part in a
 * row of results. */
typedef struct Run {
    int64_t x, y, weight, step, count;
} Run;

/* The columns of y, first up to last, whose tap lies in x: 0 <= j stride + offset < width. */
static void columns_inside(int64_t stride, int64_t offset, int64_t width, int64_t columns,
                           int64_t *first, int64_t *last) {
    *first = offset < 0 ? (-offset + stride - 1) / stride : 0;
    *last = offset < width ? (width - 1 - offset) / stride + 1 : 0;
    if (*last > columns)
        *last = columns;
}

/* Visits every product of the convolution x * weight = y, those of a result in the order of the
 * taps. */
static void for_products(const CvmNode *node, const CvmShape *x, const CvmShape *y,
                         const CvmShape *weight, void (*visit)(const Run *run, void *state),
                         void *state) {
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
    int64_t group_outputs = y->sizes[1] / cvm_node_int(node, "groups");
    for (int64_t n = 0; n < y->sizes[0]; n++)
        for (int64_t o = 0; o < y->sizes[1]; o++)
            for (int64_t i = 0; i < y->sizes[2]; i++)
                for (int64_t c = 0; c < weight->sizes[1]; c++)
                    for (int64_t p = 0; p < weight->sizes[2]; p++)
                        for (int64_t q = 0; q < weight->sizes[3]; q++) {
                            int64_t row = i * stride[0] - pad[0] + p * dilation[0];
                            int64_t offset = q * dilation[1] - pad[1], first, last;
                            int64_t channel = o / group_outputs * weight->sizes[1] + c;
                            columns_inside(stride[1], offset, x->sizes[3], y->sizes[3], &first,
                                           &last);
                            if (row < 0 || row >= x->sizes[2] || first >= last)
                                continue;
                            Run run = {
                                .x = ((n * x->sizes[1] + channel) * x->sizes[2] + row) *
                                         x->sizes[3] +
                                     first * stride[1] + offset,
                                .y =
                                    ((n * y->sizes[1] + o) * y->sizes[2] + i) * y->sizes[3] + first,
                                .weight = ((o * weight->sizes[1] + c) * weight->sizes[2] + p) *
                                              weight->sizes[3] +
                                          q,
                                .step = stride[1],
                                .count = last - first};
                            visit(&run, state);
                        }
}

typedef struct ConvReference {
    const float *x, *y, *weight; /* the two that are given */
    double *sums;                /* the third */
} ConvReference;

static void add_to_y(const Run *run, void *state) {
    const ConvReference *reference = state;
    const float *x = reference->x + run->x;
    double *sums = reference->sums + run->y, weight = (double)reference->weight[run->weight];
    if (run->step == 1)
        for (int64_t k = 0; k < run->count; k++)
            sums[k] += (double)x[k] * weight;
    else
        for (int64_t k = 0; k < run->count; k++)
            sums[k] += (double)x[k * run->step] * weight;
}

static void add_to_x(const Run *run, void *state) {
    const ConvReference *reference = state;
    const float *y = reference->y + run->y;
    double *sums = reference->sums + run->x, weight = (double)reference->weight[run->weight];
    if (run->step == 1)
        for (int64_t k = 0; k < run->count; k++)
            sums[k] += (double)y[k] * weight;
    else
        for (int64_t k = 0; k < run->count; k++)
            sums[k * run->step] += (double)y[k] * weight;
}

static void add_to_weight(const Run *run, void *state) {
    const ConvReference *reference = state;
    const float *x = reference->x + run->x, *y = reference->y + run->y;
    double sum = 0;
    for (int64_t k = 0; k < run->count; k++)
        sum += (double)x[k * run->step] * (double)y[k];
    reference->sums[run->weight] += sum;
}

static void run_reference(const CvmNode *node, const CvmShape *x, const CvmShape *y,
                          const CvmShape *weight, void (*visit)(const Run *, void *),
                          ConvReference reference, float *output) {
    CvmArena *arena = cvm_arena_create();
    reference.sums = cvm_arena_array(arena, (size_t)cvm_count(node), sizeof(double));
    for_products(node, x, y, weight, visit, &reference);
    for (int64_t i = 0; i < cvm_count(node); i++)
        output[i] = (float)reference.sums[i];
    cvm_arena_free(arena);
}

void conv_reference(const CvmNode *node, const void *const *operands, void *output) {
    run_reference(node, &node->inputs[0]->type.shape, &node->type.shape,
                  &node->inputs[1]->type.shape, add_to_y,
                  (ConvReference){.x = operands[0], .weight = operands[1]}, output);
}

void conv_grad_input_reference(const CvmNode *node, const void *const *operands, void *output) {
    const CvmShape *weight = &node->inputs[1]->type.shape;
    int64_t groups = cvm_node_int(node, "groups");
    if (!cvm_node_int(node, "turned")) {
        run_reference(node, &node->type.shape, &node->inputs[0]->type.shape, weight, add_to_x,
                      (ConvReference){.y = operands[0], .weight = operands[1]}, output);
        return;
    }
    CvmArena *arena = cvm_arena_create();
    float *back = cvm_arena_array(arena, (size_t)cvm_count(node->inputs[1]), sizeof *back);
    cvm_turn_weights(operands[1], weight, groups, back);
    CvmShape shape = cvm_turned_shape(weight, groups);
    run_reference(node, &node->type.shape, &node->inputs[0]->type.shape, &shape, add_to_x,
                  (ConvReference){.y = operands[0], .weight = back}, output);
    cvm_arena_free(arena);
}

void conv_grad_weight_reference(const CvmNode *node, const void *const *operands, void *output) {
    run_reference(node, &node->inputs[0]->type.shape, &node->inputs[1]->type.shape,
                  &node->type.shape, add_to_weight,
                  (ConvReference){.x = operands[0], .y = operands[1]}, output);
}
