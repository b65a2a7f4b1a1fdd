/* The generator of REDUCE kernels that are cut into strips (schedule_strips.c): out[r, c] = results
 * (sum over k of a[r, k] b[k, c]). A work item is a strip of columns. It takes b through in chunks
 * of rows k; a tile of sums is loaded into registers for each chunk and put back into the result's
 * memory, where the epilogue is applied at the end. Every sum has one order. */
#include "compiler/codegen/emitter.h"
#include "compiler/kernels/schedule.h"

enum { MAX_TILE = 64 };

typedef struct Strip {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    CvmStripAxes axes;
    int lanes;
    LLVMValueRef row, column; /* first of the tile */
    int64_t rows, vectors;    /* of the tile */
    CvmLanes on;              /* of each of its vectors */
} Strip;

static int64_t stride(const Strip *strip, int buffer, int axis) {
    return strip->kernel->buffers[buffer].strides[axis];
}

/* The place of the tile's row `row` and vector `vector` in a buffer. */
static LLVMValueRef place(Strip *strip, int buffer, int64_t row, int64_t vector) {
    CvmEmitter *emitter = strip->emitter;
    int64_t by_row = stride(strip, buffer, strip->axes.row);
    int64_t by_column = stride(strip, buffer, strip->axes.column);
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, strip->row, by_row),
                                  cvm_scale(emitter, strip->column, by_column));
    offset = cvm_sum(emitter, offset,
                     cvm_i64(emitter, row * by_row + vector * strip->lanes * by_column));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static int result_of(const Strip *strip) {
    return strip->kernel->results[0].buffer;
}

static LLVMValueRef load_sum(Strip *strip, int64_t row, int64_t vector) {
    return cvm_load(strip->emitter, place(strip, result_of(strip), row, vector), 1, &strip->on, 0);
}

static void store(Strip *strip, LLVMValueRef value, int64_t row, int64_t vector) {
    cvm_store(strip->emitter, value, place(strip, result_of(strip), row, vector), 1, &strip->on);
}

/* --- sums --- */

/* Row k of b with every row of a. */
static void emit_products(Strip *strip, LLVMValueRef k, LLVMValueRef *sums, bool ahead) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmKernel *kernel = strip->kernel;
    int depth = strip->axes.depth;
    int64_t down = stride(strip, kernel->b, depth);
    LLVMValueRef b[MAX_TILE], below = cvm_scale(emitter, k, down);
    for (int64_t v = 0; v < strip->vectors; v++) {
        LLVMValueRef at = cvm_advance(emitter, place(strip, kernel->b, 0, v), below);
        b[v] = cvm_load(emitter, at, 1, &strip->on, 0);
        if (ahead && v * strip->lanes % 16 == 0)
            cvm_emit_prefetch(
                emitter,
                cvm_advance(emitter, at, cvm_i64(emitter, down * kernel->schedule.strip_rows)));
    }
    LLVMValueRef along = cvm_scale(emitter, k, stride(strip, kernel->a, depth));
    CvmLanes one = cvm_lanes_first(1, 1);
    for (int64_t r = 0; r < strip->rows; r++) {
        LLVMValueRef at = cvm_advance(emitter, place(strip, kernel->a, r, 0), along);
        LLVMValueRef a = cvm_splat(emitter, cvm_load(emitter, at, 0, &one, 0), strip->lanes);
        for (int64_t v = 0; v < strip->vectors; v++) {
            LLVMValueRef slot = sums[r * strip->vectors + v];
            LLVMValueRef old = LLVMBuildLoad2(builder, LLVMTypeOf(a), slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, a, b[v], old), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

static void clear_sums(Strip *strip, LLVMValueRef first, LLVMValueRef last) {
    (void)first, (void)last;
    for (int64_t i = 0; i < strip->rows * strip->vectors; i++)
        store(strip, cvm_float(strip->emitter, strip->lanes, 0), i / strip->vectors,
              i % strip->vectors);
}

/* A tile through a chunk, whose first row of b is `first`. */
static void emit_sums(Strip *strip, LLVMValueRef first, LLVMValueRef last) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef sums[MAX_TILE];
    LLVMTypeRef type = cvm_float_type(emitter, strip->lanes);
    for (int64_t i = 0; i < strip->rows * strip->vectors; i++) {
        LLVMValueRef old = load_sum(strip, i / strip->vectors, i % strip->vectors);
        sums[i] = cvm_stack_slot(emitter, type, "sum");
        LLVMBuildStore(builder, old, sums[i]);
    }
    CvmLoop loop = cvm_loop_begin(emitter, first, last, 1);
    emit_products(strip, loop.index, sums, cvm_lanes_all(&strip->on));
    cvm_loop_end(emitter, &loop);
    for (int64_t i = 0; i < strip->rows * strip->vectors; i++)
        store(strip, LLVMBuildLoad2(builder, type, sums[i], ""), i / strip->vectors,
              i % strip->vectors);
}

/* --- tiles --- */

typedef void (*EmitTile)(Strip *strip, LLVMValueRef first, LLVMValueRef last);

/* What an item is at: its first column, and rows of b. */
typedef struct Chunk {
    LLVMValueRef column, first, last;
} Chunk;

/* Runs `emit` for the tiles of the item's columns: whole ones, and at the matrix's end what is
 * left, a vector at a time. */
static void for_columns(Strip *strip, const Chunk *chunk, EmitTile emit) {
    CvmEmitter *emitter = strip->emitter;
    const CvmSchedule *schedule = &strip->kernel->schedule;
    int64_t columns = strip->kernel->axes[strip->axes.column].extent;
    int64_t tile = schedule->tile[strip->axes.column] * strip->lanes;
    int64_t whole = columns / tile * tile;
    LLVMValueRef ends[] = {cvm_sum(emitter, chunk->column, cvm_i64(emitter, schedule->strip)),
                           cvm_i64(emitter, whole)};
    LLVMValueRef end = cvm_intrinsic(emitter, "llvm.smin", emitter->i64, ends, 2);
    CvmLoop loop = cvm_loop_begin(emitter, chunk->column, end, tile);
    strip->column = loop.index;
    strip->vectors = schedule->tile[strip->axes.column];
    strip->on = cvm_lanes_first(strip->lanes, strip->lanes);
    emit(strip, chunk->first, chunk->last);
    cvm_loop_end(emitter, &loop);
    if (whole == columns)
        return;
    LLVMValueRef is_last = LLVMBuildICmp(emitter->builder, LLVMIntSGT, ends[0], ends[1], "");
    CvmBranch branch = cvm_branch_begin(emitter, is_last);
    strip->vectors = 1;
    for (int64_t at = whole; at < columns; at += strip->lanes) {
        strip->column = cvm_i64(emitter, at);
        strip->on = cvm_lanes_first(strip->lanes, columns - at);
        emit(strip, chunk->first, chunk->last);
    }
    cvm_branch_end(emitter, &branch);
}

/* Rows outside: a's often lie a power of two apart, where a cache holds few of them. */
static void for_tiles(Strip *strip, const Chunk *chunk, EmitTile emit) {
    CvmEmitter *emitter = strip->emitter;
    int64_t rows = strip->kernel->axes[strip->axes.row].extent;
    int64_t tile = strip->kernel->schedule.tile[strip->axes.row], whole = rows / tile * tile;
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), tile);
    strip->row = loop.index;
    strip->rows = tile;
    for_columns(strip, chunk, emit);
    cvm_loop_end(emitter, &loop);
    if (whole == rows)
        return;
    strip->row = cvm_i64(emitter, whole);
    strip->rows = rows - whole;
    for_columns(strip, chunk, emit);
}

