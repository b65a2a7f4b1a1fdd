/* The generator of WINOGRAD_GRAD kernels: the gradient of filters by minimal filtering (the method:
 * ops/winograd.h). A work item is a part of the input channels with a part of the output channels,
 * and walks over all tiles of all pictures, a block of them at a time:
 *
 *   1. transform  tiles of x (n x n pixels) and of dy (m x m) to all frequencies
 *   2. contract   for each frequency, add the products of all tiles to the sums: vectors of output
 *                 channels meet single elements of input channels, sums stay in registers
 *   3. result     behind the last block, sums transformed back to taps, and stored, or what follows
 *                 from them: the weights' update
 *
 *   scratch: inputs    [frequency][c/lanes][tile of the block][lanes],
 *            gradients [frequency][o/lanes][tile of the block][lanes],
 *            sums      [frequency][o/step][c][step]
 *
 * Every sum has one order, whatever the split over threads. */
#include "compiler/codegen/emit_side.h"
#include "compiler/codegen/emit_tiles.h"
#include "compiler/kernels/schedule.h"

enum { MOST_SUMS = 64, MOST_VECTORS = 2 };

typedef struct Gradient {
    CvmEmitter *emitter;
    const CvmWinogradGrad *shape;
    CvmTiles tiles;
    int64_t lanes, vectors;               /* vectors: of a step */
    LLVMValueRef input, output;           /* the work item's first blocks of channels … */
    LLVMValueRef in_group;                /* … of which the inputs' is this one of its group */
    LLVMValueRef first, count;            /* tiles of the block */
    LLVMValueRef inputs, gradients, sums; /* scratch memory */
} Gradient;

static LLVMValueRef constant(const Gradient *gradient, int64_t value) {
    return cvm_i64(gradient->emitter, value);
}

/* --- 1. transform --- */

/* Pictures of which the work item has some channels, and where their frequencies go. */
typedef struct Side {
    CvmTilePictures pictures;
    const double (*matrix)[CVM_WINOGRAD_SIDE];
    LLVMValueRef first, to;    /* block of channels; scratch memory */
    int64_t blocks, frequency; /* of the item; see schedule.h */
} Side;

static void emit_tile(const Gradient *gradient, const Side *side, LLVMValueRef block,
                      LLVMValueRef tile) {
    CvmEmitter *emitter = gradient->emitter;
    int64_t lanes = gradient->lanes;
    CvmTileSource source = {.column_step = lanes, .size = (int)side->pictures.side};
    source.pointer =
        cvm_tile_pixels(&gradient->tiles, &side->pictures, cvm_sum(emitter, gradient->first, tile),
                        cvm_sum(emitter, side->first, block), &source.row_step);
    LLVMValueRef to = cvm_sum(emitter, cvm_scale(emitter, block, lanes * gradient->shape->block),
                              cvm_scale(emitter, tile, lanes));
    cvm_tile_transform(&gradient->tiles, side->matrix, &source, cvm_advance(emitter, side->to, to),
                       side->frequency);
}

static void emit_side(const Gradient *gradient, const Side *side) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMValueRef zero = constant(gradient, 0), blocks = constant(gradient, side->blocks);
    CvmLoop channels = cvm_loop_begin(emitter, zero, blocks, 1);
    CvmLoop tiles = cvm_loop_begin(emitter, zero, gradient->count, 1);
    emit_tile(gradient, side, channels.index, tiles.index);
    cvm_loop_end(emitter, &tiles);
    cvm_loop_end(emitter, &channels);
}

static void emit_transforms(const Gradient *gradient) {
    const CvmWinogradGrad *shape = gradient->shape;
    const CvmWinogradMatrices *matrices = &gradient->tiles.matrices;
    LLVMValueRef *buffers = gradient->emitter->buffers;
    int64_t lanes = gradient->lanes;
    Side inputs = {.pictures = {.buffer = buffers[0],
                                .blocks = shape->groups * shape->inputs / lanes,
                                .size = {shape->input[0], shape->input[1]},
                                .pad = {shape->pad[0], shape->pad[1]},
                                .side = matrices->side,
                                .apart = shape->tile,
                                .output = shape->output},
                   .matrix = matrices->input,
                   .first = gradient->input,
                   .to = gradient->inputs,
                   .blocks = shape->item_inputs / lanes,
                   .frequency = cvm_winograd_grad_input_step(shape)};
    Side outputs = {.pictures = {.buffer = buffers[1],
                                 .blocks = shape->groups * shape->outputs / lanes,
                                 .size = {shape->output[0], shape->output[1]},
                                 .side = shape->tile,
                                 .apart = shape->tile,
                                 .output = shape->output},
                    .matrix = matrices->weight,
                    .first = gradient->output,
                    .to = gradient->gradients,
                    .blocks = shape->item_outputs / lanes,
                    .frequency = cvm_winograd_grad_output_step(shape)};
    emit_side(gradient, &inputs);
    emit_side(gradient, &outputs);
}

