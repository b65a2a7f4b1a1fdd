/* See picture_paths.h. */
#include "compiler/driver/picture_paths.h"

#include "compiler/driver/report.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static CvmNextPath no_memory(CvmError *error) {
    cvm_error_set(error, CVM_ERROR_MACHINE, "out of memory");
    return CVM_PATH_FAILED;
}

/* --- a folder --- */

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

static CvmNextPath next_of_folder(CvmPicturePaths *paths, char **path, CvmError *error) {
    const char *slash = paths->folder[strlen(paths->folder) - 1] == '/' ? "" : "/";
    if (asprintf(path, "%s%s%s", paths->folder, slash, paths->names.list[paths->name++]) >= 0)
        return CVM_PATH_FOUND;
    *path = NULL;
    return no_memory(error);
}

static bool is_in_folder(CvmPicturePaths *paths) {
    if (paths->folder && paths->name < paths->names.count)
        return true;
    cvm_names_free(&paths->names);
    free(paths->folder);
    paths->folder = NULL;
    return false;
}

/* --- the list --- */

/* Reads the next line that is not empty into *line. */
static CvmNextPath read_line(CvmPicturePaths *paths, char **line, CvmError *error) {
    size_t size = 0;
    ssize_t length;
    *line = NULL;
    errno = 0;
    while ((length = getline(line, &size, paths->list)) >= 0) {
        while (length > 0 && ((*line)[length - 1] == '\n' || (*line)[length - 1] == '\r'))
            (*line)[--length] = 0;
        if (length > 0)
            return CVM_PATH_FOUND;
    }
    free(*line);
    *line = NULL;
    bool failed = ferror(paths->list) || errno == ENOMEM;
    fclose(paths->list);
    paths->list = NULL;
    if (!failed)
        return CVM_PATH_END;
    *line = strdup(paths->list_path);
    cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read the list %.800s: %s", paths->list_path,
                  strerror(errno));
    return CVM_PATH_FAILED;
}

/* --- all of them --- */

/* The next argument or line of the list. */
static CvmNextPath next_named(CvmPicturePaths *paths, char **path, CvmError *error) {
    if (paths->argument_count > 0) {
        paths->argument_count--;
        *path = strdup(*paths->arguments++);
        return *path ? CVM_PATH_FOUND : no_memory(error);
    }
    return paths->list ? read_line(paths, path, error) : CVM_PATH_END;
}

static CvmNextPath next_path(CvmPicturePaths *paths, char **path, CvmError *error) {
    *path = NULL;
    if (is_in_folder(paths))
        return next_of_folder(paths, path, error);
    CvmNextPath found = next_named(paths, path, error);
    if (found != CVM_PATH_FOUND || !is_folder(*path))
        return found;
    if (!cvm_picture_names(*path, &paths->names, error))
        return CVM_PATH_FAILED;
    paths->folder = *path;
    paths->name = 0;
    return next_of_folder(paths, path, error);
}

static CvmNextPath next(void *context, char **path, CvmError *error) {
    CvmPicturePaths *paths = context;
    if (paths->known_first == paths->known_count)
        return next_path(paths, path, error);
    struct CvmKnownPath *known = &paths->known[paths->known_first++];
    *path = known->path;
    known->path = NULL;
    *error = known->error;
    return known->found;
}

CvmPathSource cvm_picture_paths_source(CvmPicturePaths *paths) {
    return (CvmPathSource){next, paths};
}

bool cvm_picture_paths_are(CvmPicturePaths *paths, int count) {
    paths->known = calloc((size_t)count, sizeof *paths->known);
    if (!paths->known)
        cvm_report_out_of_memory();
    CvmNextPath found = CVM_PATH_FOUND;
    while (found != CVM_PATH_END && paths->known_count < count) {
        struct CvmKnownPath *known = &paths->known[paths->known_count];
        found = known->found = next_path(paths, &known->path, &known->error);
        paths->known_count += found != CVM_PATH_END;
    }
    return paths->known_count == count;
}

bool cvm_picture_paths_open(CvmSession *session, const char *const *arguments, int count,
                            const char *list, CvmPicturePaths *paths) {
    *paths = (CvmPicturePaths){.arguments = arguments, .argument_count = count, .list_path = list};
    if (!list)
        return true;
    if (is_folder(list))
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "the list %s is a folder; name it without --list", list);
    paths->list = strcmp(list, "-") ? fopen(list, "rbe") : stdin;
    return paths->list || cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                             "cannot read the list %s: %s", list, strerror(errno));
}

void cvm_picture_paths_close(CvmPicturePaths *paths) {
    for (int i = paths->known_first; i < paths->known_count; i++)
        free(paths->known[i].path);
    free(paths->known);
    cvm_names_free(&paths->names);
    free(paths->folder);
    if (paths->list)
        fclose(paths->list);
}
