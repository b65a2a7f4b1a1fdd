/* See emit_tiles.h. */
#include "compiler/codegen/emit_tiles.h"

enum { SIDE = CVM_WINOGRAD_SIDE };

CvmTiles cvm_tiles_begin(CvmEmitter *emitter, int64_t tile, int64_t taps, int64_t lanes) {
    CvmTiles tiles = {.emitter = emitter,
                      .matrices = cvm_winograd_matrices(tile, taps),
                      .lanes = (int)lanes,
                      .all = cvm_lanes_first((int)lanes, lanes),
                      .vector = cvm_float_type(emitter, (int)lanes)};
    tiles.frequencies = tiles.matrices.side * tiles.matrices.side;
    LLVMTypeRef pixels = LLVMArrayType2(tiles.vector, (uint64_t)tiles.frequencies);
    tiles.patch = cvm_stack_slot(emitter, pixels, "patch");
    return tiles;
}

static LLVMValueRef constant(const CvmTiles *tiles, int64_t value) {
    return cvm_i64(tiles->emitter, value);
}

LLVMValueRef cvm_tile_load(const CvmTiles *tiles, LLVMValueRef pointer, LLVMValueRef elements) {
    return cvm_load(tiles->emitter, cvm_advance(tiles->emitter, pointer, elements), 1, &tiles->all,
                    0);
}

void cvm_tile_store(const CvmTiles *tiles, LLVMValueRef value, LLVMValueRef pointer,
                    LLVMValueRef elements) {
    cvm_store(tiles->emitter, value, cvm_advance(tiles->emitter, pointer, elements), 1,
              &tiles->all);
}

LLVMValueRef cvm_tile_is_below(const CvmTiles *tiles, LLVMValueRef index, int64_t limit) {
    return LLVMBuildICmp(tiles->emitter->builder, LLVMIntULT, index,
                         constant(tiles, limit > 0 ? limit : 0), "");
}

LLVMValueRef cvm_tile_smaller(const CvmTiles *tiles, LLVMValueRef a, LLVMValueRef b) {
    LLVMBuilderRef builder = tiles->emitter->builder;
    return LLVMBuildSelect(builder, LLVMBuildICmp(builder, LLVMIntSLT, a, b, ""), a, b, "");
}

/* --- pixels --- */

CvmTilePlace cvm_tile_place(const CvmTiles *tiles, LLVMValueRef index, const int64_t *size,
                            int64_t apart) {
    CvmEmitter *emitter = tiles->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t down = (size[0] + apart - 1) / apart, across = (size[1] + apart - 1) / apart;
    LLVMValueRef per_picture = constant(tiles, down * across), width = constant(tiles, across);
    LLVMValueRef inside = LLVMBuildURem(builder, index, per_picture, "");
    return (CvmTilePlace){LLVMBuildUDiv(builder, index, per_picture, ""),
                          cvm_scale(emitter, LLVMBuildUDiv(builder, inside, width, ""), apart),
                          cvm_scale(emitter, LLVMBuildURem(builder, inside, width, ""), apart)};
}

/* Whether a stretch of `length` rows and columns from (row, column) on lies inside. */
static LLVMValueRef lies_inside(const CvmTiles *tiles, const CvmTilePictures *pictures,
                                LLVMValueRef row, LLVMValueRef column, int64_t length) {
    return LLVMBuildAnd(tiles->emitter->builder,
                        cvm_tile_is_below(tiles, row, pictures->size[0] - length + 1),
                        cvm_tile_is_below(tiles, column, pictures->size[1] - length + 1), "");
}