/* --- 2. contract --- */

/* Input channel `channel` of the row at hand, of the first tile. */
static LLVMValueRef element_of(const Gradient *gradient, LLVMValueRef inputs, int64_t channel) {
    int64_t lanes = gradient->lanes;
    return cvm_advance(
        gradient->emitter, inputs,
        constant(gradient, channel / lanes * lanes * gradient->shape->block + channel % lanes));
}

/* Adds the products of all tiles of the block to the sums of the channels [first, end) of a row
 * with one step. inputs: the row's, gradients: the step's; sums: of the first channel. Those of the
 * next step are fetched meanwhile. */
static void emit_products(const Gradient *gradient, LLVMValueRef inputs, LLVMValueRef gradients,
                          LLVMValueRef sums, int64_t first, int64_t end) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmTiles *tiles = &gradient->tiles;
    const CvmWinogradGrad *shape = gradient->shape;
    int64_t lanes = gradient->lanes, vectors = gradient->vectors, line = 16;
    int64_t count = (end - first) * vectors;
    LLVMValueRef slots[MOST_SUMS], loaded[MOST_VECTORS];
    for (int64_t i = 0; i < count; i++) {
        slots[i] = cvm_stack_slot(emitter, tiles->vector, "sum");
        LLVMBuildStore(builder, cvm_tile_load(tiles, sums, constant(gradient, i * lanes)),
                       slots[i]);
    }
    for (int64_t i = 0; i < count * lanes; i += line)
        cvm_emit_prefetch(
            emitter,
            cvm_advance(emitter, sums, constant(gradient, shape->step * shape->item_inputs + i)));
    CvmLoop loop = cvm_loop_begin(emitter, constant(gradient, 0), gradient->count, 1);
    LLVMValueRef tile = cvm_scale(emitter, loop.index, lanes);
    for (int64_t v = 0; v < vectors; v++)
        loaded[v] = cvm_tile_load(
            tiles, cvm_advance(emitter, gradients, constant(gradient, v * lanes * shape->block)),
            tile);
    for (int64_t c = first; c < end; c++) {
        LLVMValueRef at = cvm_advance(emitter, element_of(gradient, inputs, c), tile);
        LLVMValueRef element = cvm_load(emitter, at, 0, &tiles->all, 0);
        for (int64_t v = 0; v < vectors; v++) {
            LLVMValueRef slot = slots[(c - first) * vectors + v];
            LLVMValueRef sum = LLVMBuildLoad2(builder, tiles->vector, slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, element, loaded[v], sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
    cvm_loop_end(emitter, &loop);
    for (int64_t i = 0; i < count; i++)
        cvm_tile_store(tiles, LLVMBuildLoad2(builder, tiles->vector, slots[i], ""), sums,
                       constant(gradient, i * lanes));
}

/* One frequency: where its parts of the scratch memory begin. */
typedef struct Frequency {
    LLVMValueRef inputs, gradients, sums;
} Frequency;

/* Row number `row` of input channels, of which there are `width`, with all output channels. Its
 * inputs stay in the nearest cache meanwhile. */
static void emit_row(const Gradient *gradient, const Frequency *frequency, LLVMValueRef row,
                     int64_t width) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradGrad *shape = gradient->shape;
    int64_t parts = (width + shape->channels - 1) / shape->channels;
    LLVMValueRef inputs =
        cvm_advance(emitter, frequency->inputs, cvm_scale(emitter, row, shape->row * shape->block));
    LLVMValueRef sums =
        cvm_advance(emitter, frequency->sums, cvm_scale(emitter, row, shape->row * shape->step));
    CvmLoop steps = cvm_loop_begin(emitter, constant(gradient, 0),
                                   constant(gradient, shape->item_outputs / shape->step), 1);
    LLVMValueRef gradients = cvm_advance(
        emitter, frequency->gradients, cvm_scale(emitter, steps.index, shape->step * shape->block));
    LLVMValueRef to = cvm_advance(
        emitter, sums, cvm_scale(emitter, steps.index, shape->step * shape->item_inputs));
    for (int64_t i = 0; i < parts; i++) {
        int64_t first = width * i / parts, end = width * (i + 1) / parts;
        emit_products(gradient, inputs, gradients,
                      cvm_advance(emitter, to, constant(gradient, first * shape->step)), first,
                      end);
    }
    cvm_loop_end(emitter, &steps);
}

static void emit_frequency(const Gradient *gradient, LLVMValueRef index) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradGrad *shape = gradient->shape;
    Frequency frequency = {
        cvm_advance(emitter, gradient->inputs,
                    cvm_scale(emitter, index, cvm_winograd_grad_input_step(shape))),
        cvm_advance(emitter, gradient->gradients,
                    cvm_scale(emitter, index, cvm_winograd_grad_output_step(shape))),
        cvm_advance(emitter, gradient->sums,
                    cvm_scale(emitter, index, cvm_winograd_grad_sum_step(shape)))};
    LLVMValueRef whole = constant(gradient, shape->item_inputs / shape->row);
    int64_t rest = shape->item_inputs % shape->row;
    CvmLoop rows = cvm_loop_begin(emitter, constant(gradient, 0), whole, 1);
    emit_row(gradient, &frequency, rows.index, shape->row);
    cvm_loop_end(emitter, &rows);
    if (rest)
        emit_row(gradient, &frequency, whole, rest);
}

