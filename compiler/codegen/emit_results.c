/* What happens to a REDUCE kernel's finished sums: the epilogue, pooling, the stores. See
 * emit_reduce.h.
 *
 * Pooling keeps the windows of the item's row on the stack: each block of sums is combined into the
 * windows that it touches, and the row is stored when all of it has passed. So the sums' blocks
 * need not hold whole windows. */
#include "compiler/codegen/emit_reduce.h"

/* --- expressions of results --- */

typedef struct Epilogue {
    CvmReduce *reduce;
    int sum;
    CvmTilePoint point;
    CvmLanes lanes;
} Epilogue;

/* The share of the window at the result's position along window `axis`. */
static LLVMValueRef load_share(CvmEmitter *emitter, const Epilogue *epilogue, int axis) {
    const CvmReduce *reduce = epilogue->reduce;
    int position = reduce->kernel->windows[axis].position;
    LLVMValueRef index =
        cvm_sum(emitter, reduce->index[position],
                cvm_i64(emitter, cvm_tile_element(reduce, &epilogue->point, position)));
    LLVMValueRef at = cvm_advance(emitter, cvm_table_shares(emitter, axis), index);
    bool along = position == reduce->schedule->vector_axis;
    return cvm_load(emitter, at, along, &epilogue->lanes, 0);
}

/* A random number for each element of the result at hand. */
static LLVMValueRef draw_uniform(CvmEmitter *emitter, const CvmExpr *expr,
                                 const Epilogue *epilogue) {
    const CvmReduce *reduce = epilogue->reduce;
    const int64_t *strides = reduce->kernel->element_strides;
    LLVMValueRef first = cvm_i64(emitter, 0);
    int64_t offset = 0;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++) {
        first = cvm_sum(emitter, first, cvm_scale(emitter, reduce->index[axis], strides[axis]));
        offset += cvm_tile_element(reduce, &epilogue->point, axis) * strides[axis];
    }
    int along = reduce->schedule->vector_axis;
    return cvm_emit_uniform(emitter, emitter->buffers[expr->index], expr->stream,
                            cvm_sum(emitter, first, cvm_i64(emitter, offset)),
                            along < 0 ? 0 : strides[along], epilogue->lanes.lanes);
}

static LLVMValueRef epilogue_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    Epilogue *epilogue = state;
    if (expr->kind == CVM_EXPR_PLACE)
        return LLVMBuildLoad2(emitter->builder, cvm_float_type(emitter, epilogue->lanes.lanes),
                              epilogue->reduce->places[epilogue->sum], "");
    if (expr->kind == CVM_EXPR_SHARE)
        return load_share(emitter, epilogue, expr->index);
    if (expr->kind == CVM_EXPR_UNIFORM)
        return draw_uniform(emitter, expr, epilogue);
    return cvm_reduce_load(epilogue->reduce, expr->index,
                           cvm_tile_offset(epilogue->reduce, expr->index, &epilogue->point),
                           &epilogue->lanes, 0);
}

void cvm_reduce_clear_sums(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    bool maximum = reduce->kernel->combine == CVM_COMBINE_MAXIMUM;
    bool places = cvm_kernel_has_place(reduce->kernel);
    LLVMValueRef zero = cvm_float(emitter, reduce->schedule->lanes, 0);
    LLVMValueRef start =
        maximum ? cvm_float(emitter, reduce->schedule->lanes, -__builtin_inf()) : zero;
    for (int i = 0; i < reduce->sum_count; i++) {
        reduce->sums[i] = cvm_stack_slot(emitter, LLVMTypeOf(start), "sum");
        LLVMBuildStore(emitter->builder, start, reduce->sums[i]);
        if (!places)
            continue;
        reduce->places[i] = cvm_stack_slot(emitter, LLVMTypeOf(start), "place");
        LLVMBuildStore(emitter->builder, zero, reduce->places[i]);
    }
}

bool cvm_reduce_is_pooled(const CvmReduce *reduce) {
    return reduce->kernel->pooling.combine != CVM_COMBINE_NONE;
}

