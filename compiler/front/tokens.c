/* See tokens.h: runs the lexer without its parser. */
#include "compiler/front/tokens.h"

#include "compiler/front/parse_state.h"

#include "grammar/parser.h"

#include "grammar/lexer.h"

#include <string.h>

typedef struct Reader {
    CvmArena *arena;
    const CvmSource *source;
    CvmTokens result;
    int capacity;
    size_t line_start; /* offset of the line that was reached */
    int line;
} Reader;

/* Spans come in order, so lines are counted once. */
static const char *place(Reader *reader, const CvmSpan *span) {
    const char *text = reader->source->text;
    for (; reader->line < span->first_line; reader->line++) {
        const char *end =
            memchr(text + reader->line_start, '\n', reader->source->length - reader->line_start);
        reader->line_start = (size_t)(end - text) + 1;
    }
    return text + reader->line_start + span->first_column - 1;
}

static void add(Reader *reader, int kind, const CvmSpan *span) {
    CvmTokens *result = &reader->result;
    if (result->count == reader->capacity) {
        const CvmToken *old = result->tokens;
        reader->capacity = reader->capacity * 2 + 64;
        result->tokens =
            cvm_arena_array(reader->arena, (size_t)reader->capacity, sizeof *result->tokens);
        if (old)
            memcpy(result->tokens, old, (size_t)result->count * sizeof *old);
    }
    result->tokens[result->count++] =
        (CvmToken){.kind = kind,
                   .text = place(reader, span),
                   .length = (size_t)(span->last_column - span->first_column) + 1,
                   .line = span->first_line,
                   .column = span->first_column};
}

CvmTokens cvm_tokens_read(CvmArena *arena, const CvmSource *source) {
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmParseState state = {.arena = arena, .source = source, .diag = &diag, .line = 1, .column = 1};
    state.next_comment = &state.comments;
    Reader reader = {.arena = arena, .source = source, .line = 1};
    CvmAstComment **comment = &state.comments; /* the first that was not added yet */
    yyscan_t scanner;
    if (yylex_init_extra(&state, &scanner))
        return reader.result;
    yy_scan_bytes(source->text, (int)source->length, scanner);
    for (int kind = -1; kind != YYEOF;) {
        YYSTYPE value;
        CvmSpan span;
        kind = yylex(&value, &span, scanner);
        for (; *comment; comment = &(*comment)->next)
            add(&reader, CVM_TOKEN_COMMENT, &(*comment)->span);
        if (kind != YYEOF && kind != NEWLINE)
            add(&reader, kind, &span);
    }
    yylex_destroy(scanner);
    return reader.result;
}
