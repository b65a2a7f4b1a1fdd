/* The generator of WEIGHTS kernels: the gradient of a convolution's weights from channel-blocked
 * pictures (kernel.h says what of). A work item is some tiles of output vectors with a part of the
 * inputs. Its sums are cleared, and then, picture by picture and chunk of rows by chunk of rows,
 * every tile of them (some inputs and taps of a row) is loaded into registers, taken through the
 * chunk's pixels, and put back. Where a tile has few sums, neighbouring pixels are added to copies
 * of them. Pixels at the ends of a row, where some taps lie outside of the
 * picture, are generated one by one with the taps that do not. Every sum has one order, whatever
 * the split over threads. */
#include "compiler/codegen/emit_side.h"
#include "compiler/kernels/schedule.h"

enum { MAX_SUMS = 64 };

typedef struct Weights {
    CvmEmitter *emitter;
    const CvmWeightGrad *shape;
    int lanes;
    LLVMValueRef dy, sums;   /* of the picture and tile at hand */
    int64_t first_tap, taps; /* of the tile, in a row of taps */
    int64_t output;          /* its first output vector, in its run of groups that share vectors */
    LLVMValueRef input;      /* its first input, in its group */
    LLVMValueRef slots[MAX_SUMS];
    CvmLanes all;
    CvmSide side;           /* the sum of dy, where the kernel makes one … */
    LLVMValueRef makes_sum; /* … and whether this item does; NULL: none */
} Weights;

/* Elements of dy between neighbouring rows, and between neighbouring output vectors. */
static int64_t dy_row(const Weights *weights) {
    return weights->shape->size[1] * weights->lanes;
}

static int64_t dy_vector(const Weights *weights) {
    return weights->shape->size[0] * dy_row(weights);
}

static int64_t taps_of(const CvmWeightGrad *shape) {
    return shape->kernel[0] * shape->kernel[1];
}

/* Elements between the sums of neighbouring output vectors. */
static int64_t sums_vector(const Weights *weights) {
    const CvmWeightGrad *shape = weights->shape;
    int64_t run = shape->applies ? cvm_weights_item_run(shape) : shape->inputs * taps_of(shape);
    return run * weights->lanes;
}

/* Between those of neighbouring taps, and of neighbouring inputs of a block: a filter has taps
 * outside, plain weights inputs. */
static int64_t sums_tap(const Weights *weights) {
    return (weights->shape->unpacks ? 1 : weights->shape->run) * weights->lanes;
}

static int64_t sums_input(const Weights *weights) {
    return (weights->shape->unpacks ? taps_of(weights->shape) : 1) * weights->lanes;
}

static int64_t item_outputs(const CvmWeightGrad *shape) {
    return shape->item_tiles * shape->tile_outputs;
}

/* The copies of a sum, one behind the other. */
static LLVMValueRef *slots_of(Weights *weights, int64_t output, int64_t input, int64_t tap) {
    const CvmWeightGrad *shape = weights->shape;
    int64_t sum = (output * shape->tile_inputs + input) * weights->taps + tap;
    return &weights->slots[sum * shape->copies];
}

/* Visits the tile's sums with their place in memory. */
static void for_sums(Weights *weights,
                     void (*visit)(Weights *weights, LLVMValueRef *slots, LLVMValueRef place)) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    for (int64_t o = 0; o < shape->tile_outputs; o++)
        for (int64_t i = 0; i < shape->tile_inputs; i++)
            for (int64_t t = 0; t < weights->taps; t++) {
                int64_t tap = (weights->first_tap + t) * sums_tap(weights);
                int64_t offset = o * sums_vector(weights) + tap + i * sums_input(weights);
                visit(weights, slots_of(weights, o, i, t),
                      cvm_advance(emitter, weights->sums, cvm_i64(emitter, offset)));
            }
}

