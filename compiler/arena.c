/* See arena.h. Blocks form a list; a large request gets a block of its own. */
#include "compiler/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_BYTES = 64 * 1024 };

typedef struct Block {
    struct Block *next;
    size_t used, size;
    alignas(max_align_t) char bytes[];
} Block;

struct CvmArena {
    Block *blocks;
};

static void *must(void *memory) {
    if (!memory) {
        fputs("cvmc: out of memory\n", stderr);
        exit(3);
    }
    return memory;
}

CvmArena *cvm_arena_create(void) {
    return must(calloc(1, sizeof(CvmArena)));
}

void cvm_arena_free(CvmArena *arena) {
    if (!arena)
        return;
    for (Block *block = arena->blocks, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    free(arena);
}

void *cvm_arena_alloc(CvmArena *arena, size_t size) {
    size_t alignment = alignof(max_align_t);
    if (size > SIZE_MAX / 2)
        must(NULL);
    size = (size + alignment - 1) / alignment * alignment;
    Block *block = arena->blocks;
    if (!block || block->size - block->used < size) {
        size_t capacity = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = must(calloc(1, sizeof(Block) + capacity));
        block->size = capacity;
        block->next = arena->blocks;
        arena->blocks = block;
    }
    void *memory = block->bytes + block->used;
    block->used += size;
    return memory;
}

void *cvm_arena_array(CvmArena *arena, size_t count, size_t size) {
    size_t bytes;
    if (__builtin_mul_overflow(count, size, &bytes))
        must(NULL);
    return cvm_arena_alloc(arena, bytes);
}

char *cvm_arena_copy(CvmArena *arena, const char *text, size_t length) {
    char *copy = cvm_arena_alloc(arena, length + 1);
    memcpy(copy, text, length);
    return copy;
}

char *cvm_arena_format_list(CvmArena *arena, const char *format, va_list arguments) {
    va_list again;
    va_copy(again, arguments);
    size_t size = (size_t)vsnprintf(NULL, 0, format, arguments) + 1;
    char *text = cvm_arena_alloc(arena, size);
    vsnprintf(text, size, format, again);
    va_end(again);
    return text;
}

char *cvm_arena_format(CvmArena *arena, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *text = cvm_arena_format_list(arena, format, arguments);
    va_end(arguments);
    return text;
}
