/* The weights of a convolution, turned: as those of the convolution that leads from the gradient of
 * its result back to the gradient of its input. Within each group inputs and outputs change places,
 * and taps stand in reverse:
 *
 *   t[g i + c, o, p, q] = w[g o' + o, c, kh - 1 - p, kw - 1 - q]
 *
 * where a group g has i inputs and o' outputs. Turning twice changes nothing. Filters of whole
 * blocks of channels are turned as they lie: blocks change places, and so do rows and columns in
 * them. */
#include "compiler/ops/conv_layout.h"

CvmShape cvm_turned_shape(const CvmShape *weight, int64_t groups) {
    const int64_t *sizes = weight->sizes;
    return (CvmShape){4, {sizes[1] * groups, sizes[0] / groups, sizes[2], sizes[3]}};
}

bool turn_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag))
        return false;
    const CvmType *type = &node->inputs[0]->type;
    const CvmShape *weight = &type->shape;
    int64_t groups = cvm_node_int(node, "groups"), inputs;
    if (groups < 1 || weight->sizes[0] % groups ||
        __builtin_mul_overflow(weight->sizes[1], groups, &inputs))
        return cvm_refuse_operands(node, diag, "needs groups that divide the outputs");
    if (type->layout != CVM_LAYOUT_PLAIN && !cvm_filters_turn(type, groups))
        return cvm_refuse_operands(node, diag, "takes plain weights, or filters of whole blocks");
    return cvm_set_type(node, cvm_turned_shape(weight, groups), type, diag);
}

bool cvm_filters_turn(const CvmType *weight, int64_t groups) {
    const int64_t *sizes = weight->shape.sizes;
    return weight->layout == CVM_LAYOUT_FILTER &&
           (cvm_conv_is_depthwise(&weight->shape, groups) ||
            (sizes[0] / groups % weight->lanes == 0 && sizes[1] % weight->lanes == 0));
}

void cvm_turn_weights(const float *from, const CvmShape *shape, int64_t groups, float *to) {
    int64_t outputs = shape->sizes[0] / groups, inputs = shape->sizes[1];
    int64_t taps = shape->sizes[2] * shape->sizes[3];
    for (int64_t o = 0; o < shape->sizes[0]; o++)
        for (int64_t c = 0; c < inputs; c++)
            for (int64_t t = 0; t < taps; t++)
                to[((o / outputs * inputs + c) * outputs + o % outputs) * taps + taps - 1 - t] =
                    from[(o * inputs + c) * taps + t];
}

void turn_weight_reference(const CvmNode *node, const void *const *operands, void *output) {
    cvm_turn_weights(operands[0], &node->inputs[0]->type.shape, cvm_node_int(node, "groups"),
                     output);
}

/* Of a depthwise convolution's filters a vector has groups as lanes; there is nothing to change
 * places then. */
static CvmTurn turn_of(const CvmType *weight, int64_t groups) {
    const int64_t *sizes = weight->shape.sizes;
    int64_t lanes = weight->layout == CVM_LAYOUT_FILTER ? weight->lanes : 1;
    bool depthwise = lanes > 1 && cvm_conv_is_depthwise(&weight->shape, groups);
    int64_t side = depthwise ? 1 : lanes;
    return (CvmTurn){.groups = depthwise ? groups / lanes : groups,
                     .inputs = sizes[1] / side,
                     .outputs = sizes[0] / groups / side,
                     .taps = sizes[2] * sizes[3],
                     .lanes = lanes,
                     .vectors = side};
}

void turn_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmTurn *turn = &lowering->kernel->turn;
    *turn = turn_of(&node->inputs[0]->type, cvm_node_int(node, "groups"));
    lowering->kernel->extent = turn->groups * turn->inputs;
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node, true);
}
