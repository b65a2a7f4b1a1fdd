/* Winograd: which convolutions, and gradients of filters, are computed by minimal filtering, and
 * with tiles of which size, from a model of what each way costs. It runs after the layouts are
 * known: this file is about pictures in channel blocks, winograd_rows.c about batch-blocked ones.
 * The weights' transform becomes a node of its own, which is computed once where it depends on
 * parameters alone; or it is left to the convolution's kernel, where that has few tiles. */
#include "compiler/ops/winograd.h"
#include "compiler/ops/pool_window.h"
#include "compiler/passes/pass.h"

#include <string.h>

/* Costs are in multiply-adds of vectors. A transform costs about so many of them for each frequency
 * of a tile's vector and each pixel along its side (measured on AVX2), more of tiles with 9 x 9
 * inputs, whose frequencies leave the second cache; and the shares of the peak are what kernels
 * reach. */
static const double TRANSFORM = 0.92, TRANSFORM_LARGEST = 2.3;
static const double DIRECT_SHARE = 0.9, CONTRACTION_SHARE = 0.8;
/* The same for the transform of a weight's vector, which stays in the nearest caches. */
static const double WEIGHT_TRANSFORM = 8;
/* While a vector is multiplied, so many bytes for each of its lanes can come from memory; and about
 * half of that time is hidden behind the arithmetic, where there is as much of that. */
static const double BYTES_A_LANE = 0.22, HIDDEN = 0.5;
/* Larger tiles have more weights, 2.25 times as many for 4 as for 2: they must be worth it, and may
 * take so many bytes for each picture of the batch. */
static const double WORTH = 0.9, MOST_WEIGHTS = 22e6;
/* Of a vector of results that is stored and read again since no pooling joins the kernel. */
static const double UNPOOLED = 25;

bool cvm_convolution_parse(const char *text, CvmConvolution *convolution, CvmDiag *diag) {
    static const char *const names[] = {[CVM_CONVOLUTION_AUTO] = "auto",
                                        [CVM_CONVOLUTION_DIRECT] = "direct",
                                        [CVM_CONVOLUTION_WINOGRAD] = "winograd"};
    *convolution = CVM_CONVOLUTION_AUTO;
    for (int i = 0; text && i < 3; i++)
        if (strcmp(names[i], text) == 0) {
            *convolution = (CvmConvolution)i;
            return true;
        }
    return !text || cvm_diag_error(diag, 1172, (CvmSpan){0}, NULL, "use auto, direct or winograd",
                                   "no convolutions are called '%s'", text);
}

typedef struct Size {
    double groups, inputs; /* inputs: channels of a group */
    double vectors;        /* of output channels, of all groups */
    double pictures, height, width;
    int64_t taps;      /* along a side of the filter */
    int64_t window[2]; /* of a pooling behind it that may join its kernel, or 1, 1 */
    int lanes;
    bool learns; /* weights change at every step */
    bool trains; /* the graph does, perhaps with other weights */
} Size;

static bool learns(const CvmGraph *graph, const CvmNode *value) {
    for (; value->input_count > 0; value = value->inputs[0])
        ;
    return value->op == CVM_OP_PARAMETER && cvm_learns(graph, value);
}

/* Of a convolution or of its filters' gradient, which have the same values in other roles. */
static const CvmType *filter_of(const CvmNode *node) {
    return node->op == CVM_OP_CONV ? &node->inputs[1]->type : &node->type;
}

static const CvmType *results_of(const CvmNode *node) {
    return node->op == CVM_OP_CONV ? &node->type : &node->inputs[1]->type;
}

/* NULL: none that could join the convolution's kernel. */
static const CvmNode *pool_behind(const CvmGraph *graph, const CvmNode *value) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->input_count == 0 || node->inputs[0] != value)
            continue;
        if (node->op == CVM_OP_MAXPOOL || node->op == CVM_OP_AVGPOOL)
            return cvm_pool_is_separate(node) ? node : NULL;
        if (cvm_is_pointwise(node))
            value = node;
    }
    return NULL;
}

