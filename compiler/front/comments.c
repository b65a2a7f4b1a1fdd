/* Gives comments back to what they speak of: those on lines of their own to what follows, those at
 * a line's end to what that line ends with. A formatter can then move both together. */
#include "compiler/front/parse_state.h"

typedef struct Attacher {
    CvmAstComment *rest; /* not given away yet, in order */
} Attacher;

static bool is_before(const CvmSpan *a, int line, int column) {
    return a->first_line < line || (a->first_line == line && a->first_column < column);
}

/* Takes the comments that stand before a place. */
static CvmAstComment *take_before(Attacher *attacher, int line, int column) {
    CvmAstComment *first = attacher->rest, **end = &first;
    while (*end && is_before(&(*end)->span, line, column))
        end = &(*end)->next;
    attacher->rest = *end;
    *end = NULL;
    return first;
}

/* Takes the comment at a line's end, if nothing else follows there: neither the next one nor the
 * end of what it is in (NULL: the file). */
static CvmAstComment *take_behind(Attacher *attacher, const CvmSpan *span, const CvmSpan *next,
                                  const CvmSpan *outer) {
    CvmAstComment *comment = attacher->rest;
    if (!comment || comment->span.first_line != span->last_line ||
        (next && next->first_line == span->last_line) ||
        (outer && !is_before(&comment->span, outer->last_line, outer->last_column)))
        return NULL;
    attacher->rest = comment->next;
    comment->next = NULL;
    return comment;
}

static void attach_statements(Attacher *attacher, CvmAstStatement *statements,
                              const CvmSpan *outer) {
    for (CvmAstStatement *one = statements; one; one = one->next) {
        one->comments.before = take_before(attacher, one->span.first_line, one->span.first_column);
        attach_statements(attacher, one->body, &one->span);
        if (one->body)
            one->last_comments = take_before(attacher, one->span.last_line, one->span.last_column);
        one->comments.after =
            take_behind(attacher, &one->span, one->next ? &one->next->span : NULL, outer);
    }
}

static void attach_settings(Attacher *attacher, CvmAstSetting *settings, const CvmSpan *outer) {
    for (CvmAstSetting *one = settings; one; one = one->next) {
        one->comments.before = take_before(attacher, one->span.first_line, one->span.first_column);
        attach_settings(attacher, one->settings, &one->span);
        if (one->settings)
            one->last_comments = take_before(attacher, one->span.last_line, one->span.last_column);
        one->comments.after =
            take_behind(attacher, &one->span, one->next ? &one->next->span : NULL, outer);
    }
}

void cvm_ast_attach_comments(CvmAstFile *file, CvmAstComment *comments) {
    Attacher attacher = {comments};
    for (CvmAstItem *item = file->items; item; item = item->next) {
        item->comments.before =
            take_before(&attacher, item->span.first_line, item->span.first_column);
        attach_statements(&attacher, item->body, &item->span);
        attach_settings(&attacher, item->settings, &item->span);
        item->last_comments = take_before(&attacher, item->span.last_line, item->span.last_column);
        item->comments.after =
            take_behind(&attacher, &item->span, item->next ? &item->next->span : NULL, NULL);
    }
    file->last_comments = attacher.rest;
}
