/* See schedule.h. The model behind the choices, for an out-of-order core with two vector FMA units
 * and two load ports: a block of results of tile a x tile b in registers needs a*b multiply-adds
 * and about a+b loads per step, and at least eight independent sums to hide the latency of an FMA.
 */
#include "compiler/kernels/schedule.h"

enum {
    MAX_TAPS = 16,         /* longest row of taps unrolled */
    MAX_GATHERED = 4,      /* distance of elements that are gathered into a vector */
    MAX_PHASES = 4,        /* of positions that skip pixels, whose vectors are put in order */
    MAX_EDGE_BLOCKS = 6,   /* blocks generated one by one because their taps leave the picture */
    ALL_STATIC_BLOCKS = 3, /* so few blocks are generated one by one in any case */
    MIN_ITEMS = 2,         /* work items wanted, so that two threads can share a kernel … */
};
static const double SPLIT_WORTH = 100e3; /* … of at least so many operations */

enum {
    FETCHED_TILES = 2,       /* what results are made of is fetched so many tiles ahead … */
    FETCHED_BYTES = 1 << 20, /* … where it is larger than a second cache */
};

bool cvm_window_valid(const CvmWindow *window, int64_t position, int64_t tap) {
    int64_t t = position * window->position_scale + tap * window->tap_scale + window->offset;
    return t >= 0 && t % window->divisor == 0 && t / window->divisor < window->extent;
}

int64_t cvm_schedule_unit(const CvmKernel *kernel, int axis) {
    return axis == kernel->schedule.vector_axis ? kernel->schedule.lanes : 1;
}

int64_t cvm_schedule_phases(const CvmKernel *kernel) {
    const CvmSchedule *schedule = &kernel->schedule;
    if (schedule->slide < 0 || schedule->vector_axis < 0)
        return 1;
    const CvmWindow *window = &kernel->windows[schedule->slide];
    return window->position == schedule->vector_axis ? window->divisor : 1;
}

int64_t cvm_schedule_blocks(const CvmKernel *kernel, int axis) {
    const CvmSchedule *schedule = &kernel->schedule;
    int64_t tile = kernel->axes[axis].reduce ? schedule->slide_step : schedule->tile[axis];
    int64_t size = tile * cvm_schedule_unit(kernel, axis);
    return (kernel->axes[axis].extent + size - 1) / size;
}

/* Whether every tap of every position in a block lies inside. */
static bool block_is_interior(const CvmKernel *kernel, const CvmWindow *window, int64_t first,
                              int64_t count) {
    int64_t taps = kernel->axes[window->tap].extent;
    if (first + count > kernel->axes[window->position].extent)
        return false;
    for (int64_t p = first; p < first + count; p++)
        for (int64_t k = 0; k < taps; k++) {
            int64_t t = p * window->position_scale + k * window->tap_scale + window->offset;
            if (t < 0 || t / window->divisor >= window->extent)
                return false;
        }
    return true;
}

void cvm_slide_interior(const CvmKernel *kernel, int64_t *first, int64_t *last, int64_t *blocks) {
    const CvmSchedule *schedule = &kernel->schedule;
    const CvmWindow *window = &kernel->windows[schedule->slide];
    int axis = window->position;
    int64_t tile = kernel->axes[axis].reduce ? schedule->slide_step : schedule->tile[axis];
    int64_t size = tile * cvm_schedule_unit(kernel, axis);
    *blocks = cvm_schedule_blocks(kernel, axis);
    *first = 0;
    *last = 0;
    if (*blocks <= ALL_STATIC_BLOCKS || (size * window->position_scale) % window->divisor != 0)
        return;
    /* A block's bounds depend linearly on its position, so the interior is one run of blocks. */
    while (*first < *blocks && !block_is_interior(kernel, window, *first * size, size))
        ++*first;
    *last = *first;
    while (*last < *blocks && block_is_interior(kernel, window, *last * size, size))
        ++*last;
    if (*first == *last)
        *first = *last = 0;
}

