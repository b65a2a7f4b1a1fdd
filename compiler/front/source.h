/* Source texts and places in them. Every token, AST node, graph node and diagnostic knows its span.
 */
#ifndef CVM_FRONT_SOURCE_H
#define CVM_FRONT_SOURCE_H

#include "compiler/arena.h"

#include <stddef.h>

typedef struct CvmSource {
    const char *path; /* as shown to the user */
    const char *text; /* NUL-terminated; may hold NULs before its end, length counts */
    size_t length;
    const char
        *name; /* the same wherever cvm is installed: "std/vgg.cvm"; NULL: the path is that */
} CvmSource;

/* Lines and columns count from 1; a column is a byte; the last column is the last byte's own.
 * A zeroed span (source NULL) is a place no text has: made by the compiler. */
typedef struct CvmSpan {
    const CvmSource *source;
    int first_line, first_column;
    int last_line, last_column;
} CvmSpan;

/* A chain of block uses, innermost first: where each enclosing block was used. NULL outside blocks.
 */
typedef struct CvmUse {
    const char *block; /* the block's name */
    CvmSpan span;      /* the line that used it */
    const struct CvmUse *outer;
} CvmUse;

#endif
