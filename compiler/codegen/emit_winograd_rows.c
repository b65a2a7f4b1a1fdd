/* The generator of WINOGRAD_ROWS kernels: convolutions of batch-blocked pictures, and their
 * gradients with respect to pictures, by minimal filtering along rows (ops/winograd_rows.c). A work
 * item is a block of pictures. Its thread transforms the filters once, and for each item:
 *
 *   1. input     rows of what is read, transformed, as many as its part of the scratch memory holds
 *   For a band of rows of the result at a time, small enough for the nearest cache:
 *   2. contract  for each frequency, sums over channels and the filter's rows: vectors of tiles
 *                meet single elements of the filters, sums stay in registers
 *   3. result    sums transformed back to a row, epilogue, store
 *
 *   scratch: filters     [frequency][weights' channels][rows of the filter],
 *            transformed [frequency][channel][row][tile][lanes],
 *            sums        [frequency][channel][row of the band][tile][lanes],
 *            line        as many rows of the result as a pooling combines, with room for what tiles
 *                        reach over its ends
 *
 * Forward, a tile's results follow from its sums by A. The gradient of pictures is the same the
 * other way round: tiles of the given gradient by A^t, and sums by B^t to pixels, to which
 * neighbouring tiles add. */
#include "compiler/codegen/emit_row_tiles.h"
#include "compiler/codegen/emit_window.h"
#include "compiler/kernels/schedule.h"

#include <string.h>

enum { SIDE = CVM_WINOGRAD_SIDE, MOST_SUMS = 64, MOST_TILES = 16 };

typedef struct Filtering {
    CvmEmitter *emitter;
    const CvmWinogradRows *shape;
    CvmTiles tiles;
    double input[SIDE][SIDE], result[SIDE][SIDE]; /* to frequencies, and back */
    int64_t lanes, count;                         /* count: tiles in a row */
    LLVMValueRef item, chunk, band; /* block of pictures; first rows of the result in both */
    LLVMValueRef filters, transformed, sums, line; /* scratch memory */
} Filtering;

static LLVMValueRef constant(const Filtering *filtering, int64_t value) {
    return cvm_i64(filtering->emitter, value);
}

/* Where the frequencies' matrices lead: see the head of this file. */
static void set_matrices(Filtering *filtering) {
    const CvmWinogradMatrices *m = &filtering->tiles.matrices;
    for (int i = 0; i < SIDE; i++)
        for (int k = 0; k < SIDE; k++) {
            bool back = filtering->shape->back;
            filtering->input[i][k] = back ? m->result[k][i] : m->input[i][k];
            filtering->result[i][k] = back ? m->input[k][i] : m->result[i][k];
        }
}

/* Rows above the result's first that its first one reads. */
static int64_t rows_above(const CvmWinogradRows *shape) {
    return shape->back ? shape->kernel - 1 - shape->pad[0] : shape->pad[0];
}

/* --- filters --- */

/* How far filters lie apart whose outputs, or inputs, are neighbours. They lie as forward, so that
 * the two change places in the gradient. */
static int64_t output_step(const CvmWinogradRows *shape) {
    return shape->back ? shape->kernel : shape->inputs * shape->kernel;
}

static int64_t input_step(const CvmWinogradRows *shape) {
    return shape->back ? shape->outputs * shape->kernel : shape->kernel;
}

/* Some neighbouring rows of filters, one in each lane. */
static void transform_filters(const Filtering *filtering, LLVMValueRef row, const CvmLanes *lanes) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    LLVMValueRef from = cvm_advance(emitter, emitter->buffers[emitter->kernel->b],
                                    cvm_scale(emitter, row, shape->taps));
    LLVMValueRef to = cvm_advance(emitter, filtering->filters, row), taps[SIDE], out[SIDE];
    for (int64_t i = 0; i < shape->taps; i++)
        taps[i] = cvm_load(emitter, cvm_advance(emitter, from, constant(filtering, i)), shape->taps,
                           lanes, 0);
    cvm_tile_to_frequencies(&filtering->tiles, filtering->tiles.matrices.weight, (int)shape->taps,
                            taps, out);
    for (int i = 0; i < filtering->tiles.matrices.side; i++)
        cvm_store(
            emitter, out[i],
            cvm_advance(emitter, to, constant(filtering, i * cvm_winograd_rows_filter_step(shape))),
            1, lanes);
}

