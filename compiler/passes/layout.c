/* Layouts: which memory layout each picture has, and where one is changed into another. Two of them
 * fill vectors whatever widths and strides are:
 *
 *   batch-blocked    A vector holds one pixel of `lanes` pictures. Nothing depends on the number of
 *                    channels, but a kernel walks over `lanes` pictures at once: too much for the
 *                    caches where there are many channels. For the whole graph, when there is a
 *                    convolution, every one has at most MAX_CHANNELS input and output channels per
 *                    group, and the batch is a multiple of the lanes.
 *   channel-blocked  A vector holds one pixel of `lanes` channels. Else, for every convolution that
 *                    can give it (its output channels are a multiple of the lanes), for the
 * gradients of pictures (turn_gradients.c), and for those of weights, which are filters.
 *
 * What follows a convolution keeps its layout: the ops of `followers`, and pointwise nodes; softmax
 * along the channels only where they are not blocked. Relayout nodes go to the region's
 * edges: after the image, unless a convolution reads it as it is; before flatten, after unflatten;
 * before outputs; and behind weights, whose layout goes with their convolution's. Vectors [n,
 * features] and gradients of parameters stay plain. */
#include "compiler/graph/layout.h"
#include "compiler/ops/conv_layout.h"
#include "compiler/passes/pass.h"

#include <stdlib.h>

enum { MAX_CHANNELS = 64, LAYOUTS = CVM_LAYOUT_FILTER + 1 };

/* Ops, beside convolutions and pointwise ones, that take pictures in either blocked layout and give
 * their result in the same. */
static const CvmOp followers[] = {
    CVM_OP_MAXPOOL,
    CVM_OP_MAXPOOL_INDEX,
    CVM_OP_MAXPOOL_GRAD,
    CVM_OP_AVGPOOL,
    CVM_OP_AVGPOOL_GRAD,
    CVM_OP_ADAPTIVE_AVGPOOL,
    CVM_OP_ADAPTIVE_AVGPOOL_GRAD,
    CVM_OP_GLOBAL_AVGPOOL,
    CVM_OP_LRN,
    CVM_OP_LRN_GRAD,
};

typedef struct Assignment {
    CvmPassContext *context;
    CvmGraph *graph;
    CvmLayoutKind region; /* the blocked layout of this graph's pictures */
    int lanes;
    CvmLayoutKind *layouts;         /* by node id: the layout its value is to have */
    CvmNode *(*converted)[LAYOUTS]; /* by node id: its value in other layouts, where needed */
    bool failed;
} Assignment;

/* --- which blocked layout --- */

static const char *refuse_batch(const CvmNode *conv, int lanes) {
    const int64_t *weight = conv->inputs[1]->type.shape.sizes;
    if (weight[1] > MAX_CHANNELS || weight[0] / cvm_node_int(conv, "groups") > MAX_CHANNELS)
        return "it has many channels";
    return conv->type.shape.sizes[0] % lanes ? "the batch is no multiple of the lanes" : NULL;
}

/* Whether every convolution lets the graph's pictures be batch-blocked. */
static bool fits_batch(const CvmPassContext *context, const CvmGraph *graph) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        const char *why =
            node->op == CVM_OP_CONV ? refuse_batch(node, context->vector_lanes) : NULL;
        if (!why)
            continue;
        cvm_remark(
            context,
            (CvmRemark){.refused = true, .action = "batch-blocked", .node = node, .reason = why});
        return false;
    }
    return true;
}

/* Plain when nothing is to be changed. */
static CvmLayoutKind choose_region(const CvmPassContext *context, const CvmGraph *graph) {
    bool convolves = false;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        const char *why = node->type.layout != CVM_LAYOUT_PLAIN ? "it has a layout already"
                          : node->group != CVM_NO_GROUP         ? "it has a kernel already"
                                                                : NULL;
        if (why) {
            cvm_remark(
                context,
                (CvmRemark){.refused = true, .action = "blocked", .node = node, .reason = why});
            return CVM_LAYOUT_PLAIN;
        }
        convolves |= node->op == CVM_OP_CONV;
    }
    if (!convolves || context->vector_lanes < 2)
        return CVM_LAYOUT_PLAIN;
    return fits_batch(context, graph) ? CVM_LAYOUT_BATCH : CVM_LAYOUT_CHANNEL;
}

