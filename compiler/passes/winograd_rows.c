/* The winograd pass for batch-blocked pictures: which convolutions, and gradients of either side,
 * are computed by minimal filtering along rows (ops/winograd_rows.c), and with tiles of how many
 * columns, from a model of what each way costs. Filters are transformed by the kernels themselves,
 * which takes next to nothing. */
#include "compiler/ops/winograd.h"
#include "compiler/passes/pass.h"

#include <string.h>

/* Costs are in multiply-adds of vectors, for a block of pictures (measured on AVX2): a sum that is
 * stored and read again, and the shares of the peak that kernels reach. */
static const double STORE = 1.5, SHARE = 0.95, DIRECT_SHARE = 0.95;
static const double WORTH = 0.95;
/* And a vector of a result that goes to memory, where that is of more bytes than the caches keep: a
 * direct kernel hides it behind its products, this one stores all at the end of a band. */
static const double TO_MEMORY = 20, CACHED = 1 << 20;

/* Of the convolution x * weight = y; which of the three is the node's value does not change it. */
typedef struct Size {
    double inputs, outputs;
    double rows;           /* of y, times those of the filter, that lie in the picture */
    double stored;         /* vectors that go to memory */
    int64_t kernel, taps;  /* rows and columns of a filter */
    int64_t in[2], out[2]; /* height, width */
} Size;

static const CvmType *weight_of(const CvmNode *node) {
    return node->op == CVM_OP_CONV_GRAD_WEIGHT ? &node->type : &node->inputs[1]->type;
}

/* The pointwise node or pooling that reads the value, or NULL. */
static const CvmNode *find_reader(const CvmGraph *graph, const CvmNode *value) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        for (int k = 0; k < node->input_count; k++)
            if (node->inputs[k] == value && (cvm_is_pointwise(node) || node->op == CVM_OP_MAXPOOL ||
                                             node->op == CVM_OP_AVGPOOL))
                return node;
    }
    return NULL;
}

/* Vectors of the node's result that go to memory: none of a gradient of filters, nor of what a
 * pooling makes fewer, nor of little. */
static double stored_by(const CvmGraph *graph, const CvmNode *node) {
    const int64_t *result = node->type.shape.sizes;
    double vectors = (double)(result[1] * result[2] * result[3]);
    if (node->op == CVM_OP_CONV_GRAD_WEIGHT || 4 * vectors * (double)result[0] <= CACHED)
        return 0;
    while (node && cvm_op_info(node->op)->class != CVM_CLASS_WINDOW)
        node = find_reader(graph, node);
    return node ? 0 : vectors;
}

static Size size_of(const CvmGraph *graph, const CvmNode *node) {
    const CvmType *x = node->op == CVM_OP_CONV_GRAD_INPUT ? &node->type : &node->inputs[0]->type;
    const CvmType *y = node->op == CVM_OP_CONV              ? &node->type
                       : node->op == CVM_OP_CONV_GRAD_INPUT ? &node->inputs[0]->type
                                                            : &node->inputs[1]->type;
    const int64_t *weight = weight_of(node)->shape.sizes;
    int64_t top = cvm_node_attribute(node, "pad")->integers[0];
    Size size = {.inputs = (double)weight[1],
                 .outputs = (double)weight[0],
                 .stored = stored_by(graph, node),
                 .kernel = weight[2],
                 .taps = weight[3],
                 .in = {x->shape.sizes[2], x->shape.sizes[3]},
                 .out = {y->shape.sizes[2], y->shape.sizes[3]}};
    for (int64_t p = 0; p < size.kernel; p++) {
        int64_t first = top > p ? top - p : 0, last = size.in[0] + top - p;
        last = last < size.out[0] ? last : size.out[0];
        size.rows += last > first ? (double)(last - first) : 0;
    }
    return size;
}

static double cost_of_direct(const Size *size) {
    return size->rows * (double)(size->taps * size->out[1]) * size->inputs * size->outputs /
           DIRECT_SHARE;
}

/* Of a tile of a row, for each of its frequencies, there or back. */
static double cost_of_transform(double side) {
    return 0.65 * side - 1.6;
}

static double cost_of_rows(const Size *size, int64_t tile) {
    double side = (double)(tile + size->taps - 1);
    double tiles = (double)((size->out[1] + tile - 1) / tile);
    double lines = size->inputs * (double)size->in[0] + size->outputs * (double)size->out[0];
    return side * tiles *
               (size->rows * size->inputs * size->outputs / SHARE +
                cost_of_transform(side) * lines + STORE * size->outputs * (double)size->out[0]) +
           TO_MEMORY * size->stored;
}

static int64_t best_tile(const Size *size) {
    int64_t best = 0;
    for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++)
        if (cvm_winograd_has_line(tile, size->taps) &&
            (!best || cost_of_rows(size, tile) < cost_of_rows(size, best)))
            best = tile;
    return best;
}

