/* Collecting and printing diagnostics; see diag.h. */
#include "compiler/front/diag.h"

#include "runtime/text.h"

#include <cjson/cJSON.h>

#include <stdlib.h>
#include <string.h>

enum { MAX_ERRORS = 50, SHOWN_LINE = 200 };

void cvm_diag_init(CvmDiag *diag, CvmArena *arena) {
    *diag = (CvmDiag){.arena = arena};
}

static bool same_place(const CvmSpan *a, const CvmSpan *b) {
    return a->source == b->source && a->first_line == b->first_line &&
           a->first_column == b->first_column;
}

/* One mistake in a block would otherwise be told again for every model built from it. */
static bool is_repeat(const CvmDiag *diag, const CvmDiagnostic *added) {
    for (const CvmDiagnostic *old = diag->first; old; old = old->next)
        if (old->code == added->code && old->severity == added->severity && added->span.source &&
            same_place(&old->span, &added->span) && !strcmp(old->message, added->message))
            return true;
    return false;
}

static void append(CvmDiag *diag, const CvmDiagnostic *diagnostic) {
    if (is_repeat(diag, diagnostic))
        return;
    if (diagnostic->severity == CVM_ERROR && ++diag->error_count > MAX_ERRORS)
        return;
    CvmDiagnostic *kept = CVM_NEW(diag->arena, CvmDiagnostic);
    *kept = *diagnostic;
    if (diag->last)
        diag->last->next = kept;
    else
        diag->first = kept;
    diag->last = kept;
}

static void add(CvmDiag *diag, CvmDiagnostic diagnostic, const char *mend, const char *format,
                va_list arguments) {
    diagnostic.message = cvm_arena_format_list(diag->arena, format, arguments);
    diagnostic.mend = mend ? cvm_arena_copy(diag->arena, mend, strlen(mend)) : NULL;
    append(diag, &diagnostic);
}

bool cvm_diag_error(CvmDiag *diag, int code, CvmSpan span, const CvmUse *uses, const char *mend,
                    const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(diag, (CvmDiagnostic){.severity = CVM_ERROR, .code = code, .span = span, .uses = uses},
        mend, format, arguments);
    va_end(arguments);
    return false;
}

void cvm_diag_add(CvmDiag *diag, CvmSeverity severity, int code, CvmSpan span, const CvmUse *uses,
                  const char *mend, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    add(diag, (CvmDiagnostic){.severity = severity, .code = code, .span = span, .uses = uses}, mend,
        format, arguments);
    va_end(arguments);
}

/* --- printing --- */

static const char *severity_name(CvmSeverity severity) {
    return severity == CVM_ERROR ? "error" : severity == CVM_WARNING ? "warning" : "note";
}

static int compare(const void *left, const void *right) {
    const CvmDiagnostic *a = *(const CvmDiagnostic *const *)left;
    const CvmDiagnostic *b = *(const CvmDiagnostic *const *)right;
    const char *path_a = a->span.source ? a->span.source->path : "";
    const char *path_b = b->span.source ? b->span.source->path : "";
    int order = strcmp(path_a, path_b);
    if (!order)
        order = a->span.first_line - b->span.first_line;
    if (!order)
        order = a->span.first_column - b->span.first_column;
    return order ? order : a->code - b->code;
}

/* The diagnostics by file and place; in the diag's arena. */
static const CvmDiagnostic **sorted(const CvmDiag *diag, int *count) {
    *count = 0;
    for (const CvmDiagnostic *one = diag->first; one; one = one->next)
        ++*count;
    const CvmDiagnostic **list = cvm_arena_array(diag->arena, (size_t)*count + 1, sizeof *list);
    int i = 0;
    for (const CvmDiagnostic *one = diag->first; one; one = one->next)
        list[i++] = one;
    qsort(list, (size_t)*count, sizeof *list, compare);
    return list;
}

/* Bytes that would steer a terminal are shown as '?'. */
static void print_safely(const char *text, size_t length, FILE *stream) {
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        fputc(byte == '\t' ? ' ' : byte < 32 || byte == 127 ? '?' : byte, stream);
    }
}

static const char *find_line(const CvmSource *source, int line, size_t *length) {
    const char *at = source->text, *end = source->text + source->length;
    for (int i = 1; i < line && at < end; i++) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        at = newline ? newline + 1 : end;
    }
    if (at >= end)
        return NULL;
    const char *newline = memchr(at, '\n', (size_t)(end - at));
    *length = (size_t)((newline ? newline : end) - at);
    return at;
}