static void take_sum(Weights *weights, LLVMValueRef *slots, LLVMValueRef place) {
    CvmEmitter *emitter = weights->emitter;
    LLVMValueRef zero = cvm_float(emitter, weights->lanes, 0);
    for (int64_t k = 0; k < weights->shape->copies; k++) {
        slots[k] = cvm_stack_slot(emitter, LLVMTypeOf(zero), "sum");
        LLVMBuildStore(emitter->builder, k ? zero : cvm_load(emitter, place, 1, &weights->all, 0),
                       slots[k]);
    }
}

static void put_sum(Weights *weights, LLVMValueRef *slots, LLVMValueRef place) {
    LLVMBuilderRef builder = weights->emitter->builder;
    LLVMTypeRef type = cvm_float_type(weights->emitter, weights->lanes);
    LLVMValueRef sum = LLVMBuildLoad2(builder, type, slots[0], "");
    for (int64_t k = 1; k < weights->shape->copies; k++)
        sum = LLVMBuildFAdd(builder, sum, LLVMBuildLoad2(builder, type, slots[k], ""), "");
    cvm_store(weights->emitter, sum, place, 1, &weights->all);
}

static void multiply_add(Weights *weights, LLVMValueRef slot, LLVMValueRef a, LLVMValueRef b) {
    LLVMBuilderRef builder = weights->emitter->builder;
    LLVMValueRef old = LLVMBuildLoad2(builder, LLVMTypeOf(a), slot, "");
    LLVMBuildStore(builder, cvm_emit_multiply_add(weights->emitter, a, b, old), slot);
}

/* --- pixels --- */

/* For every lane of an output vector of the tile, the input number i of the tile. */
static LLVMValueRef load_input(Weights *weights, LLVMValueRef at, int64_t output, int64_t i) {
    const CvmMix *mix = &weights->shape->mix;
    if (!mix->inputs)
        return cvm_load(weights->emitter, at, 0, &weights->all, 0);
    return cvm_emit_mixed(weights->emitter, mix, at, (weights->output + output) * weights->lanes,
                          weights->lanes, weights->input, i);
}

/* A pixel whose taps from `first` to below `last` (of the row) lie inside. Its first tap lies
 * `start` elements behind `in`, its gradient at dy. copy: of the sums that it is added to. */
static void emit_pixel(Weights *weights, LLVMValueRef in, int64_t start, LLVMValueRef dy,
                       int64_t first, int64_t last, int64_t copy) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    LLVMValueRef gradients[MAX_SUMS];
    for (int64_t o = 0; o < shape->tile_outputs; o++) {
        LLVMValueRef offset = cvm_i64(emitter, o * dy_vector(weights));
        gradients[o] = cvm_load(emitter, cvm_advance(emitter, dy, offset), 1, &weights->all, 0);
    }
    for (int64_t i = 0; i < shape->tile_inputs; i++)
        for (int64_t t = 0; t < weights->taps; t++) {
            int64_t tap = weights->first_tap + t;
            if (tap < first || tap >= last)
                continue;
            int64_t offset =
                start + i * shape->in_inside + tap * shape->dilation[1] * shape->in_column;
            LLVMValueRef at = cvm_advance(emitter, in, cvm_i64(emitter, offset));
            for (int64_t o = 0; o < shape->tile_outputs; o++)
                multiply_add(weights, slots_of(weights, o, i, t)[copy], gradients[o],
                             load_input(weights, at, o, i));
        }
}

/* A pixel at an end of the row. in, dy: of the row's column 0 and pixel 0. */
static void emit_edge(Weights *weights, LLVMValueRef in, LLVMValueRef dy, int64_t pixel) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t column = pixel * shape->stride[1] - shape->pad[1], dilation = shape->dilation[1];
    int64_t first = column < 0 ? (-column + dilation - 1) / dilation : 0;
    int64_t room = shape->in_size[1] - 1 - column;
    int64_t last = room < 0 ? 0 : room / dilation + 1;
    last = last < shape->kernel[1] ? last : shape->kernel[1];
    emit_pixel(weights, in, column * shape->in_column,
               cvm_advance(emitter, dy, cvm_i64(emitter, pixel * weights->lanes)), first, last,
               pixel % shape->copies);
    cvm_emit_load_barrier(emitter);
}