static void emit_filters(const Filtering *filtering) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int lanes = (int)filtering->lanes;
    int64_t rows = shape->inputs * shape->outputs * shape->kernel, whole = rows / lanes * lanes;
    CvmLanes rest = cvm_lanes_first(lanes, rows - whole);
    if (whole) {
        CvmLoop loop =
            cvm_loop_begin(emitter, constant(filtering, 0), constant(filtering, whole), lanes);
        transform_filters(filtering, loop.index, &filtering->tiles.all);
        cvm_loop_end(emitter, &loop);
    }
    if (rows > whole)
        transform_filters(filtering, constant(filtering, whole), &rest);
}

/* --- 1. input --- */

static void emit_inputs(const Filtering *filtering) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t plane = shape->input[0] * shape->input[1] * filtering->lanes;
    int64_t rows = cvm_winograd_rows_read(shape);
    CvmRowTiles tiles = {
        .tiles = &filtering->tiles,
        .matrix = filtering->input,
        .from = cvm_advance(emitter, emitter->buffers[emitter->kernel->a],
                            cvm_scale(emitter, filtering->item, shape->inputs * plane)),
        .to = filtering->transformed,
        .planes = shape->inputs,
        .height = shape->input[0],
        .width = shape->input[1],
        .first = cvm_sum(emitter, filtering->chunk, constant(filtering, -rows_above(shape))),
        .rows = rows,
        .zeros = shape->padded,
        .count = filtering->count,
        .start = shape->back ? 0 : -shape->pad[1],
        .size = shape->back ? shape->tile : filtering->tiles.matrices.side,
        .apart = shape->tile,
        .plane_step = rows * filtering->count * filtering->lanes,
        .frequency_step = cvm_winograd_rows_input_step(shape)};
    cvm_emit_row_tiles(&tiles);
}

/* --- 2. contraction --- */

/* Sums of some tiles of a row, for some channels of the result. */
typedef struct Block {
    int tiles, outputs;
    LLVMValueRef transformed, filters; /* of the first of them, at the row's first tap */
    LLVMValueRef sums[MOST_SUMS];
} Block;

