/* The generator of ROWS kernels: softmax, losses, normalization across channels, and their
 * gradients. Every statement walks a row's columns, which are channels. Vectors either lie along
 * the columns, the last one masked, and a work item is one row; or, in pictures, whose channels lie
 * apart but whose pixels are neighbours, across as many rows as a vector has lanes, and a work item
 * is one such strip. What later statements read again is kept on the stack, which stays in the
 * first-level cache. */
#include "compiler/codegen/emitter.h"

enum { UNROLLED_STEPS = 2, STACK_ALIGNMENT = 64 };

typedef struct Rows {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    int lanes;                                /* of the vectors */
    int64_t step;                             /* columns between one vector and the next */
    LLVMValueRef picture, position;           /* of the row, or of the first one across */
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

/* Distance of a buffer's elements that lie in one vector. */
static int64_t vector_stride(const Rows *rows, int buffer) {
    return rows->kernel->buffers[buffer].strides[rows->kernel->across ? 2 : 1];
}

/* Where a statement's value at the column at hand, moved by `shift` columns, is kept. */
static LLVMValueRef kept_at(Rows *rows, int statement, int64_t shift) {
    CvmEmitter *emitter = rows->emitter;
    int64_t size = rows->kernel->across ? rows->lanes : 1;
    LLVMValueRef column =
        cvm_sum(emitter, rows->column, cvm_i64(emitter, rows->margins[statement] + shift));
    return cvm_advance(emitter, rows->results[statement], cvm_scale(emitter, column, size));
}

static LLVMValueRef load_kept(Rows *rows, int statement, int64_t shift) {
    CvmLanes all = cvm_lanes_first(rows->on.lanes, rows->on.lanes);
    return cvm_load(rows->emitter, kept_at(rows, statement, shift), 1, &all, 0);
}

/* The value `shift` columns on. Along the columns it is cut out of the two vectors it lies in: what
 * was just stored is read again in the pieces in which it was stored, as processors like it. */
static LLVMValueRef neighbour(Rows *rows, int statement, int64_t shift) {
    CvmEmitter *emitter = rows->emitter;
    int64_t lanes = rows->lanes, rest = ((shift % lanes) + lanes) % lanes;
    if (rows->kernel->across || rest == 0)
        return load_kept(rows, statement, shift);
    LLVMValueRef before = load_kept(rows, statement, shift - rest);
    LLVMValueRef after = load_kept(rows, statement, shift - rest + lanes);
    LLVMValueRef order[64];
    for (int64_t i = 0; i < lanes; i++)
        order[i] = LLVMConstInt(emitter->i32, (unsigned long long)(rest + i), false);
    return LLVMBuildShuffleVector(emitter->builder, before, after,
                                  LLVMConstVector(order, (unsigned)lanes), "");
}

/* The sum of a row value over the columns at most `reach` away; outside there are zeros. */
static LLVMValueRef window_sum(Rows *rows, const CvmStatement *statement) {
    int of = statement->value->index;
    LLVMValueRef sum = NULL;
    for (int64_t shift = -statement->reach; shift <= statement->reach; shift++) {
        LLVMValueRef value = neighbour(rows, of, shift);
        sum = sum ? LLVMBuildFAdd(rows->emitter->builder, sum, value, "") : value;
    }
    return sum;
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
        return rows->kernel->across
                   ? rows->results[expr->index]
                   : cvm_splat(emitter, rows->results[expr->index], rows->on.lanes);
    case CVM_EXPR_ROW_VALUE:
        return load_kept(rows, expr->index, 0);
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
    if (rows->kernel->across || cvm_lanes_all(&rows->on))
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
    LLVMValueRef value = statement->kind == CVM_STATEMENT_WINDOW ? window_sum(rows, statement)
                                                                 : value_of(rows, statement->value);
    cvm_store(emitter, cut(rows, value, 0), kept_at(rows, index, 0), 1, &all);
    if (statement->buffer >= 0)
        cvm_store(emitter, value, buffer_at(rows, statement->buffer),
                  vector_stride(rows, statement->buffer), &rows->on);
}

/* Columns of zeros on both sides for the windows that read this value: whole vectors of them. */
static int64_t margin_of(const Rows *rows, int index) {
    int64_t reach = 0;
    for (int i = index + 1; i < rows->kernel->statement_count; i++) {
        const CvmStatement *reader = &rows->kernel->statements[i];
        if (reader->kind == CVM_STATEMENT_WINDOW && reader->value->index == index &&
            reader->reach > reach)
            reach = reader->reach;
    }
    return round_up(reach, rows->step);
}

static void make_room(Rows *rows, int index) {
    CvmEmitter *emitter = rows->emitter;
    int64_t columns = round_up(rows->kernel->columns, rows->step);
    int64_t margin = rows->margins[index] = margin_of(rows, index);
    int64_t size = rows->kernel->across ? rows->lanes : 1;
    LLVMTypeRef row = LLVMArrayType(emitter->f32, (unsigned)((columns + 2 * margin) * size));
    LLVMValueRef kept = rows->results[index] = cvm_stack_slot(emitter, row, "values");
    LLVMSetAlignment(kept, STACK_ALIGNMENT);
    CvmLanes all = cvm_lanes_first(rows->lanes, rows->lanes);
    for (int64_t column = 0; column < columns + 2 * margin; column += rows->step)
        if (column < margin || column >= margin + columns)
            cvm_store(emitter, cvm_float(emitter, rows->lanes, 0),
                      cvm_advance(emitter, kept, cvm_i64(emitter, column * size)), 1, &all);
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
    if (rows->kernel->across)
        return vector;
    return maximum ? cvm_emit_lane_maximum(emitter, vector) : cvm_emit_lane_sum(emitter, vector);
}

/* --- rows --- */

static void for_columns(Rows *rows, int index, void (*emit)(Rows *rows, int index)) {
    CvmEmitter *emitter = rows->emitter;
    int64_t step = rows->step, columns = rows->kernel->columns;
    int64_t whole = columns / step * step;
    rows->on = rows->kernel->across ? rows->across : cvm_lanes_first(rows->lanes, rows->lanes);
    if (whole <= UNROLLED_STEPS * step) {
        for (int64_t column = 0; column < whole; column += step) {
            rows->column = cvm_i64(emitter, column);
            emit(rows, index);
        }
    } else {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), step);
        rows->column = loop.index;
        emit(rows, index);
        cvm_loop_end(emitter, &loop);
    }
    if (whole == columns)
        return;
    rows->column = cvm_i64(emitter, whole);
    rows->on = cvm_lanes_first(rows->lanes, columns - whole);
    emit(rows, index);
}

