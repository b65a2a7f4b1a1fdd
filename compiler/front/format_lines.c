/* Where lines end, and how many spaces there are between two words that columns do not move. */
#include "compiler/front/format_pieces.h"

#include "grammar/parser.h"

static bool is_comment(const CvmPiece *piece) {
    return piece->kind == CVM_TOKEN_COMMENT;
}

static bool opens(const CvmPiece *piece) {
    return piece->kind == '{' || piece->kind == '(' || piece->kind == '[';
}

static bool closes(const CvmPiece *piece) {
    return piece->kind == '}' || piece->kind == ')' || piece->kind == ']';
}

/* --- line breaks --- */

bool cvm_format_is_tall(const CvmPieces *pieces, int open) {
    int close = pieces->pieces[open].partner;
    return close > open + 1 && pieces->pieces[close].line > pieces->pieces[open].line;
}

/* Files, blocks and what holds a tall block begin on lines of their own whatever the source says.
 */
static bool needs_line(const CvmPieces *pieces, int index) {
    const CvmPiece *piece = &pieces->pieces[index], *before = piece - 1;
    if (is_comment(piece))
        return false;
    return piece->start == CVM_START_ITEM ||
           (piece->block >= 0 && cvm_format_is_tall(pieces, piece->block)) ||
           (piece->kind == '}' && cvm_format_is_tall(pieces, piece->partner)) ||
           (before->kind == '{' && cvm_format_is_tall(pieces, index - 1)) ||
           (before->kind == '}' && cvm_format_is_tall(pieces, before->partner));
}

static int line_breaks(const CvmPieces *pieces, int index) {
    if (index == 0)
        return 0;
    const CvmPiece *piece = &pieces->pieces[index], *before = piece - 1;
    if (before->kind == '{' && piece->kind == '}')
        return 0;
    int breaks = piece->line - before->line;
    int most = opens(before) || closes(piece) ? 1 : 2;
    if (breaks > most)
        breaks = most;
    return breaks == 0 && needs_line(pieces, index) ? 1 : breaks;
}

/* The last word before a piece; there is one. */
static int word_before(const CvmPieces *pieces, int index) {
    do
        index--;
    while (is_comment(&pieces->pieces[index]));
    return index;
}

static bool has_breaks(const CvmPieces *pieces, int first, int last, int least) {
    for (int i = first; i <= last; i++)
        if (pieces->pieces[i].breaks >= least)
            return true;
    return false;
}

static int next_item(const CvmPieces *pieces, int index) {
    while (index < pieces->count && pieces->pieces[index].start != CVM_START_ITEM)
        index++;
    return index;
}

/* A blank line between two items of which one has several lines: before the comments above the
 * second one, unless there is one already. */
static void separate_items(CvmPieces *pieces) {
    int before = -1; /* the last word of the item before */
    bool tall_before = false;
    for (int start = next_item(pieces, 0), next; start < pieces->count; start = next) {
        next = next_item(pieces, start + 1);
        int end = word_before(pieces, next);
        bool tall = has_breaks(pieces, start + 1, end, 1);
        int first = before + 1;
        if (first < start && pieces->pieces[first].breaks == 0)
            first++; /* a comment behind the item before */
        if (before >= 0 && (tall || tall_before) && !has_breaks(pieces, first, start, 2))
            pieces->pieces[first].breaks = 2;
        before = end;
        tall_before = tall;
    }
}

/* --- spaces --- */

static bool ends_operand(int kind) {
    switch (kind) {
    case NAME:
    case INTEGER:
    case REAL:
    case MULTIPLIER:
    case BOOL:
    case STRING:
    case IT:
    case ')':
    case ']':
        return true;
    default:
        return false;
    }
}

/* A sign, or the = of an argument (that of a let or of a parameter's default has spaces). `last`
 * and `last_but_one` are the words before it. */
static bool is_tight(const CvmPiece *piece, const CvmPiece *last, const CvmPiece *last_but_one) {
    if (piece->kind == '-')
        return piece->column == CVM_COLUMN_VALUE || !ends_operand(last->kind);
    return piece->kind == '=' && piece->brackets > 0 && last_but_one->kind != ':';
}

static int word_gap(const CvmPiece *left, const CvmPiece *right) {
    switch (right->kind) {
    case ')':
    case ']':
    case ',':
    case ':':
        return 0;
    case '(':
        if (left->kind == NAME && right->column != CVM_COLUMN_VALUE)
            return 0; /* a call's */
        break;
    case '=':
        if (right->tight)
            return 0;
        break;
    case '}':
        if (left->kind == '{')
            return 0;
        break;
    default:
        break;
    }
    return left->kind != '(' && left->kind != '[' && !left->tight;
}

static int gap_before(const CvmPiece *left, const CvmPiece *right) {
    if (is_comment(right))
        return 2;
    if (right->start == CVM_START_SETTING)
        return left->kind == '{' ? 1 : 2;
    if (right->start == CVM_START_LAYER)
        return left->kind == '{' || right->written_gap < 2 ? 1 : 2;
    return word_gap(left, right);
}

void cvm_format_lines(CvmPieces *pieces) {
    static const CvmPiece none;
    const CvmPiece *last = &none, *last_but_one = &none;
    for (int i = 0; i < pieces->count; i++) {
        CvmPiece *piece = &pieces->pieces[i];
        piece->breaks = line_breaks(pieces, i);
        piece->tight = is_tight(piece, last, last_but_one);
        piece->gap = piece->breaks ? 0 : gap_before(last, piece);
        if (!is_comment(piece)) {
            last_but_one = last;
            last = piece;
        }
    }
    separate_items(pieces);
}
