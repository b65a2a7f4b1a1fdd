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
    default: { /* CVM_EXPR_WHERE_POSITIVE */
        LLVMValueRef c = cvm_emit_expr(emitter, expr->c, context);
        LLVMValueRef zero = cvm_float(emitter, context->lanes, 0);
        LLVMValueRef positive = LLVMBuildFCmp(builder, LLVMRealOGT, a, zero, "");
        return LLVMBuildSelect(builder, positive, b, c, "");
    }
    }
}
