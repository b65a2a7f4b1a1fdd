/* The generator of REDUCE kernels: convolutions, linear layers, their gradients, pooling, sums and
 * pointwise maps alike. A work item is one block of every output axis (the sliding window's
 * positions excepted: they are walked within the item). For each block it
 *
 *   1. clears tile x tile accumulators, which stay in registers,
 *   2. runs the reduce axes as loops; taps of the sliding window are unrolled, and where they can
 *      leave the picture the block is generated on its own with just the taps that stay inside,
 *   3. applies the epilogue and stores.
 *
 * Blocks cut short at an axis's end are generated separately too, so the main code has no masks.
 * Every sum has one fixed order, whatever the split over threads. */
#include "compiler/codegen/emitter.h"
#include "compiler/kernels/schedule.h"

#include <string.h>

enum { MAX_SUMS = 128, MAX_MEMO = 512 };

/* A position within the tile: units along each axis. */
typedef struct TilePoint {
    int64_t unit[CVM_MAX_AXES];
} TilePoint;

/* Loads already made in the current straight-line piece, so that taps and sums share them. */
typedef struct Memo {
    int buffer;
    int64_t offset;
    LLVMValueRef value;
} Memo;

typedef struct Reduce {
    CvmEmitter *emitter;
    const CvmKernel *kernel;
    const CvmSchedule *schedule;
    LLVMValueRef index[CVM_MAX_AXES]; /* first element of the block, or the loop's index; NULL: not
                                         yet bound */
    int64_t count[CVM_MAX_AXES];      /* output axes: elements in this block */
    int64_t block_position;           /* the slide's first position in this block, when static */
    bool position_static;
    LLVMValueRef window_index[CVM_MAX_WINDOWS]; /* of windows checked by a branch, once bound */
    int vector_lanes_on;                        /* reduced vector axis: lanes in this step */
    LLVMValueRef sums[MAX_SUMS];                /* stack slots; they become registers */
    int sum_count;
    Memo memo[MAX_MEMO];
    int memo_count;
    LLVMValueRef
        base[CVM_MAX_BUFFERS]; /* buffer address at the bound indices; NULL: not made yet */
} Reduce;

static void emit_output_axis(Reduce *reduce, int axis, LLVMValueRef item_rest);

static const CvmWindow *slide_of(const Reduce *reduce) {
    return reduce->schedule->slide >= 0 ? &reduce->kernel->windows[reduce->schedule->slide] : NULL;
}

static bool vector_is_output(const Reduce *reduce) {
    int axis = reduce->schedule->vector_axis;
    return axis >= 0 && !reduce->kernel->axes[axis].reduce;
}

/* --- the points of a tile --- */

static int64_t units_along(const Reduce *reduce, int axis) {
    if (reduce->kernel->axes[axis].reduce)
        return 1;
    int64_t unit = cvm_schedule_unit(reduce->kernel, axis);
    return (reduce->count[axis] + unit - 1) / unit;
}

static bool next_point(const Reduce *reduce, TilePoint *point) {
    for (int axis = reduce->kernel->axis_count - 1; axis >= 0; axis--) {
        if (++point->unit[axis] < units_along(reduce, axis))
            return true;
        point->unit[axis] = 0;
    }
    return false;
}

static int64_t element_of(const Reduce *reduce, const TilePoint *point, int axis) {
    return point->unit[axis] * cvm_schedule_unit(reduce->kernel, axis);
}

/* Lanes of the point's vector that lie within the block. */
static CvmLanes lanes_of_point(const Reduce *reduce, const TilePoint *point) {
    int axis = reduce->schedule->vector_axis;
    if (!vector_is_output(reduce))
        return cvm_lanes_first(1, 1);
    return cvm_lanes_first(reduce->schedule->lanes,
                           reduce->count[axis] - element_of(reduce, point, axis));
}

/* --- addresses --- */

static void forget(Reduce *reduce) {
    reduce->memo_count = 0;
    memset(reduce->base, 0, sizeof reduce->base);
}

