/* See describe.h. */
#include "compiler/kernels/describe.h"

#include "compiler/kernels/schedule.h"

static const double CLOCK = 3e9, SHARE = 0.85, THREAD_BYTES = 11e9, MOST_BYTES = 22e9;
static const double CALL_SECONDS = 1e-6; /* of any call: threads meet before it */

static const char *algorithm_of(const CvmKernel *kernel, CvmArena *arena) {
    bool convolves = kernel->window_count > 0;
    switch (kernel->form) {
    case CVM_KERNEL_REDUCE:
        if (kernel->combine == CVM_COMBINE_NONE)
            return "map";
        if (kernel->combine == CVM_COMBINE_PRODUCTS)
            return convolves ? "direct" : "product";
        return convolves ? "window" : "sum";
    case CVM_KERNEL_ROWS:
        return "rows";
    case CVM_KERNEL_SCATTER:
        return "scatter";
    case CVM_KERNEL_WINOGRAD:
        return cvm_arena_format(arena, "F(%dx%d, %dx%d)", (int)kernel->winograd.tile,
                                (int)kernel->winograd.tile, (int)kernel->winograd.taps,
                                (int)kernel->winograd.taps);
    case CVM_KERNEL_WINOGRAD_GRAD:
        return cvm_arena_format(arena, "F(%dx%d, %dx%d)", (int)kernel->winograd_grad.taps,
                                (int)kernel->winograd_grad.taps, (int)kernel->winograd_grad.tile,
                                (int)kernel->winograd_grad.tile);
    case CVM_KERNEL_WINOGRAD_ROWS:
        return cvm_arena_format(arena, "F(%d, %d) rows", (int)kernel->winograd_rows.tile,
                                (int)kernel->winograd_rows.taps);
    case CVM_KERNEL_WINOGRAD_ROWS_GRAD:
        return cvm_arena_format(arena, "F(%d, %d) rows", (int)kernel->winograd_rows.taps,
                                (int)kernel->winograd_rows.tile);
    case CVM_KERNEL_WINOGRAD_WEIGHT:
        return "transform";
    case CVM_KERNEL_LINEAR:
        return "shared weights";
    case CVM_KERNEL_BLAS:
        return "OpenBLAS";
    case CVM_KERNEL_WEIGHTS:
        return "outer products";
    case CVM_KERNEL_RELAYOUT:
    case CVM_KERNEL_COPY:
    case CVM_KERNEL_TURN:
        return "move";
    case CVM_KERNEL_PROBE:
        return "probe";
    }
    return "";
}

