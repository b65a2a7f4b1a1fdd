/* Pooling behind a convolution in one kernel: whole windows are computed row by row, and only what
 * the pooling makes of them is stored. It takes the convolution with whatever is fused behind it,
 * and the pooling likewise. Where the gradient of the pooling looks for the largest values again,
 * they have to be stored, and the two stay apart. */
#include "compiler/ops/pool_window.h"
#include "compiler/passes/fusion.h"

typedef struct Candidate {
    CvmNode *pool, *conv; /* conv: what computes the pooled value, with its group */
    CvmNode **members;    /* of both groups, in graph order */
    int count;
} Candidate;

static bool is_pool(const CvmNode *node) {
    return node->op == CVM_OP_MAXPOOL || node->op == CVM_OP_AVGPOOL;
}

static bool is_member(const CvmNode *node, const CvmNode *of) {
    return node == of || (node->group != CVM_NO_GROUP && node->group == of->group);
}

static CvmNode *first_of_group(const CvmFusion *fusion, CvmNode *node) {
    for (int i = 0; i < fusion->graph->node_count; i++)
        if (is_member(fusion->graph->nodes[i], node))
            return fusion->graph->nodes[i];
    return node;
}

/* The members of both groups, each of which starts with its anchor. */
static void collect(const CvmFusion *fusion, Candidate *candidate) {
    const CvmNode *value = candidate->pool->inputs[0];
    candidate->count = 0;
    for (int i = 0; i < fusion->graph->node_count; i++) {
        CvmNode *node = fusion->graph->nodes[i];
        if (is_member(node, value) || is_member(node, candidate->pool))
            candidate->members[candidate->count++] = node;
    }
}

/* Whoever else has to have the unpooled value stored. */
static const char *refuse_value(const CvmFusion *fusion, const CvmNode *pool,
                                const CvmNode **cause) {
    const CvmUses *uses = &fusion->uses;
    const CvmNode *value = pool->inputs[0];
    for (int i = 0; i < uses->user_counts[value->id] && !*cause; i++)
        if (uses->users[value->id][i] != pool)
            *cause = uses->users[value->id][i];
    return *cause || uses->kept[value->id] ? cvm_fusion_why_kept(*cause) : NULL;
}

static const char *refuse_windows(const CvmNode *pool) {
    if (pool->type.layout == CVM_LAYOUT_PLAIN)
        return "pictures are not blocked, their pixels lie across vectors";
    if (!cvm_pool_is_separate(pool))
        return "windows overlap or reach into padding, values would be computed several times";
    return pool->type.shape.sizes[3] > CVM_MAX_POOLED_WINDOWS
               ? "a row of windows would not fit the cache"
               : NULL;
}

static void fuse(CvmFusion *fusion, Candidate *candidate) {
    const CvmNode *cause = NULL;
    const char *why = refuse_value(fusion, candidate->pool, &cause);
    if (!why && candidate->conv->op == CVM_OP_WINOGRAD)
        why = "Winograd's kernel stores tiles, not rows of windows";
    if (!why)
        why = refuse_windows(candidate->pool);
    if (!why) {
        collect(fusion, candidate);
        why = cvm_fusion_try(fusion, candidate->members, candidate->count);
    }
    cvm_remark(fusion->context, (CvmRemark){.refused = why != NULL,
                                            .action = "fused",
                                            .node = candidate->pool,
                                            .link = "into",
                                            .other = candidate->conv,
                                            .reason = why,
                                            .cause = cause});
}

bool cvm_fuse_pools(CvmPassContext *context, CvmGraph *graph) {
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    Candidate candidate = {.members = cvm_arena_array(fusion.scratch, (size_t)graph->node_count + 1,
                                                      sizeof(CvmNode *))};
    for (int i = 0; i < graph->node_count; i++) {
        candidate.pool = graph->nodes[i];
        if (!is_pool(candidate.pool) || first_of_group(&fusion, candidate.pool) != candidate.pool)
            continue;
        candidate.conv = first_of_group(&fusion, candidate.pool->inputs[0]);
        if (candidate.conv->op == CVM_OP_CONV || candidate.conv->op == CVM_OP_WINOGRAD)
            fuse(&fusion, &candidate);
    }
    cvm_fusion_end(&fusion);
    return true;
}
