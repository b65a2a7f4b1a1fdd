/* Winograd convolutions as operators (the method: winograd.h). What depends on weights alone is an
 * operator of its own, so that it is computed once where weights stand still. c counts the input
 * channels of a group of channels:
 *
 *   winograd_weight   [o, c, r, r] to [n^2, o/v, c, v]: for each frequency, in the order in which
 *                     the contraction reads it; v is two vectors of channels, or one where they do
 *                     not divide by two
 *   winograd          tiles of x to frequencies, their contraction with the weights, and back; the
 *                     weights may also be filters as they are, which the kernel then transforms
 *
 * Their kernels are described in codegen/emit_winograd.c. */
#include "compiler/ops/winograd.h"

#include "compiler/ops/common.h"

#include <string.h>

/* --- types --- */

static bool is_computed(const CvmNode *node, int64_t taps, CvmDiag *diag) {
    return cvm_winograd_has(cvm_node_int(node, "tile"), taps) ||
           cvm_refuse_operands(node, diag, "has no minimal filtering for its tile and filters");
}

int64_t cvm_winograd_step(int64_t outputs, int64_t lanes) {
    return outputs % (2 * lanes) ? lanes : 2 * lanes;
}

/* What winograd's weights say: the taps along a side of the filters (-1: they are none), channels,
 * and how many output channels lie side by side. */
typedef struct Weights {
    int64_t taps, inputs, outputs, step;
} Weights;

static Weights weights_of(const CvmNode *node) {
    const CvmType *type = &node->inputs[1]->type;
    const int64_t *sizes = type->shape.sizes;
    if (type->layout == CVM_LAYOUT_FILTER)
        return (Weights){sizes[2] == sizes[3] ? sizes[2] : -1, sizes[1], sizes[0],
                         cvm_winograd_step(sizes[0], type->lanes)};
    Weights weights = {-1, sizes[2], 0, sizes[3]};
    if (__builtin_mul_overflow(sizes[1], sizes[3], &weights.outputs))
        return weights;
    int64_t tile = cvm_node_int(node, "tile");
    for (int64_t side = 1; side <= CVM_WINOGRAD_SIDE; side++)
        if (side * side == sizes[0] && tile > 0 && tile <= side)
            weights.taps = side - tile + 1;
    return weights;
}

bool winograd_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag))
        return false;
    const CvmType *weight = &node->inputs[0]->type;
    const int64_t *sizes = weight->shape.sizes;
    if (weight->layout != CVM_LAYOUT_FILTER || sizes[1] % weight->lanes || sizes[2] != sizes[3])
        return cvm_refuse_operands(node, diag, "needs square filters of whole blocks of channels");
    if (!is_computed(node, sizes[2], diag))
        return false;
    int64_t side = cvm_node_int(node, "tile") + sizes[2] - 1;
    int64_t step = cvm_winograd_step(sizes[0], weight->lanes);
    CvmShape shape = {4, {side * side, sizes[0] / step, sizes[1], step}};
    return cvm_set_type(node, shape, NULL, diag);
}

bool winograd_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag))
        return false;
    const CvmType *x = &node->inputs[0]->type;
    const int64_t *sizes = x->shape.sizes;
    Weights weights = weights_of(node);
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const CvmType *weight = &node->inputs[1]->type;
    if (!is_computed(node, weights.taps, diag))
        return false;
    int64_t groups = cvm_node_int(node, "groups"), across;
    if (groups < 1 || __builtin_mul_overflow(weights.inputs, groups, &across) ||
        across != sizes[1] || weights.inputs % x->lanes || weights.outputs % groups ||
        weights.outputs / groups % weights.step)
        return cvm_refuse_operands(node, diag, "has channels that do not go with its groups");
    if (x->layout != CVM_LAYOUT_CHANNEL ||
        (weight->layout != CVM_LAYOUT_PLAIN && weight->layout != CVM_LAYOUT_FILTER) ||
        (weights.step != x->lanes && weights.step != 2 * x->lanes))
        return cvm_refuse_operands(node, diag, "has pictures and weights that do not fit");
    CvmShape shape = {4, {sizes[0], weights.outputs, 0, 0}};
    for (int i = 0; i < 2; i++) {
        shape.sizes[2 + i] = cvm_window_count(sizes[2 + i], weights.taps, 1, pad[i], pad[2 + i], 1);
        if (shape.sizes[2 + i] < 1)
            return cvm_refuse_operands(node, diag, "has a pad that does not fit");
    }
    return cvm_set_type(node, shape, x, diag);
}

