/* See fusion.h. */
#include "compiler/passes/fusion.h"

void cvm_fusion_begin(CvmFusion *fusion, CvmPassContext *context, CvmGraph *graph) {
    CvmArena *scratch = cvm_arena_create();
    *fusion = (CvmFusion){.context = context,
                          .graph = graph,
                          .scratch = scratch,
                          .uses = cvm_uses_find(graph, scratch),
                          .first_group = graph->next_group};
    fusion->overwriters =
        cvm_arena_array(scratch, (size_t)graph->next_id + 1, sizeof *fusion->overwriters);
    for (int i = 0; i < graph->update_count; i++) {
        const CvmNode *parameter = cvm_graph_find_source(graph, graph->updates[i].name);
        fusion->overwriters[parameter->id] = graph->updates[i].value;
    }
}

void cvm_fusion_end(CvmFusion *fusion) {
    cvm_arena_free(fusion->scratch);
}

void cvm_fusion_remark(const CvmFusion *fusion, const CvmNode *node, const char *link,
                       const CvmNode *other, const char *why) {
    cvm_remark(fusion->context, (CvmRemark){.refused = why != NULL,
                                            .action = "fused",
                                            .node = node,
                                            .link = link,
                                            .other = other,
                                            .reason = why});
}

const char *cvm_fusion_why_kept(const CvmNode *reader) {
    return !reader ? "the value between is an output or update"
           : cvm_op_is_gradient(reader->op) || reader->op == CVM_OP_MAXPOOL_INDEX
               ? "kept for backward"
               : "second use";
}

bool cvm_fusion_is_stored(const CvmFusion *fusion, const CvmNode *value, int group) {
    const CvmUses *uses = &fusion->uses;
    if (uses->kept[value->id])
        return true;
    for (int i = 0; i < uses->user_counts[value->id]; i++)
        if (uses->users[value->id][i]->group != group)
            return true;
    return false;
}

/* --- whether groups can run one after the other --- */

/* Units (groups and single nodes) and who waits for whom: a reader for its operands, and the unit
 * that overwrites a parameter for all others that read it. */
typedef struct Units {
    const CvmFusion *fusion;
    int *unit;    /* by node id: the id that stands for its unit */
    int *waiting; /* by unit: edges into it from units that have not run */
} Units;

static void for_edges(const Units *units, const CvmNode *from,
                      void (*visit)(const Units *units, int to, int *state), int *state) {
    const CvmUses *uses = &units->fusion->uses;
    int own = units->unit[from->id];
    for (int i = 0; i < uses->user_counts[from->id]; i++) {
        int to = units->unit[uses->users[from->id][i]->id];
        if (to != own)
            visit(units, to, state);
    }
    for (int i = 0; i < from->input_count; i++) {
        const CvmNode *overwriter = units->fusion->overwriters[from->inputs[i]->id];
        if (overwriter && units->unit[overwriter->id] != own)
            visit(units, units->unit[overwriter->id], state);
    }
}

static void count_edge(const Units *units, int to, int *state) {
    (void)state;
    units->waiting[to]++;
}

/* state: the stack of units that can run; state[0] is its height. */
static void release_edge(const Units *units, int to, int *state) {
    if (--units->waiting[to] == 0)
        state[++state[0]] = to;
}

static bool can_be_ordered(const CvmFusion *fusion) {
    const CvmGraph *graph = fusion->graph;
    CvmArena *scratch = cvm_arena_create();
    size_t ids = (size_t)graph->next_id + 1;
    Units units = {fusion, cvm_arena_array(scratch, ids, sizeof(int)),
                   cvm_arena_array(scratch, ids, sizeof(int))};
    int *of_group = cvm_arena_array(scratch, (size_t)graph->next_group + 1, sizeof *of_group);
    int *next = cvm_arena_array(scratch, ids, sizeof *next); /* nodes of one unit, linked */
    int *first = cvm_arena_array(scratch, ids, sizeof *first);
    int unit_count = 0;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        int *unit = &units.unit[node->id];
        *unit = node->id;
        if (node->group != CVM_NO_GROUP) {
            if (of_group[node->group])
                *unit = of_group[node->group] - 1;
            of_group[node->group] = *unit + 1;
        }
        unit_count += *unit == node->id;
        next[i] = first[*unit];
        first[*unit] = i + 1;
    }
    for (int i = 0; i < graph->node_count; i++)
        for_edges(&units, graph->nodes[i], count_edge, NULL);
    int *ready = cvm_arena_array(scratch, ids + 1, sizeof *ready);
    for (int i = 0; i < graph->node_count; i++) {
        int id = graph->nodes[i]->id;
        if (units.unit[id] == id && units.waiting[id] == 0)
            ready[++ready[0]] = id;
    }
    int ran = 0;
    for (; ready[0] > 0; ran++) {
        int unit = ready[ready[0]--];
        for (int i = first[unit]; i; i = next[i - 1])
            for_edges(&units, graph->nodes[i - 1], release_edge, ready);
    }
    cvm_arena_free(scratch);
    return ran == unit_count;
}

