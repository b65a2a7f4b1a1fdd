/* What happens to a REDUCE kernel's finished sums: the epilogue, pooling, the stores. See
 * emit_reduce.h.
 *
 * Pooling keeps the windows of the item's row on the stack: each block of sums is combined into the
 * windows that it touches, and the row is stored when all of it has passed. So the sums' blocks
 * need not hold whole windows. Elements of a window come row by row, so that of equal ones the
 * first counts as the largest. */
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

static LLVMValueRef load_row(CvmReduce *reduce, LLVMValueRef row, const CvmTilePoint *point);

static LLVMValueRef epilogue_leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    Epilogue *epilogue = state;
    if (expr->kind == CVM_EXPR_PLACE && cvm_reduce_is_pooled(epilogue->reduce))
        return load_row(epilogue->reduce, epilogue->reduce->pooled_places, &epilogue->point);
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
    bool places = cvm_kernel_has_place(reduce->kernel) && !cvm_reduce_is_pooled(reduce);
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

/* The sums of the phases of one run of positions, `step` slots apart. */
static void interleave(CvmReduce *reduce, LLVMValueRef *slots, int step, int phases) {
    CvmEmitter *emitter = reduce->emitter;
    int lanes = reduce->schedule->lanes, from[64];
    LLVMTypeRef type = cvm_float_type(emitter, lanes);
    LLVMValueRef sums[64];
    for (int i = 0; i < phases; i++)
        sums[i] = LLVMBuildLoad2(emitter->builder, type, slots[i * step], "");
    for (int i = 0; i < phases; i++) {
        for (int lane = 0; lane < lanes; lane++) {
            int position = i * lanes + lane;
            from[lane] = position % phases * lanes + position / phases;
        }
        LLVMBuildStore(emitter->builder, cvm_emit_pick(emitter, sums, phases, lanes, from),
                       slots[i * step]);
    }
}

/* How many sums lie between those of neighbouring units along an axis. */
static int step_of(const CvmReduce *reduce, int axis) {
    int step = 1;
    for (int i = axis + 1; i < reduce->kernel->axis_count; i++)
        step *= (int)cvm_tile_units(reduce, i);
    return step;
}

/* Vectors of so many elements, `fold` of them for each vector of results: sums of neighbours. By
 * halves as long as that is possible. */
static LLVMValueRef fold(CvmReduce *reduce, LLVMValueRef *vectors, int64_t fold, int elements) {
    CvmEmitter *emitter = reduce->emitter;
    int lanes = reduce->schedule->lanes, from[64];
    for (int together = 2; fold > 1; fold /= together) {
        together = fold % 2 ? (int)fold : 2;
        for (int i = 0; i < fold / together; i++) {
            LLVMValueRef sum = NULL;
            for (int k = 0; k < together; k++) {
                for (int lane = 0; lane < lanes; lane++) {
                    int element = lane * together + k;
                    from[lane] =
                        lane < elements ? element / elements * lanes + element % elements : -1;
                }
                LLVMValueRef part =
                    cvm_emit_pick(emitter, vectors + i * together, together, lanes, from);
                sum = sum ? LLVMBuildFAdd(emitter->builder, sum, part, "") : part;
            }
            vectors[i] = sum;
        }
    }
    return vectors[0];
}

/* The vectors of one pixel: along the folded axis, and along the vectors' own where a block of
 * channels is several. */
static void fold_sums(CvmReduce *reduce, int first) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    int along = reduce->schedule->vector_axis, lanes = reduce->schedule->lanes;
    int units = (int)cvm_tile_units(reduce, along), step = step_of(reduce, kernel->folded);
    int elements = lanes < kernel->axes[along].extent ? lanes : (int)kernel->axes[along].extent;
    LLVMTypeRef type = cvm_float_type(emitter, lanes);
    LLVMValueRef vectors[CVM_MAX_SUMS];
    for (int64_t i = 0; i < kernel->fold * units; i++) {
        int64_t slot = first + i / units * step + i % units * step_of(reduce, along);
        vectors[i] = LLVMBuildLoad2(emitter->builder, type, reduce->sums[slot], "");
    }
    for (int unit = 0; unit < units; unit++)
        LLVMBuildStore(emitter->builder,
                       fold(reduce, vectors + unit * kernel->fold, kernel->fold, elements),
                       reduce->sums[first + unit * step_of(reduce, along)]);
}