/* The slide's dynamic part: position / divisor, exact since blocks start at multiples of it. */
static LLVMValueRef slide_base(Reduce *reduce) {
    const CvmWindow *window = slide_of(reduce);
    if (!window || reduce->position_static || !reduce->index[window->position])
        return cvm_i64(reduce->emitter, 0);
    LLVMValueRef scaled =
        cvm_scale(reduce->emitter, reduce->index[window->position], window->position_scale);
    if (window->divisor > 1)
        scaled = LLVMBuildExactSDiv(reduce->emitter->builder, scaled,
                                    cvm_i64(reduce->emitter, window->divisor), "");
    return cvm_scale(reduce->emitter, scaled, window->stride);
}

static LLVMValueRef base_of(Reduce *reduce, int buffer) {
    if (reduce->base[buffer])
        return reduce->base[buffer];
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    LLVMValueRef offset = cvm_i64(emitter, 0);
    for (int axis = 0; axis < kernel->axis_count; axis++)
        if (reduce->index[axis])
            offset = cvm_sum(
                emitter, offset,
                cvm_scale(emitter, reduce->index[axis], kernel->buffers[buffer].strides[axis]));
    if (buffer == kernel->a) {
        for (int i = 0; i < kernel->window_count; i++)
            if (i != reduce->schedule->slide && reduce->window_index[i])
                offset =
                    cvm_sum(emitter, offset,
                            cvm_scale(emitter, reduce->window_index[i], kernel->windows[i].stride));
        offset = cvm_sum(emitter, offset, slide_base(reduce));
    }
    return reduce->base[buffer] = cvm_advance(emitter, emitter->buffers[buffer], offset);
}

static int64_t point_offset(const Reduce *reduce, int buffer, const TilePoint *point) {
    int64_t offset = 0;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++)
        offset += element_of(reduce, point, axis) * reduce->kernel->buffers[buffer].strides[axis];
    return offset;
}

static int64_t vector_stride(const Reduce *reduce, int buffer) {
    int axis = reduce->schedule->vector_axis;
    if (axis < 0)
        return 1;
    const CvmWindow *window = slide_of(reduce);
    if (buffer == reduce->kernel->a && window && window->position == axis)
        return window->position_scale * window->stride;
    return reduce->kernel->buffers[buffer].strides[axis];
}

static LLVMValueRef load_once(Reduce *reduce, int buffer, int64_t offset, const CvmLanes *lanes,
                              double otherwise) {
    for (int i = 0; i < reduce->memo_count; i++)
        if (reduce->memo[i].buffer == buffer && reduce->memo[i].offset == offset)
            return reduce->memo[i].value;
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef at = cvm_advance(emitter, base_of(reduce, buffer), cvm_i64(emitter, offset));
    LLVMValueRef value = cvm_load(emitter, at, vector_stride(reduce, buffer), lanes, otherwise);
    if (reduce->memo_count < MAX_MEMO)
        reduce->memo[reduce->memo_count++] = (Memo){buffer, offset, value};
    return value;
}

/* --- one step of the sums --- */

static int64_t floor_divide(int64_t a, int64_t b) {
    return a / b - (a % b != 0 && (a < 0) != (b < 0));
}

typedef struct Step {
    int64_t position; /* within the slide's block */
    int64_t tap;
    int64_t inside; /* index of the unrolled axis */
} Step;

/* Where the slide points for (position, tap): the static index, and the lanes that stay inside. */
static int64_t slide_index(const Reduce *reduce, Step step, CvmLanes *lanes) {
    const CvmWindow *window = slide_of(reduce);
    int64_t position = (reduce->position_static ? reduce->block_position : 0) + step.position;
    int64_t t = position * window->position_scale + step.tap * window->tap_scale + window->offset;
    const CvmAxis *axis = &reduce->kernel->axes[window->position];
    bool along = window->position == reduce->schedule->vector_axis;
    for (int i = 0; i < lanes->lanes; i++) {
        int64_t at = position + (along ? i : 0);
        /* Results past an output axis's end are not stored, so only what can be read matters there:
         * then one load serves every (position, tap) that it lies under. */
        if (reduce->position_static)
            lanes->on[i] &=
                cvm_window_valid(window, at, step.tap) && (!axis->reduce || at < axis->extent);
        else
            lanes->on[i] &= t % window->divisor == 0;
    }
    return floor_divide(t, window->divisor);
}