static Size size_of(const CvmGraph *graph, const CvmNode *node) {
    const int64_t *y = results_of(node)->shape.sizes, *weight = filter_of(node)->shape.sizes;
    int lanes = node->inputs[0]->type.lanes;
    const CvmNode *pool = pool_behind(graph, node);
    const int64_t *window = pool ? cvm_node_attribute(pool, "kernel")->integers : (int64_t[]){1, 1};
    return (Size){.groups = (double)cvm_node_int(node, "groups"),
                  .inputs = (double)weight[1],
                  .vectors = (double)weight[0] / lanes,
                  .pictures = (double)y[0],
                  .height = (double)y[2],
                  .width = (double)y[3],
                  .taps = weight[2],
                  .window = {window[0], window[1]},
                  .lanes = lanes,
                  .learns = learns(graph, node->inputs[1]),
                  .trains = graph->update_count > 0};
}

/* Inputs along a side of a tile. */
static int64_t side_of(const Size *size, int64_t tile) {
    return tile + size->taps - 1;
}

static double cost_of_memory(const Size *size, double values) {
    return values * size->inputs * size->vectors * 4 / BYTES_A_LANE;
}

static double exposed(double memory, double arithmetic) {
    return memory - HIDDEN * (memory < arithmetic ? memory : arithmetic);
}

static double cost_of_direct(const Size *size) {
    double taps = (double)(size->taps * size->taps);
    double products = taps * size->inputs * size->vectors;
    double cost = products * size->pictures * size->height * size->width / DIRECT_SHARE;
    return cost + exposed(cost_of_memory(size, taps), cost);
}

static double tiles_of(const Size *size, int64_t tile) {
    double down = (double)(((int64_t)size->height + tile - 1) / tile);
    double across = (double)(((int64_t)size->width + tile - 1) / tile);
    return size->pictures * down * across;
}

/* How a convolution is computed: by tiles of which size, and whether its kernel transforms the
 * filters itself. Tile 0 is the direct way. */
typedef struct Way {
    int64_t tile;
    bool transforms;
    double cost;
} Way;

/* arithmetic: what weights may be fetched meanwhile. */
static double cost_of_weights(const Size *size, const Way *way, double arithmetic) {
    double taps = (double)(size->taps * size->taps), side = (double)side_of(size, way->tile);
    if (way->transforms)
        return exposed(cost_of_memory(size, taps), arithmetic) +
               WEIGHT_TRANSFORM * side * side * size->inputs * size->vectors;
    double cost = exposed(cost_of_memory(size, side * side), arithmetic);
    if (size->learns) /* transformed, stored and read again */
        cost += cost_of_memory(size, taps + 2 * side * side);
    return cost;
}

static double cost_of_pool(const Size *size, int64_t tile) {
    bool joins = tile % size->window[0] == 0 && tile % size->window[1] == 0;
    return joins ? 0 : UNPOOLED * size->vectors * size->pictures * size->height * size->width;
}

static double cost_of_tiles(const Size *size, const Way *way) {
    double side = (double)side_of(size, way->tile);
    double vectors = size->groups * size->inputs / size->lanes + size->vectors;
    double frequencies = tiles_of(size, way->tile) * side * side;
    double products = frequencies * size->inputs * size->vectors / CONTRACTION_SHARE;
    double transform =
        side_of(size, way->tile) > CVM_WINOGRAD_LARGE ? TRANSFORM_LARGEST : TRANSFORM;
    return products + frequencies * transform * side * vectors +
           cost_of_weights(size, way, products) + cost_of_pool(size, way->tile);
}

/* Of the filters' gradient. Work items have up to so many input and output channels, and there are
 * four of them, so that each tile is transformed several times. */
static const double ITEM_CHANNELS = 128;

