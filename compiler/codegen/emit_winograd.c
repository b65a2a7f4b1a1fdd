/* The generator of WINOGRAD kernels: convolutions of stride 1 by minimal filtering (the method
 * and its matrices: ops/winograd.h). A work item is a block of tiles for a part of the output
 * channels; all that it makes on the way stays in its thread's scratch memory, small enough for the
 * caches:
 *
 *   1. input     tiles of n x n pixels, transformed; tiles at the picture's edge are first copied
 *                into a patch with zeros around
 *   In turns, each for some steps of output channels together:
 *   2. contract  for each frequency, groups of tiles times the transformed weights: vectors of
 *                output channels meet single elements of the tiles, sums stay in registers
 *   3. result    sums transformed back to m x m pixels, epilogue, store
 *
 *   scratch: transformed [frequency][group][c/lanes][tile of the group][lanes],
 *            sums        [o/lanes of a turn][frequency][tile][lanes],
 *            weights     [frequency][step of a turn][c of a chunk][step], where the item transforms
 *                        filters itself
 *
 * With few tiles the work item does that for a chunk of input channels at a time: filters are less
 * to fetch from memory than their transforms.
 *
 * Every sum has one order, whatever the split over threads. */
#include "compiler/codegen/emit_window.h"
#include "compiler/kernels/schedule.h"

#include <string.h>

enum { MOST_SUMS = 64 };

typedef struct Winograd {
    CvmEmitter *emitter;
    const CvmWinograd *shape;
    CvmTiles tiles;
    int lanes;
    LLVMValueRef first, count; /* the work item's tiles */
    LLVMValueRef
        output; /* first output channel, of the item or the turn, in steps of the weights */
    LLVMValueRef transformed, sums, weights; /* scratch memory */
} Winograd;

static LLVMValueRef constant(const Winograd *winograd, int64_t value) {
    return cvm_i64(winograd->emitter, value);
}

static LLVMValueRef load_vector(const Winograd *winograd, LLVMValueRef pointer,
                                LLVMValueRef elements) {
    return cvm_tile_load(&winograd->tiles, pointer, elements);
}

static void store_vector(const Winograd *winograd, LLVMValueRef value, LLVMValueRef pointer,
                         LLVMValueRef elements) {
    cvm_tile_store(&winograd->tiles, value, pointer, elements);
}

static CvmTilePlace place_of(const Winograd *winograd, LLVMValueRef tile) {
    return cvm_tile_place(&winograd->tiles, cvm_sum(winograd->emitter, winograd->first, tile),
                          winograd->shape->output, winograd->shape->tile);
}

/* --- 1. inputs --- */

/* One tile of one block of channels, of those from `first` on. */
static void emit_input_tile(const Winograd *winograd, LLVMValueRef first, LLVMValueRef block,
                            LLVMValueRef tile) {
    CvmEmitter *emitter = winograd->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinograd *shape = winograd->shape;
    int lanes = winograd->lanes, side = winograd->tiles.matrices.side;
    CvmTilePictures pictures = {emitter->buffers[emitter->kernel->a],
                                shape->channel_groups * shape->inputs / lanes,
                                {shape->input[0], shape->input[1]},
                                {shape->pad[0], shape->pad[1]},
                                side,
                                shape->tile,
                                shape->output};
    CvmTileSource source = {.column_step = lanes, .size = side};
    source.pointer =
        cvm_tile_pixels(&winograd->tiles, &pictures, cvm_sum(emitter, winograd->first, tile),
                        cvm_sum(emitter, first, block), &source.row_step);
    LLVMValueRef group = constant(winograd, shape->group);
    LLVMValueRef to = cvm_sum(
        emitter,
        cvm_scale(emitter, LLVMBuildUDiv(builder, tile, group, ""), shape->inputs * shape->group),
        cvm_sum(emitter, cvm_scale(emitter, block, shape->group * lanes),
                cvm_scale(emitter, LLVMBuildURem(builder, tile, group, ""), lanes)));
    cvm_tile_transform(&winograd->tiles, winograd->tiles.matrices.input, &source,
                       cvm_advance(emitter, winograd->transformed, to),
                       cvm_winograd_input_step(shape));
}

