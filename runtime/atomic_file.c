/* See atomic_file.h. */
#include "runtime/atomic_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MAX_ATTEMPTS = 100 };

static bool write_error(const char *path, int reason, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot write %.800s: %s", path,
                         strerror(reason));
}

/* A device or a pipe would be replaced by the rename, a folder would refuse it, and a file that may
 * not be written would not be asked: say so at once. *exists with its status: there is a file. */
static bool check_target(const char *path, bool *exists, struct stat *status, CvmError *error) {
    *exists = stat(path, status) == 0;
    if (*exists && !S_ISREG(status->st_mode))
        return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot write %.800s: it is %s", path,
                             S_ISDIR(status->st_mode) ? "a folder" : "not a regular file");
    if (*exists && access(path, W_OK) != 0)
        return write_error(path, errno, error);
    return true;
}

/* Where the file itself is, behind links. In new memory; NULL with errno set. */
static char *real_path(const char *path, bool exists) {
    return exists ? realpath(path, NULL) : strdup(path);
}

/* A new file beside `path`, named after this process and a number nobody has taken. Its descriptor,
 * or -1 with errno set. Created by open, so that the user's umask holds. */
static int create_beside(const char *path, char **temporary) {
    size_t size = strlen(path) + 64;
    char *name = malloc(size);
    int descriptor = -1;
    for (int attempt = 0; name && attempt < MAX_ATTEMPTS; attempt++) {
        snprintf(name, size, "%s.%ld-%d.partial", path, (long)getpid(), attempt);
        descriptor = open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor >= 0 || errno != EEXIST)
            break;
    }
    if (descriptor < 0) {
        int reason = errno;
        free(name);
        errno = reason;
        return -1;
    }
    *temporary = name;
    return descriptor;
}

/* Those of the file that will be replaced, and its owner and group where this process may give
 * files away. */
static bool keep_permissions(int descriptor, const struct stat *status) {
    struct stat own;
    if (fstat(descriptor, &own) != 0)
        return false;
    bool same_owner = own.st_uid == status->st_uid && own.st_gid == status->st_gid;
    if (!same_owner && fchown(descriptor, status->st_uid, status->st_gid) != 0 && errno != EPERM)
        return false;
    return fchmod(descriptor, status->st_mode & 0777) == 0;
}

bool cvm_atomic_file_open(const char *path, CvmAtomicFile *file, CvmError *error) {
    bool exists;
    struct stat status;
    *file = (CvmAtomicFile){0};
    if (!check_target(path, &exists, &status, error))
        return false;
    file->path = real_path(path, exists);
    int descriptor = file->path ? create_beside(file->path, &file->temporary) : -1;
    bool opened = descriptor >= 0 && (!exists || keep_permissions(descriptor, &status));
    file->stream = opened ? fdopen(descriptor, "wb") : NULL;
    if (file->stream)
        return true;
    int reason = errno;
    if (descriptor >= 0)
        close(descriptor);
    cvm_atomic_file_abandon(file);
    return write_error(path, reason, error);
}

void cvm_atomic_file_abandon(CvmAtomicFile *file) {
    if (file->stream)
        fclose(file->stream);
    if (file->temporary)
        unlink(file->temporary);
    free(file->path);
    free(file->temporary);
    *file = (CvmAtomicFile){0};
}

/* Makes the rename itself last. Some file systems cannot sync a folder; the file is whole there
 * too, so that is no error. */
static void sync_folder(const char *path) {
    const char *slash = strrchr(path, '/');
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    int descriptor = folder ? open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (descriptor >= 0) {
        fsync(descriptor);
        close(descriptor);
    }
    free(folder);
}

void cvm_atomic_file_write(CvmAtomicFile *file, const void *bytes, size_t size) {
    if (file->failure || size == 0)
        return;
    errno = 0;
    if (fwrite(bytes, 1, size, file->stream) != size)
        file->failure = errno ? errno : EIO;
}

bool cvm_atomic_file_map(CvmAtomicFile *file, int64_t size, CvmMappedFile *mapped,
                         CvmError *error) {
    int descriptor = fileno(file->stream);
    int reason = posix_fallocate(descriptor, 0, size);
    void *bytes = reason
                      ? MAP_FAILED
                      : mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor, 0);
    if (bytes == MAP_FAILED)
        return write_error(file->path, reason ? reason : errno, error);
    *mapped = (CvmMappedFile){bytes, size};
    return true;
}

/* Flushes, syncs and closes the stream; 0 or the reason of the first failure. */
static int finish_stream(CvmAtomicFile *file) {
    int reason = file->failure;
    if (!reason && (fflush(file->stream) != 0 || fsync(fileno(file->stream)) != 0))
        reason = errno;
    if (fclose(file->stream) != 0 && !reason)
        reason = errno;
    file->stream = NULL;
    return reason;
}

bool cvm_atomic_file_commit(CvmAtomicFile *file, CvmError *error) {
    int reason = finish_stream(file);
    if (!reason && rename(file->temporary, file->path) != 0)
        reason = errno;
    if (reason) {
        write_error(file->path, reason, error);
        cvm_atomic_file_abandon(file);
        return false;
    }
    sync_folder(file->path);
    free(file->temporary);
    file->temporary = NULL; /* renamed: nothing to remove */
    cvm_atomic_file_abandon(file);
    return true;
}
