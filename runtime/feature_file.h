/* A file of features (features.h): a header that says what they were made of, a checksum for each
 * record, and the records, all at fixed places.
 *
 * A record is written before its checksum, and nothing is believed whose checksum does not fit: a
 * run that is killed, a disk that lost a page, or a file damaged later cost no more than computing
 * those records again. Several runs may share the file at once, since all would write the same
 * bits. It is read through a mapping and written by system calls, so that a full disk is an error
 * and no signal. Places without a record take no room on file systems that know holes. */
#ifndef CVM_RUNTIME_FEATURE_FILE_H
#define CVM_RUNTIME_FEATURE_FILE_H

#include "runtime/error.h"

#include <stdint.h>

/* What features depend on; hashes. */
typedef struct CvmFeatureKey {
    uint64_t pictures;      /* their bytes */
    uint64_t normalization; /* how these become the prefix's input */
    uint64_t prefix;        /* the code that is run */
    uint64_t weights;
    int64_t count;   /* pictures */
    int64_t numbers; /* of a record */
} CvmFeatureKey;

typedef struct CvmFeatureFile CvmFeatureFile;

/* What to do with a file of another key. */
typedef enum CvmFeatureOther { CVM_FEATURE_REFUSE, CVM_FEATURE_REPLACE } CvmFeatureOther;

/* Opens or makes the file, with room for the first `room` records. NULL on error: it is of another
 * key, which the message tells (input, unless it is to be replaced); it is no file of features
 * (input); it cannot be read or made (machine). A file whose header is damaged is replaced. */
CvmFeatureFile *cvm_feature_file_open(const char *path, const CvmFeatureKey *key, int64_t room,
                                      CvmFeatureOther other, CvmError *error);

/* Does nothing with NULL. */
void cvm_feature_file_close(CvmFeatureFile *file);

/* The record, or NULL when it is not there or damaged. Good until the file is closed. */
const float *cvm_feature_file_find(CvmFeatureFile *file, int64_t index);

/* Writes a record; where that fails, the file is written no more. */
void cvm_feature_file_keep(CvmFeatureFile *file, int64_t index, const float *record);

/* Records that were found damaged; whether the header was, or the file was of another key, so that
 * it was made anew; the reason why nothing is written any more, or 0. */
int64_t cvm_feature_file_damaged(const CvmFeatureFile *file);
bool cvm_feature_file_replaced(const CvmFeatureFile *file);
int cvm_feature_file_failure(const CvmFeatureFile *file);

#endif