static double cost_of_gradient(const Size *size, int64_t tile) {
    double side = (double)side_of(size, tile), outputs = size->vectors * size->lanes;
    double in_group = outputs / size->groups;
    double input_turns = in_group > 2 * ITEM_CHANNELS ? in_group / ITEM_CHANNELS : 2;
    double output_turns = size->inputs > 2 * ITEM_CHANNELS ? size->inputs / ITEM_CHANNELS : 2;
    double vectors =
        size->groups * size->inputs / size->lanes * input_turns + size->vectors * output_turns;
    return side * side *
           (tiles_of(size, tile) *
                (size->inputs * size->vectors / CONTRACTION_SHARE + TRANSFORM * side * vectors) +
            TRANSFORM * side * size->inputs * size->vectors);
}

/* Groups of channels have to be whole blocks, and of a convolution whole steps of the weights. */
static const char *refuse_groups(const CvmNode *conv, const CvmType *weight) {
    int64_t groups = cvm_node_int(conv, "groups"), outputs = weight->shape.sizes[0];
    if (groups == 1)
        return NULL;
    int64_t step =
        conv->op == CVM_OP_CONV ? cvm_winograd_step(outputs, weight->lanes) : weight->lanes;
    bool whole = weight->shape.sizes[1] % weight->lanes == 0 && outputs / groups % step == 0;
    return whole ? NULL : "its groups are not whole blocks of channels";
}

static const char *refuse(const CvmNode *conv) {
    const CvmType *x = &conv->inputs[0]->type, *weight = filter_of(conv);
    const int64_t *stride = cvm_node_attribute(conv, "stride")->integers;
    const int64_t *dilation = cvm_node_attribute(conv, "dilation")->integers;
    const int64_t *kernel = weight->shape.sizes + 2;
    if (kernel[0] != kernel[1] || !cvm_winograd_has(2, kernel[0]))
        return "its kernel is not 3x3, 5x5 or 7x7";
    if (stride[0] != 1 || stride[1] != 1 || dilation[0] != 1 || dilation[1] != 1)
        return "it has a stride or dilation";
    if (x->layout != CVM_LAYOUT_CHANNEL || weight->layout != CVM_LAYOUT_FILTER)
        return "its pictures are not in channel blocks";
    return refuse_groups(conv, weight);
}

/* In training the largest tiles are left alone: transforms of weights at every step eat most of
 * what they gain, and gradients would be further from exact ones. */
static bool is_exact_enough(const Size *size, int64_t tile) {
    return side_of(size, tile) <= CVM_WINOGRAD_LARGE || !size->trains;
}

static bool weights_fit(const Size *size, int64_t tile) {
    double side = (double)side_of(size, tile);
    double bytes = side * side * 4 * size->inputs * size->vectors * size->lanes;
    return bytes <= MOST_WEIGHTS * size->pictures;
}

/* A kernel that transforms filters does so for each block of tiles; and of tiles with 9 x 9 inputs
 * a second cache holds the filters of too few channels. */
static bool may_transform(const Size *size, int64_t tile) {
    return tiles_of(size, tile) <= CVM_WINOGRAD_FEW_TILES &&
           side_of(size, tile) <= CVM_WINOGRAD_LARGE;
}

static bool may_take(const Size *size, const Way *way) {
    if (!cvm_winograd_has(way->tile, size->taps) || !is_exact_enough(size, way->tile))
        return false;
    return way->transforms ? may_transform(size, way->tile)
                           : way->tile == 2 || weights_fit(size, way->tile);
}

/* Transformed weights of a larger tile take more memory, and have to be worth it. */
static Way best_way(const Size *size) {
    Way best = {0};
    for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++)
        for (int transforms = 0; transforms < 2; transforms++) {
            Way way = {.tile = tile, .transforms = transforms};
            way.cost = cost_of_tiles(size, &way);
            if (may_take(size, &way) &&
                (!best.tile || way.cost < (transforms ? 1 : WORTH) * best.cost))
                best = way;
        }
    return best;
}

/* Of 5x5 and larger filters, tiles of 8 x 8 inputs would take the gradient further from the exact
 * one than a ten-thousandth, where a large one has small elements (docs/performance.md). */