static CvmLanes lanes_of_step(const Reduce *reduce, const TilePoint *point) {
    int axis = reduce->schedule->vector_axis;
    const CvmWindow *window = slide_of(reduce);
    if (axis < 0)
        return cvm_lanes_first(1, 1);
    if (vector_is_output(reduce))
        return window && window->position == axis /* slide_index decides */
                   ? cvm_lanes_first(reduce->schedule->lanes, reduce->schedule->lanes)
                   : lanes_of_point(reduce, point);
    return cvm_lanes_first(reduce->schedule->lanes, reduce->vector_lanes_on);
}

static void combine(Reduce *reduce, int sum, LLVMValueRef a, LLVMValueRef b) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef slot = reduce->sums[sum];
    LLVMValueRef old = LLVMBuildLoad2(emitter->builder, LLVMTypeOf(a), slot, "");
    LLVMValueRef new;
    if (reduce->kernel->combine == CVM_COMBINE_PRODUCTS)
        new = cvm_emit_multiply_add(emitter, a, b, old);
    else if (reduce->kernel->combine == CVM_COMBINE_SUM)
        new = LLVMBuildFAdd(emitter->builder, old, a, "");
    else
        new = cvm_emit_maximum(emitter, old, a);
    LLVMBuildStore(emitter->builder, new, slot);
}

typedef struct Term {
    Reduce *reduce;
    TilePoint point;
    CvmLanes lanes;
} Term;

static LLVMValueRef term_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    (void)emitter;
    Term *term = state;
    return load_once(term->reduce, expr->index,
                     point_offset(term->reduce, expr->index, &term->point), &term->lanes, 0);
}

/* Adds the kernel's term to every sum. Such kernels have no windows. */
static void emit_terms(Reduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    Term term = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, next_point(reduce, &term.point)) {
        term.lanes = lanes_of_step(reduce, &term.point);
        CvmExprContext context = {NULL, term.lanes.lanes, term_leaf, &term};
        LLVMValueRef value = cvm_emit_expr(emitter, reduce->kernel->term, &context);
        if (!cvm_lanes_all(&term.lanes)) /* a term need not be 0 where its operands are */
            value = LLVMBuildSelect(emitter->builder, cvm_lanes_mask(emitter, &term.lanes), value,
                                    cvm_float(emitter, term.lanes.lanes, 0), "");
        combine(reduce, sum, value, NULL);
    }
}

/* Adds to one sum. */
static void emit_product(Reduce *reduce, Step step, int sum, TilePoint point) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = slide_of(reduce);
    bool maximum = kernel->combine == CVM_COMBINE_MAXIMUM;
    CvmLanes lanes = lanes_of_step(reduce, &point);
    int64_t offset_a = point_offset(reduce, kernel->a, &point);
    int64_t offset_b = kernel->b >= 0 ? point_offset(reduce, kernel->b, &point) : 0;
    if (window) {
        Step here = step;
        if (!kernel->axes[window->position].reduce)
            here.position = element_of(reduce, &point, window->position);
        else if (kernel->b >= 0)
            offset_b += step.position * kernel->buffers[kernel->b].strides[window->position];
        if (!kernel->axes[window->tap].reduce)
            here.tap = element_of(reduce, &point, window->tap);
        else if (kernel->b >= 0)
            offset_b += step.tap * kernel->buffers[kernel->b].strides[window->tap];
        offset_a += slide_index(reduce, here, &lanes) * window->stride;
    }
    if (step.inside) {
        int axis = reduce->schedule->unrolled;
        offset_a += step.inside * kernel->buffers[kernel->a].strides[axis];
        offset_b += step.inside * kernel->buffers[kernel->b].strides[axis];
    }
    if (cvm_lanes_none(&lanes))
        return;
    LLVMValueRef a = load_once(reduce, kernel->a, offset_a, &lanes, maximum ? -__builtin_inf() : 0);
    LLVMValueRef b = NULL;
    if (kernel->b >= 0) {
        CvmLanes lanes_b = lanes_of_step(reduce, &point);
        b = load_once(reduce, kernel->b, offset_b, &lanes_b, 0);
    }
    combine(reduce, sum, a, b);
}

