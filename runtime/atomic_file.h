/* Writing a file so that readers see the old one or the new one, never a part: the bytes go to a
 * temporary file in the same folder, which is synced and then renamed onto the path. A link stays
 * and what it leads to is replaced; the new file has the old one's permissions. */
#ifndef CVM_RUNTIME_ATOMIC_FILE_H
#define CVM_RUNTIME_ATOMIC_FILE_H

#include "runtime/mapped_file.h"

#include <stdio.h>

typedef struct CvmAtomicFile {
    FILE *stream;
    char *path, *temporary;
    int failure; /* errno of the first write that failed, or 0 */
} CvmAtomicFile;

/* Error (machine): the folder is missing or refuses, or the path names something that exists and is
 * not a regular file, or one that may not be written. */
bool cvm_atomic_file_open(const char *path, CvmAtomicFile *file, CvmError *error);

/* Appends bytes. A failure is kept and reported by cvm_atomic_file_commit; what follows it is
 * ignored. */
void cvm_atomic_file_write(CvmAtomicFile *file, const void *bytes, size_t size);

/* Instead: gives the file its size, and maps it to be written there. The mapping is the caller's to
 * close, at any time; what is written before the commit is in the file. Error (machine): there is
 * no room on the disk (which is found here, where it is no signal yet), or it cannot be mapped. */
bool cvm_atomic_file_map(CvmAtomicFile *file, int64_t size, CvmMappedFile *mapped, CvmError *error);

/* Ends the file, whether it succeeds or not. Error (machine): anything that was written to the
 * stream or the folder failed (disk full, too large); then the temporary is gone and the path as
 * before. */
bool cvm_atomic_file_commit(CvmAtomicFile *file, CvmError *error);

/* Ends the file without a trace. */
void cvm_atomic_file_abandon(CvmAtomicFile *file);

#endif
