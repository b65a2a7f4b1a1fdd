/* The gradient of a convolution's filters by minimal filtering (winograd.h) as an operator: tiles
 * of x and of dy to frequencies, their products summed over all tiles, and the sums back to taps.
 * Its kernel is described in codegen/emit_winograd_grad.c. */
#include "compiler/ops/common.h"
#include "compiler/ops/winograd.h"

bool winograd_grad_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_operand(node, 1, 4, diag))
        return false;
    const CvmType *x = &node->inputs[0]->type, *dy = &node->inputs[1]->type;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    int64_t taps = cvm_node_int(node, "taps");
    if (!cvm_winograd_has(taps, cvm_node_int(node, "tile")))
        return cvm_refuse_operands(node, diag, "has no minimal filtering for its tile and filters");
    if (x->layout != CVM_LAYOUT_CHANNEL || dy->layout != CVM_LAYOUT_CHANNEL ||
        x->lanes != dy->lanes || x->shape.sizes[0] != dy->shape.sizes[0])
        return cvm_refuse_operands(node, diag, "has pictures that do not fit");
    for (int i = 0; i < 2; i++)
        if (pad[i] < 0 || pad[2 + i] < 0 ||
            cvm_window_count(x->shape.sizes[2 + i], taps, 1, pad[i], pad[2 + i], 1) !=
                dy->shape.sizes[2 + i])
            return cvm_refuse_operands(node, diag,
                                       "has a gradient that is not of the result's shape");
    int64_t groups = cvm_node_int(node, "groups");
    if (groups < 1 || x->shape.sizes[1] % (groups * x->lanes) != 0 ||
        dy->shape.sizes[1] % (groups * x->lanes) != 0)
        return cvm_refuse_operands(node, diag, "has groups that are not whole blocks of channels");
    CvmShape shape = {4, {dy->shape.sizes[1], x->shape.sizes[1] / groups, taps, taps}};
    CvmType filter = {.layout = CVM_LAYOUT_FILTER, .lanes = dy->lanes};
    return cvm_set_type(node, shape, &filter, diag);
}

/* What the same gradient takes directly, so that times can be compared. */
CvmCost winograd_grad_weight_cost(const CvmNode *node) {
    const int64_t *dy = node->inputs[1]->type.shape.sizes;
    double products = (double)cvm_count(node) * (double)(dy[0] * dy[2] * dy[3]);
    return (CvmCost){2 * products, cvm_traffic(node)};
}

/* --- reference --- */

enum { SIDE = CVM_WINOGRAD_SIDE, FREQUENCIES = SIDE * SIDE };

/* The pixels of one channel of one picture, zero outside. */
typedef struct Plane {
    const float *pixels;
    const int64_t *size; /* height, width */
} Plane;

static double pixel_of(const Plane *plane, int64_t row, int64_t column) {
    bool inside = row >= 0 && row < plane->size[0] && column >= 0 && column < plane->size[1];
    return inside ? plane->pixels[row * plane->size[1] + column] : 0;
}

/* matrix * tile * matrix^t for the size x size pixels from (top, left) on. */
static void transform(const double matrix[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE], int side, int size,
                      const Plane *plane, int64_t top, int64_t left, double *out) {
    double tile[FREQUENCIES];
    for (int k = 0; k < size; k++)
        for (int l = 0; l < size; l++)
            tile[k * size + l] = pixel_of(plane, top + k, left + l);
    cvm_winograd_transform(matrix, side, size, tile, out);
}

/* Adds to the sums of all frequencies what one picture gives, for one pair of channels. */
static void add_picture(const CvmNode *node, const CvmWinogradMatrices *m, const Plane *x,
                        const Plane *dy, double *sums) {
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    for (int64_t row = 0; row < dy->size[0]; row += m->taps)
        for (int64_t column = 0; column < dy->size[1]; column += m->taps) {
            double inputs[FREQUENCIES], gradients[FREQUENCIES];
            transform(m->input, m->side, m->side, x, row - pad[0], column - pad[1], inputs);
            transform(m->weight, m->side, m->taps, dy, row, column, gradients);
            for (int f = 0; f < m->side * m->side; f++)
                sums[f] += inputs[f] * gradients[f];
        }
}

void winograd_grad_weight_reference(const CvmNode *node, const void *const *operands,
                                    void *output) {
    const int64_t *x = node->inputs[0]->type.shape.sizes, *dy = node->inputs[1]->type.shape.sizes;
    const int64_t inputs = node->type.shape.sizes[1], outputs = dy[1] / (x[1] / inputs);
    const CvmWinogradMatrices m =
        cvm_winograd_matrices(cvm_node_int(node, "taps"), cvm_node_int(node, "tile"));
    const float *in = operands[0], *gradient = operands[1];
    float *taps = output;
    for (int64_t o = 0; o < dy[1]; o++)
        for (int64_t c = 0; c < inputs; c++) {
            double sums[FREQUENCIES] = {0};
            int64_t channel = o / outputs * inputs + c;
            for (int64_t n = 0; n < x[0]; n++)
                add_picture(node, &m, &(Plane){in + (n * x[1] + channel) * x[2] * x[3], x + 2},
                            &(Plane){gradient + (n * dy[1] + o) * dy[2] * dy[3], dy + 2}, sums);
            double results[FREQUENCIES];
            cvm_winograd_transform(m.result, m.tile, m.side, sums, results);
            for (int i = 0; i < m.tile * m.tile; i++)
                *taps++ = (float)results[i];
        }
}

/* --- kernel --- */

void winograd_grad_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmType *x = &node->inputs[0]->type, *dy = &node->inputs[1]->type;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    int64_t groups = cvm_node_int(node, "groups");
    CvmWinogradGrad *grad = &lowering->kernel->winograd_grad;
    *grad = (CvmWinogradGrad){.tile = cvm_node_int(node, "tile"),
                              .taps = cvm_node_int(node, "taps"),
                              .pictures = x->shape.sizes[0],
                              .groups = groups,
                              .inputs = x->shape.sizes[1] / groups,
                              .outputs = dy->shape.sizes[1] / groups,
                              .lanes = x->lanes};
    for (int i = 0; i < 2; i++) {
        grad->input[i] = x->shape.sizes[2 + i];
        grad->output[i] = dy->shape.sizes[2 + i];
        grad->pad[i] = pad[i];
    }
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node->inputs[1], false);
    grad->scratch = cvm_lower_scratch(lowering);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}