static LLVMValueRef finished_sum(CvmReduce *reduce, int sum) {
    CvmEmitter *emitter = reduce->emitter;
    if (reduce->kernel->combine == CVM_COMBINE_NONE)
        return NULL;
    LLVMTypeRef type = cvm_float_type(emitter, reduce->schedule->lanes);
    LLVMValueRef value = LLVMBuildLoad2(emitter->builder, type, reduce->sums[sum], "");
    if (reduce->schedule->vector_axis < 0 || cvm_reduce_vector_is_output(reduce))
        return value;
    return reduce->kernel->combine == CVM_COMBINE_MAXIMUM ? cvm_emit_lane_maximum(emitter, value)
                                                          : cvm_emit_lane_sum(emitter, value);
}

/* --- pooling: an item's row of windows, kept on the stack --- */

/* The windows along the slide's positions; those of the other pooled axis are walked. */
static int64_t windows_in_row(const CvmReduce *reduce) {
    const CvmWindow *slide = cvm_reduce_slide(reduce);
    if (!slide)
        return 1;
    return reduce->kernel->axes[slide->position].extent /
           cvm_pooled_together(reduce->kernel, slide->position);
}

/* Which of the values that the tile has in one window the point is; NULL: how many there are. */
static int64_t place_in_window(const CvmReduce *reduce, const CvmTilePoint *point) {
    int64_t place = 0, count = 1;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++) {
        const CvmPooling *pooling = &reduce->kernel->pooling;
        if (axis == pooling->axes[0] || axis == pooling->axes[1])
            continue;
        place = place * cvm_tile_units(reduce, axis) + (point ? point->unit[axis] : 0);
        count *= cvm_tile_units(reduce, axis);
    }
    return point ? place : count;
}

void cvm_reduce_begin_pooling(CvmReduce *reduce) {
    int lanes = cvm_reduce_vector_is_output(reduce) ? reduce->schedule->lanes : 1;
    uint64_t values = (uint64_t)(windows_in_row(reduce) * place_in_window(reduce, NULL));
    LLVMTypeRef type = LLVMArrayType2(cvm_float_type(reduce->emitter, lanes), values);
    reduce->pooled = cvm_stack_slot(reduce->emitter, type, "pooled");
}

/* Where the row keeps what is combined at `window` for the point. Volatile: it stays in memory,
 * since the registers are the sums'. */
static LLVMValueRef pooled_at(CvmReduce *reduce, LLVMValueRef window, const CvmTilePoint *point) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef index = cvm_sum(emitter, cvm_scale(emitter, window, place_in_window(reduce, NULL)),
                                 cvm_i64(emitter, place_in_window(reduce, point)));
    LLVMTypeRef type = cvm_float_type(emitter, cvm_tile_lanes(reduce, point).lanes);
    return LLVMBuildInBoundsGEP2(emitter->builder, type, reduce->pooled, &index, 1, "");
}

static LLVMValueRef load_pooled(CvmReduce *reduce, LLVMValueRef at, int lanes) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef value = LLVMBuildLoad2(emitter->builder, cvm_float_type(emitter, lanes), at, "");
    LLVMSetVolatile(value, true);
    return value;
}

static void store_pooled(CvmReduce *reduce, LLVMValueRef value, LLVMValueRef at) {
    LLVMSetVolatile(LLVMBuildStore(reduce->emitter->builder, value, at), true);
}

/* The window along the slide's positions that the point lies in; `known`: its number, relative to
 * others of the block that are known too, else -1. */
static LLVMValueRef window_of_point(CvmReduce *reduce, const CvmTilePoint *point, int64_t *known) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmWindow *slide = cvm_reduce_slide(reduce);
    *known = 0;
    if (!slide)
        return cvm_i64(emitter, 0);
    int axis = slide->position;
    int64_t together = cvm_pooled_together(reduce->kernel, axis), unit = point->unit[axis];
    bool whole = reduce->schedule->tile[axis] % together == 0; /* blocks begin with a window */
    *known = reduce->position_static ? (reduce->block_position + unit) / together
             : whole                 ? unit / together
                                     : -1;
    if (reduce->position_static)
        return cvm_i64(emitter, *known);
    LLVMValueRef position = cvm_sum(emitter, reduce->index[axis], cvm_i64(emitter, unit));
    return LLVMBuildUDiv(emitter->builder, position, cvm_i64(emitter, together), "");
}

