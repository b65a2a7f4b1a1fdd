/* How the work of kernels that filter along rows is cut: sums in registers, and rows whose sums and
 * transforms stay in the caches. */
#include "compiler/kernels/schedule.h"
#include "compiler/ops/winograd.h"

enum {
    SUMS = 16 << 10,         /* bytes of a band's sums, beside which the nearest cache has room */
    GRADIENTS = 24 << 10,    /* bytes of a band's dy, of the gradient */
    TRANSFORMED = 160 << 10, /* bytes of a chunk: for the second */
    OVERLAP = 8,             /* multiply-adds of vectors that have to overlap */
    WANTED_ITEMS = 4,        /* of the gradient, where each has so many channels: */
    LEAST_OUTPUTS = 3,
};

CvmPieces cvm_pieces(int64_t things, int64_t size) {
    int64_t count = (things + size - 1) / size, larger = (things + count - 1) / count;
    int64_t smaller = count * larger - things; /* pieces with one less */
    CvmPieces pieces = {.count = {count - smaller, smaller}, .size = {larger, larger - 1}};
    pieces.last[0] = pieces.first[1] = (count - smaller) * larger;
    pieces.last[1] = things;
    return pieces;
}

int64_t cvm_winograd_rows_tiles(const CvmWinogradRows *rows) {
    int64_t columns = rows->back ? rows->input[1] : rows->output[1];
    return (columns + rows->tile - 1) / rows->tile;
}

int64_t cvm_winograd_rows_read(const CvmWinogradRows *rows) {
    return rows->chunk + rows->kernel - 1;
}

/* Steps are a cache line more than needed, so that frequencies do not all fall into one set of a
 * cache. */
static int64_t step_of(int64_t floats) {
    return (floats + 15) / 16 * 16 + 16;
}

int64_t cvm_winograd_rows_filter_step(const CvmWinogradRows *rows) {
    return step_of(rows->inputs * rows->outputs * rows->kernel);
}

static int64_t row_floats(const CvmWinogradRows *rows) {
    return cvm_winograd_rows_tiles(rows) * rows->lanes;
}

int64_t cvm_winograd_rows_input_step(const CvmWinogradRows *rows) {
    return step_of(rows->inputs * cvm_winograd_rows_read(rows) * row_floats(rows));
}

int64_t cvm_winograd_rows_gradient_step(const CvmWinogradRows *rows) {
    return step_of(rows->item_outputs * rows->band * row_floats(rows));
}

int64_t cvm_winograd_rows_sum_step(const CvmWinogradRows *rows) {
    if (rows->item_outputs)
        return step_of(rows->item_outputs * rows->inputs * rows->kernel * rows->lanes);
    return step_of(rows->outputs * rows->band * row_floats(rows));
}

int64_t cvm_winograd_rows_line(const CvmWinogradRows *rows) {
    int64_t over = rows->back ? rows->taps - 1 : 0;
    return (cvm_winograd_rows_tiles(rows) * rows->tile + over) * rows->lanes;
}

/* What all blocks of a x b things cost, in multiply-adds: those of a block overlap, and each thing
 * is loaded. */
static double cost_of_blocks(const CvmPieces *a, const CvmPieces *b) {
    double cost = 0;
    for (int i = 0; i < 2; i++)
        for (int k = 0; k < 2; k++) {
            int64_t sums = a->size[i] * b->size[k], loads = a->size[i] + b->size[k];
            int64_t most = sums > loads ? sums : loads;
            cost += (double)(a->count[i] * b->count[k] * (most > OVERLAP ? most : OVERLAP));
        }
    return cost;
}

/* So many things are kept in registers, and meet so many others one after the other; of those, LLVM
 * needs two at a time. */
typedef struct Sums {
    int64_t kept, met;
    double cost; /* of all things in blocks of these */
} Sums;

static Sums choose_sums(int64_t kept, int64_t met, CvmTargetShape target) {
    enum { MOST = 16 };
    Sums best = {0};
    for (int64_t a = 1; a <= kept && a <= MOST; a++)
        for (int64_t b = 1; b <= met && a * b + a + 2 <= target.registers; b++) {
            CvmPieces left = cvm_pieces(kept, a), right = cvm_pieces(met, b);
            Sums sums = {a, b, cost_of_blocks(&left, &right)};
            if (!best.kept || sums.cost < best.cost)
                best = sums;
        }
    return best;
}

