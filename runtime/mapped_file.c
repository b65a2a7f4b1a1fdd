/* See mapped_file.h. */
#include "runtime/mapped_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

bool cvm_mapped_file_open(const char *path, CvmMappedFile *file, CvmError *error) {
    /* O_NONBLOCK: opening a pipe must not wait for a writer */
    int descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    struct stat status;
    *file = (CvmMappedFile){0};
    if (descriptor < 0 || fstat(descriptor, &status) != 0) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: %s", path, strerror(errno));
    } else if (!S_ISREG(status.st_mode)) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: it is not a regular file",
                      path);
    } else if (status.st_size == 0) {
        cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is empty", path);
    } else {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (bytes != MAP_FAILED)
            *file = (CvmMappedFile){bytes, status.st_size};
        else
            cvm_error_set(error, CVM_ERROR_MACHINE, "cannot map %.800s: %s", path, strerror(errno));
    }
    if (descriptor >= 0)
        close(descriptor);
    return file->bytes != NULL;
}

void cvm_mapped_file_close(CvmMappedFile *file) {
    if (file->bytes)
        munmap(file->bytes, (size_t)file->size);
    *file = (CvmMappedFile){0};
}