static bool gradient_is_exact_enough(const Size *size, int64_t tile) {
    return side_of(size, tile) < CVM_WINOGRAD_LARGE || size->taps == 3;
}

static Way best_way_of_gradient(const Size *size) {
    Way best = {0};
    for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++) {
        if (!cvm_winograd_has(size->taps, tile) || !gradient_is_exact_enough(size, tile))
            continue;
        double cost = cost_of_gradient(size, tile);
        if (!best.tile || cost < WORTH * best.cost)
            best = (Way){.tile = tile, .cost = cost};
    }
    return best;
}

/* By the model. Tile 0 where the direct way is to be taken. *why: the reason. */
static Way choose_way(const CvmPassContext *context, const CvmGraph *graph, const CvmNode *conv,
                      const char **why) {
    *why = refuse(conv);
    if (!*why && context->convolution == CVM_CONVOLUTION_DIRECT)
        *why = "direct ones are asked for";
    if (*why)
        return (Way){0};
    Size size = size_of(graph, conv);
    Way way = conv->op == CVM_OP_CONV ? best_way(&size) : best_way_of_gradient(&size);
    if (!way.tile) {
        *why = "it would be too far from the exact gradient";
        return way;
    }
    bool wins = way.cost < WORTH * cost_of_direct(&size);
    if (!wins && context->convolution != CVM_CONVOLUTION_WINOGRAD) {
        *why = "it would take longer";
        return (Way){0};
    }
    *why = !wins            ? "it is asked for"
           : way.transforms ? "fewer multiplications, filters transformed on the way"
                            : "fewer multiplications";
    return way;
}

/* --- measured ways --- */

/* The ways that can be taken, the model's first. */
typedef struct Ways {
    Way list[CVM_TUNING_CANDIDATES];
    CvmTuningChoice choice; /* they by name */
} Ways;

static void add_way(Ways *ways, Way way) {
    int count = ways->choice.count;
    if (way.tile)
        cvm_tuning_offer(&ways->choice, "F(%d)%s", (int)way.tile,
                         way.transforms ? " on the way" : "");
    else
        cvm_tuning_offer(&ways->choice, "direct");
    if (ways->choice.count > count)
        ways->list[count] = way;
}

static void add_ways(Ways *ways, const Size *size) {
    add_way(ways, (Way){0});
    for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++)
        for (int transforms = 0; transforms < 2; transforms++) {
            Way way = {.tile = tile, .transforms = transforms};
            if (may_take(size, &way))
                add_way(ways, way);
        }
}

/* What was measured to be faster than the model's choice, where that was free. */
static Way measured_way(const CvmPassContext *context, const CvmGraph *graph, const CvmNode *conv,
                        Way model, const char **why) {
    if (!context->tuning || conv->op != CVM_OP_CONV ||
        context->convolution != CVM_CONVOLUTION_AUTO || refuse(conv))
        return model;
    Size size = size_of(graph, conv);
    Ways ways = {
        .choice = {.level = CVM_TUNING_WAY, .layer = conv->origin.name ? conv->origin.name : ""}};
    add_way(&ways, model);
    add_ways(&ways, &size);
    const int64_t *pad = cvm_node_attribute(conv, "pad")->integers;
    const char *question = cvm_arena_format(
        graph->arena,
        "conv %lldx%lld, %lld pictures %lldx%lld, %lld to %lld channels in %lld groups by %d, pad "
        "%lld %lld%s",
        (long long)size.taps, (long long)size.taps, (long long)size.pictures,
        (long long)size.height, (long long)size.width, (long long)size.inputs,
        (long long)(size.vectors * size.lanes), (long long)size.groups, size.lanes,
        (long long)pad[0], (long long)pad[1], size.learns ? ", learns" : "");
    int chosen = cvm_tuning_choose(context->tuning, question, &ways.choice);
    const char *measured = cvm_tuning_reason(context->tuning, question, &ways.choice, chosen);
    *why = measured ? measured : *why;
    return ways.list[chosen];
}