int64_t cvm_pooled_together(const CvmKernel *kernel, int axis) {
    const CvmPooling *pooling = &kernel->pooling;
    for (int i = 0; i < 2 && pooling->combine != CVM_COMBINE_NONE; i++)
        if (pooling->axes[i] == axis)
            return pooling->sizes[i];
    return 1;
}

static bool slide_is_affordable(const CvmKernel *kernel) {
    int64_t first, last, blocks;
    cvm_slide_interior(kernel, &first, &last, &blocks);
    return blocks - (last - first) <= MAX_EDGE_BLOCKS;
}

/* --- which axis fills the vectors --- */

static const CvmWindow *window_of(const CvmKernel *kernel, int axis, bool as_tap) {
    for (int i = 0; i < kernel->window_count; i++)
        if ((as_tap ? kernel->windows[i].tap : kernel->windows[i].position) == axis)
            return &kernel->windows[i];
    return NULL;
}

/* Memory distance of neighbours along an axis in a buffer, through a window where there is one; -1
 * when it is not constant. */
static int64_t axis_stride(const CvmKernel *kernel, int buffer, int axis) {
    int64_t stride = kernel->buffers[buffer].strides[axis];
    if (buffer != kernel->a)
        return stride;
    const CvmWindow *window = window_of(kernel, axis, false);
    if (window && window->divisor > 1) /* vectors hold one phase of the positions each */
        return window->divisor <= MAX_PHASES && window->position_scale == 1 ? window->stride : -1;
    if (window)
        return window->position_scale * window->stride;
    return window_of(kernel, axis, true) ? -1 : stride;
}

/* Whether vectors of a can be gathered from every second, third or fourth element, as convolutions
 * with a stride read plain pictures. */
static bool can_gather(const CvmKernel *kernel, int buffer, int axis) {
    int64_t stride = axis_stride(kernel, buffer, axis);
    return buffer == kernel->a && stride >= 2 && stride <= MAX_GATHERED &&
           window_of(kernel, axis, false);
}

static bool can_fill_vectors(const CvmKernel *kernel, int axis) {
    const CvmAxis *loop = &kernel->axes[axis];
    if (loop->extent < 2 ||
        (loop->reduce && kernel->combine == CVM_COMBINE_MAXIMUM && cvm_kernel_has_place(kernel)))
        return false;
    const CvmWindow *window = window_of(kernel, axis, false);
    if (window && (window->table || window != &kernel->windows[kernel->window_count - 1]))
        return false; /* only the last window's positions are blocked */
    if (window && kernel->axes[window->tap].extent > MAX_TAPS)
        return false;
    for (int i = 0; i < kernel->buffer_count; i++) {
        if (kernel->buffers[i].beside)
            continue;
        int64_t stride = axis_stride(kernel, i, axis);
        bool summed = i == kernel->a || i == kernel->b;
        if (can_gather(kernel, i, axis))
            continue;
        if (loop->reduce ? summed && stride != 1
                         : stride != 1 && (kernel->buffers[i].written || stride != 0))
            return false;
    }
    return !loop->reduce || kernel->a >= 0;
}

static int choose_vector_axis(const CvmKernel *kernel, int lanes) {
    int best = -1;
    double best_score = 0;
    for (int i = 0; i < kernel->axis_count; i++) {
        if (!can_fill_vectors(kernel, i))
            continue;
        double extent = (double)kernel->axes[i].extent;
        const CvmWindow *window = window_of(kernel, i, false);
        int64_t run = lanes * (window ? window->divisor : 1);
        int64_t runs = (kernel->axes[i].extent + run - 1) / run;
        /* a reduced vector is summed over its lanes at the end, which short sums feel */
        double score = extent / (double)(runs * run) * (kernel->axes[i].reduce ? 0.85 : 1);
        score *= kernel->a >= 0 && can_gather(kernel, kernel->a, i) ? 0.5 : 1;
        if (score > best_score) {
            best = i;
            best_score = score;
        }
    }
    return best_score > 1.0 / lanes ? best : -1;
}

