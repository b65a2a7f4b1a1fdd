/* A batch of a data set on its way into a plan's inputs: shared by training and evaluation. */
#ifndef CVM_RUNTIME_BATCH_H
#define CVM_RUNTIME_BATCH_H

#include "runtime/features.h"
#include "runtime/instance.h"

/* cvm_dataset_fill on the pool's threads, when that pays. */
bool cvm_batch_fill(const CvmBatch *batch, CvmPool *pool, CvmError *error);

/* What a plan takes of a data set: pictures, or what a frozen prefix makes of them. */
typedef struct CvmFeed {
    const CvmDataset *data;
    const CvmNormalization *normalization;
    const CvmAugmentation *augmentation; /* NULL: none */
    const char *image_input;             /* of a plan that takes pictures */
    CvmFeatures *features; /* NULL: it does; else it has the prefix's outputs as inputs */
    bool ahead; /* pictures are read ahead by a thread of their own (feeder.h, ahead.h) */
} CvmFeed;

/* A plan's inputs for one feed. */
typedef struct CvmFeedPorts {
    int64_t batch;
    int index;                       /* of the pictures among the plan's inputs; without features */
    float *inputs[CVM_MAX_FEATURES]; /* f32 [batch, numbers[i]] */
    int64_t numbers[CVM_MAX_FEATURES];
    int count;
} CvmFeedPorts;

/* Finds them. Error (input): the plan has none, or others. */
bool cvm_feed_find(const CvmFeed *feed, CvmInstance *instance, int64_t batch, CvmFeedPorts *ports,
                   CvmError *error);

/* Fills the first `count` places of the batch, and the labels, and zeros the others. Error: as for
 * cvm_batch_fill. */
bool cvm_feed_fill(const CvmFeed *feed, const CvmFeedPorts *ports, const int32_t *samples,
                   int64_t count, int32_t *labels, CvmPool *pool, CvmError *error);

/* The memory of the plan's input or output called name, which must be of this type and shape. NULL
 * on error (input): the plan has none, or another one. */
void *cvm_batch_input(CvmInstance *instance, const char *name, CvmDtype dtype, CvmShape shape,
                      CvmError *error);
const void *cvm_batch_output(const CvmInstance *instance, const char *name, CvmDtype dtype,
                             CvmShape shape, CvmError *error);

#endif