/* --- cost: what the same convolution takes directly, so that times can be compared --- */

CvmCost winograd_cost(const CvmNode *node) {
    Weights weights = weights_of(node);
    double products =
        (double)(weights.taps * weights.taps * weights.inputs) * (double)cvm_count(node);
    return (CvmCost){2 * products, cvm_traffic(node)};
}

CvmCost winograd_weight_cost(const CvmNode *node) {
    return (CvmCost){6.0 * (double)cvm_count(node), cvm_traffic(node)};
}

/* --- references --- */

enum { FREQUENCIES = CVM_WINOGRAD_SIDE * CVM_WINOGRAD_SIDE };

static void transform_filter(const CvmWinogradMatrices *matrices, const float *filter,
                             double *frequencies) {
    double taps[CVM_WINOGRAD_TAPS * CVM_WINOGRAD_TAPS];
    for (int i = 0; i < matrices->taps * matrices->taps; i++)
        taps[i] = filter[i];
    cvm_winograd_transform(matrices->weight, matrices->side, matrices->taps, taps, frequencies);
}

void winograd_weight_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t taps = node->inputs[0]->type.shape.sizes[2];
    const CvmWinogradMatrices matrices = cvm_winograd_matrices(cvm_node_int(node, "tile"), taps);
    const float *weight = operands[0];
    float *result = output;
    const int64_t *sizes = node->type.shape.sizes;
    int64_t inputs = sizes[2], outputs = sizes[1] * sizes[3];
    for (int64_t o = 0; o < outputs; o++)
        for (int64_t c = 0; c < inputs; c++) {
            double frequencies[FREQUENCIES];
            transform_filter(&matrices, weight + (o * inputs + c) * taps * taps, frequencies);
            for (int64_t f = 0; f < sizes[0]; f++)
                result[((f * sizes[1] + o / sizes[3]) * inputs + c) * sizes[3] + o % sizes[3]] =
                    (float)frequencies[f];
        }
}

/* A tile of one picture: its n x n inputs of channel c, zeros where it reaches out. */
static void read_tile(const CvmNode *node, const float *x, int64_t picture, int64_t c, int64_t top,
                      int64_t left, int side, double *tile) {
    const int64_t *sizes = node->inputs[0]->type.shape.sizes;
    const float *plane = x + (picture * sizes[1] + c) * sizes[2] * sizes[3];
    for (int i = 0; i < side; i++)
        for (int j = 0; j < side; j++) {
            int64_t row = top + i, column = left + j;
            bool inside = row >= 0 && row < sizes[2] && column >= 0 && column < sizes[3];
            tile[i * side + j] = inside ? plane[row * sizes[3] + column] : 0;
        }
}

/* All frequencies of the weight from input channel c to output channel o. */
static void read_weight(const CvmNode *node, const CvmWinogradMatrices *matrices,
                        const float *weights, int64_t o, int64_t c, double *frequencies) {
    Weights w = weights_of(node);
    if (node->inputs[1]->type.layout == CVM_LAYOUT_FILTER) {
        transform_filter(matrices, weights + (o * w.inputs + c) * w.taps * w.taps, frequencies);
        return;
    }
    for (int f = 0; f < matrices->side * matrices->side; f++)
        frequencies[f] =
            weights[((f * (w.outputs / w.step) + o / w.step) * w.inputs + c) * w.step + o % w.step];
}

