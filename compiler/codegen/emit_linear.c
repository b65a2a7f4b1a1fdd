/* The generator of LINEAR kernels: y[n, f] = sum over i of x[n, i] w[f, i] for a batch, with
 * weights too large for the caches, so that they should be read once. A work item is a block of
 * features for the whole batch. Its inputs are walked in chunks, small enough that a chunk of x
 * stays in the nearest cache, and within a chunk tiles of pictures x features are summed in
 * registers, by vectors along the inputs. Between chunks the sums wait on the stack; at the end the
 * lanes of each are added, and the epilogue applied. Every sum has one order, whatever the split
 * over threads. */
#include "compiler/codegen/emitter.h"

enum { MOST_SUMS = 32, LINE = 16 /* floats of a cache line */ };

typedef struct Linear {
    CvmEmitter *emitter;
    const CvmLinear *shape;
    int lanes;
    LLVMTypeRef vector;
    LLVMValueRef first;      /* feature of the work item */
    int64_t features;        /* of it */
    LLVMValueRef sums;       /* [picture][feature of the item], vectors */
    LLVMValueRef x, weights; /* at the chunk's first input, the item's first feature */
} Linear;

/* A tile within the item: pictures from `picture` on, features from `feature` on. */
typedef struct Tile {
    LLVMValueRef picture, feature;
    int64_t pictures, features;
} Tile;

static LLVMValueRef constant(const Linear *linear, int64_t value) {
    return cvm_i64(linear->emitter, value);
}

static LLVMValueRef sum_at(const Linear *linear, LLVMValueRef picture, LLVMValueRef feature) {
    CvmEmitter *emitter = linear->emitter;
    LLVMValueRef index =
        cvm_sum(emitter, cvm_scale(emitter, picture, linear->shape->block), feature);
    return cvm_advance(emitter, linear->sums, cvm_scale(emitter, index, linear->lanes));
}

static LLVMValueRef sum_of_tile(const Linear *linear, const Tile *tile, int64_t picture,
                                int64_t feature) {
    CvmEmitter *emitter = linear->emitter;
    return sum_at(linear, cvm_sum(emitter, tile->picture, constant(linear, picture)),
                  cvm_sum(emitter, tile->feature, constant(linear, feature)));
}

static LLVMValueRef row_of(const Linear *linear, LLVMValueRef base, LLVMValueRef first,
                           int64_t index, LLVMValueRef input) {
    CvmEmitter *emitter = linear->emitter;
    LLVMValueRef row = cvm_sum(emitter, first, constant(linear, index));
    return cvm_advance(emitter, base,
                       cvm_sum(emitter, cvm_scale(emitter, row, linear->shape->inputs), input));
}

/* One vector of inputs for every picture and feature of the tile. */
static void multiply(const Linear *linear, const Tile *tile, LLVMValueRef input,
                     const CvmLanes *lanes, LLVMValueRef *slots) {
    CvmEmitter *emitter = linear->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef weights[MOST_SUMS];
    for (int64_t f = 0; f < tile->features; f++)
        weights[f] = cvm_load(emitter, row_of(linear, linear->weights, tile->feature, f, input), 1,
                              lanes, 0);
    for (int64_t n = 0; n < tile->pictures; n++) {
        LLVMValueRef x =
            cvm_load(emitter, row_of(linear, linear->x, tile->picture, n, input), 1, lanes, 0);
        for (int64_t f = 0; f < tile->features; f++) {
            LLVMValueRef slot = slots[n * tile->features + f];
            LLVMValueRef sum = LLVMBuildLoad2(builder, linear->vector, slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, x, weights[f], sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

/* The next chunk of the tile's weights on its way, a line of each at every other vector or so. */
static void prefetch(const Linear *linear, const Tile *tile, LLVMValueRef input) {
    for (int64_t f = 0; f < tile->features; f++)
        cvm_emit_prefetch(linear->emitter,
                          cvm_advance(linear->emitter,
                                      row_of(linear, linear->weights, tile->feature, f, input),
                                      constant(linear, linear->shape->chunk)));
}

/* Adds a chunk of `length` inputs to the tile's sums. */
static void emit_tile(const Linear *linear, const Tile *tile, int64_t length) {
    CvmEmitter *emitter = linear->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef slots[MOST_SUMS];
    CvmLanes all = cvm_lanes_first(linear->lanes, linear->lanes);
    for (int64_t i = 0; i < tile->pictures * tile->features; i++) {
        slots[i] = cvm_stack_slot(emitter, linear->vector, "sum");
        LLVMValueRef at = sum_of_tile(linear, tile, i / tile->features, i % tile->features);
        LLVMBuildStore(builder, cvm_load(emitter, at, 1, &all, 0), slots[i]);
    }
    int64_t step = linear->lanes > LINE ? linear->lanes : LINE; /* a line of each row */
    int64_t whole = length / step * step;
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), step);
        prefetch(linear, tile, loop.index);
        for (int64_t k = 0; k < step; k += linear->lanes)
            multiply(linear, tile, cvm_sum(emitter, loop.index, constant(linear, k)), &all, slots);
        cvm_loop_end(emitter, &loop);
    }
    for (int64_t k = whole; k < length; k += linear->lanes) {
        CvmLanes some = cvm_lanes_first(linear->lanes, length - k);
        multiply(linear, tile, constant(linear, k), &some, slots);
    }
    for (int64_t i = 0; i < tile->pictures * tile->features; i++) {
        LLVMValueRef at = sum_of_tile(linear, tile, i / tile->features, i % tile->features);
        LLVMValueRef sum = LLVMBuildLoad2(builder, linear->vector, slots[i], "");
        cvm_store(emitter, sum, at, 1, &all);
    }
}

/* All features for the tile's pictures: whole tiles in a loop, then what is left. The pictures stay
 * in the nearest cache meanwhile; they are few enough that rows of equal place in it leave room. */
static void emit_features(const Linear *linear, Tile tile, int64_t length) {
    CvmEmitter *emitter = linear->emitter;
    int64_t size = linear->shape->tile_features, whole = linear->features / size * size;
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), size);
        tile.feature = loop.index;
        tile.features = size;
        emit_tile(linear, &tile, length);
        cvm_loop_end(emitter, &loop);
    }
    tile.feature = constant(linear, whole);
    tile.features = linear->features - whole;
    if (tile.features)
        emit_tile(linear, &tile, length);
}