/* Adds one (position, tap) of the slide, or the plain product without one, to every sum; where
 * elements of a are broadcast, one position after the other, so that one register holds them all in
 * turn. */
static void emit_step(Reduce *reduce, Step step) {
    bool in_turn = reduce->schedule->broadcast;
    int position = in_turn ? slide_of(reduce)->position : -1;
    int64_t turns = in_turn ? units_along(reduce, position) : 1;
    for (int64_t turn = 0; turn < turns; turn++) {
        TilePoint point = {{0}};
        for (int sum = 0; sum < reduce->sum_count; sum++, next_point(reduce, &point))
            if (!in_turn || point.unit[position] == turn)
                emit_product(reduce, step, sum, point);
    }
}

/* --- the reduce loops --- */

static void emit_reduce_axis(Reduce *reduce, int axis);

/* A block of reduced positions of the slide: every position with every tap. */
static void emit_position_block(Reduce *reduce, int64_t count) {
    forget(reduce);
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = slide_of(reduce);
    if (window->position == reduce->schedule->vector_axis)
        reduce->vector_lanes_on = (int)count;
    int64_t unit = cvm_schedule_unit(kernel, window->position);
    for (int64_t p = 0; p < count; p += unit)
        emit_step(reduce, (Step){.position = p});
}

/* Runs `emit` for every block of the slide's positions: edges one by one, the interior as a loop.
 */
static void for_slide_blocks(Reduce *reduce, void (*emit)(Reduce *, int64_t count)) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    int axis = slide_of(reduce)->position;
    int64_t extent = kernel->axes[axis].extent;
    int64_t tile =
        kernel->axes[axis].reduce ? reduce->schedule->slide_step : reduce->schedule->tile[axis];
    int64_t size = tile * cvm_schedule_unit(kernel, axis);
    int64_t first, last, blocks;
    cvm_slide_interior(kernel, &first, &last, &blocks);
    for (int64_t block = 0; block < blocks; block++) {
        if (block == first && last > first) {
            CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, first * size),
                                          cvm_i64(emitter, last * size), size);
            reduce->position_static = false;
            reduce->index[axis] = loop.index;
            emit(reduce, size);
            cvm_loop_end(emitter, &loop);
            block = last - 1;
            continue;
        }
        reduce->position_static = true;
        reduce->block_position = block * size;
        reduce->index[axis] = cvm_i64(emitter, block * size);
        emit(reduce, extent - block * size < size ? extent - block * size : size);
    }
    reduce->index[axis] = NULL;
}

/* One tap of a broadcast schedule, with the unrolled axis inside. */
static void emit_broadcast_tap(Reduce *reduce, int64_t tap) {
    int axis = reduce->schedule->unrolled;
    int64_t extent = axis >= 0 ? reduce->kernel->axes[axis].extent : 1;
    for (int64_t inside = 0; inside < extent; inside++) {
        reduce->memo_count = 0;
        emit_step(reduce, (Step){.tap = tap, .inside = inside});
        cvm_emit_load_barrier(reduce->emitter);
    }
}

/* All reduce loops are open: the sums take their step. */
static void emit_innermost(Reduce *reduce) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = slide_of(reduce);
    if (window && kernel->axes[window->position].reduce) {
        for_slide_blocks(reduce, emit_position_block);
        return;
    }
    forget(reduce);
    if (kernel->term) {
        emit_terms(reduce);
        return;
    }
    if (!window || !kernel->axes[window->tap].reduce) {
        emit_step(reduce, (Step){0});
        return;
    }
    for (int64_t tap = 0; tap < kernel->axes[window->tap].extent; tap++) {
        if (reduce->schedule->broadcast)
            emit_broadcast_tap(reduce, tap);
        else
            emit_step(reduce, (Step){.tap = tap});
    }
}

