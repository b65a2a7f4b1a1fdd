/* The generator of REDUCE kernels that are cut into strips (schedule_strips.c): out[r, c] = results
 * (sum over k of a[r, k] b[k, c]). A work item is a strip of columns. It takes b through in chunks
 * of rows k. Of a chunk, all of a and a tile of columns of b at a time are copied together, so that
 * they stay in the nearest cache: rows often lie powers of two apart, where they would drive each
 * other out. Tiles of rows r x columns are summed in registers; between chunks the sums wait in
 * scratch memory, from where the epilogue takes them at the end. Every sum has one order.
 *
 *   scratch: panel [k of the chunk][column of the tile],
 *            rows  [r][k of the chunk],
 *            sums  [tile of the strip][r][column of the tile] */
#include "compiler/codegen/emitter.h"
#include "compiler/kernels/schedule.h"

enum { MAX_TILE = 64, LINE = 16 /* elements of a cache line */ };

typedef struct Strip {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    CvmStripAxes axes;
    int lanes;
    int64_t vectors, columns, rows;   /* of a tile: vectors, their columns; all rows r */
    LLVMValueRef first;               /* column of the strip */
    LLVMValueRef panel, copied, sums; /* scratch memory; copied: rows of a */
} Strip;

/* A tile of the strip: its number, and which lanes of its vectors lie inside of the matrix. */
typedef struct Tile {
    LLVMValueRef number;
    CvmLanes on[MAX_TILE];
} Tile;

/* Rows k of b. */
typedef struct Chunk {
    LLVMValueRef first;
    int64_t length;
} Chunk;

static LLVMValueRef constant(const Strip *strip, int64_t value) {
    return cvm_i64(strip->emitter, value);
}

static int64_t stride(const Strip *strip, int buffer, int axis) {
    return strip->kernel->buffers[buffer].strides[axis];
}

static LLVMValueRef column_of(const Strip *strip, const Tile *tile, int64_t vector) {
    CvmEmitter *emitter = strip->emitter;
    LLVMValueRef column =
        cvm_sum(emitter, strip->first, cvm_scale(emitter, tile->number, strip->columns));
    return cvm_sum(emitter, column, constant(strip, vector * strip->lanes));
}

static LLVMValueRef sum_at(const Strip *strip, const Tile *tile, LLVMValueRef row, int64_t vector) {
    CvmEmitter *emitter = strip->emitter;
    LLVMValueRef index = cvm_sum(emitter, cvm_scale(emitter, tile->number, strip->rows), row);
    index = cvm_sum(emitter, cvm_scale(emitter, index, strip->columns),
                    constant(strip, vector * strip->lanes));
    return cvm_advance(emitter, strip->sums, index);
}

static CvmLanes all_lanes(const Strip *strip) {
    return cvm_lanes_first(strip->lanes, strip->lanes);
}

/* --- copies of a chunk --- */

static void copy_row(const Strip *strip, LLVMValueRef from, LLVMValueRef to, int64_t count) {
    CvmEmitter *emitter = strip->emitter;
    int64_t lanes = strip->lanes, whole = count / lanes * lanes;
    for (int64_t k = 0; k < count; k += k < whole ? lanes : 1) {
        int width = k < whole ? (int)lanes : 1;
        CvmLanes some = cvm_lanes_first(width, width);
        LLVMValueRef at = constant(strip, k);
        cvm_store(emitter, cvm_load(emitter, cvm_advance(emitter, from, at), 1, &some, 0),
                  cvm_advance(emitter, to, at), 1, &some);
    }
}

static void copy_rows(const Strip *strip, const Chunk *chunk) {
    CvmEmitter *emitter = strip->emitter;
    int a = strip->kernel->a;
    CvmLoop rows = cvm_loop_begin(emitter, constant(strip, 0), constant(strip, strip->rows), 1);
    LLVMValueRef from = cvm_sum(
        emitter, cvm_scale(emitter, rows.index, stride(strip, a, strip->axes.row)), chunk->first);
    LLVMValueRef to = cvm_scale(emitter, rows.index, strip->kernel->schedule.strip_rows);
    copy_row(strip, cvm_advance(emitter, emitter->buffers[a], from),
             cvm_advance(emitter, strip->copied, to), chunk->length);
    cvm_loop_end(emitter, &rows);
}

