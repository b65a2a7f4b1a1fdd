/* See tuning.h: the record on disk. A text of one line an entry,
 *
 *   cvm tuning 1 IDENTITY
 *   QUESTION <tab> ANSWER <tab> seconds <tab> MODEL'S CHOICE <tab> seconds
 *   …
 *   end HASH
 *
 * where IDENTITY is the hash of the processor's and compiler's, and HASH that of all lines above. A
 * file is taken whole or not at all. */
#include "compiler/tuning.h"
#include "runtime/atomic_file.h"
#include "runtime/hash.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { MOST_BYTES = 1 << 20, MOST_ENTRIES = 20000, FIELDS = 5 };

static const char *path_of(const char *cache, const char *identity, CvmArena *arena) {
    return cvm_arena_format(arena, "%s/tuning/%016" PRIx64 ".txt", cache,
                            cvm_hash_text(0, identity));
}

/* The file's text; NULL where there is none, *unreadable where there is but not to be read. */
static char *read_text(const char *path, CvmArena *arena, bool *unreadable) {
    FILE *file = fopen(path, "rb");
    *unreadable = !file && errno != ENOENT;
    if (!file)
        return NULL;
    char *text = cvm_arena_alloc(arena, MOST_BYTES + 1);
    size_t size = fread(text, 1, MOST_BYTES + 1, file);
    *unreadable = ferror(file) || size > MOST_BYTES || memchr(text, 0, size);
    fclose(file);
    if (*unreadable)
        return NULL;
    text[size] = '\0';
    return text;
}

/* Cuts the text's first line off; NULL at the end, and where the last line has none. */
static char *next_line(char **text) {
    char *line = *text, *end = strchr(line, '\n');
    if (!end)
        return NULL;
    *end = '\0';
    *text = end + 1;
    return line;
}

static bool read_seconds(const char *text, double *seconds) {
    char *end;
    *seconds = strtod(text, &end);
    return end != text && !*end && *seconds >= 0 && *seconds < 1e9;
}

static bool read_entry(CvmTuning *tuning, char *line) {
    char *fields[FIELDS];
    for (int i = 0; i < FIELDS; i++) {
        fields[i] = line;
        line = strchr(line, '\t');
        if (!line != (i == FIELDS - 1))
            return false;
        if (line)
            *line++ = '\0';
    }
    if (cvm_tuning_find(tuning, fields[0]))
        return false;
    CvmTuningEntry *entry = cvm_tuning_add(tuning, fields[0]);
    entry->answer = cvm_arena_format(tuning->arena, "%s", fields[1]);
    entry->model = cvm_arena_format(tuning->arena, "%s", fields[3]);
    return read_seconds(fields[2], &entry->seconds) &&
           read_seconds(fields[4], &entry->model_seconds);
}

/* False: the text is no whole record, or another's. */
static bool read_entries(CvmTuning *tuning, const char *identity, char *text) {
    char *end = strstr(text, "\nend ");
    uint64_t hash, whose;
    int used = 0;
    if (!end || sscanf(end, "\nend %" SCNx64 "%n", &hash, &used) != 1 ||
        strcmp(end + used, "\n") != 0 || hash != cvm_hash(0, text, (size_t)(end + 1 - text)))
        return false;
    end[1] = '\0';
    char *line = next_line(&text);
    if (sscanf(line, "cvm tuning 1 %" SCNx64 "%n", &whose, &used) != 1 || line[used] ||
        whose != cvm_hash_text(0, identity))
        return false;
    for (int count = 0; (line = next_line(&text)); count++)
        if (count == MOST_ENTRIES || !read_entry(tuning, line))
            return false;
    return true;
}

CvmTuning *cvm_tuning_load(const char *cache, const char *identity, CvmArena *arena,
                           const char **ignored) {
    const char *path = path_of(cache, identity, arena);
    CvmArena *scratch = cvm_arena_create();
    CvmTuning *tuning = CVM_NEW(arena, CvmTuning);
    tuning->arena = arena;
    bool unreadable;
    char *text = read_text(path, scratch, &unreadable);
    bool taken = text && read_entries(tuning, identity, text);
    *ignored = unreadable || (text && !taken) ? path : NULL;
    cvm_arena_free(scratch);
    return taken ? tuning : NULL;
}

static void write_entry(FILE *stream, const CvmTuningEntry *entry) {
    fprintf(stream, "%s\t%s\t%.3e\t%s\t%.3e\n", entry->question, entry->answer, entry->seconds,
            entry->model, entry->model_seconds);
}

/* The text of the record; memory for free(). */
static char *text_of(const CvmTuning *tuning, const CvmTuning *before, const char *identity,
                     size_t *size) {
    char *text = NULL;
    FILE *stream = open_memstream(&text, size);
    if (!stream)
        return NULL;
    fprintf(stream, "cvm tuning 1 %016" PRIx64 "\n", cvm_hash_text(0, identity));
    for (const CvmTuningEntry *entry = before ? before->first : NULL; entry; entry = entry->next) {
        const CvmTuningEntry *now = cvm_tuning_find(tuning, entry->question);
        if (!now || !now->answer)
            write_entry(stream, entry);
    }
    for (const CvmTuningEntry *entry = tuning->first; entry; entry = entry->next)
        if (entry->answer)
            write_entry(stream, entry);
    fflush(stream);
    fprintf(stream, "end %016" PRIx64 "\n", cvm_hash(0, text, *size));
    return fclose(stream) == 0 ? text : NULL;
}

bool cvm_tuning_save(const CvmTuning *tuning, const char *cache, const char *identity,
                     const char **path, CvmError *error) {
    CvmArena *arena = tuning->arena;
    const char *ignored;
    CvmAtomicFile file;
    size_t size = 0;
    *path = path_of(cache, identity, arena);
    mkdir(cache, 0777);
    mkdir(cvm_arena_format(arena, "%s/tuning", cache), 0777); /* opening tells when it is missing */
    char *text =
        text_of(tuning, cvm_tuning_load(cache, identity, arena, &ignored), identity, &size);
    if (!text)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "there is no memory for a tuning file");
    bool opened = cvm_atomic_file_open(*path, &file, error);
    if (opened)
        cvm_atomic_file_write(&file, text, size);
    free(text);
    return opened && cvm_atomic_file_commit(&file, error);
}