/* Binds the indices of windows whose axes are all known now; a branch guards what they lead to. */
static LLVMValueRef bind_windows(Reduce *reduce, int axis) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef inside = NULL;
    for (int i = 0; i < reduce->kernel->window_count; i++) {
        const CvmWindow *window = &reduce->kernel->windows[i];
        if (i == reduce->schedule->slide || reduce->window_index[i] ||
            (axis != window->position && axis != window->tap) || !reduce->index[window->position] ||
            !reduce->index[window->tap])
            continue;
        if (window->table) {
            LLVMValueRef position = reduce->index[window->position];
            LLVMValueRef first = cvm_table_first(emitter, i, position);
            LLVMValueRef at = cvm_sum(emitter, first, reduce->index[window->tap]);
            LLVMValueRef below =
                LLVMBuildICmp(builder, LLVMIntULT, at, cvm_table_last(emitter, i, position), "");
            inside = inside ? LLVMBuildAnd(builder, inside, below, "") : below;
            reduce->window_index[i] = at;
            continue;
        }
        LLVMValueRef t = cvm_sum(
            emitter, cvm_scale(emitter, reduce->index[window->position], window->position_scale),
            cvm_scale(emitter, reduce->index[window->tap], window->tap_scale));
        t = cvm_sum(emitter, t, cvm_i64(emitter, window->offset));
        LLVMValueRef limit = cvm_i64(emitter, window->extent * window->divisor);
        LLVMValueRef below =
            LLVMBuildICmp(builder, LLVMIntULT, t, limit, ""); /* and not negative */
        inside = inside ? LLVMBuildAnd(builder, inside, below, "") : below;
        if (window->divisor > 1) {
            LLVMValueRef divisor = cvm_i64(emitter, window->divisor);
            LLVMValueRef rest = LLVMBuildURem(builder, t, divisor, "");
            LLVMValueRef whole = LLVMBuildICmp(builder, LLVMIntEQ, rest, cvm_i64(emitter, 0), "");
            inside = LLVMBuildAnd(builder, inside, whole, "");
            t = LLVMBuildUDiv(builder, t, divisor, "");
        }
        reduce->window_index[i] = t;
    }
    return inside;
}

static void release_windows(Reduce *reduce, int axis) {
    for (int i = 0; i < reduce->kernel->window_count; i++)
        if (reduce->kernel->windows[i].position == axis || reduce->kernel->windows[i].tap == axis)
            reduce->window_index[i] = NULL;
}

static void emit_bound_axis(Reduce *reduce, int axis) {
    LLVMValueRef inside = bind_windows(reduce, axis);
    if (!inside) {
        emit_reduce_axis(reduce, axis + 1);
        return;
    }
    CvmBranch branch = cvm_branch_begin(reduce->emitter, inside);
    emit_reduce_axis(reduce, axis + 1);
    cvm_branch_end(reduce->emitter, &branch);
}

static void emit_reduce_loop(Reduce *reduce, int axis, int64_t first, int64_t last, int64_t step) {
    if (first >= last)
        return;
    CvmEmitter *emitter = reduce->emitter;
    CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, first), cvm_i64(emitter, last), step);
    reduce->index[axis] = loop.index;
    emit_bound_axis(reduce, axis);
    release_windows(reduce, axis);
    reduce->index[axis] = NULL;
    cvm_loop_end(emitter, &loop);
}

static void emit_reduce_axis(Reduce *reduce, int axis) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = slide_of(reduce);
    if (axis == kernel->axis_count) {
        emit_innermost(reduce);
        return;
    }
    if (!kernel->axes[axis].reduce ||
        (reduce->schedule->broadcast && axis == reduce->schedule->unrolled) ||
        (window && (axis == window->position || axis == window->tap))) {
        emit_reduce_axis(reduce, axis + 1);
        return;
    }
    int64_t extent = kernel->axes[axis].extent, lanes = reduce->schedule->lanes;
    if (axis != reduce->schedule->vector_axis) {
        emit_reduce_loop(reduce, axis, 0, extent, 1);
        return;
    }
    reduce->vector_lanes_on = (int)lanes;
    emit_reduce_loop(reduce, axis, 0, extent / lanes * lanes, lanes);
    reduce->vector_lanes_on = (int)(extent % lanes);
    emit_reduce_loop(reduce, axis, extent / lanes * lanes, extent, lanes);
}