void cvm_reduce_arrange_sums(CvmReduce *reduce) {
    const CvmKernel *kernel = reduce->kernel;
    int phases = (int)cvm_schedule_phases(kernel), along = reduce->schedule->vector_axis;
    CvmTilePoint point = {{0}};
    if (phases == 1 && !kernel->fold)
        return;
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point)) {
        if (kernel->fold && point.unit[kernel->folded] == 0 && point.unit[along] == 0)
            fold_sums(reduce, sum);
        if (phases > 1 && point.unit[along] % phases == 0)
            interleave(reduce, &reduce->sums[sum], step_of(reduce, along), phases);
    }
}

/* Whether the point has results: not a phase behind the last position, nor a vector that was folded
 * into the first. */
static bool has_results(const CvmReduce *reduce, const CvmTilePoint *point) {
    const CvmKernel *kernel = reduce->kernel;
    CvmLanes lanes = cvm_tile_lanes(reduce, point);
    return !cvm_lanes_none(&lanes) && !(kernel->fold && point->unit[kernel->folded] > 0);
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
    if (cvm_kernel_has_place(reduce->kernel))
        reduce->pooled_places = cvm_stack_slot(reduce->emitter, type, "places");
}

/* Where a row, of what is combined or of places, keeps what is at `window` for the point. Volatile:
 * it stays in memory, since the registers are the sums'. */
static LLVMValueRef row_at(CvmReduce *reduce, LLVMValueRef row, LLVMValueRef window,
                           const CvmTilePoint *point) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef index = cvm_sum(emitter, cvm_scale(emitter, window, place_in_window(reduce, NULL)),
                                 cvm_i64(emitter, place_in_window(reduce, point)));
    LLVMTypeRef type = cvm_float_type(emitter, cvm_tile_lanes(reduce, point).lanes);
    return LLVMBuildInBoundsGEP2(emitter->builder, type, row, &index, 1, "");
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

static LLVMValueRef load_row(CvmReduce *reduce, LLVMValueRef row, const CvmTilePoint *point) {
    int64_t known;
    LLVMValueRef at = row_at(reduce, row, window_of_point(reduce, point, &known), point);
    return load_pooled(reduce, at, cvm_tile_lanes(reduce, point).lanes);
}

/* The point's row (axis 0) or column (axis 1) in its window. */
static LLVMValueRef within_window(CvmReduce *reduce, const CvmTilePoint *point, int i) {
    CvmEmitter *emitter = reduce->emitter;
    int axis = reduce->kernel->pooling.axes[i];
    int64_t size = reduce->kernel->pooling.sizes[i], unit = point->unit[axis];
    bool slides = cvm_reduce_slides_along(reduce, axis);
    if (slides && reduce->position_static)
        return cvm_i64(emitter, (reduce->block_position + unit) % size);
    if (slides && reduce->schedule->tile[axis] % size == 0)
        return cvm_i64(emitter, unit % size);
    LLVMValueRef position = cvm_sum(emitter, reduce->index[axis], cvm_i64(emitter, unit));
    return LLVMBuildURem(emitter->builder, position, cvm_i64(emitter, size), "");
}

/* The number of the point's element among those of its window, as maxpool_index counts. */
static LLVMValueRef number_in_window(CvmReduce *reduce, const CvmTilePoint *point, int lanes) {
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef number = cvm_sum(
        emitter,
        cvm_scale(emitter, within_window(reduce, point, 0), reduce->kernel->pooling.sizes[1]),
        within_window(reduce, point, 1));
    return cvm_splat(emitter, LLVMBuildUIToFP(emitter->builder, number, emitter->f32, ""), lanes);
}

/* What is combined at a window so far, and where it was found (NULL where nobody asks). */
typedef struct Pooled {
    LLVMValueRef value, place, value_at, place_at;
} Pooled;

static Pooled load_window(CvmReduce *reduce, LLVMValueRef window, const CvmTilePoint *point,
                          int lanes) {
    Pooled pooled = {.value_at = row_at(reduce, reduce->pooled, window, point)};
    pooled.value = load_pooled(reduce, pooled.value_at, lanes);
    if (reduce->pooled_places) {
        pooled.place_at = row_at(reduce, reduce->pooled_places, window, point);
        pooled.place = load_pooled(reduce, pooled.place_at, lanes);
    }
    return pooled;
}

static void store_window(CvmReduce *reduce, const Pooled *pooled) {
    store_pooled(reduce, pooled->value, pooled->value_at);
    if (pooled->place)
        store_pooled(reduce, pooled->place, pooled->place_at);
}