static void emit_row(Weights *weights, LLVMValueRef in, LLVMValueRef dy) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t together = shape->copies > 1 ? shape->copies : 2;
    int64_t pixels = shape->size[1], right = pixels - shape->right;
    int64_t step = shape->stride[1] * shape->in_column;
    for (int64_t pixel = 0; pixel < shape->left; pixel++)
        emit_edge(weights, in, dy, pixel);
    int64_t whole = shape->left + (right - shape->left) / together * together;
    if (whole > shape->left) {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, shape->left),
                                      cvm_i64(emitter, whole), together);
        LLVMValueRef column = cvm_sum(emitter, cvm_scale(emitter, loop.index, step),
                                      cvm_i64(emitter, -shape->pad[1] * shape->in_column));
        LLVMValueRef from = cvm_advance(emitter, in, column);
        LLVMValueRef gradient =
            cvm_advance(emitter, dy, cvm_scale(emitter, loop.index, weights->lanes));
        bool shares = shape->mix.inputs == 1 && shape->mix.outputs > 1; /* what was spread */
        for (int64_t k = 0; k < together; k++) {
            emit_pixel(weights, from, k * step,
                       cvm_advance(emitter, gradient, cvm_i64(emitter, k * weights->lanes)), 0,
                       shape->kernel[1], k % shape->copies);
            if (!shares || k == together - 1)
                cvm_emit_load_barrier(emitter);
        }
        cvm_loop_end(emitter, &loop);
    }
    for (int64_t pixel = whole; pixel < pixels; pixel++)
        emit_edge(weights, in, dy, pixel);
}

/* --- rows --- */

static LLVMValueRef at_least_zero(CvmEmitter *emitter, LLVMValueRef value) {
    LLVMValueRef arguments[] = {value, cvm_i64(emitter, 0)};
    return cvm_intrinsic(emitter, "llvm.smax", emitter->i64, arguments, 2);
}

/* The rows from `first` to below `last` of which tap row `tap` lies inside the picture. */
static void clip_rows(Weights *weights, LLVMValueRef tap, LLVMValueRef *first, LLVMValueRef *last) {
    CvmEmitter *emitter = weights->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmWeightGrad *shape = weights->shape;
    int64_t stride = shape->stride[0];
    LLVMValueRef divisor = cvm_i64(emitter, stride);
    LLVMValueRef reach = cvm_scale(emitter, tap, shape->dilation[0]);
    /* row stride + reach - pad from 0 to below the height */
    LLVMValueRef below =
        LLVMBuildSub(builder, cvm_i64(emitter, shape->pad[0] + stride - 1), reach, "");
    LLVMValueRef above = LLVMBuildSub(
        builder, cvm_i64(emitter, shape->in_size[0] - 1 + shape->pad[0] + stride), reach, "");
    LLVMValueRef lowest[] = {*first,
                             LLVMBuildUDiv(builder, at_least_zero(emitter, below), divisor, "")};
    LLVMValueRef highest[] = {*last,
                              LLVMBuildUDiv(builder, at_least_zero(emitter, above), divisor, "")};
    *first = cvm_intrinsic(emitter, "llvm.smax", emitter->i64, lowest, 2);
    *last = cvm_intrinsic(emitter, "llvm.smin", emitter->i64, highest, 2);
}

/* The tile with these taps of a row, and all their rows of the chunk. */
static void emit_tile(Weights *weights, LLVMValueRef in, LLVMValueRef tap_row, LLVMValueRef first,
                      LLVMValueRef last) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    for_sums(weights, take_sum);
    CvmLoop rows = cvm_loop_begin(emitter, first, last, 1);
    LLVMValueRef row = cvm_sum(emitter, cvm_scale(emitter, rows.index, shape->stride[0]),
                               cvm_scale(emitter, tap_row, shape->dilation[0]));
    row = cvm_sum(emitter, row, cvm_i64(emitter, -shape->pad[0]));
    emit_row(weights, cvm_advance(emitter, in, cvm_scale(emitter, row, shape->in_row)),
             cvm_advance(emitter, weights->dy, cvm_scale(emitter, rows.index, dy_row(weights))));
    cvm_loop_end(emitter, &rows);
    for_sums(weights, put_sum);
}

