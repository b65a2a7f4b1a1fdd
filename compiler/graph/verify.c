/* The rules of the IR; see graph.h. Run after every pass in debug builds and in tests, and on every
 * graph read from text, whose author may be anybody. */
#include "compiler/graph/layout.h"
#include "compiler/graph/op.h"

#include <string.h>

typedef struct Verifier {
    const CvmGraph *graph;
    CvmDiag *diag;
    const CvmNode **seen; /* by id: nodes already passed */
    bool valid;
} Verifier;

static void breach(Verifier *verifier, int code, const CvmNode *node, const char *rule) {
    CvmSpan span = node ? node->origin.span : (CvmSpan){0};
    char who[160] = "";
    if (node)
        snprintf(who, sizeof who, "%%%d (%s %.100s): ", node->id, cvm_op_info(node->op)->name,
                 node->origin.name ? node->origin.name : "");
    verifier->valid = cvm_diag_error(verifier->diag, code, span, node ? node->origin.uses : NULL,
                                     NULL, "%s%s", who, rule);
}

static void verify_inputs(Verifier *verifier, const CvmNode *node) {
    const CvmOpInfo *info = cvm_op_info(node->op);
    if (info->operand_count >= 0 && node->input_count != info->operand_count)
        breach(verifier, 1410, node, "wrong number of operands");
    for (int i = 0; i < node->input_count; i++) {
        const CvmNode *input = node->inputs[i];
        if (input->id < 0 || input->id >= verifier->graph->next_id ||
            verifier->seen[input->id] != input)
            breach(verifier, 1411, node, "an operand does not come before it");
    }
}

static bool same_type(const CvmType *a, const CvmType *b) {
    return a->dtype == b->dtype && cvm_shape_equal(&a->shape, &b->shape) && cvm_layout_equal(a, b);
}

/* bf16 is for what flows between kernels. */
static void verify_port(Verifier *verifier, const CvmNode *value) {
    if (value->type.dtype == CVM_BF16)
        breach(verifier, 1425, value, "inputs and outputs are f32 or i32");
}

/* The type must be what the op's rule infers from the operands. */
static void verify_type(Verifier *verifier, const CvmNode *node) {
    const CvmOpInfo *info = cvm_op_info(node->op);
    int64_t count;
    if (node->type.shape.rank < 0 || node->type.shape.rank > CVM_MAX_RANK ||
        !cvm_shape_count(&node->type.shape, &count) || count < 1 || count > (int64_t)1 << 40) {
        breach(verifier, 1412, node, "its shape has no size, or one too large");
        return;
    }
    if (!info->infer) {
        bool is_filter = node->type.layout == CVM_LAYOUT_FILTER && cvm_layout_fits(&node->type);
        if (node->type.layout != CVM_LAYOUT_PLAIN && !(node->op == CVM_OP_PARAMETER && is_filter))
            breach(verifier, 1413, node,
                   "inputs and constants have the plain layout, parameters that or a filter's");
        return;
    }
    CvmNode inferred = *node;
    if (!info->infer(&inferred, verifier->diag))
        verifier->valid = false;
    else if (!same_type(&inferred.type, &node->type))
        breach(verifier, 1414, node, "its type is not the one its operands give");
}

/* A source's name is how it is bound, so it must be there, and be its own. */
static void verify_source(Verifier *verifier, int position) {
    const CvmNode *node = verifier->graph->nodes[position];
    if (node->op != CVM_OP_INPUT && node->op != CVM_OP_PARAMETER)
        return;
    if (!node->origin.name || !*node->origin.name) {
        breach(verifier, 1415, node, "an input or parameter needs a name");
        return;
    }
    verify_port(verifier, node);
    for (int i = 0; i < position; i++) {
        const CvmNode *other = verifier->graph->nodes[i];
        if ((other->op == CVM_OP_INPUT || other->op == CVM_OP_PARAMETER) && other->origin.name &&
            !strcmp(other->origin.name, node->origin.name))
            breach(verifier, 1416, node, "another input or parameter has its name");
    }
}

/* Groups are runs of neighbours, each begun once. */
static void verify_groups(Verifier *verifier) {
    const CvmGraph *graph = verifier->graph;
    CvmArena *arena = cvm_arena_create();
    bool *begun = cvm_arena_array(arena, (size_t)graph->next_group + 1, sizeof *begun);
    int open = CVM_NO_GROUP;
    for (int i = 0; i < graph->node_count; i++) {
        int group = graph->nodes[i]->group;
        if (group != open && group != CVM_NO_GROUP) {
            if (group < 0 || group >= graph->next_group)
                breach(verifier, 1417, graph->nodes[i], "its group does not exist");
            else if (begun[group])
                breach(verifier, 1418, graph->nodes[i], "its group is torn apart");
            else
                begun[group] = true;
        }
        open = group;
    }
    cvm_arena_free(arena);
}

static void verify_names(Verifier *verifier, const CvmNamedValue *list, int count,
                         const char *doubled) {
    for (int i = 0; i < count; i++) {
        const CvmNode *value = list[i].value;
        if (value->id < 0 || value->id >= verifier->graph->next_id ||
            verifier->seen[value->id] != value)
            breach(verifier, 1419, NULL, "an output or update names a value the graph lacks");
        for (int k = 0; k < i; k++)
            if (!strcmp(list[i].name, list[k].name))
                breach(verifier, 1420, value, doubled);
    }
}

static void verify_updates(Verifier *verifier) {
    const CvmGraph *graph = verifier->graph;
    for (int i = 0; i < graph->update_count; i++) {
        const CvmNode *value = graph->updates[i].value;
        const CvmNode *parameter = cvm_graph_find_source(graph, graph->updates[i].name);
        if (!parameter || parameter->op != CVM_OP_PARAMETER)
            breach(verifier, 1421, value, "an update names no parameter");
        else if (!same_type(&parameter->type, &value->type))
            breach(verifier, 1422, value, "an update's type is not its parameter's");
        for (int k = 0; k < i; k++)
            if (graph->updates[k].value == value)
                breach(verifier, 1423, value, "one value updates two parameters");
    }
}

bool cvm_graph_verify(const CvmGraph *graph, CvmDiag *diag) {
    CvmArena *arena = cvm_arena_create();
    Verifier verifier = {
        .graph = graph,
        .diag = diag,
        .seen = cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof(CvmNode *)),
        .valid = true,
    };
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        verify_inputs(&verifier, node);
        if (verifier.valid)
            verify_type(&verifier, node);
        verify_source(&verifier, i);
        if (node->id < 0 || node->id >= graph->next_id || verifier.seen[node->id])
            breach(&verifier, 1424, node, "its id is taken or out of range");
        else
            verifier.seen[node->id] = node;
    }
    verify_groups(&verifier);
    verify_names(&verifier, graph->outputs, graph->output_count, "two outputs have one name");
    for (int i = 0; i < graph->output_count; i++)
        verify_port(&verifier, graph->outputs[i].value);
    verify_names(&verifier, graph->updates, graph->update_count, "a parameter is updated twice");
    verify_updates(&verifier);
    cvm_arena_free(arena);
    return verifier.valid;
}
