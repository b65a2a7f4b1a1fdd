/* Chains of pointwise nodes of one type become one kernel, so that what flows between them stays in
 * registers. A value that others read too is stored on the way. The optimizer's nodes of a
 * parameter make one such group. */
#include "compiler/passes/fusion.h"

/* A group this pass made, or a node that is in none yet. */
static bool is_open(const CvmFusion *fusion, const CvmNode *node) {
    return cvm_is_pointwise(node) &&
           (node->group == CVM_NO_GROUP || node->group >= fusion->first_group);
}

static bool is_with(const CvmNode *node, const CvmNode *leader) {
    return node == leader || (node->group != CVM_NO_GROUP && node->group == leader->group);
}

/* The nodes of both groups, in graph order; how many steps of the optimizer are among them. */
static int collect(const CvmFusion *fusion, const CvmNode *a, const CvmNode *b, CvmNode **members,
                   int *steps) {
    int count = 0;
    *steps = 0;
    for (int i = 0; i < fusion->graph->node_count; i++) {
        CvmNode *node = fusion->graph->nodes[i];
        if (!is_with(node, a) && !is_with(node, b))
            continue;
        members[count++] = node;
        *steps += node->op == CVM_OP_SGD_STEP;
    }
    return count;
}

static void join(CvmFusion *fusion, CvmNode *producer, CvmNode *consumer, CvmNode **members) {
    if (!is_open(fusion, producer) || !cvm_type_equal(&producer->type, &consumer->type) ||
        is_with(producer, consumer))
        return;
    int steps, count = collect(fusion, producer, consumer, members, &steps);
    const char *why = steps > 1 ? "each parameter's update has a kernel of its own"
                                : cvm_fusion_try(fusion, members, count);
    cvm_fusion_remark(fusion, producer, "with", consumer, why);
}

bool cvm_fuse_pointwise(CvmPassContext *context, CvmGraph *graph) {
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    CvmNode **members =
        cvm_arena_array(fusion.scratch, (size_t)graph->node_count + 1, sizeof *members);
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        for (int k = 0; is_open(&fusion, node) && k < node->input_count; k++)
            join(&fusion, node->inputs[k], node, members);
    }
    cvm_fusion_end(&fusion);
    return true;
}