/* One channel and one row of the filter. */
static void multiply(const Filtering *filtering, const Block *block, LLVMValueRef transformed,
                     LLVMValueRef filters) {
    CvmEmitter *emitter = filtering->emitter;
    int64_t apart = output_step(filtering->shape);
    LLVMTypeRef type = filtering->tiles.vector;
    LLVMValueRef loaded[MOST_TILES];
    for (int t = 0; t < block->tiles; t++)
        loaded[t] = cvm_tile_load(&filtering->tiles, transformed,
                                  constant(filtering, t * filtering->lanes));
    for (int o = 0; o < block->outputs; o++) {
        LLVMValueRef at = cvm_advance(emitter, filters, constant(filtering, o * apart));
        LLVMValueRef element = cvm_load(emitter, at, 0, &filtering->tiles.all, 0);
        for (int t = 0; t < block->tiles; t++) {
            LLVMValueRef slot = block->sums[o * block->tiles + t];
            LLVMValueRef sum = LLVMBuildLoad2(emitter->builder, type, slot, "");
            LLVMBuildStore(emitter->builder,
                           cvm_emit_multiply_add(emitter, loaded[t], element, sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

/* Row `tap` of the filter lies so far from its first one; the gradient takes them in reverse. */
static LLVMValueRef filter_row(const Filtering *filtering, LLVMValueRef tap) {
    if (!filtering->shape->back)
        return tap;
    return LLVMBuildNSWSub(filtering->emitter->builder,
                           constant(filtering, filtering->shape->kernel - 1), tap, "");
}

/* All channels that are read, with taps from `first` to `last`, which are constants where all taps
 * count. */
static void emit_channels(const Filtering *filtering, const Block *block, LLVMValueRef first,
                          LLVMValueRef last) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t row = filtering->count * filtering->lanes;
    int64_t plane = cvm_winograd_rows_read(shape) * row;
    CvmLoop channels =
        cvm_loop_begin(emitter, constant(filtering, 0), constant(filtering, shape->inputs), 1);
    LLVMValueRef from =
        cvm_advance(emitter, block->transformed, cvm_scale(emitter, channels.index, plane));
    LLVMValueRef filters =
        cvm_advance(emitter, block->filters, cvm_scale(emitter, channels.index, input_step(shape)));
    if (LLVMIsAConstantInt(first)) {
        for (int64_t tap = 0; tap < shape->kernel; tap++)
            multiply(
                filtering, block, cvm_advance(emitter, from, constant(filtering, tap * row)),
                cvm_advance(emitter, filters, filter_row(filtering, constant(filtering, tap))));
    } else {
        CvmLoop taps = cvm_loop_begin(emitter, first, last, 1);
        multiply(filtering, block, cvm_advance(emitter, from, cvm_scale(emitter, taps.index, row)),
                 cvm_advance(emitter, filters, filter_row(filtering, taps.index)));
        cvm_loop_end(emitter, &taps);
    }
    cvm_loop_end(emitter, &channels);
}

/* Taps that lie in the picture for a row of the result whose first tap is row `top`. */
static void emit_taps(const Filtering *filtering, const Block *block, LLVMValueRef top) {
    CvmEmitter *emitter = filtering->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t height = shape->input[0];
    LLVMValueRef zero = constant(filtering, 0), all = constant(filtering, shape->kernel);
    if (shape->padded) {
        emit_channels(filtering, block, zero, all);
        return;
    }
    CvmBranch branch = cvm_branch_begin(
        emitter, cvm_tile_is_below(&filtering->tiles, top, height - shape->kernel + 1));
    emit_channels(filtering, block, zero, all);
    cvm_branch_else(emitter, &branch);
    LLVMValueRef before = LLVMBuildNSWSub(builder, zero, top, "");
    LLVMValueRef left = LLVMBuildNSWSub(builder, constant(filtering, height), top, "");
    LLVMValueRef first = LLVMBuildSelect(
        builder, LLVMBuildICmp(builder, LLVMIntSGT, before, zero, ""), before, zero, "");
    emit_channels(filtering, block, first, cvm_tile_smaller(&filtering->tiles, left, all));
    cvm_branch_end(emitter, &branch);
}

/* Where a block lies: frequency, row of the band, first tile and channel. */
typedef struct Place {
    LLVMValueRef frequency, row, tile, output;
} Place;

static void emit_block(const Filtering *filtering, const Place *place, int tiles, int outputs) {
    CvmEmitter *emitter = filtering->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t lanes = filtering->lanes, row = filtering->count * lanes;
    int64_t plane = shape->band * row;
    LLVMValueRef y = cvm_sum(emitter, filtering->band, place->row);
    LLVMValueRef within = LLVMBuildNSWSub(builder, y, filtering->chunk, "");
    LLVMValueRef tile = cvm_scale(emitter, place->tile, lanes);
    LLVMValueRef from =
        cvm_sum(emitter, cvm_scale(emitter, place->frequency, cvm_winograd_rows_input_step(shape)),
                cvm_sum(emitter, cvm_scale(emitter, within, row), tile));
    LLVMValueRef filters =
        cvm_sum(emitter, cvm_scale(emitter, place->frequency, cvm_winograd_rows_filter_step(shape)),
                cvm_scale(emitter, place->output, output_step(shape)));
    LLVMValueRef to =
        cvm_sum(emitter, cvm_scale(emitter, place->frequency, cvm_winograd_rows_sum_step(shape)),
                cvm_sum(emitter, cvm_scale(emitter, place->output, plane),
                        cvm_sum(emitter, cvm_scale(emitter, place->row, row), tile)));
    Block block = {.tiles = tiles,
                   .outputs = outputs,
                   .transformed = cvm_advance(emitter, filtering->transformed, from),
                   .filters = cvm_advance(emitter, filtering->filters, filters)};
    for (int i = 0; i < tiles * outputs; i++) {
        block.sums[i] = cvm_stack_slot(emitter, filtering->tiles.vector, "sum");
        LLVMBuildStore(builder, cvm_float(emitter, (int)lanes, 0), block.sums[i]);
    }
    emit_taps(filtering, &block, cvm_sum(emitter, y, constant(filtering, -rows_above(shape))));
    LLVMValueRef sums = cvm_advance(emitter, filtering->sums, to);
    for (int i = 0; i < tiles * outputs; i++)
        cvm_tile_store(&filtering->tiles,
                       LLVMBuildLoad2(builder, filtering->tiles.vector, block.sums[i], ""), sums,
                       constant(filtering, i / tiles * plane + i % tiles * lanes));
}

/* So many tiles side by side, in blocks that are as equal as can be. */
static void emit_tiles(const Filtering *filtering, Place place, int64_t count, int outputs) {
    CvmEmitter *emitter = filtering->emitter;
    CvmPieces pieces = cvm_pieces(count, filtering->shape->tiles);
    for (int i = 0; i < 2; i++) {
        if (!pieces.count[i])
            continue;
        CvmLoop loop = cvm_loop_begin(emitter, constant(filtering, pieces.first[i]),
                                      constant(filtering, pieces.last[i]), pieces.size[i]);
        place.tile = loop.index;
        emit_block(filtering, &place, (int)pieces.size[i], outputs);
        cvm_loop_end(emitter, &loop);
    }
}

/* Rows lie one behind the other, and so do those that each tap of the filter meets. So a band is
 * like one long row, if all taps count; what is summed for rows behind the last is not used. */
static void emit_band(const Filtering *filtering, Place place, LLVMValueRef rows, int outputs) {
    CvmEmitter *emitter = filtering->emitter;
    if (filtering->shape->padded) {
        emit_tiles(filtering, place, filtering->shape->band * filtering->count, outputs);
        return;
    }
    CvmLoop lines = cvm_loop_begin(emitter, constant(filtering, 0), rows, 1);
    place.row = lines.index;
    emit_tiles(filtering, place, filtering->count, outputs);
    cvm_loop_end(emitter, &lines);
}

static void emit_contraction(const Filtering *filtering, LLVMValueRef rows) {
    CvmEmitter *emitter = filtering->emitter;
    LLVMValueRef zero = constant(filtering, 0);
    CvmPieces pieces = cvm_pieces(filtering->shape->outputs, filtering->shape->channels);
    CvmLoop frequencies =
        cvm_loop_begin(emitter, zero, constant(filtering, filtering->tiles.matrices.side), 1);
    for (int i = 0; i < 2; i++) {
        if (!pieces.count[i])
            continue;
        CvmLoop outputs = cvm_loop_begin(emitter, constant(filtering, pieces.first[i]),
                                         constant(filtering, pieces.last[i]), pieces.size[i]);
        emit_band(filtering, (Place){frequencies.index, zero, zero, outputs.index}, rows,
                  (int)pieces.size[i]);
        cvm_loop_end(emitter, &outputs);
    }
    cvm_loop_end(emitter, &frequencies);
}

/* --- 3. results --- */

/* A tile's sums back to pixels; how many. */
static int transform_back(const Filtering *filtering, LLVMValueRef sums, LLVMValueRef *pixels) {
    const CvmTiles *tiles = &filtering->tiles;
    int side = tiles->matrices.side, count = filtering->shape->back ? side : tiles->matrices.tile;
    LLVMValueRef in[SIDE];
    for (int i = 0; i < side; i++)
        in[i] = cvm_tile_load(
            tiles, sums, constant(filtering, i * cvm_winograd_rows_sum_step(filtering->shape)));
    cvm_tile_from_frequencies(tiles, filtering->result, count, in, pixels);
    return count;
}

static void emit_window(const Filtering *filtering, const LLVMValueRef *index, int64_t right,
                        CvmTile values) {
    CvmPixel pixel = {
        .emitter = filtering->emitter, .lanes = &filtering->tiles.all, .right = right};
    memcpy(pixel.index, index, sizeof pixel.index);
    cvm_emit_window(pixel, values);
}

/* Whether tiles hold whole windows and fill the rows: then windows are finished in registers. */
static bool holds_windows(const Filtering *filtering) {
    const CvmWinogradRows *shape = filtering->shape;
    return !shape->back && shape->output[1] % shape->tile == 0 &&
           shape->tile % cvm_window_together(filtering->emitter->kernel, 1) == 0;
}

/* The windows of a row of tiles. index: the result's, from where the first window stands. */
static void emit_tiles_of_windows(const Filtering *filtering, LLVMValueRef sums,
                                  LLVMValueRef *index) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t down = cvm_window_together(emitter->kernel, 0);
    int64_t right = cvm_window_together(emitter->kernel, 1);
    int64_t lanes = filtering->lanes, row = filtering->count * lanes;
    CvmLoop tiles =
        cvm_loop_begin(emitter, constant(filtering, 0), constant(filtering, filtering->count), 1);
    LLVMValueRef from = cvm_advance(emitter, sums, cvm_scale(emitter, tiles.index, lanes));
    LLVMValueRef pixels[SIDE][SIDE];
    index[3] = cvm_scale(emitter, tiles.index, shape->tile);
    for (int64_t i = 0; i < down; i++)
        transform_back(filtering, cvm_advance(emitter, from, constant(filtering, i * row)),
                       pixels[i]);
    for (int64_t j = 0; j < shape->tile; j += right) {
        CvmTile values;
        for (int64_t i = 0; i < down; i++)
            memcpy(values[i], &pixels[i][j], (size_t)right * sizeof **values);
        emit_window(filtering, index, j, values);
    }
    cvm_loop_end(emitter, &tiles);
}

/* A row of the result in the line. To pixels that two tiles make, as the gradient's do, both add.
 */
static void emit_line(const Filtering *filtering, LLVMValueRef sums, LLVMValueRef line) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmTiles *tiles = &filtering->tiles;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t lanes = filtering->lanes;
    for (int64_t i = 0; shape->back && i < shape->taps - 1; i++)
        cvm_tile_store(tiles, cvm_float(emitter, (int)lanes, 0), line,
                       constant(filtering, i * lanes));
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(filtering, 0), constant(filtering, filtering->count), 1);
    LLVMValueRef pixels[SIDE],
        to = cvm_advance(emitter, line, cvm_scale(emitter, loop.index, shape->tile * lanes));
    int count = transform_back(
        filtering, cvm_advance(emitter, sums, cvm_scale(emitter, loop.index, lanes)), pixels);
    for (int i = 0; i < count; i++) {
        LLVMValueRef at = constant(filtering, i * lanes);
        if (i < count - shape->tile)
            pixels[i] =
                LLVMBuildFAdd(emitter->builder, pixels[i], cvm_tile_load(tiles, to, at), "");
        cvm_tile_store(tiles, pixels[i], to, at);
    }
    cvm_loop_end(emitter, &loop);
}

/* The windows of the line, or its pixels. */
static void emit_line_of_windows(const Filtering *filtering, LLVMValueRef *index) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t down = cvm_window_together(emitter->kernel, 0);
    int64_t right = cvm_window_together(emitter->kernel, 1);
    int64_t lanes = filtering->lanes, before = shape->back ? shape->pad[1] : 0;
    CvmLoop columns = cvm_loop_begin(emitter, constant(filtering, 0),
                                     constant(filtering, shape->output[1] / right * right), right);
    LLVMValueRef column = cvm_sum(emitter, columns.index, constant(filtering, before));
    LLVMValueRef from = cvm_advance(emitter, filtering->line, cvm_scale(emitter, column, lanes));
    CvmTile values;
    for (int64_t i = 0; i < down; i++)
        for (int64_t j = 0; j < right; j++)
            values[i][j] =
                cvm_tile_load(&filtering->tiles, from,
                              constant(filtering, i * cvm_winograd_rows_line(shape) + j * lanes));
    index[3] = columns.index;
    emit_window(filtering, index, 0, values);
    cvm_loop_end(emitter, &columns);
}

