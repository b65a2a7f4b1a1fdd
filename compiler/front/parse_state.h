/* What lexer and parser share while they read one text: no globals, so that two files can be parsed
 * on two threads. */
#ifndef CVM_FRONT_PARSE_STATE_H
#define CVM_FRONT_PARSE_STATE_H

#include "compiler/front/ast.h"

typedef struct CvmParseState {
    CvmArena *arena;
    const CvmSource *source;
    CvmDiag *diag;
    int line, column;   /* of the next character */
    int parentheses;    /* open ( and [: line ends do not count within */
    int depth;          /* open brackets of any kind */
    bool stopped;       /* an error that ends the reading was reported */
    bool at_line_start; /* only line ends and comments since the last line end */
    CvmAstComment *comments, **next_comment; /* all, in order */
    CvmAstFile *file;
    CvmSpan open_braces[256]; /* places, for "opened here" */
    int open_brace_count;
} CvmParseState;

/* A list under construction: remembers its end. */
typedef struct CvmAstStatements {
    CvmAstStatement *first, *last;
} CvmAstStatements;

typedef struct CvmAstSettings {
    CvmAstSetting *first, *last;
} CvmAstSettings;

typedef struct CvmAstArguments {
    CvmAstArgument *first, *last;
} CvmAstArguments;

typedef struct CvmAstParameters {
    CvmAstParameter *first, *last;
} CvmAstParameters;

typedef struct CvmAstPatterns {
    CvmAstPattern *first, *last;
} CvmAstPatterns;

typedef struct CvmAstItems {
    CvmAstItem *first, *last;
} CvmAstItems;

/* Gives every comment to the item, statement or setting it stands before or behind. */
void cvm_ast_attach_comments(CvmAstFile *file, CvmAstComment *comments);

#endif
