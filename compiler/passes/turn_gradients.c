/* Gradients of pictures, for the channel-blocked layout: their kernels want the weights turned
 * (turn_weight), so that vectors of weights lie along the channels of the result. With a stride of
 * 1 what remains is a convolution of the gradient with the turned weights, so that whatever serves
 * convolutions serves it too; else the gradient takes turned weights. */
#include "compiler/ops/conv_layout.h"
#include "compiler/passes/pass.h"

#include <string.h>

/* The padding with which a convolution with turned weights gives the gradient; false when there is
 * none, since pixels are skipped, or padding is wider than the kernel. */
static bool turned_pad(const CvmNode *node, int64_t pads[4]) {
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
    const int64_t *weight = node->inputs[1]->type.shape.sizes;
    for (int i = 0; i < 4; i++) {
        pads[i] = (weight[2 + i % 2] - 1) * dilation[i % 2] - pad[i];
        if (stride[i % 2] != 1 || pads[i] < 0)
            return false;
    }
    return true;
}

static void become_conv(CvmGraph *graph, CvmNode *node, const int64_t pads[4]) {
    CvmAttribute *attributes = cvm_arena_array(graph->arena, 4, sizeof *attributes);
    memcpy(attributes, node->attributes,
           4 * sizeof *attributes); /* both begin with the same four */
    memcpy(attributes[1].integers, pads, sizeof attributes[1].integers);
    node->op = CVM_OP_CONV;
    node->attributes = attributes;
}

static bool turn(const CvmPassContext *context, CvmGraph *graph, CvmNode *node) {
    CvmAttribute groups = {.integers = {cvm_node_int(node, "groups")}};
    int64_t pads[4];
    bool is_conv = turned_pad(node, pads);
    node->inputs[1] = cvm_graph_add(graph, CVM_OP_TURN_WEIGHT, &node->inputs[1], 1, &groups,
                                    node->origin, context->diag);
    if (!node->inputs[1])
        return false;
    if (is_conv)
        become_conv(graph, node, pads);
    else
        node->attributes[5].integers[0] = 1;
    cvm_remark(context,
               (CvmRemark){.action = "turned",
                           .node = node,
                           .reason = is_conv ? "its weights' vectors lie along its channels; "
                                               "it is a convolution then"
                                             : "its weights' vectors lie along its channels"});
    return cvm_op_info(node->op)->infer(node, context->diag);
}

bool cvm_turn_gradients(CvmPassContext *context, CvmGraph *graph) {
    int count = graph->node_count;
    for (int i = 0; i < count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->op != CVM_OP_CONV_GRAD_INPUT || cvm_node_int(node, "turned"))
            continue;
        int64_t groups = cvm_node_int(node, "groups");
        const CvmShape *weight = &node->inputs[1]->type.shape;
        CvmShape turned = cvm_turned_shape(weight, groups);
        int lanes = context->vector_lanes;
        CvmLayoutKind x;
        if (cvm_conv_multiplier(weight, groups, lanes) ||
            !cvm_conv_in_channels(&turned, groups, lanes, &x) ||
            cvm_conv_prefers_rows(node, &turned, node->type.shape.sizes[3], lanes))
            continue;
        if (cvm_may_apply(context) && !turn(context, graph, node))
            return false;
    }
    return cvm_graph_sort(graph);
}
