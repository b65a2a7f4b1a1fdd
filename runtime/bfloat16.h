/* bfloat16: the upper 16 bits of an IEEE 754 binary32 number: 1 sign, 8 exponent, 7 fraction bits.
 */
#ifndef CVM_RUNTIME_BFLOAT16_H
#define CVM_RUNTIME_BFLOAT16_H

#include <stdint.h>
#include <string.h>

static inline float cvm_bfloat16_value(uint16_t upper) {
    uint32_t bits = (uint32_t)upper << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The nearest bfloat16, of two equally near ones the even one; too large numbers become infinite, a
 * NaN stays one (and is quiet). */
static inline uint16_t cvm_bfloat16_round(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if (value != value)
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

#endif
