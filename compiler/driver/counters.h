/* The processor's own counters, where the system lets a program read them (perf_event_open(2)). */
#ifndef CVM_DRIVER_COUNTERS_H
#define CVM_DRIVER_COUNTERS_H

#include "compiler/arena.h"

#include <stdbool.h>
#include <stdint.h>

enum { CVM_COUNTERS = 5 };

typedef struct CvmCounters {
    int files[CVM_COUNTERS];     /* -1: this one is not available */
    double values[CVM_COUNTERS]; /* once stopped: how often, over all threads; -1: not known */
    const char *refusal;         /* why none is available; NULL: some are */
} CvmCounters;

/* "cycles", "instructions", "cache references", "cache misses", "branch misses": of the last-level
 * cache, in lines. */
const char *cvm_counter_name(int counter);

/* Opens them for this thread and for all that it starts from now on; they stand still. Where the
 * system refuses, there are none, and `refusal` (in the arena) says why and what would help. */
CvmCounters cvm_counters_open(CvmArena *arena);

/* From the one to the other everything is counted, and added to what was before. */
void cvm_counters_start(CvmCounters *counters);
void cvm_counters_stop(CvmCounters *counters);

void cvm_counters_close(CvmCounters *counters);

#endif