/* A block of inputs with a chunk of rows. in: of the block's first input, whose number is `input`;
 * sums: of the block. */
static void emit_block(Weights *weights, LLVMValueRef in, LLVMValueRef input, LLVMValueRef sums,
                       LLVMValueRef first, LLVMValueRef last) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    LLVMValueRef zero = cvm_i64(emitter, 0);
    CvmLoop inputs =
        cvm_loop_begin(emitter, zero, cvm_i64(emitter, shape->run), shape->tile_inputs);
    LLVMValueRef from =
        cvm_advance(emitter, in, cvm_scale(emitter, inputs.index, shape->in_inside));
    weights->input = cvm_sum(emitter, input, inputs.index);
    CvmLoop taps = cvm_loop_begin(emitter, zero, cvm_i64(emitter, shape->kernel[0]), 1);
    LLVMValueRef offset =
        cvm_sum(emitter, cvm_scale(emitter, taps.index, shape->kernel[1] * sums_tap(weights)),
                cvm_scale(emitter, inputs.index, sums_input(weights)));
    weights->sums = cvm_advance(emitter, sums, offset);
    LLVMValueRef first_row = first, last_row = last;
    clip_rows(weights, taps.index, &first_row, &last_row);
    for (int64_t t = 0; t < shape->kernel[1]; t += shape->tile_taps) {
        int64_t rest = shape->kernel[1] - t;
        weights->first_tap = t;
        weights->taps = rest < shape->tile_taps ? rest : shape->tile_taps;
        emit_tile(weights, from, taps.index, first_row, last_row);
    }
    cvm_loop_end(emitter, &taps);
    cvm_loop_end(emitter, &inputs);
}

/* --- work items --- */

static void clear_sums(Weights *weights, LLVMValueRef sums, LLVMValueRef elements) {
    CvmEmitter *emitter = weights->emitter;
    LLVMTypeRef byte = LLVMInt8TypeInContext(emitter->context);
    CvmLoop outputs = cvm_loop_begin(emitter, cvm_i64(emitter, 0),
                                     cvm_i64(emitter, item_outputs(weights->shape)), 1);
    LLVMBuildMemSet(
        emitter->builder,
        cvm_advance(emitter, sums, cvm_scale(emitter, outputs.index, sums_vector(weights))),
        LLVMConstInt(byte, 0, false), cvm_scale(emitter, elements, 4), 4);
    cvm_loop_end(emitter, &outputs);
}

/* Where block of inputs number part * blocks / parts is. */
static LLVMValueRef block_of_part(Weights *weights, LLVMValueRef part) {
    CvmEmitter *emitter = weights->emitter;
    int64_t blocks = weights->shape->inputs / weights->shape->run;
    if (weights->shape->parts == 1) /* known: the first, or the one behind the last */
        return cvm_i64(emitter, LLVMConstIntGetSExtValue(part) * blocks);
    return LLVMBuildUDiv(emitter->builder, cvm_scale(emitter, part, blocks),
                         cvm_i64(emitter, weights->shape->parts), "");
}

/* One of the work items that read the same dy sums it up, picture by picture, before its own sums
 * read it from the cache. */
static void begin_side(Weights *weights, LLVMValueRef output, LLVMValueRef part) {
    CvmEmitter *emitter = weights->emitter;
    if (emitter->kernel->side.buffer < 0)
        return;
    weights->side = cvm_side_begin(emitter, cvm_scale(emitter, output, weights->lanes),
                                   item_outputs(weights->shape) * weights->lanes, weights->lanes);
    weights->makes_sum =
        LLVMBuildICmp(emitter->builder, LLVMIntEQ, part, cvm_i64(emitter, 0), "makes_sum");
}

