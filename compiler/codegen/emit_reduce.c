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
#include "compiler/codegen/emit_reduce.h"

#include "compiler/codegen/emit_side.h"

static void emit_output_axis(CvmReduce *reduce, int axis, LLVMValueRef item_rest);

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
static int64_t slide_index(const CvmReduce *reduce, Step step, CvmLanes *lanes) {
    const CvmWindow *window = cvm_reduce_slide(reduce);
    int64_t position = (reduce->position_static ? reduce->block_position : 0) + step.position;
    int64_t t = position * window->position_scale + step.tap * window->tap_scale + window->offset;
    const CvmAxis *axis = &reduce->kernel->axes[window->position];
    bool along = window->position == reduce->schedule->vector_axis;
    int64_t apart = along ? cvm_schedule_phases(reduce->kernel) : 0;
    for (int i = 0; i < lanes->lanes; i++) {
        int64_t at = position + i * apart;
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

static CvmLanes lanes_of_step(const CvmReduce *reduce, const CvmTilePoint *point) {
    int axis = reduce->schedule->vector_axis;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (axis < 0)
        return cvm_lanes_first(1, 1);
    if (cvm_reduce_vector_is_output(reduce))
        return window && window->position == axis /* slide_index decides */
                   ? cvm_lanes_first(reduce->schedule->lanes, reduce->schedule->lanes)
                   : cvm_tile_lanes(reduce, point);
    return cvm_lanes_first(reduce->schedule->lanes, reduce->vector_lanes_on);
}

/* The number of the step's element, counted in the order of the reduce axes. */
static LLVMValueRef place_of(CvmReduce *reduce, Step step, int lanes) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmWindow *slide = cvm_reduce_slide(reduce);
    LLVMValueRef place = cvm_i64(emitter, 0);
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++) {
        const CvmAxis *loop = &reduce->kernel->axes[axis];
        bool unrolled = slide && slide->tap == axis;
        if (loop->reduce)
            place = cvm_sum(emitter, cvm_scale(emitter, place, loop->extent),
                            unrolled ? cvm_i64(emitter, step.tap) : reduce->index[axis]);
    }
    place = LLVMBuildUIToFP(emitter->builder, place, emitter->f32, "");
    return cvm_splat(emitter, place, lanes);
}

/* Where `a` is larger than what was found so far, its place is the new one. */
static void note_place(CvmReduce *reduce, int sum, LLVMValueRef a, LLVMValueRef old, Step step) {
    LLVMBuilderRef builder = reduce->emitter->builder;
    LLVMValueRef slot = reduce->places[sum];
    LLVMValueRef before = LLVMBuildLoad2(builder, LLVMTypeOf(a), slot, "");
    LLVMValueRef larger = LLVMBuildFCmp(builder, LLVMRealOGT, a, old, "");
    LLVMValueRef place = place_of(reduce, step, reduce->schedule->lanes);
    LLVMBuildStore(builder, LLVMBuildSelect(builder, larger, place, before, ""), slot);
}

static void combine(CvmReduce *reduce, int sum, LLVMValueRef a, LLVMValueRef b, Step step) {
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
    if (reduce->places[sum])
        note_place(reduce, sum, a, old, step);
    LLVMBuildStore(emitter->builder, new, slot);
}

typedef struct Term {
    CvmReduce *reduce;
    CvmTilePoint point;
    CvmLanes lanes;
} Term;

static LLVMValueRef term_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    (void)emitter;
    Term *term = state;
    return cvm_reduce_load(term->reduce, expr->index,
                           cvm_tile_offset(term->reduce, expr->index, &term->point), &term->lanes,
                           0);
}

