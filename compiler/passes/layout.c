/* Layouts: in the batch-blocked layout a vector holds one pixel of `lanes` pictures, so that every
 * operation on pictures fills its vectors whatever the channels, widths and strides are, and
 * nothing is padded. The price is that a kernel walks over `lanes` pictures at once, which many
 * channels make too much for the caches. Hence the rule: the graph's pictures are batch-blocked
 * when there is a convolution, every convolution has at most MAX_CHANNELS input and output channels
 * per group, and the batch is a multiple of the target's lanes.
 *
 * The region is every convolution, pooling, what works along the channels, their gradients with
 * respect to pictures, and the pointwise nodes on such values. At its edges relayout nodes go
 * between: after the image, before flatten, after unflatten. Vectors [n, features], parameters and
 * their gradients stay plain. */
#include "compiler/passes/pass.h"

#include <stdlib.h>

enum { MAX_CHANNELS = 64 };

typedef struct Assignment {
    CvmPassContext *context;
    CvmGraph *graph;
    int lanes;
    bool *blocked;       /* by node id: the node's value is to be batch-blocked */
    CvmNode **converted; /* by node id: its value in the other layout, where that was needed */
    bool failed;
} Assignment;

/* --- the rule --- */

static const char *refuse_conv(const CvmNode *conv, int lanes) {
    const int64_t *weight = conv->inputs[1]->type.shape.sizes;
    if (weight[1] > MAX_CHANNELS || weight[0] / cvm_node_int(conv, "groups") > MAX_CHANNELS)
        return "it has many channels";
    return conv->type.shape.sizes[0] % lanes ? "the batch is no multiple of the lanes" : NULL;
}

static bool refuse(const CvmPassContext *context, const CvmNode *node, const char *why) {
    cvm_remark(context,
               (CvmRemark){.refused = true, .action = "blocked", .node = node, .reason = why});
    return false;
}

static bool is_worthwhile(const CvmPassContext *context, const CvmGraph *graph) {
    bool found = false;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->type.layout != CVM_LAYOUT_PLAIN)
            return refuse(context, node, "it has a layout already");
        if (node->group != CVM_NO_GROUP)
            return refuse(context, node, "it has a kernel already");
        if (node->op != CVM_OP_CONV)
            continue;
        const char *why = refuse_conv(node, context->vector_lanes);
        if (why)
            return refuse(context, node, why);
        found = true;
    }
    return found && context->vector_lanes > 1;
}

/* --- the region --- */

static bool is_picture(const Assignment *assignment, const CvmNode *node) {
    return node->type.shape.rank == 4 && node->type.dtype == CVM_F32 &&
           node->type.shape.sizes[0] % assignment->lanes == 0;
}

/* A pointwise node follows its operands; those on weights have plain ones only. */
static bool follows_blocked(const Assignment *assignment, const CvmNode *node) {
    for (int i = 0; i < node->input_count; i++)
        if (assignment->blocked[node->inputs[i]->id] &&
            cvm_shape_equal(&node->inputs[i]->type.shape, &node->type.shape))
            return true;
    return false;
}

static bool has_blocked_operand(const Assignment *assignment, const CvmNode *node) {
    for (int i = 0; i < node->input_count; i++)
        if (assignment->blocked[node->inputs[i]->id])
            return true;
    return false;
}

static bool is_blocked(const Assignment *assignment, const CvmNode *node) {
    if (!is_picture(assignment, node))
        return false;
    switch (node->op) {
    case CVM_OP_CONV:
    case CVM_OP_CONV_GRAD_INPUT:
    case CVM_OP_MAXPOOL:
    case CVM_OP_MAXPOOL_GRAD:
    case CVM_OP_AVGPOOL:
    case CVM_OP_AVGPOOL_GRAD:
    case CVM_OP_ADAPTIVE_AVGPOOL:
    case CVM_OP_ADAPTIVE_AVGPOOL_GRAD:
    case CVM_OP_GLOBAL_AVGPOOL:
        return true;
    case CVM_OP_CONCAT:
    case CVM_OP_SLICE:
        return has_blocked_operand(assignment, node);
    default:
        return cvm_op_info(node->op)->class == CVM_CLASS_ROWS ||
               (cvm_is_pointwise(node) && follows_blocked(assignment, node));
    }
}