/* --- which results share registers --- */

typedef struct TileAxis {
    int axis;      /* -1: none */
    int64_t units; /* its extent in tile units */
    int64_t step;  /* sizes must be multiples of it */
    int64_t fixed; /* the size, where there is no choice; 0 */
} TileAxis;

static TileAxis tile_axis(const CvmKernel *kernel, int axis) {
    int64_t unit = cvm_schedule_unit(kernel, axis);
    return (TileAxis){axis, (kernel->axes[axis].extent + unit - 1) / unit, 1, 0};
}

static bool varies(const CvmKernel *kernel, int buffer, int axis) {
    if (buffer < 0)
        return false;
    return kernel->buffers[buffer].strides[axis] != 0 ||
           (buffer == kernel->a &&
            (window_of(kernel, axis, false) || window_of(kernel, axis, true)));
}

/* The output axis along which neighbours read other elements of `buffer` but the same of `other`,
 * the longest one; axes that windows check with a branch are left out. */
static TileAxis longest_axis(const CvmKernel *kernel, int buffer, int other) {
    TileAxis best = {-1, 1, 1, 1};
    for (int i = 0; i < kernel->axis_count; i++) {
        if (kernel->axes[i].reduce || window_of(kernel, i, false) || window_of(kernel, i, true))
            continue;
        if (!varies(kernel, buffer, i) || varies(kernel, other, i))
            continue;
        TileAxis candidate = tile_axis(kernel, i);
        if (candidate.units > best.units || best.axis < 0)
            best = candidate;
    }
    return best;
}

static TileAxis slide_tile(const CvmKernel *kernel) {
    const CvmWindow *window = &kernel->windows[kernel->schedule.slide];
    if (kernel->axes[window->position].reduce) {
        TileAxis taps = tile_axis(kernel, window->tap);
        taps.fixed = taps.units; /* taps are unrolled whole */
        return taps;
    }
    TileAxis positions = tile_axis(kernel, window->position);
    positions.step = window->divisor;
    return positions;
}

static TileAxis tile_of_a(const CvmKernel *kernel) {
    if (kernel->schedule.slide >= 0)
        return slide_tile(kernel);
    if (kernel->combine == CVM_COMBINE_NONE)
        return kernel->schedule.vector_axis >= 0 ? tile_axis(kernel, kernel->schedule.vector_axis)
                                                 : (TileAxis){-1, 1, 1, 1};
    return longest_axis(kernel, kernel->a,
                        kernel->combine == CVM_COMBINE_PRODUCTS ? kernel->b : -1);
}

/* Share of a tiled axis's work that is useful when its last block is cut short. */
static double efficiency(int64_t units, int64_t tile) {
    return (double)units / (double)((units + tile - 1) / tile * tile);
}

static double tile_score(const TileAxis *a, int64_t size_a, const TileAxis *b, int64_t size_b) {
    double sums = (double)(size_a * size_b);
    double loads = (double)(size_a + size_b);
    double busy = sums > 8 ? sums : 8; /* fewer sums wait for each other */
    return sums / (busy + 0.4 * loads) * efficiency(a->units, size_a) *
           efficiency(b->units, size_b);
}

static int64_t work_items(const CvmKernel *kernel) {
    int64_t items = 1;
    int slide_axis =
        kernel->schedule.slide >= 0 ? kernel->windows[kernel->schedule.slide].position : -1;
    for (int i = 0; i < kernel->axis_count; i++)
        if (!kernel->axes[i].reduce && i != slide_axis)
            items *= cvm_schedule_blocks(kernel, i);
    return items;
}

/* What a block of broadcast sums costs, in multiply-adds: fewer than ten wait for each other, and
 * loads go beside them two at a time, as they do. */
static double block_cost(int64_t size_a, int64_t size_b) {
    double sums = (double)(size_a * size_b), loads = (double)(size_a + size_b);
    double busy = sums > 10 ? sums : 10;
    return (loads > busy ? loads : busy) + 0.1 * loads;
}