/* One number for each row, from other such numbers. */
static void store_scalar(Rows *rows, int index) {
    const CvmStatement *statement = &rows->kernel->statements[index];
    rows->on = rows->kernel->across ? rows->across : cvm_lanes_first(1, 1);
    rows->column = cvm_i64(rows->emitter, 0);
    LLVMValueRef value = rows->results[index] = value_of(rows, statement->value);
    cvm_store(rows->emitter, value, buffer_at(rows, statement->buffer),
              vector_stride(rows, statement->buffer), &rows->on);
}

static void emit_statement(Rows *rows, int index) {
    const CvmStatement *statement = &rows->kernel->statements[index];
    switch (statement->kind) {
    case CVM_STATEMENT_STORE:
        store_scalar(rows, index);
        break;
    case CVM_STATEMENT_VALUE:
    case CVM_STATEMENT_WINDOW:
        make_room(rows, index);
        for_columns(rows, index, keep_vector);
        break;
    case CVM_STATEMENT_MAXIMUM:
    case CVM_STATEMENT_SUM: {
        LLVMValueRef start = cvm_float(rows->emitter, rows->lanes, neutral_of(statement));
        rows->results[index] = cvm_stack_slot(rows->emitter, LLVMTypeOf(start), "reduced");
        LLVMBuildStore(rows->emitter->builder, start, rows->results[index]);
        for_columns(rows, index, reduce_vector);
        rows->results[index] = finish_reduction(rows, index);
        break;
    }
    }
}

static void emit_statements(Rows *rows) {
    for (int i = 0; i < rows->kernel->statement_count; i++)
        emit_statement(rows, i);
}

/* A strip of `count` rows. */
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

void cvm_emit_rows(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    int lanes = kernel->schedule.lanes;
    int64_t size = kernel->across ? lanes : 1; /* rows of an item */
    int64_t items = (kernel->positions + size - 1) / size;
    Rows rows = {.emitter = emitter,
                 .kernel = kernel,
                 .lanes = lanes,
                 .step = kernel->across ? 1 : lanes,
                 .picture = item,
                 .position = cvm_i64(emitter, 0)};
    LLVMValueRef part = cvm_i64(emitter, 0);
    if (items > 1) {
        LLVMValueRef divisor = cvm_i64(emitter, items);
        part = LLVMBuildURem(emitter->builder, item, divisor, "");
        rows.picture = LLVMBuildUDiv(emitter->builder, item, divisor, "");
        rows.position = cvm_scale(emitter, part, size);
    }
    if (kernel->across)
        emit_across(&rows, part, items);
    else
        emit_statements(&rows);
}