static void copy_panel(const Strip *strip, const Chunk *chunk, const Tile *tile) {
    CvmEmitter *emitter = strip->emitter;
    int b = strip->kernel->b;
    CvmLanes all = all_lanes(strip);
    CvmLoop loop = cvm_loop_begin(emitter, constant(strip, 0), constant(strip, chunk->length), 1);
    LLVMValueRef row = cvm_scale(emitter, cvm_sum(emitter, chunk->first, loop.index),
                                 stride(strip, b, strip->axes.depth));
    for (int64_t v = 0; v < strip->vectors; v++) {
        LLVMValueRef from = cvm_advance(emitter, emitter->buffers[b],
                                        cvm_sum(emitter, row, column_of(strip, tile, v)));
        LLVMValueRef to = cvm_sum(emitter, cvm_scale(emitter, loop.index, strip->columns),
                                  constant(strip, v * strip->lanes));
        cvm_store(emitter, cvm_load(emitter, from, 1, &tile->on[v], 0),
                  cvm_advance(emitter, strip->panel, to), 1, &all);
    }
    cvm_loop_end(emitter, &loop);
}

/* --- sums --- */

/* Row k of the panel with `count` rows of a from `row` on. */
static void emit_products(const Strip *strip, LLVMValueRef k, LLVMValueRef row, int64_t count,
                          LLVMValueRef *slots) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t depth = strip->kernel->schedule.strip_rows;
    CvmLanes all = all_lanes(strip), one = cvm_lanes_first(1, 1);
    LLVMValueRef b[MAX_TILE];
    for (int64_t v = 0; v < strip->vectors; v++) {
        LLVMValueRef at = cvm_sum(emitter, cvm_scale(emitter, k, strip->columns),
                                  constant(strip, v * strip->lanes));
        b[v] = cvm_load(emitter, cvm_advance(emitter, strip->panel, at), 1, &all, 0);
    }
    for (int64_t r = 0; r < count; r++) {
        LLVMValueRef at = cvm_sum(emitter, cvm_scale(emitter, row, depth), k);
        at = cvm_advance(emitter, strip->copied, cvm_sum(emitter, at, constant(strip, r * depth)));
        LLVMValueRef a = cvm_splat(emitter, cvm_load(emitter, at, 0, &one, 0), strip->lanes);
        for (int64_t v = 0; v < strip->vectors; v++) {
            LLVMValueRef slot = slots[r * strip->vectors + v];
            LLVMValueRef old = LLVMBuildLoad2(builder, LLVMTypeOf(a), slot, "");
            LLVMBuildStore(builder, cvm_emit_multiply_add(emitter, a, b[v], old), slot);
        }
    }
    cvm_emit_load_barrier(emitter);
}

/* Fetches a part of the strip's next chunk for row k of a tile: rows are gone through from end to
 * end, as memory likes it. */
static void fetch_next(const Strip *strip, const Chunk *chunk, const Tile *tile, LLVMValueRef k) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef number = cvm_sum(emitter, cvm_scale(emitter, tile->number, chunk->length), k);
    int b = strip->kernel->b;
    LLVMValueRef width = constant(strip, strip->kernel->schedule.strip);
    LLVMValueRef element = cvm_scale(emitter, number, strip->columns);
    LLVMValueRef row = cvm_sum(emitter, chunk->first, LLVMBuildUDiv(builder, element, width, ""));
    row = cvm_sum(emitter, row, constant(strip, chunk->length));
    LLVMValueRef column =
        cvm_sum(emitter, strip->first, LLVMBuildURem(builder, element, width, ""));
    LLVMValueRef at = cvm_advance(
        emitter, emitter->buffers[b],
        cvm_sum(emitter, cvm_scale(emitter, row, stride(strip, b, strip->axes.depth)), column));
    for (int64_t i = 0; i < strip->columns; i += LINE)
        cvm_emit_prefetch(emitter, cvm_advance(emitter, at, constant(strip, i)));
}