/* --- 3. result --- */

/* The taps from input channel `channel` of the item to vector `vector` of its outputs. */
static void emit_taps(const Gradient *gradient, LLVMValueRef vector, LLVMValueRef channel) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradGrad *shape = gradient->shape;
    int64_t lanes = gradient->lanes, taps = shape->taps;
    LLVMValueRef vectors = constant(gradient, gradient->vectors);
    LLVMValueRef step = LLVMBuildUDiv(builder, vector, vectors, "");
    LLVMValueRef within = LLVMBuildURem(builder, vector, vectors, "");
    LLVMValueRef from = cvm_sum(emitter, cvm_scale(emitter, step, shape->step * shape->item_inputs),
                                cvm_sum(emitter, cvm_scale(emitter, channel, shape->step),
                                        cvm_scale(emitter, within, lanes)));
    CvmTile results;
    cvm_tile_results(&gradient->tiles, cvm_advance(emitter, gradient->sums, from),
                     cvm_winograd_grad_sum_step(shape), results);
    LLVMValueRef width = constant(gradient, lanes);
    LLVMValueRef block =
        cvm_sum(emitter, gradient->in_group, LLVMBuildUDiv(builder, channel, width, ""));
    LLVMValueRef filter = cvm_sum(
        emitter,
        cvm_scale(emitter, cvm_sum(emitter, gradient->output, vector), shape->inputs / lanes),
        block);
    LLVMValueRef at =
        cvm_sum(emitter, cvm_scale(emitter, filter, taps * taps * lanes * lanes),
                cvm_scale(emitter, LLVMBuildURem(builder, channel, width, ""), lanes));
    for (int64_t i = 0; i < taps; i++)
        for (int64_t j = 0; j < taps; j++)
            cvm_emit_flat_results(
                emitter, results[i][j],
                cvm_sum(emitter, at, constant(gradient, (i * taps + j) * lanes * lanes)),
                (int)lanes);
}

static void emit_results(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    const CvmWinogradGrad *shape = gradient->shape;
    LLVMValueRef zero = constant(gradient, 0);
    CvmLoop vectors =
        cvm_loop_begin(emitter, zero, constant(gradient, shape->item_outputs / gradient->lanes), 1);
    CvmLoop channels = cvm_loop_begin(emitter, zero, constant(gradient, shape->item_inputs), 1);
    emit_taps(gradient, vectors.index, channels.index);
    cvm_loop_end(emitter, &channels);
    cvm_loop_end(emitter, &vectors);
}

