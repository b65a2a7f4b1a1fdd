/* Reading source files. */
#include "compiler/front/ast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

enum { LARGEST = 1 << 20 };

static CvmSource *refuse(CvmDiag *diag, CvmSpan span, const char *path, const char *why,
                         bool machine) {
    diag->machine_at_fault |= machine;
    cvm_diag_error(diag, 1101, span, NULL, NULL, "cannot read %s: %s", path, why);
    return NULL;
}

CvmSource *cvm_source_read(CvmArena *arena, const char *path, CvmSpan span, CvmDiag *diag) {
    FILE *file = fopen(path, "rb");
    struct stat status;
    if (!file)
        return refuse(diag, span, path, strerror(errno), true);
    char *text = NULL;
    size_t length = 0;
    const char *why = NULL;
    if (fstat(fileno(file), &status) || S_ISDIR(status.st_mode)) {
        why = "it is a folder";
    } else {
        text = cvm_arena_alloc(arena, LARGEST + 2);
        length = fread(text, 1, LARGEST + 1, file);
        if (ferror(file))
            why = strerror(errno);
    }
    fclose(file);
    if (why)
        return refuse(diag, span, path, why, true);
    if (length > LARGEST)
        return refuse(diag, span, path, "it has more than 1 MiB, which no network's text needs",
                      false);
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){
        .path = cvm_arena_copy(arena, path, strlen(path)), .text = text, .length = length};
    text[length] = 0;
    return source;
}
