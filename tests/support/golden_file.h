/* The format of tests/golden/NAME.test: cases of a source, what to do with it, and the text that
 * must come out. tests/golden/README.md describes it for people.
 *
 *   === name of the case
 *   stage: pass fuse-epilogue        options, one a line
 *   --- source
 *   …
 *   --- expected
 *   …
 */
#ifndef CVM_TEST_GOLDEN_FILE_H
#define CVM_TEST_GOLDEN_FILE_H

#include "compiler/arena.h"

#include <stdbool.h>
#include <stdio.h>

typedef struct CvmGoldenFile {
    const char *path;
    const char *text;
    size_t length;
} CvmGoldenFile;

typedef struct CvmGoldenCase {
    const CvmGoldenFile *file;
    const char *name;    /* "passes.test: fuses bias into conv" */
    const char *options; /* the lines before the first section, joined */
    const char *source;
    const char *expected;                /* NULL: the case has no such section yet */
    size_t expected_begin, expected_end; /* in the file's text */
} CvmGoldenCase;

typedef struct CvmGoldenCases {
    CvmGoldenCase *cases;
    int count;
} CvmGoldenCases;

/* Every case of every *.test in the folder, files in order of their names. Stops the test program
 * with a message when a file is not in the format. */
CvmGoldenCases cvm_golden_read(const char *folder, CvmArena *arena);

/* The option's value ("pass fuse-epilogue"), or `otherwise`. */
const char *cvm_golden_option(const CvmGoldenCase *golden, const char *name, const char *otherwise,
                              CvmArena *arena);

/* Writes each file again with actual[i] as what case i expects. */
void cvm_golden_rewrite(const CvmGoldenCases *cases, char *const *actual);

#endif