/* The pixel (row, column), perhaps outside, into the patch. */
static void copy_pixel(const CvmTiles *tiles, const CvmTilePictures *pictures, LLVMValueRef plane,
                       LLVMValueRef row, LLVMValueRef column, LLVMValueRef at) {
    CvmEmitter *emitter = tiles->emitter;
    CvmBranch branch = cvm_branch_begin(emitter, lies_inside(tiles, pictures, row, column, 1));
    LLVMValueRef pixel = cvm_sum(emitter, cvm_scale(emitter, row, pictures->size[1]), column);
    cvm_tile_store(tiles, cvm_tile_load(tiles, plane, cvm_scale(emitter, pixel, tiles->lanes)),
                   tiles->patch, at);
    cvm_branch_else(emitter, &branch);
    cvm_tile_store(tiles, cvm_float(emitter, tiles->lanes, 0), tiles->patch, at);
    cvm_branch_end(emitter, &branch);
}

static void copy_to_patch(const CvmTiles *tiles, const CvmTilePictures *pictures,
                          LLVMValueRef plane, LLVMValueRef top, LLVMValueRef left) {
    CvmEmitter *emitter = tiles->emitter;
    LLVMValueRef zero = constant(tiles, 0), side = constant(tiles, pictures->side);
    CvmLoop rows = cvm_loop_begin(emitter, zero, side, 1);
    CvmLoop columns = cvm_loop_begin(emitter, zero, side, 1);
    LLVMValueRef at =
        cvm_sum(emitter, cvm_scale(emitter, rows.index, pictures->side), columns.index);
    copy_pixel(tiles, pictures, plane, cvm_sum(emitter, top, rows.index),
               cvm_sum(emitter, left, columns.index), cvm_scale(emitter, at, tiles->lanes));
    cvm_loop_end(emitter, &columns);
    cvm_loop_end(emitter, &rows);
}

/* A tile's first pixel, perhaps outside of the picture, whose other ones are relative to it. */
typedef struct Corner {
    LLVMValueRef plane; /* of its block of channels */
    LLVMValueRef row, column;
    LLVMValueRef pixel;
} Corner;

static Corner corner_of(const CvmTiles *tiles, const CvmTilePictures *pictures, LLVMValueRef tile,
                        LLVMValueRef block) {
    CvmEmitter *emitter = tiles->emitter;
    int64_t lanes = tiles->lanes, width = pictures->size[1];
    CvmTilePlace place = cvm_tile_place(tiles, tile, pictures->output, pictures->apart);
    Corner corner = {.row = cvm_sum(emitter, place.row, constant(tiles, -pictures->pad[0])),
                     .column = cvm_sum(emitter, place.column, constant(tiles, -pictures->pad[1]))};
    LLVMValueRef plane =
        cvm_sum(emitter, cvm_scale(emitter, place.picture, pictures->blocks), block);
    corner.plane = cvm_advance(emitter, pictures->buffer,
                               cvm_scale(emitter, plane, pictures->size[0] * width * lanes));
    LLVMValueRef pixel = cvm_sum(emitter, cvm_scale(emitter, corner.row, width), corner.column);
    corner.pixel = cvm_advance(emitter, corner.plane, cvm_scale(emitter, pixel, lanes));
    return corner;
}

/* The pixels by which a tile some way on reaches further than the one before it: so that they are
 * there in time, which a processor does not see to by itself in runs as short as a tile's rows. A
 * fetch from outside the picture does no harm. */
static void fetch_ahead(const CvmTiles *tiles, const CvmTilePictures *pictures, LLVMValueRef tile,
                        LLVMValueRef block) {
    enum { TILES_AHEAD = 3, LINE = 16 };
    LLVMValueRef later = cvm_sum(tiles->emitter, tile, constant(tiles, TILES_AHEAD));
    Corner corner = corner_of(tiles, pictures, later, block);
    int64_t lanes = tiles->lanes, row = pictures->size[1] * lanes;
    int64_t first = (pictures->side - pictures->apart) * lanes;
    for (int64_t i = 0; i < pictures->side; i++)
        for (int64_t j = 0; j < pictures->apart * lanes; j += LINE)
            cvm_emit_prefetch(tiles->emitter, cvm_advance(tiles->emitter, corner.pixel,
                                                          constant(tiles, first + i * row + j)));
}

