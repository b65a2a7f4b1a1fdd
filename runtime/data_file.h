/* Files of data sets: read from front to end, plain or gzip alike, with errors that name the file.
 *
 * The sizes that a file claims for what it holds are a stranger's claims: memory grows as bytes
 * really arrive, so that a small file that claims to be huge costs nothing. */
#ifndef CVM_RUNTIME_DATA_FILE_H
#define CVM_RUNTIME_DATA_FILE_H

#include "runtime/error.h"

#include <stdint.h>

typedef struct CvmDataFile {
    char *path; /* the one that was opened */
    void *stream;
} CvmDataFile;

/* Opens path, or path.gz where only that exists. Error (machine): neither can be read, or it is no
 * regular file. */
bool cvm_data_file_open(const char *path, CvmDataFile *file, CvmError *error);
void cvm_data_file_close(CvmDataFile *file);

/* Reads exactly `size` bytes, at most 2^30. Errors: the file ends before (input), is no valid gzip
 * data (input), or cannot be read (machine). */
bool cvm_data_file_read(const CvmDataFile *file, void *bytes, int64_t size, CvmError *error);

/* The same of any size, into memory that it allocates: *bytes, to be freed, NULL on error. */
bool cvm_data_file_read_body(const CvmDataFile *file, int64_t size, uint8_t **bytes,
                             CvmError *error);

/* All that is left, at most `most` bytes; a longer file is an error (input). */
bool cvm_data_file_read_rest(const CvmDataFile *file, int64_t most, uint8_t **bytes, int64_t *size,
                             CvmError *error);

/* Whether the file ends here, as its header says, and its checksum holds. */
bool cvm_data_file_check_end(const CvmDataFile *file, CvmError *error);

/* "PATH what", an error of the input. Always false. */
bool cvm_data_file_wrong(const CvmDataFile *file, const char *what, CvmError *error);

#endif
