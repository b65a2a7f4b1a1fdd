/* See emit_row_tiles.h. Tiles at the ends of a row are emitted one by one, with their zeros known;
 * those between are walked over. */
#include "compiler/codegen/emit_row_tiles.h"

/* One tile. from: its first pixel, which may lie outside of the row; pixel i is read where first <=
 * i < last, and is zero elsewhere. */
static void emit_tile(const CvmRowTiles *rows, LLVMValueRef from, LLVMValueRef to, int64_t first,
                      int64_t last) {
    const CvmTiles *tiles = rows->tiles;
    CvmEmitter *emitter = tiles->emitter;
    LLVMValueRef in[CVM_WINOGRAD_SIDE], out[CVM_WINOGRAD_SIDE];
    LLVMValueRef zero = cvm_float(emitter, tiles->lanes, 0);
    for (int64_t i = 0; i < rows->size; i++)
        in[i] = i >= first && i < last
                    ? cvm_tile_load(tiles, from, cvm_i64(emitter, i * tiles->lanes))
                    : NULL;
    cvm_tile_to_frequencies(tiles, rows->matrix, (int)rows->size, in, out);
    for (int i = 0; i < tiles->matrices.side; i++)
        cvm_tile_store(tiles, out[i] ? out[i] : zero, to,
                       cvm_i64(emitter, i * rows->frequency_step));
}

/* The tile with a known number. */
static void emit_edge_tile(const CvmRowTiles *rows, LLVMValueRef from, LLVMValueRef to,
                           int64_t tile) {
    CvmEmitter *emitter = rows->tiles->emitter;
    int64_t lanes = rows->tiles->lanes, column = rows->start + tile * rows->apart;
    emit_tile(rows, cvm_advance(emitter, from, cvm_i64(emitter, column * lanes)),
              cvm_advance(emitter, to, cvm_i64(emitter, tile * lanes)), -column,
              rows->width - column);
}

static void emit_row(const CvmRowTiles *rows, LLVMValueRef from, LLVMValueRef to) {
    CvmEmitter *emitter = rows->tiles->emitter;
    int64_t lanes = rows->tiles->lanes, first = 0, last = rows->count;
    for (; first < last && rows->start + first * rows->apart < 0; first++)
        emit_edge_tile(rows, from, to, first);
    while (last > first && rows->start + (last - 1) * rows->apart + rows->size > rows->width)
        last--;
    if (last > first) {
        CvmLoop loop = cvm_loop_begin(emitter, cvm_i64(emitter, first), cvm_i64(emitter, last), 1);
        LLVMValueRef column = cvm_sum(emitter, cvm_scale(emitter, loop.index, rows->apart * lanes),
                                      cvm_i64(emitter, rows->start * lanes));
        emit_tile(rows, cvm_advance(emitter, from, column),
                  cvm_advance(emitter, to, cvm_scale(emitter, loop.index, lanes)), 0, rows->size);
        cvm_loop_end(emitter, &loop);
    }
    for (; last < rows->count; last++)
        emit_edge_tile(rows, from, to, last);
}

static void clear_row(const CvmRowTiles *rows, LLVMValueRef to) {
    CvmEmitter *emitter = rows->tiles->emitter;
    int64_t lanes = rows->tiles->lanes;
    CvmLoop loop =
        cvm_loop_begin(emitter, cvm_i64(emitter, 0), cvm_i64(emitter, rows->count * lanes), lanes);
    for (int i = 0; i < rows->tiles->matrices.side; i++)
        cvm_tile_store(rows->tiles, cvm_float(emitter, (int)lanes, 0), to,
                       cvm_sum(emitter, loop.index, cvm_i64(emitter, i * rows->frequency_step)));
    cvm_loop_end(emitter, &loop);
}

static void emit_row_or_zeros(const CvmRowTiles *rows, LLVMValueRef plane, LLVMValueRef row,
                              LLVMValueRef to) {
    CvmEmitter *emitter = rows->tiles->emitter;
    CvmBranch branch = cvm_branch_begin(emitter, cvm_tile_is_below(rows->tiles, row, rows->height));
    LLVMValueRef line = cvm_scale(emitter, row, rows->width * rows->tiles->lanes);
    emit_row(rows, cvm_advance(emitter, plane, line), to);
    if (rows->zeros) {
        cvm_branch_else(emitter, &branch);
        clear_row(rows, to);
    }
    cvm_branch_end(emitter, &branch);
}

void cvm_emit_row_tiles(const CvmRowTiles *rows) {
    CvmEmitter *emitter = rows->tiles->emitter;
    int64_t lanes = rows->tiles->lanes, plane = rows->height * rows->width * lanes;
    LLVMValueRef zero = cvm_i64(emitter, 0);
    CvmLoop planes = cvm_loop_begin(emitter, zero, cvm_i64(emitter, rows->planes), 1);
    CvmLoop lines = cvm_loop_begin(emitter, zero, cvm_i64(emitter, rows->rows), 1);
    LLVMValueRef to = cvm_sum(emitter, cvm_scale(emitter, planes.index, rows->plane_step),
                              cvm_scale(emitter, lines.index, rows->count * lanes));
    emit_row_or_zeros(
        rows, cvm_advance(emitter, rows->from, cvm_scale(emitter, planes.index, plane)),
        cvm_sum(emitter, rows->first, lines.index), cvm_advance(emitter, rows->to, to));
    cvm_loop_end(emitter, &lines);
    cvm_loop_end(emitter, &planes);
}