/* The results of the tile whose first one is (row, column), of every output channel. */
static void reference_tile(const CvmNode *node, const float *const *operands, int64_t picture,
                           int64_t row, int64_t column, float *y) {
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const int64_t *out = node->type.shape.sizes;
    Weights weights = weights_of(node);
    const CvmWinogradMatrices matrices =
        cvm_winograd_matrices(cvm_node_int(node, "tile"), weights.taps);
    int frequencies = matrices.side * matrices.side, m = matrices.tile;
    int64_t group_outputs = out[1] / cvm_node_int(node, "groups");
    for (int64_t o = 0; o < out[1]; o++) {
        double sums[FREQUENCIES] = {0}, result[FREQUENCIES];
        int64_t first = o / group_outputs * weights.inputs;
        for (int64_t c = 0; c < weights.inputs; c++) {
            double pixels[FREQUENCIES], transformed[FREQUENCIES], weight[FREQUENCIES];
            read_tile(node, operands[0], picture, first + c, row - pad[0], column - pad[1],
                      matrices.side, pixels);
            cvm_winograd_transform(matrices.input, matrices.side, matrices.side, pixels,
                                   transformed);
            read_weight(node, &matrices, operands[1], o, c, weight);
            for (int64_t f = 0; f < frequencies; f++)
                sums[f] += transformed[f] * weight[f];
        }
        cvm_winograd_transform(matrices.result, m, matrices.side, sums, result);
        for (int64_t i = 0; i < m && row + i < out[2]; i++)
            for (int64_t j = 0; j < m && column + j < out[3]; j++)
                y[((picture * out[1] + o) * out[2] + row + i) * out[3] + column + j] =
                    (float)result[i * m + j];
    }
}

void winograd_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *const values[] = {operands[0], operands[1]};
    const int64_t *out = node->type.shape.sizes;
    int64_t tile = cvm_node_int(node, "tile");
    for (int64_t picture = 0; picture < out[0]; picture++)
        for (int64_t row = 0; row < out[2]; row += tile)
            for (int64_t column = 0; column < out[3]; column += tile)
                reference_tile(node, values, picture, row, column, output);
}

/* --- kernels --- */

void winograd_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const int64_t *sizes = node->type.shape.sizes;
    kernel->winograd = (CvmWinograd){.tile = cvm_node_int(node, "tile"),
                                     .taps = node->inputs[0]->type.shape.sizes[2],
                                     .inputs = sizes[2],
                                     .outputs = sizes[1] * sizes[3],
                                     .step = sizes[3],
                                     .lanes = node->inputs[0]->type.lanes};
    kernel->extent = sizes[1] * (sizes[2] / kernel->winograd.lanes);
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node, true);
}

void winograd_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *x = &node->inputs[0]->type, *y = &node->type;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    Weights weights = weights_of(node);
    kernel->winograd =
        (CvmWinograd){.tile = cvm_node_int(node, "tile"),
                      .taps = weights.taps,
                      .transforms = node->inputs[1]->type.layout == CVM_LAYOUT_FILTER,
                      .pictures = y->shape.sizes[0],
                      .channel_groups = cvm_node_int(node, "groups"),
                      .inputs = weights.inputs,
                      .outputs = y->shape.sizes[1],
                      .step = weights.step,
                      .lanes = x->lanes,
                      .input = {x->shape.sizes[2], x->shape.sizes[3]},
                      .output = {y->shape.sizes[2], y->shape.sizes[3]},
                      .pad = {pad[0], pad[1]}};
    CvmPictureAxes axes = {.group = -1, .group_channels = y->shape.sizes[1]};
    axes.n = cvm_lower_axis(lowering, "n", y->shape.sizes[0], false);
    axes.c = cvm_lower_axis(lowering, "output", y->shape.sizes[1] / y->lanes, false);
    axes.y = cvm_lower_axis(lowering, "y", y->shape.sizes[2], false);
    axes.x = cvm_lower_axis(lowering, "x", y->shape.sizes[3], false);
    axes.lane = cvm_lower_lane(lowering, y, false);
    kernel->a = cvm_lower_buffer(lowering, node->inputs[0], false);
    kernel->b = cvm_lower_buffer(lowering, node->inputs[1], false);
    kernel->winograd.scratch = cvm_lower_scratch(lowering);
    cvm_lower_picture(lowering, y, axes);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}