LLVMValueRef cvm_tile_pixels(const CvmTiles *tiles, const CvmTilePictures *pictures,
                             LLVMValueRef tile, LLVMValueRef block, LLVMValueRef *step) {
    CvmEmitter *emitter = tiles->emitter;
    LLVMBuilderRef builder = emitter->builder;
    int64_t lanes = tiles->lanes;
    fetch_ahead(tiles, pictures, tile, block);
    Corner corner = corner_of(tiles, pictures, tile, block);
    LLVMValueRef at = cvm_stack_slot(emitter, emitter->pointer, "pixels");
    LLVMValueRef apart = cvm_stack_slot(emitter, emitter->i64, "step");
    CvmBranch branch = cvm_branch_begin(
        emitter, lies_inside(tiles, pictures, corner.row, corner.column, pictures->side));
    LLVMBuildStore(builder, corner.pixel, at);
    LLVMBuildStore(builder, constant(tiles, pictures->size[1] * lanes), apart);
    cvm_branch_else(emitter, &branch);
    copy_to_patch(tiles, pictures, corner.plane, corner.row, corner.column);
    LLVMBuildStore(builder, tiles->patch, at);
    LLVMBuildStore(builder, constant(tiles, pictures->side * lanes), apart);
    cvm_branch_end(emitter, &branch);
    *step = LLVMBuildLoad2(builder, emitter->i64, apart, "");
    return LLVMBuildLoad2(builder, emitter->pointer, at, "");
}

/* --- transforms --- */

/* sum + factor * x; sum may be NULL for nothing so far. */
static LLVMValueRef add_scaled(const CvmTiles *tiles, LLVMValueRef sum, double factor,
                               LLVMValueRef x) {
    CvmEmitter *emitter = tiles->emitter;
    if (factor == 0 || !x)
        return sum;
    if (!sum && factor == 1)
        return x;
    if (sum && (factor == 1 || factor == -1))
        return factor > 0 ? LLVMBuildFAdd(emitter->builder, sum, x, "")
                          : LLVMBuildFSub(emitter->builder, sum, x, "");
    LLVMValueRef scale = cvm_float(emitter, tiles->lanes, factor);
    return sum ? cvm_emit_multiply_add(emitter, x, scale, sum)
               : LLVMBuildFMul(emitter->builder, x, scale, "");
}

/* The sum of every step-th term of the row from `first` on, divided by *scale; NULL where there is
 * none. Terms whose factor is 1 come first, since all others are added to them with one instruction
 * each; *scale makes one of them such. */
static LLVMValueRef sum_of_row(const CvmTiles *tiles, const double *row, int columns, int first,
                               int step, LLVMValueRef *in, double *scale) {
    LLVMValueRef sum = NULL;
    int unit = -1;
    for (int k = first; k < columns; k += step)
        if (row[k] != 0 && in[k] && (unit < 0 || row[k] == 1))
            unit = k;
    *scale = unit < 0 ? 1 : row[unit];
    if (unit >= 0)
        sum = in[unit];
    for (int k = first; k < columns; k += step)
        if (k != unit)
            sum = add_scaled(tiles, sum, row[k] / *scale, in[k]);
    return sum;
}

static LLVMValueRef scale_vector(const CvmTiles *tiles, LLVMValueRef x, double factor) {
    return add_scaled(tiles, NULL, factor, x);
}

/* Pairs of opposite points stand behind 0, and the point at infinity, where there is one, last. */
static bool has_opposite(const CvmTiles *tiles, int point) {
    int side = tiles->matrices.side;
    return point > 0 && point < (side % 2 ? side : side - 1);
}

/* Rows of opposite points differ in the sign of the odd columns alone, so that two rows share their
 * even and odd sums. */
