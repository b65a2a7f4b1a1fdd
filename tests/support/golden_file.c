/* See golden_file.h. */
#include "tests/support/golden_file.h"

#include <dirent.h>
#include <stdlib.h>
#include <string.h>

static void stop(const char *path, const char *why) {
    fprintf(stderr, "%s: %s\n", path, why);
    exit(1);
}

static CvmGoldenFile *read_file(const char *path, CvmArena *arena) {
    FILE *stream = fopen(path, "rb");
    if (!stream)
        stop(path, "cannot be read");
    fseek(stream, 0, SEEK_END);
    size_t length = (size_t)ftell(stream);
    rewind(stream);
    char *text = cvm_arena_alloc(arena, length + 1);
    if (fread(text, 1, length, stream) != length)
        stop(path, "cannot be read whole");
    fclose(stream);
    CvmGoldenFile *file = CVM_NEW(arena, CvmGoldenFile);
    *file = (CvmGoldenFile){path, text, length};
    return file;
}

/* --- lines --- */

static size_t next_line(const CvmGoldenFile *file, size_t at) {
    const char *end = memchr(file->text + at, '\n', file->length - at);
    return end ? (size_t)(end - file->text) + 1 : file->length;
}

static bool line_starts(const CvmGoldenFile *file, size_t at, const char *with) {
    return !strncmp(file->text + at, with, strlen(with));
}

/* The first line at or after `at` that starts so; the end when there is none. */
static size_t find_line(const CvmGoldenFile *file, size_t at, size_t end, const char *with) {
    while (at < end && !line_starts(file, at, with))
        at = next_line(file, at);
    return at < end ? at : end;
}

static char *slice(const CvmGoldenFile *file, size_t begin, size_t end, CvmArena *arena) {
    return cvm_arena_copy(arena, file->text + begin, end - begin);
}

/* The section's text, [*begin, *end): up to the next section or the end of the case. */
static bool find_section(const CvmGoldenFile *file, size_t at, size_t case_end, const char *head,
                         size_t *begin, size_t *end) {
    *begin = find_line(file, at, case_end, head);
    if (*begin == case_end)
        return false;
    *begin = next_line(file, *begin);
    *end = find_line(file, *begin, case_end, "--- ");
    return true;
}

static void read_case(const CvmGoldenFile *file, size_t at, size_t end, CvmGoldenCase *golden,
                      CvmArena *arena) {
    const char *base = strrchr(file->path, '/');
    size_t options = next_line(file, at);
    *golden = (CvmGoldenCase){.file = file};
    golden->name = cvm_arena_format(arena, "%s: %s", base ? base + 1 : file->path,
                                    slice(file, at + 4, options - 1, arena));
    golden->options = slice(file, options, find_line(file, options, end, "--- "), arena);
    size_t begin, stop_at;
    golden->source = find_section(file, options, end, "--- source", &begin, &stop_at)
                         ? slice(file, begin, stop_at, arena)
                         : "";
    if (!find_section(file, options, end, "--- expected", &begin, &stop_at))
        stop(file->path, "a case has no '--- expected'");
    golden->expected = slice(file, begin, stop_at, arena);
    golden->expected_begin = begin;
    golden->expected_end = stop_at;
}

static void add_cases(CvmGoldenCases *cases, const CvmGoldenFile *file, CvmArena *arena) {
    size_t at = find_line(file, 0, file->length, "=== ");
    while (at < file->length) {
        size_t end = find_line(file, next_line(file, at), file->length, "=== ");
        CvmGoldenCase *longer =
            cvm_arena_array(arena, (size_t)cases->count + 1, sizeof *cases->cases);
        if (cases->count)
            memcpy(longer, cases->cases, (size_t)cases->count * sizeof *longer);
        read_case(file, at, end, &longer[cases->count++], arena);
        cases->cases = longer;
        at = end;
    }
}

static int is_test(const struct dirent *entry) {
    const char *dot = strrchr(entry->d_name, '.');
    return dot && !strcmp(dot, ".test");
}

CvmGoldenCases cvm_golden_read(const char *folder, CvmArena *arena) {
    struct dirent **entries;
    int count = scandir(folder, &entries, is_test, alphasort);
    if (count < 0)
        stop(folder, "cannot be read");
    CvmGoldenCases cases = {0};
    for (int i = 0; i < count; i++) {
        const char *path = cvm_arena_format(arena, "%s/%s", folder, entries[i]->d_name);
        add_cases(&cases, read_file(path, arena), arena);
        free(entries[i]);
    }
    free(entries);
    return cases;
}

const char *cvm_golden_option(const CvmGoldenCase *golden, const char *name, const char *otherwise,
                              CvmArena *arena) {
    size_t length = strlen(name);
    for (const char *line = golden->options; *line;) {
        size_t end = strcspn(line, "\n");
        if (!strncmp(line, name, length) && line[length] == ':') {
            const char *value = line + length + 1;
            value += strspn(value, " ");
            return cvm_arena_copy(arena, value, (size_t)(line + end - value));
        }
        line += end + (line[end] == '\n');
    }
    return otherwise;
}

void cvm_golden_rewrite(const CvmGoldenCases *cases, char *const *actual) {
    for (int first = 0, next; first < cases->count; first = next) {
        const CvmGoldenFile *file = cases->cases[first].file;
        FILE *stream = fopen(file->path, "wb");
        if (!stream)
            stop(file->path, "cannot be written");
        size_t at = 0;
        for (next = first; next < cases->count && cases->cases[next].file == file; next++) {
            const CvmGoldenCase *golden = &cases->cases[next];
            fwrite(file->text + at, 1, golden->expected_begin - at, stream);
            fputs(actual[next], stream);
            /* an empty line between cases */
            at = golden->expected_end;
            if (at < file->length)
                fputc('\n', stream);
        }
        fwrite(file->text + at, 1, file->length - at, stream);
        fclose(stream);
    }
}
