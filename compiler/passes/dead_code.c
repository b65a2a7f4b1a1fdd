/* Removes what no output and no update depends on. Inputs stay, used or not: they are the graph's
 * interface. So do parameters that an update names. */
#include "compiler/passes/pass.h"

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
static int remove_idle_updates(const CvmPassContext *context, CvmGraph *graph) {
    int kept = 0, count = graph->update_count;
    for (int i = 0; i < count; i++) {
        CvmNamedValue update = graph->updates[i];
        if (update.value == cvm_graph_find_source(graph, update.name))
            cvm_remark(context, "dead-code: update of %s changes nothing", update.name);
        else
            graph->updates[kept++] = update;
    }
    graph->update_count = kept;
    return count - kept;
}

/* Drops what is not needed; parameters too only when asked. */
static int sweep(const CvmPassContext *context, CvmGraph *graph, const char *pass,
                 bool parameters) {
    CvmArena *scratch = cvm_arena_create();
    bool *needed = find_needed(graph, scratch);
    int kept = 0, removed = 0;
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (needed[node->id] || (node->op == CVM_OP_PARAMETER && !parameters)) {
            graph->nodes[kept++] = node;
            continue;
        }
        removed++;
        cvm_remark(context, "%s: removed %s", pass, cvm_node_label(node).text);
    }
    graph->node_count = kept;
    cvm_arena_free(scratch);
    return removed;
}

int cvm_dead_code(CvmPassContext *context, CvmGraph *graph) {
    int updates = remove_idle_updates(context, graph);
    return updates + sweep(context, graph, "dead-code", true);
}

int cvm_drop_unread(CvmPassContext *context, CvmGraph *graph) {
    return sweep(context, graph, "settle", false);
}