void cvm_tile_to_frequencies(const CvmTiles *tiles, const double (*matrix)[SIDE], int columns,
                             LLVMValueRef *in, LLVMValueRef *out) {
    double scale;
    for (int i = 0; i < tiles->matrices.side; i += has_opposite(tiles, i) ? 2 : 1) {
        if (!has_opposite(tiles, i)) {
            out[i] = sum_of_row(tiles, matrix[i], columns, 0, 1, in, &scale);
            out[i] = scale_vector(tiles, out[i], scale);
            continue;
        }
        LLVMValueRef even = sum_of_row(tiles, matrix[i], columns, 0, 2, in, &scale);
        even = scale_vector(tiles, even, scale);
        LLVMValueRef odd = sum_of_row(tiles, matrix[i], columns, 1, 2, in, &scale);
        out[i] = add_scaled(tiles, even, scale, odd);
        out[i + 1] = add_scaled(tiles, even, -scale, odd);
    }
}

/* Here it is the columns of opposite points that differ so. */
void cvm_tile_from_frequencies(const CvmTiles *tiles, const double (*matrix)[SIDE], int rows,
                               LLVMValueRef *in, LLVMValueRef *out) {
    LLVMBuilderRef builder = tiles->emitter->builder;
    int last = tiles->matrices.side - 1;
    LLVMValueRef both[2][SIDE];
    for (int k = 1; has_opposite(tiles, k); k += 2) {
        both[0][k] = LLVMBuildFAdd(builder, in[k], in[k + 1], "");
        both[1][k] = LLVMBuildFSub(builder, in[k], in[k + 1], "");
    }
    for (int i = 0; i < rows; i++) {
        LLVMValueRef sum = NULL;
        sum = add_scaled(tiles, sum, matrix[i][0], in[0]);
        if (!has_opposite(tiles, last))
            sum = add_scaled(tiles, sum, matrix[i][last], in[last]);
        for (int k = 1; has_opposite(tiles, k); k += 2)
            sum = add_scaled(tiles, sum, matrix[i][k], both[i % 2][k]);
        out[i] = sum;
    }
}

void cvm_tile_transform(const CvmTiles *tiles, const double (*matrix)[SIDE],
                        const CvmTileSource *source, LLVMValueRef to, int64_t apart) {
    CvmEmitter *emitter = tiles->emitter;
    int side = tiles->matrices.side;
    CvmTile half;
    LLVMValueRef row = constant(tiles, 0), rows[SIDE];
    for (int i = 0; i < source->size; i++, row = cvm_sum(emitter, row, source->row_step))
        rows[i] = cvm_advance(emitter, source->pointer, row);
    for (int j = 0; j < source->size; j++) {
        LLVMValueRef in[SIDE], out[SIDE];
        for (int i = 0; i < source->size; i++)
            in[i] = cvm_tile_load(tiles, rows[i], constant(tiles, j * source->column_step));
        cvm_tile_to_frequencies(tiles, matrix, source->size, in, out);
        for (int i = 0; i < side; i++)
            half[i][j] = out[i];
    }
    for (int i = 0; i < side; i++) {
        LLVMValueRef out[SIDE];
        cvm_tile_to_frequencies(tiles, matrix, source->size, half[i], out);
        for (int j = 0; j < side; j++)
            cvm_tile_store(tiles, out[j], to, constant(tiles, (i * side + j) * apart));
    }
}

void cvm_tile_results(const CvmTiles *tiles, LLVMValueRef sums, int64_t apart, CvmTile results) {
    int side = tiles->matrices.side, m = tiles->matrices.tile;
    CvmTile half;
    for (int j = 0; j < side; j++) {
        LLVMValueRef in[SIDE], out[SIDE];
        for (int i = 0; i < side; i++)
            in[i] = cvm_tile_load(tiles, sums, constant(tiles, (i * side + j) * apart));
        cvm_tile_from_frequencies(tiles, tiles->matrices.result, m, in, out);
        for (int i = 0; i < m; i++)
            half[i][j] = out[i];
    }
    for (int i = 0; i < m; i++)
        cvm_tile_from_frequencies(tiles, tiles->matrices.result, m, half[i], results[i]);
}