/* Adds the chunk to the sums of `count` rows from `row` on; the first ones fetch what comes next, a
 * little with every step. */
static void emit_sums(const Strip *strip, const Chunk *chunk, const Tile *tile, LLVMValueRef row,
                      int64_t count) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMTypeRef type = cvm_float_type(emitter, strip->lanes);
    LLVMValueRef slots[MAX_TILE], places[MAX_TILE];
    CvmLanes all = all_lanes(strip);
    int64_t sums = count * strip->vectors;
    for (int64_t i = 0; i < sums; i++) {
        LLVMValueRef r = cvm_sum(emitter, row, constant(strip, i / strip->vectors));
        places[i] = sum_at(strip, tile, r, i % strip->vectors);
        slots[i] = cvm_stack_slot(emitter, type, "sum");
        LLVMBuildStore(builder, cvm_load(emitter, places[i], 1, &all, 0), slots[i]);
    }
    CvmLoop loop = cvm_loop_begin(emitter, constant(strip, 0), constant(strip, chunk->length), 1);
    if (LLVMIsAConstantInt(row) && LLVMIsNull(row))
        fetch_next(strip, chunk, tile, loop.index);
    emit_products(strip, loop.index, row, count, slots);
    cvm_loop_end(emitter, &loop);
    for (int64_t i = 0; i < sums; i++)
        cvm_store(emitter, LLVMBuildLoad2(builder, type, slots[i], ""), places[i], 1, &all);
}

static void emit_tile(const Strip *strip, const Tile *tile, const Chunk *chunk) {
    CvmEmitter *emitter = strip->emitter;
    int64_t count = strip->kernel->schedule.tile[strip->axes.row];
    int64_t whole = strip->rows / count * count;
    copy_panel(strip, chunk, tile);
    emit_sums(strip, chunk, tile, constant(strip, 0), count);
    CvmLoop loop = cvm_loop_begin(emitter, constant(strip, count), constant(strip, whole), count);
    emit_sums(strip, chunk, tile, loop.index, count);
    cvm_loop_end(emitter, &loop);
    if (whole < strip->rows)
        emit_sums(strip, chunk, tile, constant(strip, whole), strip->rows - whole);
}

/* --- the epilogue --- */

typedef struct Element {
    const Strip *strip;
    LLVMValueRef row, column;
    const CvmLanes *on;
} Element;

static LLVMValueRef place(const Element *element, int buffer) {
    const Strip *strip = element->strip;
    CvmEmitter *emitter = strip->emitter;
    LLVMValueRef offset =
        cvm_sum(emitter, cvm_scale(emitter, element->row, stride(strip, buffer, strip->axes.row)),
                cvm_scale(emitter, element->column, stride(strip, buffer, strip->axes.column)));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Element *element = state;
    const Strip *strip = element->strip;
    return cvm_load(emitter, place(element, expr->index),
                    stride(strip, expr->index, strip->axes.column), element->on, 0);
}

static void emit_results(const Strip *strip, const Tile *tile, const Chunk *chunk) {
    (void)chunk;
    CvmEmitter *emitter = strip->emitter;
    const CvmKernel *kernel = strip->kernel;
    CvmLanes all = all_lanes(strip);
    CvmLoop rows = cvm_loop_begin(emitter, constant(strip, 0), constant(strip, strip->rows), 1);
    for (int64_t v = 0; v < strip->vectors && !cvm_lanes_none(&tile->on[v]); v++) {
        Element element = {strip, rows.index, column_of(strip, tile, v), &tile->on[v]};
        LLVMValueRef sum = cvm_load(emitter, sum_at(strip, tile, rows.index, v), 1, &all, 0);
        CvmExprContext context = {sum, strip->lanes, leaf, &element};
        for (int i = 0; i < kernel->result_count; i++)
            cvm_store(emitter, cvm_emit_expr(emitter, kernel->results[i].value, &context),
                      place(&element, kernel->results[i].buffer), 1, &tile->on[v]);
    }
    cvm_loop_end(emitter, &rows);
}

