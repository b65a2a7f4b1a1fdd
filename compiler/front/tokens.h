/* The words of a text as its lexer finds them, comments among them, in order. */
#ifndef CVM_FRONT_TOKENS_H
#define CVM_FRONT_TOKENS_H

#include "compiler/front/source.h"

enum { CVM_TOKEN_COMMENT = -1 };

typedef struct CvmToken {
    int kind;         /* the grammar's number (grammar/parser.h), or CVM_TOKEN_COMMENT */
    const char *text; /* in the source; of a comment without spaces at its end */
    size_t length;    /* bytes */
    int line, column;
} CvmToken;

typedef struct CvmTokens {
    CvmToken *tokens;
    int count;
} CvmTokens;

/* All tokens of a text without mistakes of the lexer's kind, but for the line ends. In the arena.
 */
CvmTokens cvm_tokens_read(CvmArena *arena, const CvmSource *source);

#endif
