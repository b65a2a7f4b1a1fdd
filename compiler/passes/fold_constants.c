/* Constant folding: what depends on constants alone becomes a constant. It visits nodes in order,
 * so that one visit sees its operands' final form. */
#include "compiler/passes/pass.h"

#include <stdint.h>

static bool is_constant(const CvmNode *node) {
    return node->op == CVM_OP_CONSTANT;
}

static double constant_value(const CvmNode *node) {
    return cvm_node_attribute(node, "value")->real;
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

static void fold(CvmPassContext *context, CvmGraph *graph, CvmNode *node) {
    float value;
    if (!find_constant(node, &value) || !cvm_may_apply(context))
        return;
    CvmNode *constant = cvm_graph_constant(graph, node->type.shape, value, node->origin);
    cvm_graph_replace(graph, node, constant);
    cvm_remark(context, (CvmRemark){.action = "folded",
                                    .node = node,
                                    .link = "into",
                                    .other = constant,
                                    .reason = cvm_arena_format(graph->arena, "it is always %.9g",
                                                               (double)value)});
}

bool cvm_fold_constants(CvmPassContext *context, CvmGraph *graph) {
    int count = graph->node_count; /* constants made on the way need no visit */
    for (int i = 0; i < count; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->input_count > 0 && node->group == CVM_NO_GROUP)
            fold(context, graph, node);
    }
    return true;
}