static void emit_inputs(const Winograd *winograd) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t group_steps = shape->outputs / shape->step / shape->channel_groups;
    LLVMValueRef zero = constant(winograd, 0);
    LLVMValueRef blocks = constant(winograd, shape->inputs / winograd->lanes);
    LLVMValueRef first = LLVMBuildMul(
        emitter->builder,
        LLVMBuildUDiv(emitter->builder, winograd->output, constant(winograd, group_steps), ""),
        blocks, "");
    CvmLoop channels = cvm_loop_begin(emitter, zero, blocks, 1);
    CvmLoop tiles = cvm_loop_begin(emitter, zero, winograd->count, 1);
    emit_input_tile(winograd, first, channels.index, tiles.index);
    cvm_loop_end(emitter, &tiles);
    cvm_loop_end(emitter, &channels);
}

/* --- weights --- */

/* One block of input channels for one step of output channels, to `to`: [c][step] of each
 * frequency. */
static void transform_block(const Winograd *winograd, LLVMValueRef filters, LLVMValueRef step,
                            LLVMValueRef block, LLVMValueRef to) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t lanes = shape->lanes, vectors = shape->step / lanes, blocks = shape->inputs / lanes;
    int64_t line = 16, size = shape->taps * shape->taps * lanes * lanes; /* of a filter's block */
    int64_t fetched = (size / line + lanes - 1) / lanes;
    LLVMValueRef zero = constant(winograd, 0);
    CvmLoop inputs = cvm_loop_begin(emitter, zero, constant(winograd, lanes), 1);
    CvmLoop outputs = cvm_loop_begin(emitter, zero, constant(winograd, vectors), 1);
    LLVMValueRef vector = cvm_sum(emitter, cvm_scale(emitter, step, vectors), outputs.index);
    LLVMValueRef filter = cvm_sum(emitter, cvm_scale(emitter, vector, blocks), block);
    LLVMValueRef base = cvm_advance(emitter, filters, cvm_scale(emitter, filter, size));
    LLVMValueRef next =
        cvm_advance(emitter, base, cvm_scale(emitter, inputs.index, fetched * line));
    for (int64_t i = 0; i < fetched; i++)
        cvm_emit_prefetch(emitter, cvm_advance(emitter, next, constant(winograd, size + i * line)));
    LLVMValueRef at = cvm_sum(emitter, cvm_scale(emitter, inputs.index, shape->step),
                              cvm_scale(emitter, outputs.index, lanes));
    CvmTileSource taps = {cvm_advance(emitter, base, cvm_scale(emitter, inputs.index, lanes)),
                          constant(winograd, shape->taps * lanes * lanes), lanes * lanes,
                          (int)shape->taps};
    cvm_tile_transform(&winograd->tiles, winograd->tiles.matrices.weight, &taps,
                       cvm_advance(emitter, to, at), cvm_winograd_weight_step(shape));
    cvm_loop_end(emitter, &outputs);
    cvm_loop_end(emitter, &inputs);
}

/* A chunk of input channels for the turn's output channels, into the scratch memory. */
static void transform_chunk(const Winograd *winograd, LLVMValueRef chunk) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t size = shape->chunk / shape->lanes;
    LLVMValueRef zero = constant(winograd, 0);
    CvmLoop steps = cvm_loop_begin(emitter, zero, constant(winograd, shape->together), 1);
    CvmLoop blocks = cvm_loop_begin(emitter, zero, constant(winograd, size), 1);
    LLVMValueRef to = cvm_sum(emitter, cvm_scale(emitter, steps.index, shape->chunk * shape->step),
                              cvm_scale(emitter, blocks.index, shape->lanes * shape->step));
    transform_block(winograd, emitter->buffers[emitter->kernel->b],
                    cvm_sum(emitter, winograd->output, steps.index),
                    cvm_sum(emitter, cvm_scale(emitter, chunk, size), blocks.index),
                    cvm_advance(emitter, winograd->weights, to));
    cvm_loop_end(emitter, &blocks);
    cvm_loop_end(emitter, &steps);
}

/* --- 2. contraction --- */