static void emit_chunk(Linear *linear, LLVMValueRef input, int64_t length) {
    CvmEmitter *emitter = linear->emitter;
    const CvmLinear *shape = linear->shape;
    linear->x = cvm_advance(emitter, emitter->buffers[emitter->kernel->a], input);
    linear->weights =
        cvm_advance(emitter, emitter->buffers[emitter->kernel->b],
                    cvm_sum(emitter, cvm_scale(emitter, linear->first, shape->inputs), input));
    int64_t size = shape->tile_pictures, whole = shape->batch / size * size;
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), size);
        emit_features(linear, (Tile){.picture = loop.index, .pictures = size}, length);
        cvm_loop_end(emitter, &loop);
    }
    if (whole < shape->batch)
        emit_features(linear,
                      (Tile){.picture = constant(linear, whole), .pictures = shape->batch - whole},
                      length);
}

/* --- results --- */

typedef struct Result {
    LLVMValueRef picture, feature;
} Result;

static LLVMValueRef address_of(CvmEmitter *emitter, const Result *result, int buffer) {
    const int64_t *strides = emitter->kernel->buffers[buffer].strides; /* along n, output */
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, result->picture, strides[0]),
                                  cvm_scale(emitter, result->feature, strides[1]));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static LLVMValueRef result_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    CvmLanes one = cvm_lanes_first(1, 1);
    return cvm_load(emitter, address_of(emitter, state, expr->index), 1, &one, 0);
}

static void emit_results(const Linear *linear) {
    CvmEmitter *emitter = linear->emitter;
    const CvmKernel *kernel = emitter->kernel;
    CvmLanes all = cvm_lanes_first(linear->lanes, linear->lanes), one = cvm_lanes_first(1, 1);
    LLVMValueRef zero = constant(linear, 0), features = constant(linear, linear->features);
    CvmLoop pictures = cvm_loop_begin(emitter, zero, constant(linear, linear->shape->batch), 1);
    CvmLoop loop = cvm_loop_begin(emitter, zero, features, 1);
    LLVMValueRef sum = cvm_load(emitter, sum_at(linear, pictures.index, loop.index), 1, &all, 0);
    Result result = {pictures.index, cvm_sum(emitter, linear->first, loop.index)};
    CvmExprContext context = {linear->lanes > 1 ? cvm_emit_lane_sum(emitter, sum) : sum, 1,
                              result_leaf, &result};
    for (int i = 0; i < kernel->result_count; i++)
        cvm_store(emitter, cvm_emit_expr(emitter, kernel->results[i].value, &context),
                  address_of(emitter, &result, kernel->results[i].buffer), 1, &one);
    cvm_loop_end(emitter, &loop);
    cvm_loop_end(emitter, &pictures);
}

/* --- the work item --- */

static void clear_sums(const Linear *linear) {
    CvmEmitter *emitter = linear->emitter;
    CvmLanes all = cvm_lanes_first(linear->lanes, linear->lanes);
    int64_t count = linear->shape->batch * linear->shape->block;
    CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, count), 1);
    cvm_store(emitter, cvm_float(emitter, linear->lanes, 0),
              cvm_advance(emitter, linear->sums, cvm_scale(emitter, loop.index, linear->lanes)), 1,
              &all);
    cvm_loop_end(emitter, &loop);
}

static void emit_item(Linear *linear, int64_t features) {
    CvmEmitter *emitter = linear->emitter;
    const CvmLinear *shape = linear->shape;
    int64_t whole = shape->inputs / shape->chunk * shape->chunk;
    linear->features = features;
    clear_sums(linear);
    if (whole) {
        CvmLoop loop =
            cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), shape->chunk);
        emit_chunk(linear, loop.index, shape->chunk);
        cvm_loop_end(emitter, &loop);
    }
    if (whole < shape->inputs)
        emit_chunk(linear, constant(linear, whole), shape->inputs - whole);
    emit_results(linear);
}

void cvm_emit_linear(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmLinear *shape = &emitter->kernel->linear;
    int lanes = emitter->kernel->schedule.lanes;
    int64_t blocks = emitter->kernel->extent, rest = shape->features % shape->block;
    Linear linear = {.emitter = emitter,
                     .shape = shape,
                     .lanes = lanes,
                     .vector = cvm_float_type(emitter, lanes),
                     .first = cvm_scale(emitter, item, shape->block)};
    uint64_t count = (uint64_t)(shape->batch * shape->block);
    linear.sums = cvm_stack_slot(emitter, LLVMArrayType2(linear.vector, count), "sums");
    if (!rest) {
        emit_item(&linear, shape->block);
        return;
    }
    LLVMValueRef full =
        LLVMBuildICmp(emitter->builder, LLVMIntULT, item, cvm_i64(emitter, blocks - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, full);
    emit_item(&linear, shape->block);
    cvm_branch_else(emitter, &branch);
    emit_item(&linear, rest);
    cvm_branch_end(emitter, &branch);
}
