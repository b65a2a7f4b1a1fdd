/* The gradient of a bias joins that of the weights: both are sums of the same dy, which one kernel
 * then fetches for both. It takes each of them with whatever is fused behind it, the updates above
 * all, so that one kernel is all that a layer's parameters need on the way back. */
#include "compiler/passes/fusion.h"

static bool is_member(const CvmNode *node, const CvmNode *of) {
    return node == of || (node->group != CVM_NO_GROUP && node->group == of->group);
}

static bool opens_group(const CvmGraph *graph, const CvmNode *node) {
    for (int i = 0; i < graph->node_count; i++)
        if (is_member(graph->nodes[i], node))
            return graph->nodes[i] == node;
    return false;
}

/* The gradient of weights that is made of `dy`, or NULL. */
static CvmNode *find_contraction(const CvmGraph *graph, const CvmNode *dy) {
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        bool is_gradient = node->op == CVM_OP_CONV_GRAD_WEIGHT ||
                           node->op == CVM_OP_WINOGRAD_GRAD_WEIGHT ||
                           node->op == CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT ||
                           node->op == CVM_OP_LINEAR_GRAD_WEIGHT;
        if (is_gradient && node->inputs[1] == dy)
            return node;
    }
    return NULL;
}

static int add_members(const CvmGraph *graph, const CvmNode *of, CvmNode **members, int count) {
    for (int i = 0; i < graph->node_count; i++)
        if (is_member(graph->nodes[i], of))
            members[count++] = graph->nodes[i];
    return count;
}

/* The members, the contraction first, to where the first of them stood: a group's first node says
 * what kernel it is. */
static void bring_together(CvmGraph *graph, CvmNode *const *members, int count, CvmArena *scratch) {
    CvmNode **order = cvm_arena_array(scratch, (size_t)graph->node_count, sizeof *order);
    int placed = 0;
    bool open = true;
    for (int i = 0; i < graph->node_count; i++) {
        if (!is_member(graph->nodes[i], members[0]))
            order[placed++] = graph->nodes[i];
        for (int k = 0; k < count && open && is_member(graph->nodes[i], members[0]); k++)
            order[placed++] = members[k];
        open &= !is_member(graph->nodes[i], members[0]);
    }
    for (int i = 0; i < placed; i++)
        graph->nodes[i] = order[i];
}

static const char *fuse(CvmFusion *fusion, CvmNode *sum, CvmNode *contraction) {
    CvmGraph *graph = fusion->graph;
    const CvmType *weights = &contraction->type;
    if (!opens_group(graph, sum) || !opens_group(graph, contraction))
        return "it has a kernel already";
    int64_t of_channel = 1;
    for (int i = 1; i < weights->shape.rank; i++)
        of_channel *= weights->shape.sizes[i];
    if (of_channel == 1)
        return "the kernel's vectors hold channels";
    CvmNode **members =
        cvm_arena_array(fusion->scratch, (size_t)graph->node_count, sizeof *members);
    int count = add_members(graph, contraction, members, 0);
    count = add_members(graph, sum, members, count);
    for (int i = 0; i < count; i++) /* scalars count twice there, which the limits do not know */
        if (members[i]->op == CVM_OP_ADAM_DIRECTION)
            return "both updates are too much for a kernel";
    const char *why = cvm_fusion_try(fusion, members, count);
    if (!why)
        bring_together(graph, members, count, fusion->scratch);
    return why;
}

bool cvm_fuse_bias_gradients(CvmPassContext *context, CvmGraph *graph) {
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    CvmArena *scratch = fusion.scratch;
    CvmNode **sums = cvm_arena_array(scratch, (size_t)graph->node_count + 1, sizeof *sums);
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_BIAS_GRAD)
            sums[count++] = graph->nodes[i];
    for (int i = 0; i < count; i++) {
        CvmNode *contraction = find_contraction(graph, sums[i]->inputs[0]);
        if (contraction)
            cvm_fusion_remark(&fusion, sums[i], "into", contraction,
                              fuse(&fusion, sums[i], contraction));
        else
            cvm_fusion_remark(&fusion, sums[i], "with", sums[i]->inputs[0],
                              "no gradient of weights is made of it");
    }
    cvm_fusion_end(&fusion);
    return true;
}
