/* See format.h: from text to pieces, and from pieces to text. The stages between are listed in
 * format_pieces.h. The result is held against the source before anyone sees it. */
#include "compiler/front/format.h"

#include "compiler/front/format_pieces.h"

#include "grammar/parser.h"

#include <string.h>

/* --- from text to pieces --- */

/* How a token is written; what has spaces in it may have had others. */
static void set_text(CvmPiece *piece, const CvmToken *token) {
    piece->text = token->text;
    piece->length = (int)token->length;
    if (token->kind == AT_EPOCH)
        piece->text = "at epoch";
    else if (token->kind == PER_LAYER)
        piece->text = "per layer";
    if (piece->text != token->text)
        piece->length = (int)strlen(piece->text);
    for (int i = 0; i < piece->length; i++)
        piece->width += ((unsigned char)piece->text[i] & 0xC0) != 0x80;
}

/* Spaces between two tokens of a line; a tab is as good as two. */
static int written_gap(const CvmToken *left, const CvmToken *right) {
    if (left->line != right->line)
        return 0;
    const char *end = left->text + left->length;
    size_t gap = (size_t)(right->text - end);
    return memchr(end, '\t', gap) ? 2 : (int)gap;
}

/* Finds pairs of brackets, and how deep in them each piece is. The text was parsed: they match. */
static void pair_brackets(CvmPieces *pieces) {
    int open[256], count = 0, depth = 0;
    for (int i = 0; i < pieces->count; i++) {
        CvmPiece *piece = &pieces->pieces[i];
        piece->depth = depth;
        piece->brackets = count - depth;
        piece->partner = -1;
        if (piece->kind == '{' || piece->kind == '(' || piece->kind == '[') {
            open[count++] = i;
            depth += piece->kind == '{';
        } else if (piece->kind == '}' || piece->kind == ')' || piece->kind == ']') {
            piece->partner = open[--count];
            pieces->pieces[piece->partner].partner = i;
            depth -= piece->kind == '}';
        }
    }
}

static CvmPieces make_pieces(CvmArena *arena, const CvmSource *source) {
    CvmTokens tokens = cvm_tokens_read(arena, source);
    CvmPieces pieces = {.arena = arena, .count = tokens.count};
    pieces.pieces = cvm_arena_array(arena, (size_t)tokens.count, sizeof *pieces.pieces);
    for (int i = 0; i < tokens.count; i++) {
        const CvmToken *token = &tokens.tokens[i];
        CvmPiece *piece = &pieces.pieces[i];
        *piece = (CvmPiece){
            .kind = token->kind, .line = token->line, .byte = token->column, .block = -1};
        set_text(piece, token);
        piece->written_gap = i > 0 ? written_gap(token - 1, token) : 0;
    }
    pair_brackets(&pieces);
    return pieces;
}

/* --- from pieces to text --- */

static size_t formatted_length(const CvmPieces *pieces) {
    size_t length = pieces->count > 0; /* the last line's end */
    for (int i = 0; i < pieces->count; i++) {
        const CvmPiece *piece = &pieces->pieces[i];
        length += (size_t)piece->breaks + (size_t)piece->gap + (size_t)piece->length;
    }
    return length;
}

static char *write_pieces(const CvmPieces *pieces, size_t length) {
    char *text = cvm_arena_alloc(pieces->arena, length + 1), *end = text;
    for (int i = 0; i < pieces->count; i++) {
        const CvmPiece *piece = &pieces->pieces[i];
        memset(end, '\n', (size_t)piece->breaks);
        end += piece->breaks;
        memset(end, ' ', (size_t)piece->gap);
        end += piece->gap;
        memcpy(end, piece->text, (size_t)piece->length);
        end += piece->length;
    }
    if (pieces->count > 0)
        *end = '\n';
    return text;
}

bool cvm_format(CvmArena *arena, const CvmSource *source, CvmFormatted *formatted, CvmDiag *diag) {
    int errors = diag->error_count;
    const CvmAstFile *file = cvm_ast_parse(arena, source, diag);
    if (diag->error_count > errors)
        return false;
    CvmPieces pieces = make_pieces(arena, source);
    cvm_format_mark(&pieces, file);
    cvm_format_lines(&pieces);
    cvm_format_columns(&pieces);
    CvmSpan everything = {source, 1, 1, 1, 1};
    size_t length = formatted_length(&pieces);
    if (length > CVM_LARGEST_SOURCE)
        return cvm_diag_error(diag, 1007, everything, NULL, "write blocks, and use them",
                              "with its indentation this text would have more than 1 MiB");
    CvmSource result = {.path = source->path, .length = length};
    result.text = write_pieces(&pieces, length);
    if (!cvm_format_same(arena, source, &result))
        return cvm_diag_error(diag, 1008, everything, NULL, "please report it, with this file",
                              "formatting would change what this text says: a mistake of cvmc");
    *formatted = (CvmFormatted){result.text, length, false};
    formatted->changed = length != source->length || memcmp(result.text, source->text, length) != 0;
    return true;
}