/* --- the epilogue --- */

typedef struct Element {
    Strip *strip;
    int64_t row, vector;
} Element;

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    Element *element = state;
    Strip *strip = element->strip;
    return cvm_load(emitter, place(strip, expr->index, element->row, element->vector),
                    stride(strip, expr->index, strip->axes.column), &strip->on, 0);
}

static void emit_results(Strip *strip, LLVMValueRef first, LLVMValueRef last) {
    (void)first, (void)last;
    for (int64_t r = 0; r < strip->rows; r++)
        for (int64_t v = 0; v < strip->vectors; v++) {
            Element element = {strip, r, v};
            CvmExprContext context = {load_sum(strip, r, v), strip->lanes, leaf, &element};
            store(strip, cvm_emit_expr(strip->emitter, strip->kernel->results[0].value, &context),
                  r, v);
        }
}

void cvm_emit_strip(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    const CvmSchedule *schedule = &kernel->schedule;
    Strip strip = {.emitter = emitter,
                   .kernel = kernel,
                   .axes = cvm_strip_axes(kernel),
                   .lanes = schedule->lanes};
    LLVMValueRef column = cvm_scale(emitter, item, schedule->strip), zero = cvm_i64(emitter, 0);
    LLVMValueRef depth = cvm_i64(emitter, kernel->axes[strip.axes.depth].extent);
    for_tiles(&strip, &(Chunk){column, zero, zero}, clear_sums);
    CvmLoop chunks = cvm_loop_begin(emitter, zero, depth, schedule->strip_rows);
    LLVMValueRef ends[] = {cvm_sum(emitter, chunks.index, cvm_i64(emitter, schedule->strip_rows)),
                           depth};
    LLVMValueRef end = cvm_intrinsic(emitter, "llvm.smin", emitter->i64, ends, 2);
    for_tiles(&strip, &(Chunk){column, chunks.index, end}, emit_sums);
    cvm_loop_end(emitter, &chunks);
    if (kernel->results[0].value->kind != CVM_EXPR_ACCUMULATOR)
        for_tiles(&strip, &(Chunk){column, zero, zero}, emit_results);
}