static void combine_window(CvmReduce *reduce, Pooled *pooled, LLVMValueRef value,
                           const CvmTilePoint *point, int lanes) {
    LLVMBuilderRef builder = reduce->emitter->builder;
    if (pooled->place) {
        LLVMValueRef larger = LLVMBuildFCmp(builder, LLVMRealOGT, value, pooled->value, "");
        pooled->place = LLVMBuildSelect(builder, larger, number_in_window(reduce, point, lanes),
                                        pooled->place, "");
    }
    pooled->value = reduce->kernel->pooling.combine == CVM_COMBINE_MAXIMUM
                        ? cvm_emit_maximum(reduce->emitter, pooled->value, value)
                        : LLVMBuildFAdd(builder, pooled->value, value, "");
}

/* Combines the block's finished sums into their windows; neighbours meet in registers. */
void cvm_reduce_pool_sums(CvmReduce *reduce) {
    CvmEmitter *emitter = reduce->emitter;
    const CvmPooling *pooling = &reduce->kernel->pooling;
    Pooled pooled = {NULL, NULL, NULL, NULL};
    int64_t window = -1, place = -1; /* of `pooled` */
    cvm_reduce_forget(reduce);
    Epilogue epilogue = {.reduce = reduce};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &epilogue.point)) {
        epilogue.lanes = cvm_tile_lanes(reduce, &epilogue.point);
        int lanes = epilogue.lanes.lanes;
        if (!has_results(reduce, &epilogue.point))
            continue;
        CvmExprContext context = {finished_sum(reduce, sum), lanes, epilogue_leaf, &epilogue};
        LLVMValueRef value = cvm_emit_expr(emitter, pooling->value, &context);
        int64_t next, next_place = place_in_window(reduce, &epilogue.point);
        LLVMValueRef index = window_of_point(reduce, &epilogue.point, &next);
        if (next < 0 || next != window || next_place != place) {
            if (pooled.value)
                store_window(reduce, &pooled);
            pooled = load_window(reduce, index, &epilogue.point, lanes);
        }
        window = next;
        place = next_place;
        combine_window(reduce, &pooled, value, &epilogue.point, lanes);
    }
    store_window(reduce, &pooled);
}

/* What the results of a point are made of. */
static LLVMValueRef accumulator_of(CvmReduce *reduce, int sum, const CvmTilePoint *point) {
    return cvm_reduce_is_pooled(reduce) ? load_row(reduce, reduce->pooled, point)
                                        : finished_sum(reduce, sum);
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
        if (!has_results(reduce, &epilogue.point))
            continue;
        CvmExprContext context = {accumulator_of(reduce, sum, &epilogue.point),
                                  epilogue.lanes.lanes, epilogue_leaf, &epilogue};
        for (int i = 0; i < kernel->result_count; i++)
            values[sum][i] = cvm_emit_expr(emitter, kernel->results[i].value, &context);
    }
    CvmTilePoint point = {{0}};
    for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point)) {
        CvmLanes lanes = cvm_tile_lanes(reduce, &point);
        for (int i = 0; i < kernel->result_count && has_results(reduce, &point); i++) {
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
        LLVMValueRef window = window_of_point(reduce, &point, &known);
        store_pooled(reduce, cvm_float(reduce->emitter, lanes, maximum ? -__builtin_inf() : 0),
                     row_at(reduce, reduce->pooled, window, &point));
        if (reduce->pooled_places)
            store_pooled(reduce, cvm_float(reduce->emitter, lanes, 0),
                         row_at(reduce, reduce->pooled_places, window, &point));
    }
}

void cvm_reduce_fetch_ahead(CvmReduce *reduce) {
    enum { LINE = 16 }; /* elements */
    CvmEmitter *emitter = reduce->emitter;
    int axis = reduce->schedule->vector_axis;
    cvm_reduce_forget(reduce);
    for (int buffer = 0; buffer < reduce->kernel->buffer_count; buffer++) {
        if (!cvm_reads_for_results(reduce->kernel, buffer))
            continue;
        CvmTilePoint point = {{0}};
        for (int sum = 0; sum < reduce->sum_count; sum++, cvm_tile_next(reduce, &point)) {
            int64_t offset = cvm_tile_offset(reduce, buffer, &point) + reduce->schedule->ahead;
            if (cvm_tile_element(reduce, &point, axis) % LINE == 0)
                cvm_emit_prefetch(emitter, cvm_advance(emitter, cvm_reduce_base(reduce, buffer),
                                                       cvm_i64(emitter, offset)));
        }
    }
}