static void add_to_side(Weights *weights, LLVMValueRef picture) {
    if (!weights->makes_sum)
        return;
    CvmBranch branch = cvm_branch_begin(weights->emitter, weights->makes_sum);
    cvm_side_add(&weights->side, picture);
    cvm_branch_end(weights->emitter, &branch);
}

static void end_side(Weights *weights) {
    if (!weights->makes_sum)
        return;
    CvmBranch branch = cvm_branch_begin(weights->emitter, weights->makes_sum);
    cvm_side_store(&weights->side);
    cvm_branch_end(weights->emitter, &branch);
}

/* --- unpacking --- */

/* An element of the plain result, where a result's expression is read and stored. */
typedef struct Plain {
    Weights *weights;
    LLVMValueRef offset;
    CvmLanes lanes;
} Plain;

static LLVMValueRef plain_place(const Plain *plain, int buffer) {
    CvmEmitter *emitter = plain->weights->emitter;
    int64_t stride = emitter->kernel->buffers[buffer].strides[0];
    return cvm_advance(emitter, emitter->buffers[buffer],
                       cvm_scale(emitter, plain->offset, stride));
}

static LLVMValueRef plain_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Plain *plain = state;
    return cvm_load(emitter, plain_place(plain, expr->index),
                    emitter->kernel->buffers[expr->index].strides[0], &plain->lanes, 0);
}

/* `count` neighbouring sums (at most as many as a vector has lanes) of all outputs of a vector:
 * transposed, they are as many neighbours in a row of the plain weights of each. at: the first;
 * plain: its place in the first output's row. */
static void unpack_square(Weights *weights, LLVMValueRef at, LLVMValueRef plain, int64_t count) {
    CvmEmitter *emitter = weights->emitter;
    const CvmKernel *kernel = emitter->kernel;
    int64_t row = weights->shape->inputs * taps_of(weights->shape);
    int lanes = weights->lanes;
    LLVMValueRef rows[64], values[64][CVM_MAX_RESULTS];
    Plain place = {.weights = weights, .lanes = cvm_lanes_first(lanes, count)};
    for (int i = 0; i < lanes; i++)
        rows[i] = i < count
                      ? cvm_load(emitter, cvm_advance(emitter, at, cvm_i64(emitter, i * lanes)), 1,
                                 &weights->all, 0)
                      : cvm_float(emitter, lanes, 0);
    cvm_emit_transpose(emitter, rows, lanes);
    for (int i = 0; i < lanes; i++) {
        place.offset = cvm_sum(emitter, plain, cvm_i64(emitter, i * row));
        CvmExprContext context = {rows[i], lanes, plain_leaf, &place};
        for (int k = 0; k < kernel->result_count; k++)
            values[i][k] = cvm_emit_expr(emitter, kernel->results[k].value, &context);
    }
    for (int i = 0; i < lanes; i++) {
        place.offset = cvm_sum(emitter, plain, cvm_i64(emitter, i * row));
        for (int k = 0; k < kernel->result_count; k++)
            cvm_store(emitter, values[i][k], plain_place(&place, kernel->results[k].buffer), 1,
                      &place.lanes);
    }
}

/* The item's sums, of blocks of inputs from `first` to below `last`, as results on plain weights.
 * output: number of its first output vector. */
static void unpack(Weights *weights, LLVMValueRef sums, LLVMValueRef output, LLVMValueRef first,
                   LLVMValueRef last) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int lanes = weights->lanes;
    int64_t row = shape->inputs * taps_of(shape), block = shape->run * taps_of(shape);
    int64_t rest = shape->parts == 1 ? row % lanes : 0; /* blocks are whole vectors where there
                                                           are several */
    LLVMValueRef count =
        cvm_sum(emitter, cvm_scale(emitter, last, block), cvm_scale(emitter, first, -block));
    LLVMValueRef whole = cvm_sum(emitter, count, cvm_i64(emitter, -rest));
    CvmLoop outputs =
        cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, item_outputs(shape)), 1);
    LLVMValueRef from =
        cvm_advance(emitter, sums, cvm_scale(emitter, outputs.index, sums_vector(weights)));
    LLVMValueRef plain =
        cvm_sum(emitter, cvm_scale(emitter, cvm_sum(emitter, output, outputs.index), lanes * row),
                cvm_scale(emitter, first, block));
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), whole, lanes);
    unpack_square(weights, cvm_advance(emitter, from, cvm_scale(emitter, loop.index, lanes)),
                  cvm_sum(emitter, plain, loop.index), lanes);
    cvm_loop_end(emitter, &loop);
    if (rest)
        unpack_square(weights, cvm_advance(emitter, from, cvm_scale(emitter, whole, lanes)),
                      cvm_sum(emitter, plain, whole), rest);
    cvm_loop_end(emitter, &outputs);
}