/* Whether the node wants this operand batch-blocked. */
static bool wants_blocked(const Assignment *assignment, const CvmNode *node, int operand) {
    const CvmNode *value = node->inputs[operand];
    switch (node->op) {
    case CVM_OP_CONV:
    case CVM_OP_CONV_GRAD_INPUT:
        return assignment->blocked[node->id] && operand == 0;
    case CVM_OP_CONV_GRAD_WEIGHT: /* x and dy; the sum over the pictures is plain */
        return is_picture(assignment, value) && (assignment->blocked[node->inputs[0]->id] ||
                                                 assignment->blocked[node->inputs[1]->id]);
    case CVM_OP_BIAS_GRAD: /* these take what comes */
    case CVM_OP_BATCH_MEAN:
    case CVM_OP_BATCH_VARIANCE:
        return assignment->blocked[value->id];
    case CVM_OP_CENTERED_PRODUCT: /* dy and x */
        return value->type.shape.rank == 4 && (assignment->blocked[node->inputs[0]->id] ||
                                               assignment->blocked[node->inputs[1]->id]);
    default:
        return assignment->blocked[node->id] && value->type.shape.rank == 4;
    }
}

/* --- the edges --- */

static CvmNode *convert(Assignment *assignment, CvmNode *value, bool blocked) {
    CvmNode **converted = &assignment->converted[value->id];
    if (*converted)
        return *converted;
    CvmGraph *graph = assignment->graph;
    CvmAttribute lanes = {.integers = {blocked ? assignment->lanes : 0}};
    *converted = cvm_graph_add(graph, CVM_OP_RELAYOUT, &value, 1, &lanes, value->origin,
                               assignment->context->diag);
    assignment->failed |= !*converted;
    cvm_remark(assignment->context, (CvmRemark){.action = blocked ? "blocked" : "unblocked",
                                                .node = value,
                                                .reason = "read in another layout"});
    return *converted;
}

/* Operands first: a value's own layout is known before it is converted. */
static void rewire(Assignment *assignment, CvmNode *node) {
    for (int i = 0; i < node->input_count && !assignment->failed; i++) {
        CvmNode *value = node->inputs[i];
        bool wanted = wants_blocked(assignment, node, i);
        if (wanted != assignment->blocked[value->id])
            node->inputs[i] = convert(assignment, value, wanted);
    }
    if (assignment->failed || node->input_count == 0)
        return;
    assignment->failed |= !cvm_op_info(node->op)->infer(node, assignment->context->diag);
    bool is_now = node->type.layout == CVM_LAYOUT_BATCH;
    if (!assignment->failed && is_now != assignment->blocked[node->id])
        abort(); /* an infer function that contradicts the region: a bug */
}

/* What the caller reads and what parameters keep is plain. */
static void rewire_results(Assignment *assignment, CvmNamedValue *results, int count) {
    for (int i = 0; i < count && !assignment->failed; i++)
        if (assignment->blocked[results[i].value->id])
            results[i].value = convert(assignment, results[i].value, false);
}

bool cvm_assign_layouts(CvmPassContext *context, CvmGraph *graph) {
    if (!is_worthwhile(context, graph))
        return true;
    CvmArena *scratch = cvm_arena_create();
    size_t ids = (size_t)graph->next_id + 1;
    int count = graph->node_count;
    Assignment assignment = {
        .context = context,
        .graph = graph,
        .lanes = context->vector_lanes,
        .blocked = cvm_arena_array(scratch, ids, sizeof *assignment.blocked),
        .converted = cvm_arena_array(scratch, ids, sizeof *assignment.converted),
    };
    for (int i = 0; i < count; i++)
        assignment.blocked[graph->nodes[i]->id] =
            is_blocked(&assignment, graph->nodes[i]) && cvm_may_apply(context);
    for (int i = 0; i < count && !assignment.failed; i++)
        rewire(&assignment, graph->nodes[i]);
    rewire_results(&assignment, graph->outputs, graph->output_count);
    rewire_results(&assignment, graph->updates, graph->update_count);
    cvm_arena_free(scratch);
    return !assignment.failed;
}