/* Adds the kernel's term to every sum. Such kernels have no windows. */
static void emit_terms(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    Term term = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &term.point)) {
        term.lanes = lanes_of_step(reduce, &term.point);
        CvmExprContext context = {NULL, term.lanes.lanes, term_leaf, &term};
        LLVMValueRef value = cvm_emit_expr(emitter, reduce->kernel->term, &context);
        if (!cvm_lanes_all(&term.lanes)) /* a term need not be 0 where its operands are */
            value = LLVMBuildSelect(emitter->builder, cvm_lanes_mask(emitter, &term.lanes), value,
                                    cvm_float(emitter, term.lanes.lanes, 0), "");
        combine(reduce, sum, value, NULL, (Step){0});
    }
}

/* Where groups share vectors: for each lane the element of its own group, `offset` being that of
 * the run's first channel. */
static LLVMValueRef load_mixed(CvmReduce *reduce, const CvmTilePoint *point, int64_t offset,
                               int64_t inside) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    int64_t output = cvm_tile_known(reduce, point, kernel->mixed.output) * kernel->mix.lanes +
                     cvm_tile_known(reduce, point, reduce->schedule->vector_axis);
    LLVMValueRef base =
        cvm_advance(emitter, cvm_reduce_base(reduce, kernel->a), cvm_i64(emitter, offset));
    LLVMValueRef input = cvm_scale(emitter, reduce->index[kernel->mixed.input], kernel->mixed.step);
    return cvm_emit_mixed(emitter, &kernel->mix, base, output, reduce->schedule->lanes, input,
                          inside);
}

/* Adds to one sum. */
static void emit_product(CvmReduce *reduce, Step step, int sum, CvmTilePoint point) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    bool maximum = kernel->combine == CVM_COMBINE_MAXIMUM;
    CvmLanes lanes = lanes_of_step(reduce, &point);
    int64_t offset_a = cvm_tile_offset(reduce, kernel->a, &point);
    int64_t offset_b = kernel->b >= 0 ? cvm_tile_offset(reduce, kernel->b, &point) : 0;
    if (window) {
        Step here = step;
        if (!kernel->axes[window->position].reduce)
            here.position = cvm_tile_position(reduce, &point, window->position);
        else if (kernel->b >= 0)
            offset_b += step.position * kernel->buffers[kernel->b].strides[window->position];
        if (!kernel->axes[window->tap].reduce)
            here.tap = cvm_tile_element(reduce, &point, window->tap);
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
    LLVMValueRef a = kernel->mix.inputs ? load_mixed(reduce, &point, offset_a, step.inside)
                                        : cvm_reduce_load(reduce, kernel->a, offset_a, &lanes,
                                                          maximum ? -__builtin_inf() : 0);
    LLVMValueRef b = NULL;
    if (kernel->b >= 0) {
        CvmLanes lanes_b = lanes_of_step(reduce, &point);
        b = cvm_reduce_load(reduce, kernel->b, offset_b, &lanes_b, 0);
    }
    combine(reduce, sum, a, b, step);
}

/* Adds one (position, tap) of the slide, or the plain product without one, to every sum; where
 * elements of a are broadcast, one position after the other, so that one register holds them all in
 * turn. */
static void emit_step(CvmReduce *reduce, Step step) {
    bool in_turn = reduce->schedule->broadcast;
    int position = in_turn ? cvm_reduce_slide(reduce)->position : -1;
    int64_t turns = in_turn ? cvm_tile_units(reduce, position) : 1;
    for (int64_t turn = 0; turn < turns; turn++) {
        CvmTilePoint point = {{0}};
        for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point))
            if (!in_turn || point.unit[position] == turn)
                emit_product(reduce, step, sum, point);
    }
}

/* --- the reduce loops --- */

static void emit_reduce_axis(CvmReduce *reduce, int axis);

/* A block of reduced positions of the slide: every position with every tap. */
static void emit_position_block(CvmReduce *reduce, int64_t count) {
    cvm_reduce_forget(reduce);
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (window->position == reduce->schedule->vector_axis)
        reduce->vector_lanes_on = (int)count;
    int64_t unit = cvm_schedule_unit(kernel, window->position);
    for (int64_t p = 0; p < count; p += unit)
        emit_step(reduce, (Step){.position = p});
}