/* The share of the filter's rows that lie in the picture, of all rows of the result. */
static double taps_inside(const CvmWinogradRows *rows) {
    int64_t above = rows->back ? rows->kernel - 1 - rows->pad[0] : rows->pad[0], inside = 0;
    for (int64_t y = 0; y < rows->output[0]; y++)
        for (int64_t p = 0; p < rows->kernel; p++)
            inside += y - above + p >= 0 && y - above + p < rows->input[0];
    return (double)inside / (double)(rows->output[0] * rows->kernel);
}

/* Rows one by one, with the taps that each has, or padded and a band at once. */
static void choose_blocks(CvmWinogradRows *rows, CvmTargetShape target) {
    int64_t tiles = cvm_winograd_rows_tiles(rows);
    int64_t bands = (rows->output[0] + rows->band - 1) / rows->band;
    Sums together = choose_sums(rows->band * tiles, rows->outputs, target);
    Sums apart = choose_sums(tiles, rows->outputs, target);
    rows->padded =
        (double)bands * together.cost <= (double)rows->output[0] * apart.cost * taps_inside(rows);
    rows->tiles = rows->padded ? together.kept : apart.kept;
    rows->channels = rows->padded ? together.met : apart.met;
}

/* Rows of so many floats that fit the bytes, in whole windows of `down`; all of `most` if they do.
 */
static int64_t rows_that_fit(int64_t bytes, int64_t floats, int64_t down, int64_t most) {
    int64_t fit = bytes / 4 / floats / down * down, all = (most + down - 1) / down * down;
    return fit < down ? down : fit < all ? fit : all;
}

/* The largest chunk of whole bands whose inputs stay in a cache. */
static void choose_chunk(CvmWinogradRows *rows) {
    int64_t side = rows->tile + rows->taps - 1, height = rows->output[0];
    int64_t fit = TRANSFORMED / 4 / (side * row_floats(rows) * rows->inputs) - rows->kernel + 1;
    int64_t whole = fit >= height ? height + rows->band - 1 : fit;
    rows->chunk = whole >= rows->band ? whole / rows->band * rows->band : rows->band;
}

static void cut_pictures(CvmKernel *kernel, CvmTargetShape target) {
    CvmWinogradRows *rows = &kernel->winograd_rows;
    int64_t side = rows->tile + rows->taps - 1;
    int64_t down = kernel->pooling.combine == CVM_COMBINE_NONE ? 1 : kernel->pooling.sizes[0];
    int64_t floats = side * row_floats(rows), height = rows->output[0];
    rows->band = rows_that_fit(SUMS, floats * rows->outputs, down, height);
    choose_chunk(rows);
    choose_blocks(rows, target);
    kernel->extent = rows->blocks;
    kernel->scratch_bytes =
        4 * (side * (cvm_winograd_rows_filter_step(rows) + cvm_winograd_rows_input_step(rows) +
                     cvm_winograd_rows_sum_step(rows)) +
             down * cvm_winograd_rows_line(rows));
}

/* Every item transforms x for itself, so that there are not more than wanted. */
static int64_t choose_item_outputs(const CvmWinogradRows *rows) {
    for (int64_t items = WANTED_ITEMS; items > 1; items--)
        if (rows->outputs % items == 0 && rows->outputs / items >= LEAST_OUTPUTS)
            return rows->outputs / items;
    return rows->outputs;
}

static void cut_filters(CvmKernel *kernel, CvmTargetShape target) {
    CvmWinogradRows *rows = &kernel->winograd_rows;
    int64_t side = rows->tile + rows->taps - 1;
    rows->item_outputs = choose_item_outputs(rows);
    rows->band =
        rows_that_fit(GRADIENTS, side * row_floats(rows) * rows->item_outputs, 1, rows->output[0]);
    choose_chunk(rows);
    Sums sums = choose_sums(rows->item_outputs, rows->kernel, target);
    rows->tiles = sums.met;
    rows->channels = sums.kept;
    kernel->extent = rows->outputs / rows->item_outputs;
    int64_t transformed =
        side * (cvm_winograd_rows_input_step(rows) + cvm_winograd_rows_gradient_step(rows));
    int64_t taps = rows->item_outputs * rows->inputs * rows->kernel * rows->taps * rows->lanes;
    kernel->scratch_bytes = 4 * (transformed + side * cvm_winograd_rows_sum_step(rows) + taps);
}

void cvm_schedule_winograd_rows(CvmKernel *kernel, CvmTargetShape target) {
    if (kernel->form == CVM_KERNEL_WINOGRAD_ROWS)
        cut_pictures(kernel, target);
    else
        cut_filters(kernel, target);
}
