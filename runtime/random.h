/* Counter-based random numbers: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as
 * 1, 2, 3", SC 2011). A number depends on its key and counter alone, so any order of drawing and
 * any number of threads give the same ones. */
#ifndef CVM_RUNTIME_RANDOM_H
#define CVM_RUNTIME_RANDOM_H

#include <stdint.h>

/* Four 32-bit numbers for a 64-bit key and a 128-bit counter (high, low). */
void cvm_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]);

/* Element `index` of an endless row of numbers in [0, 1), multiples of 2^-24, for a key and a
 * counter's high half. Generated code draws the same: of every 64 elements, those 16 apart share
 * one counter and take a word of it each, so that four vectors of 16 lanes share their rounds. */
float cvm_random_uniform(uint64_t key, uint64_t counter_high, uint64_t index);

/* The cipher's constants, for code that draws on its own. */
#define CVM_PHILOX_ROUNDS 10
#define CVM_PHILOX_MULTIPLIER_0 0xD2511F53u
#define CVM_PHILOX_MULTIPLIER_1 0xCD9E8D57u
#define CVM_PHILOX_WEYL_0 0x9E3779B9u
#define CVM_PHILOX_WEYL_1 0xBB67AE85u

/* A 64-bit stream id from a name, for the counter's high half (FNV-1a). */
uint64_t cvm_random_stream(const char *name);

/* Elements drawn evenly from [-bound, bound): number i from the i-th 32 bits of the name's stream.
 */
void cvm_random_fill(float *elements, int64_t count, uint64_t key, const char *name, double bound);

#endif
