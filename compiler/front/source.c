/* Reading source files. */
#include "compiler/front/ast.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static CvmSource *refuse(CvmDiag *diag, CvmSpan span, const char *path, const char *why,
                         bool machine) {
    diag->machine_at_fault |= machine;
    cvm_diag_error(diag, 1101, span, NULL, NULL, "cannot read %s: %s", path, why);
    return NULL;
}

CvmSource *cvm_source_read_stream(CvmArena *arena, FILE *file, const char *path, CvmSpan span,
                                  CvmDiag *diag) {
    struct stat status;
    if (fstat(fileno(file), &status) || S_ISDIR(status.st_mode))
        return refuse(diag, span, path, "it is a folder", true);
    char *text = cvm_arena_alloc(arena, CVM_LARGEST_SOURCE + 2);
    size_t length = fread(text, 1, CVM_LARGEST_SOURCE + 1, file);
    if (ferror(file))
        return refuse(diag, span, path, strerror(errno), true);
    if (length > CVM_LARGEST_SOURCE)
        return refuse(diag, span, path, "it has more than 1 MiB, which no network's text needs",
                      false);
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){
        .path = cvm_arena_copy(arena, path, strlen(path)), .text = text, .length = length};
    text[length] = 0;
    return source;
}

CvmSource *cvm_source_read(CvmArena *arena, const char *path, CvmSpan span, CvmDiag *diag) {
    FILE *file = fopen(path, "rb");
    if (!file)
        return refuse(diag, span, path, strerror(errno), true);
    CvmSource *source = cvm_source_read_stream(arena, file, path, span, diag);
    fclose(file);
    return source;
}
