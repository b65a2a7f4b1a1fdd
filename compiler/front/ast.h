/* The syntax tree of a .cvm file: what was written, with spans and comments, nothing evaluated. All
 * of it lies in one arena. The parser (grammar/cvm.y) only builds it; meaning is the checker's. */
#ifndef CVM_FRONT_AST_H
#define CVM_FRONT_AST_H

#include "compiler/front/diag.h"

#include <stdint.h>

/* --- to be completed by the front end: expressions, statements, items, comments. --- */
typedef struct CvmAstFile CvmAstFile;

/* Parses one text. Always returns a tree (of what could be read); errors are in diag (10xx). */
CvmAstFile *cvm_ast_parse(CvmArena *arena, const CvmSource *source, CvmDiag *diag);

/* Writes the tree as indented text, one node a line, stable: for `cvmc dump --stage ast` and tests. */
void cvm_ast_print(const CvmAstFile *file, FILE *stream);

#endif