/* One input channel: each vector of its weights times each element of the group's tiles. */
static void multiply_channel(const Winograd *winograd, LLVMValueRef weights, LLVMValueRef tiles,
                             int channel, LLVMValueRef *sums) {
    CvmEmitter *emitter = winograd->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinograd *shape = winograd->shape;
    int lanes = winograd->lanes, vectors = (int)(shape->step / lanes);
    LLVMValueRef loaded[4];
    for (int v = 0; v < vectors; v++)
        loaded[v] =
            load_vector(winograd, weights, constant(winograd, channel * shape->step + v * lanes));
    for (int i = 0; i < shape->group; i++) {
        LLVMValueRef at = cvm_advance(emitter, tiles, constant(winograd, i * lanes + channel));
        LLVMValueRef element = cvm_load(emitter, at, 0, &winograd->tiles.all, 0);
        for (int v = 0; v < vectors; v++) {
            LLVMValueRef slot = sums[i * vectors + v];
            LLVMValueRef sum = LLVMBuildLoad2(builder, winograd->tiles.vector, slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, element, loaded[v], sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

/* Input channels whose weights one step has. */
static int64_t step_inputs(const CvmWinograd *shape) {
    return shape->transforms ? shape->chunk : shape->inputs;
}

/* Those of one frequency and step, and those that are read next. Where the kernel transforms
 * filters, also the filters that are transformed next, and a first frequency's share of them. */
typedef struct Weights {
    LLVMValueRef here, next, filters;
} Weights;

/* While a group is multiplied, its share of the filters that are transformed next comes from
 * memory.
 */
static void fetch_filters(const Winograd *winograd, const Weights *weights, LLVMValueRef frequency,
                          LLVMValueRef group) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t line = 16, filter = shape->taps * shape->taps * shape->lanes;
    int64_t shares = winograd->tiles.frequencies * shape->groups;
    int64_t fetched = (shape->chunk * filter / line + shares - 1) / shares;
    LLVMValueRef share = cvm_sum(emitter, cvm_scale(emitter, frequency, shape->groups), group);
    LLVMValueRef at =
        cvm_advance(emitter, weights->filters, cvm_scale(emitter, share, fetched * line));
    for (int64_t v = 0; v < shape->step / shape->lanes; v++)
        for (int64_t i = 0; i < fetched; i++)
            cvm_emit_prefetch(
                emitter, cvm_advance(emitter, at,
                                     constant(winograd, v * shape->inputs * filter + i * line)));
}

/* One group of tiles, for one frequency and one step of output channels. */
typedef struct Group {
    const Weights *weights;
    LLVMValueRef tiles, index, to; /* to: where the sums are stored */
} Group;

/* Over one chunk of input channels, of those that the step has. While a group is multiplied, its
 * share of the weights that come next is fetched. */
static void multiply_chunk(const Winograd *winograd, const Group *group, LLVMValueRef chunk,
                           LLVMValueRef *sums) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t lanes = winograd->lanes, line = 16, blocks = shape->chunk / lanes;
    int64_t fetched = (lanes * shape->step / line + shape->groups - 1) / shape->groups;
    LLVMValueRef first = cvm_scale(emitter, chunk, blocks);
    LLVMValueRef ahead =
        cvm_advance(emitter, group->weights->next,
                    cvm_scale(emitter, group->index, step_inputs(shape) / lanes * fetched * line));
    CvmLoop loop =
        cvm_loop_begin(emitter, first, cvm_sum(emitter, first, constant(winograd, blocks)), 1);
    LLVMValueRef from = cvm_advance(emitter, group->weights->here,
                                    cvm_scale(emitter, loop.index, lanes * shape->step));
    LLVMValueRef elements =
        cvm_advance(emitter, group->tiles, cvm_scale(emitter, loop.index, lanes * shape->group));
    LLVMValueRef next = cvm_advance(emitter, ahead, cvm_scale(emitter, loop.index, fetched * line));
    for (int channel = 0; channel < lanes; channel++) {
        if (channel < fetched)
            cvm_emit_prefetch(emitter,
                              cvm_advance(emitter, next, constant(winograd, channel * line)));
        multiply_channel(winograd, from, elements, channel, sums);
    }
    cvm_loop_end(emitter, &loop);
}

static void store_sums(const Winograd *winograd, LLVMValueRef to, LLVMValueRef *sums, bool adds) {
    const CvmWinograd *shape = winograd->shape;
    LLVMBuilderRef builder = winograd->emitter->builder;
    int lanes = winograd->lanes, vectors = (int)(shape->step / lanes);
    int64_t plane = winograd->tiles.frequencies * cvm_winograd_result_step(shape);
    for (int i = 0; i < shape->group * vectors; i++) {
        LLVMValueRef at = constant(winograd, i % vectors * plane + i / vectors * lanes);
        LLVMValueRef sum = LLVMBuildLoad2(builder, winograd->tiles.vector, sums[i], "");
        if (adds)
            sum = LLVMBuildFAdd(builder, load_vector(winograd, to, at), sum, "");
        store_vector(winograd, sum, to, at);
    }
}

/* Over all chunks. The sums of one are added to those before it; with filters, which the step has
 * one chunk of, sums are cleared before all. */
static void emit_group(const Winograd *winograd, const Group *group) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t chunks = step_inputs(shape) / shape->chunk;
    int count = (int)(shape->group * shape->step / winograd->lanes);
    LLVMValueRef sums[MOST_SUMS];
    for (int i = 0; i < count; i++)
        sums[i] = cvm_stack_slot(emitter, winograd->tiles.vector, "sum");
    CvmLoop loop = cvm_loop_begin(emitter, constant(winograd, 0), constant(winograd, chunks), 1);
    for (int i = 0; i < count; i++)
        LLVMBuildStore(emitter->builder, cvm_float(emitter, winograd->lanes, 0), sums[i]);
    multiply_chunk(winograd, group, loop.index, sums);
    if (shape->transforms || chunks == 1) {
        store_sums(winograd, group->to, sums, shape->transforms);
    } else {
        CvmBranch first =
            cvm_branch_begin(emitter, cvm_tile_is_below(&winograd->tiles, loop.index, 1));
        store_sums(winograd, group->to, sums, false);
        cvm_branch_else(emitter, &first);
        store_sums(winograd, group->to, sums, true);
        cvm_branch_end(emitter, &first);
    }
    cvm_loop_end(emitter, &loop);
}

/* All groups, for one frequency and one step of the turn; `channel` is the first input channel. */
static void emit_groups(const Winograd *winograd, const Weights *weights, LLVMValueRef channel,
                        LLVMValueRef frequency, LLVMValueRef step) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t plane = winograd->tiles.frequencies * cvm_winograd_result_step(shape);
    LLVMValueRef groups = LLVMBuildUDiv(
        emitter->builder, cvm_sum(emitter, winograd->count, constant(winograd, shape->group - 1)),
        constant(winograd, shape->group), "");
    LLVMValueRef tiles =
        cvm_advance(emitter, winograd->transformed,
                    cvm_sum(emitter, cvm_scale(emitter, frequency, cvm_winograd_input_step(shape)),
                            cvm_scale(emitter, channel, shape->group)));
    LLVMValueRef to =
        cvm_advance(emitter, winograd->sums,
                    cvm_sum(emitter, cvm_scale(emitter, frequency, cvm_winograd_result_step(shape)),
                            cvm_scale(emitter, step, shape->step / winograd->lanes * plane)));
    CvmLoop loop = cvm_loop_begin(emitter, constant(winograd, 0), groups, 1);
    if (weights->filters)
        fetch_filters(winograd, weights, frequency, loop.index);
    Group group = {.weights = weights, .index = loop.index};
    group.tiles =
        cvm_advance(emitter, tiles, cvm_scale(emitter, loop.index, shape->inputs * shape->group));
    group.to =
        cvm_advance(emitter, to, cvm_scale(emitter, loop.index, shape->group * winograd->lanes));
    emit_group(winograd, &group);
    cvm_loop_end(emitter, &loop);
}