/* The source line and a caret under the span's first column, as far as it goes on that line. */
static void print_excerpt(const CvmSpan *span, FILE *stream) {
    size_t length;
    const char *line = find_line(span->source, span->first_line, &length);
    if (!line || span->first_column < 1 || span->first_column > SHOWN_LINE)
        return;
    size_t shown = length < SHOWN_LINE ? length : SHOWN_LINE;
    fprintf(stream, "%6d | ", span->first_line);
    print_safely(line, shown, stream);
    fprintf(stream, "\n       | %*s^", span->first_column - 1, "");
    int last = span->last_line > span->first_line ? (int)shown : span->last_column;
    for (int i = span->first_column + 1; i <= last && i <= (int)shown; i++)
        fputc('~', stream);
    fputc('\n', stream);
}

static void print_place(const CvmSpan *span, FILE *stream) {
    if (!span->source)
        return;
    print_safely(span->source->path, strlen(span->source->path), stream);
    if (span->first_line > 0)
        fprintf(stream, ":%d:%d", span->first_line, span->first_column);
}

static void print_one(const CvmDiagnostic *one, FILE *stream) {
    print_place(&one->span, stream);
    fprintf(stream, "%s%s CVM%d: ", one->span.source ? ": " : "", severity_name(one->severity),
            one->code);
    print_safely(one->message, strlen(one->message), stream);
    fputc('\n', stream);
    if (one->span.source && one->span.first_line > 0)
        print_excerpt(&one->span, stream);
    if (one->mend) {
        fputs("  mend: ", stream);
        print_safely(one->mend, strlen(one->mend), stream);
        fputc('\n', stream);
    }
    for (const CvmUse *use = one->uses; use; use = use->outer) {
        fprintf(stream, "  in block %s, used at ", use->block);
        print_place(&use->span, stream);
        fputc('\n', stream);
    }
}

void cvm_diag_print(const CvmDiag *diag, FILE *stream) {
    int count;
    const CvmDiagnostic **list = sorted(diag, &count);
    for (int i = 0; i < count; i++)
        print_one(list[i], stream);
    if (diag->error_count > MAX_ERRORS)
        fprintf(stream, "and %d more errors\n", diag->error_count - MAX_ERRORS);
}

static void add_place(cJSON *object, const CvmSpan *span) {
    if (!span->source)
        return;
    cJSON_AddStringToObject(object, "file", span->source->path);
    cJSON_AddNumberToObject(object, "line", span->first_line);
    cJSON_AddNumberToObject(object, "column", span->first_column);
    cJSON_AddNumberToObject(object, "last_line", span->last_line);
    cJSON_AddNumberToObject(object, "last_column", span->last_column);
}

static cJSON *one_as_json(const CvmDiagnostic *one) {
    cJSON *object = cJSON_CreateObject();
    char code[16];
    snprintf(code, sizeof code, "CVM%d", one->code);
    cJSON_AddStringToObject(object, "severity", severity_name(one->severity));
    cJSON_AddStringToObject(object, "code", code);
    add_place(object, &one->span);
    cJSON_AddStringToObject(object, "message", one->message);
    if (one->mend)
        cJSON_AddStringToObject(object, "mend", one->mend);
    cJSON *uses = one->uses ? cJSON_AddArrayToObject(object, "uses") : NULL;
    for (const CvmUse *use = one->uses; use; use = use->outer) {
        cJSON *place = cJSON_CreateObject();
        cJSON_AddStringToObject(place, "block", use->block);
        add_place(place, &use->span);
        cJSON_AddItemToArray(uses, place);
    }
    return object;
}

void cvm_diag_print_json(const CvmDiag *diag, FILE *stream) {
    int count;
    const CvmDiagnostic **list = sorted(diag, &count);
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++)
        cJSON_AddItemToArray(array, one_as_json(list[i]));
    char *text = cJSON_Print(array);
    char *clean =
        text ? cvm_clean_text(text, CVM_TEXT_DATA) : NULL; /* file names may be no UTF-8 */
    if (clean)
        fprintf(stream, "%s\n", clean);
    free(clean);
    cJSON_free(text);
    cJSON_Delete(array);
}