/* --- a block of results --- */

typedef struct Epilogue {
    Reduce *reduce;
    TilePoint point;
    CvmLanes lanes;
} Epilogue;

/* The share of the window at the result's position along window `axis`. */
static LLVMValueRef load_share(CvmEmitter *emitter, const Epilogue *epilogue, int axis) {
    const Reduce *reduce = epilogue->reduce;
    int position = reduce->kernel->windows[axis].position;
    LLVMValueRef index = cvm_sum(emitter, reduce->index[position],
                                 cvm_i64(emitter, element_of(reduce, &epilogue->point, position)));
    LLVMValueRef at = cvm_advance(emitter, cvm_table_shares(emitter, axis), index);
    bool along = position == reduce->schedule->vector_axis;
    return cvm_load(emitter, at, along, &epilogue->lanes, 0);
}

/* A random number for each element of the result at hand. */
static LLVMValueRef draw_uniform(CvmEmitter *emitter, const CvmExpr *expr,
                                 const Epilogue *epilogue) {
    const Reduce *reduce = epilogue->reduce;
    const int64_t *strides = reduce->kernel->element_strides;
    LLVMValueRef first = cvm_i64(emitter, 0);
    int64_t offset = 0;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++) {
        first = cvm_sum(emitter, first, cvm_scale(emitter, reduce->index[axis], strides[axis]));
        offset += element_of(reduce, &epilogue->point, axis) * strides[axis];
    }
    int along = reduce->schedule->vector_axis;
    return cvm_emit_uniform(emitter, emitter->buffers[expr->index], expr->stream,
                            cvm_sum(emitter, first, cvm_i64(emitter, offset)),
                            along < 0 ? 0 : strides[along], epilogue->lanes.lanes);
}

static LLVMValueRef epilogue_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    Epilogue *epilogue = state;
    if (expr->kind == CVM_EXPR_SHARE)
        return load_share(emitter, epilogue, expr->index);
    if (expr->kind == CVM_EXPR_UNIFORM)
        return draw_uniform(emitter, expr, epilogue);
    return load_once(epilogue->reduce, expr->index,
                     point_offset(epilogue->reduce, expr->index, &epilogue->point),
                     &epilogue->lanes, 0);
}

static void clear_sums(Reduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    bool maximum = reduce->kernel->combine == CVM_COMBINE_MAXIMUM;
    for (int i = 0; i < reduce->sum_count; i++) {
        LLVMValueRef start =
            cvm_float(emitter, reduce->schedule->lanes, maximum ? -__builtin_inf() : 0);
        reduce->sums[i] = cvm_stack_slot(emitter, LLVMTypeOf(start), "sum");
        LLVMBuildStore(emitter->builder, start, reduce->sums[i]);
    }
}

static LLVMValueRef finished_sum(Reduce *reduce, int sum) {
    CvmEmitter *emitter = reduce->emitter;
    if (reduce->kernel->combine == CVM_COMBINE_NONE)
        return NULL;
    LLVMTypeRef type = cvm_float_type(emitter, reduce->schedule->lanes);
    LLVMValueRef value = LLVMBuildLoad2(emitter->builder, type, reduce->sums[sum], "");
    if (reduce->schedule->vector_axis < 0 || vector_is_output(reduce))
        return value;
    return reduce->kernel->combine == CVM_COMBINE_MAXIMUM ? cvm_emit_lane_maximum(emitter, value)
                                                          : cvm_emit_lane_sum(emitter, value);
}

/* Every value of the block is computed before the first is stored: stores would keep later loads
 * from being shared. */
