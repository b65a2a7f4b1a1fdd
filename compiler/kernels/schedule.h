/* Decides how a REDUCE kernel's loops are cut: which axis fills the vectors, how many results are
 * kept in registers together, which window is unrolled; and how a ROWS kernel's vectors lie. From a
 * cost model, without running anything. */
#ifndef CVM_KERNELS_SCHEDULE_H
#define CVM_KERNELS_SCHEDULE_H

#include "compiler/kernels/lower.h"

/* Fills kernel->schedule and kernel->extent. Always succeeds: scalar code fits every kernel. */
void cvm_schedule(CvmKernel *kernel, CvmTargetShape target);

/* The same for a ROWS kernel: whether vectors lie along a row's columns, as they do where columns
 * are neighbours or lie in blocks, or across neighbouring rows; how wide they are; how many rows a
 * work item has. */
void cvm_schedule_rows(CvmKernel *kernel, CvmTargetShape target);

/* Cuts a product of a few rows with a matrix too large for the caches into strips of its columns;
 * does nothing where the kernel is none. target: as cvm_schedule was told. */
void cvm_schedule_strips(CvmKernel *kernel, CvmTargetShape target);

/* The two output axes and the reduce axis of such a kernel. */
typedef struct CvmStripAxes {
    int row, column, depth;
} CvmStripAxes;
CvmStripAxes cvm_strip_axes(const CvmKernel *kernel);

/* The same for a WEIGHTS kernel: its tile, its chunks and its work items. */
void cvm_schedule_weights(CvmKernel *kernel, CvmTargetShape target);
/* Sums that a work item of it has for each output, at most. */
int64_t cvm_weights_item_run(const CvmWeightGrad *weights);
/* The same for a WINOGRAD kernel: how many tiles share registers, how many of such groups and what
 * part of the output channels a work item has; and the scratch memory (schedule_winograd.c). */
void cvm_schedule_winograd(CvmKernel *kernel, CvmTargetShape target);

/* The same for a WINOGRAD_GRAD kernel: which channels a work item has, and how many tiles are
 * transformed together. */
void cvm_schedule_winograd_grad(CvmKernel *kernel, CvmTargetShape target);
/* Its tiles of all pictures; and its scratch memory, floats from one frequency to the next:
 * transformed inputs, behind them transformed dy, then sums. */
int64_t cvm_winograd_grad_tiles(const CvmWinogradGrad *grad);
int64_t cvm_winograd_grad_input_step(const CvmWinogradGrad *grad);
int64_t cvm_winograd_grad_output_step(const CvmWinogradGrad *grad);
int64_t cvm_winograd_grad_sum_step(const CvmWinogradGrad *grad);

/* The same for WINOGRAD_ROWS and WINOGRAD_ROWS_GRAD kernels (schedule_winograd_rows.c): how many
 * sums share registers, and how many rows the scratch memory holds. */
void cvm_schedule_winograd_rows(CvmKernel *kernel, CvmTargetShape target);
/* Tiles in a row; rows that a chunk reads of its pictures. */
int64_t cvm_winograd_rows_tiles(const CvmWinogradRows *rows);
int64_t cvm_winograd_rows_read(const CvmWinogradRows *rows);
/* Its scratch memory, floats from one frequency to the next: transformed filters, transformed
 * pictures, sums. And of a row of results. */
int64_t cvm_winograd_rows_filter_step(const CvmWinogradRows *rows);
int64_t cvm_winograd_rows_input_step(const CvmWinogradRows *rows);
int64_t cvm_winograd_rows_gradient_step(const CvmWinogradRows *rows); /* GRAD: transformed dy */
int64_t cvm_winograd_rows_sum_step(const CvmWinogradRows *rows);
int64_t cvm_winograd_rows_line(const CvmWinogradRows *rows);

/* Things in pieces of at most `size`, as few and as equal as can be: of two sizes at most, those of
 * the larger one first. last: behind the last. */
typedef struct CvmPieces {
    int64_t count[2], size[2], first[2], last[2];
} CvmPieces;
CvmPieces cvm_pieces(int64_t things, int64_t size);

/* The same for a LINEAR kernel (schedule_linear.c). */
void cvm_schedule_blas(CvmKernel *kernel);
void cvm_schedule_linear(CvmKernel *kernel, CvmTargetShape target);

/* Inputs along a side of a WINOGRAD kernel's tile: n of ops/winograd.h. */
int64_t cvm_winograd_side(const CvmWinograd *winograd);

/* Two sizes, or one and 0, that say how a kernel is cut; how good the model finds it; and the best
 * of them, from the best one on (of equal ones, the one that was added first). */
typedef struct CvmCut {
    int64_t sizes[2];
    double score;
} CvmCut;

typedef struct CvmCuts {
    CvmCut list[CVM_TUNING_CANDIDATES + 1];
    int count;
} CvmCuts;

void cvm_cuts_add(CvmCuts *cuts, int64_t a, int64_t b, double score);

/* The cut that was measured to be the best for this kernel, whose schedule is not set yet, else the
 * model's. There is at least one. */
const CvmCut *cvm_cuts_choose(const CvmCuts *cuts, CvmKernel *kernel, CvmTargetShape target);

/* Tiles of tile x tile that so many pictures of size[0] x size[1] are cut into. */
int64_t cvm_count_tiles(int64_t pictures, const int64_t size[2], int64_t tile);

/* Tiles of all pictures of a WINOGRAD kernel; and blocks of them that a part is cut into. */
int64_t cvm_winograd_tiles(const CvmWinograd *winograd);
int64_t cvm_winograd_blocks(const CvmWinograd *winograd);

/* Its scratch memory: transformed inputs, so many floats for each frequency, and behind them all
 * the sums of the work item. */
int64_t cvm_winograd_input_step(const CvmWinograd *winograd);
/* Of the sums: floats from one frequency to the next, and of the whole work item. */
int64_t cvm_winograd_result_step(const CvmWinograd *winograd);
int64_t cvm_winograd_results(const CvmWinograd *winograd);
/* Of the weights of one chunk and step, where the kernel transforms filters; else of all. */
int64_t cvm_winograd_weight_step(const CvmWinograd *winograd);

/* Blocks an output axis is cut into: ceil(extent / (tile * unit)). */
int64_t cvm_schedule_blocks(const CvmKernel *kernel, int axis);

/* Elements of an axis that one tile unit covers: lanes along the vector axis, else 1. */
int64_t cvm_schedule_unit(const CvmKernel *kernel, int axis);

/* Where vectors lie along positions of the slide that skip pixels (its divisor d is more than 1),
 * a vector has every d-th position, so that all its lanes meet the same taps, and d neighbouring
 * units of the tile are the d phases of one run of positions; their finished sums are put in order
 * (emit_results.c). The number of phases; 1: vectors hold neighbours. */
int64_t cvm_schedule_phases(const CvmKernel *kernel);

/* Elements along an output axis that the kernel's pooling combines; 1 where there is none. */
int64_t cvm_pooled_together(const CvmKernel *kernel, int axis);

/* Whether results are made of the buffer, a vector of it for each vector of sums. */
bool cvm_reads_for_results(const CvmKernel *kernel, int buffer);

/* Whether t of the window at (position, tap) is a valid index. */
bool cvm_window_valid(const CvmWindow *window, int64_t position, int64_t tap);

/* The blocks of the slide's positions that need no bounds check: [*first, *last). Blocks before and
 * after are generated one by one with their taps checked at compile time. */
void cvm_slide_interior(const CvmKernel *kernel, int64_t *first, int64_t *last, int64_t *blocks);

#endif
