/* See autodiff.h. Gradients are collected by node id while the graph is walked backwards; a node is
 * wanted when it leads from something that learns, and only wanted operands get gradient nodes. */
#include "compiler/graph/autodiff.h"

#include <string.h>

struct CvmAutodiff {
    CvmGraph *graph;
    CvmDiag *diag;
    bool *wanted;        /* by id: something that learns is on its way */
    CvmNode **gradients; /* by id */
    int id_count;        /* ids of the forward graph are below it */
    const CvmNode *node; /* whose gradient function runs … */
    int position;        /* … and where it stands in the graph */
    bool failed;
};

bool cvm_autodiff_wants(const CvmAutodiff *autodiff, const CvmNode *value) {
    return value->id < autodiff->id_count && autodiff->wanted[value->id];
}

static CvmOrigin origin_of(const CvmNode *node) {
    CvmOrigin origin = node->origin;
    return origin;
}

CvmNode *cvm_autodiff_add(CvmAutodiff *autodiff, CvmOp op, CvmNode *const *inputs, int input_count,
                          const CvmAttribute *attributes) {
    for (int i = 0; i < input_count; i++)
        if (!inputs[i]) /* an earlier addition failed and was reported */
            return NULL;
    CvmNode *node = cvm_graph_add(autodiff->graph, op, inputs, input_count, attributes,
                                  origin_of(autodiff->node), autodiff->diag);
    autodiff->failed |= !node;
    return node;
}

/* Nodes are visited backwards, so those still to come keep their places. */
CvmNode *cvm_autodiff_keep(CvmAutodiff *autodiff, CvmOp op, CvmNode *const *inputs, int input_count,
                           const CvmAttribute *attributes) {
    CvmNode *node = cvm_autodiff_add(autodiff, op, inputs, input_count, attributes);
    if (!node)
        return NULL;
    CvmNode **behind = autodiff->graph->nodes + autodiff->position + 1;
    size_t moved = (size_t)(autodiff->graph->node_count - autodiff->position - 2);
    memmove(behind + 1, behind, moved * sizeof *behind);
    *behind = node;
    return node;
}

void cvm_autodiff_give(CvmAutodiff *autodiff, CvmNode *value, CvmNode *gradient) {
    if (!gradient || !cvm_autodiff_wants(autodiff, value))
        return;
    CvmNode **sum = &autodiff->gradients[value->id];
    if (!*sum) {
        *sum = gradient;
        return;
    }
    CvmNode *both[] = {*sum, gradient};
    *sum = cvm_autodiff_add(autodiff, CVM_OP_ADD, both, 2, NULL);
}

/* Marks what lies downstream of the wanted values. */
static void mark_wanted(CvmAutodiff *autodiff, CvmNode *const *wanted, int wanted_count) {
    const CvmGraph *graph = autodiff->graph;
    for (int i = 0; i < wanted_count; i++)
        autodiff->wanted[wanted[i]->id] = true;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (autodiff->wanted[graph->nodes[i]->inputs[k]->id])
                autodiff->wanted[graph->nodes[i]->id] = true;
}

static bool any_input_wanted(const CvmAutodiff *autodiff, const CvmNode *node) {
    for (int k = 0; k < node->input_count; k++)
        if (autodiff->wanted[node->inputs[k]->id])
            return true;
    return false;
}

static void differentiate(CvmAutodiff *autodiff, CvmNode *node) {
    const CvmOpInfo *info = cvm_op_info(node->op);
    if (!info->gradient) {
        autodiff->failed = true;
        cvm_diag_error(autodiff->diag, 1501, node->origin.span, node->origin.uses,
                       "freeze the layers before it, or leave it out", "%s has no gradient",
                       info->name);
        return;
    }
    autodiff->node = node;
    info->gradient(autodiff, node, autodiff->gradients[node->id]);
}

bool cvm_autodiff_from(CvmGraph *graph, CvmNode *output, CvmNode *cotangent, CvmNode *const *wanted,
                       int wanted_count, CvmNode **gradients, CvmDiag *diag) {
    CvmArena *arena = cvm_arena_create();
    size_t ids = (size_t)graph->next_id;
    CvmAutodiff autodiff = {.graph = graph,
                            .diag = diag,
                            .wanted = cvm_arena_array(arena, ids + 1, sizeof(bool)),
                            .gradients = cvm_arena_array(arena, ids + 1, sizeof(CvmNode *)),
                            .id_count = graph->next_id};
    mark_wanted(&autodiff, wanted, wanted_count);
    int forward_count = graph->node_count;
    autodiff.gradients[output->id] = cotangent;
    for (int i = forward_count - 1; i >= 0 && !autodiff.failed; i--) {
        CvmNode *node = graph->nodes[i];
        autodiff.position = i;
        if (autodiff.gradients[node->id] && any_input_wanted(&autodiff, node))
            differentiate(&autodiff, node);
    }
    for (int i = 0; i < wanted_count; i++)
        gradients[i] = autodiff.gradients[wanted[i]->id];
    cvm_arena_free(arena);
    return !autodiff.failed;
}

bool cvm_autodiff(CvmGraph *graph, CvmNode *loss, CvmNode *const *wanted, int wanted_count,
                  CvmNode **gradients, CvmDiag *diag) {
    CvmNode *one = cvm_graph_constant(graph, loss->type.shape, 1, loss->origin);
    return cvm_autodiff_from(graph, loss, one, wanted, wanted_count, gradients, diag);
}