static void store_results(Reduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    LLVMValueRef values[MAX_SUMS][CVM_MAX_RESULTS];
    forget(reduce);
    Epilogue epilogue = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, next_point(reduce, &epilogue.point)) {
        epilogue.lanes = lanes_of_point(reduce, &epilogue.point);
        CvmExprContext context = {finished_sum(reduce, sum), epilogue.lanes.lanes, epilogue_leaf,
                                  &epilogue};
        for (int i = 0; i < kernel->result_count; i++)
            values[sum][i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    }
    TilePoint point = {{0}};
    for (int sum = 0; sum < reduce->sum_count; sum++, next_point(reduce, &point)) {
        CvmLanes lanes = lanes_of_point(reduce, &point);
        for (int i = 0; i < kernel->result_count; i++) {
            int buffer = kernel->results[i].buffer;
            LLVMValueRef at = cvm_advance(emitter, base_of(reduce, buffer),
                                          cvm_i64(emitter, point_offset(reduce, buffer, &point)));
            cvm_store(emitter, values[sum][i], at, vector_stride(reduce, buffer), &lanes);
        }
    }
}

static void emit_block(Reduce *reduce) {
    reduce->sum_count = 1;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++)
        reduce->sum_count *= (int)units_along(reduce, axis);
    if (reduce->kernel->combine != CVM_COMBINE_NONE) {
        clear_sums(reduce);
        emit_reduce_axis(reduce, 0);
    }
    store_results(reduce);
}

static void emit_slide_block(Reduce *reduce, int64_t count) {
    reduce->count[slide_of(reduce)->position] = count;
    emit_block(reduce);
}

/* --- the output axes --- */

static bool is_slide_position(const Reduce *reduce, int axis) {
    const CvmWindow *window = slide_of(reduce);
    return window && window->position == axis;
}

/* All output axes but the slide's positions are bound. */
static void emit_item(Reduce *reduce) {
    const CvmWindow *window = slide_of(reduce);
    if (window && !reduce->kernel->axes[window->position].reduce)
        for_slide_blocks(reduce, emit_slide_block);
    else
        emit_block(reduce);
}

/* Binds the axis to its block of this item and goes on; `rest` counts the blocks of axes up to
 * here. */
static void emit_output_axis(Reduce *reduce, int axis, LLVMValueRef rest) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmKernel *kernel = reduce->kernel;
    if (axis < 0) {
        emit_item(reduce);
        return;
    }
    if (kernel->axes[axis].reduce || is_slide_position(reduce, axis)) {
        emit_output_axis(reduce, axis - 1, rest);
        return;
    }
    int64_t blocks = cvm_schedule_blocks(kernel, axis);
    int64_t size = reduce->schedule->tile[axis] * cvm_schedule_unit(kernel, axis);
    int64_t remainder = kernel->axes[axis].extent % size;
    LLVMValueRef block = cvm_i64(emitter, 0);
    if (blocks > 1) {
        LLVMValueRef divisor = cvm_i64(emitter, blocks);
        block = LLVMBuildURem(builder, rest, divisor, kernel->axes[axis].name);
        rest = LLVMBuildUDiv(builder, rest, divisor, "");
    }
    reduce->index[axis] = cvm_scale(emitter, block, size);
    if (remainder == 0 || blocks == 1) {
        reduce->count[axis] = remainder ? remainder : size;
        emit_output_axis(reduce, axis - 1, rest);
        return;
    }
    LLVMValueRef full = LLVMBuildICmp(builder, LLVMIntULT, block, cvm_i64(emitter, blocks - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, full);
    reduce->count[axis] = size;
    emit_output_axis(reduce, axis - 1, rest);
    cvm_branch_else(emitter, &branch);
    reduce->count[axis] = remainder;
    emit_output_axis(reduce, axis - 1, rest);
    cvm_branch_end(emitter, &branch);
}

void cvm_emit_reduce(CvmEmitter *emitter, LLVMValueRef item) {
    if (emitter->kernel->schedule.strip) {
        cvm_emit_strip(emitter, item);
        return;
    }
    Reduce reduce = {
        .emitter = emitter, .kernel = emitter->kernel, .schedule = &emitter->kernel->schedule};
    emit_output_axis(&reduce, reduce.kernel->axis_count - 1, item);
}
