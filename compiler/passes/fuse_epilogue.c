/* Epilogues: what follows a contraction or a window, element by element, is applied to each result
 * while it is still in a register, before its only store. A group has one anchor, its first node,
 * and a chain of pointwise nodes, of which only the last is stored; and what the optimizer updates
 * on the way, in place, so that no gradient of a weight needs memory. */
#include "compiler/passes/fusion.h"

/* What an anchor's kernel can do with its results. */
typedef struct Anchor {
    CvmOp op;
    bool channels; /* knows a result's channel, so that bias can follow */
    bool scatters; /* elements that no window covers are zero without any epilogue, and windows must
                      not overlap, or elements would be stored before they are complete */
} Anchor;

static const Anchor anchors[] = {
    {CVM_OP_CONV, true, false},
    {CVM_OP_WINOGRAD, true, false},
    {CVM_OP_WINOGRAD_ROWS, true, false},
    {CVM_OP_WINOGRAD_ROWS_GRAD_INPUT, true, false},
    {CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT, false, false},
    {CVM_OP_CONV_GRAD_INPUT, true, false},
    {CVM_OP_CONV_GRAD_WEIGHT, false, false},
    {CVM_OP_WINOGRAD_GRAD_WEIGHT, false, false},
    {CVM_OP_LINEAR, true, false},
    {CVM_OP_LINEAR_GRAD_INPUT, true, false},
    {CVM_OP_LINEAR_GRAD_WEIGHT, false, false},
    {CVM_OP_BIAS_GRAD, true, false},
    {CVM_OP_CENTERED_PRODUCT, true, false},
    {CVM_OP_MAXPOOL, true, false},
    {CVM_OP_AVGPOOL, true, false},
    {CVM_OP_ADAPTIVE_AVGPOOL, true, false},
    {CVM_OP_GLOBAL_AVGPOOL, true, false},
    {CVM_OP_LRN, false, false},
    {CVM_OP_LRN_GRAD, false, false},
    {CVM_OP_MAXPOOL_GRAD, false, true},
    {CVM_OP_AVGPOOL_GRAD, false, true},
};

static const Anchor *find_anchor(const CvmNode *node) {
    for (size_t i = 0; i < sizeof anchors / sizeof *anchors; i++)
        if (anchors[i].op == node->op && node->group == CVM_NO_GROUP)
            return &anchors[i];
    return NULL;
}

static bool windows_are_separate(const CvmNode *node) {
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    return !cvm_node_int(node, "ceil") && stride[0] >= kernel[0] && stride[1] >= kernel[1] &&
           !pad[0] && !pad[1] && !pad[2] && !pad[3];
}

/* Whether the node gives zero where its operand `value` is zero, whatever its other operands are.
 */
static bool keeps_zero(const CvmNode *node, const CvmNode *value) {
    switch (node->op) {
    case CVM_OP_RELU:
    case CVM_OP_TANH:
    case CVM_OP_SCALE:
    case CVM_OP_MUL:
    case CVM_OP_LEAKY_RELU:
    case CVM_OP_GELU:
        return true;
    case CVM_OP_CHANNEL_SCALE:
    case CVM_OP_LEAKY_RELU_GRAD:
    case CVM_OP_GELU_GRAD:
    case CVM_OP_RELU_GRAD:
    case CVM_OP_TANH_GRAD:
    case CVM_OP_SIGMOID_GRAD:
        return node->inputs[0] == value;
    default:
        return false;
    }
}

/* Operands are read where the result is stored: of its type, per channel, or a scalar. */
static const char *refuse_operand(const Anchor *anchor, const CvmNode *node, int operand) {
    const CvmType *type = &node->inputs[operand]->type;
    if (type->shape.rank == 0 || cvm_type_equal(type, &node->type))
        return NULL;
    if (type->dtype != node->type.dtype)
        return "random numbers are drawn in kernels of their own";
    if (type->shape.rank != 1 || node->type.shape.rank < 2)
        return "an operand has another shape or layout";
    return anchor->channels ? NULL : "the kernel does not know its results' channels";
}

/* An element may be overwritten once it has been read in the epilogue, but not what the anchor
 * still reads in an order of its own. */
