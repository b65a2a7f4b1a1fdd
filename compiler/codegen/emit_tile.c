/* The tile of results that a REDUCE kernel computes together: its points, and where they lie in the
 * buffers. See emit_reduce.h. */
#include "compiler/codegen/emit_reduce.h"

#include <string.h>

const CvmWindow *cvm_reduce_slide(const CvmReduce *reduce) {
    return reduce->schedule->slide >= 0 ? &reduce->kernel->windows[reduce->schedule->slide] : NULL;
}

bool cvm_reduce_slides_along(const CvmReduce *reduce, int axis) {
    const CvmWindow *window = cvm_reduce_slide(reduce);
    return window && window->position == axis;
}

bool cvm_reduce_vector_is_output(const CvmReduce *reduce) {
    int axis = reduce->schedule->vector_axis;
    return axis >= 0 && !reduce->kernel->axes[axis].reduce;
}

/* --- the points of a tile --- */

int64_t cvm_tile_units(const CvmReduce *reduce, int axis) {
    if (reduce->kernel->axes[axis].reduce)
        return 1;
    int64_t unit = cvm_schedule_unit(reduce->kernel, axis);
    int64_t units = (reduce->count[axis] + unit - 1) / unit;
    int64_t phases =
        axis == reduce->schedule->vector_axis ? cvm_schedule_phases(reduce->kernel) : 1;
    return (units + phases - 1) / phases * phases;
}

bool cvm_tile_next(const CvmReduce *reduce, CvmTilePoint *point) {
    for (int axis = reduce->kernel->axis_count - 1; axis >= 0; axis--) {
        if (++point->unit[axis] < cvm_tile_units(reduce, axis))
            return true;
        point->unit[axis] = 0;
    }
    return false;
}

int64_t cvm_tile_element(const CvmReduce *reduce, const CvmTilePoint *point, int axis) {
    return point->unit[axis] * cvm_schedule_unit(reduce->kernel, axis);
}

int64_t cvm_tile_known(const CvmReduce *reduce, const CvmTilePoint *point, int axis) {
    return LLVMConstIntGetSExtValue(reduce->index[axis]) + cvm_tile_element(reduce, point, axis);
}

int64_t cvm_tile_position(const CvmReduce *reduce, const CvmTilePoint *point, int axis) {
    int64_t phases =
        axis == reduce->schedule->vector_axis ? cvm_schedule_phases(reduce->kernel) : 1;
    int64_t phase = point->unit[axis] % phases;
    return (point->unit[axis] - phase) * cvm_schedule_unit(reduce->kernel, axis) + phase;
}

/* Lanes of the point's vector that lie within the block. */
CvmLanes cvm_tile_lanes(const CvmReduce *reduce, const CvmTilePoint *point) {
    int axis = reduce->schedule->vector_axis;
    if (!cvm_reduce_vector_is_output(reduce))
        return cvm_lanes_first(1, 1);
    return cvm_lanes_first(reduce->schedule->lanes,
                           reduce->count[axis] - cvm_tile_element(reduce, point, axis));
}

/* --- addresses --- */

void cvm_reduce_forget(CvmReduce *reduce) {
    reduce->memo_count = 0;
    memset(reduce->base, 0, sizeof reduce->base);
}

/* The slide's dynamic part: position / divisor, exact since blocks start at multiples of it. */
static LLVMValueRef slide_base(CvmReduce *reduce) {
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (!window || reduce->position_static || !reduce->index[window->position])
        return cvm_i64(reduce->emitter, 0);
    LLVMValueRef scaled =
        cvm_scale(reduce->emitter, reduce->index[window->position], window->position_scale);
    if (window->divisor > 1)
        scaled = LLVMBuildExactSDiv(reduce->emitter->builder, scaled,
                                    cvm_i64(reduce->emitter, window->divisor), "");
    return cvm_scale(reduce->emitter, scaled, window->stride);
}

/* The index along an axis as the buffer counts it: windows where it is pooled. */
static LLVMValueRef index_in(const CvmReduce *reduce, int buffer, int axis) {
    int64_t together = cvm_pooled_together(reduce->kernel, axis);
    if (!reduce->kernel->buffers[buffer].pooled || together == 1)
        return reduce->index[axis];
    return LLVMBuildExactUDiv(reduce->emitter->builder, reduce->index[axis],
                              cvm_i64(reduce->emitter, together), "");
}

LLVMValueRef cvm_reduce_base(CvmReduce *reduce, int buffer) {
    if (reduce->base[buffer])
        return reduce->base[buffer];
    CvmEmitter *emitter = reduce->emitter;
    const CvmKernel *kernel = reduce->kernel;
    LLVMValueRef offset = cvm_i64(emitter, 0);
    for (int axis = 0; axis < kernel->axis_count; axis++)
        if (reduce->index[axis])
            offset = cvm_sum(emitter, offset,
                             cvm_scale(emitter, index_in(reduce, buffer, axis),
                                       kernel->buffers[buffer].strides[axis]));
    if (buffer == kernel->a) {
        for (int i = 0; i < kernel->window_count; i++)
            if (i != reduce->schedule->slide && reduce->window_index[i])
                offset =
                    cvm_sum(emitter, offset,
                            cvm_scale(emitter, reduce->window_index[i], kernel->windows[i].stride));
        offset = cvm_sum(emitter, offset, slide_base(reduce));
    }
    return reduce->base[buffer] = cvm_advance_in(emitter, buffer, emitter->buffers[buffer], offset);
}

int64_t cvm_tile_offset(const CvmReduce *reduce, int buffer, const CvmTilePoint *point) {
    int64_t offset = 0;
    for (int axis = 0; axis < reduce->kernel->axis_count; axis++)
        offset +=
            cvm_tile_element(reduce, point, axis) * reduce->kernel->buffers[buffer].strides[axis];
    return offset;
}

int64_t cvm_reduce_stride(const CvmReduce *reduce, int buffer) {
    int axis = reduce->schedule->vector_axis;
    if (axis < 0)
        return 1;
    const CvmWindow *window = cvm_reduce_slide(reduce);
    if (buffer == reduce->kernel->a && window && window->position == axis) /* a phase, if there are
                                                                              several */
        return window->divisor > 1 ? window->stride : window->position_scale * window->stride;
    return reduce->kernel->buffers[buffer].strides[axis];
}

LLVMValueRef cvm_reduce_load(CvmReduce *reduce, int buffer, int64_t offset, const CvmLanes *lanes,
                             double otherwise) {
    for (int i = 0; i < reduce->memo_count; i++)
        if (reduce->memo[i].buffer == buffer && reduce->memo[i].offset == offset)
            return reduce->memo[i].value;
    CvmEmitter *emitter = reduce->emitter;
    LLVMValueRef at =
        cvm_advance_in(emitter, buffer, cvm_reduce_base(reduce, buffer), cvm_i64(emitter, offset));
    LLVMValueRef value =
        cvm_load_from(emitter, buffer, at, cvm_reduce_stride(reduce, buffer), lanes, otherwise);
    if (reduce->memo_count < CVM_MAX_LOADED)
        reduce->memo[reduce->memo_count++] = (CvmLoaded){buffer, offset, value};
    return value;
}
