/* The generator of RELAYOUT kernels: [rows][inner] to [rows/lanes][inner][lanes] and back, by
 * transposing lanes x lanes blocks in registers. A work item is one such block. */
#include "compiler/codegen/emitter.h"

/* Where inner element number `element` stands among the vectors of blocked memory. */
static LLVMValueRef place_of(CvmEmitter *emitter, LLVMValueRef element) {
    const CvmRelayout *relayout = &emitter->kernel->relayout;
    if (relayout->taps == 1 || relayout->run == 1)
        return element;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef taps = cvm_i64(emitter, relayout->taps), run = cvm_i64(emitter, relayout->run);
    LLVMValueRef channel = LLVMBuildUDiv(builder, element, taps, "");
    LLVMValueRef tap = LLVMBuildURem(builder, element, taps, "");
    LLVMValueRef first =
        cvm_scale(emitter, LLVMBuildUDiv(builder, channel, run, ""), relayout->taps);
    LLVMValueRef vectors = cvm_scale(emitter, cvm_sum(emitter, first, tap), relayout->run);
    return cvm_sum(emitter, vectors, LLVMBuildURem(builder, channel, run, ""));
}

/* One block: `count` of its inner elements exist. */
static void emit_block(CvmEmitter *emitter, LLVMValueRef block, LLVMValueRef first, int64_t count) {
    const CvmRelayout *relayout = &emitter->kernel->relayout;
    int lanes = (int)relayout->lanes;
    bool back = relayout->to_plain;
    LLVMValueRef start = cvm_scale(emitter, block, relayout->inner * lanes);
    LLVMValueRef plain =
        cvm_advance(emitter, emitter->buffers[back], cvm_sum(emitter, start, first));
    LLVMValueRef blocked = cvm_advance(emitter, emitter->buffers[!back], start);
    LLVMValueRef in_plain[64], in_blocked[64]; /* where row i, and where element i of all rows is */
    for (int i = 0; i < lanes; i++) {
        in_plain[i] = cvm_advance(emitter, plain, cvm_i64(emitter, i * relayout->inner));
        LLVMValueRef element = cvm_sum(emitter, first, cvm_i64(emitter, i));
        in_blocked[i] =
            cvm_advance(emitter, blocked, cvm_scale(emitter, place_of(emitter, element), lanes));
    }
    CvmLanes all = cvm_lanes_first(lanes, lanes), some = cvm_lanes_first(lanes, count);
    LLVMValueRef rows[64];
    for (int i = 0; i < lanes; i++)
        rows[i] = back && i >= count ? cvm_float(emitter, lanes, 0)
                                     : cvm_load(emitter, back ? in_blocked[i] : in_plain[i], 1,
                                                back ? &all : &some, 0);
    cvm_emit_transpose(emitter, rows, lanes);
    for (int i = 0; i < lanes; i++)
        if (back || i < count)
            cvm_store(emitter, rows[i], back ? in_plain[i] : in_blocked[i], 1, back ? &some : &all);
}

void cvm_emit_relayout(CvmEmitter *emitter, LLVMValueRef item) {
    int64_t lanes = emitter->kernel->relayout.lanes, inner = emitter->kernel->relayout.inner;
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
