/* Recomputing instead of keeping: a value that the forward part gives and the way back reads again
 * much later lies in the arena all that time. Where its kernel is cheap (pointwise, a pooling, a
 * relayout), the kernel runs a second time right before the late readers; the arena holds the value
 * only around its uses. The second run is the same kernel on the same operands: the same bits.
 *
 * Whether that helps is tried: a second run may keep operands alive that would be gone. So each
 * candidate, the largest first, stays only when the memory plan's lower bound falls; again and
 * again until none helps, or the arena fits the limit. */
#include "compiler/passes/fusion.h"

#include <stdlib.h>

enum { MIN_DISTANCE = 8 }; /* nodes between early and late readers */

typedef struct Recomputation {
    CvmPassContext *context;
    CvmGraph *graph;
    int first_clone; /* ids from here on are second runs */
    int64_t live, arena;
    bool failed;
} Recomputation;

/* A kernel's nodes, the value that it stores, and who reads that late. */
typedef struct Candidate {
    CvmNode **nodes;
    int count;
    CvmNode *value;
    CvmNode **late;
    int late_count;
} Candidate;

static void measure(Recomputation *recomputation) {
    CvmArena *scratch = cvm_arena_create();
    CvmDiag ignored; /* what is not settled yet does not matter here */
    CvmMemoryPlan plan;
    cvm_diag_init(&ignored, scratch);
    cvm_plan_memory(recomputation->graph, scratch, &plan, &ignored);
    recomputation->live = plan.lower_bound;
    recomputation->arena = plan.arena_bytes;
    cvm_arena_free(scratch);
}

static bool fits(const Recomputation *recomputation) {
    int64_t limit = recomputation->context->memory_limit;
    return limit && recomputation->arena <= limit;
}

/* --- candidates --- */

static bool is_cheap(const CvmNode *node) {
    switch (node->op) {
    case CVM_OP_MAXPOOL:
    case CVM_OP_AVGPOOL:
    case CVM_OP_RELAYOUT:
        return true;
    default:
        return cvm_is_pointwise(node);
    }
}

static bool is_with(const CvmNode *node, const CvmNode *other) {
    return node == other || (node->group != CVM_NO_GROUP && node->group == other->group);
}

/* The kernel that starts at node `first`; false when it is not cheap or stores not one value. */
static bool find_kernel(const CvmGraph *graph, const CvmUses *uses, int first,
                        Candidate *candidate) {
    const CvmNode *opens = graph->nodes[first];
    if (first > 0 && opens->group != CVM_NO_GROUP && is_with(opens, graph->nodes[first - 1]))
        return false;
    candidate->nodes = graph->nodes + first;
    candidate->count = 0;
    candidate->value = NULL;
    for (int i = first; i < graph->node_count && is_with(graph->nodes[i], opens); i++) {
        CvmNode *node = graph->nodes[i];
        bool read_outside = false;
        candidate->count++;
        for (int k = 0; k < uses->user_counts[node->id]; k++)
            read_outside |= !is_with(uses->users[node->id][k], node);
        if (!is_cheap(node) || uses->kept[node->id] || (read_outside && candidate->value))
            return false;
        candidate->value = read_outside ? node : candidate->value;
    }
    return candidate->value;
}

/* Readers behind the widest stretch without any. */
static bool find_late(const CvmGraph *graph, Candidate *candidate, CvmArena *scratch) {
    int start = 0, last = -1, widest = 0;
    CvmNode **readers = cvm_arena_array(scratch, (size_t)graph->node_count + 1, sizeof *readers);
    int count = 0;
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        bool reads = false;
        for (int k = 0; k < node->input_count; k++)
            reads |= node->inputs[k] == candidate->value;
        if (!reads || is_with(node, candidate->value))
            continue;
        if (last >= 0 && i - last > widest) {
            widest = i - last;
            start = count;
        }
        last = i;
        readers[count++] = node;
    }
    candidate->late = readers + start;
    candidate->late_count = count - start;
    return widest >= MIN_DISTANCE && start > 0;
}

static int64_t bytes_of(const CvmNode *node) {
    int64_t count = 0;
    cvm_shape_count(&node->type.shape, &count); /* the plan has checked it */
    return count * (int64_t)cvm_dtype_bytes(node->type.dtype);
}

static int by_size(const void *left, const void *right) {
    const CvmNode *a = *(CvmNode *const *)left, *b = *(CvmNode *const *)right;
    if (bytes_of(a) != bytes_of(b))
        return bytes_of(a) < bytes_of(b) ? 1 : -1;
    return a->id - b->id;
}

/* --- a trial --- */

