/* See temporary.h. */
#include "tests/support/temporary.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { BUFFERS = 8, PATH_BYTES = 512 };

int temporary_setup(void **state) {
    char *folder = strdup("/tmp/cvm-test-XXXXXX");
    *state = folder;
    return folder && mkdtemp(folder) ? 0 : -1;
}

/* Calls visit (or nothing) for each entry; returns how many there are. */
static int each_entry(const char *folder, void (*visit)(const char *path)) {
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(directory));) {
        char path[PATH_BYTES * 2];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        count++;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (visit)
            visit(path);
    }
    closedir(directory);
    return count;
}

static void remove_entry(const char *path) {
    remove(path);
}

int temporary_teardown(void **state) {
    each_entry(*state, remove_entry);
    int result = rmdir(*state);
    free(*state);
    return result;
}

int temporary_count(void *const *state) {
    return each_entry(*state, NULL);
}

const char *temporary_path(void *const *state, const char *name) {
    static char buffers[BUFFERS][PATH_BYTES];
    static int next;
    char *path = buffers[next++ % BUFFERS];
    snprintf(path, PATH_BYTES, "%s/%s", (const char *)*state, name);
    return path;
}

void temporary_write(const char *path, const void *bytes, size_t size) {
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(fwrite(bytes, 1, size, stream), size);
    assert_int_equal(fclose(stream), 0);
}

void *temporary_read(const char *path, size_t *size) {
    FILE *stream = fopen(path, "rb");
    assert_non_null(stream);
    assert_int_equal(fseek(stream, 0, SEEK_END), 0);
    long length = ftell(stream);
    assert_true(length >= 0);
    rewind(stream);
    void *bytes = malloc((size_t)length + 1);
    assert_non_null(bytes);
    assert_int_equal(fread(bytes, 1, (size_t)length, stream), length);
    fclose(stream);
    *size = (size_t)length;
    return bytes;
}