/* Runs `emit` for every block of the slide's positions: edges one by one, the interior as a loop.
 */
static void for_slide_blocks(CvmReduce *reduce, void (*emit)(CvmReduce *, int64_t count)) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    int axis = cvm_reduce_slide(reduce)->position;
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

/* One tap, with the unrolled axis inside. */
static void emit_tap(CvmReduce *reduce, int64_t tap) {
    int axis = reduce->schedule->unrolled;
    int64_t extent = axis >= 0 ? reduce->kernel->axes[axis].extent : 1;
    for (int64_t inside = 0; inside < extent; inside++) {
        if (reduce->schedule->broadcast)
            reduce->memo_count = 0;
        emit_step(reduce, (Step){.tap = tap, .inside = inside});
        if (reduce->schedule->broadcast)
            cvm_emit_load_barrier(reduce->emitter);
    }
}

/* All reduce loops are open: the sums take their step. */
static void emit_innermost(CvmReduce *reduce) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (window && kernel->axes[window->position].reduce) {
        for_slide_blocks(reduce, emit_position_block);
        return;
    }
    cvm_reduce_forget(reduce);
    if (kernel->term) {
        emit_terms(reduce);
        return;
    }
    if (!window || !kernel->axes[window->tap].reduce) {
        emit_tap(reduce, 0);
        return;
    }
    for (int64_t tap = 0; tap < kernel->axes[window->tap].extent; tap++)
        emit_tap(reduce, tap);
}