static void emit_results(const Filtering *filtering, LLVMValueRef rows) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t down = cvm_window_together(emitter->kernel, 0);
    int64_t row = filtering->count * filtering->lanes, plane = shape->band * row;
    LLVMValueRef zero = constant(filtering, 0);
    CvmLoop outputs = cvm_loop_begin(emitter, zero, constant(filtering, shape->outputs), 1);
    CvmLoop lines = cvm_loop_begin(emitter, zero, rows, down);
    LLVMValueRef sums = cvm_advance(emitter, filtering->sums,
                                    cvm_sum(emitter, cvm_scale(emitter, outputs.index, plane),
                                            cvm_scale(emitter, lines.index, row)));
    LLVMValueRef index[] = {filtering->item, outputs.index,
                            cvm_sum(emitter, filtering->band, lines.index), zero};
    if (holds_windows(filtering)) {
        emit_tiles_of_windows(filtering, sums, index);
    } else {
        for (int64_t i = 0; i < down; i++)
            emit_line(filtering, cvm_advance(emitter, sums, constant(filtering, i * row)),
                      cvm_advance(emitter, filtering->line,
                                  constant(filtering, i * cvm_winograd_rows_line(shape))));
        emit_line_of_windows(filtering, index);
    }
    cvm_loop_end(emitter, &lines);
    cvm_loop_end(emitter, &outputs);
}

