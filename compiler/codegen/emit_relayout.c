/* The generator of RELAYOUT kernels: [batch][inner] to [batch/lanes][inner][lanes] and back, by
 * transposing lanes x lanes blocks in registers. A work item is one such block.
 *
 * The transpose exchanges off-diagonal halves at every power of two (J. O. Eklundh, "A fast
 * computer method for matrix transposing", IEEE Trans. Computers, 1972). */
#include "compiler/codegen/emitter.h"

static void exchange(CvmEmitter *emitter, LLVMValueRef *a, LLVMValueRef *b, int lanes, int half) {
    LLVMValueRef first[64], second[64];
    for (int i = 0; i < lanes; i++) {
        bool upper = i & half;
        first[i] = LLVMConstInt(emitter->i32, (unsigned)(upper ? lanes + i - half : i), false);
        second[i] = LLVMConstInt(emitter->i32, (unsigned)(upper ? lanes + i : i + half), false);
    }
    LLVMValueRef new_a = LLVMBuildShuffleVector(emitter->builder, *a, *b,
                                                LLVMConstVector(first, (unsigned)lanes), "");
    LLVMValueRef new_b = LLVMBuildShuffleVector(emitter->builder, *a, *b,
                                                LLVMConstVector(second, (unsigned)lanes), "");
    *a = new_a;
    *b = new_b;
}

static void transpose(CvmEmitter *emitter, LLVMValueRef *rows, int lanes) {
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < lanes; i++)
            if (!(i & half))
                exchange(emitter, &rows[i], &rows[i + half], lanes, half);
}

/* One block: `count` of its inner elements exist. */
static void emit_block(CvmEmitter *emitter, LLVMValueRef block, LLVMValueRef first, int64_t count) {
    const CvmKernel *kernel = emitter->kernel;
    int lanes = (int)kernel->relayout_lanes;
    int64_t inner = kernel->relayout_inner;
    LLVMValueRef start = cvm_scale(emitter, block, inner * lanes);
    LLVMValueRef plain = cvm_sum(emitter, start, first);
    LLVMValueRef blocked = cvm_sum(emitter, start, cvm_scale(emitter, first, lanes));
    bool back = kernel->relayout_to_plain;
    LLVMValueRef from = cvm_advance(emitter, emitter->buffers[0], back ? blocked : plain);
    LLVMValueRef to = cvm_advance(emitter, emitter->buffers[1], back ? plain : blocked);
    int64_t from_step = back ? lanes : inner, to_step = back ? inner : lanes;
    CvmLanes all = cvm_lanes_first(lanes, lanes), some = cvm_lanes_first(lanes, count);
    LLVMValueRef rows[64];
    for (int i = 0; i < lanes; i++) {
        LLVMValueRef at = cvm_advance(emitter, from, cvm_i64(emitter, i * from_step));
        rows[i] = back && i >= count ? cvm_float(emitter, lanes, 0)
                                     : cvm_load(emitter, at, 1, back ? &all : &some, 0);
    }
    transpose(emitter, rows, lanes);
    for (int i = 0; i < lanes; i++)
        if (back || i < count)
            cvm_store(emitter, rows[i], cvm_advance(emitter, to, cvm_i64(emitter, i * to_step)), 1,
                      back ? &some : &all);
}

void cvm_emit_relayout(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmKernel *kernel = emitter->kernel;
    int64_t lanes = kernel->relayout_lanes, inner = kernel->relayout_inner;
    int64_t blocks = (inner + lanes - 1) / lanes;
    LLVMValueRef divisor = cvm_i64(emitter, blocks);
    LLVMValueRef part = LLVMBuildURem(emitter->builder, item, divisor, "");
    LLVMValueRef block = LLVMBuildUDiv(emitter->builder, item, divisor, "");
    LLVMValueRef first = cvm_scale(emitter, part, lanes);
    if (inner % lanes == 0) {
        emit_block(emitter, block, first, lanes);
        return;
    }
    LLVMValueRef whole =
        LLVMBuildICmp(emitter->builder, LLVMIntULT, part, cvm_i64(emitter, blocks - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, whole);
    emit_block(emitter, block, first, lanes);
    cvm_branch_else(emitter, &branch);
    emit_block(emitter, block, first, inner % lanes);
    cvm_branch_end(emitter, &branch);
}
