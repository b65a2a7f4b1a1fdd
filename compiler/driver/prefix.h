/* The frozen prefix of a phase of a training: its plan, and where its features are kept. */
#ifndef CVM_DRIVER_PREFIX_H
#define CVM_DRIVER_PREFIX_H

#include "compiler/driver/session.h"
#include "compiler/frozen_prefix.h"
#include "runtime/batch.h"

/* The pictures of a training. */
typedef struct CvmPictures {
    const CvmDataset *train, *test;
    const CvmNormalization *normalization;
} CvmPictures;

typedef struct CvmPrefix {
    bool found; /* else the other members mean nothing */
    CvmFrozenPrefix cut;
    CvmFeatures *features;
} CvmPrefix;

/* Looks for a prefix in the steps of the train's present epoch; where there is one, compiles it for
 * a batch and opens the features' place as the options say. */
bool cvm_prefix_open(CvmSession *session, const CvmPictures *pictures, int64_t batch,
                     CvmPrefix *prefix);

/* Frees the features, before the session's plans, and tells what was wrong with their file. */
void cvm_prefix_close(CvmPrefix *prefix);

#endif
