/* Columns: what was set below one another stays so, and where something is out of line it is put
 * back. Each rule looks only at the words and at whether gaps were one space or more, never at how
 * many: so the result, formatted again, is itself. */
#include "compiler/front/format_pieces.h"

#include "grammar/parser.h"

#include <string.h>

enum { MAX_CELLS = 64, MAX_BRACKETS = 256 };

/* A line that begins outside of ( and [, up to its end, with the places that may be in columns. */
typedef struct Line {
    int first, end; /* pieces */
    int *cells, cell_count;
    int reached, position; /* how far its length was added up: up to that piece */
} Line;

typedef struct Columns {
    CvmPieces *pieces;
    Line *lines;
    int line_count;
} Columns;

static CvmPiece *cell(const Columns *columns, int line, int ordinal) {
    return &columns->pieces->pieces[columns->lines[line].cells[ordinal]];
}

/* --- lines and their cells --- */

static int line_end(const CvmPieces *pieces, int first) {
    int end = first + 1;
    while (end < pieces->count && pieces->pieces[end].breaks == 0)
        end++;
    return end;
}

/* Several settings side by side are a list rather than a table. */
static bool has_one_setting(const CvmPieces *pieces, const Line *line) {
    int depth = pieces->pieces[line->first].depth, count = 0;
    for (int i = line->first; i < line->end; i++)
        count += pieces->pieces[i].start == CVM_START_SETTING && pieces->pieces[i].depth == depth;
    return count == 1;
}

static bool is_cell(const CvmPieces *pieces, const Line *line, int index, bool one_setting) {
    const CvmPiece *piece = &pieces->pieces[index];
    bool tall = piece->kind == '{' && cvm_format_is_tall(pieces, index);
    switch (piece->column) {
    case CVM_COLUMN_NONE:
        return false;
    case CVM_COLUMN_LAYER:
        return piece[-1].kind != '{';
    case CVM_COLUMN_VALUE:
    case CVM_COLUMN_ARROW:
        return one_setting && !tall && piece->depth == pieces->pieces[line->first].depth;
    default:
        return !tall;
    }
}

static void find_cells(const CvmPieces *pieces, Line *line) {
    int cells[MAX_CELLS];
    bool one_setting = has_one_setting(pieces, line);
    for (int i = line->first + 1; i < line->end && line->cell_count < MAX_CELLS; i++)
        if (is_cell(pieces, line, i, one_setting))
            cells[line->cell_count++] = i;
    line->cells = cvm_arena_array(pieces->arena, (size_t)line->cell_count, sizeof *cells);
    memcpy(line->cells, cells, (size_t)line->cell_count * sizeof *cells);
}

static Columns find_lines(CvmPieces *pieces) {
    Columns columns = {.pieces = pieces};
    int most = 1;
    for (int i = 0; i < pieces->count; i++)
        most += pieces->pieces[i].breaks > 0;
    columns.lines = cvm_arena_array(pieces->arena, (size_t)most, sizeof *columns.lines);
    for (int first = 0, end; first < pieces->count; first = end) {
        end = line_end(pieces, first);
        if (pieces->pieces[first].brackets > 0)
            continue;
        Line *line = &columns.lines[columns.line_count++];
        *line = (Line){.first = first, .end = end, .reached = first};
        find_cells(pieces, line);
    }
    return columns;
}

/* The next line goes on with the same table, as far as its cell of this number tells. */
static bool go_together(const Columns *columns, int line, int ordinal) {
    if (line + 1 >= columns->line_count)
        return false;
    const Line *one = &columns->lines[line], *next = one + 1;
    const CvmPiece *first = &columns->pieces->pieces[one->first];
    const CvmPiece *second = &columns->pieces->pieces[next->first];
    if (second->breaks != 1 || first->depth != second->depth || next->cell_count <= ordinal)
        return false;
    const CvmPiece *a = cell(columns, line, ordinal), *b = cell(columns, line + 1, ordinal);
    return a->column == b->column && a->depth - first->depth == b->depth - second->depth;
}

/* --- putting cells below one another --- */

/* Where the piece before a cell ends. */
static int end_before(const CvmPieces *pieces, Line *line, int index) {
    for (; line->reached < index; line->reached++) {
        const CvmPiece *piece = &pieces->pieces[line->reached];
        line->position += piece->width;
        line->position +=
            line->reached == line->first ? piece->depth * CVM_FORMAT_INDENT : piece->gap;
    }
    return line->position;
}

/* The cells of lines first … end-1 begin where the longest text before them and `gap` spaces end.
 */
static void align(Columns *columns, int first, int end, int ordinal, int gap) {
    int position = 0;
    for (int i = first; i < end; i++) {
        Line *line = &columns->lines[i];
        int least = end_before(columns->pieces, line, line->cells[ordinal]) + gap;
        position = least > position ? least : position;
    }
    if (position > CVM_FORMAT_WIDEST)
        return;
    for (int i = first; i < end; i++)
        cell(columns, i, ordinal)->gap = position - columns->lines[i].position;
}

/* The least and the largest gap that was written before the cells, between 1 and 2. */
static void written_gaps(const Columns *columns, int first, int end, int ordinal, int *least,
                         int *most) {
    *least = 2;
    *most = 1;
    for (int i = first; i < end; i++) {
        if (cell(columns, i, ordinal)->written_gap < 2)
            *least = 1;
        else
            *most = 2;
    }
}