/* The turn's steps at all frequencies, over input channels from `channel` on. `weights`: of the
 * first frequency and step; a step has `size` of them; `filters`: see Weights, else NULL. A
 * frequency of the tiles stays in the nearest cache for all steps. */
static void emit_frequencies(const Winograd *winograd, LLVMValueRef weights, int64_t size,
                             LLVMValueRef channel, LLVMValueRef filters) {
    CvmEmitter *emitter = winograd->emitter;
    int64_t apart = cvm_winograd_weight_step(winograd->shape), last = winograd->shape->together - 1;
    LLVMValueRef zero = constant(winograd, 0);
    CvmLoop frequencies =
        cvm_loop_begin(emitter, zero, constant(winograd, winograd->tiles.frequencies), 1);
    CvmLoop steps = cvm_loop_begin(emitter, zero, constant(winograd, last + 1), 1);
    LLVMValueRef at = cvm_sum(emitter, cvm_scale(emitter, frequencies.index, apart),
                              cvm_scale(emitter, steps.index, size));
    LLVMValueRef ahead =
        LLVMBuildSelect(emitter->builder, cvm_tile_is_below(&winograd->tiles, steps.index, last),
                        constant(winograd, size), constant(winograd, apart - last * size), "");
    Weights step = {.here = cvm_advance(emitter, weights, at), .filters = filters};
    step.next = cvm_advance(emitter, step.here, ahead);
    emit_groups(winograd, &step, channel, frequencies.index, steps.index);
    cvm_loop_end(emitter, &steps);
    cvm_loop_end(emitter, &frequencies);
}

