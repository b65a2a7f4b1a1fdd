/* The generator of ROWS kernels: softmax, losses, normalization across channels, and their
 * gradients. Every statement walks a row's columns, which are channels. A work item is a strip of
 * rows, and vectors lie
 *
 *   along   a row's columns, the last one masked; a strip is one row;
 *   across  as many rows as a vector has lanes: pictures' channels lie apart, but their pixels are
 *           neighbours. A strip has so many rows;
 *   blocks  along a row's columns, of which every block is one vector; the same block of the
 * strip's rows lies in one run.
 *
 * What later statements read again is kept on the stack, which stays in the first-level cache. */
#include "compiler/codegen/emitter.h"

enum { UNROLLED_STEPS = 2, STACK_ALIGNMENT = 64 };

typedef struct Rows {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    int lanes;                                /* of the vectors */
    int64_t step;                             /* columns between one vector and the next */
    LLVMValueRef picture, position;           /* of the row, or of the first one across */
    LLVMValueRef first, count, inside;        /* blocks: the strip's position, its rows, the row */
    CvmLanes across;                          /* which rows there are, when vectors lie across */
    LLVMValueRef results[CVM_MAX_STATEMENTS]; /* row scalars, or where row values are kept */
    int64_t margins[CVM_MAX_STATEMENTS];      /* zero columns kept on both sides of the values */
    LLVMValueRef column;                      /* first column of the vector at hand */
    CvmLanes on;
} Rows;

static int64_t round_up(int64_t value, int64_t to) {
    return (value + to - 1) / to * to;
}

static LLVMValueRef buffer_at(Rows *rows, int buffer) {
    CvmEmitter *emitter = rows->emitter;
    const int64_t *strides = rows->kernel->buffers[buffer].strides;
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, rows->picture, strides[0]),
                                  cvm_scale(emitter, rows->column, strides[1]));
    offset = cvm_sum(emitter, offset, cvm_scale(emitter, rows->position, strides[2]));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static bool across(const Rows *rows) {
    return rows->kernel->vectors == CVM_ROWS_ACROSS;
}

static bool in_blocks(const Rows *rows) {
    return rows->kernel->vectors == CVM_ROWS_BLOCKS;
}

/* Distance of a buffer's elements that lie in one vector. */
static int64_t vector_stride(const Rows *rows, int buffer) {
    const int64_t *strides = rows->kernel->buffers[buffer].strides;
    return in_blocks(rows) ? strides[1] > 0 : strides[across(rows) ? 2 : 1];
}

/* Columns that are kept of a row, with margins. */
static int64_t kept_columns(const Rows *rows, int statement) {
    return round_up(rows->kernel->columns, rows->step) + 2 * rows->margins[statement];
}

/* Where a statement's value at the column at hand, moved by `shift` columns, is kept: one row
 * behind another, or the rows across side by side. */
static LLVMValueRef kept_at(Rows *rows, int statement, int64_t shift) {
    CvmEmitter *emitter = rows->emitter;
    LLVMValueRef column =
        cvm_sum(emitter, rows->column, cvm_i64(emitter, rows->margins[statement] + shift));
    if (across(rows))
        column = cvm_scale(emitter, column, rows->lanes);
    if (in_blocks(rows))
        column = cvm_sum(emitter, column,
                         cvm_scale(emitter, rows->inside, kept_columns(rows, statement)));
    return cvm_advance(emitter, rows->results[statement], column);
}

static LLVMValueRef load_kept(Rows *rows, int statement, int64_t shift) {
    CvmLanes all = cvm_lanes_first(rows->on.lanes, rows->on.lanes);
    return cvm_load(rows->emitter, kept_at(rows, statement, shift), 1, &all, 0);
}

/* The value `shift` columns on. Along one row it is cut out of the two vectors it lies in: what was
 * just stored is read again in the pieces in which it was stored, as processors like it. In blocks
 * it was stored a whole strip ago and is in the cache, where a vector may begin anywhere: loads
 * cost less than shuffles there (14 cycles a vector in place of 19 for windows of 5). */