/* --- the region --- */

static CvmType in_region(const Assignment *assignment, const CvmNode *node) {
    CvmType type = node->type;
    type.layout = assignment->region;
    type.lanes = assignment->lanes;
    return type;
}

/* Whether the value is a picture that the region's layout fits. */
static bool is_picture(const Assignment *assignment, const CvmNode *node) {
    CvmType type = in_region(assignment, node);
    return type.shape.rank == 4 && type.dtype == CVM_F32 && cvm_layout_fits(&type);
}

static bool is_follower(const Assignment *assignment, const CvmNode *node) {
    if (cvm_op_info(node->op)->class == CVM_CLASS_ROWS && assignment->region == CVM_LAYOUT_BATCH)
        return true;
    for (size_t i = 0; i < sizeof followers / sizeof *followers; i++)
        if (followers[i] == node->op)
            return true;
    return false;
}

/* Whether an operand of the node lies in the region. Pointwise nodes look at those of their own
 * shape alone: the others are broadcast. */
static bool follows(const Assignment *assignment, const CvmNode *node) {
    for (int i = 0; i < node->input_count; i++) {
        const CvmNode *operand = node->inputs[i];
        if (assignment->layouts[operand->id] == assignment->region &&
            (is_follower(assignment, node) ||
             cvm_shape_equal(&operand->type.shape, &node->type.shape)))
            return true;
    }
    return false;
}

static bool has_operand_inside(const Assignment *assignment, const CvmNode *node) {
    for (int i = 0; i < node->input_count; i++)
        if (assignment->layouts[node->inputs[i]->id] == assignment->region)
            return true;
    return false;
}

static bool convolves(const CvmNode *node) {
    return node->op == CVM_OP_CONV || node->op == CVM_OP_CONV_GRAD_INPUT ||
           node->op == CVM_OP_CONV_GRAD_WEIGHT;
}

/* Why a convolution or a gradient of one is not computed in channel blocks; NULL: it is. */
static const char *refuse_channels(const Assignment *assignment, const CvmNode *node) {
    bool sums = node->op == CVM_OP_CONV_GRAD_WEIGHT;
    const CvmShape *weight = sums ? &node->type.shape : &node->inputs[1]->type.shape;
    const int64_t *results = (sums ? node->inputs[1] : node)->type.shape.sizes;
    int lanes = assignment->lanes;
    CvmLayoutKind x;
    if (results[1] % lanes)
        return "its channels are no multiple of a vector's";
    if (sums ? !cvm_conv_in_channels(weight, cvm_node_int(node, "groups"), lanes, &x)
             : !cvm_node_in_channels(node, lanes, &x))
        return "its groups do not go with vectors of channels";
    if (sums && !cvm_weight_grad_in_channels(node, lanes, &x))
        return "its taps lie outside of the picture for many pixels of a row";
    bool folds = node->op == CVM_OP_CONV_GRAD_INPUT && !cvm_node_int(node, "turned");
    return !folds && cvm_conv_prefers_rows(node, weight, results[3], lanes)
               ? "its groups share vectors, and rows fill them as well"
               : NULL;
}

/* Joined or cut where no block of channels is. */
static bool keeps_blocks(const Assignment *assignment, const CvmNode *node) {
    if (assignment->region == CVM_LAYOUT_BATCH)
        return true;
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i]->type.shape.sizes[1] % assignment->lanes)
            return false;
    return node->op == CVM_OP_CONCAT || cvm_node_int(node, "first") % assignment->lanes == 0;
}

