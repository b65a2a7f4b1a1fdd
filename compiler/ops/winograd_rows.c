/* Convolutions of batch-blocked pictures by minimal filtering along rows (winograd.h), as
 * operators: conv and its two gradients, with another way to compute them. A vector holds one pixel
 * of several pictures, so that few channels fill it, and everything is done element by element:
 *
 *   y[o, i] = A sum over c, p of (G w[o, c, p]) * (B x[c, i - pad + p])     of rows i and p
 *
 * One dimension alone saves less than two, n r / m products a result where r^2 were, but transforms
 * are few beside the sums over channels and rows; and errors stay small, so that there are tiles of
 * nine inputs. Channels are not many where pictures are batch-blocked: each row has its own sum. */
#include "compiler/ops/common.h"
#include "compiler/ops/winograd.h"

/* --- types: what the direct operators have, where the rows can be filtered --- */

static bool has_rows(const CvmNode *node, const CvmType *weight, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    if (stride[0] != 1 || stride[1] != 1 || dilation[0] != 1 || dilation[1] != 1 ||
        cvm_node_int(node, "groups") != 1)
        return cvm_refuse_operands(node, diag, "has strides, dilation or groups");
    if (weight->shape.sizes[0] > CVM_WINOGRAD_ROWS_OUTPUTS)
        return cvm_refuse_operands(node, diag, "has more than 256 output channels");
    for (int i = 0; i < 4; i++)
        if (pad[i] < 0)
            return cvm_refuse_operands(node, diag, "has a pad below 0");
    if (x->layout != CVM_LAYOUT_BATCH)
        return cvm_refuse_operands(node, diag, "has pictures that are not batch-blocked");
    return cvm_winograd_has_line(cvm_node_int(node, "tile"), weight->shape.sizes[3]) ||
           cvm_refuse_operands(node, diag, "has no minimal filtering for its tile and filters");
}

bool winograd_rows_infer(CvmNode *node, CvmDiag *diag) {
    return conv_infer(node, diag) && has_rows(node, &node->inputs[1]->type, diag);
}

bool winograd_rows_grad_input_infer(CvmNode *node, CvmDiag *diag) {
    if (!conv_grad_input_infer(node, diag))
        return false;
    if (cvm_node_int(node, "turned"))
        return cvm_refuse_operands(node, diag, "has turned weights");
    return has_rows(node, &node->inputs[1]->type, diag);
}

bool winograd_rows_grad_weight_infer(CvmNode *node, CvmDiag *diag) {
    return conv_grad_weight_infer(node, diag) && has_rows(node, &node->type, diag);
}

/* --- kernels --- */

/* weight: [o, c, kernel, taps]; x and y: of the convolution, forward. */
static CvmWinogradRows rows_of(const CvmNode *node, const CvmType *x, const CvmType *y,
                               const CvmType *weight) {
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    CvmWinogradRows rows = {.tile = cvm_node_int(node, "tile"),
                            .taps = weight->shape.sizes[3],
                            .kernel = weight->shape.sizes[2],
                            .blocks = x->shape.sizes[0] / x->lanes,
                            .lanes = x->lanes,
                            .inputs = x->shape.sizes[1],
                            .outputs = y->shape.sizes[1]};
    for (int i = 0; i < 2; i++) {
        rows.input[i] = x->shape.sizes[2 + i];
        rows.output[i] = y->shape.sizes[2 + i];
        rows.pad[i] = pad[i];
    }
    return rows;
}

static void lower_pictures(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *type = &node->type;
    CvmPictureAxes axes = {.group = -1, .group_channels = type->shape.sizes[1]};
    axes.n = cvm_lower_axis(lowering, "n", type->shape.sizes[0] / type->lanes, false);
    axes.c = cvm_lower_axis(lowering, "output", type->shape.sizes[1], false);
    axes.y = cvm_lower_axis(lowering, "y", type->shape.sizes[2], false);
    axes.x = cvm_lower_axis(lowering, "x", type->shape.sizes[3], false);
    axes.lane = cvm_lower_lane(lowering, type, false);
    kernel->a = cvm_lower_buffer(lowering, node->inputs[0], false);
    kernel->b = cvm_lower_buffer(lowering, node->inputs[1], false);
    kernel->winograd_rows.scratch = cvm_lower_scratch(lowering);
    cvm_lower_picture(lowering, type, axes);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

void winograd_rows_lower(CvmLowering *lowering, const CvmNode *node) {
    lowering->kernel->winograd_rows =
        rows_of(node, &node->inputs[0]->type, &node->type, &node->inputs[1]->type);
    lower_pictures(lowering, node);
}

/* From dy to x: the two change places. */
void winograd_rows_grad_input_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmWinogradRows *rows = &lowering->kernel->winograd_rows;
    *rows = rows_of(node, &node->inputs[0]->type, &node->type, &node->inputs[1]->type);
    rows->back = true;
    lower_pictures(lowering, node);
}

void winograd_rows_grad_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmWinogradRows *rows = &lowering->kernel->winograd_rows;
    *rows = rows_of(node, &node->inputs[0]->type, &node->inputs[1]->type, &node->type);
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node->inputs[1], false);
    rows->scratch = cvm_lower_scratch(lowering);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}
