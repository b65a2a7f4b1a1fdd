/* The side sum of a contraction (CvmSideSum): the gradient of a bias, summed up from the gradient
 * that the contraction reads anyway, while that is in the caches. Some neighbouring channels at a
 * time: where they lie side by side in memory, vectors hold channels, else elements of one channel,
 * whose lanes are summed at the end. Every sum has one order, whatever the split over threads. */
#include "compiler/codegen/emit_side.h"

static const CvmSideSum *shape_of(const CvmSide *side) {
    return &side->emitter->kernel->side;
}

/* Channels that a unit has: those of a vector, or one. */
static int64_t channels_of_unit(const CvmSide *side) {
    return shape_of(side)->across ? side->width : 1;
}

static LLVMTypeRef vector_type(const CvmSide *side) {
    return cvm_float_type(side->emitter, side->width);
}

CvmSide cvm_side_begin(CvmEmitter *emitter, LLVMValueRef channel, int64_t channels, int width) {
    CvmSide side = {.emitter = emitter, .channel = channel, .width = width};
    side.units = (int)(channels / channels_of_unit(&side));
    for (int i = 0; i < side.units * CVM_SIDE_SUMS; i++) {
        side.sums[i] = cvm_stack_slot(emitter, vector_type(&side), "side");
        LLVMBuildStore(emitter->builder, cvm_float(emitter, width, 0), side.sums[i]);
    }
    return side;
}

static void add(CvmSide *side, LLVMValueRef slot, LLVMValueRef at, const CvmLanes *lanes) {
    LLVMBuilderRef builder = side->emitter->builder;
    LLVMValueRef old = LLVMBuildLoad2(builder, vector_type(side), slot, "");
    LLVMValueRef value = cvm_load(side->emitter, at, 1, lanes, 0);
    LLVMBuildStore(builder, LLVMBuildFAdd(builder, old, value, ""), slot);
}

/* The vectors of a unit in a block, which lie in one run at `at`. */
static void add_run(CvmSide *side, LLVMValueRef *sums, LLVMValueRef at) {
    CvmEmitter *emitter = side->emitter;
    const CvmSideSum *shape = shape_of(side);
    int64_t vectors = shape->across ? shape->run : shape->run / side->width;
    int64_t rest = shape->across ? 0 : shape->run % side->width;
    int64_t whole = vectors / CVM_SIDE_SUMS * CVM_SIDE_SUMS;
    CvmLanes all = cvm_lanes_first(side->width, side->width);
    if (whole) {
        CvmLoop loop =
            cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, whole), CVM_SIDE_SUMS);
        LLVMValueRef from = cvm_advance(emitter, at, cvm_scale(emitter, loop.index, side->width));
        for (int i = 0; i < CVM_SIDE_SUMS; i++)
            add(side, sums[i], cvm_advance(emitter, from, cvm_i64(emitter, i * side->width)), &all);
        cvm_loop_end(emitter, &loop);
    }
    for (int64_t i = whole; i < vectors; i++)
        add(side, sums[i - whole], cvm_advance(emitter, at, cvm_i64(emitter, i * side->width)),
            &all);
    CvmLanes some = cvm_lanes_first(side->width, rest);
    if (rest)
        add(side, sums[CVM_SIDE_SUMS - 1],
            cvm_advance(emitter, at, cvm_i64(emitter, vectors * side->width)), &some);
}

void cvm_side_add(CvmSide *side, LLVMValueRef block) {
    CvmEmitter *emitter = side->emitter;
    const CvmSideSum *shape = shape_of(side);
    LLVMValueRef offset = cvm_sum(emitter, cvm_scale(emitter, side->channel, shape->channel_step),
                                  cvm_scale(emitter, block, shape->block_step));
    LLVMValueRef first = cvm_advance(emitter, emitter->buffers[shape->buffer], offset);
    for (int unit = 0; unit < side->units; unit++) {
        int64_t step = unit * channels_of_unit(side) * shape->channel_step;
        add_run(side, &side->sums[unit * CVM_SIDE_SUMS],
                cvm_advance(emitter, first, cvm_i64(emitter, step)));
    }
}

void cvm_side_add_all(CvmSide *side) {
    CvmEmitter *emitter = side->emitter;
    CvmLoop blocks =
        cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, shape_of(side)->blocks), 1);
    cvm_side_add(side, blocks.index);
    cvm_loop_end(emitter, &blocks);
}

/* --- results --- */

typedef struct Unit {
    const CvmSide *side;
    int number;
    CvmLanes lanes;
} Unit;

static LLVMValueRef place(const Unit *unit, int buffer) {
    CvmEmitter *emitter = unit->side->emitter;
    int64_t stride = emitter->kernel->buffers[buffer].strides[0];
    LLVMValueRef channel = cvm_sum(emitter, unit->side->channel,
                                   cvm_i64(emitter, unit->number * channels_of_unit(unit->side)));
    return cvm_advance(emitter, emitter->buffers[buffer], cvm_scale(emitter, channel, stride));
}

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Unit *unit = state;
    return cvm_load(emitter, place(unit, expr->index),
                    emitter->kernel->buffers[expr->index].strides[0], &unit->lanes, 0);
}

/* The unit's sums as one. */
static LLVMValueRef total(CvmSide *side, int unit) {
    LLVMBuilderRef builder = side->emitter->builder;
    LLVMValueRef sum = NULL;
    for (int i = 0; i < CVM_SIDE_SUMS; i++) {
        LLVMValueRef slot = side->sums[unit * CVM_SIDE_SUMS + i];
        LLVMValueRef part = LLVMBuildLoad2(builder, vector_type(side), slot, "");
        sum = sum ? LLVMBuildFAdd(builder, sum, part, "") : part;
    }
    return shape_of(side)->across || side->width == 1 ? sum : cvm_emit_lane_sum(side->emitter, sum);
}

void cvm_side_store(CvmSide *side) {
    CvmEmitter *emitter = side->emitter;
    const CvmSideSum *shape = shape_of(side);
    int lanes = (int)channels_of_unit(side);
    for (int i = 0; i < side->units; i++) {
        LLVMValueRef values[CVM_MAX_RESULTS];
        Unit unit = {side, i, cvm_lanes_first(lanes, lanes)};
        CvmExprContext context = {total(side, i), lanes, leaf, &unit};
        for (int k = 0; k < shape->result_count; k++)
            values[k] = cvm_emit_expr(emitter, shape->results[k].value, &context);
        for (int k = 0; k < shape->result_count; k++)
            cvm_store(emitter, values[k], place(&unit, shape->results[k].buffer), 1, &unit.lanes);
    }
}
