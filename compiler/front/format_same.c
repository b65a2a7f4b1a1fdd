/* The net below the formatter: its result is read again and compared with what it was made of. */
#include "compiler/front/format_pieces.h"

#include "grammar/parser.h"

#include <stdlib.h>
#include <string.h>

static bool same_token(const CvmToken *a, const CvmToken *b) {
    if (a->kind != b->kind)
        return false;
    if (a->kind == AT_EPOCH || a->kind == PER_LAYER)
        return true; /* two words with spaces between */
    return a->length == b->length && !memcmp(a->text, b->text, a->length);
}

static bool same_tokens(CvmArena *arena, const CvmSource *one, const CvmSource *other) {
    CvmTokens a = cvm_tokens_read(arena, one), b = cvm_tokens_read(arena, other);
    if (a.count != b.count)
        return false;
    for (int i = 0; i < a.count; i++)
        if (!same_token(&a.tokens[i], &b.tokens[i]))
            return false;
    return true;
}

/* The tree as text, without places; NULL when it has mistakes. For free(). */
static char *tree(CvmArena *arena, const CvmSource *source, size_t *size) {
    CvmDiag diag;
    char *text = NULL;
    cvm_diag_init(&diag, arena);
    const CvmAstFile *file = cvm_ast_parse(arena, source, &diag);
    FILE *stream = diag.error_count ? NULL : open_memstream(&text, size);
    if (!stream)
        return NULL;
    cvm_ast_print(file, false, stream);
    fclose(stream);
    return text;
}

bool cvm_format_same(CvmArena *arena, const CvmSource *one, const CvmSource *other) {
    size_t size, other_size;
    if (!same_tokens(arena, one, other))
        return false;
    char *text = tree(arena, one, &size), *other_text = tree(arena, other, &other_size);
    bool same = text && other_text && size == other_size && !memcmp(text, other_text, size);
    free(text);
    free(other_text);
    return same;
}
