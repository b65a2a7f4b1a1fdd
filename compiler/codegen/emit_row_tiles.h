/* What kernels that filter along rows alone (ops/winograd_rows.c) share: rows of batch-blocked
 * pictures cut into tiles and transformed to frequencies. A vector holds one pixel or frequency of
 * `lanes` pictures. */
#ifndef CVM_CODEGEN_EMIT_ROW_TILES_H
#define CVM_CODEGEN_EMIT_ROW_TILES_H

#include "compiler/codegen/emit_tiles.h"

/* Planes [height][width][lanes], one behind the other. Of each, so many rows from `first` on become
 * [row][tile][lanes] for every frequency, planes and frequencies so many elements apart. A row's
 * tiles of `size` pixels begin `apart` columns after each other, the first one at `start`; they may
 * reach over both ends. */
typedef struct CvmRowTiles {
    const CvmTiles *tiles;
    const double (*matrix)[CVM_WINOGRAD_SIDE]; /* a row for each frequency */
    LLVMValueRef from, to;
    int64_t planes, height, width;
    LLVMValueRef first;
    int64_t rows;
    bool zeros; /* whether rows outside of the picture are stored, or nobody reads them */
    int64_t count, start, size, apart;
    int64_t plane_step, frequency_step;
} CvmRowTiles;

void cvm_emit_row_tiles(const CvmRowTiles *rows);

#endif
