/* Expression trees to vector code: the epilogues of every kernel. */
#include "compiler/codegen/emitter.h"

LLVMValueRef cvm_emit_expr(CvmEmitter *emitter, const CvmExpr *expr,
                           const CvmExprContext *context) {
    LLVMBuilderRef builder = emitter->builder;
    switch (expr->kind) {
    case CVM_EXPR_CONSTANT:
        return cvm_float(emitter, context->lanes, expr->value);
    case CVM_EXPR_ACCUMULATOR:
        return context->accumulator;
    case CVM_EXPR_PLACE:
    case CVM_EXPR_LOAD:
    case CVM_EXPR_UNIFORM:
    case CVM_EXPR_SHARE:
    case CVM_EXPR_ROW_SCALAR:
    case CVM_EXPR_ROW_VALUE:
    case CVM_EXPR_WINDOW_SUM:
    case CVM_EXPR_IS_TARGET:
        return context->leaf(emitter, expr, context->state);
    default:
        break;
    }
    LLVMValueRef a = cvm_emit_expr(emitter, expr->a, context);
    LLVMValueRef b = expr->b ? cvm_emit_expr(emitter, expr->b, context) : NULL;
    switch (expr->kind) {
    case CVM_EXPR_ADD:
        return LLVMBuildFAdd(builder, a, b, "");
    case CVM_EXPR_SUBTRACT:
        return LLVMBuildFSub(builder, a, b, "");
    case CVM_EXPR_MULTIPLY:
        return LLVMBuildFMul(builder, a, b, "");
    case CVM_EXPR_DIVIDE:
        return LLVMBuildFDiv(builder, a, b, "");
    case CVM_EXPR_MAXIMUM:
        return cvm_emit_maximum(emitter, a, b);
    case CVM_EXPR_EXP:
        return cvm_emit_exp(emitter, a);
    case CVM_EXPR_LOG:
        return cvm_emit_log(emitter, a);
    case CVM_EXPR_TANH:
        return cvm_emit_tanh(emitter, a);
    case CVM_EXPR_SIGMOID:
        return cvm_emit_sigmoid(emitter, a);
    case CVM_EXPR_ERF:
        return cvm_emit_erf(emitter, a);
    case CVM_EXPR_SQRT:
        return cvm_intrinsic(emitter, "llvm.sqrt", LLVMTypeOf(a), &a, 1);
    case CVM_EXPR_INVERSE_FOURTH_ROOT:
        return cvm_emit_inverse_fourth_root(emitter, a);
    default: { /* CVM_EXPR_WHERE_POSITIVE */
        LLVMValueRef c = cvm_emit_expr(emitter, expr->c, context);
        LLVMValueRef zero = cvm_float(emitter, context->lanes, 0);
        LLVMValueRef positive = LLVMBuildFCmp(builder, LLVMRealOGT, a, zero, "");
        return LLVMBuildSelect(builder, positive, b, c, "");
    }
    }
}

/* Where a vector's elements begin. */
typedef struct Flat {
    LLVMValueRef offset;
    CvmLanes all;
} Flat;

static LLVMValueRef flat_place(CvmEmitter *emitter, const Flat *flat, int buffer) {
    int64_t stride = emitter->kernel->buffers[buffer].strides[0];
    return cvm_advance(emitter, emitter->buffers[buffer], cvm_scale(emitter, flat->offset, stride));
}

static LLVMValueRef flat_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Flat *flat = state;
    return cvm_load(emitter, flat_place(emitter, flat, expr->index),
                    emitter->kernel->buffers[expr->index].strides[0], &flat->all, 0);
}

void cvm_emit_flat_results(CvmEmitter *emitter, LLVMValueRef value, LLVMValueRef offset,
                           int lanes) {
    const CvmKernel *kernel = emitter->kernel;
    Flat flat = {.offset = offset, .all = cvm_lanes_first(lanes, lanes)};
    const CvmExprContext context = {value, lanes, flat_leaf, &flat};
    LLVMValueRef values[CVM_MAX_RESULTS];
    for (int i = 0; i < kernel->result_count; i++)
        values[i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    for (int i = 0; i < kernel->result_count; i++)
        cvm_store(emitter, values[i], flat_place(emitter, &flat, kernel->results[i].buffer), 1,
                  &flat.all);
}
