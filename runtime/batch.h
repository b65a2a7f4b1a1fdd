/* A batch of a data set on its way into a plan's inputs: shared by training and evaluation. */
#ifndef CVM_RUNTIME_BATCH_H
#define CVM_RUNTIME_BATCH_H

#include "runtime/dataset.h"
#include "runtime/instance.h"

typedef struct CvmBatch {
    const CvmDataset *data;
    const CvmNormalization *normalization;
    const int32_t *samples; /* indices into the data set */
    int64_t count;
    float *images;   /* f32 [count, c, h, w] */
    int32_t *labels; /* i32 [count] */
} CvmBatch;

/* Fills images and labels, on the pool's threads when that pays. Error: a picture that cannot be
 * read any more (machine). */
bool cvm_batch_fill(const CvmBatch *batch, CvmPool *pool, CvmError *error);

/* The memory of the plan's input or output called name, which must be of this type and shape. NULL
 * on error (input): the plan has none, or another one. */
void *cvm_batch_input(CvmInstance *instance, const char *name, CvmDtype dtype, CvmShape shape,
                      CvmError *error);
const void *cvm_batch_output(const CvmInstance *instance, const char *name, CvmDtype dtype,
                             CvmShape shape, CvmError *error);

#endif
