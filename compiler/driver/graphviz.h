/* Drawings by Graphviz, whose program `dot` is looked for when one is asked for. */
#ifndef CVM_DRIVER_GRAPHVIZ_H
#define CVM_DRIVER_GRAPHVIZ_H

#include "compiler/arena.h"
#include "compiler/graph/graph.h"
#include "runtime/error.h"

/* The Graphviz text of a graph; beside it, when `after` is not NULL, that of what became of it. In
 * the arena. */
char *cvm_graphviz_text(const CvmGraph *graph, const CvmGraph *after, CvmArena *arena);

/* What dot -Tsvg makes of a text: an SVG document, in the arena. NULL on error: dot is not
 * installed, or fails (CVM_ERROR_MACHINE). */
char *cvm_graphviz_svg(const char *text, CvmArena *arena, CvmError *error);

#endif