/* Combines the block's finished sums into their windows; neighbours meet in registers. */
void cvm_reduce_pool_sums(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmPooling *pooling = &reduce->kernel->pooling;
    LLVMValueRef at = NULL, combined = NULL;
    int64_t window = -1, place = -1; /* of `combined` */
    cvm_reduce_forget(reduce);
    Epilogue epilogue = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &epilogue.point)) {
        epilogue.lanes = cvm_tile_lanes(reduce, &epilogue.point);
        int lanes = epilogue.lanes.lanes;
        CvmExprContext context = {finished_sum(reduce, sum), lanes, epilogue_leaf, &epilogue};
        LLVMValueRef value = cvm_emit_expr(emitter, pooling->value, &context);
        int64_t next, next_place = place_in_window(reduce, &epilogue.point);
        LLVMValueRef index = window_of_point(reduce, &epilogue.point, &next);
        if (next < 0 || next != window || next_place != place) {
            if (at)
                store_pooled(reduce, combined, at);
            at = pooled_at(reduce, index, &epilogue.point);
            combined = load_pooled(reduce, at, lanes);
        }
        window = next;
        place = next_place;
        combined = pooling->combine == CVM_COMBINE_MAXIMUM
                       ? cvm_emit_maximum(emitter, combined, value)
                       : LLVMBuildFAdd(emitter->builder, combined, value, "");
    }
    store_pooled(reduce, combined, at);
}

/* What the results of a point are made of. */
static LLVMValueRef accumulator_of(CvmReduce *reduce, int sum, const CvmTilePoint *point) {
    if (!cvm_reduce_is_pooled(reduce))
        return finished_sum(reduce, sum);
    int64_t known;
    LLVMValueRef at = pooled_at(reduce, window_of_point(reduce, point, &known), point);
    return load_pooled(reduce, at, cvm_tile_lanes(reduce, point).lanes);
}

/* Every value of the block is computed before the first is stored: stores would keep later loads
 * from being shared. */
void cvm_reduce_store_results(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    LLVMValueRef values[CVM_MAX_SUMS][CVM_MAX_RESULTS];
    cvm_reduce_forget(reduce);
    Epilogue epilogue = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &epilogue.point)) {
        epilogue.lanes = cvm_tile_lanes(reduce, &epilogue.point);
        epilogue.sum = sum;
        CvmExprContext context = {accumulator_of(reduce, sum, &epilogue.point),
                                  epilogue.lanes.lanes, epilogue_leaf, &epilogue};
        for (int i = 0; i < kernel->result_count; i++)
            values[sum][i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    }
    CvmTilePoint point = {{0}};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point)) {
        CvmLanes lanes = cvm_tile_lanes(reduce, &point);
        for (int i = 0; i < kernel->result_count; i++) {
            int buffer = kernel->results[i].buffer;
            LLVMValueRef at =
                cvm_advance_in(emitter, buffer, cvm_reduce_base(reduce, buffer),
                               cvm_i64(emitter, cvm_tile_offset(reduce, buffer, &point)));
            cvm_store_to(emitter, buffer, values[sum][i], at, cvm_reduce_stride(reduce, buffer),
                         &lanes);
        }
    }
}

void cvm_reduce_clear_window(CvmReduce *reduce) {
    bool maximum = reduce->kernel->pooling.combine == CVM_COMBINE_MAXIMUM;
    CvmTilePoint point = {{0}};
    int64_t known;
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point)) {
        int lanes = cvm_tile_lanes(reduce, &point).lanes;
        LLVMValueRef at = pooled_at(reduce, window_of_point(reduce, &point, &known), &point);
        store_pooled(reduce, cvm_float(reduce->emitter, lanes, maximum ? -__builtin_inf() : 0), at);
    }
}
