/* See class_names.h. */
#include "compiler/driver/class_names.h"

#include "compiler/driver/report.h"
#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

/* In the session's arena. */
static const char *shown_name(CvmSession *session, const char *name) {
    char *clean = cvm_clean_text(name, CVM_TEXT_LINE);
    if (!clean)
        cvm_report_out_of_memory();
    const char *shown = cvm_arena_format(session->arena, "%s", clean);
    free(clean);
    return shown;
}

void cvm_session_name_classes(CvmSession *session, const char *const *names, int count) {
    if (session->class_names)
        return;
    const char **shown = cvm_arena_array(session->arena, (size_t)count + 1, sizeof *shown);
    for (int i = 0; i < count; i++)
        shown[i] = shown_name(session, names[i]);
    session->class_names = shown;
    session->class_count = count;
}

const char *cvm_session_class_name(const CvmSession *session, int index, char *text, size_t size) {
    if (index < session->class_count)
        return session->class_names[index];
    snprintf(text, size, "class %d", index);
    return text;
}

char *cvm_session_class_lines(const CvmSession *session) {
    size_t size = 1;
    for (int i = 0; i < session->class_count; i++)
        size += strlen(session->class_names[i]) + 1;
    char *lines = session->class_count ? cvm_arena_alloc(session->arena, size) : NULL, *end = lines;
    for (int i = 0; i < session->class_count; i++)
        end += sprintf(end, "%s%s", i ? "\n" : "", session->class_names[i]);
    return lines;
}

/* The lines as a list in the session's arena. */
static const char *const *cut_lines(CvmSession *session, const char *lines, int *count) {
    *count = 1;
    for (const char *c = lines; *c; c++)
        *count += *c == '\n';
    const char **list = cvm_arena_array(session->arena, (size_t)*count, sizeof *list);
    for (int i = 0; i < *count; i++) {
        size_t length = strcspn(lines, "\n");
        list[i] = cvm_arena_format(session->arena, "%.*s", (int)length, lines);
        lines += length + (lines[length] == '\n');
    }
    return list;
}

static bool compare(CvmSession *session, const char *path, const char *const *names, int count) {
    int same = 0;
    while (same < count && same < session->class_count &&
           !strcmp(names[same], session->class_names[same]))
        same++;
    if (same == count && same == session->class_count)
        return true;
    return cvm_session_refuse(
        session, CVM_EXIT_INPUT,
        "%s was trained on other classes: its class %d is '%s', and that of the folder is '%s'",
        path, same, same < count ? cvm_shown(names[same]).text : "none",
        same < session->class_count ? cvm_shown(session->class_names[same]).text : "none");
}

bool cvm_session_take_class_lines(CvmSession *session, const char *path, const char *lines) {
    int count;
    if (!lines)
        return true;
    const char *const *names = cut_lines(session, lines, &count);
    if (session->folders)
        return compare(session, path, names, count);
    cvm_session_name_classes(session, names, count);
    return true;
}
