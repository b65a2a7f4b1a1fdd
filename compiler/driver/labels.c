/* See labels.h. */
#include "compiler/driver/labels.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/report.h"
#include "runtime/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_BYTES = 1 << 20 };

static bool refuse(CvmSession *session, const char *path, const char *what) {
    return cvm_session_refuse(session, CVM_EXIT_INPUT, "the labels file %s %s", path, what);
}

/* Whole, in the session's arena, with a zero behind it. */
static char *read_text(CvmSession *session, const char *path) {
    FILE *file = fopen(path, "rb");
    if (!file) {
        cvm_session_refuse(session, CVM_EXIT_MACHINE, "cannot read %s: %s", path, strerror(errno));
        return NULL;
    }
    char *text = cvm_arena_alloc(session->arena, MAX_BYTES + 1);
    size_t length = fread(text, 1, MAX_BYTES + 1, file);
    bool failed = ferror(file);
    fclose(file);
    if (failed)
        cvm_session_refuse(session, CVM_EXIT_MACHINE, "cannot read %s", path);
    else if (length > MAX_BYTES)
        refuse(session, path, "is too long");
    else if (memchr(text, 0, length))
        refuse(session, path, "is no text: it holds a zero byte");
    else
        return text;
    return NULL;
}

/* Cuts off the line that `text` begins with; returns what follows. */
static char *cut_line(char *text) {
    char *end = text + strcspn(text, "\n");
    char *next = *end ? end + 1 : end;
    *end = 0;
    if (end > text && end[-1] == '\r')
        end[-1] = 0;
    return next;
}

/* Whether a name can be shown as it is. */
static bool is_clean(const char *name) {
    char *clean = cvm_clean_text(name, CVM_TEXT_LINE);
    bool same = clean && !strcmp(clean, name);
    free(clean);
    return same;
}

bool cvm_session_read_labels(CvmSession *session, int classes) {
    char path[CVM_PATH_SIZE];
    const char *wanted = session->predict ? session->predict->labels : NULL;
    if (!wanted || session->class_names)
        return true;
    if (!cvm_session_has_file(session, wanted, path)) {
        cvm_report_note("classes are told by number: the labels file %s is neither beside %s nor "
                        "in the current folder",
                        wanted, session->file);
        return true;
    }
    char *text = read_text(session, path);
    if (!text)
        return false;
    const char **names = cvm_arena_array(session->arena, (size_t)classes + 1, sizeof *names);
    int count = 0;
    for (char *line = text, *next; *line; line = next, count++) {
        next = cut_line(line);
        if (!*line || !is_clean(line))
            return refuse(session, path,
                          cvm_arena_format(session->arena, "has %s in line %d",
                                           *line ? "a control character or a byte that is no UTF-8"
                                                 : "no name",
                                           count + 1));
        if (count < classes)
            names[count] = line;
    }
    if (count != classes)
        return refuse(session, path,
                      cvm_arena_format(session->arena,
                                       "has %d names, one a line, and %s tells %d classes apart",
                                       count, cvm_model_name(session->model), classes));
    cvm_session_name_classes(session, names, count);
    return true;
}
