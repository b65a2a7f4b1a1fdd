/* See frozen_prefix.h. */
#include "compiler/frozen_prefix.h"

#include "compiler/graph/op.h"

#include <string.h>

/* --- finding it --- */

typedef struct Search {
    const CvmGraph *graph;
    int64_t batch;
    bool *pictures; /* by id: depends on them */
    bool *varies;   /* by id: may be another value in the next step, for the same picture */
} Search;

/* In this graph, or in another one from the sum of gradients that this one adds to. */
static bool is_updated(const CvmGraph *graph, const CvmNode *parameter) {
    const char *sum = cvm_arena_format(graph->arena, "gradient.%s", parameter->origin.name);
    for (int i = 0; i < graph->update_count; i++)
        if (!strcmp(graph->updates[i].name, parameter->origin.name) ||
            !strcmp(graph->updates[i].name, sum))
            return true;
    return false;
}

static const CvmNode *find_image(const CvmGraph *graph) {
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_INPUT && graph->nodes[i]->type.shape.rank == 4)
            return graph->nodes[i];
    return NULL;
}

/* A value of pictures that is not one for each picture, such as a mean over the batch, depends on
 * which pictures are side by side. */
static bool joins_pictures(const Search *search, const CvmNode *node) {
    return node->type.shape.rank < 2 || node->type.shape.sizes[0] != search->batch;
}

static void look_at(Search *search, const CvmNode *node, const CvmNode *image) {
    bool *pictures = &search->pictures[node->id], *varies = &search->varies[node->id];
    *pictures = node == image;
    *varies = (node->op == CVM_OP_INPUT && node != image) ||
              (node->op == CVM_OP_PARAMETER && is_updated(search->graph, node));
    for (int i = 0; i < node->input_count; i++) {
        *pictures |= search->pictures[node->inputs[i]->id];
        *varies |= search->varies[node->inputs[i]->id];
    }
    *varies |= *pictures && joins_pictures(search, node);
}

static bool is_fixed(const Search *search, const CvmNode *node) {
    return search->pictures[node->id] && !search->varies[node->id];
}

/* Whether something outside of the prefix reads it. */
static bool crosses(const Search *search, const CvmNode *node) {
    const CvmGraph *graph = search->graph;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k] == node && !is_fixed(search, graph->nodes[i]))
                return true;
    return false;
}

static int ordinal_of(const CvmGraph *graph, const CvmNode *node) {
    int ordinal = 0;
    for (int i = 0; graph->nodes[i] != node; i++)
        ordinal += graph->nodes[i]->op == node->op &&
                   !strcmp(graph->nodes[i]->origin.name, node->origin.name);
    return ordinal;
}

static bool add_value(const CvmGraph *graph, const CvmNode *node, CvmFrozenPrefix *prefix) {
    int64_t count = 0;
    if (prefix->count == CVM_MAX_FEATURES || node->op == CVM_OP_INPUT)
        return false;
    cvm_shape_count(&node->type.shape, &count);
    prefix->numbers += count / node->type.shape.sizes[0];
    prefix->last = node->origin.name;
    prefix->values[prefix->count] = (CvmFeatureValue){
        .layer = node->origin.name,
        .op = node->op,
        .ordinal = ordinal_of(graph, node),
        .name = cvm_arena_format(graph->arena, "frozen%d", prefix->count),
    };
    prefix->count++;
    return true;
}

bool cvm_frozen_prefix_find(const CvmGraph *step, CvmFrozenPrefix *prefix) {
    const CvmNode *image = find_image(step);
    if (!image)
        return false;
    size_t ids = (size_t)step->next_id + 1;
    Search search = {.graph = step,
                     .batch = image->type.shape.sizes[0],
                     .pictures = cvm_arena_array(step->arena, ids, sizeof(bool)),
                     .varies = cvm_arena_array(step->arena, ids, sizeof(bool))};
    bool worthwhile = false;
    *prefix = (CvmFrozenPrefix){0};
    for (int i = 0; i < step->node_count; i++)
        look_at(&search, step->nodes[i], image);
    for (int i = 0; i < step->node_count; i++) {
        const CvmNode *node = step->nodes[i];
        const CvmOpInfo *info = cvm_op_info(node->op);
        if (!is_fixed(&search, node))
            continue;
        worthwhile |= info->class == CVM_CLASS_CONTRACTION;
        if (info->cost)
            prefix->flops += info->cost(node).flops / (double)search.batch;
        if (crosses(&search, node) && !add_value(step, node, prefix))
            return false;
    }
    return worthwhile && prefix->count > 0;
}

/* --- cutting --- */

/* Removes what neither outputs nor updates need. */
static void prune(CvmGraph *graph) {
    bool *needed = cvm_arena_array(graph->arena, (size_t)graph->next_id + 1, sizeof *needed);
    for (int i = 0; i < graph->output_count; i++)
        needed[graph->outputs[i].value->id] = true;
    for (int i = 0; i < graph->update_count; i++)
        needed[graph->updates[i].value->id] = true;
    int kept = graph->node_count;
    for (int i = graph->node_count - 1; i >= 0; i--) {
        CvmNode *node = graph->nodes[i];
        if (!needed[node->id])
            continue;
        for (int k = 0; k < node->input_count; k++)
            needed[node->inputs[k]->id] = true;
        graph->nodes[--kept] = node;
    }
    graph->node_count -= kept;
    memmove(graph->nodes, graph->nodes + kept, (size_t)graph->node_count * sizeof *graph->nodes);
}

static CvmNode *find_value(const CvmGraph *graph, const CvmFeatureValue *value) {
    int ordinal = 0;
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->op == value->op && !strcmp(node->origin.name, value->layer) &&
            ordinal++ == value->ordinal)
            return node;
    }
    return NULL;
}

void cvm_frozen_prefix_keep(CvmGraph *step, const CvmFrozenPrefix *prefix) {
    step->output_count = step->update_count = 0;
    for (int i = 0; i < prefix->count; i++)
        cvm_graph_output(step, prefix->values[i].name, find_value(step, &prefix->values[i]));
    prune(step);
}

bool cvm_frozen_prefix_drop(CvmGraph *graph, const CvmFrozenPrefix *prefix) {
    const CvmNode *image = find_image(graph);
    for (int i = 0; i < prefix->count; i++) {
        CvmNode *value = find_value(graph, &prefix->values[i]);
        if (!value)
            return false;
        CvmNode *input = cvm_graph_input(graph, prefix->values[i].name, value->type.dtype,
                                         value->type.shape, value->origin);
        cvm_graph_replace(graph, value, input);
        /* in front of its readers */
        memmove(graph->nodes + 1, graph->nodes,
                (size_t)(graph->node_count - 1) * sizeof *graph->nodes);
        graph->nodes[0] = input;
    }
    prune(graph);
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i] == image)
            return false;
    return true;
}
