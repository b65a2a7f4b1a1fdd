/* The weights of a convolution, turned: as those of the convolution that leads from the gradient of
 * its result back to the gradient of its input. Within each group inputs and outputs change places,
 * and taps stand in reverse:
 *
 *   t[g i + c, o, p, q] = w[g o' + o, c, kh - 1 - p, kw - 1 - q]
 *
 * where a group g has i inputs and o' outputs. Turning twice changes nothing. */
#include "compiler/ops/conv_layout.h"

CvmShape cvm_turned_shape(const CvmShape *weight, int64_t groups) {
    const int64_t *sizes = weight->sizes;
    return (CvmShape){4, {sizes[1] * groups, sizes[0] / groups, sizes[2], sizes[3]}};
}

bool turn_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag) || !cvm_check_plain(node, 0, diag))
        return false;
    const CvmShape *weight = &node->inputs[0]->type.shape;
    int64_t groups = cvm_node_int(node, "groups"), inputs;
    if (groups < 1 || weight->sizes[0] % groups ||
        __builtin_mul_overflow(weight->sizes[1], groups, &inputs))
        return cvm_refuse_operands(node, diag, "needs groups that divide the outputs");
    return cvm_set_type(node, cvm_turned_shape(weight, groups), NULL, diag);
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

void turn_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    const int64_t *sizes = node->inputs[0]->type.shape.sizes;
    int64_t groups = cvm_node_int(node, "groups");
    lowering->kernel->turn = (CvmTurn){.groups = groups,
                                       .inputs = sizes[1],
                                       .outputs = sizes[0] / groups,
                                       .taps = sizes[2] * sizes[3]};
    lowering->kernel->extent = groups * sizes[1];
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node, true);
}