static LLVMValueRef neighbour(Rows *rows, int statement, int64_t shift) {
    CvmEmitter *emitter = rows->emitter;
    int64_t lanes = rows->lanes, rest = ((shift % lanes) + lanes) % lanes;
    if (across(rows) || in_blocks(rows) || rest == 0)
        return load_kept(rows, statement, shift);
    LLVMValueRef before = load_kept(rows, statement, shift - rest);
    LLVMValueRef after = load_kept(rows, statement, shift - rest + lanes);
    LLVMValueRef order[64];
    for (int64_t i = 0; i < lanes; i++)
        order[i] = LLVMConstInt(emitter->i32, (unsigned long long)(rest + i), false);
    return LLVMBuildShuffleVector(emitter->builder, before, after,
                                  LLVMConstVector(order, (unsigned)lanes), "");
}

/* The sum of a row value over the columns `first` to `last` from the one at hand, by halves, so
 * that additions need not wait for each other; outside of the row there are zeros. */
static LLVMValueRef window_sum(Rows *rows, int statement, int64_t first, int64_t last) {
    if (first == last)
        return neighbour(rows, statement, first);
    int64_t half = (last - first + 1) / 2;
    return LLVMBuildFAdd(rows->emitter->builder,
                         window_sum(rows, statement, first, first + half - 1),
                         window_sum(rows, statement, first + half, last), "");
}

static LLVMValueRef is_target(Rows *rows, int buffer) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef at = buffer_at(rows, buffer);
    LLVMValueRef target = LLVMBuildLoad2(builder, emitter->i32, at, "target");
    LLVMValueRef first = LLVMBuildTrunc(builder, rows->column, emitter->i32, "");
    LLVMValueRef steps[64];
    for (int i = 0; i < rows->on.lanes; i++)
        steps[i] = LLVMConstInt(emitter->i32, (unsigned)i, false);
    LLVMValueRef columns = cvm_splat(emitter, first, rows->on.lanes);
    if (rows->on.lanes > 1)
        columns =
            LLVMBuildAdd(builder, columns, LLVMConstVector(steps, (unsigned)rows->on.lanes), "");
    LLVMValueRef equal =
        LLVMBuildICmp(builder, LLVMIntEQ, columns, cvm_splat(emitter, target, rows->on.lanes), "");
    return LLVMBuildUIToFP(builder, equal, cvm_float_type(emitter, rows->on.lanes), "");
}

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    Rows *rows = state;
    switch (expr->kind) {
    case CVM_EXPR_ROW_SCALAR:
        return across(rows) ? rows->results[expr->index]
                            : cvm_splat(emitter, rows->results[expr->index], rows->on.lanes);
    case CVM_EXPR_ROW_VALUE:
        return load_kept(rows, expr->index, 0);
    case CVM_EXPR_WINDOW_SUM:
        return window_sum(rows, expr->index, -expr->reach, expr->reach);
    case CVM_EXPR_IS_TARGET:
        return is_target(rows, expr->index);
    default:
        return cvm_load(emitter, buffer_at(rows, expr->index), vector_stride(rows, expr->index),
                        &rows->on, 0);
    }
}

static LLVMValueRef value_of(Rows *rows, const CvmExpr *expr) {
    CvmExprContext context = {NULL, rows->on.lanes, leaf, rows};
    return cvm_emit_expr(rows->emitter, expr, &context);
}

/* The value, with `otherwise` in lanes past the row's end. */
static LLVMValueRef cut(Rows *rows, LLVMValueRef value, double otherwise) {
    if (across(rows) || cvm_lanes_all(&rows->on))
        return value;
    LLVMValueRef bits[64];
    for (int i = 0; i < rows->lanes; i++)
        bits[i] = LLVMConstInt(rows->emitter->i1, rows->on.on[i], false);
    return LLVMBuildSelect(rows->emitter->builder, LLVMConstVector(bits, (unsigned)rows->lanes),
                           value, cvm_float(rows->emitter, rows->lanes, otherwise), "");
}

