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

/* A device or a pipe would be replaced by the rename, a folder would refuse it: say so at once. */
static bool check_target(const char *path, CvmError *error) {
    struct stat status;
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return cvm_error_set(error, CVM_ERROR_MACHINE, "cannot write %.800s: it is %s", path,
                             S_ISDIR(status.st_mode) ? "a folder" : "not a regular file");
    return true;
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

bool cvm_atomic_file_open(const char *path, CvmAtomicFile *file, CvmError *error) {
    *file = (CvmAtomicFile){0};
    if (!check_target(path, error))
        return false;
    int descriptor = create_beside(path, &file->temporary);
    if (descriptor < 0)
        return write_error(path, errno, error);
    file->path = strdup(path);
    file->stream = file->path ? fdopen(descriptor, "wb") : NULL;
    if (file->stream)
        return true;
    close(descriptor);
    cvm_atomic_file_abandon(file);
    return write_error(path, ENOMEM, error);
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
