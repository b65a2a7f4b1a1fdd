/* The generator of TURN kernels: weights [outputs][inputs][taps] of each group to
 * [inputs][outputs][taps in reverse], where all of that counts elements or, in filters, blocks,
 * which are transposed in registers. A work item is one input, or block of inputs, whose weights
 * come out in one run. */
#include "compiler/codegen/emitter.h"

/* An element, a vector, or a block: `vectors` of them. */
static void turn_block(CvmEmitter *emitter, LLVMValueRef from, LLVMValueRef to) {
    const CvmTurn *turn = &emitter->kernel->turn;
    CvmLanes all = cvm_lanes_first((int)turn->lanes, turn->lanes);
    LLVMValueRef rows[64];
    for (int64_t i = 0; i < turn->vectors; i++)
        rows[i] = cvm_load(emitter, cvm_advance(emitter, from, cvm_i64(emitter, i * turn->lanes)),
                           1, &all, 0);
    if (turn->vectors > 1)
        cvm_emit_transpose(emitter, rows, (int)turn->lanes);
    for (int64_t i = 0; i < turn->vectors; i++)
        cvm_store(emitter, rows[i], cvm_advance(emitter, to, cvm_i64(emitter, i * turn->lanes)), 1,
                  &all);
}

void cvm_emit_turn(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmTurn *turn = &emitter->kernel->turn;
    LLVMBuilderRef builder = emitter->builder;
    int64_t block = turn->vectors * turn->lanes, taps = turn->taps * block;
    LLVMValueRef inputs = cvm_i64(emitter, turn->inputs);
    LLVMValueRef group = LLVMBuildUDiv(builder, item, inputs, "group");
    LLVMValueRef input = LLVMBuildURem(builder, item, inputs, "input");
    LLVMValueRef first =
        cvm_sum(emitter, cvm_scale(emitter, group, turn->outputs * turn->inputs * taps),
                cvm_scale(emitter, input, taps));
    LLVMValueRef from = cvm_advance(emitter, emitter->buffers[0], first);
    LLVMValueRef to =
        cvm_advance(emitter, emitter->buffers[1], cvm_scale(emitter, item, turn->outputs * taps));
    LLVMValueRef zero = cvm_i64(emitter, 0), last_tap = cvm_i64(emitter, turn->taps - 1);
    CvmLoop outputs = cvm_loop_begin(emitter, zero, cvm_i64(emitter, turn->outputs), 1);
    CvmLoop loop = cvm_loop_begin(emitter, zero, cvm_i64(emitter, turn->taps), 1);
    LLVMValueRef read = cvm_sum(emitter, cvm_scale(emitter, outputs.index, turn->inputs * taps),
                                cvm_scale(emitter, loop.index, block));
    LLVMValueRef tap = LLVMBuildSub(builder, last_tap, loop.index, "");
    LLVMValueRef written =
        cvm_sum(emitter, cvm_scale(emitter, outputs.index, taps), cvm_scale(emitter, tap, block));
    turn_block(emitter, cvm_advance(emitter, from, read), cvm_advance(emitter, to, written));
    cvm_loop_end(emitter, &loop);
    cvm_loop_end(emitter, &outputs);
}