/* "2 output x 6 x, in vectors of 8 along lane" */
static const char *reduce_cut(const CvmKernel *kernel, CvmArena *arena) {
    const CvmSchedule *schedule = &kernel->schedule;
    const char *text = "";
    for (int i = 0; i < kernel->axis_count; i++)
        if (!kernel->axes[i].reduce && schedule->tile[i] > 1)
            text = cvm_arena_format(arena, "%s%s%lld %s", text, *text ? " x " : "",
                                    (long long)schedule->tile[i], kernel->axes[i].name);
    if (schedule->vector_axis < 0)
        return *text ? cvm_arena_format(arena, "%s, no vectors", text) : "no vectors";
    return cvm_arena_format(arena, "%s%svectors of %d along %s", text, *text ? ", " : "",
                            schedule->lanes, kernel->axes[schedule->vector_axis].name);
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static const char *cut_of(const CvmKernel *kernel, CvmArena *arena) {
    const CvmWinograd *winograd = &kernel->winograd;
    const CvmWinogradGrad *grad = &kernel->winograd_grad;
    const CvmWinogradRows *rows = &kernel->winograd_rows;
    const CvmLinear *linear = &kernel->linear;
    switch (kernel->form) {
    case CVM_KERNEL_REDUCE:
        return reduce_cut(kernel, arena);
    case CVM_KERNEL_ROWS:
        return kernel->vectors == CVM_ROWS_BLOCKS
                   ? cvm_arena_format(arena, "vectors of %d channels, %lld pixels at once",
                                      kernel->schedule.lanes, (long long)kernel->strip)
               : kernel->vectors == CVM_ROWS_ACROSS ? "vectors across rows"
                                                    : "vectors along rows";
    case CVM_KERNEL_WINOGRAD:
        return cvm_arena_format(
            arena, "%lld tile%s x %lld outputs, %lld tiles an item, %lld part%s%s",
            (long long)winograd->group, plural(winograd->group), (long long)winograd->step,
            (long long)(winograd->group * winograd->groups), (long long)winograd->parts,
            plural(winograd->parts), winograd->transforms ? ", filters transformed" : "");
    case CVM_KERNEL_WINOGRAD_GRAD:
        return cvm_arena_format(arena, "%lld inputs x %lld outputs an item, %lld tiles at once",
                                (long long)grad->item_inputs, (long long)grad->item_outputs,
                                (long long)grad->block);
    case CVM_KERNEL_WINOGRAD_ROWS:
        return cvm_arena_format(arena, "%lld tile%s x %lld outputs, %lld row%s at once",
                                (long long)rows->tiles, plural(rows->tiles),
                                (long long)rows->channels, (long long)rows->band,
                                plural(rows->band));
    case CVM_KERNEL_WINOGRAD_ROWS_GRAD:
        return cvm_arena_format(
            arena, "%lld tap%s x %lld outputs, %lld row%s at once, %lld an item",
            (long long)rows->tiles, plural(rows->tiles), (long long)rows->channels,
            (long long)rows->band, plural(rows->band), (long long)rows->item_outputs);
    case CVM_KERNEL_LINEAR:
        return cvm_arena_format(arena, "%lld pictures x %lld features, %lld inputs at once",
                                (long long)linear->tile_pictures, (long long)linear->tile_features,
                                (long long)linear->chunk);
    case CVM_KERNEL_BLAS:
        return cvm_arena_format(arena, "%lld features an item", (long long)linear->block);
    default:
        return "";
    }
}

static const char *numbers_of(const CvmKernel *kernel) {
    if (kernel->b < 0 || kernel->buffers[kernel->b].dtype != CVM_BF16)
        return "f32";
    if (kernel->buffers[kernel->a].dtype != CVM_BF16)
        return "bf16 weights";
    return kernel->form == CVM_KERNEL_LINEAR && kernel->linear.dots ? "bf16, by dot products"
                                                                    : "bf16";
}

/* A tile's products, and both transforms: about six operations for each frequency of a vector. */
static double winograd_flops(const CvmWinograd *winograd) {
    double side = (double)cvm_winograd_side(winograd), tiles = (double)cvm_winograd_tiles(winograd);
    double inputs = (double)winograd->inputs, outputs = (double)winograd->outputs;
    return tiles * side * side * (2 * inputs * outputs + 11 * (inputs + outputs));
}

/* The same, with the sums' transform once for all tiles. */
static double winograd_grad_flops(const CvmWinogradGrad *grad) {
    double side = (double)(grad->tile + grad->taps - 1);
    double inputs = (double)grad->inputs, outputs = (double)grad->outputs;
    double tiles = (double)cvm_winograd_grad_tiles(grad);
    return side * side *
           (tiles * (2 * inputs * outputs + 11 * (inputs + outputs)) + 11 * inputs * outputs);
}

/* A row's tiles, for each row of the filter; and transforms, of either side's rows. */
static double winograd_rows_flops(const CvmWinogradRows *rows) {
    double side = (double)(rows->tile + rows->taps - 1), blocks = (double)rows->blocks;
    double tiles = side * (double)cvm_winograd_rows_tiles(rows) * (double)rows->lanes * blocks;
    double inputs = (double)rows->inputs, outputs = (double)rows->outputs;
    double height = (double)(rows->back ? rows->input[0] : rows->output[0]);
    return tiles * (2 * height * (double)rows->kernel * inputs * outputs +
                    8 * ((double)rows->input[0] * inputs + (double)rows->output[0] * outputs));
}

static double flops_of(const CvmKernel *kernel) {
    if (kernel->form == CVM_KERNEL_WINOGRAD_ROWS || kernel->form == CVM_KERNEL_WINOGRAD_ROWS_GRAD)
        return winograd_rows_flops(&kernel->winograd_rows);
    return kernel->form == CVM_KERNEL_WINOGRAD        ? winograd_flops(&kernel->winograd)
           : kernel->form == CVM_KERNEL_WINOGRAD_GRAD ? winograd_grad_flops(&kernel->winograd_grad)
                                                      : kernel->flops;
}

CvmKernelSummary cvm_kernel_describe(const CvmKernel *kernel, CvmTargetShape target, int threads,
                                     CvmArena *arena) {
    CvmKernelSummary summary = {.algorithm = algorithm_of(kernel, arena),
                                .cut = cut_of(kernel, arena),
                                .numbers = numbers_of(kernel),
                                .flops = flops_of(kernel)};
    bool scalar = kernel->form == CVM_KERNEL_REDUCE && kernel->schedule.vector_axis < 0;
    int used = kernel->extent < threads ? (int)kernel->extent : threads;
    double peak = used * CLOCK * 4 * (scalar ? 1 : target.lanes) * SHARE;
    double bytes = used * THREAD_BYTES < MOST_BYTES ? used * THREAD_BYTES : MOST_BYTES;
    double compute = summary.flops / peak, memory = kernel->bytes / bytes;
    double most = compute > memory ? compute : memory;
    summary.bound = most < CALL_SECONDS ? "overhead" : compute > memory ? "compute" : "memory";
    summary.seconds = most + CALL_SECONDS;
    return summary;
}
