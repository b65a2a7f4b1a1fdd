/* Carries over to the pieces what only the syntax tree knows: where statements and settings begin,
 * and the places in them that can stand in columns. */
#include "compiler/front/format_pieces.h"

/* The piece at a span's start. */
static int find(const CvmPieces *pieces, const CvmSpan *span) {
    int low = 0, high = pieces->count - 1;
    while (low < high) {
        int middle = low + (high - low) / 2;
        const CvmPiece *piece = &pieces->pieces[middle];
        bool before = piece->line < span->first_line ||
                      (piece->line == span->first_line && piece->byte < span->first_column);
        if (before)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* The { behind a piece, whose own words hold none. */
static int find_block(const CvmPieces *pieces, int index) {
    while (pieces->pieces[index].kind != '{')
        index++;
    return index;
}

static void mark_statements(CvmPieces *pieces, const CvmAstStatement *one) {
    for (; one; one = one->next) {
        int first = find(pieces, &one->span);
        CvmPiece *piece = &pieces->pieces[first];
        piece->start = CVM_START_LAYER;
        piece->column = CVM_COLUMN_LAYER;
        if (one->kind == CVM_AST_LET) {
            piece[2].column = CVM_COLUMN_EQUALS; /* let NAME = */
            mark_statements(pieces, one->body->next);
        } else if (one->kind != CVM_AST_USE && one->kind != CVM_AST_INPUT) {
            piece->block = find_block(pieces, first);
            pieces->pieces[piece->block].column = CVM_COLUMN_BLOCK;
            mark_statements(pieces, one->body);
        }
    }
}

static void mark_settings(CvmPieces *pieces, const CvmAstSetting *one) {
    for (; one; one = one->next) {
        int first = find(pieces, &one->span);
        CvmPiece *piece = &pieces->pieces[first];
        piece->start = CVM_START_SETTING;
        if (one->kind == CVM_AST_RENAME)
            piece[1].column = CVM_COLUMN_ARROW;
        else if (one->kind != CVM_AST_IN_ORDER && one->kind != CVM_AST_IGNORE)
            piece[1].column = CVM_COLUMN_VALUE;
        if (one->kind == CVM_AST_GROUP) {
            piece->block = first + 1;
            mark_settings(pieces, one->settings);
        }
    }
}

void cvm_format_mark(CvmPieces *pieces, const CvmAstFile *file) {
    for (const CvmAstItem *item = file->items; item; item = item->next) {
        pieces->pieces[find(pieces, &item->span)].start = CVM_START_ITEM;
        mark_statements(pieces, item->body);
        mark_settings(pieces, item->settings);
    }
}
