/* Between the files of the formatter: the text as pieces, which are words and comments, and what
 * is decided about each. Stages fill it in, in the order of the functions below:
 *
 *   format.c          pieces from tokens; at the end, text from pieces
 *   format_marks.c    what the syntax tree knows: where layers and settings begin
 *   format_lines.c    line breaks, and the spaces between two pieces
 *   format_columns.c  columns, indentation, and comments at line ends
 *   format_same.c     whether the result says what the source said */
#ifndef CVM_FRONT_FORMAT_PIECES_H
#define CVM_FRONT_FORMAT_PIECES_H

#include "compiler/front/ast.h"
#include "compiler/front/tokens.h"

/* What begins with a piece. */
typedef enum CvmStart {
    CVM_START_NONE,
    CVM_START_ITEM,  /* an import, model, block, … */
    CVM_START_LAYER, /* a statement of a network, or a further step of a let's */
    CVM_START_SETTING,
} CvmStart;

/* A place in a line that may be below the like place of the line before. */
typedef enum CvmColumn {
    CVM_COLUMN_NONE,
    CVM_COLUMN_LAYER,  /* a layer behind another */
    CVM_COLUMN_BLOCK,  /* the { of a block within a network */
    CVM_COLUMN_VALUE,  /* what stands behind a setting's key */
    CVM_COLUMN_ARROW,  /* the -> of a name map */
    CVM_COLUMN_EQUALS, /* the = of a let */
} CvmColumn;

typedef struct CvmPiece {
    int kind; /* the token's */
    const char *text;
    int length, width; /* bytes; characters */
    int line, byte;    /* in the source, from 1 */
    int written_gap;   /* spaces before it in the source; 0 at a line's start */
    int partner;       /* of a bracket: the other one; else -1 */
    int depth;         /* blocks that are open before it */
    int brackets;      /* ( and [ that are open before it */
    CvmStart start;
    CvmColumn column;
    int block;    /* of what starts here: the { of its block; -1: it has none */
    bool tight;   /* = of an argument, - as a sign: no space behind it */
    int breaks;   /* line ends before it, 2 for a blank line */
    int gap;      /* spaces before it; after a line end, the indentation */
    int position; /* where it begins in its line */
} CvmPiece;

typedef struct CvmPieces {
    CvmArena *arena;
    CvmPiece *pieces;
    int count;
} CvmPieces;

/* Beyond this column nothing is put below something else. */
enum { CVM_FORMAT_WIDEST = 120, CVM_FORMAT_INDENT = 4 };

void cvm_format_mark(CvmPieces *pieces, const CvmAstFile *file);
void cvm_format_lines(CvmPieces *pieces);
void cvm_format_columns(CvmPieces *pieces);

/* Whether two texts have the same words, comments and tree. */
bool cvm_format_same(CvmArena *arena, const CvmSource *one, const CvmSource *other);

/* A block whose braces come on lines of their own: it has them in the source, and is not empty. */
bool cvm_format_is_tall(const CvmPieces *pieces, int open);

/* The piece begins a line. */
static inline bool cvm_format_begins_line(const CvmPieces *pieces, int index) {
    return index == 0 || pieces->pieces[index].breaks > 0;
}

#endif
