/* The generator of LINEAR kernels: y[n, f] = sum over i of x[n, i] w[f, i] for a batch, with
 * weights too large for the nearest cache, so that they should be read seldom. A work item is a
 * block of features for the whole batch, or for some of its pictures. Its inputs are walked in
 * chunks. A chunk of x is copied together, so that it stays in the nearest cache (rows of x often
 * lie powers of two apart, where they would drive each other out), and tiles of pictures x features
 * are summed in registers, by vectors along the inputs. Between chunks the sums wait in scratch
 * memory; at the end the lanes of each are added, and the epilogue applied. Every sum has one
 * order, whatever the split over threads.
 *
 * Weights may be bf16, which halves what has to be read. Where x is too and the processor sums
 * products of pairs, vectors hold two inputs in each lane. */
#include "compiler/codegen/emitter.h"

enum { MOST_SUMS = 32, LINE = 64 /* bytes of a cache line */ };

typedef struct Linear {
    CvmEmitter *emitter;
    const CvmLinear *shape;
    int lanes;
    CvmLanes all;
    int64_t vector_inputs; /* inputs that a vector holds */
    LLVMTypeRef vector;
    LLVMValueRef first, first_picture; /* feature and picture of the work item */
    int64_t features;                  /* of it */
    LLVMValueRef x, sums; /* scratch memory: a chunk of x, [picture][feature of the item] vectors */
    LLVMValueRef weights; /* at the chunk's first input, the item's first feature */
} Linear;

/* A tile: pictures from `picture` on among those together, features of the item from `feature`
 * on; sums of the pictures begin at `sums`. Meanwhile `fetched` rows of weights from `next` on are
 * fetched, the share of this tile in those that come next. */
