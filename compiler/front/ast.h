/* The syntax tree of a .cvm file: what was written, with spans and comments, nothing evaluated. All
 * of it lies in one arena. The parser (grammar/cvm.y) only builds it; meaning is the checker's.
 *
 * Lists are linked by `next`, in the order of the text. */
#ifndef CVM_FRONT_AST_H
#define CVM_FRONT_AST_H

#include "compiler/front/diag.h"

#include <stdint.h>

typedef struct CvmAstExpr CvmAstExpr;
typedef struct CvmAstArgument CvmAstArgument;
typedef struct CvmAstStatement CvmAstStatement;
typedef struct CvmAstSetting CvmAstSetting;
typedef struct CvmAstItem CvmAstItem;

/* A name as written, with its place. */
typedef struct CvmAstName {
    const char *text;
    CvmSpan span;
} CvmAstName;

/* "# …" without the line's end and spaces before it. */
typedef struct CvmAstComment {
    const char *text;
    CvmSpan span;
    struct CvmAstComment *next;
} CvmAstComment;

/* The comments of an item, statement or setting: on lines before it, and at its line's end. */
typedef struct CvmAstComments {
    CvmAstComment *before, *after;
} CvmAstComments;

typedef enum CvmAstExprKind {
    CVM_AST_INTEGER,
    CVM_AST_REAL,
    CVM_AST_MULTIPLIER, /* 0.01x: `real` */
    CVM_AST_STRING,
    CVM_AST_BOOL, /* `integer` */
    CVM_AST_NAME, /* `text` */
    CVM_AST_IT,
    CVM_AST_LIST,   /* [a, b]: `arguments` */
    CVM_AST_TUPLE,  /* (a, b) */
    CVM_AST_CALL,   /* text(arguments) */
    CVM_AST_NEGATE, /* -left */
    CVM_AST_ADD,
    CVM_AST_SUBTRACT,
    CVM_AST_MULTIPLY,
    CVM_AST_DIVIDE,
    CVM_AST_REMAINDER,
} CvmAstExprKind;

struct CvmAstExpr {
    CvmAstExprKind kind;
    CvmSpan span;
    int64_t integer;
    double real;
    const char *text;
    CvmAstArgument *arguments;
    CvmAstExpr *left, *right;
    int depth; /* of operators below, bounded so that walking it needs little stack */
};

/* An argument of a call or layer, or an element of a list (then without a name). */
struct CvmAstArgument {
    CvmAstName name; /* text NULL: positional */
    CvmSpan span;
    CvmAstExpr *value;
    CvmAstArgument *next;
};

/* A parameter of a model or block: name: int = default. */
typedef struct CvmAstParameter {
    CvmAstName name;
    CvmAstName kind;
    CvmAstExpr *otherwise; /* NULL: must be given */
    struct CvmAstParameter *next;
} CvmAstParameter;

typedef enum CvmAstStatementKind {
    CVM_AST_INPUT,   /* input name: value (a list) */
    CVM_AST_USE,     /* a layer, block or bound name: name, arguments; `it` too */
    CVM_AST_SECTION, /* name { body } */
    CVM_AST_REPEAT,  /* repeat value { body } */
    CVM_AST_FOR,     /* for names in value { body } */
    CVM_AST_LET,     /* let name = body (a pipeline) */
} CvmAstStatementKind;

struct CvmAstStatement {
    CvmAstStatementKind kind;
    CvmSpan span;
    CvmAstName name;
    CvmAstArgument *arguments;
    bool has_arguments; /* parentheses were written */
    CvmAstExpr *value;
    CvmAstParameter *names; /* FOR: what each turn binds */
    CvmAstStatement *body;
    CvmAstComments comments;
    CvmAstComment *last_comments; /* after the body's last statement */
    CvmAstStatement *next;
};

typedef enum CvmAstSettingKind {
    CVM_AST_KEY,      /* key value; in a group: or key value amount */
    CVM_AST_GROUP,    /* key { settings } */
    CVM_AST_WEIGHTS,  /* weights value names target except patterns */
    CVM_AST_FREEZE,   /* freeze patterns at epoch … */
    CVM_AST_UNFREEZE, /* unfreeze patterns at epoch … */
    CVM_AST_RATE,     /* rate patterns value per layer at epoch … */
    CVM_AST_RENAME,   /* pattern -> target */
    CVM_AST_IN_ORDER, /* in key patterns -> target; target text NULL without */
    CVM_AST_IGNORE,   /* key patterns, in a name map */
} CvmAstSettingKind;

typedef struct CvmAstPattern {
    CvmAstName name;
    struct CvmAstPattern *next;
} CvmAstPattern;

struct CvmAstSetting {
    CvmAstSettingKind kind;
    CvmSpan span;
    CvmAstName key;
    CvmAstExpr *value;
    CvmAstPattern *patterns;
    CvmAstExpr *amount;           /* NULL: none */
    CvmAstSetting *settings;      /* of a group */
    CvmAstComment *last_comments; /* after the group's last setting */
    CvmAstName target;            /* text NULL: none */
    CvmAstExpr *epoch;            /* NULL: none */
    bool per_layer;
    CvmAstComments comments;
    CvmAstSetting *next;
};

typedef enum CvmAstItemKind {
    CVM_AST_IMPORT, /* import "name" */
    CVM_AST_MODEL,
    CVM_AST_BLOCK,
    CVM_AST_DATA,
    CVM_AST_NAMES,   /* names name { settings } */
    CVM_AST_PREDICT, /* predict name { settings }; the name is a model's */
    CVM_AST_TRAIN,   /* train use on data as name */
} CvmAstItemKind;

struct CvmAstItem {
    CvmAstItemKind kind;
    CvmSpan span;
    CvmAstName name; /* TRAIN: after `as`, text NULL without */
    CvmAstParameter *parameters;
    CvmAstStatement *body;     /* MODEL, BLOCK */
    CvmAstSetting *settings;   /* DATA, NAMES, PREDICT, TRAIN */
    CvmAstName model, data;    /* TRAIN */
    CvmAstArgument *arguments; /* TRAIN: of the model */
    CvmAstComments comments;
    CvmAstComment *last_comments;
    CvmAstItem *next;
};

typedef struct CvmAstFile {
    const CvmSource *source;
    CvmAstItem *items;
    CvmAstComment *last_comments;
} CvmAstFile;

/* Parses one text. Always returns a tree (of what could be read); errors are in diag (10xx). */
CvmAstFile *cvm_ast_parse(CvmArena *arena, const CvmSource *source, CvmDiag *diag);

/* Writes the tree as indented text, one node a line, with or without the nodes' places, stable: for
 * `cvmc dump --stage ast`, the formatter and tests. */
void cvm_ast_print(const CvmAstFile *file, bool places, FILE *stream);

enum { CVM_LARGEST_SOURCE = 1 << 20 }; /* bytes */

/* Reads a file into a source, at most 1 MiB. NULL (reported 1101 at `span`) when it can't be read.
 */
CvmSource *cvm_source_read(CvmArena *arena, const char *path, CvmSpan span, CvmDiag *diag);

/* The same of a stream, which stays open; `path` is what to call it. */
CvmSource *cvm_source_read_stream(CvmArena *arena, FILE *file, const char *path, CvmSpan span,
                                  CvmDiag *diag);

#endif
