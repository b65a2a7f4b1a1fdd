/* A folder of its own for a test's files, and a few ways to look at files. Every function stops the
 * test when the machine refuses. */
#ifndef CVM_TESTS_TEMPORARY_H
#define CVM_TESTS_TEMPORARY_H

#include <stdbool.h>
#include <stddef.h>

/* As cmocka's setup and teardown: *state is the folder's path. */
int temporary_setup(void **state);
int temporary_teardown(void **state);

/* "FOLDER/NAME" in one of a few static buffers that are used in turn. */
const char *temporary_path(void *const *state, const char *name);

void temporary_write(const char *path, const void *bytes, size_t size);
/* The file's bytes, to be freed; its size in *size. */
void *temporary_read(const char *path, size_t *size);

/* How many files the folder holds. */
int temporary_count(void *const *state);

#endif
