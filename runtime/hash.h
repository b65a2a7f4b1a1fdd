/* A fast 64-bit hash of bytes, to tell whether they are the same as before: frozen parameters, the
 * pictures and weights that cached features were made of. Not against an adversary. */
#ifndef CVM_RUNTIME_HASH_H
#define CVM_RUNTIME_HASH_H

#include <stddef.h>
#include <stdint.h>

/* Of the bytes, going on from `seed`: 0, or the hash of what stands before them. */
uint64_t cvm_hash(uint64_t seed, const void *bytes, size_t size);
/* Of a text's bytes, and of a whole number's. */
uint64_t cvm_hash_text(uint64_t seed, const char *text);
uint64_t cvm_hash_whole(uint64_t seed, int64_t value);

#endif