/* --- the side sum, by those of the work items that read the same dy that have the first inputs ---
 */

static void emit_bias(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    if (emitter->kernel->side.buffer < 0)
        return;
    LLVMValueRef first = LLVMBuildICmp(emitter->builder, LLVMIntEQ, gradient->in_group,
                                       constant(gradient, 0), "makes_sum");
    CvmBranch branch = cvm_branch_begin(emitter, first);
    CvmSide sums = cvm_side_begin(emitter, cvm_scale(emitter, gradient->output, gradient->lanes),
                                  gradient->shape->item_outputs, (int)gradient->lanes);
    cvm_side_add_all(&sums);
    cvm_side_store(&sums);
    cvm_branch_end(emitter, &branch);
}

/* --- the work item --- */

static void clear_sums(const Gradient *gradient) {
    CvmEmitter *emitter = gradient->emitter;
    int64_t count = gradient->tiles.frequencies * cvm_winograd_grad_sum_step(gradient->shape);
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(gradient, 0), constant(gradient, count), gradient->lanes);
    cvm_tile_store(&gradient->tiles, cvm_float(emitter, (int)gradient->lanes, 0), gradient->sums,
                   loop.index);
    cvm_loop_end(emitter, &loop);
}

/* Items go through a group's outputs, then its inputs, then the groups. */
static void find_channels(Gradient *gradient, LLVMValueRef item) {
    CvmEmitter *emitter = gradient->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradGrad *shape = gradient->shape;
    int64_t lanes = gradient->lanes;
    LLVMValueRef outputs = constant(gradient, shape->outputs / shape->item_outputs);
    LLVMValueRef inputs = constant(gradient, shape->inputs / shape->item_inputs);
    LLVMValueRef part = LLVMBuildUDiv(builder, item, outputs, "");
    LLVMValueRef group = LLVMBuildUDiv(builder, part, inputs, "");
    gradient->in_group =
        cvm_scale(emitter, LLVMBuildURem(builder, part, inputs, ""), shape->item_inputs / lanes);
    gradient->input =
        cvm_sum(emitter, cvm_scale(emitter, group, shape->inputs / lanes), gradient->in_group);
    gradient->output = cvm_sum(
        emitter, cvm_scale(emitter, group, shape->outputs / lanes),
        cvm_scale(emitter, LLVMBuildURem(builder, item, outputs, ""), shape->item_outputs / lanes));
}

void cvm_emit_winograd_grad(CvmEmitter *emitter, LLVMValueRef item) {
    LLVMBuilderRef builder = emitter->builder;
    const CvmWinogradGrad *shape = &emitter->kernel->winograd_grad;
    Gradient gradient = {.emitter = emitter,
                         .shape = shape,
                         .tiles = cvm_tiles_begin(emitter, shape->taps, shape->tile, shape->lanes),
                         .lanes = shape->lanes,
                         .vectors = shape->step / shape->lanes};
    int64_t frequencies = gradient.tiles.frequencies;
    find_channels(&gradient, item);
    gradient.inputs = emitter->buffers[shape->scratch];
    gradient.gradients =
        cvm_advance(emitter, gradient.inputs,
                    constant(&gradient, frequencies * cvm_winograd_grad_input_step(shape)));
    gradient.sums =
        cvm_advance(emitter, gradient.gradients,
                    constant(&gradient, frequencies * cvm_winograd_grad_output_step(shape)));
    emit_bias(&gradient);
    clear_sums(&gradient);
    LLVMValueRef tiles = constant(&gradient, cvm_winograd_grad_tiles(shape));
    CvmLoop blocks = cvm_loop_begin(emitter, constant(&gradient, 0), tiles, shape->block);
    gradient.first = blocks.index;
    gradient.count = cvm_tile_smaller(&gradient.tiles, constant(&gradient, shape->block),
                                      LLVMBuildNSWSub(builder, tiles, gradient.first, ""));
    emit_transforms(&gradient);
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(&gradient, 0), constant(&gradient, frequencies), 1);
    emit_frequency(&gradient, loop.index);
    cvm_loop_end(emitter, &loop);
    cvm_loop_end(emitter, &blocks);
    emit_results(&gradient);
}
