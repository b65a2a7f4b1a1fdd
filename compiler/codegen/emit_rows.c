/* The generator of ROWS kernels: softmax, losses and their gradients. A work item is one row; every
 * statement walks its columns a vector at a time, the last vector masked. What later statements
 * read again is kept in a row on the stack, which stays in the first-level cache. */
#include "compiler/codegen/emitter.h"

enum { UNROLLED_VECTORS = 2 };

typedef struct Rows {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    int lanes;
    LLVMValueRef row;                         /* index of the row */
    LLVMValueRef results[CVM_MAX_STATEMENTS]; /* scalars, or the stack row of values */
    LLVMValueRef column;                      /* first column of the vector at hand */
    CvmLanes on;
} Rows;

static LLVMValueRef buffer_at(Rows *rows, int buffer, LLVMValueRef column) {
    CvmEmitter *emitter = rows->emitter;
    const int64_t *strides = rows->kernel->buffers[buffer].strides;
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, rows->row, strides[0]),
                                  cvm_scale(emitter, column, strides[1]));
    return cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static LLVMValueRef is_target(Rows *rows, int buffer) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef at = buffer_at(rows, buffer, cvm_i64(emitter, 0));
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
        return cvm_splat(emitter, rows->results[expr->index], rows->on.lanes);
    case CVM_EXPR_ROW_VALUE:
        return cvm_load(emitter, cvm_advance(emitter, rows->results[expr->index], rows->column), 1,
                        &rows->on, 0);
    case CVM_EXPR_IS_TARGET:
        return is_target(rows, expr->index);
    default:
        return cvm_load(emitter, buffer_at(rows, expr->index, rows->column),
                        rows->kernel->buffers[expr->index].strides[1], &rows->on, 0);
    }
}

static LLVMValueRef value_of(Rows *rows, const CvmExpr *expr) {
    CvmExprContext context = {NULL, rows->on.lanes, leaf, rows};
    return cvm_emit_expr(rows->emitter, expr, &context);
}

/* Takes the vector at hand into a reduction's stack slot, or stores it. */
static void emit_vector(Rows *rows, const CvmStatement *statement, LLVMValueRef slot) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef value = value_of(rows, statement->value);
    if (statement->kind == CVM_STATEMENT_VALUE) {
        cvm_store(emitter, value, cvm_advance(emitter, slot, rows->column), 1, &rows->on);
        if (statement->buffer >= 0)
            cvm_store(emitter, value, buffer_at(rows, statement->buffer, rows->column), 1,
                      &rows->on);
        return;
    }
    LLVMTypeRef type = LLVMTypeOf(value);
    bool maximum = statement->kind == CVM_STATEMENT_MAXIMUM;
    if (!cvm_lanes_all(&rows->on)) { /* lanes past the end must not count */
        LLVMValueRef neutral = cvm_float(emitter, rows->lanes, maximum ? -__builtin_inf() : 0);
        LLVMValueRef bits[64];
        for (int i = 0; i < rows->lanes; i++)
            bits[i] = LLVMConstInt(emitter->i1, rows->on.on[i], false);
        value = LLVMBuildSelect(builder, LLVMConstVector(bits, (unsigned)rows->lanes), value,
                                neutral, "");
    }
    LLVMValueRef old = LLVMBuildLoad2(builder, type, slot, "");
    LLVMValueRef new =
        maximum ? cvm_emit_maximum(emitter, old, value) : LLVMBuildFAdd(builder, old, value, "");
    LLVMBuildStore(builder, new, slot);
}

static void emit_columns(Rows *rows, const CvmStatement *statement, LLVMValueRef slot) {
    CvmEmitter *emitter = rows->emitter;
    int64_t lanes = rows->lanes, columns = rows->kernel->columns;
    int64_t whole = columns / lanes * lanes;
    rows->on = cvm_lanes_first((int)lanes, lanes);
    if (whole <= UNROLLED_VECTORS * lanes) {
        for (int64_t column = 0; column < whole; column += lanes) {
            rows->column = cvm_i64(emitter, column);
            emit_vector(rows, statement, slot);
        }
    } else {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), lanes);
        rows->column = loop.index;
        emit_vector(rows, statement, slot);
        cvm_loop_end(emitter, &loop);
    }
    if (whole == columns)
        return;
    rows->column = cvm_i64(emitter, whole);
    rows->on = cvm_lanes_first((int)lanes, columns - whole);
    emit_vector(rows, statement, slot);
}

static LLVMValueRef emit_statement(Rows *rows, const CvmStatement *statement) {
    CvmEmitter *emitter = rows->emitter;
    LLVMBuilderRef builder = emitter->builder;
    if (statement->kind == CVM_STATEMENT_STORE) {
        rows->on = cvm_lanes_first(1, 1);
        rows->column = cvm_i64(emitter, 0);
        LLVMValueRef value = value_of(rows, statement->value);
        cvm_store(emitter, value, buffer_at(rows, statement->buffer, rows->column), 1, &rows->on);
        return value;
    }
    if (statement->kind == CVM_STATEMENT_VALUE) {
        LLVMTypeRef row = LLVMArrayType(emitter->f32, (unsigned)rows->kernel->columns);
        LLVMValueRef kept = cvm_stack_slot(emitter, row, "values");
        emit_columns(rows, statement, kept);
        return kept;
    }
    bool maximum = statement->kind == CVM_STATEMENT_MAXIMUM;
    LLVMValueRef start = cvm_float(emitter, rows->lanes, maximum ? -__builtin_inf() : 0);
    LLVMValueRef slot = cvm_stack_slot(emitter, LLVMTypeOf(start), "reduced");
    LLVMBuildStore(builder, start, slot);
    emit_columns(rows, statement, slot);
    LLVMValueRef vector = LLVMBuildLoad2(builder, LLVMTypeOf(start), slot, "");
    return maximum ? cvm_emit_lane_maximum(emitter, vector) : cvm_emit_lane_sum(emitter, vector);
}

void cvm_emit_rows(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    Rows rows = {
        .emitter = emitter, .kernel = kernel, .lanes = kernel->schedule.lanes, .row = item};
    for (int i = 0; i < kernel->statement_count; i++)
        rows.results[i] = emit_statement(&rows, &kernel->statements[i]);
}