/* --- what follows, in the filter's own order --- */

static void apply(Weights *weights, LLVMValueRef sums, LLVMValueRef output, LLVMValueRef first,
                  LLVMValueRef last) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t taps = taps_of(shape), block = shape->run * taps * weights->lanes;
    int64_t vector = shape->inputs * taps * weights->lanes; /* results of an output vector */
    LLVMValueRef count = cvm_scale(emitter, LLVMBuildSub(emitter->builder, last, first, ""), block);
    CvmLoop outputs =
        cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, item_outputs(shape)), 1);
    LLVMValueRef from =
        cvm_advance(emitter, sums, cvm_scale(emitter, outputs.index, sums_vector(weights)));
    LLVMValueRef to =
        cvm_sum(emitter, cvm_scale(emitter, cvm_sum(emitter, output, outputs.index), vector),
                cvm_scale(emitter, first, block));
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), count, weights->lanes);
    LLVMValueRef sum =
        cvm_load(emitter, cvm_advance(emitter, from, loop.index), 1, &weights->all, 0);
    cvm_emit_flat_results(emitter, sum, cvm_sum(emitter, to, loop.index), weights->lanes);
    cvm_loop_end(emitter, &loop);
    cvm_loop_end(emitter, &outputs);
}

/* --- pictures --- */

/* A chunk of rows of a picture for the tile of output vectors at `output`. */
static void emit_outputs(Weights *weights, LLVMValueRef output, LLVMValueRef in, LLVMValueRef dy,
                         LLVMValueRef sums, const LLVMValueRef blocks[2],
                         const LLVMValueRef rows[2]) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t block = shape->run * taps_of(shape) * weights->lanes;
    weights->dy = cvm_advance(emitter, dy, cvm_scale(emitter, output, dy_vector(weights)));
    sums = cvm_advance(emitter, sums, cvm_scale(emitter, output, sums_vector(weights)));
    CvmLoop inputs = cvm_loop_begin(emitter, blocks[0], blocks[1], 1);
    LLVMValueRef stored =
        shape->applies ? LLVMBuildSub(emitter->builder, inputs.index, blocks[0], "") : inputs.index;
    emit_block(weights, cvm_advance(emitter, in, cvm_scale(emitter, inputs.index, shape->in_block)),
               cvm_scale(emitter, inputs.index, shape->run),
               cvm_advance(emitter, sums, cvm_scale(emitter, stored, block)), rows[0], rows[1]);
    cvm_loop_end(emitter, &inputs);
}

/* A chunk of rows of a picture, tile by tile; where groups share vectors, each has code of its own.
 */
static void emit_chunk(Weights *weights, LLVMValueRef in, LLVMValueRef dy, LLVMValueRef sums,
                       const LLVMValueRef blocks[2], const LLVMValueRef rows[2]) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t outputs = item_outputs(shape), step = shape->tile_outputs;
    if (shape->mix.inputs) {
        for (weights->output = 0; weights->output < outputs; weights->output += step)
            emit_outputs(weights, cvm_i64(emitter, weights->output), in, dy, sums, blocks, rows);
        return;
    }
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, outputs), step);
    emit_outputs(weights, loop.index, in, dy, sums, blocks, rows);
    cvm_loop_end(emitter, &loop);
}