/* With weights that stand transformed. */
static void emit_contraction(const Winograd *winograd) {
    CvmEmitter *emitter = winograd->emitter;
    int64_t size = winograd->shape->inputs * winograd->shape->step;
    LLVMValueRef weights = cvm_advance(emitter, emitter->buffers[emitter->kernel->b],
                                       cvm_scale(emitter, winograd->output, size));
    emit_frequencies(winograd, weights, size, constant(winograd, 0), NULL);
}

static void clear_sums(const Winograd *winograd) {
    CvmEmitter *emitter = winograd->emitter;
    LLVMValueRef count = constant(winograd, cvm_winograd_results(winograd->shape));
    CvmLoop loop = cvm_loop_begin(emitter, constant(winograd, 0), count, winograd->lanes);
    store_vector(winograd, cvm_float(emitter, winograd->lanes, 0), winograd->sums, loop.index);
    cvm_loop_end(emitter, &loop);
}

/* The first of the filters that are transformed after a chunk: those of the next one, or of the
 * next turn's first one. */
static LLVMValueRef next_filters(const Winograd *winograd, LLVMValueRef chunk) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int64_t filter = shape->taps * shape->taps * shape->lanes,
            last = shape->inputs / shape->chunk - 1;
    LLVMValueRef next = LLVMBuildSelect(
        emitter->builder, cvm_tile_is_below(&winograd->tiles, chunk, last),
        cvm_scale(emitter, cvm_sum(emitter, chunk, constant(winograd, 1)), shape->chunk * filter),
        constant(winograd, shape->inputs * filter * (shape->step / shape->lanes)), "");
    LLVMValueRef turn =
        cvm_scale(emitter, winograd->output, shape->inputs * filter * (shape->step / shape->lanes));
    return cvm_advance(emitter, emitter->buffers[emitter->kernel->b], cvm_sum(emitter, turn, next));
}

/* With filters: what was just transformed is multiplied at all frequencies. */
static void emit_contraction_with_filters(const Winograd *winograd) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    clear_sums(winograd);
    CvmLoop chunks = cvm_loop_begin(emitter, constant(winograd, 0),
                                    constant(winograd, shape->inputs / shape->chunk), 1);
    transform_chunk(winograd, chunks.index);
    emit_frequencies(winograd, winograd->weights, shape->chunk * shape->step,
                     cvm_scale(emitter, chunks.index, shape->chunk),
                     next_filters(winograd, chunks.index));
    cvm_loop_end(emitter, &chunks);
}

/* --- 3. results --- */

static CvmPixel pixel_of(const Winograd *winograd, LLVMValueRef *index, int64_t down,
                         int64_t right) {
    CvmPixel pixel = {
        .emitter = winograd->emitter, .lanes = &winograd->tiles.all, .down = down, .right = right};
    memcpy(pixel.index, index, sizeof pixel.index);
    return pixel;
}

static void finish_whole_tile(const Winograd *winograd, const CvmTilePlace *place,
                              LLVMValueRef channels, CvmTile results) {
    int m = winograd->tiles.matrices.tile;
    int down = (int)cvm_window_together(winograd->emitter->kernel, 0),
        right = (int)cvm_window_together(winograd->emitter->kernel, 1);
    for (int i = 0; i < m; i += down)
        for (int j = 0; j < m; j += right) {
            CvmTile values;
            for (int k = 0; k < down * right; k++)
                values[k / right][k % right] = results[i + k / right][j + k % right];
            cvm_emit_window(
                pixel_of(winograd,
                         (LLVMValueRef[]){place->picture, channels, place->row, place->column}, i,
                         j),
                values);
        }
}

