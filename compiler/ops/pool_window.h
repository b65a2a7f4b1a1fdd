/* The windows of every kind of pooling along one axis of the picture: where each begins and ends,
 * and over how many values its mean is taken. */
#ifndef CVM_OPS_POOL_WINDOW_H
#define CVM_OPS_POOL_WINDOW_H

#include "compiler/kernels/lower.h"

/* One axis (0: height, 1: width) of a pooling op or its gradient. */
typedef struct CvmPoolAxis {
    int64_t kernel;         /* pixels of the largest window */
    int64_t stride;         /* adaptive: unused */
    int64_t before, after;  /* padding */
    int64_t input, outputs; /* pixels of the picture, number of windows */
    bool adaptive;          /* windows begin and end at whole pixels nearest to an even division */
    bool count_pad;         /* padding counts in the mean */
} CvmPoolAxis;

/* Window i: pixels first … last-1 of the picture, a mean over `count` values. */
typedef struct CvmPoolSpan {
    int64_t first, last, count;
} CvmPoolSpan;

/* x, y: the shapes before and after pooling, [n, c, h, w]. */
CvmPoolAxis cvm_pool_axis(const CvmNode *node, int axis, const CvmShape *x, const CvmShape *y);
CvmPoolSpan cvm_pool_span(const CvmPoolAxis *axis, int64_t window);

/* How many windows a picture of `input` pixels has; less than 1 where they don't fit. ceil: as in
 * PyTorch, a last window that reaches over the end counts when it begins before it. */
int64_t cvm_pool_count(int64_t input, int64_t kernel, int64_t stride, int64_t before, int64_t after,
                       bool ceil);

/* Whether the node's windows lie side by side: every pixel is in one of them, or behind the last.
 */
bool cvm_pool_is_separate(const CvmNode *node);

/* What a kernel has to look up per window: shares of a mean, and bounds when adaptive. NULL when
 * every window has as many values as the largest. maximum: shares do not matter. */
const CvmWindowTable *cvm_pool_table(const CvmPoolAxis *axis, bool maximum, CvmArena *arena);

#endif
