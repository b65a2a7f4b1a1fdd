/* See emit_window.h. */
#include "compiler/codegen/emit_window.h"

static LLVMValueRef address_of(CvmEmitter *emitter, const CvmPixel *pixel, int buffer) {
    const int64_t *strides = emitter->kernel->buffers[buffer].strides;
    LLVMValueRef offset = cvm_i64(emitter, 0);
    for (int axis = 0; axis < 4; axis++)
        offset = cvm_sum(emitter, offset, cvm_scale(emitter, pixel->index[axis], strides[axis]));
    LLVMValueRef base = cvm_advance(emitter, emitter->buffers[buffer], offset);
    return cvm_advance(emitter, base,
                       cvm_i64(emitter, pixel->down * strides[2] + pixel->right * strides[3]));
}

enum { LANE_AXIS = 4 };

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const CvmPixel *pixel = state;
    if (expr->kind == CVM_EXPR_PLACE)
        return pixel->place;
    return cvm_load(emitter, address_of(emitter, pixel, expr->index),
                    emitter->kernel->buffers[expr->index].strides[LANE_AXIS], pixel->lanes, 0);
}

int64_t cvm_window_together(const CvmKernel *kernel, int axis) {
    return kernel->pooling.combine == CVM_COMBINE_NONE ? 1 : kernel->pooling.sizes[axis];
}

/* Combines the window's values: what the epilogue makes of its pixels, of which `first` is one
 * corner. *place: which of them is the first largest. */
static LLVMValueRef pool_window(const CvmPixel *first, CvmTile values, LLVMValueRef *place) {
    CvmEmitter *emitter = first->emitter;
    const CvmPooling *pooling = &emitter->kernel->pooling;
    int lanes = first->lanes->lanes;
    LLVMValueRef pooled = NULL;
    *place = cvm_float(emitter, lanes, 0);
    for (int64_t i = 0; i < pooling->sizes[0]; i++)
        for (int64_t j = 0; j < pooling->sizes[1]; j++) {
            CvmPixel pixel = *first;
            pixel.down += i;
            pixel.right += j;
            CvmExprContext context = {values[i][j], lanes, leaf, &pixel};
            LLVMValueRef value = cvm_emit_expr(emitter, pooling->value, &context);
            if (pooled)
                *place = LLVMBuildSelect(
                    emitter->builder,
                    LLVMBuildFCmp(emitter->builder, LLVMRealOGT, value, pooled, ""),
                    cvm_float(emitter, lanes, (double)(i * pooling->sizes[1] + j)), *place, "");
            pooled = !pooled ? value
                     : pooling->combine == CVM_COMBINE_MAXIMUM
                         ? cvm_emit_maximum(emitter, pooled, value)
                         : LLVMBuildFAdd(emitter->builder, pooled, value, "");
        }
    return pooled;
}

void cvm_emit_window(CvmPixel pixel, CvmTile values) {
    CvmEmitter *emitter = pixel.emitter;
    const CvmKernel *kernel = emitter->kernel;
    LLVMValueRef value = values[0][0], results[CVM_MAX_RESULTS];
    if (kernel->pooling.combine != CVM_COMBINE_NONE) {
        value = pool_window(&pixel, values, &pixel.place);
        for (int i = 0; i < 2; i++)
            pixel.index[2 + i] = LLVMBuildUDiv(emitter->builder, pixel.index[2 + i],
                                               cvm_i64(emitter, kernel->pooling.sizes[i]), "");
        pixel.down /= kernel->pooling.sizes[0];
        pixel.right /= kernel->pooling.sizes[1];
    }
    CvmExprContext context = {value, pixel.lanes->lanes, leaf, &pixel};
    for (int i = 0; i < kernel->result_count; i++)
        results[i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    for (int i = 0; i < kernel->result_count; i++)
        cvm_store(emitter, results[i], address_of(emitter, &pixel, kernel->results[i].buffer), 1,
                  pixel.lanes);
}
