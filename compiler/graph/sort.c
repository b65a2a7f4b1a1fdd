/* Ordering a graph's nodes: units (a fused group, or a node alone) come after the units they read,
 * otherwise as early as they stood before. A unit that overwrites a parameter also comes after
 * every other reader of that parameter, since updates are made in place. */
#include "compiler/graph/graph.h"

#include <string.h>

typedef struct Sorter {
    const CvmGraph *graph;
    int *unit;            /* by position: index of the first node of its unit */
    int *position;        /* by id */
    unsigned char *state; /* by unit: 0 untouched, 1 being placed, 2 placed */
    CvmNode **order;
    int placed;
} Sorter;

static bool place_unit(Sorter *sorter, int unit);

static bool place_inputs(Sorter *sorter, const CvmNode *node, int unit) {
    for (int k = 0; k < node->input_count; k++) {
        int from = sorter->unit[sorter->position[node->inputs[k]->id]];
        if (from != unit && !place_unit(sorter, from))
            return false;
    }
    return true;
}

/* Everyone else who reads the parameter that `node` overwrites goes first. */
static bool place_readers(Sorter *sorter, const CvmNode *node, int unit) {
    const CvmGraph *graph = sorter->graph;
    for (int i = 0; i < graph->update_count; i++) {
        if (graph->updates[i].value != node)
            continue;
        const CvmNode *parameter = cvm_graph_find_source(graph, graph->updates[i].name);
        for (int p = 0; parameter && p < graph->node_count; p++)
            for (int k = 0; k < graph->nodes[p]->input_count; k++)
                if (graph->nodes[p]->inputs[k] == parameter && sorter->unit[p] != unit &&
                    !place_unit(sorter, sorter->unit[p]))
                    return false;
    }
    return true;
}

static bool place_unit(Sorter *sorter, int unit) {
    const CvmGraph *graph = sorter->graph;
    if (sorter->state[unit] == 2)
        return true;
    if (sorter->state[unit] == 1)
        return false; /* a circle */
    sorter->state[unit] = 1;
    for (int i = unit; i < graph->node_count; i++)
        if (sorter->unit[i] == unit && (!place_inputs(sorter, graph->nodes[i], unit) ||
                                        !place_readers(sorter, graph->nodes[i], unit)))
            return false;
    for (int i = unit; i < graph->node_count; i++)
        if (sorter->unit[i] == unit)
            sorter->order[sorter->placed++] = graph->nodes[i];
    sorter->state[unit] = 2;
    return true;
}

bool cvm_graph_sort(CvmGraph *graph) {
    CvmArena *arena = cvm_arena_create();
    size_t count = (size_t)graph->node_count + 1;
    Sorter sorter = {.graph = graph,
                     .unit = cvm_arena_array(arena, count, sizeof(int)),
                     .position = cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof(int)),
                     .state = cvm_arena_array(arena, count, 1),
                     .order = cvm_arena_array(arena, count, sizeof(CvmNode *))};
    int *first = cvm_arena_array(arena, (size_t)graph->next_group + 1, sizeof(int));
    for (int i = 0; i < graph->next_group; i++)
        first[i] = -1;
    for (int i = 0; i < graph->node_count; i++) {
        int group = graph->nodes[i]->group;
        sorter.position[graph->nodes[i]->id] = i;
        if (group != CVM_NO_GROUP && first[group] < 0)
            first[group] = i;
        sorter.unit[i] = group == CVM_NO_GROUP ? i : first[group];
    }
    bool sorted = true;
    for (int i = 0; i < graph->node_count && sorted; i++)
        sorted = place_unit(&sorter, sorter.unit[i]);
    if (sorted)
        memcpy(graph->nodes, sorter.order, (size_t)graph->node_count * sizeof(CvmNode *));
    cvm_arena_free(arena);
    return sorted;
}