/* Windows along an axis of a tile that lie in the picture as a whole. */
static LLVMValueRef windows_inside(const Winograd *winograd, int axis, LLVMValueRef first) {
    CvmEmitter *emitter = winograd->emitter;
    int64_t together = cvm_window_together(winograd->emitter->kernel, axis);
    LLVMValueRef before = LLVMBuildUDiv(emitter->builder, first, constant(winograd, together), "");
    LLVMValueRef left = LLVMBuildNSWSub(
        emitter->builder, constant(winograd, winograd->shape->output[axis] / together), before, "");
    return cvm_tile_smaller(&winograd->tiles,
                            constant(winograd, winograd->tiles.matrices.tile / together), left);
}

/* The results of a tile that reaches over the picture's end, by way of the patch. */
static void finish_cut_tile(const Winograd *winograd, const CvmTilePlace *place,
                            LLVMValueRef channels, CvmTile results) {
    CvmEmitter *emitter = winograd->emitter;
    int m = winograd->tiles.matrices.tile, lanes = winograd->lanes;
    int64_t down = cvm_window_together(winograd->emitter->kernel, 0),
            right = cvm_window_together(winograd->emitter->kernel, 1);
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++)
            store_vector(winograd, results[i][j], winograd->tiles.patch,
                         constant(winograd, (i * m + j) * lanes));
    LLVMValueRef zero = constant(winograd, 0);
    CvmLoop rows = cvm_loop_begin(emitter, zero, windows_inside(winograd, 0, place->row), 1);
    CvmLoop columns = cvm_loop_begin(emitter, zero, windows_inside(winograd, 1, place->column), 1);
    LLVMValueRef row = cvm_scale(emitter, rows.index, down);
    LLVMValueRef column = cvm_scale(emitter, columns.index, right);
    LLVMValueRef at =
        cvm_scale(emitter, cvm_sum(emitter, cvm_scale(emitter, row, m), column), lanes);
    CvmTile values;
    for (int64_t i = 0; i < down; i++)
        for (int64_t j = 0; j < right; j++)
            values[i][j] =
                load_vector(winograd, winograd->tiles.patch,
                            cvm_sum(emitter, at, constant(winograd, (i * m + j) * lanes)));
    LLVMValueRef index[] = {place->picture, channels, cvm_sum(emitter, place->row, row),
                            cvm_sum(emitter, place->column, column)};
    cvm_emit_window(pixel_of(winograd, index, 0, 0), values);
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}

/* One tile of one vector of output channels. */
static void emit_result_tile(const Winograd *winograd, LLVMValueRef vector, LLVMValueRef tile) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    int m = winograd->tiles.matrices.tile;
    int64_t plane = winograd->tiles.frequencies * cvm_winograd_result_step(shape);
    LLVMValueRef from = cvm_sum(emitter, cvm_scale(emitter, vector, plane),
                                cvm_scale(emitter, tile, winograd->lanes));
    CvmTile results;
    cvm_tile_results(&winograd->tiles, cvm_advance(emitter, winograd->sums, from),
                     cvm_winograd_result_step(shape), results);
    CvmTilePlace place = place_of(winograd, tile);
    LLVMValueRef channels = cvm_sum(
        emitter, cvm_scale(emitter, winograd->output, shape->step / winograd->lanes), vector);
    LLVMValueRef whole = LLVMBuildAnd(
        emitter->builder, cvm_tile_is_below(&winograd->tiles, place.row, shape->output[0] - m + 1),
        cvm_tile_is_below(&winograd->tiles, place.column, shape->output[1] - m + 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, whole);
    finish_whole_tile(winograd, &place, channels, results);
    cvm_branch_else(emitter, &branch);
    finish_cut_tile(winograd, &place, channels, results);
    cvm_branch_end(emitter, &branch);
}

static void emit_results(const Winograd *winograd) {
    CvmEmitter *emitter = winograd->emitter;
    const CvmWinograd *shape = winograd->shape;
    LLVMValueRef zero = constant(winograd, 0);
    LLVMValueRef vectors = constant(winograd, shape->together * shape->step / winograd->lanes);
    CvmLoop channels = cvm_loop_begin(emitter, zero, vectors, 1);
    CvmLoop tiles = cvm_loop_begin(emitter, zero, winograd->count, 1);
    emit_result_tile(winograd, channels.index, tiles.index);
    cvm_loop_end(emitter, &tiles);
    cvm_loop_end(emitter, &channels);
}