/* Useful work over cost, the blocks cut short at the ends counted as they are. */
static double broadcast_score(const TileAxis *a, int64_t size_a, const TileAxis *b,
                              int64_t size_b) {
    int64_t rest_a = a->units % size_a, rest_b = b->units % size_b;
    double whole_a = (double)(a->units / size_a), whole_b = (double)(b->units / size_b);
    double cost = whole_a * whole_b * block_cost(size_a, size_b);
    if (rest_a)
        cost += whole_b * block_cost(rest_a, size_b);
    if (rest_b)
        cost += whole_a * block_cost(size_a, rest_b);
    if (rest_a && rest_b)
        cost += block_cost(rest_a, rest_b);
    return (double)(a->units * b->units) / cost;
}

static void set_tile(CvmSchedule *schedule, const TileAxis *a, const TileAxis *b,
                     const int64_t sizes[2]) {
    if (a->axis >= 0)
        schedule->tile[a->axis] = sizes[0];
    if (b->axis >= 0)
        schedule->tile[b->axis] = sizes[1];
}

static void choose_tiles(CvmKernel *kernel, CvmTargetShape target) {
    CvmSchedule *schedule = &kernel->schedule;
    TileAxis a = tile_of_a(kernel);
    TileAxis b = longest_axis(kernel, kernel->b, kernel->a);
    bool broadcast = schedule->broadcast;
    int64_t limit_a = a.fixed                               ? a.fixed
                      : kernel->combine == CVM_COMBINE_NONE ? 4
                      : broadcast                           ? target.registers
                                                            : 8;
    CvmCuts cuts = {.count = 0};
    for (int64_t size_a = a.fixed ? a.fixed : a.step; size_a <= limit_a; size_a += a.step)
        for (int64_t size_b = 1; size_b <= 16 && size_b <= b.units; size_b++) {
            if (size_a > a.units && size_a > a.step)
                continue;
            int64_t loaded = broadcast ? size_b + 1 : a.fixed ? size_b : size_a;
            int64_t sums = size_a * size_b * (kernel->fold ? kernel->fold : 1);
            bool fits = sums + loaded + 1 <= target.registers;
            if (!fits && (size_b > 1 || (!a.fixed && size_a > a.step)))
                continue;
            set_tile(schedule, &a, &b, (const int64_t[]){size_a, size_b});
            if (schedule->slide >= 0 && !slide_is_affordable(kernel))
                continue;
            double score = broadcast ? broadcast_score(&a, size_a, &b, size_b)
                                     : tile_score(&a, size_a, &b, size_b);
            if (kernel->flops > SPLIT_WORTH && work_items(kernel) < MIN_ITEMS)
                score *= 0.5;
            cvm_cuts_add(&cuts, size_a, size_b, score);
        }
    set_tile(schedule, &a, &b, (const int64_t[]){1, 1}); /* not cut yet: so a kernel asks */
    if (kernel->combine != CVM_COMBINE_PRODUCTS)
        target.tuning = NULL;
    set_tile(schedule, &a, &b,
             cuts.count ? cvm_cuts_choose(&cuts, kernel, target)->sizes
                        : (const int64_t[]){a.fixed ? a.fixed : 1, 1});
}

/* The last window's taps are unrolled when they are few and its edges take little code. */
static int choose_slide(CvmKernel *kernel) {
    int last = kernel->window_count - 1;
    if (last < 0 || kernel->windows[last].table ||
        kernel->axes[kernel->windows[last].tap].extent > MAX_TAPS)
        return -1;
    const CvmWindow *window = &kernel->windows[last];
    CvmSchedule *schedule = &kernel->schedule;
    schedule->slide = last;
    bool reduced = kernel->axes[window->position].reduce;
    int64_t extent = kernel->axes[window->position].extent;
    schedule->slide_step = 0;
    if (reduced) { /* a few positions at once share their loads */
        schedule->slide_step = extent % 4 == 0 ? 4 : extent % 5 == 0 ? 5 : extent % 2 == 0 ? 2 : 1;
        if (schedule->vector_axis == window->position)
            schedule->slide_step = 1;
    } else {
        schedule->tile[window->position] = window->divisor;
    }
    for (; !slide_is_affordable(kernel);) {
        int64_t *size = reduced ? &schedule->slide_step : &schedule->tile[window->position];
        if (*size >= 8 || *size >= extent)
            return -1;
        *size += reduced ? 1 : window->divisor;
    }
    return last;
}

