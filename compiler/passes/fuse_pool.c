/* Pooling behind a convolution in one kernel: whole windows are computed row by row, or tile by
 * tile with minimal filtering, and only what the pooling makes of them is stored. It takes the
 * convolution with whatever is fused behind it, and the pooling likewise. In training, what finds
 * the places of the largest values joins the pooling; and both join the convolution unless its
 * unpooled values are kept for backward. */
#include "compiler/ops/pool_window.h"
#include "compiler/ops/winograd.h"
#include "compiler/passes/fusion.h"

typedef struct Candidate {
    CvmNode *pool, *conv; /* conv: what computes the pooled value, with its group */
    CvmNode *index;       /* the pooling's maxpool_index, or NULL */
    CvmNode **members;    /* of both groups, and the index; in graph order */
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
static void collect(const CvmFusion *fusion, Candidate *candidate, const CvmNode *first,
                    const CvmNode *second) {
    candidate->count = 0;
    for (int i = 0; i < fusion->graph->node_count; i++) {
        CvmNode *node = fusion->graph->nodes[i];
        if (is_member(node, first) || is_member(node, second) || node == candidate->index)
            candidate->members[candidate->count++] = node;
    }
}

/* The maxpool_index that can go with the pooling. */
static CvmNode *find_index(const CvmFusion *fusion, const CvmNode *pool) {
    const CvmUses *uses = &fusion->uses;
    const CvmNode *value = pool->inputs[0];
    for (int i = 0; i < uses->user_counts[value->id]; i++) {
        CvmNode *user = uses->users[value->id][i];
        if (user->op == CVM_OP_MAXPOOL_INDEX && user->group == CVM_NO_GROUP &&
            cvm_find_pooling(fusion->graph, user) == pool)
            return user;
    }
    return NULL;
}

/* Whoever else has to have the unpooled value stored. */
static const char *refuse_value(const CvmFusion *fusion, const Candidate *candidate,
                                const CvmNode **cause) {
    const CvmUses *uses = &fusion->uses;
    const CvmNode *value = candidate->pool->inputs[0];
    for (int i = 0; i < uses->user_counts[value->id] && !*cause; i++)
        if (uses->users[value->id][i] != candidate->pool &&
            uses->users[value->id][i] != candidate->index)
            *cause = uses->users[value->id][i];
    return *cause || uses->kept[value->id] ? cvm_fusion_why_kept(*cause) : NULL;
}

static bool divides_tiles(const CvmNode *pool, const CvmNode *winograd) {
    const int64_t *kernel = cvm_node_attribute(pool, "kernel")->integers;
    int64_t tile = cvm_node_int(winograd, "tile");
    return tile % kernel[0] == 0 && tile % kernel[1] == 0;
}

static bool exceeds_tiles(const CvmNode *pool) {
    const int64_t *kernel = cvm_node_attribute(pool, "kernel")->integers;
    return kernel[0] > CVM_WINOGRAD_SIDE || kernel[1] > CVM_WINOGRAD_SIDE;
}

/* A kernel has the windows of one pooling. */
static bool pools_already(const CvmFusion *fusion, const CvmNode *conv) {
    for (int i = 0; i < fusion->graph->node_count; i++)
        if (is_pool(fusion->graph->nodes[i]) && is_member(fusion->graph->nodes[i], conv))
            return true;
    return false;
}

static const char *refuse_windows(const CvmNode *pool, const CvmNode *conv) {
    if (pool->type.layout == CVM_LAYOUT_PLAIN)
        return "pictures are not blocked, their pixels lie across vectors";
    if (!cvm_pool_is_separate(pool))
        return "windows overlap or reach into padding, values would be computed several times";
    if (conv->op == CVM_OP_WINOGRAD)
        return divides_tiles(pool, conv) ? NULL : "its windows do not divide Winograd's tiles";
    if (conv->op == CVM_OP_WINOGRAD_ROWS)
        return exceeds_tiles(pool) ? "its windows are larger than Winograd's tiles" : NULL;
    return pool->type.shape.sizes[3] > CVM_MAX_POOLED_WINDOWS
               ? "a row of windows would not fit the cache"
               : NULL;
}

static void fuse(CvmFusion *fusion, Candidate *candidate) {
    const CvmNode *cause = NULL;
    candidate->index = find_index(fusion, candidate->pool);
    const char *why = refuse_value(fusion, candidate, &cause);
    if (!why && pools_already(fusion, candidate->conv))
        why = "the convolution's kernel pools already";
    if (!why)
        why = refuse_windows(candidate->pool, candidate->conv);
    if (!why) {
        collect(fusion, candidate, candidate->pool->inputs[0], candidate->pool);
        why = cvm_fusion_try(fusion, candidate->members, candidate->count);
    }
    cvm_remark(fusion->context, (CvmRemark){.refused = why != NULL,
                                            .action = "fused",
                                            .node = candidate->pool,
                                            .link = "into",
                                            .other = candidate->conv,
                                            .reason = why,
                                            .cause = cause});
    if (!why && candidate->index)
        cvm_fusion_remark(fusion, candidate->index, "into", candidate->conv, NULL);
}

/* Finds the largest values and where they are in one pass over the picture. */
static void fuse_index(CvmFusion *fusion, Candidate *candidate, CvmNode *index) {
    CvmNode *pool = cvm_find_pooling(fusion->graph, index);
    if (!pool || is_member(index, pool)) /* with the pooling's convolution */
        return;
    candidate->index = index;
    const char *why = first_of_group(fusion, pool) != pool || index->group != CVM_NO_GROUP
                          ? "it has a kernel already"
                          : NULL;
    if (!why) {
        collect(fusion, candidate, pool, index);
        why = cvm_fusion_try(fusion, candidate->members, candidate->count);
    }
    cvm_fusion_remark(fusion, index, "into", pool, why);
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
        if (candidate.conv->op == CVM_OP_CONV || candidate.conv->op == CVM_OP_WINOGRAD ||
            candidate.conv->op == CVM_OP_WINOGRAD_ROWS)
            fuse(&fusion, &candidate);
    }
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_MAXPOOL_INDEX)
            fuse_index(&fusion, &candidate, graph->nodes[i]);
    cvm_fusion_end(&fusion);
    return true;
}