/* --- the work item --- */

static void emit_turns(const Winograd *item) {
    CvmEmitter *emitter = item->emitter;
    const CvmWinograd *shape = item->shape;
    int64_t turns = shape->outputs / shape->step / shape->parts / shape->together;
    CvmLoop loop = cvm_loop_begin(emitter, constant(item, 0), constant(item, turns), 1);
    Winograd turn = *item;
    turn.output = cvm_sum(emitter, item->output, cvm_scale(emitter, loop.index, shape->together));
    if (shape->transforms)
        emit_contraction_with_filters(&turn);
    else
        emit_contraction(&turn);
    emit_results(&turn);
    cvm_loop_end(emitter, &loop);
}

static Winograd begin(CvmEmitter *emitter) {
    const CvmWinograd *shape = &emitter->kernel->winograd;
    return (Winograd){.emitter = emitter,
                      .shape = shape,
                      .tiles = cvm_tiles_begin(emitter, shape->tile, shape->taps, shape->lanes),
                      .lanes = (int)shape->lanes};
}

/* Whether the thread did not just do the item before, for another part of the same group of
 * channels, whose inputs are the same. */
static LLVMValueRef needs_inputs(const Winograd *winograd, LLVMValueRef item) {
    CvmEmitter *emitter = winograd->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t group_parts = winograd->shape->parts / winograd->shape->channel_groups;
    LLVMValueRef begin = LLVMGetParam(emitter->function, 1);
    LLVMValueRef part = LLVMBuildURem(builder, item, constant(winograd, group_parts), "");
    return LLVMBuildOr(builder, LLVMBuildICmp(builder, LLVMIntEQ, item, begin, ""),
                       LLVMBuildICmp(builder, LLVMIntEQ, part, constant(winograd, 0), ""), "");
}

/* Items of one block stand together, so that a thread transforms its tiles once. */
void cvm_emit_winograd(CvmEmitter *emitter, LLVMValueRef item) {
    LLVMBuilderRef builder = emitter->builder;
    Winograd winograd = begin(emitter);
    const CvmWinograd *shape = winograd.shape;
    int64_t block = shape->group * shape->groups, tiles = cvm_winograd_tiles(shape);
    LLVMValueRef parts = constant(&winograd, shape->parts);
    winograd.first = cvm_scale(emitter, LLVMBuildUDiv(builder, item, parts, ""), block);
    winograd.count =
        cvm_tile_smaller(&winograd.tiles, constant(&winograd, block),
                         LLVMBuildNSWSub(builder, constant(&winograd, tiles), winograd.first, ""));
    winograd.output = cvm_scale(emitter, LLVMBuildURem(builder, item, parts, ""),
                                shape->outputs / shape->step / shape->parts);
    winograd.transformed = emitter->buffers[shape->scratch];
    winograd.sums = cvm_advance(
        emitter, winograd.transformed,
        constant(&winograd, winograd.tiles.frequencies * cvm_winograd_input_step(shape)));
    winograd.weights =
        cvm_advance(emitter, winograd.sums, constant(&winograd, cvm_winograd_results(shape)));
    CvmBranch branch = cvm_branch_begin(emitter, needs_inputs(&winograd, item));
    emit_inputs(&winograd);
    cvm_branch_end(emitter, &branch);
    emit_turns(&winograd);
}

/* A WINOGRAD_WEIGHT item is one block of input channels for one step of output channels. */
void cvm_emit_winograd_weight(CvmEmitter *emitter, LLVMValueRef item) {
    LLVMBuilderRef builder = emitter->builder;
    Winograd winograd = begin(emitter);
    const CvmWinograd *shape = winograd.shape;
    LLVMValueRef blocks = constant(&winograd, shape->inputs / shape->lanes);
    LLVMValueRef step = LLVMBuildUDiv(builder, item, blocks, "");
    LLVMValueRef to = cvm_advance(emitter, emitter->buffers[1],
                                  cvm_scale(emitter, item, shape->lanes * shape->step));
    transform_block(&winograd, emitter->buffers[0], step, LLVMBuildURem(builder, item, blocks, ""),
                    to);
}