/* All pictures, chunk by chunk. in, dy, sums: of the item's group and output vectors; blocks: of
 * inputs, the first and the one behind the last. */
static void emit_pictures(Weights *weights, LLVMValueRef in, LLVMValueRef dy, LLVMValueRef sums,
                          const LLVMValueRef blocks[2]) {
    CvmEmitter *emitter = weights->emitter;
    const CvmWeightGrad *shape = weights->shape;
    int64_t dy_picture = shape->groups * shape->outputs * dy_vector(weights);
    LLVMValueRef zero = cvm_i64(emitter, 0), rows = cvm_i64(emitter, shape->size[0]);
    CvmLoop pictures = cvm_loop_begin(emitter, zero, cvm_i64(emitter, shape->pictures), 1);
    dy = cvm_advance(emitter, dy, cvm_scale(emitter, pictures.index, dy_picture));
    in = cvm_advance(emitter, in, cvm_scale(emitter, pictures.index, shape->in_picture));
    add_to_side(weights, pictures.index);
    CvmLoop chunks = cvm_loop_begin(emitter, zero, rows, shape->chunk_rows);
    LLVMValueRef ends[] = {cvm_sum(emitter, chunks.index, cvm_i64(emitter, shape->chunk_rows)),
                           rows};
    LLVMValueRef end = cvm_intrinsic(emitter, "llvm.smin", emitter->i64, ends, 2);
    emit_chunk(weights, in, dy, sums, blocks, (const LLVMValueRef[]){chunks.index, end});
    cvm_loop_end(emitter, &chunks);
    cvm_loop_end(emitter, &pictures);
}

void cvm_emit_weights(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmWeightGrad *shape = &emitter->kernel->weights;
    LLVMBuilderRef builder = emitter->builder;
    int lanes = emitter->kernel->schedule.lanes;
    Weights weights = {
        .emitter = emitter, .shape = shape, .lanes = lanes, .all = cvm_lanes_first(lanes, lanes)};
    LLVMValueRef parts = cvm_i64(emitter, shape->parts);
    LLVMValueRef turns = cvm_i64(emitter, shape->outputs / item_outputs(shape));
    LLVMValueRef part =
        shape->parts == 1 ? cvm_i64(emitter, 0) : LLVMBuildURem(builder, item, parts, "part");
    LLVMValueRef rest = LLVMBuildUDiv(builder, item, parts, "");
    LLVMValueRef turn = LLVMBuildURem(builder, rest, turns, "turn");
    LLVMValueRef group = LLVMBuildUDiv(builder, rest, turns, "group");
    LLVMValueRef output = cvm_sum(emitter, cvm_scale(emitter, group, shape->outputs),
                                  cvm_scale(emitter, turn, item_outputs(shape)));
    LLVMValueRef in =
        cvm_advance(emitter, emitter->buffers[0], cvm_scale(emitter, group, shape->in_group));
    LLVMValueRef dy =
        cvm_advance(emitter, emitter->buffers[1], cvm_scale(emitter, output, dy_vector(&weights)));
    LLVMValueRef sums = emitter->buffers[2];
    if (!shape->applies)
        sums = cvm_advance(emitter, sums, cvm_scale(emitter, output, sums_vector(&weights)));
    LLVMValueRef first = block_of_part(&weights, part);
    LLVMValueRef last = block_of_part(&weights, cvm_sum(emitter, part, cvm_i64(emitter, 1)));
    int64_t block = shape->run * taps_of(shape) * lanes;
    LLVMValueRef start =
        shape->applies ? sums : cvm_advance(emitter, sums, cvm_scale(emitter, first, block));
    clear_sums(&weights, start, cvm_scale(emitter, LLVMBuildSub(builder, last, first, ""), block));
    begin_side(&weights, output, part);
    emit_pictures(&weights, in, dy, sums, (const LLVMValueRef[]){first, last});
    if (shape->unpacks)
        unpack(&weights, sums, output, first, last);
    else if (shape->applies)
        apply(&weights, sums, output, first, last);
    end_side(&weights);
}
