/* See random.h. Ten rounds of multiply, swap and exclusive-or; the round constants are the paper's.
 */
#include "runtime/random.h"

void cvm_philox(uint64_t key, uint64_t counter_high, uint64_t counter_low, uint32_t out[4]) {
    uint32_t key_0 = (uint32_t)key, key_1 = (uint32_t)(key >> 32);
    uint32_t c0 = (uint32_t)counter_low, c1 = (uint32_t)(counter_low >> 32);
    uint32_t c2 = (uint32_t)counter_high, c3 = (uint32_t)(counter_high >> 32);
    for (int round = 0; round < CVM_PHILOX_ROUNDS; round++) {
        uint64_t product_0 = (uint64_t)CVM_PHILOX_MULTIPLIER_0 * c0;
        uint64_t product_1 = (uint64_t)CVM_PHILOX_MULTIPLIER_1 * c2;
        c0 = (uint32_t)(product_1 >> 32) ^ c1 ^ key_0;
        c1 = (uint32_t)product_1;
        c2 = (uint32_t)(product_0 >> 32) ^ c3 ^ key_1;
        c3 = (uint32_t)product_0;
        key_0 += CVM_PHILOX_WEYL_0;
        key_1 += CVM_PHILOX_WEYL_1;
    }
    out[0] = c0;
    out[1] = c1;
    out[2] = c2;
    out[3] = c3;
}

float cvm_random_uniform(uint64_t key, uint64_t counter_high, uint64_t index) {
    uint32_t words[4];
    cvm_philox(key, counter_high, index / 64 * 16 + index % 16, words);
    return (float)(words[index / 16 % 4] >> 8) * 0x1p-24f;
}

uint64_t cvm_random_stream(const char *name) {
    uint64_t hash = 0xCBF29CE484222325u; /* FNV-1a: offset basis and prime for 64 bits */
    for (const unsigned char *byte = (const unsigned char *)name; *byte; byte++)
        hash = (hash ^ *byte) * 0x100000001B3u;
    return hash;
}

/* Of every 32 bits 24 are kept, as many as a float tells apart, so that rounding never reaches the
 * upper bound. */
void cvm_random_fill(float *elements, int64_t count, uint64_t key, const char *name, double bound) {
    uint64_t stream = cvm_random_stream(name);
    uint32_t drawn[4];
    for (int64_t i = 0; i < count; i++) {
        if (i % 4 == 0)
            cvm_philox(key, stream, (uint64_t)(i / 4), drawn);
        double unit = (double)(drawn[i % 4] >> 8) * 0x1p-24;
        elements[i] = (float)((2 * unit - 1) * bound);
    }
}
