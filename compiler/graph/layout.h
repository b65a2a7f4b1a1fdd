/* Layouts: how the elements of a value lie in memory. The shape is always the logical one; a
 * blocked layout takes runs of `lanes` neighbours along one dimension and makes them the innermost
 * ones, so that a vector holds one pixel of so many pictures or channels.
 *
 *   text        memory                                       needs
 *   (none)      row-major
 *   batch8      [n/8][c][h][w][8 of n]                       rank 2 or more, 8 divides n
 *   channel8    [n][c/8][h][w][8 of c]                       rank 4, 8 divides c
 *   filter8     [o/8][c/k][h][w][k of c][8 of o]             rank 4, 8 divides o
 *
 * filter8 is for the weights [o, c, h, w] of a convolution whose result is channel8: kernels read
 * them as one stream of vectors. k is 8 where that divides c, as the pictures they meet are
 * channel8 then; else c: few channels, of plain pictures. */
#ifndef CVM_GRAPH_LAYOUT_H
#define CVM_GRAPH_LAYOUT_H

#include "compiler/graph/graph.h"

enum { CVM_LAYOUT_TEXT = 24 };

/* The layout's name as in the texts of graphs; "" when plain. */
const char *cvm_layout_text(const CvmType *type, char text[CVM_LAYOUT_TEXT]);

/* Sets layout and lanes from a name ("" and "plain" are plain); false when it is none. Lanes are a
 * power of two, 2 to 64. */
bool cvm_layout_parse(const char *text, size_t length, CvmType *type);

/* Whether a value of this type's shape can have its layout. */
bool cvm_layout_fits(const CvmType *type);

/* How many neighbours along a dimension lie in one block: 1 where it is not blocked. */
int64_t cvm_layout_block(const CvmType *type, int dimension);

/* Whether two types have one layout. */
bool cvm_layout_equal(const CvmType *a, const CvmType *b);

#endif
