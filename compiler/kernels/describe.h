/* Kernels in words: which algorithm, how its work is cut, and what the cost model expects of it. */
#ifndef CVM_KERNELS_DESCRIBE_H
#define CVM_KERNELS_DESCRIBE_H

#include "compiler/kernels/lower.h"

typedef struct CvmKernelSummary {
    const char *algorithm; /* "direct", "F(4x4, 3x3)", "window", … */
    const char *cut;       /* what stays in registers, what a work item is */
    const char *numbers;   /* of its operands: "f32", "bf16 weights", "bf16" */
    double flops;          /* that it really does: fewer than the layer's where it is Winograd's */
    double seconds;        /* estimated, with so many threads */
    const char *bound;     /* "compute", "memory" or "overhead": what the time is made of */
} CvmKernelSummary;

/* Texts are in the arena. The estimate is for a nominal machine: cores of 3 GHz that do two
 * multiply-adds of vectors a cycle at 85% of the time, and memory of 11 GB/s a thread, 22 in all.
 * `cvmc bench` measures the real one. */
CvmKernelSummary cvm_kernel_describe(const CvmKernel *kernel, CvmTargetShape target, int threads,
                                     CvmArena *arena);

#endif
