/* The generator of WINOGRAD_ROWS_GRAD kernels: the gradient of filters by minimal filtering along
 * rows (ops/winograd_rows.c), from batch-blocked pictures. A work item is a part of the output
 * channels, and walks over all pictures, a block of them at a time:
 *
 *   1. transform  rows of x, a chunk of them, and of dy, a band, to frequencies
 *   2. contract   for each frequency, add the products of all tiles of the band to the sums: those
 *                 of some output channels and rows of the filter are in registers together
 *   3. result     behind the last block, sums transformed back to taps; only then are the lanes,
 *                 which are pictures, summed up, and what follows is done: the weights' update
 *
 *   scratch: inputs    [frequency][c][row][tile][lanes], with rows of zeros around the picture
 *            gradients [frequency][o of the item][row of the band][tile][lanes]
 *            sums      [frequency][o of the item][c][row of the filter][lanes]
 *            taps      [o of the item][c][row of the filter][tap][lanes]
 *
 * Every sum has one order, whatever the split over threads. */
#include "compiler/codegen/emit_row_tiles.h"
#include "compiler/codegen/emit_side.h"
#include "compiler/kernels/schedule.h"

enum { SIDE = CVM_WINOGRAD_SIDE, MOST_SUMS = 64, MOST_OUTPUTS = 32 };

typedef struct Gradient {
    CvmEmitter *emitter;
    const CvmWinogradRows *shape;
    CvmTiles tiles;
    int64_t lanes, count, side;                 /* count: tiles in a row */
    LLVMValueRef output;                        /* the work item's first channel */
    LLVMValueRef block, chunk, band;            /* of pictures; first rows of dy in both */
    LLVMValueRef inputs, gradients, sums, taps; /* scratch memory */
} Gradient;

static LLVMValueRef constant(const Gradient *gradient, int64_t value) {
    return cvm_i64(gradient->emitter, value);
}

/* --- 1. transform --- */

static void emit_inputs(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    int64_t plane = shape->input[0] * shape->input[1] * gradient->lanes;
    int64_t rows = cvm_winograd_rows_read(shape);
    CvmRowTiles tiles = {
        .tiles = &gradient->tiles,
        .matrix = gradient->tiles.matrices.input,
        .from = cvm_advance(emitter, emitter->buffers[0],
                            cvm_scale(emitter, gradient->block, shape->inputs * plane)),
        .to = gradient->inputs,
        .planes = shape->inputs,
        .height = shape->input[0],
        .width = shape->input[1],
        .first = cvm_sum(emitter, gradient->chunk, constant(gradient, -shape->pad[0])),
        .rows = rows,
        .zeros = true,
        .count = gradient->count,
        .start = -shape->pad[1],
        .size = gradient->side,
        .apart = shape->tile,
        .plane_step = rows * gradient->count * gradient->lanes,
        .frequency_step = cvm_winograd_rows_input_step(shape)};
    cvm_emit_row_tiles(&tiles);
}

static void emit_gradients(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    int64_t plane = shape->output[0] * shape->output[1] * gradient->lanes;
    LLVMValueRef planes =
        cvm_sum(emitter, cvm_scale(emitter, gradient->block, shape->outputs), gradient->output);
    CvmRowTiles tiles = {
        .tiles = &gradient->tiles,
        .matrix = gradient->tiles.matrices.weight,
        .from = cvm_advance(emitter, emitter->buffers[1], cvm_scale(emitter, planes, plane)),
        .to = gradient->gradients,
        .planes = shape->item_outputs,
        .height = shape->output[0],
        .width = shape->output[1],
        .first = gradient->band,
        .rows = shape->band,
        .zeros = true,
        .count = gradient->count,
        .size = shape->tile,
        .apart = shape->tile,
        .plane_step = shape->band * gradient->count * gradient->lanes,
        .frequency_step = cvm_winograd_rows_gradient_step(shape)};
    cvm_emit_row_tiles(&tiles);
}

/* --- 2. contract --- */

/* Some rows of the filter (taps) for some output channels. Pointers are at the first of them; sums
 * of neighbouring outputs lie `apart` elements apart. */
typedef struct Block {
    int taps, outputs;
    LLVMValueRef inputs, gradients, sums;
    int64_t apart;
} Block;

