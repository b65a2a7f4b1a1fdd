/* Makes every value one that some kernel can store where it belongs. Kernels write outputs to the
 * arena and updates to the slots of their parameters; constants lie nowhere, parameters in slots.
 * So a copy (a scale by 1, a kernel of its own) goes before what reads a constant as a tensor: only
 * pointwise and row kernels take immediates; before an alias of a parameter: its readers could not
 * be told from the parameter's; before an output that lies in a slot, where the caller puts an
 * input, or nowhere; before an update that is not a pointwise node's own and only destination, or
 * whose kernel reads the parameter in another order than element by element. */
#include "compiler/passes/pass.h"

typedef struct Settling {
    CvmPassContext *context;
    CvmGraph *graph;
    bool failed;
} Settling;

static CvmNode *copy(Settling *settling, CvmNode *value, const char *why) {
    CvmAttribute factor = {.real = 1};
    CvmNode *node = cvm_graph_add(settling->graph, CVM_OP_SCALE, &value, 1, &factor, value->origin,
                                  settling->context->diag);
    settling->failed |= !node;
    cvm_remark(settling->context, (CvmRemark){.action = "copied", .node = value, .reason = why});
    return node;
}

static bool takes_immediates(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class == CVM_CLASS_POINTWISE || class == CVM_CLASS_ROWS;
}

static void settle_operand(Settling *settling, CvmNode *node, int operand) {
    CvmNode *value = node->inputs[operand];
    bool is_alias = cvm_op_info(node->op)->class == CVM_CLASS_ALIAS;
    if (value->op == CVM_OP_CONSTANT && !takes_immediates(node))
        node->inputs[operand] = copy(settling, value, "read as a tensor");
    else if (value->op == CVM_OP_PARAMETER && is_alias)
        node->inputs[operand] = copy(settling, value, "read under another shape");
}

static void settle_output(Settling *settling, CvmNamedValue *output) {
    const CvmNode *root = cvm_alias_root(output->value);
    if (cvm_op_info(root->op)->class == CVM_CLASS_SOURCE || cvm_is_update(settling->graph, root))
        output->value = copy(settling, output->value, "an output");
}

/* Whether a kernel writes each of its results once, after it has read what its pointwise nodes need
 * there. (A relayout in a kernel with others is a contraction's, which unpacks its sums.) */
static bool writes_once(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class == CVM_CLASS_POINTWISE || class == CVM_CLASS_CONTRACTION ||
           class == CVM_CLASS_REDUCE || node->op == CVM_OP_RELAYOUT;
}

static bool can_be_overwritten(const CvmGraph *graph, const CvmNode *value, const char *parameter) {
    const CvmNode *overwritten = cvm_graph_find_source(graph, parameter);
    for (int i = 0; i < graph->node_count && value->group != CVM_NO_GROUP; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->group != value->group || cvm_is_pointwise(node))
            continue;
        if (!writes_once(node))
            return false;
        for (int k = 0; k < node->input_count; k++)
            if (cvm_alias_root(node->inputs[k]) == overwritten)
                return false;
    }
    return cvm_is_pointwise(value);
}

static void settle_update(Settling *settling, CvmNamedValue *update) {
    CvmNode *value = update->value;
    if (!can_be_overwritten(settling->graph, value, update->name))
        update->value = copy(settling, value, "an update");
}

bool cvm_settle_results(CvmPassContext *context, CvmGraph *graph) {
    Settling settling = {.context = context, .graph = graph};
    cvm_drop_unread(context, graph);
    int count = graph->node_count;
    for (int i = 0; i < graph->update_count && !settling.failed; i++)
        settle_update(&settling, &graph->updates[i]);
    for (int i = 0; i < graph->output_count && !settling.failed; i++)
        settle_output(&settling, &graph->outputs[i]);
    for (int i = 0; i < count && !settling.failed; i++)
        for (int k = 0; k < graph->nodes[i]->input_count && !settling.failed; k++)
            settle_operand(&settling, graph->nodes[i], k);
    return !settling.failed;
}
