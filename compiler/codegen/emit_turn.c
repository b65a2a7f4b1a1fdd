/* The generator of TURN kernels: weights [o, i, taps] of each group to [i, o, taps] with the taps
 * in reverse. A work item is one input channel, whose weights come out in one run. */
#include "compiler/codegen/emitter.h"

void cvm_emit_turn(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmTurn *turn = &emitter->kernel->turn;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef inputs = cvm_i64(emitter, turn->inputs);
    LLVMValueRef group = LLVMBuildUDiv(builder, item, inputs, "group");
    LLVMValueRef input = LLVMBuildURem(builder, item, inputs, "input");
    LLVMValueRef first =
        cvm_sum(emitter, cvm_scale(emitter, group, turn->outputs * turn->inputs * turn->taps),
                cvm_scale(emitter, input, turn->taps));
    LLVMValueRef from = cvm_advance(emitter, emitter->buffers[0], first);
    LLVMValueRef to = cvm_advance(emitter, emitter->buffers[1],
                                  cvm_scale(emitter, item, turn->outputs * turn->taps));
    LLVMValueRef zero = cvm_i64(emitter, 0), last_tap = cvm_i64(emitter, turn->taps - 1);
    CvmLanes one = cvm_lanes_first(1, 1);
    CvmLoop outputs = cvm_loop_begin(emitter, zero, cvm_i64(emitter, turn->outputs), 1);
    CvmLoop taps = cvm_loop_begin(emitter, zero, cvm_i64(emitter, turn->taps), 1);
    LLVMValueRef read =
        cvm_sum(emitter, cvm_scale(emitter, outputs.index, turn->inputs * turn->taps), taps.index);
    LLVMValueRef written = cvm_sum(emitter, cvm_scale(emitter, outputs.index, turn->taps),
                                   LLVMBuildSub(builder, last_tap, taps.index, ""));
    cvm_store(emitter, cvm_load(emitter, cvm_advance(emitter, from, read), 1, &one, 0),
              cvm_advance(emitter, to, written), 1, &one);
    cvm_loop_end(emitter, &taps);
    cvm_loop_end(emitter, &outputs);
}
