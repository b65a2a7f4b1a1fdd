/* The pictures that a command line names, one after another: its arguments, then the lines of
 * --list. A folder among them stands for the pictures in it and below it. Nothing is held but the
 * names of one folder, so that a list may be as long as it likes. */
#ifndef CVM_DRIVER_PICTURE_PATHS_H
#define CVM_DRIVER_PICTURE_PATHS_H

#include "compiler/driver/session.h"
#include "runtime/picture_folder.h"
#include "runtime/picture_queue.h"

#include <stdio.h>

typedef struct CvmPicturePaths {
    const char *const *arguments;
    int argument_count;
    const char *list_path; /* NULL: no list */
    FILE *list;            /* open until its end */
    char *folder;          /* that is being gone through; NULL: none */
    CvmNames names;        /* of its pictures */
    int64_t name;          /* the next of them */

    /* those that were looked at in advance */
    struct CvmKnownPath {
        CvmNextPath found;
        char *path;
        CvmError error;
    } *known;
    int known_first, known_count;
} CvmPicturePaths;

/* list: a file of paths, one a line, "-" for stdin, or NULL. A list that cannot be opened is
 * refused. */
bool cvm_picture_paths_open(CvmSession *session, const char *const *arguments, int count,
                            const char *list, CvmPicturePaths *paths);
void cvm_picture_paths_close(CvmPicturePaths *paths);

/* Whether there are so many or more. Looks at them in advance, which waits for a list that is a
 * pipe. */
bool cvm_picture_paths_are(CvmPicturePaths *paths, int count);

/* For a CvmPictureQueue. */
CvmPathSource cvm_picture_paths_source(CvmPicturePaths *paths);

#endif
