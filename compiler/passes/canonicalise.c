/* Canonical forms, so that later passes see one form of equal things: nodes that change nothing go,
 * factors in a row become one, and a sum or product reads the older of its operands first. It
 * visits nodes in order, so that one visit sees its operands' final form. */
#include "compiler/passes/pass.h"

static bool is_constant_of(const CvmNode *node, double value) {
    return node->op == CVM_OP_CONSTANT && cvm_node_attribute(node, "value")->real == value;
}

/* The node of the same value that makes this one superfluous, or NULL. */
static CvmNode *find_equal(const CvmNode *node) {
    CvmNode *x = node->inputs[0];
    CvmNode *other = node->input_count > 1 ? node->inputs[1] : NULL;
    switch (node->op) {
    case CVM_OP_ADD:
        return is_constant_of(x, 0) ? other : is_constant_of(other, 0) ? x : NULL;
    case CVM_OP_BIAS:
        return is_constant_of(other, 0) ? x : NULL;
    case CVM_OP_SCALE:
        return cvm_node_attribute(node, "factor")->real == 1 ? x : NULL;
    case CVM_OP_RELU:
        return x->op == CVM_OP_RELU ? x : NULL;
    case CVM_OP_FLATTEN:
    case CVM_OP_UNFLATTEN:
    case CVM_OP_RELAYOUT:
        if (cvm_type_equal(&node->type, &x->type))
            return x;
        return cvm_op_info(x->op)->class == cvm_op_info(node->op)->class ? x->inputs[0] : NULL;
    default:
        return NULL;
    }
}

/* scale(scale(x, a), b) reads x at once, as scale(x, a b). */
static void shorten_scale(CvmPassContext *context, CvmNode *node) {
    const CvmNode *inner = node->inputs[0];
    if (node->op != CVM_OP_SCALE || inner->op != CVM_OP_SCALE || inner->group != CVM_NO_GROUP ||
        !cvm_may_apply(context))
        return;
    CvmAttribute *factor = (CvmAttribute *)cvm_node_attribute(node, "factor");
    factor->real *= cvm_node_attribute(inner, "factor")->real;
    node->inputs[0] = inner->inputs[0];
    cvm_remark(context, (CvmRemark){.action = "joined",
                                    .node = node,
                                    .link = "with",
                                    .other = inner,
                                    .reason = "one factor for both"});
}

/* Whether settle would only copy it again: an output cannot lie where a source does. */
static bool is_settled(const CvmGraph *graph, const CvmNode *node, CvmNode *equal) {
    if (cvm_op_info(cvm_alias_root(equal)->op)->class != CVM_CLASS_SOURCE)
        return false;
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == node)
            return true;
    return false;
}

static bool remove_useless(CvmPassContext *context, CvmGraph *graph, CvmNode *node) {
    CvmNode *equal = find_equal(node);
    if (!equal || !cvm_type_equal(&equal->type, &node->type))
        return false;
    if (is_settled(graph, node, equal))
        return false;
    if (cvm_is_update(graph, node) && cvm_is_update(graph, equal))
        return false; /* one value cannot be stored in two parameters */
    if (!cvm_may_apply(context))
        return false;
    cvm_graph_replace(graph, node, equal);
    cvm_remark(context, (CvmRemark){.action = "folded",
                                    .node = node,
                                    .link = "into",
                                    .other = equal,
                                    .reason = "it changes nothing"});
    return true;
}

/* a + b and b + a are the same bits. */
static void order_operands(CvmPassContext *context, CvmNode *node) {
    bool commutes = node->op == CVM_OP_ADD || node->op == CVM_OP_MUL;
    if (!commutes || node->inputs[0]->id <= node->inputs[1]->id || !cvm_may_apply(context))
        return;
    CvmNode *younger = node->inputs[0];
    node->inputs[0] = node->inputs[1];
    node->inputs[1] = younger;
    cvm_remark(context, (CvmRemark){.action = "reordered",
                                    .node = node,
                                    .link = "with",
                                    .other = node->inputs[0],
                                    .reason = "the older operand comes first"});
}

bool cvm_canonicalise(CvmPassContext *context, CvmGraph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->input_count == 0 || node->group != CVM_NO_GROUP)
            continue;
        shorten_scale(context, node);
        if (!remove_useless(context, graph, node))
            order_operands(context, node);
    }
    return true;
}
