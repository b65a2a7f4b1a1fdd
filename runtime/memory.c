/* See memory.h. A large block is mapped with room to spare, and the ends cut off so that it starts
 * on a huge page: only then can the kernel back it with one. */
#include "runtime/memory.h"

#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static const int64_t HUGE_PAGE = 2 << 20;
static const int64_t LARGE = 2 << 20; /* blocks of at least this size are mapped */

static int64_t round_up(int64_t bytes, int64_t unit) {
    return (bytes + unit - 1) / unit * unit;
}

static void *map_large(int64_t bytes) {
    int64_t size = round_up(bytes, HUGE_PAGE);
    char *start = mmap(NULL, (size_t)(size + HUGE_PAGE), PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (start == MAP_FAILED)
        return NULL;
    int64_t before = round_up((int64_t)(uintptr_t)start, HUGE_PAGE) - (int64_t)(uintptr_t)start;
    if (before > 0)
        munmap(start, (size_t)before);
    munmap(start + before + size, (size_t)(HUGE_PAGE - before));
    madvise(start + before, (size_t)size, MADV_HUGEPAGE); /* advice alone: failing is harmless */
    return start + before;
}

void *cvm_memory_allocate(int64_t bytes) {
    if (bytes < 0 || bytes > INT64_MAX / 2)
        return NULL;
    if (bytes >= LARGE)
        return map_large(bytes);
    size_t size = (size_t)round_up(bytes > 0 ? bytes : 1, CVM_ALIGNMENT);
    void *block = aligned_alloc(CVM_ALIGNMENT, size);
    if (block)
        memset(block, 0, size);
    return block;
}

void cvm_memory_free(void *block, int64_t bytes) {
    if (block && bytes >= LARGE)
        munmap(block, (size_t)round_up(bytes, HUGE_PAGE));
    else
        free(block);
}