/* --- what a kernel has room for --- */

typedef struct Members {
    const CvmFusion *fusion;
    CvmNode *const *nodes; /* in graph order */
    int count, group;
} Members;

static bool is_read_before(const Members *members, int node, int operand) {
    const CvmNode *value = members->nodes[node]->inputs[operand];
    for (int i = 0; i <= node; i++) {
        int operands = i < node ? members->nodes[i]->input_count : operand;
        for (int k = 0; k < operands; k++)
            if (members->nodes[i]->inputs[k] == value)
                return true;
    }
    return false;
}

static int count_reads(const Members *members) {
    int reads = 0;
    for (int i = 0; i < members->count; i++)
        for (int k = 0; k < members->nodes[i]->input_count; k++) {
            const CvmNode *value = members->nodes[i]->inputs[k];
            reads += value->group != members->group && value->op != CVM_OP_CONSTANT &&
                     !is_read_before(members, i, k);
        }
    return reads;
}

static int count_results(const Members *members) {
    int results = 0;
    for (int i = 0; i < members->count; i++)
        results += cvm_fusion_is_stored(members->fusion, members->nodes[i], members->group);
    return results;
}

/* How often the op's expression names the operand. */
static int times_named(const CvmNode *node, int operand) {
    switch (node->op) {
    case CVM_OP_LEAKY_RELU:
    case CVM_OP_GELU:
        return 2;
    case CVM_OP_LEAKY_RELU_GRAD:
        return operand == 0 ? 2 : 1;
    case CVM_OP_TANH_GRAD:
    case CVM_OP_SIGMOID_GRAD:
        return operand == 1 ? 2 : 1;
    case CVM_OP_GELU_GRAD:
        return operand == 1 ? 4 : 1;
    default:
        return 1;
    }
}

/* Whether every member's expression tree keeps within the limit. */
static bool expressions_fit(const Members *members) {
    CvmArena *scratch = cvm_arena_create();
    int *sizes = cvm_arena_array(scratch, (size_t)members->count, sizeof *sizes);
    bool fit = true;
    for (int i = 0; i < members->count && fit; i++) {
        sizes[i] = 1;
        for (int k = 0; k < members->nodes[i]->input_count; k++)
            for (int m = 0; m < i; m++)
                if (members->nodes[i]->inputs[k] == members->nodes[m])
                    sizes[i] += times_named(members->nodes[i], k) * sizes[m];
        fit = sizes[i] <= CVM_FUSION_EXPRESSION;
    }
    cvm_arena_free(scratch);
    return fit;
}

static const char *refusal(const Members *members) {
    if (count_reads(members) > CVM_FUSION_READS)
        return "a kernel cannot read so many tensors";
    if (count_results(members) > CVM_FUSION_RESULTS)
        return "a kernel cannot store so many tensors";
    if (!expressions_fit(members))
        return "the expression grows too large";
    if (!can_be_ordered(members->fusion))
        return "it would wait for its own result";
    if (!cvm_may_apply(members->fusion->context))
        return "the limit of the pass";
    return NULL;
}

const char *cvm_fusion_try(CvmFusion *fusion, CvmNode *const *nodes, int count) {
    CvmGraph *graph = fusion->graph;
    CvmArena *scratch = cvm_arena_create();
    int *groups = cvm_arena_array(scratch, (size_t)count, sizeof *groups);
    int group = graph->next_group++;
    for (int i = 0; i < count; i++) {
        groups[i] = nodes[i]->group;
        nodes[i]->group = group;
    }
    Members members = {fusion, nodes, count, group};
    const char *why = refusal(&members);
    for (int i = 0; why && i < count; i++)
        nodes[i]->group = groups[i];
    graph->next_group -= why != NULL;
    cvm_arena_free(scratch);
    return why;
}