static const char *refuse(const CvmNode *node) {
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    int64_t taps = weight_of(node)->shape.sizes[3];
    if (!cvm_winograd_has_line(2, taps))
        return "its kernel is not 3, 5 or 7 wide";
    if (pad[1] >= taps || pad[3] >= taps) /* tiles at edges have code of their own */
        return "its pads are as wide as its kernel";
    if (stride[0] != 1 || stride[1] != 1 || dilation[0] != 1 || dilation[1] != 1)
        return "it has a stride or dilation";
    if (weight_of(node)->shape.sizes[0] > CVM_WINOGRAD_ROWS_OUTPUTS)
        return "it has many channels";
    return cvm_node_int(node, "groups") != 1 ? "it has groups" : NULL;
}

/* By the model; 0: the direct way. *why: the reason. */
static int64_t choose_tile(const CvmPassContext *context, const CvmGraph *graph,
                           const CvmNode *node, const char **why) {
    *why = refuse(node);
    if (!*why && context->convolution == CVM_CONVOLUTION_DIRECT)
        *why = "direct ones are asked for";
    if (*why)
        return 0;
    Size size = size_of(graph, node);
    int64_t tile = best_tile(&size);
    bool wins = cost_of_rows(&size, tile) < WORTH * cost_of_direct(&size);
    if (!wins && context->convolution != CVM_CONVOLUTION_WINOGRAD) {
        *why = "it would take longer";
        return 0;
    }
    *why = wins ? "fewer multiplications, along rows" : "it is asked for";
    return tile;
}

static const char *name_of(CvmArena *arena, const CvmNode *node, int64_t tile) {
    int64_t taps = weight_of(node)->shape.sizes[3];
    return node->op == CVM_OP_CONV_GRAD_WEIGHT
               ? cvm_arena_format(arena, "F(%lld, %lld)", (long long)taps, (long long)tile)
               : cvm_arena_format(arena, "F(%lld, %lld)", (long long)tile, (long long)taps);
}

/* --- measured ways --- */

static void add_way(CvmTuningChoice *choice, int64_t *tiles, int64_t tile) {
    int count = choice->count;
    if (tile)
        cvm_tuning_offer(choice, "F(%d)", (int)tile);
    else
        cvm_tuning_offer(choice, "direct");
    if (choice->count > count)
        tiles[count] = tile;
}

/* What was measured to be faster than the model's choice, where that was free. */
static int64_t measured_tile(const CvmPassContext *context, const CvmGraph *graph,
                             const CvmNode *node, int64_t model, const char **why) {
    if (!context->tuning || context->convolution != CVM_CONVOLUTION_AUTO || refuse(node))
        return model;
    Size size = size_of(graph, node);
    const CvmType *x = &node->inputs[0]->type;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    CvmTuningChoice choice = {.level = CVM_TUNING_WAY,
                              .layer = node->origin.name ? node->origin.name : ""};
    int64_t tiles[CVM_TUNING_CANDIDATES];
    add_way(&choice, tiles, model);
    add_way(&choice, tiles, 0);
    for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++)
        if (cvm_winograd_has_line(tile, size.taps))
            add_way(&choice, tiles, tile);
    const char *question = cvm_arena_format(
        graph->arena,
        "%s %lldx%lld, %lld pictures by %d, %lldx%lld to %lldx%lld, %d to %d channels, pad %lld "
        "%lld",
        cvm_op_info(node->op)->name, (long long)size.kernel, (long long)size.taps,
        (long long)x->shape.sizes[0], x->lanes, (long long)size.in[0], (long long)size.in[1],
        (long long)size.out[0], (long long)size.out[1], (int)size.inputs, (int)size.outputs,
        (long long)pad[0], (long long)pad[1]);
    int chosen = cvm_tuning_choose(context->tuning, question, &choice);
    const char *measured = cvm_tuning_reason(context->tuning, question, &choice, chosen);
    *why = measured ? measured : *why;
    return tiles[chosen];
}

/* The same operands and attributes, and the tile. */
static bool replace(CvmPassContext *context, CvmGraph *graph, CvmNode *node, int64_t tile) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    int count = cvm_attribute_count(node->op);
    memcpy(attributes, node->attributes, (size_t)count * sizeof *attributes);
    attributes[count].integers[0] = tile;
    CvmOp op = node->op == CVM_OP_CONV              ? CVM_OP_WINOGRAD_ROWS
               : node->op == CVM_OP_CONV_GRAD_INPUT ? CVM_OP_WINOGRAD_ROWS_GRAD_INPUT
                                                    : CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT;
    CvmNode *rows =
        cvm_graph_add(graph, op, node->inputs, 2, attributes, node->origin, context->diag);
    if (rows)
        cvm_graph_replace(graph, node, rows);
    return rows;
}

bool cvm_choose_winograd_rows(CvmPassContext *context, CvmGraph *graph, CvmNode *node) {
    const char *why;
    int64_t tile = choose_tile(context, graph, node, &why);
    tile = measured_tile(context, graph, node, tile, &why);
    bool applies = tile && cvm_may_apply(context);
    if (applies || !tile)
        cvm_remark(context, (CvmRemark){.refused = !applies,
                                        .action = name_of(graph->arena, node, tile),
                                        .node = node,
                                        .reason = why});
    return !applies || replace(context, graph, node, tile);
}
