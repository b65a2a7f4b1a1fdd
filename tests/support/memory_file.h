/* Bytes in memory as a file with a path, for fuzz targets of functions that read files. */
#ifndef CVM_TEST_MEMORY_FILE_H
#define CVM_TEST_MEMORY_FILE_H

#include <stddef.h>
#include <stdint.h>

typedef struct CvmMemoryFile {
    int descriptor;
    char path[64];
} CvmMemoryFile;

CvmMemoryFile cvm_memory_file(const uint8_t *bytes, size_t size);
void cvm_memory_file_close(CvmMemoryFile *file);

#endif
