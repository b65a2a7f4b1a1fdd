/* Memory of one compilation: allocated piece by piece, freed whole. */
#ifndef CVM_COMPILER_ARENA_H
#define CVM_COMPILER_ARENA_H

#include <stdarg.h>
#include <stddef.h>

typedef struct CvmArena CvmArena;

/* Ends the process with a message and exit code 3 when the machine has no memory left: the one
 * place in the compiler that does, since no caller could go on. */
CvmArena *cvm_arena_create(void);
void cvm_arena_free(CvmArena *arena);

/* Zeroed memory aligned for any type. */
void *cvm_arena_alloc(CvmArena *arena, size_t size);

/* count * size with the product checked. */
void *cvm_arena_array(CvmArena *arena, size_t count, size_t size);

char *cvm_arena_copy(CvmArena *arena, const char *text, size_t length);
char *cvm_arena_format(CvmArena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* The same with the arguments as a list, which is used up. */
char *cvm_arena_format_list(CvmArena *arena, const char *format, va_list arguments);

#define CVM_NEW(arena, type) ((type *)cvm_arena_alloc((arena), sizeof(type)))

#endif
