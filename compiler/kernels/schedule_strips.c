/* Strips: the schedule of a product of some rows a[r, k] with a matrix b[k, c] that is too large
 * for the caches, as is the gradient of a linear layer's input, b being its weights. With sums in
 * registers to their end, every work item would read a column of b, a cache line of each row. Here
 * an item has a strip of columns, long enough for whole runs of memory, and takes b through in
 * chunks of rows, which are used for all r while they are in the first cache. */
#include "compiler/kernels/schedule.h"

enum {
    STRIP_COLUMNS = 384,
    CHUNK_ROWS = 16, /* of b. Rows lie whole pages apart, so that of more rows the second cache
                        would not keep both the chunk at hand and the one that is fetched */
    LEAST_DEPTH = 64,
    LEAST_COLUMNS = 128,
    CACHE_ELEMENTS = 64 << 10,
};

CvmStripAxes cvm_strip_axes(const CvmKernel *kernel) {
    CvmStripAxes axes = {-1, kernel->schedule.vector_axis, -1};
    for (int i = 0; i < kernel->axis_count; i++) {
        if (kernel->axes[i].extent == 1 || i == axes.column)
            continue;
        int *axis = kernel->axes[i].reduce ? &axes.depth : &axes.row;
        *axis = *axis == -1 ? i : -2; /* -2: there are several */
    }
    return axes;
}

static bool is_such_product(const CvmKernel *kernel, CvmStripAxes axes) {
    if (kernel->combine != CVM_COMBINE_PRODUCTS || kernel->window_count > 0 ||
        kernel->buffer_count == CVM_MAX_BUFFERS || axes.column < 0 || axes.row < 0 ||
        axes.depth < 0 || kernel->axes[axes.column].reduce)
        return false;
    const int64_t *a = kernel->buffers[kernel->a].strides, *b = kernel->buffers[kernel->b].strides;
    return a[axes.column] == 0 && a[axes.depth] == 1 && b[axes.column] == 1 && b[axes.row] == 0;
}

/* Columns of a work item: some STRIP_COLUMNS, in an even number of items. */
static int64_t choose_strip(int64_t columns, int64_t tile) {
    int64_t items = (columns + STRIP_COLUMNS - 1) / STRIP_COLUMNS;
    items += items % 2;
    int64_t share = (columns + items - 1) / items;
    return (share + tile - 1) / tile * tile;
}

void cvm_schedule_strips(CvmKernel *kernel, CvmTargetShape target) {
    CvmSchedule *schedule = &kernel->schedule;
    CvmStripAxes axes = cvm_strip_axes(kernel);
    if (!is_such_product(kernel, axes))
        return;
    int64_t rows = kernel->axes[axes.row].extent, columns = kernel->axes[axes.column].extent;
    int64_t depth = kernel->axes[axes.depth].extent;
    if (depth < LEAST_DEPTH || columns < LEAST_COLUMNS || depth * columns < CACHE_ELEMENTS)
        return;
    /* a tile of 6 x 2 sums or so takes 8 loads for 12 multiply-adds */
    int64_t tile_columns = 2, most = (target.registers - tile_columns - 1) / tile_columns;
    int64_t turns = (rows + most - 1) / most, tile = tile_columns * target.lanes;
    schedule->tile[axes.row] = (rows + turns - 1) / turns;
    schedule->tile[axes.column] = tile_columns;
    schedule->strip = choose_strip(columns, tile);
    schedule->strip_rows = CHUNK_ROWS;
    schedule->strip_scratch = kernel->buffer_count++;
    kernel->buffers[schedule->strip_scratch] = (CvmKernelBuffer){.dtype = CVM_F32};
    kernel->extent = (columns + schedule->strip - 1) / schedule->strip;
    kernel->scratch_bytes = 4 * ((tile + rows) * schedule->strip_rows + rows * schedule->strip);
}