typedef struct Tile {
    LLVMValueRef picture, feature, sums, next;
    int64_t pictures, features, fetched;
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

static LLVMValueRef sum_of_tile(const Linear *linear, const Tile *tile, int64_t index) {
    int64_t to = index / tile->features * linear->shape->block + index % tile->features;
    return cvm_advance(linear->emitter, tile->sums, constant(linear, to * linear->lanes));
}

/* Elements of x or of the weights, from `base` in it. */
static LLVMValueRef element_of(const Linear *linear, int buffer, LLVMValueRef base,
                               LLVMValueRef row, LLVMValueRef column) {
    CvmEmitter *emitter = linear->emitter;
    LLVMValueRef rows = cvm_scale(emitter, row, linear->shape->inputs);
    return cvm_advance_in(emitter, buffer, base, cvm_sum(emitter, rows, column));
}

/* The first `count` inputs of a vector, with zeros behind. */
static LLVMValueRef load_inputs(const Linear *linear, int buffer, LLVMValueRef at, int64_t count) {
    if (linear->shape->dots)
        return cvm_load_pairs(linear->emitter, at, linear->lanes, count);
    CvmLanes some = cvm_lanes_first(linear->lanes, count);
    return cvm_load_from(linear->emitter, buffer, at, 1, &some, 0);
}

static LLVMValueRef weight_at(const Linear *linear, const Tile *tile, int64_t feature,
                              LLVMValueRef input) {
    LLVMValueRef row = cvm_sum(linear->emitter, tile->feature, constant(linear, feature));
    return element_of(linear, linear->emitter->kernel->b, linear->weights, row, input);
}

/* In the scratch memory, of an input that begins a vector. Vectors of all pictures lie side by
 * side: loads of the same place in rows of equal length would get in each other's way in the cache.
 */
static LLVMValueRef x_at(const Linear *linear, LLVMValueRef picture, LLVMValueRef input) {
    CvmEmitter *emitter = linear->emitter;
    LLVMValueRef lanes = linear->shape->dots
                             ? LLVMBuildExactUDiv(emitter->builder, input, constant(linear, 2), "")
                             : input;
    return cvm_advance(emitter, linear->x,
                       cvm_sum(emitter, cvm_scale(emitter, lanes, linear->shape->together),
                               cvm_scale(emitter, picture, linear->lanes)));
}

static LLVMValueRef load_x(const Linear *linear, LLVMValueRef at) {
    return linear->shape->dots
               ? cvm_load_pairs(linear->emitter, at, linear->lanes, linear->vector_inputs)
               : cvm_load(linear->emitter, at, 1, &linear->all, 0);
}

static LLVMValueRef add_product(const Linear *linear, LLVMValueRef x, LLVMValueRef weight,
                                LLVMValueRef sum) {
    return linear->shape->dots ? cvm_emit_dot(linear->emitter, x, weight, sum)
                               : cvm_emit_multiply_add(linear->emitter, x, weight, sum);
}

/* A vector of inputs, of which `count` exist, for every picture and feature of the tile. */
static void multiply(const Linear *linear, const Tile *tile, LLVMValueRef input, int64_t count,
                     LLVMValueRef *slots) {
    CvmEmitter *emitter = linear->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef weights[MOST_SUMS];
    for (int64_t f = 0; f < tile->features; f++)
        weights[f] =
            load_inputs(linear, emitter->kernel->b, weight_at(linear, tile, f, input), count);
    for (int64_t n = 0; n < tile->pictures; n++) {
        LLVMValueRef picture = cvm_sum(emitter, tile->picture, constant(linear, n));
        LLVMValueRef x = load_x(linear, x_at(linear, picture, input));
        for (int64_t f = 0; f < tile->features; f++) {
            LLVMValueRef slot = slots[n * tile->features + f];
            LLVMValueRef sum = LLVMBuildLoad2(builder, linear->vector, slot, "");
            LLVMBuildStore(builder, add_product(linear, x, weights[f], sum), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

/* A line of the weights that come next on its way. */
static void prefetch(const Linear *linear, const Tile *tile, LLVMValueRef input) {
    for (int64_t i = 0; i < tile->fetched; i++)
        cvm_emit_prefetch(linear->emitter, element_of(linear, linear->emitter->kernel->b,
                                                      tile->next, constant(linear, i), input));
}

/* Weights of a cache line. */
static int64_t inputs_of_line(const Linear *linear) {
    const CvmKernel *kernel = linear->emitter->kernel;
    return LINE / (int64_t)cvm_dtype_bytes(kernel->buffers[kernel->b].dtype);
}

/* Adds a chunk of `length` inputs to the tile's sums. */
static void emit_tile(const Linear *linear, const Tile *tile, int64_t length) {
    CvmEmitter *emitter = linear->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef slots[MOST_SUMS];
    for (int64_t i = 0; i < tile->pictures * tile->features; i++) {
        slots[i] = cvm_stack_slot(emitter, linear->vector, "sum");
        LLVMBuildStore(builder, cvm_load(emitter, sum_of_tile(linear, tile, i), 1, &linear->all, 0),
                       slots[i]);
    }
    int64_t vector = linear->vector_inputs, step = inputs_of_line(linear);
    step = vector > step ? vector : step; /* a line of each row */
    int64_t whole = length / step * step;
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), step);
        prefetch(linear, tile, loop.index);
        for (int64_t k = 0; k < step; k += vector)
            multiply(linear, tile, cvm_sum(emitter, loop.index, constant(linear, k)), vector,
                     slots);
        cvm_loop_end(emitter, &loop);
    }
    for (int64_t k = whole; k < length; k += vector)
        multiply(linear, tile, constant(linear, k), length - k, slots);
    for (int64_t i = 0; i < tile->pictures * tile->features; i++)
        cvm_store(emitter, LLVMBuildLoad2(builder, linear->vector, slots[i], ""),
                  sum_of_tile(linear, tile, i), 1, &linear->all);
}

/* --- a chunk of inputs --- */

/* Pictures whose x lies in the scratch memory: the first is number `first` of the work item. */
typedef struct Together {
    LLVMValueRef first;
    int64_t pictures, length;
} Together;

/* The weights some tiles behind this one: of the item's later features, or of its first ones in the
 * next chunk. */
static LLVMValueRef next_weights(const Linear *linear, const Together *together, const Tile *tile) {
    CvmEmitter *emitter = linear->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t inputs = linear->shape->inputs;
    LLVMValueRef feature =
        cvm_sum(emitter, tile->feature, constant(linear, linear->shape->ahead * tile->features));
    LLVMValueRef inside =
        LLVMBuildICmp(builder, LLVMIntULT, feature, constant(linear, linear->features), "");
    LLVMValueRef row = cvm_scale(emitter, feature, inputs);
    LLVMValueRef first =
        cvm_sum(emitter, row, constant(linear, together->length - linear->features * inputs));
    return cvm_advance_in(emitter, emitter->kernel->b, linear->weights,
                          LLVMBuildSelect(builder, inside, row, first, ""));
}

/* Some features for all the pictures. */
static void emit_pictures(const Linear *linear, const Together *together, Tile tile) {
    CvmEmitter *emitter = linear->emitter;
    int64_t size = linear->shape->tile_pictures, whole = together->pictures / size * size;
    int64_t tiles = (together->pictures + size - 1) / size;
    const int64_t bounds[] = {0, whole, together->pictures};
    LLVMValueRef next = next_weights(linear, together, &tile);
    tile.fetched = (tile.features + tiles - 1) / tiles;
    for (int part = 0; part < 2; part++) {
        if (bounds[part] == bounds[part + 1])
            continue;
        tile.pictures = part ? together->pictures - whole : size;
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, bounds[part]),
                                      constant(linear, bounds[part + 1]), tile.pictures);
        LLVMValueRef index =
            LLVMBuildUDiv(emitter->builder, loop.index, constant(linear, size), "");
        tile.next = element_of(linear, emitter->kernel->b, next,
                               cvm_scale(emitter, index, tile.fetched), constant(linear, 0));
        tile.picture = loop.index;
        tile.sums = sum_at(linear, cvm_sum(emitter, together->first, loop.index), tile.feature);
        emit_tile(linear, &tile, together->length);
        cvm_loop_end(emitter, &loop);
    }
}