/* Whether vectors of b alone meet single elements of a under the slide's taps, as in a convolution
 * whose result is channel-blocked. A short innermost sum is unrolled then, since its elements of a
 * are all different ones. */
static void choose_broadcast(CvmKernel *kernel) {
    CvmSchedule *schedule = &kernel->schedule;
    int vector = schedule->vector_axis, last = kernel->axis_count - 1;
    if (kernel->combine != CVM_COMBINE_PRODUCTS || schedule->slide < 0 || vector < 0)
        return;
    const CvmWindow *window = &kernel->windows[schedule->slide];
    bool same = !varies(kernel, kernel->a, vector) && kernel->mix.inputs != 1;
    if (kernel->axes[vector].reduce || kernel->axes[window->position].reduce ||
        window->position == vector || !same || !varies(kernel, kernel->b, vector))
        return;
    schedule->broadcast = true;
    if (kernel->axes[last].reduce && kernel->axes[last].extent <= MAX_TAPS &&
        !window_of(kernel, last, true))
        schedule->unrolled = last;
}

bool cvm_reads_for_results(const CvmKernel *kernel, int buffer) {
    const CvmKernelBuffer *read = &kernel->buffers[buffer];
    int along = kernel->schedule.vector_axis;
    return buffer != kernel->a && buffer != kernel->b && !read->written && !read->beside &&
           along >= 0 && read->strides[along] == 1;
}

/* How far ahead a product fetches what its results are made of, as the gradient of a linear layer's
 * weights does with them and their momentum: its sums are so short that the processor looks no
 * further than the tile after the next, and rows of weights are too far apart for it to foresee. */
static int64_t fetch_ahead(const CvmKernel *kernel) {
    int along = kernel->schedule.vector_axis;
    if (kernel->combine != CVM_COMBINE_PRODUCTS || kernel->window_count > 0 || along < 0 ||
        kernel->axes[along].reduce || kernel->schedule.strip)
        return 0;
    int64_t bytes = 0;
    for (int buffer = 0; buffer < kernel->buffer_count; buffer++) {
        int64_t elements = cvm_reads_for_results(kernel, buffer);
        for (int axis = 0; axis < kernel->axis_count; axis++)
            elements *= kernel->buffers[buffer].strides[axis] ? kernel->axes[axis].extent : 1;
        bytes += 4 * elements;
    }
    return bytes < FETCHED_BYTES
               ? 0
               : FETCHED_TILES * kernel->schedule.tile[along] * cvm_schedule_unit(kernel, along);
}

static int64_t picture_bytes(const CvmKernelBuffer *buffer) {
    const CvmShape *shape = &buffer->value->type.shape;
    int64_t count;
    return shape->rank == 4 && cvm_shape_count(shape, &count) ? count / shape->sizes[0] * 4 : 0;
}

/* Where a picture is too large for the second cache and all weights are not, work items of one row
 * with all output channels come one after the other, so that the row is read from memory once. */
static void choose_first(CvmKernel *kernel) {
    enum { WEIGHTS = 128 << 10, PICTURE = 1 << 20 };
    CvmSchedule *schedule = &kernel->schedule;
    if (!schedule->broadcast)
        return;
    TileAxis b = longest_axis(kernel, kernel->b, kernel->a);
    int64_t weights = 4;
    for (int i = 0; i < kernel->axis_count && weights <= WEIGHTS; i++)
        weights *= kernel->buffers[kernel->b].strides[i] ? kernel->axes[i].extent : 1;
    if (b.axis >= 0 && cvm_schedule_blocks(kernel, b.axis) > 1 && weights <= WEIGHTS &&
        picture_bytes(&kernel->buffers[kernel->a]) > PICTURE)
        schedule->first = b.axis;
}