/* Binds the indices of windows whose axes are all known now; a branch guards what they lead to. */
static LLVMValueRef bind_windows(CvmReduce *reduce, int axis) {
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

static void release_windows(CvmReduce *reduce, int axis) {
    for (int i = 0; i < reduce->kernel->window_count; i++)
        if (reduce->kernel->windows[i].position == axis || reduce->kernel->windows[i].tap == axis)
            reduce->window_index[i] = NULL;
}

static void emit_bound_axis(CvmReduce *reduce, int axis) {
    LLVMValueRef inside = bind_windows(reduce, axis);
    if (!inside) {
        emit_reduce_axis(reduce, axis + 1);
        return;
    }
    CvmBranch branch = cvm_branch_begin(reduce->emitter, inside);
    emit_reduce_axis(reduce, axis + 1);
    cvm_branch_end(reduce->emitter, &branch);
}

static void emit_reduce_loop(CvmReduce *reduce, int axis, int64_t first, int64_t last,
                             int64_t step) {
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

static void emit_reduce_axis(CvmReduce *reduce, int axis) {
    const CvmKernel *kernel = reduce->kernel;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (axis == kernel->axis_count) {
        emit_innermost(reduce);
        return;
    }
    if (!kernel->axes[axis].reduce || axis == reduce->schedule->unrolled ||
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

static void count_sums(CvmReduce *reduce) {
    reduce->sum_count = 1;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++)
        reduce->sum_count *= (int)cvm_tile_units(reduce, axis);
}

static void emit_block(CvmReduce *reduce) {
    count_sums(reduce);
    if (reduce->kernel->combine != CVM_COMBINE_NONE) {
        if (reduce->schedule->ahead)
            cvm_reduce_fetch_ahead(reduce);
        cvm_reduce_clear_sums(reduce);
        emit_reduce_axis(reduce, 0);
        cvm_reduce_arrange_sums(reduce);
    }
    if (cvm_reduce_is_pooled(reduce))
        cvm_reduce_pool_sums(reduce);
    else
        cvm_reduce_store_results(reduce);
}

static void emit_slide_block(CvmReduce *reduce, int64_t count) {
    reduce->count[cvm_reduce_slide(reduce)->position] = count;
    emit_block(reduce);
}

/* --- the output axes --- */

static void emit_blocks(CvmReduce *reduce) {
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (window && !reduce->kernel->axes[window->position].reduce)
        for_slide_blocks(reduce, emit_slide_block);
    else
        emit_block(reduce);
}

/* Runs `emit` for every window of the row, as if it were one point. */
static void for_windows(CvmReduce *reduce, void (*emit)(CvmReduce *)) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmWindow *slide = cvm_reduce_slide(reduce);
    const CvmPooling *pooling = &reduce->kernel->pooling;
    for (int i = 0; i < 2; i++)
        reduce->count[pooling->axes[i]] = 1;
    count_sums(reduce);
    if (!slide) {
        emit(reduce);
        return;
    }
    int64_t together = cvm_pooled_together(reduce->kernel, slide->position);
    CvmLoop loop =
        cvm_loop_begin(emitter, cvm_i64(emitter, 0),
                       cvm_i64(emitter, reduce->kernel->axes[slide->position].extent), together);
    reduce->position_static = false;
    reduce->index[slide->position] = loop.index;
    emit(reduce);
    reduce->index[slide->position] = NULL;
    cvm_loop_end(emitter, &loop);
}

/* Goes through the elements of the windows along pooled axis `i` and those after it, one after the
 * other, except along the slide's positions, where they lie in its blocks. */
static void emit_pooled_axis(CvmReduce *reduce, int i) {
    const CvmPooling *pooling = &reduce->kernel->pooling;
    if (i == 2) {
        emit_blocks(reduce);
        return;
    }
    int axis = pooling->axes[i];
    if (cvm_reduce_slides_along(reduce, axis)) {
        emit_pooled_axis(reduce, i + 1);
        return;
    }
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef first = reduce->index[axis];
    LLVMValueRef last = cvm_sum(emitter, first, cvm_i64(emitter, pooling->sizes[i]));
    CvmLoop loop = cvm_loop_begin(emitter, first, last, 1);
    reduce->index[axis] = loop.index;
    reduce->count[axis] = 1;
    emit_pooled_axis(reduce, i + 1);
    reduce->index[axis] = first;
    cvm_loop_end(emitter, &loop);
}

/* The side sum of the item's channels, where the item begins all axes that are none of channels. */
static void emit_side(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmSideSum *side = &reduce->kernel->side;
    LLVMValueRef channel = cvm_i64(emitter, 0), begins = NULL;
    int64_t channels = 1;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++) {
        LLVMValueRef index = reduce->index[axis];
        if (reduce->kernel->axes[axis].reduce || !index)
            continue;
        channel = cvm_sum(emitter, channel, cvm_scale(emitter, index, side->steps[axis]));
        channels *= side->steps[axis] ? reduce->count[axis] : 1;
        if (side->steps[axis] || LLVMIsNull(index))
            continue;
        LLVMValueRef zero =
            LLVMBuildICmp(emitter->builder, LLVMIntEQ, index, cvm_i64(emitter, 0), "");
        begins = begins ? LLVMBuildAnd(emitter->builder, begins, zero, "") : zero;
    }
    CvmBranch branch;
    if (begins)
        branch = cvm_branch_begin(emitter, begins);
    CvmSide sums = cvm_side_begin(emitter, channel, channels,
                                  side->across ? (int)channels : reduce->schedule->lanes);
    cvm_side_add_all(&sums);
    cvm_side_store(&sums);
    if (begins)
        cvm_branch_end(emitter, &branch);
}

/* All output axes but the slide's positions are bound. */
static void emit_item(CvmReduce *reduce) {
    if (reduce->kernel->side.buffer >= 0)
        emit_side(reduce);
    if (!cvm_reduce_is_pooled(reduce)) {
        emit_blocks(reduce);
        return;
    }
    cvm_reduce_begin_pooling(reduce);
    for_windows(reduce, cvm_reduce_clear_window);
    emit_pooled_axis(reduce, 0);
    for_windows(reduce, cvm_reduce_store_results);
}

/* Whether code depends on where along the axis a block begins: vectors of groups that share them
 * differ. */
static bool is_known(const CvmReduce *reduce, int axis) {
    return reduce->kernel->mix.inputs &&
           (axis == reduce->kernel->mixed.output || axis == reduce->schedule->vector_axis);
}

/* The axis that is bound after this one: the schedule's first, the last, and on to axis 0; -1:
 * none.
 */
static int next_axis(const CvmReduce *reduce, int axis) {
    int first = reduce->schedule->first;
    int next = axis == first ? reduce->kernel->axis_count - 1 : axis - 1;
    return next >= 0 && next == first ? next - 1 : next;
}

static void emit_at_block(CvmReduce *reduce, int axis, LLVMValueRef block, int64_t count,
                          LLVMValueRef rest) {
    int64_t size = reduce->schedule->tile[axis] * cvm_schedule_unit(reduce->kernel, axis);
    reduce->index[axis] = LLVMIsAConstantInt(block)
                              ? cvm_i64(reduce->emitter, LLVMConstIntGetSExtValue(block) * size)
                              : cvm_scale(reduce->emitter, block, size);
    reduce->count[axis] = count;
    emit_output_axis(reduce, next_axis(reduce, axis), rest);
}

/* Each of the blocks from `first` on has code of its own; the last has `remainder` elements. */
static void emit_known_blocks(CvmReduce *reduce, int axis, int64_t first, LLVMValueRef block,
                              LLVMValueRef rest) {
    CvmEmitter *emitter = reduce->emitter;
    int64_t blocks = cvm_schedule_blocks(reduce->kernel, axis);
    int64_t size = reduce->schedule->tile[axis] * cvm_schedule_unit(reduce->kernel, axis);
    LLVMValueRef here = cvm_i64(emitter, first);
    if (first == blocks - 1) {
        emit_at_block(reduce, axis, here, reduce->kernel->axes[axis].extent - first * size, rest);
        return;
    }
    CvmBranch branch =
        cvm_branch_begin(emitter, LLVMBuildICmp(emitter->builder, LLVMIntEQ, block, here, ""));
    emit_at_block(reduce, axis, here, size, rest);
    cvm_branch_else(emitter, &branch);
    emit_known_blocks(reduce, axis, first + 1, block, rest);
    cvm_branch_end(emitter, &branch);
}

/* Binds the axis to its block of this item and goes on; `rest` counts the blocks of axes up to
 * here. */
static void emit_output_axis(CvmReduce *reduce, int axis, LLVMValueRef rest) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMBuilderRef builder = emitter->builder;
    const CvmKernel *kernel = reduce->kernel;
    if (axis < 0) {
        emit_item(reduce);
        return;
    }
    if (kernel->axes[axis].reduce || cvm_reduce_slides_along(reduce, axis)) {
        emit_output_axis(reduce, next_axis(reduce, axis), rest);
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
    if (is_known(reduce, axis)) {
        emit_known_blocks(reduce, axis, 0, block, rest);
        return;
    }
    if (remainder == 0 || blocks == 1) {
        emit_at_block(reduce, axis, block, remainder ? remainder : size, rest);
        return;
    }
    LLVMValueRef full = LLVMBuildICmp(builder, LLVMIntULT, block, cvm_i64(emitter, blocks - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, full);
    emit_at_block(reduce, axis, block, size, rest);
    cvm_branch_else(emitter, &branch);
    emit_at_block(reduce, axis, block, remainder, rest);
    cvm_branch_end(emitter, &branch);
}

void cvm_emit_reduce(CvmEmitter *emitter, LLVMValueRef item) {
    if (emitter->kernel->schedule.strip) {
        cvm_emit_strip(emitter, item);
        return;
    }
    CvmReduce reduce = {
        .emitter = emitter, .kernel = emitter->kernel, .schedule = &emitter->kernel->schedule};
    int first = reduce.schedule->first;
    emit_output_axis(&reduce, first >= 0 ? first : reduce.kernel->axis_count - 1, item);
}
