/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number depends on its key and counter alone, so any order of drawing and
 * any number of threads give the same ones. */
#ifndef CVM_RUNTIME_RANDOM_H
#define CVM_RUNTIME_RANDOM_H

#include <stdint.h>

/* Four 32-bit numbers for a 64-bit key and a 128-bit counter (high, low). */
void cvm_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]);

/* A 64-bit stream id from a name, for the counter's high half (FNV-1a). */
uint64_t cvm_random_stream(const char *name);

#endif