/* --- statements that keep a value per column --- */

static void keep_vector(Rows *rows, int index) {
    CvmEmitter *emitter = rows->emitter;
    const CvmStatement *statement = &rows->kernel->statements[index];
    CvmLanes all = cvm_lanes_first(rows->lanes, rows->lanes);
    LLVMValueRef value = value_of(rows, statement->value);
    cvm_store(emitter, cut(rows, value, 0), kept_at(rows, index, 0), 1, &all);
    if (statement->buffer >= 0)
        cvm_store(emitter, value, buffer_at(rows, statement->buffer),
                  vector_stride(rows, statement->buffer), &rows->on);
}

/* The largest reach of window sums over row values `first` to `last`. */
static int64_t reach_over(const CvmExpr *expr, int first, int last) {
    if (!expr)
        return 0;
    if (expr->kind == CVM_EXPR_WINDOW_SUM)
        return first <= expr->index && expr->index <= last ? expr->reach : 0;
    const CvmExpr *operands[] = {expr->a, expr->b, expr->c};
    int64_t largest = 0;
    for (int i = 0; i < 3; i++) {
        int64_t reach = reach_over(operands[i], first, last);
        largest = reach > largest ? reach : largest;
    }
    return largest;
}

/* Columns of zeros on both sides for the windows that read this value: whole vectors of them. */
static int64_t margin_of(const Rows *rows, int index) {
    int64_t reach = 0;
    for (int i = index + 1; i < rows->kernel->statement_count; i++) {
        int64_t own = reach_over(rows->kernel->statements[i].value, index, index);
        reach = own > reach ? own : reach;
    }
    return round_up(reach, rows->step);
}

/* The zeros are written once, in the entry block: nothing writes there later. */
static void make_room(Rows *rows, int index) {
    CvmEmitter *emitter = rows->emitter;
    int64_t size = across(rows) ? rows->lanes : 1; /* elements of a column */
    int64_t copies = rows->kernel->strip / size;
    int64_t margin = rows->margins[index] = margin_of(rows, index);
    int64_t columns = kept_columns(rows, index);
    LLVMTypeRef type = LLVMArrayType(emitter->f32, (unsigned)(columns * rows->kernel->strip));
    LLVMValueRef kept = rows->results[index] = cvm_stack_slot(emitter, type, "values");
    LLVMSetAlignment(kept, STACK_ALIGNMENT);
    CvmLanes all = cvm_lanes_first(rows->lanes, rows->lanes);
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);
    LLVMPositionBuilderBefore(emitter->builder, LLVMGetBasicBlockTerminator(emitter->entry));
    for (int64_t row = 0; row < copies; row++)
        for (int64_t column = 0; column < columns; column += rows->step)
            if (column < margin || column >= columns - margin)
                cvm_store(
                    emitter, cvm_float(emitter, rows->lanes, 0),
                    cvm_advance(emitter, kept, cvm_i64(emitter, (row * columns + column) * size)),
                    1, &all);
    LLVMPositionBuilderAtEnd(emitter->builder, here);
}

/* --- statements that reduce a row to one number --- */

static double neutral_of(const CvmStatement *statement) {
    return statement->kind == CVM_STATEMENT_MAXIMUM ? -__builtin_inf() : 0;
}

static void reduce_vector(Rows *rows, int index) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmStatement *statement = &rows->kernel->statements[index];
    LLVMValueRef slot = rows->results[index];
    LLVMValueRef value = cut(rows, value_of(rows, statement->value), neutral_of(statement));
    LLVMTypeRef type = LLVMTypeOf(value);
    bool maximum = statement->kind == CVM_STATEMENT_MAXIMUM;
    LLVMValueRef old = LLVMBuildLoad2(builder, type, slot, "");
    LLVMValueRef new =
        maximum ? cvm_emit_maximum(emitter, old, value) : LLVMBuildFAdd(builder, old, value, "");
    LLVMBuildStore(builder, new, slot);
}