static CvmLayoutKind choose_layout(const Assignment *assignment, const CvmNode *node) {
    bool inside = false;
    if (node->op == CVM_OP_CONV_GRAD_WEIGHT)
        return assignment->region == CVM_LAYOUT_CHANNEL && !refuse_channels(assignment, node)
                   ? CVM_LAYOUT_FILTER
                   : CVM_LAYOUT_PLAIN;
    if (!is_picture(assignment, node))
        inside = false;
    else if (node->op == CVM_OP_CONV || node->op == CVM_OP_CONV_GRAD_INPUT)
        inside = assignment->region == CVM_LAYOUT_BATCH || !refuse_channels(assignment, node);
    else if (node->op == CVM_OP_CONCAT || node->op == CVM_OP_SLICE)
        inside = keeps_blocks(assignment, node) && has_operand_inside(assignment, node);
    else if (is_follower(assignment,
                         node)) /* where pictures are blocked throughout, it need not be led */
        inside = assignment->region == CVM_LAYOUT_BATCH || follows(assignment, node);
    else if (cvm_is_pointwise(node))
        inside = follows(assignment, node);
    return inside ? assignment->region : CVM_LAYOUT_PLAIN;
}

static CvmLayoutKind wanted_by_conv(const Assignment *assignment, const CvmNode *conv,
                                    int operand) {
    if (assignment->layouts[conv->id] == CVM_LAYOUT_PLAIN)
        return CVM_LAYOUT_PLAIN;
    if (assignment->region == CVM_LAYOUT_BATCH)
        return operand == 0 ? CVM_LAYOUT_BATCH : CVM_LAYOUT_PLAIN;
    CvmLayoutKind x = CVM_LAYOUT_PLAIN;
    cvm_node_in_channels(conv, assignment->lanes, &x);
    return operand == 0 ? x : CVM_LAYOUT_FILTER;
}

/* x and dy; the sum over the pictures is plain, or a filter. */
static CvmLayoutKind wanted_by_weight_grad(const Assignment *assignment, const CvmNode *node,
                                           int operand) {
    CvmLayoutKind x = CVM_LAYOUT_PLAIN;
    if (assignment->layouts[node->id] == CVM_LAYOUT_FILTER) {
        cvm_weight_grad_in_channels(node, assignment->lanes, &x);
        return operand == 0 ? x : CVM_LAYOUT_CHANNEL;
    }
    if (assignment->region == CVM_LAYOUT_CHANNEL)
        return CVM_LAYOUT_PLAIN;
    bool both_plain = true;
    for (int i = 0; i < 2; i++)
        both_plain &= assignment->layouts[node->inputs[i]->id] == CVM_LAYOUT_PLAIN;
    return is_picture(assignment, node->inputs[operand]) && !both_plain ? CVM_LAYOUT_BATCH
                                                                        : CVM_LAYOUT_PLAIN;
}

/* Sums over all but the channels take what comes, in one layout. */
static CvmLayoutKind wanted_by_sum(const Assignment *assignment, const CvmNode *node, int operand) {
    CvmLayoutKind layout = CVM_LAYOUT_PLAIN;
    for (int i = 0; i < node->input_count; i++)
        if (assignment->layouts[node->inputs[i]->id] == assignment->region)
            layout = assignment->region;
    return node->inputs[operand]->type.shape.rank == 4 ? layout : CVM_LAYOUT_PLAIN;
}

/* The layout in which the node reads an operand. */
static CvmLayoutKind wanted_layout(const Assignment *assignment, const CvmNode *node, int operand) {
    switch (node->op) {
    case CVM_OP_CONV:
    case CVM_OP_CONV_GRAD_INPUT:
        return wanted_by_conv(assignment, node, operand);
    case CVM_OP_CONV_GRAD_WEIGHT:
        return wanted_by_weight_grad(assignment, node, operand);
    case CVM_OP_BIAS_GRAD:
    case CVM_OP_BATCH_MEAN:
    case CVM_OP_BATCH_VARIANCE:
    case CVM_OP_CENTERED_PRODUCT:
        return wanted_by_sum(assignment, node, operand);
    default:
        return node->inputs[operand]->type.shape.rank == 4 ? assignment->layouts[node->id]
                                                           : CVM_LAYOUT_PLAIN;
    }
}

/* --- the edges --- */

