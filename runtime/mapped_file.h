/* A whole file in memory, read only, as the system maps it: large weights are read where they lie.
 */
#ifndef CVM_RUNTIME_MAPPED_FILE_H
#define CVM_RUNTIME_MAPPED_FILE_H

#include "runtime/error.h"

#include <stdint.h>

typedef struct CvmMappedFile {
    void *bytes; /* NULL: nothing is mapped */
    int64_t size;
} CvmMappedFile;

/* Errors: the file is missing, unreadable or not a regular file (machine); it is empty (input). */
bool cvm_mapped_file_open(const char *path, CvmMappedFile *file, CvmError *error);

/* Does nothing when nothing is mapped. */
void cvm_mapped_file_close(CvmMappedFile *file);

#endif
