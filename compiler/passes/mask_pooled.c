/* The gradient of an activation before that of the pooling behind it. With y = max pooling of r and
 * r = an activation's result, the way back spreads dy over the windows and multiplies what arrives
 * by the activation's slope, which follows from r. Only the chosen elements count, and of these r
 * is y itself: so the slope is applied to dy, a fraction as many elements, where it may join the
 * kernel that gives dy; and r need not be kept at all. ReLU only lets through or not, which gives
 * the same bits. */
#include "compiler/passes/pass.h"

#include <string.h>

/* Whether the op is an activation's gradient by the sign or slope of its result, operand 1. */
static bool is_activation_gradient(CvmOp op) {
    switch (op) {
    case CVM_OP_RELU_GRAD:
    case CVM_OP_LEAKY_RELU_GRAD:
    case CVM_OP_TANH_GRAD:
    case CVM_OP_SIGMOID_GRAD:
        return true;
    default:
        return false;
    }
}

static bool same_windows(const CvmNode *a, const CvmNode *b) {
    static const char *const names[] = {"kernel", "stride", "pad", "ceil"};
    for (int i = 0; i < 4; i++) {
        int components = i < 2 ? 2 : i == 2 ? 4 : 1;
        if (memcmp(cvm_node_attribute(a, names[i])->integers,
                   cvm_node_attribute(b, names[i])->integers,
                   (size_t)components * sizeof(int64_t)) != 0)
            return false;
    }
    return true;
}

/* The pooling that chose the elements of `index`; NULL when the graph has none. */
CvmNode *cvm_find_pooling(const CvmGraph *graph, const CvmNode *index) {
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->op == CVM_OP_MAXPOOL && node->inputs[0] == index->inputs[0] &&
            same_windows(node, index))
            return node;
    }
    return NULL;
}

/* Why not; NULL: the two can change places. */
static const char *refuse(const CvmUses *uses, const CvmNode *activation, const CvmNode *spread,
                          const CvmNode *pooling) {
    const CvmNode *index = spread->inputs[1];
    if (uses->user_counts[spread->id] > 1 || uses->kept[spread->id])
        return "others read the gradient of the pooling";
    if (index->op != CVM_OP_MAXPOOL_INDEX || index->inputs[0] != activation->inputs[1])
        return "what was pooled is not the activation's result";
    if (!pooling)
        return "the pooled value is not in the graph";
    return activation->group != CVM_NO_GROUP || spread->group != CVM_NO_GROUP
               ? "it has a kernel already"
               : NULL;
}

/* activation(spread(dy, index), r) becomes spread(activation(dy, y), index). */
static bool exchange(CvmPassContext *context, CvmGraph *graph, CvmNode *activation, CvmNode *spread,
                     CvmNode *pooling) {
    CvmNode *slopes[] = {spread->inputs[0], pooling};
    CvmNode *masked = cvm_graph_add(graph, activation->op, slopes, 2, activation->attributes,
                                    activation->origin, context->diag);
    if (!masked)
        return false;
    cvm_graph_changed(graph, spread);
    spread->inputs[0] = masked;
    cvm_graph_replace(graph, activation, spread);
    return true;
}

bool cvm_mask_pooled(CvmPassContext *context, CvmGraph *graph) {
    CvmArena *scratch = cvm_arena_create();
    CvmUses uses = cvm_uses_find(graph, scratch);
    bool done = true;
    for (int i = 0, count = graph->node_count; i < count && done; i++) {
        CvmNode *activation = graph->nodes[i];
        if (!is_activation_gradient(activation->op) ||
            activation->inputs[0]->op != CVM_OP_MAXPOOL_GRAD)
            continue;
        CvmNode *spread = activation->inputs[0];
        CvmNode *pooling = cvm_find_pooling(graph, spread->inputs[1]);
        const char *why = refuse(&uses, activation, spread, pooling);
        if (!why && !cvm_may_apply(context))
            why = "the limit of the pass";
        cvm_remark(context, (CvmRemark){.refused = why != NULL,
                                        .action = "moved",
                                        .node = activation,
                                        .link = "in front of",
                                        .other = spread,
                                        .reason = why});
        done = why || exchange(context, graph, activation, spread, pooling);
    }
    cvm_arena_free(scratch);
    return done;
}