/* The reduced number, of each row across or of the one row. */
static LLVMValueRef finish_reduction(Rows *rows, int index) {
    CvmEmitter *emitter = rows->emitter;
    bool maximum = rows->kernel->statements[index].kind == CVM_STATEMENT_MAXIMUM;
    LLVMTypeRef type = cvm_float_type(emitter, rows->lanes);
    LLVMValueRef vector = LLVMBuildLoad2(emitter->builder, type, rows->results[index], "");
    if (across(rows))
        return vector;
    return maximum ? cvm_emit_lane_maximum(emitter, vector) : cvm_emit_lane_sum(emitter, vector);
}

/* --- rows --- */

/* Statements `first` to `last`, whose values a vector's lanes have at a time. */
typedef struct Together {
    void (*emit)(Rows *rows, int index);
    int first, last;
} Together;

/* Fetches what the next strip reads at this column and in this row: a strip has some lines only of
 * each block, too few for the processor to see by itself what comes (0.19 ms in place of 0.24 for
 * lrn of [96, 55, 55]). */
static void fetch_ahead(Rows *rows) {
    CvmEmitter *emitter = rows->emitter;
    LLVMValueRef here = rows->position;
    rows->position = cvm_sum(emitter, here, cvm_i64(emitter, rows->kernel->strip));
    for (int i = 0; i < rows->kernel->buffer_count; i++)
        if (!rows->kernel->buffers[i].written)
            cvm_emit_prefetch(emitter, buffer_at(rows, i));
    rows->position = here;
}

/* At the column at hand, of every row of the strip. */
static void emit_column(Rows *rows, Together together) {
    CvmEmitter *emitter = rows->emitter;
    CvmLoop loop;
    if (in_blocks(rows)) {
        loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), rows->count, 1);
        rows->inside = loop.index;
        rows->position = cvm_sum(emitter, rows->first, loop.index);
        if (together.first == 0)
            fetch_ahead(rows);
    }
    for (int i = together.first; i <= together.last; i++)
        together.emit(rows, i);
    if (in_blocks(rows))
        cvm_loop_end(emitter, &loop);
}

static void for_columns(Rows *rows, Together together) {
    CvmEmitter *emitter = rows->emitter;
    int64_t step = rows->step, columns = rows->kernel->columns;
    int64_t whole = columns / step * step;
    rows->on = across(rows) ? rows->across : cvm_lanes_first(rows->lanes, rows->lanes);
    if (whole <= UNROLLED_STEPS * step) {
        for (int64_t column = 0; column < whole; column += step) {
            rows->column = cvm_i64(emitter, column);
            emit_column(rows, together);
        }
    } else {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), step);
        rows->column = loop.index;
        emit_column(rows, together);
        cvm_loop_end(emitter, &loop);
    }
    if (whole == columns)
        return;
    rows->column = cvm_i64(emitter, whole);
    rows->on = cvm_lanes_first(rows->lanes, columns - whole);
    emit_column(rows, together);
}

/* One number for each row, from other such numbers. */
static void store_scalar(Rows *rows, int index) {
    const CvmStatement *statement = &rows->kernel->statements[index];
    rows->on = across(rows) ? rows->across : cvm_lanes_first(1, 1);
    rows->column = cvm_i64(rows->emitter, 0);
    LLVMValueRef value = rows->results[index] = value_of(rows, statement->value);
    cvm_store(rows->emitter, value, buffer_at(rows, statement->buffer),
              vector_stride(rows, statement->buffer), &rows->on);
}

/* The last statement that walks over the columns together with this one: values behind it that are
 * made of no window over any of them. What they compute alike, they compute once. */
static int last_together(const CvmKernel *kernel, int index) {
    int last = index;
    while (last + 1 < kernel->statement_count &&
           kernel->statements[last + 1].kind == CVM_STATEMENT_VALUE &&
           reach_over(kernel->statements[last + 1].value, index, last) == 0)
        last++;
    return last;
}