static CvmNode *convert(Assignment *assignment, CvmNode *value, CvmLayoutKind layout) {
    CvmNode **converted = &assignment->converted[value->id][layout];
    if (*converted)
        return *converted;
    CvmGraph *graph = assignment->graph;
    CvmType type = {.layout = layout, .lanes = assignment->lanes};
    char name[CVM_LAYOUT_TEXT];
    CvmAttribute to = {.text = layout == CVM_LAYOUT_PLAIN ? "plain" : cvm_layout_text(&type, name)};
    to.text = cvm_arena_format(graph->arena, "%s", to.text);
    *converted = cvm_graph_add(graph, CVM_OP_RELAYOUT, &value, 1, &to, value->origin,
                               assignment->context->diag);
    assignment->failed |= !*converted;
    cvm_remark(assignment->context,
               (CvmRemark){.action = layout == CVM_LAYOUT_PLAIN ? "unblocked" : "blocked",
                           .node = value,
                           .reason = "read in another layout"});
    return *converted;
}

/* Operands first: a value's own layout is known before it is converted. */
static void rewire(Assignment *assignment, CvmNode *node) {
    for (int i = 0; i < node->input_count && !assignment->failed; i++) {
        CvmNode *value = node->inputs[i];
        CvmLayoutKind wanted = wanted_layout(assignment, node, i);
        if (wanted != assignment->layouts[value->id])
            node->inputs[i] = convert(assignment, value, wanted);
    }
    if (assignment->failed || node->input_count == 0)
        return;
    assignment->failed |= !cvm_op_info(node->op)->infer(node, assignment->context->diag);
    if (!assignment->failed && node->type.layout != assignment->layouts[node->id])
        abort(); /* an infer function that contradicts the region: a bug */
}

/* What the caller reads and what parameters keep is plain. */
static void rewire_results(Assignment *assignment, CvmNamedValue *results, int count) {
    for (int i = 0; i < count && !assignment->failed; i++)
        if (assignment->layouts[results[i].value->id] != CVM_LAYOUT_PLAIN)
            results[i].value = convert(assignment, results[i].value, CVM_LAYOUT_PLAIN);
}

/* The layout that the value is to have, where the pass may apply once more. */
static CvmLayoutKind assign_layout(Assignment *assignment, const CvmNode *node) {
    static const char *const reasons[] = {
        [CVM_LAYOUT_BATCH] = "vectors across pictures",
        [CVM_LAYOUT_CHANNEL] = "vectors across channels",
        [CVM_LAYOUT_FILTER] = "one stream of vectors for convolutions in channels",
    };
    CvmLayoutKind layout = choose_layout(assignment, node);
    if (convolves(node) && assignment->region == CVM_LAYOUT_CHANNEL && layout == CVM_LAYOUT_PLAIN)
        cvm_remark(assignment->context, (CvmRemark){.refused = true,
                                                    .action = "channel-blocked",
                                                    .node = node,
                                                    .reason = refuse_channels(assignment, node)});
    if (layout == CVM_LAYOUT_PLAIN || !cvm_may_apply(assignment->context))
        return CVM_LAYOUT_PLAIN;
    cvm_remark(assignment->context,
               (CvmRemark){.action = "laid out", .node = node, .reason = reasons[layout]});
    return layout;
}

bool cvm_assign_layouts(CvmPassContext *context, CvmGraph *graph) {
    CvmLayoutKind region = choose_region(context, graph);
    if (region == CVM_LAYOUT_PLAIN)
        return true;
    if (region == CVM_LAYOUT_CHANNEL && !cvm_turn_gradients(context, graph))
        return false;
    CvmArena *scratch = cvm_arena_create();
    size_t ids = (size_t)graph->next_id + 1;
    int count = graph->node_count;
    Assignment assignment = {
        .context = context,
        .graph = graph,
        .region = region,
        .lanes = context->vector_lanes,
        .layouts = cvm_arena_array(scratch, ids, sizeof *assignment.layouts),
        .converted = cvm_arena_array(scratch, ids, sizeof *assignment.converted),
    };
    for (int i = 0; i < count; i++)
        assignment.layouts[graph->nodes[i]->id] = assign_layout(&assignment, graph->nodes[i]);
    for (int i = 0; i < count && !assignment.failed; i++)
        rewire(&assignment, graph->nodes[i]);
    rewire_results(&assignment, graph->outputs, graph->output_count);
    rewire_results(&assignment, graph->updates, graph->update_count);
    cvm_arena_free(scratch);
    return !assignment.failed;
}