static const char *name_of(CvmArena *arena, const CvmNode *conv, int64_t tile) {
    int m = (int)tile, r = (int)filter_of(conv)->shape.sizes[2];
    return conv->op == CVM_OP_CONV ? cvm_arena_format(arena, "F(%dx%d, %dx%d)", m, m, r, r)
                                   : cvm_arena_format(arena, "F(%dx%d, %dx%d)", r, r, m, m);
}

static CvmNode *add_gradient(CvmPassContext *context, CvmGraph *graph, CvmNode *node,
                             int64_t tile) {
    CvmAttribute attributes[] = {*cvm_node_attribute(node, "pad"),
                                 {.integers = {tile}},
                                 {.integers = {node->type.shape.sizes[2]}},
                                 *cvm_node_attribute(node, "groups")};
    return cvm_graph_add(graph, CVM_OP_WINOGRAD_GRAD_WEIGHT, node->inputs, 2, attributes,
                         node->origin, context->diag);
}

static CvmNode *add_convolution(CvmPassContext *context, CvmGraph *graph, CvmNode *conv,
                                const Way *way) {
    CvmAttribute tile = {.integers = {way->tile}};
    CvmNode *weight = conv->inputs[1];
    if (!way->transforms)
        weight = cvm_graph_add(graph, CVM_OP_WINOGRAD_WEIGHT, &weight, 1, &tile, conv->origin,
                               context->diag);
    if (!weight)
        return NULL;
    CvmNode *operands[] = {conv->inputs[0], weight};
    CvmAttribute attributes[] = {*cvm_node_attribute(conv, "pad"), tile,
                                 *cvm_node_attribute(conv, "groups")};
    return cvm_graph_add(graph, CVM_OP_WINOGRAD, operands, 2, attributes, conv->origin,
                         context->diag);
}

static bool replace(CvmPassContext *context, CvmGraph *graph, CvmNode *conv, const Way *way) {
    CvmNode *node = conv->op == CVM_OP_CONV ? add_convolution(context, graph, conv, way)
                                            : add_gradient(context, graph, conv, way->tile);
    if (node)
        cvm_graph_replace(graph, conv, node);
    return node;
}

/* For pictures in channel blocks. */
static bool choose_tiles(CvmPassContext *context, CvmGraph *graph, CvmNode *conv) {
    const char *why;
    Way way = choose_way(context, graph, conv, &why);
    way = measured_way(context, graph, conv, way, &why);
    bool applies = way.tile && cvm_may_apply(context);
    if (applies || !way.tile)
        cvm_remark(context, (CvmRemark){.refused = !applies,
                                        .action = name_of(graph->arena, conv, way.tile),
                                        .node = conv,
                                        .reason = why});
    return !applies || replace(context, graph, conv, &way);
}

/* The last node takes the place of the one that it stands for: later, what it reads would have to
 * be kept for longer. */
static void move_last(CvmGraph *graph, int to) {
    CvmNode *replaced = graph->nodes[to];
    graph->nodes[to] = graph->nodes[graph->node_count - 1];
    graph->nodes[graph->node_count - 1] = replaced;
}

bool cvm_choose_winograd(CvmPassContext *context, CvmGraph *graph) {
    int count = graph->node_count;
    for (int i = 0; i < count; i++) {
        CvmNode *node = graph->nodes[i];
        bool convolves = node->op == CVM_OP_CONV || node->op == CVM_OP_CONV_GRAD_WEIGHT;
        bool by_rows = (convolves || node->op == CVM_OP_CONV_GRAD_INPUT) &&
                       node->inputs[0]->type.layout == CVM_LAYOUT_BATCH;
        int nodes = graph->node_count;
        if (node->group != CVM_NO_GROUP || (!convolves && !by_rows))
            continue;
        if (!(by_rows ? cvm_choose_winograd_rows(context, graph, node)
                      : choose_tiles(context, graph, node)))
            return false;
        if (graph->node_count > nodes)
            move_last(graph, i);
    }
    if (cvm_graph_sort(graph)) /* weights' transforms stand at the end */
        cvm_drop_unread(context, graph);
    return true;
}
