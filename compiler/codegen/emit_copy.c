/* The generator of COPY kernels: runs of memory from one tensor into another, row by row. A work
 * item is one piece of a run; the items of a kernel's copies follow one another. */
#include "compiler/codegen/emitter.h"

#include <stdint.h>

static void emit_vector(CvmEmitter *emitter, LLVMValueRef from, LLVMValueRef to, LLVMValueRef at,
                        const CvmLanes *lanes) {
    LLVMValueRef value = cvm_load(emitter, cvm_advance(emitter, from, at), 1, lanes, 0);
    cvm_store(emitter, value, cvm_advance(emitter, to, at), 1, lanes);
}

static void emit_piece(CvmEmitter *emitter, LLVMValueRef from, LLVMValueRef to, int64_t length) {
    int lanes = emitter->kernel->schedule.lanes;
    int64_t whole = length / lanes * lanes;
    CvmLanes all = cvm_lanes_first(lanes, lanes), some = cvm_lanes_first(lanes, length - whole);
    if (whole > 0) {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), lanes);
        emit_vector(emitter, from, to, loop.index, &all);
        cvm_loop_end(emitter, &loop);
    }
    if (whole < length)
        emit_vector(emitter, from, to, cvm_i64(emitter, whole), &some);
}

/* `item` counts this copy's pieces. */
static void emit_one(CvmEmitter *emitter, const CvmCopy *copy, LLVMValueRef item) {
    LLVMBuilderRef builder = emitter->builder;
    int64_t pieces = cvm_copy_pieces(copy);
    LLVMValueRef count = cvm_i64(emitter, pieces);
    LLVMValueRef row = LLVMBuildUDiv(builder, item, count, "row");
    LLVMValueRef piece = LLVMBuildURem(builder, item, count, "piece");
    LLVMValueRef first = cvm_scale(emitter, piece, CVM_COPY_PIECE);
    LLVMValueRef from = cvm_sum(emitter, cvm_scale(emitter, row, copy->from_step),
                                cvm_sum(emitter, first, cvm_i64(emitter, copy->from_offset)));
    LLVMValueRef to = cvm_sum(emitter, cvm_scale(emitter, row, copy->to_step),
                              cvm_sum(emitter, first, cvm_i64(emitter, copy->to_offset)));
    from = cvm_advance(emitter, emitter->buffers[copy->from], from);
    to = cvm_advance(emitter, emitter->buffers[copy->to], to);
    int64_t last = copy->length - (pieces - 1) * CVM_COPY_PIECE;
    if (pieces == 1 || last == CVM_COPY_PIECE) {
        emit_piece(emitter, from, to, last);
        return;
    }
    LLVMValueRef is_whole =
        LLVMBuildICmp(builder, LLVMIntULT, piece, cvm_i64(emitter, pieces - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, is_whole);
    emit_piece(emitter, from, to, CVM_COPY_PIECE);
    cvm_branch_else(emitter, &branch);
    emit_piece(emitter, from, to, last);
    cvm_branch_end(emitter, &branch);
}

static void emit_from(CvmEmitter *emitter, int index, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    const CvmCopy *copy = &kernel->copies[index];
    if (index == kernel->copy_count - 1) {
        emit_one(emitter, copy, item);
        return;
    }
    LLVMValueRef count = cvm_i64(emitter, copy->rows * cvm_copy_pieces(copy));
    LLVMValueRef is_own = LLVMBuildICmp(emitter->builder, LLVMIntULT, item, count, "");
    CvmBranch branch = cvm_branch_begin(emitter, is_own);
    emit_one(emitter, copy, item);
    cvm_branch_else(emitter, &branch);
    emit_from(emitter, index + 1, LLVMBuildSub(emitter->builder, item, count, ""));
    cvm_branch_end(emitter, &branch);
}

void cvm_emit_copy(CvmEmitter *emitter, LLVMValueRef item) {
    emit_from(emitter, 0, item);
}