/* --- the work item --- */

static void set_scratch(Filtering *filtering) {
    CvmEmitter *emitter = filtering->emitter;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t side = filtering->tiles.matrices.side;
    filtering->filters = emitter->buffers[shape->scratch];
    filtering->transformed =
        cvm_advance(emitter, filtering->filters,
                    constant(filtering, side * cvm_winograd_rows_filter_step(shape)));
    filtering->sums = cvm_advance(emitter, filtering->transformed,
                                  constant(filtering, side * cvm_winograd_rows_input_step(shape)));
    filtering->line = cvm_advance(emitter, filtering->sums,
                                  constant(filtering, side * cvm_winograd_rows_sum_step(shape)));
}

/* The rows of the result in bands, a chunk of them for each part of what is read. */
static void emit_bands(Filtering *filtering) {
    CvmEmitter *emitter = filtering->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradRows *shape = filtering->shape;
    int64_t down = cvm_window_together(emitter->kernel, 0);
    LLVMValueRef end = constant(filtering, shape->output[0] / down * down);
    CvmLoop chunks = cvm_loop_begin(emitter, constant(filtering, 0), end, shape->chunk);
    filtering->chunk = chunks.index;
    emit_inputs(filtering);
    LLVMValueRef last = cvm_tile_smaller(
        &filtering->tiles, end, cvm_sum(emitter, chunks.index, constant(filtering, shape->chunk)));
    CvmLoop bands = cvm_loop_begin(emitter, chunks.index, last, shape->band);
    filtering->band = bands.index;
    LLVMValueRef rows = cvm_tile_smaller(&filtering->tiles, constant(filtering, shape->band),
                                         LLVMBuildNSWSub(builder, last, bands.index, ""));
    emit_contraction(filtering, rows);
    emit_results(filtering, rows);
    cvm_loop_end(emitter, &bands);
    cvm_loop_end(emitter, &chunks);
}

void cvm_emit_winograd_rows(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmWinogradRows *shape = &emitter->kernel->winograd_rows;
    Filtering filtering = {.emitter = emitter,
                           .shape = shape,
                           .tiles =
                               cvm_tiles_begin(emitter, shape->tile, shape->taps, shape->lanes),
                           .lanes = shape->lanes,
                           .count = cvm_winograd_rows_tiles(shape),
                           .item = item};
    set_matrices(&filtering);
    set_scratch(&filtering);
    LLVMValueRef is_first =
        LLVMBuildICmp(emitter->builder, LLVMIntEQ, item, LLVMGetParam(emitter->function, 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, is_first);
    emit_filters(&filtering);
    cvm_branch_end(emitter, &branch);
    emit_bands(&filtering);
}