/* --- the work item --- */

/* Runs `emit` for the tiles of the strip: whole ones, and what is left at the matrix's end. */
static void for_tiles(const Strip *strip, const Chunk *chunk,
                      void (*emit)(const Strip *strip, const Tile *tile, const Chunk *chunk)) {
    CvmEmitter *emitter = strip->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t columns = strip->kernel->axes[strip->axes.column].extent;
    int64_t whole = columns / strip->columns * strip->columns;
    LLVMValueRef left = LLVMBuildSub(builder, constant(strip, whole), strip->first, "");
    LLVMValueRef left_tiles = LLVMBuildUDiv(builder, left, constant(strip, strip->columns), "");
    LLVMValueRef most = constant(strip, strip->kernel->schedule.strip / strip->columns);
    LLVMValueRef counts[] = {left_tiles, most};
    LLVMValueRef count = cvm_intrinsic(emitter, "llvm.smin", emitter->i64, counts, 2);
    CvmLoop loop = cvm_loop_begin(emitter, constant(strip, 0), count, 1);
    Tile tile = {.number = loop.index};
    for (int64_t v = 0; v < strip->vectors; v++)
        tile.on[v] = all_lanes(strip);
    emit(strip, &tile, chunk);
    cvm_loop_end(emitter, &loop);
    if (whole == columns)
        return;
    CvmBranch branch =
        cvm_branch_begin(emitter, LLVMBuildICmp(builder, LLVMIntSLT, left_tiles, most, ""));
    tile.number = left_tiles;
    for (int64_t v = 0; v < strip->vectors; v++)
        tile.on[v] = cvm_lanes_first(strip->lanes, columns - whole - v * strip->lanes);
    emit(strip, &tile, chunk);
    cvm_branch_end(emitter, &branch);
}

static void clear_sums(const Strip *strip) {
    CvmEmitter *emitter = strip->emitter;
    int64_t count = strip->rows * strip->kernel->schedule.strip;
    CvmLanes all = all_lanes(strip);
    CvmLoop loop =
        cvm_loop_begin(emitter, constant(strip, 0), constant(strip, count), strip->lanes);
    cvm_store(emitter, cvm_float(emitter, strip->lanes, 0),
              cvm_advance(emitter, strip->sums, loop.index), 1, &all);
    cvm_loop_end(emitter, &loop);
}

static void emit_chunk(const Strip *strip, const Chunk *chunk) {
    copy_rows(strip, chunk);
    for_tiles(strip, chunk, emit_tile);
}

void cvm_emit_strip(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    const CvmSchedule *schedule = &kernel->schedule;
    CvmStripAxes axes = cvm_strip_axes(kernel);
    int64_t vectors = schedule->tile[axes.column], columns = vectors * schedule->lanes;
    int64_t rows = kernel->axes[axes.row].extent, depth = kernel->axes[axes.depth].extent;
    int64_t whole = depth / schedule->strip_rows * schedule->strip_rows;
    Strip strip = {.emitter = emitter,
                   .kernel = kernel,
                   .axes = axes,
                   .lanes = schedule->lanes,
                   .vectors = vectors,
                   .columns = columns,
                   .rows = rows,
                   .first = cvm_scale(emitter, item, schedule->strip)};
    strip.panel = emitter->buffers[schedule->strip_scratch];
    strip.copied =
        cvm_advance(emitter, strip.panel, constant(&strip, columns * schedule->strip_rows));
    strip.sums = cvm_advance(emitter, strip.copied, constant(&strip, rows * schedule->strip_rows));
    clear_sums(&strip);
    CvmLoop chunks =
        cvm_loop_begin(emitter, constant(&strip, 0), constant(&strip, whole), schedule->strip_rows);
    emit_chunk(&strip, &(Chunk){chunks.index, schedule->strip_rows});
    cvm_loop_end(emitter, &chunks);
    if (whole < depth)
        emit_chunk(&strip, &(Chunk){constant(&strip, whole), depth - whole});
    for_tiles(&strip, NULL, emit_results);
}
