/* Constant folding and canonical forms, so that later passes see one form of equal things: what
 * depends on constants alone becomes a constant, and nodes that change nothing go. It visits nodes
 * in order, so that one visit sees its operands' final form. */
#include "compiler/passes/pass.h"

#include <stdint.h>

typedef struct Folding {
    CvmPassContext *context;
    CvmGraph *graph;
} Folding;

static bool is_constant(const CvmNode *node) {
    return node->op == CVM_OP_CONSTANT;
}

static double constant_value(const CvmNode *node) {
    return cvm_node_attribute(node, "value")->real;
}

static bool is_constant_of(const CvmNode *node, double value) {
    return is_constant(node) && constant_value(node) == value;
}

static CvmShape shape_of_ones(int rank) {
    CvmShape shape = {.rank = rank};
    for (int i = 0; i < rank; i++)
        shape.sizes[i] = 1;
    return shape;
}

enum { MAX_OPERANDS = 4 };

/* All elements of a constant are equal, so a pointwise op on constants is its reference function on
 * tensors of one element. */
static bool evaluate_element(const CvmNode *node, float *result) {
    const CvmOpInfo *info = cvm_op_info(node->op);
    CvmNode operands[MAX_OPERANDS];
    CvmNode *inputs[MAX_OPERANDS];
    float values[MAX_OPERANDS];
    const void *data[MAX_OPERANDS];
    if (info->class != CVM_CLASS_POINTWISE || node->input_count > MAX_OPERANDS ||
        node->type.dtype != CVM_F32)
        return false;
    for (int i = 0; i < node->input_count; i++) {
        if (!is_constant(node->inputs[i]))
            return false;
        operands[i] = *node->inputs[i];
        operands[i].type.shape = shape_of_ones(operands[i].type.shape.rank);
        inputs[i] = &operands[i];
        values[i] = (float)constant_value(node->inputs[i]);
        data[i] = &values[i];
    }
    CvmNode element = *node;
    element.inputs = inputs;
    element.type.shape = shape_of_ones(node->type.shape.rank);
    info->reference(&element, data, result);
    return true;
}

/* Whether the node is always one number, and which. */
static bool find_constant(const CvmNode *node, float *value) {
    if (node->type.layout != CVM_LAYOUT_PLAIN)
        return false;
    if (cvm_op_info(node->op)->class != CVM_CLASS_ALIAS || !is_constant(node->inputs[0]))
        return evaluate_element(node, value);
    *value = (float)constant_value(node->inputs[0]);
    return true;
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
static void shorten_scale(Folding *folding, CvmNode *node) {
    const CvmNode *inner = node->inputs[0];
    if (node->op != CVM_OP_SCALE || inner->op != CVM_OP_SCALE || inner->group != CVM_NO_GROUP ||
        !cvm_may_apply(folding->context))
        return;
    CvmAttribute *factor = (CvmAttribute *)cvm_node_attribute(node, "factor");
    factor->real *= cvm_node_attribute(inner, "factor")->real;
    node->inputs[0] = inner->inputs[0];
    cvm_remark(folding->context, (CvmRemark){.action = "joined",
                                             .node = node,
                                             .link = "with",
                                             .other = inner,
                                             .reason = "one factor for both"});
}

static void replace(Folding *folding, CvmNode *node, CvmNode *by, const char *reason) {
    if (!cvm_may_apply(folding->context))
        return;
    cvm_graph_replace(folding->graph, node, by);
    cvm_remark(
        folding->context,
        (CvmRemark){
            .action = "folded", .node = node, .link = "into", .other = by, .reason = reason});
}

static void fold(Folding *folding, CvmNode *node) {
    shorten_scale(folding, node);
    float value;
    if (find_constant(node, &value)) {
        replace(folding, node,
                cvm_graph_constant(folding->graph, node->type.shape, value, node->origin),
                cvm_arena_format(folding->graph->arena, "it is always %.9g", (double)value));
        return;
    }
    CvmNode *equal = find_equal(node);
    if (!equal || !cvm_type_equal(&equal->type, &node->type))
        return;
    if (cvm_is_update(folding->graph, node) && cvm_is_update(folding->graph, equal))
        return; /* one value cannot be stored in two parameters */
    replace(folding, node, equal, "it changes nothing");
}

bool cvm_fold_constants(CvmPassContext *context, CvmGraph *graph) {
    Folding folding = {.context = context, .graph = graph};
    int count = graph->node_count; /* constants made on the way need no visit */
    for (int i = 0; i < count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->input_count > 0 && node->group == CVM_NO_GROUP)
            fold(&folding, node);
    }
    return true;
}