/* Emits the statement, and those that go together with it; returns the last one. */
static int emit_statement(Rows *rows, int index) {
    const CvmStatement *statement = &rows->kernel->statements[index];
    switch (statement->kind) {
    case CVM_STATEMENT_STORE:
        store_scalar(rows, index);
        return index;
    case CVM_STATEMENT_VALUE: {
        Together together = {keep_vector, index, last_together(rows->kernel, index)};
        for (int i = index; i <= together.last; i++)
            make_room(rows, i);
        for_columns(rows, together);
        return together.last;
    }
    case CVM_STATEMENT_MAXIMUM:
    case CVM_STATEMENT_SUM: {
        LLVMValueRef start = cvm_float(rows->emitter, rows->lanes, neutral_of(statement));
        rows->results[index] = cvm_stack_slot(rows->emitter, LLVMTypeOf(start), "reduced");
        LLVMBuildStore(rows->emitter->builder, start, rows->results[index]);
        for_columns(rows, (Together){reduce_vector, index, index});
        rows->results[index] = finish_reduction(rows, index);
        return index;
    }
    }
    return index;
}

static void emit_statements(Rows *rows) {
    for (int i = 0; i < rows->kernel->statement_count; i++)
        i = emit_statement(rows, i);
}

/* A strip of `count` rows, across which vectors lie. */
static void emit_strip(Rows *rows, int64_t count) {
    rows->across = cvm_lanes_first(rows->lanes, count);
    emit_statements(rows);
}

/* The last strip of a picture may be cut short; it is generated separately. */
static void emit_across(Rows *rows, LLVMValueRef strip, int64_t strips) {
    CvmEmitter *emitter = rows->emitter;
    int64_t rest = rows->kernel->positions % rows->lanes;
    if (rest == 0 || strips == 1) {
        emit_strip(rows, rest ? rest : rows->lanes);
        return;
    }
    LLVMValueRef whole =
        LLVMBuildICmp(emitter->builder, LLVMIntULT, strip, cvm_i64(emitter, strips - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, whole);
    emit_strip(rows, rows->lanes);
    cvm_branch_else(emitter, &branch);
    emit_strip(rows, rest);
    cvm_branch_end(emitter, &branch);
}

/* The last strip of a picture may have fewer rows. */
static void emit_in_blocks(Rows *rows, LLVMValueRef position) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmKernel *kernel = rows->kernel;
    LLVMValueRef strip = cvm_i64(emitter, kernel->strip);
    rows->first = position;
    rows->count = strip;
    if (kernel->positions % kernel->strip) {
        LLVMValueRef left =
            LLVMBuildSub(builder, cvm_i64(emitter, kernel->positions), position, "");
        LLVMValueRef whole = LLVMBuildICmp(builder, LLVMIntULT, strip, left, "");
        rows->count = LLVMBuildSelect(builder, whole, strip, left, "");
    }
    emit_statements(rows);
}

void cvm_emit_rows(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    int lanes = kernel->schedule.lanes;
    int64_t strips = (kernel->positions + kernel->strip - 1) / kernel->strip; /* of a picture */
    Rows rows = {.emitter = emitter,
                 .kernel = kernel,
                 .lanes = lanes,
                 .step = kernel->vectors == CVM_ROWS_ACROSS ? 1 : lanes,
                 .picture = item,
                 .position = cvm_i64(emitter, 0)};
    LLVMValueRef part = cvm_i64(emitter, 0);
    if (strips > 1) {
        LLVMValueRef divisor = cvm_i64(emitter, strips);
        part = LLVMBuildURem(emitter->builder, item, divisor, "");
        rows.picture = LLVMBuildUDiv(emitter->builder, item, divisor, "");
        rows.position = cvm_scale(emitter, part, kernel->strip);
    }
    if (across(&rows))
        emit_across(&rows, part, strips);
    else if (in_blocks(&rows))
        emit_in_blocks(&rows, rows.position);
    else
        emit_statements(&rows);
}
