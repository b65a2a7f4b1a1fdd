/* See dataset.h: the order of an epoch. Step i of the shuffle draws the i-th number of the epoch's
 * stream, so the order depends on seed and epoch alone. */
#include "runtime/dataset.h"
#include "runtime/random.h"

/* A whole number in [0, limit), limit below 2^32: the upper half of the 128-bit product of a 64-bit
 * random number and limit. The bias is below 2^-32. */
static uint32_t draw_below(uint32_t limit, uint64_t seed, uint64_t stream, uint64_t index) {
    uint32_t drawn[4];
    cvm_philox(seed, stream, index, drawn);
    uint64_t low = (uint64_t)drawn[0] * limit >> 32;
    return (uint32_t)(((uint64_t)drawn[1] * limit + low) >> 32);
}

void cvm_shuffle(int32_t *order, int64_t count, uint64_t seed, uint64_t epoch) {
    uint64_t stream = cvm_random_stream("shuffle") + epoch;
    for (int64_t i = 0; i < count; i++)
        order[i] = (int32_t)i;
    for (int64_t i = count - 1; i > 0; i--) {
        uint32_t other = draw_below((uint32_t)i + 1, seed, stream, (uint64_t)i);
        int32_t kept = order[i];
        order[i] = order[other];
        order[other] = kept;
    }
}