/* All tiles of the band are one run, and what a tap meets lies a row further. */
static void multiply_band(const Gradient *gradient, const Block *block, LLVMValueRef *slots) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmTiles *tiles = &gradient->tiles;
    int64_t row = gradient->count * gradient->lanes, run = gradient->shape->band * row;
    LLVMValueRef loaded[MOST_OUTPUTS];
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, run), gradient->lanes);
    LLVMValueRef inputs = cvm_advance(emitter, block->inputs, loop.index);
    LLVMValueRef gradients = cvm_advance(emitter, block->gradients, loop.index);
    for (int o = 0; o < block->outputs; o++)
        loaded[o] = cvm_tile_load(tiles, gradients, constant(gradient, o * run));
    for (int p = 0; p < block->taps; p++) {
        LLVMValueRef input = cvm_tile_load(tiles, inputs, constant(gradient, p * row));
        for (int o = 0; o < block->outputs; o++) {
            LLVMValueRef slot = slots[p * block->outputs + o];
            LLVMValueRef sum = LLVMBuildLoad2(builder, tiles->vector, slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, input, loaded[o], sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
    cvm_loop_end(emitter, &loop);
}

static void emit_block(const Gradient *gradient, const Block *block) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmTiles *tiles = &gradient->tiles;
    LLVMValueRef slots[MOST_SUMS], at[MOST_SUMS];
    int count = block->taps * block->outputs;
    for (int i = 0; i < count; i++) {
        int p = i / block->outputs, o = i % block->outputs;
        slots[i] = cvm_stack_slot(emitter, tiles->vector, "sum");
        at[i] = constant(gradient, o * block->apart + p * gradient->lanes);
        LLVMBuildStore(builder, cvm_tile_load(tiles, block->sums, at[i]), slots[i]);
    }
    multiply_band(gradient, block, slots);
    for (int i = 0; i < count; i++)
        cvm_tile_store(tiles, LLVMBuildLoad2(builder, tiles->vector, slots[i], ""), block->sums,
                       at[i]);
}

/* Where one frequency's parts of the scratch memory begin. */
typedef struct Frequency {
    LLVMValueRef inputs, gradients, sums;
} Frequency;

static void emit_taps(const Gradient *gradient, const Frequency *frequency, LLVMValueRef output,
                      int outputs) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    int64_t lanes = gradient->lanes, row = gradient->count * lanes;
    int64_t plane = cvm_winograd_rows_read(shape) * row, run = shape->band * row;
    LLVMValueRef within = LLVMBuildNSWSub(emitter->builder, gradient->band, gradient->chunk, "");
    CvmPieces pieces = cvm_pieces(shape->kernel, shape->tiles);
    CvmLoop channels =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, shape->inputs), 1);
    LLVMValueRef inputs = cvm_sum(emitter, cvm_scale(emitter, channels.index, plane),
                                  cvm_scale(emitter, within, row));
    LLVMValueRef filter =
        cvm_sum(emitter, cvm_scale(emitter, output, shape->inputs), channels.index);
    for (int i = 0; i < 2; i++) {
        if (!pieces.count[i])
            continue;
        CvmLoop taps = cvm_loop_begin(emitter, constant(gradient, pieces.first[i]),
                                      constant(gradient, pieces.last[i]), pieces.size[i]);
        LLVMValueRef line = cvm_sum(emitter, cvm_scale(emitter, filter, shape->kernel), taps.index);
        LLVMValueRef tap = cvm_scale(emitter, taps.index, row);
        Block block = {
            .taps = (int)pieces.size[i],
            .outputs = outputs,
            .inputs = cvm_advance(emitter, frequency->inputs, cvm_sum(emitter, inputs, tap)),
            .gradients =
                cvm_advance(emitter, frequency->gradients, cvm_scale(emitter, output, run)),
            .sums = cvm_advance(emitter, frequency->sums, cvm_scale(emitter, line, lanes)),
            .apart = shape->inputs * shape->kernel * lanes};
        emit_block(gradient, &block);
        cvm_loop_end(emitter, &taps);
    }
    cvm_loop_end(emitter, &channels);
}

static void emit_contraction(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    CvmPieces pieces = cvm_pieces(shape->item_outputs, shape->channels);
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, gradient->side), 1);
    Frequency frequency = {
        cvm_advance(emitter, gradient->inputs,
                    cvm_scale(emitter, loop.index, cvm_winograd_rows_input_step(shape))),
        cvm_advance(emitter, gradient->gradients,
                    cvm_scale(emitter, loop.index, cvm_winograd_rows_gradient_step(shape))),
        cvm_advance(emitter, gradient->sums,
                    cvm_scale(emitter, loop.index, cvm_winograd_rows_sum_step(shape)))};
    for (int i = 0; i < 2; i++) {
        if (!pieces.count[i])
            continue;
        CvmLoop outputs = cvm_loop_begin(emitter, constant(gradient, pieces.first[i]),
                                         constant(gradient, pieces.last[i]), pieces.size[i]);
        emit_taps(gradient, &frequency, outputs.index, (int)pieces.size[i]);
        cvm_loop_end(emitter, &outputs);
    }
    cvm_loop_end(emitter, &loop);
}

/* --- 3. result --- */

/* Sums of all rows of the item's filters to taps. */
static void emit_taps_of_rows(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    int64_t lanes = gradient->lanes, rows = shape->item_outputs * shape->inputs * shape->kernel;
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, rows * lanes), lanes);
    LLVMValueRef from = cvm_advance(emitter, gradient->sums, loop.index), in[SIDE], out[SIDE];
    LLVMValueRef taps =
        cvm_advance(emitter, gradient->taps, cvm_scale(emitter, loop.index, shape->taps));
    for (int64_t i = 0; i < gradient->side; i++)
        in[i] = cvm_tile_load(&gradient->tiles, from,
                              constant(gradient, i * cvm_winograd_rows_sum_step(shape)));
    cvm_tile_from_frequencies(&gradient->tiles, gradient->tiles.matrices.result, (int)shape->taps,
                              in, out);
    for (int64_t i = 0; i < shape->taps; i++)
        cvm_tile_store(&gradient->tiles, out[i], taps, constant(gradient, i * lanes));
    cvm_loop_end(emitter, &loop);
}