static void reread(const Candidate *candidate, const CvmNode *from, CvmNode *to) {
    for (int i = 0; i < candidate->late_count; i++)
        for (int k = 0; k < candidate->late[i]->input_count; k++)
            if (candidate->late[i]->inputs[k] == from)
                candidate->late[i]->inputs[k] = to;
}

/* Appends the kernel once more; what stands for the candidate's value there, NULL on error. */
static CvmNode *repeat_kernel(Recomputation *recomputation, const Candidate *candidate,
                              CvmArena *scratch) {
    CvmGraph *graph = recomputation->graph;
    CvmNode **originals = cvm_arena_array(scratch, (size_t)candidate->count, sizeof *originals);
    CvmNode **again = cvm_arena_array(scratch, (size_t)candidate->count, sizeof *again);
    CvmNode *value = NULL;
    bool grouped = candidate->nodes[0]->group != CVM_NO_GROUP;
    for (int i = 0; i < candidate->count; i++) /* adding nodes may move the graph's list */
        originals[i] = candidate->nodes[i];
    for (int i = 0; i < candidate->count; i++) {
        const CvmNode *node = originals[i];
        CvmNode **inputs = cvm_arena_array(scratch, (size_t)node->input_count + 1, sizeof *inputs);
        for (int k = 0; k < node->input_count; k++) {
            inputs[k] = node->inputs[k];
            for (int m = 0; m < i; m++)
                if (originals[m] == node->inputs[k])
                    inputs[k] = again[m];
        }
        again[i] = cvm_graph_add(graph, node->op, inputs, node->input_count, node->attributes,
                                 node->origin, recomputation->context->diag);
        if (!again[i]) {
            recomputation->failed = true;
            return NULL;
        }
        again[i]->group = grouped ? graph->next_group : CVM_NO_GROUP;
        value = node == candidate->value ? again[i] : value;
    }
    graph->next_group += grouped;
    return value;
}

/* Runs the kernel again before the late readers, and keeps that where it helps. */
static bool try_candidate(Recomputation *recomputation, Candidate *candidate, CvmArena *scratch) {
    CvmGraph *graph = recomputation->graph;
    Recomputation before = *recomputation;
    int count = graph->node_count, groups = graph->next_group;
    CvmNode **order = cvm_arena_array(scratch, (size_t)count, sizeof *order);
    for (int i = 0; i < count; i++)
        order[i] = graph->nodes[i];
    CvmNode *value = candidate->value, *again = repeat_kernel(recomputation, candidate, scratch);
    if (!again)
        return false;
    reread(candidate, value, again);
    bool helps = cvm_graph_sort(graph);
    if (helps) {
        measure(recomputation);
        helps = recomputation->live < before.live && cvm_may_apply(recomputation->context);
    }
    if (helps) {
        cvm_remark(recomputation->context, (CvmRemark){.action = "recomputed",
                                                       .node = value,
                                                       .link = "for",
                                                       .other = candidate->late[0]});
        return true;
    }
    reread(candidate, again, value);
    for (int i = 0; i < count; i++)
        graph->nodes[i] = order[i];
    graph->node_count = count;
    graph->next_group = groups;
    recomputation->live = before.live;
    recomputation->arena = before.arena;
    return false;
}

/* All candidates once; whether one helped. */
static bool try_all(Recomputation *recomputation, CvmArena *scratch) {
    CvmGraph *graph = recomputation->graph;
    CvmUses uses = cvm_uses_find(graph, scratch);
    CvmNode **values = cvm_arena_array(scratch, (size_t)graph->node_count + 1, sizeof *values);
    Candidate candidate;
    int count = 0;
    bool helped = false;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->id < recomputation->first_clone &&
            find_kernel(graph, &uses, i, &candidate) && find_late(graph, &candidate, scratch))
            values[count++] = candidate.value;
    qsort(values, (size_t)count, sizeof *values, by_size);
    for (int v = 0; v < count && !fits(recomputation) && !recomputation->failed; v++) {
        uses = cvm_uses_find(graph, scratch);
        for (int i = 0; i < graph->node_count; i++)
            if (is_with(graph->nodes[i], values[v])) {
                if (find_kernel(graph, &uses, i, &candidate) &&
                    find_late(graph, &candidate, scratch))
                    helped |= try_candidate(recomputation, &candidate, scratch);
                break;
            }
    }
    return helped;
}

bool cvm_recompute(CvmPassContext *context, CvmGraph *graph) {
    Recomputation recomputation = {
        .context = context, .graph = graph, .first_clone = graph->next_id};
    measure(&recomputation);
    for (bool again = true; again && !fits(&recomputation) && !recomputation.failed;) {
        CvmArena *scratch = cvm_arena_create();
        again = try_all(&recomputation, scratch);
        cvm_arena_free(scratch);
    }
    return !recomputation.failed;
}
