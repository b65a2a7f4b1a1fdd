/* See hash.h. Words of 8 bytes go round four independent lanes, so that the multiplications of four
 * words overlap; each step is a bijection of its lane, so that a word that differs always shows in
 * it. */
#include "runtime/hash.h"

#include <string.h>

enum { LANES = 4, WORD = sizeof(uint64_t) };
static const uint64_t FACTOR = 0x9E3779B97F4A7C15u; /* 2^64 / golden ratio, odd */

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static uint64_t take(uint64_t lane, uint64_t word) {
    return rotate((lane ^ word) * FACTOR, 29);
}

/* Every bit of x reaches every bit of the result. */
static uint64_t mix(uint64_t x) {
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    x = (x ^ x >> 32) * 0xD6E8FEB86659FD93u;
    return x ^ x >> 32;
}

uint64_t cvm_hash(uint64_t seed, const void *bytes, size_t size) {
    const unsigned char *next = bytes;
    uint64_t lanes[LANES], words[LANES];
    size_t left = size;
    for (uint64_t i = 0; i < LANES; i++)
        lanes[i] = mix(seed + i + 1);
    for (; left >= sizeof words; left -= sizeof words, next += sizeof words) {
        memcpy(words, next, sizeof words);
        for (int i = 0; i < LANES; i++)
            lanes[i] = take(lanes[i], words[i]);
    }
    for (; left > 0; left -= left < WORD ? left : WORD, next += WORD) {
        uint64_t word = 0;
        memcpy(&word, next, left < WORD ? left : WORD);
        lanes[0] = take(lanes[0], word);
    }
    uint64_t hash = size;
    for (int i = 0; i < LANES; i++)
        hash = mix(hash ^ lanes[i]);
    return hash;
}

uint64_t cvm_hash_text(uint64_t seed, const char *text) {
    return cvm_hash(seed, text, strlen(text));
}

uint64_t cvm_hash_whole(uint64_t seed, int64_t value) {
    return cvm_hash(seed, &value, sizeof value);
}