static bool same_word(const CvmPiece *a, const CvmPiece *b) {
    return a->length == b->length && !memcmp(a->text, b->text, (size_t)a->length);
}

/* The end of the lines whose cell is the same layer as the first one's. */
static int same_layer_end(const Columns *columns, int first, int end, int ordinal) {
    int last = first + 1;
    while (last < end && same_word(cell(columns, first, ordinal), cell(columns, last, ordinal)))
        last++;
    return last;
}

/* Layers: neighbours of one name are a column if there are two spaces before one of them. Such
 * columns of different layers that follow one another are one column, two spaces wide. */
static void align_layers(Columns *columns, int first, int end, int ordinal) {
    int least, most, start = first, count = 0, gap = 2;
    while (first < end) {
        int last = same_layer_end(columns, first, end, ordinal);
        written_gaps(columns, first, last, ordinal, &least, &most);
        if (most == 2) {
            gap = count++ == 0 ? least : 2;
        } else {
            if (count > 0)
                align(columns, start, first, ordinal, gap);
            start = last;
            count = 0;
        }
        first = last;
    }
    if (count > 0)
        align(columns, start, end, ordinal, gap);
}

static void align_run(Columns *columns, int first, int end, int ordinal) {
    int least, most;
    if (cell(columns, first, ordinal)->column == CVM_COLUMN_LAYER) {
        align_layers(columns, first, end, ordinal);
        return;
    }
    written_gaps(columns, first, end, ordinal, &least, &most);
    if (most == 2)
        align(columns, first, end, ordinal, 1);
}

/* From left to right, so that what stands before a cell is final when its turn comes. */
static void align_cells(Columns *columns) {
    for (int ordinal = 0; ordinal < MAX_CELLS; ordinal++)
        for (int first = 0, end; first < columns->line_count; first = end) {
            end = first + 1;
            if (columns->lines[first].cell_count <= ordinal)
                continue;
            while (go_together(columns, end - 1, ordinal))
                end++;
            align_run(columns, first, end, ordinal);
        }
}

/* --- indentation --- */

/* A ( or [ that is open, and what lines within it keep to. */
typedef struct Open {
    int position;
    int indent; /* of its line */
    bool hangs; /* a line ends right behind it, or it is far to the right */
} Open;

static int indentation(const CvmPiece *piece, const Open *open) {
    if (piece->brackets == 0)
        return CVM_FORMAT_INDENT * (piece->depth - (piece->kind == '}'));
    bool closes = piece->kind == ')' || piece->kind == ']';
    if (open->hangs)
        return open->indent + (closes ? 0 : CVM_FORMAT_INDENT);
    return open->position + !closes;
}

/* Indents lines and finds where each piece comes to stand. */
static void place(CvmPieces *pieces) {
    Open open[MAX_BRACKETS];
    int position = 0, indent = 0;
    for (int i = 0; i < pieces->count; i++) {
        CvmPiece *piece = &pieces->pieces[i];
        if (cvm_format_begins_line(pieces, i)) {
            piece->gap = indent =
                indentation(piece, &open[piece->brackets > 0 ? piece->brackets - 1 : 0]);
            position = 0;
        }
        piece->position = position + piece->gap;
        position = piece->position + piece->width;
        if (piece->kind == '(' || piece->kind == '[') {
            const CvmPiece *next = piece + 1;
            bool hangs =
                next->kind == CVM_TOKEN_COMMENT || next->breaks > 0 || position > CVM_FORMAT_WIDEST;
            open[piece->brackets] = (Open){piece->position, indent, hangs};
        }
    }
}

/* --- comments at line ends --- */

static void align_comments(CvmPieces *pieces, int first, int end, int position) {
    if (position > CVM_FORMAT_WIDEST)
        return;
    for (int i = first; i < end; i++) {
        CvmPiece *piece = &pieces->pieces[i];
        if (piece->kind == CVM_TOKEN_COMMENT && !cvm_format_begins_line(pieces, i)) {
            piece->gap += position - piece->position;
            piece->position = position;
        }
    }
}

/* Comments at the ends of neighbouring lines of one block begin in one column. */
static void place_comments(CvmPieces *pieces) {
    int start = 0, position = 0, depth = -1; /* of the lines that are put together */
    for (int first = 0, end; first < pieces->count; first = end) {
        end = line_end(pieces, first);
        const CvmPiece *last = &pieces->pieces[end - 1];
        const CvmPiece *begin = &pieces->pieces[first];
        bool behind = last->kind == CVM_TOKEN_COMMENT && end - 1 > first;
        if (!behind || begin->breaks != 1 || begin->depth != depth) {
            align_comments(pieces, start, first, position);
            start = first;
            position = 0;
        }
        depth = behind ? begin->depth : -1;
        if (behind && last->position > position)
            position = last->position;
    }
    align_comments(pieces, start, pieces->count, position);
}

void cvm_format_columns(CvmPieces *pieces) {
    Columns columns = find_lines(pieces);
    align_cells(&columns);
    place(pieces);
    place_comments(pieces);
}