static void emit_features(const Linear *linear, const Together *together) {
    CvmEmitter *emitter = linear->emitter;
    int64_t size = linear->shape->tile_features, whole = linear->features / size * size;
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), size);
        emit_pictures(linear, together, (Tile){.feature = loop.index, .features = size});
        cvm_loop_end(emitter, &loop);
    }
    if (whole < linear->features)
        emit_pictures(
            linear, together,
            (Tile){.feature = constant(linear, whole), .features = linear->features - whole});
}

static void copy_vector(const Linear *linear, LLVMValueRef from, int64_t count, LLVMValueRef to) {
    CvmEmitter *emitter = linear->emitter;
    cvm_store(emitter, load_inputs(linear, emitter->kernel->a, from, count), to, 1, &linear->all);
}

/* A chunk of x into the scratch memory, with zeros behind where the last vector is not whole. */
static void copy_inputs(const Linear *linear, const Together *together, LLVMValueRef input) {
    CvmEmitter *emitter = linear->emitter;
    int a = emitter->kernel->a;
    int64_t vector = linear->vector_inputs, whole = together->length / vector * vector;
    LLVMValueRef zero = constant(linear, 0);
    CvmLoop pictures = cvm_loop_begin(emitter, zero, constant(linear, together->pictures), 1);
    LLVMValueRef picture = cvm_sum(emitter, together->first, pictures.index);
    picture = cvm_sum(emitter, linear->first_picture, picture);
    LLVMValueRef from = element_of(linear, a, emitter->buffers[a], picture, input);
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, zero, constant(linear, whole), vector);
        copy_vector(linear, cvm_advance_in(emitter, a, from, loop.index), vector,
                    x_at(linear, pictures.index, loop.index));
        cvm_loop_end(emitter, &loop);
    }
    if (whole < together->length) {
        LLVMValueRef at = constant(linear, whole);
        copy_vector(linear, cvm_advance_in(emitter, a, from, at), together->length - whole,
                    x_at(linear, pictures.index, at));
    }
    cvm_loop_end(emitter, &pictures);
}

static void emit_together(const Linear *linear, const Together *together, LLVMValueRef input) {
    copy_inputs(linear, together, input);
    emit_features(linear, together);
}

static void emit_chunk(Linear *linear, LLVMValueRef input, int64_t length) {
    CvmEmitter *emitter = linear->emitter;
    const CvmLinear *shape = linear->shape;
    int b = emitter->kernel->b;
    linear->weights = element_of(linear, b, emitter->buffers[b], linear->first, input);
    int64_t size = shape->together, whole = shape->pictures / size * size;
    CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, whole), size);
    emit_together(linear, &(Together){loop.index, size, length}, input);
    cvm_loop_end(emitter, &loop);
    if (whole < shape->pictures)
        emit_together(linear, &(Together){constant(linear, whole), shape->pictures - whole, length},
                      input);
}

/* --- results --- */

/* Neighbouring features of a picture: as many as `lanes` has. */
typedef struct Result {
    LLVMValueRef picture, feature;
    CvmLanes lanes;
} Result;

LLVMValueRef cvm_linear_address(CvmEmitter *emitter, int buffer, LLVMValueRef picture,
                                LLVMValueRef feature) {
    const int64_t *strides = emitter->kernel->buffers[buffer].strides; /* along n, output */
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, picture, strides[0]),
                                  cvm_scale(emitter, feature, strides[1]));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static LLVMValueRef address_of(CvmEmitter *emitter, const Result *result, int buffer) {
    return cvm_linear_address(emitter, buffer, result->picture, result->feature);
}

static LLVMValueRef result_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Result *result = state;
    int64_t stride = emitter->kernel->buffers[expr->index].strides[1];
    return cvm_load(emitter, address_of(emitter, state, expr->index), stride, &result->lanes, 0);
}