static const char *refuse_update(const CvmFusion *fusion, const Anchor *anchor,
                                 const CvmNode *first, const CvmNode *node) {
    const CvmGraph *graph = fusion->graph;
    for (int i = 0; i < graph->update_count; i++) {
        if (graph->updates[i].value != node)
            continue;
        if (anchor->scatters)
            return "windows clear their results before they add to them";
        for (int k = 0; k < first->input_count; k++) {
            const CvmNode *root = cvm_alias_root(first->inputs[k]);
            if (fusion->overwriters[root->id] == node)
                return "it would overwrite what its kernel still reads";
        }
    }
    return NULL;
}

/* Gradients of weights in blocks are unpacked by the kernel that sums them up, behind its last sum;
 * what follows then is on plain weights. */
static bool is_unpacking(const CvmNode *first, const CvmNode *node) {
    return node->op == CVM_OP_RELAYOUT && node->inputs[0] == first &&
           first->op == CVM_OP_CONV_GRAD_WEIGHT && first->type.layout == CVM_LAYOUT_FILTER &&
           node->type.layout == CVM_LAYOUT_PLAIN;
}

/* members[count] is the candidate, the one before it the tail it reads. */
static const char *refuse_node(const CvmFusion *fusion, const Anchor *anchor,
                               CvmNode *const *members, int count) {
    const CvmNode *tail = members[count - 1], *node = members[count];
    if (is_unpacking(members[0], node))
        return node->group != CVM_NO_GROUP ? "it has a kernel already" : NULL;
    if (anchor->scatters && !windows_are_separate(members[0]))
        return "windows overlap, elements are complete only at the end";
    if (node->group != CVM_NO_GROUP)
        return "it has a kernel already";
    if (!cvm_type_equal(&node->type, &tail->type))
        return "its result has another shape or layout";
    if (anchor->scatters && !keeps_zero(node, tail))
        return "elements outside of all windows must stay zero";
    for (int i = 0; i < node->input_count; i++) {
        const char *why = refuse_operand(anchor, node, i);
        if (why)
            return why;
    }
    return refuse_update(fusion, anchor, members[0], node);
}

/* The node that alone reads the tail and may be fused, or NULL. */
static CvmNode *find_next(const CvmFusion *fusion, const CvmNode *anchor, const CvmNode *tail) {
    const CvmUses *uses = &fusion->uses;
    CvmNode *const *users = uses->users[tail->id];
    int count = uses->user_counts[tail->id];
    CvmNode *next = NULL, *other = NULL;
    for (int i = 0; i < count; i++) {
        if (!next && (cvm_is_pointwise(users[i]) || is_unpacking(anchor, users[i])))
            next = users[i];
        if (users[i] != users[0])
            other = users[i];
    }
    if (!next)
        return NULL;
    int stored = cvm_is_update(fusion->graph, tail); /* the kernel does that in any case */
    if (other || uses->kept[tail->id] > stored) {
        if (other == next)
            other = users[0];
        cvm_remark(fusion->context, (CvmRemark){.refused = true,
                                                .action = "fused",
                                                .node = next,
                                                .link = "into",
                                                .other = anchor,
                                                .reason = cvm_fusion_why_kept(other),
                                                .cause = other});
        return NULL;
    }
    return next;
}

/* Adds the next node of the chain to the group; false when it ends. */
static bool extend(CvmFusion *fusion, const Anchor *anchor, CvmNode **members, int count) {
    CvmNode *tail = members[count - 1];
    CvmNode *next = find_next(fusion, members[0], tail);
    if (!next)
        return false;
    members[count] = next;
    const char *why = refuse_node(fusion, anchor, members, count);
    if (!why)
        why = cvm_fusion_try(fusion, members, count + 1);
    cvm_fusion_remark(fusion, next, "into", members[0], why);
    return !why;
}

bool cvm_fuse_epilogues(CvmPassContext *context, CvmGraph *graph) {
    enum { MAX_MEMBERS = CVM_FUSION_EXPRESSION + 1 };
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *members[MAX_MEMBERS] = {graph->nodes[i]};
        const Anchor *anchor = find_anchor(members[0]);
        for (int count = 1; anchor && count < MAX_MEMBERS; count++)
            if (!extend(&fusion, anchor, members, count))
                break;
    }
    cvm_fusion_end(&fusion);
    return true;
}
