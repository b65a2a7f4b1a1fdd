/* The canonical layout of .cvm text (docs/language.md, "Layout"). Line breaks between layers and
 * settings are the writer's, as is what stands side by side; indentation, spaces, columns and blank
 * lines follow rules. Words and comments stay as they are and in their order. */
#ifndef CVM_FRONT_FORMAT_H
#define CVM_FRONT_FORMAT_H

#include "compiler/front/ast.h"

typedef struct CvmFormatted {
    const char *text; /* NUL-terminated; may hold NULs in comments */
    size_t length;
    bool changed; /* it is not what the source has */
} CvmFormatted;

/* Lays out a text. False, with the reason in diag, when it has syntax errors (10xx), when the
 * result would be larger than a source may be (1007), or when the result, read again, would not be
 * the same words, comments and tree (1008: a mistake of this program). Formatting what came out
 * changes nothing. In the arena. */
bool cvm_format(CvmArena *arena, const CvmSource *source, CvmFormatted *formatted, CvmDiag *diag);

#endif