/* The sum of the lanes of each of `lanes` neighbouring vectors, in one vector. */
static LLVMValueRef sum_lanes(const Gradient *gradient, LLVMValueRef from) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMValueRef rows[64];
    int lanes = (int)gradient->lanes;
    for (int i = 0; i < lanes; i++)
        rows[i] = cvm_tile_load(&gradient->tiles, from, constant(gradient, i * lanes));
    cvm_emit_transpose(emitter, rows, lanes);
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            rows[i] = LLVMBuildFAdd(emitter->builder, rows[i], rows[i + half], "");
    return rows[0];
}

/* Taps lie as weights do, each a vector. */
static void emit_results(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    int64_t lanes = gradient->lanes, of_output = shape->inputs * shape->kernel * shape->taps;
    int64_t all = shape->item_outputs * of_output, whole = all / lanes * lanes;
    LLVMValueRef taps = gradient->taps, first = cvm_scale(emitter, gradient->output, of_output);
    emit_taps_of_rows(gradient);
    if (whole) {
        CvmLoop loop =
            cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, whole), lanes);
        LLVMValueRef from = cvm_advance(emitter, taps, cvm_scale(emitter, loop.index, lanes));
        cvm_emit_flat_results(emitter, sum_lanes(gradient, from),
                              cvm_sum(emitter, first, loop.index), (int)lanes);
        cvm_loop_end(emitter, &loop);
    }
    for (int64_t i = whole; i < all; i++) {
        LLVMValueRef tap = cvm_tile_load(&gradient->tiles, taps, constant(gradient, i * lanes));
        cvm_emit_flat_results(emitter, cvm_emit_lane_sum(emitter, tap),
                              cvm_sum(emitter, first, constant(gradient, i)), 1);
    }
}

/* --- the work item --- */

static void clear_sums(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    int64_t count = gradient->side * cvm_winograd_rows_sum_step(gradient->shape);
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, count), gradient->lanes);
    cvm_tile_store(&gradient->tiles, cvm_float(emitter, (int)gradient->lanes, 0), gradient->sums,
                   loop.index);
    cvm_loop_end(emitter, &loop);
}

/* A block of pictures. */
static void emit_pictures(Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradRows *shape = gradient->shape;
    LLVMValueRef height = constant(gradient, shape->output[0]);
    CvmLoop chunks = cvm_loop_begin(emitter, constant(gradient, 0), height, shape->chunk);
    gradient->chunk = chunks.index;
    emit_inputs(gradient);
    LLVMValueRef last = cvm_tile_smaller(
        &gradient->tiles, height, cvm_sum(emitter, chunks.index, constant(gradient, shape->chunk)));
    CvmLoop bands = cvm_loop_begin(emitter, chunks.index, last, shape->band);
    gradient->band = bands.index;
    emit_gradients(gradient);
    emit_contraction(gradient);
    cvm_loop_end(emitter, &bands);
    cvm_loop_end(emitter, &chunks);
}

void cvm_emit_winograd_rows_grad(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmWinogradRows *shape = &emitter->kernel->winograd_rows;
    Gradient gradient = {.emitter = emitter,
                         .shape = shape,
                         .tiles = cvm_tiles_begin(emitter, shape->taps, shape->tile, shape->lanes),
                         .lanes = shape->lanes,
                         .count = cvm_winograd_rows_tiles(shape),
                         .side = shape->tile + shape->taps - 1,
                         .output = cvm_scale(emitter, item, shape->item_outputs)};
    gradient.inputs = emitter->buffers[shape->scratch];
    gradient.gradients =
        cvm_advance(emitter, gradient.inputs,
                    constant(&gradient, gradient.side * cvm_winograd_rows_input_step(shape)));
    gradient.sums =
        cvm_advance(emitter, gradient.gradients,
                    constant(&gradient, gradient.side * cvm_winograd_rows_gradient_step(shape)));
    gradient.taps =
        cvm_advance(emitter, gradient.sums,
                    constant(&gradient, gradient.side * cvm_winograd_rows_sum_step(shape)));
    CvmSide bias;
    bool has_bias = emitter->kernel->side.buffer >= 0;
    if (has_bias)
        bias = cvm_side_begin(emitter, gradient.output, shape->item_outputs, (int)shape->lanes);
    clear_sums(&gradient);
    CvmLoop blocks =
        cvm_loop_begin(emitter, constant(&gradient, 0), constant(&gradient, shape->blocks), 1);
    gradient.block = blocks.index;
    emit_pictures(&gradient);
    if (has_bias)
        cvm_side_add(&bias, blocks.index);
    cvm_loop_end(emitter, &blocks);
    emit_results(&gradient);
    if (has_bias)
        cvm_side_store(&bias);
}
