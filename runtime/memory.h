/* Blocks of zeroed, aligned memory for tensors: the arena of an instance and the tensors of a
 * store. */
#ifndef CVM_RUNTIME_MEMORY_H
#define CVM_RUNTIME_MEMORY_H

#include <stdint.h>

/* bytes (0 or more) of zeros, aligned to CVM_ALIGNMENT; NULL when there is no memory. Large blocks
 * come straight from the kernel, advised to use huge pages, and cost nothing until touched. */
void *cvm_memory_allocate(int64_t bytes);

/* Gives back a block with the size it was asked for. NULL is allowed. */
void cvm_memory_free(void *block, int64_t bytes);

#endif
