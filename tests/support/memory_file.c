/* See memory_file.h. */
#include "tests/support/memory_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

CvmMemoryFile cvm_memory_file(const uint8_t *bytes, size_t size) {
    CvmMemoryFile file = {.descriptor = memfd_create("fuzz", MFD_CLOEXEC)};
    if (file.descriptor < 0 || write(file.descriptor, bytes, size) != (ssize_t)size)
        abort();
    snprintf(file.path, sizeof file.path, "/proc/self/fd/%d", file.descriptor);
    return file;
}

void cvm_memory_file_close(CvmMemoryFile *file) {
    close(file->descriptor);
}
