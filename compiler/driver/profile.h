/* How long a compiled plan takes, whole and kernel by kernel, over many runs. */
#ifndef CVM_DRIVER_PROFILE_H
#define CVM_DRIVER_PROFILE_H

#include "compiler/arena.h"
#include "runtime/instance.h"

/* All calls of one kernel. Times are seconds from the moment the first of its threads starts a call
 * to the moment the last has done its part; times, flops and bytes are of all `calls` of one run
 * together. */
typedef struct CvmProfileRow {
    const char *kernel; /* symbol of the compiled function */
    const char *layer;  /* that its first call serves */
    int calls;          /* in a run */
    int threads;        /* at most, that worked on one call */
    double flops, bytes;
    double median, least;
} CvmProfileRow;

enum { CVM_MOST_RUNS = 10000 }; /* that a profile keeps apart */

typedef struct CvmProfile {
    CvmProfileRow *rows; /* in the order of their first calls */
    int count;
    int runs;
    double median, least;    /* of a whole run without clocks between the calls */
    const CvmCallTime *last; /* [call][thread] of one run */
} CvmProfile;

/* Runs the instance, whose inputs are filled, `runs` times (CVM_MOST_RUNS at most), or for so many
 * seconds when runs is 0;
 * each time once with clocks at every call, and once without. In the arena. */
CvmProfile cvm_profile(CvmInstance *instance, CvmPool *pool, int64_t runs, double seconds,
                       CvmArena *arena);

#endif