void cvm_schedule(CvmKernel *kernel, CvmTargetShape target) {
    CvmSchedule *schedule = &kernel->schedule;
    *schedule = (CvmSchedule){.lanes = target.lanes, .slide = -1, .unrolled = -1, .first = -1};
    for (int i = 0; i < kernel->axis_count; i++)
        schedule->tile[i] = 1;
    schedule->vector_axis = choose_vector_axis(kernel, target.lanes);
    schedule->slide = choose_slide(kernel);
    if (schedule->slide < 0 && schedule->vector_axis >= 0 &&
        window_of(kernel, schedule->vector_axis, false)) {
        schedule->vector_axis = -1; /* those vectors needed the unrolled window */
        schedule->slide = choose_slide(kernel);
    }
    if (schedule->slide < 0) {
        for (int i = 0; i < kernel->axis_count; i++)
            schedule->tile[i] = 1;
        schedule->slide_step = 0;
    }
    if (schedule->vector_axis < 0)
        schedule->lanes = 1;
    for (int i = 0; i < kernel->axis_count; i++) /* a work item has whole windows of the pooling */
        if (schedule->slide < 0 || kernel->windows[schedule->slide].position != i)
            schedule->tile[i] = cvm_pooled_together(kernel, i);
    if (kernel->fold) { /* vectors that are folded together */
        schedule->tile[kernel->folded] = kernel->fold;
        schedule->tile[schedule->vector_axis] = cvm_schedule_blocks(kernel, schedule->vector_axis);
    }
    if (kernel->mixed.step > 1)
        schedule->unrolled = kernel->axis_count - 1;
    choose_broadcast(kernel);
    choose_tiles(kernel, target);
    choose_first(kernel);
    kernel->extent = work_items(kernel);
    cvm_schedule_strips(kernel, target);
    schedule->ahead = fetch_ahead(kernel);
}

/* Rows that vectors lie across are kept on the stack side by side, so long ones need narrower
 * vectors. */
static void lay_rows_across(CvmKernel *kernel) {
    int *lanes = &kernel->schedule.lanes;
    while (*lanes > 1 && kernel->columns * *lanes > CVM_MAX_ROW_ELEMENTS)
        *lanes /= 2;
    kernel->vectors = CVM_ROWS_ACROSS;
    kernel->strip = *lanes;
}

/* So many rows at once that what is kept of them, and the lines that are read and written, share
 * the nearest cache: whole lines where that can be. */
static void lay_rows_in_blocks(CvmKernel *kernel) {
    enum { NEAREST_CACHE = 24576, LINE = 64 };
    int64_t tensors = kernel->buffer_count + kernel->statement_count;
    int64_t row = kernel->columns * tensors * (int64_t)sizeof(float);
    int64_t line = LINE / (kernel->block * (int64_t)sizeof(float)); /* rows with a block in it */
    int64_t strip = NEAREST_CACHE / row;
    line = line < 1 ? 1 : line;
    kernel->vectors = CVM_ROWS_BLOCKS;
    kernel->schedule.lanes = (int)kernel->block;
    kernel->strip = strip < line ? line : strip / line * line;
    while (kernel->strip > 1 && kernel->columns * kernel->strip > CVM_MAX_ROW_ELEMENTS)
        kernel->strip /= 2;
    if (kernel->strip > kernel->positions)
        kernel->strip = kernel->positions;
}

void cvm_schedule_rows(CvmKernel *kernel, CvmTargetShape target) {
    kernel->schedule.lanes = target.lanes;
    kernel->vectors = CVM_ROWS_ALONG;
    kernel->strip = 1;
    if (kernel->block)
        lay_rows_in_blocks(kernel);
    else if (kernel->positions > 1)
        lay_rows_across(kernel);
    kernel->extent = kernel->pictures * ((kernel->positions + kernel->strip - 1) / kernel->strip);
}
