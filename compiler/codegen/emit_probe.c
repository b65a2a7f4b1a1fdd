/* The generator of PROBE kernels: loops that do nothing but multiply-adds in registers, or nothing
 * but loads. What they reach is the roof that other kernels' times are held against (Williams,
 * Waterman and Patterson, "Roofline", CACM 2009). */
#include "compiler/codegen/emitter.h"

enum { SUMS = CVM_PROBE_SUMS };

typedef struct Sums {
    LLVMTypeRef type;
    LLVMValueRef slots[SUMS]; /* registers, once the stack slots are gone */
} Sums;

static Sums begin_sums(CvmEmitter *emitter, LLVMValueRef start) {
    Sums sums = {.type = LLVMTypeOf(start)};
    for (int i = 0; i < SUMS; i++) {
        sums.slots[i] = cvm_stack_slot(emitter, sums.type, "sum");
        LLVMBuildStore(emitter->builder, start, sums.slots[i]);
    }
    return sums;
}

static LLVMValueRef read_sum(CvmEmitter *emitter, const Sums *sums, int i) {
    return LLVMBuildLoad2(emitter->builder, sums->type, sums->slots[i], "");
}

static void store_total(CvmEmitter *emitter, const Sums *sums, LLVMValueRef item, int lanes) {
    LLVMValueRef total = read_sum(emitter, sums, 0);
    for (int i = 1; i < SUMS; i++)
        total = LLVMBuildFAdd(emitter->builder, total, read_sum(emitter, sums, i), "");
    CvmLanes all = cvm_lanes_first(lanes, lanes);
    LLVMValueRef to = cvm_advance(emitter, emitter->buffers[1], cvm_scale(emitter, item, lanes));
    cvm_store(emitter, total, to, 1, &all);
}

static void emit_multiplies(CvmEmitter *emitter, Sums *sums, LLVMValueRef factor) {
    LLVMValueRef rounds = cvm_i64(emitter, emitter->kernel->probe.length);
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), rounds, 1);
    for (int i = 0; i < SUMS; i++) {
        LLVMValueRef sum = read_sum(emitter, sums, i);
        sum = cvm_emit_multiply_add(emitter, sum, factor, factor);
        LLVMBuildStore(emitter->builder, sum, sums->slots[i]);
    }
    cvm_loop_end(emitter, &loop);
}

static void emit_reads(CvmEmitter *emitter, Sums *sums, LLVMValueRef item, const CvmLanes *all) {
    int64_t length = emitter->kernel->probe.length;
    LLVMValueRef from = cvm_advance(emitter, emitter->buffers[0], cvm_scale(emitter, item, length));
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, length),
                                  (int64_t)SUMS * all->lanes);
    for (int i = 0; i < SUMS; i++) {
        LLVMValueRef offset = cvm_i64(emitter, (int64_t)i * all->lanes);
        LLVMValueRef at = cvm_advance(emitter, from, cvm_sum(emitter, loop.index, offset));
        LLVMValueRef value = cvm_load(emitter, at, 1, all, 0);
        LLVMValueRef sum = read_sum(emitter, sums, i);
        LLVMBuildStore(emitter->builder, LLVMBuildFAdd(emitter->builder, sum, value, ""),
                       sums->slots[i]);
    }
    cvm_loop_end(emitter, &loop);
}

void cvm_emit_probe(CvmEmitter *emitter, LLVMValueRef item) {
    int lanes = emitter->kernel->schedule.lanes;
    CvmLanes all = cvm_lanes_first(lanes, lanes);
    /* any numbers, so that LLVM cannot compute the sums itself */
    LLVMValueRef start = cvm_load(emitter, emitter->buffers[0], 1, &all, 0);
    Sums sums = begin_sums(emitter, start);
    if (emitter->kernel->probe.reads)
        emit_reads(emitter, &sums, item, &all);
    else
        emit_multiplies(emitter, &sums, start);
    store_total(emitter, &sums, item, lanes);
}
