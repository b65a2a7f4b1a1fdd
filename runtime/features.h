/* What a frozen prefix makes of each picture (its features), computed once and then kept: in
 * memory, or in a file that outlives the run (feature_file.h). A record is the prefix's outputs for
 * one picture, one after another.
 *
 * Every record comes from one plan of one batch size, in which a picture's place and neighbours do
 * not matter, so that kept and fresh ones are the same bits. */
#ifndef CVM_RUNTIME_FEATURES_H
#define CVM_RUNTIME_FEATURES_H

#include "runtime/dataset.h"
#include "runtime/feature_file.h"
#include "runtime/instance.h"

enum { CVM_MAX_FEATURES = 8, CVM_FEATURE_SETS = 2 };

typedef struct CvmFeatures CvmFeatures;

typedef struct CvmFeatureSource {
    CvmInstance *prefix;     /* must outlive the features; its weights stay as they are */
    const char *image_input; /* [batch, c, h, w] */
    int64_t batch;
    const char *const *names; /* of its outputs, f32 [batch, …] */
    int count;
    const CvmDataset *sets[CVM_FEATURE_SETS]; /* whose features are kept; NULL: none */
    const CvmNormalization *normalization;
} CvmFeatureSource;

/* Keeps as many records as fit into most_bytes: of the first pictures of the first set, and so on.
 * file: where, taken over (on error, too); NULL: in memory. NULL on error: an output that there is
 * not or that is none of pictures (input), no memory (machine). */
CvmFeatures *cvm_features_create(const CvmFeatureSource *source, int64_t most_bytes,
                                 CvmFeatureFile *file, CvmError *error);
void cvm_features_free(CvmFeatures *features);

/* How many outputs the prefix has, and the name and shape [batch, …] of each. */
int cvm_features_outputs(const CvmFeatures *features);
const char *cvm_features_output(const CvmFeatures *features, int index, CvmShape *shape);

/* The numbers of one picture; 0 when there is no such output. */
int64_t cvm_feature_numbers(const CvmInstance *prefix, const char *const *names, int count);

/* How many pictures of all sets have room, and of how many. */
int64_t cvm_features_room(const CvmFeatures *features);
int64_t cvm_features_pictures(const CvmFeatures *features);

/* Records computed so far, and records found damaged in the file. */
int64_t cvm_features_computed(const CvmFeatures *features);
int64_t cvm_features_damaged(const CvmFeatures *features);

/* Why (errno) no more records are written to the file; 0 when all is well. */
int cvm_features_failure(const CvmFeatures *features);

/* Writes the features of the batch's pictures to outputs[i] [count, …] for each of the prefix's
 * outputs; its images are not looked at. Of pictures of no set, and of augmented ones, which are
 * others in every epoch, nothing is kept. Errors: as for cvm_batch_fill. */
bool cvm_features_fill(CvmFeatures *features, const CvmBatch *batch, float *const *outputs,
                       CvmPool *pool, CvmError *error);

#endif
