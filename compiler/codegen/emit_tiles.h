/* What kernels of minimal filtering (ops/winograd.h) share: tiles of pictures in channel blocks,
 * read with zeros around the picture, and transformed there and back. A vector holds one pixel,
 * frequency or tap of a block of channels. */
#ifndef CVM_CODEGEN_EMIT_TILES_H
#define CVM_CODEGEN_EMIT_TILES_H

#include "compiler/codegen/emitter.h"
#include "compiler/ops/winograd.h"

typedef LLVMValueRef CvmTile[CVM_WINOGRAD_SIDE][CVM_WINOGRAD_SIDE];

typedef struct CvmTiles {
    CvmEmitter *emitter;
    CvmWinogradMatrices matrices;
    int lanes, frequencies;
    CvmLanes all;
    LLVMTypeRef vector;
    LLVMValueRef patch; /* on the stack: a tile's pixels, where it reaches over an edge */
} CvmTiles;

/* For F(tile x tile, taps x taps). */
CvmTiles cvm_tiles_begin(CvmEmitter *emitter, int64_t tile, int64_t taps, int64_t lanes);

LLVMValueRef cvm_tile_load(const CvmTiles *tiles, LLVMValueRef pointer, LLVMValueRef elements);
void cvm_tile_store(const CvmTiles *tiles, LLVMValueRef value, LLVMValueRef pointer,
                    LLVMValueRef elements);

/* index < limit, of index as an unsigned number: false where it is negative. */
LLVMValueRef cvm_tile_is_below(const CvmTiles *tiles, LLVMValueRef index, int64_t limit);
LLVMValueRef cvm_tile_smaller(const CvmTiles *tiles, LLVMValueRef a, LLVMValueRef b);

/* Where a tile lies: picture, and its first row and column. */
typedef struct CvmTilePlace {
    LLVMValueRef picture, row, column;
} CvmTilePlace;

/* Tile number `index`, of all pictures, each of size[0] x size[1] in tiles of `apart` x `apart`. */
CvmTilePlace cvm_tile_place(const CvmTiles *tiles, LLVMValueRef index, const int64_t *size,
                            int64_t apart);

/* Pictures in channel blocks: [picture][block][height][width][lanes]. Tiles of `side` x `side`
 * pixels begin so many rows and columns (pad) before their place, and the next one in its row
 * `apart` columns later; they are numbered over `output`, see cvm_tile_place. */
typedef struct CvmTilePictures {
    LLVMValueRef buffer;
    int64_t blocks, size[2], pad[2], side, apart;
    const int64_t *output;
} CvmTilePictures;

/* The pixels of a tile of a block of channels: in the picture where it lies inside, else a copy
 * with zeros. Rows are `*step` elements apart. Those of a later tile are fetched meanwhile. */
LLVMValueRef cvm_tile_pixels(const CvmTiles *tiles, const CvmTilePictures *pictures,
                             LLVMValueRef tile, LLVMValueRef block, LLVMValueRef *step);

/* Rows and columns of vectors in memory, so many elements apart. */
typedef struct CvmTileSource {
    LLVMValueRef pointer, row_step;
    int64_t column_step;
    int size; /* rows and columns */
} CvmTileSource;

/* out = matrix * in, along one side of a tile: a matrix with a row for each frequency, as B and G
 * are, whose rows of opposite points differ in the sign of the odd columns alone. in[columns]: NULL
 * for zeros, not all of them. */
void cvm_tile_to_frequencies(const CvmTiles *tiles, const double (*matrix)[CVM_WINOGRAD_SIDE],
                             int columns, LLVMValueRef *in, LLVMValueRef *out);
/* The same for a matrix with a column for each frequency, as A is; out[rows]. */
void cvm_tile_from_frequencies(const CvmTiles *tiles, const double (*matrix)[CVM_WINOGRAD_SIDE],
                               int rows, LLVMValueRef *in, LLVMValueRef *out);

/* matrix * source * matrix^t, for B (matrices.input) or G (matrices.weight), to all frequencies, so
 * many elements apart. */
void cvm_tile_transform(const CvmTiles *tiles, const double (*matrix)[CVM_WINOGRAD_SIDE],
                        const CvmTileSource *source, LLVMValueRef to, int64_t apart);

/* A * sums * A^t: tile x tile results from the sums of all frequencies, so many elements apart. */
void cvm_tile_results(const CvmTiles *tiles, LLVMValueRef sums, int64_t apart, CvmTile results);

#endif