/* The sums of as many features as a vector has lanes, each the sum of its own vector's lanes. */
static LLVMValueRef sums_of_vectors(const Linear *linear, LLVMValueRef picture,
                                    LLVMValueRef feature) {
    CvmEmitter *emitter = linear->emitter;
    LLVMValueRef rows[64];
    for (int i = 0; i < linear->lanes; i++) {
        LLVMValueRef at = sum_at(linear, picture, cvm_sum(emitter, feature, constant(linear, i)));
        rows[i] = cvm_load(emitter, at, 1, &linear->all, 0);
    }
    cvm_emit_transpose(emitter, rows, linear->lanes);
    for (int half = linear->lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < half; i++)
            rows[i] = LLVMBuildFAdd(emitter->builder, rows[i], rows[i + half], "");
    return rows[0];
}

/* picture, feature: of the work item. */
static void emit_result(const Linear *linear, LLVMValueRef picture, LLVMValueRef feature,
                        int lanes) {
    CvmEmitter *emitter = linear->emitter;
    const CvmKernel *kernel = emitter->kernel;
    Result result = {cvm_sum(emitter, linear->first_picture, picture),
                     cvm_sum(emitter, linear->first, feature), cvm_lanes_first(lanes, lanes)};
    LLVMValueRef sum =
        lanes > 1 ? sums_of_vectors(linear, picture, feature)
                  : cvm_load(emitter, sum_at(linear, picture, feature), 1, &linear->all, 0);
    if (lanes == 1 && linear->lanes > 1)
        sum = cvm_emit_lane_sum(emitter, sum);
    CvmExprContext context = {sum, lanes, result_leaf, &result};
    for (int i = 0; i < kernel->result_count; i++) {
        int buffer = kernel->results[i].buffer;
        cvm_store(emitter, cvm_emit_expr(emitter, kernel->results[i].value, &context),
                  address_of(emitter, &result, buffer), kernel->buffers[buffer].strides[1],
                  &result.lanes);
    }
}

static void emit_results(const Linear *linear) {
    CvmEmitter *emitter = linear->emitter;
    int64_t whole = linear->features / linear->lanes * linear->lanes;
    const int64_t bounds[] = {0, whole, linear->features};
    CvmLoop pictures =
        cvm_loop_begin(emitter, constant(linear, 0), constant(linear, linear->shape->pictures), 1);
    for (int part = 0; part < 2; part++) {
        if (bounds[part] == bounds[part + 1])
            continue;
        int lanes = part ? 1 : linear->lanes;
        CvmLoop loop = cvm_loop_begin(emitter, constant(linear, bounds[part]),
                                      constant(linear, bounds[part + 1]), lanes);
        emit_result(linear, pictures.index, loop.index, lanes);
        cvm_loop_end(emitter, &loop);
    }
    cvm_loop_end(emitter, &pictures);
}

/* --- the work item --- */

static void clear_sums(const Linear *linear) {
    CvmEmitter *emitter = linear->emitter;
    int64_t count = linear->shape->pictures * linear->shape->block;
    CvmLoop loop = cvm_loop_begin(emitter, constant(linear, 0), constant(linear, count), 1);
    cvm_store(emitter, cvm_float(emitter, linear->lanes, 0),
              cvm_advance(emitter, linear->sums, cvm_scale(emitter, loop.index, linear->lanes)), 1,
              &linear->all);
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
    int64_t blocks = (shape->features + shape->block - 1) / shape->block;
    int64_t rest = shape->features % shape->block;
    LLVMValueRef parts = cvm_i64(emitter, blocks), part = item, picture = cvm_i64(emitter, 0);
    if (shape->pictures < shape->batch) {
        part = LLVMBuildURem(emitter->builder, item, parts, "part");
        picture =
            cvm_scale(emitter, LLVMBuildUDiv(emitter->builder, item, parts, ""), shape->pictures);
    }
    Linear linear = {.emitter = emitter,
                     .shape = shape,
                     .lanes = lanes,
                     .all = cvm_lanes_first(lanes, lanes),
                     .vector = cvm_float_type(emitter, lanes),
                     .vector_inputs = shape->dots ? 2 * lanes : lanes,
                     .first = cvm_scale(emitter, part, shape->block),
                     .first_picture = picture};
    linear.x = emitter->buffers[shape->scratch];
    linear.sums = cvm_advance(emitter, linear.x, cvm_i64(emitter, shape->together * shape->chunk));
    if (!rest) {
        emit_item(&linear, shape->block);
        return;
    }
    LLVMValueRef full =
        LLVMBuildICmp(emitter->builder, LLVMIntULT, part, cvm_i64(emitter, blocks - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, full);
    emit_item(&linear, shape->block);
    cvm_branch_else(emitter, &branch);
    emit_item(&linear, rest);
    cvm_branch_end(emitter, &branch);
}
