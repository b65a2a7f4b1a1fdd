/* What this machine can do at best, measured: the roof that kernels' times are held against
 * (Williams, Waterman and Patterson, "Roofline: an insightful visual performance model", CACM
 * 2009). */
#ifndef CVM_COMPILER_ROOF_H
#define CVM_COMPILER_ROOF_H

#include "compiler/pipeline.h"
#include "runtime/pool.h"

typedef struct CvmPeak {
    double flops; /* f32 operations per second; a multiply-add is two */
    double bytes; /* read from memory per second */
} CvmPeak;

typedef struct CvmRoof {
    CvmPeak one; /* one thread, the others idle */
    CvmPeak all; /* the pool's threads together */
} CvmRoof;

/* Takes about a quarter of a second, and 256 MiB of memory meanwhile. options: cpu and cache count.
 * False when no code could be made (diag) or memory is short (error; then diag is silent). */
bool cvm_measure_roof(const CvmCompileOptions *options, CvmPool *pool, CvmRoof *roof, CvmDiag *diag,
                      CvmError *error);

#endif
