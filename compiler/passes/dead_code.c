/* Removes what no output and no update depends on. Inputs stay, used or not: they are the graph's
 * interface. So do parameters that an update names. */
#include "compiler/passes/pass.h"

#include <string.h>

/* Marks a node and what it depends on. Nodes stand after their inputs, so one walk backwards does.
 */
static bool *find_needed(const CvmGraph *graph, CvmArena *scratch) {
    bool *needed = cvm_arena_array(scratch, (size_t)graph->next_id + 1, sizeof *needed);
    for (int i = 0; i < graph->output_count; i++)
        needed[graph->outputs[i].value->id] = true;
    for (int i = 0; i < graph->update_count; i++) {
        needed[graph->updates[i].value->id] = true;
        needed[cvm_graph_find_source(graph, graph->updates[i].name)->id] = true;
    }
    for (int i = graph->node_count - 1; i >= 0; i--) {
        const CvmNode *node = graph->nodes[i];
        needed[node->id] |= node->op == CVM_OP_INPUT;
        for (int k = 0; needed[node->id] && k < node->input_count; k++)
            needed[node->inputs[k]->id] = true;
    }
    return needed;
}

/* An update that stores what is there already is none. */
static void remove_idle_updates(CvmPassContext *context, CvmGraph *graph) {
    int kept = 0, count = graph->update_count;
    for (int i = 0; i < count; i++) {
        CvmNamedValue update = graph->updates[i];
        const CvmNode *parameter = cvm_graph_find_source(graph, update.name);
        if (update.value == parameter && cvm_may_apply(context))
            cvm_remark(context, (CvmRemark){.action = "removed the update of",
                                            .node = parameter,
                                            .reason = "it changes nothing"});
        else
            graph->updates[kept++] = update;
    }
    graph->update_count = kept;
}

/* Drops what is not needed; parameters too only when asked. Readers go before what they read, so
 * that the graph is whole wherever a limit ends it. */
static void sweep(CvmPassContext *context, CvmGraph *graph, bool parameters) {
    CvmArena *scratch = cvm_arena_create();
    bool *needed = find_needed(graph, scratch);
    int first = graph->node_count; /* of those kept, which move to the end */
    for (int i = graph->node_count - 1; i >= 0; i--) {
        CvmNode *node = graph->nodes[i];
        bool keep = needed[node->id] || (node->op == CVM_OP_PARAMETER && !parameters);
        if (keep || !cvm_may_apply(context))
            graph->nodes[--first] = node;
        else
            cvm_remark(context, (CvmRemark){.action = "removed", .node = node});
    }
    graph->node_count -= first;
    memmove(graph->nodes, graph->nodes + first, (size_t)graph->node_count * sizeof *graph->nodes);
    cvm_arena_free(scratch);
}

bool cvm_dead_code(CvmPassContext *context, CvmGraph *graph) {
    remove_idle_updates(context, graph);
    sweep(context, graph, true);
    return true;
}

void cvm_drop_unread(CvmPassContext *context, CvmGraph *graph) {
    sweep(context, graph, false);
}
