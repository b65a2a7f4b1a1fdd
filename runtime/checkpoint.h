/* A training checkpoint: a safetensors file with every tensor of the store (weights, statistics,
 * optimizer state), and in its metadata the epoch, the data's statistics and its classes' names,
 * the seed and a hash of the model, so that resuming continues to the same bits, a checkpoint of
 * another model is refused, and classifying needs no data set. */
#ifndef CVM_RUNTIME_CHECKPOINT_H
#define CVM_RUNTIME_CHECKPOINT_H

#include "runtime/normalization.h"
#include "runtime/rate.h"
#include "runtime/safetensors.h"
#include "runtime/store.h"

typedef struct CvmCheckpointInfo {
    char model[128];     /* the model's name */
    uint64_t model_hash; /* cvm_graph_hash of its forward graph at batch 1 */
    int epoch;           /* epochs done */
    uint64_t seed;
    CvmNormalization normalization;
    CvmPlateau plateau; /* of a rate that follows the loss */
    double accuracy;    /* on the test set after that epoch, 0…1; negative when not measured */
    char *classes;      /* their names, one a line; NULL: not known. To be freed by who loads */
    char *history;      /* what its writer knows of the epochs so far; the same */
} CvmCheckpointInfo;

/* The tensors are written in the order of their names, whichever the store's is. Averages of
 * weights have the weights' names, and those "optimizer.NAME.raw" (averages.h). */
bool cvm_checkpoint_save(const char *path, const CvmStore *store, const CvmCheckpointInfo *info,
                         CvmError *error);

/* What a checkpoint says of itself. Errors: it cannot be read, or is none. */
bool cvm_checkpoint_read_info(const char *path, CvmCheckpointInfo *info, CvmError *error);
/* The same of an open file; `path` names it in messages. The names of classes are left out. */
bool cvm_checkpoint_info_of(const CvmTensorFile *file, const char *path, CvmCheckpointInfo *info,
                            CvmError *error);

/* What a checkpoint is read for. */
typedef enum CvmCheckpointUse {
    CVM_CHECKPOINT_WEIGHTS, /* to classify: weights, or their averages where it has some */
    CVM_CHECKPOINT_RAW,     /* to classify by the weights themselves, though there are averages */
    CVM_CHECKPOINT_RESUME,  /* to train on: the weights themselves, and all optimizer state */
} CvmCheckpointUse;

/* Fills the store's tensors (which must exist: cvm_store_add_slots) from the file. Refused, with a
 * sentence that names the first offending tensors with both shapes: another model's hash, missing
 * or misshapen tensors; and RAW of one without averages. Optimizer state is required to resume
 * alone; what the store does not have of it is skipped. On error the store is unchanged. */
bool cvm_checkpoint_load(const char *path, CvmStore *store, const char *model, uint64_t model_hash,
                         CvmCheckpointUse use, CvmCheckpointInfo *info, CvmError *error);

#endif
