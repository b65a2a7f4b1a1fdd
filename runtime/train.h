/* The training and evaluation loops over compiled plans. */
#ifndef CVM_RUNTIME_TRAIN_H
#define CVM_RUNTIME_TRAIN_H

#include "runtime/batch.h"
#include "runtime/rate.h"

typedef struct CvmProgress {
    int epoch, epochs;   /* from 0 */
    int64_t step, steps; /* within the epoch, done so far */
    double loss;         /* mean since the epoch's start */
    double images_per_second;
    double seconds_left; /* of the whole training, estimated */
} CvmProgress;

/* How many pictures there are of a class, and how many of them are recognized. */
typedef struct CvmClassScore {
    int64_t count, correct;
} CvmClassScore;

typedef struct CvmEvaluation {
    int64_t count, correct;
    CvmClassScore *classes; /* [data->classes]: the caller's */
    int64_t *confusion;     /* [data->classes, data->classes], by true class, then by what it was
                               taken for: the caller's, or NULL */
    double loss;            /* mean cross-entropy */
    double seconds;
} CvmEvaluation;

/* What one training needs. Instances share one store. An epoch shuffles the data set and goes
 * through it in parts: `step` runs for every full part, and `last` (part = the remainder) for the
 * rest. Without `apply`, a part is a batch, and a run of it moves the weights. With it, a run adds
 * to the sums of gradients, and after `batch` pictures `apply` moves the weights by them: its input
 * "scale" is batch / the pictures, which is 1 but for a last, smaller batch. */
typedef struct CvmTraining {
    CvmInstance *step, *last; /* last: NULL when the part divides the count */
    CvmInstance *apply;       /* or NULL */
    CvmStore *store;          /* with apply: where the sums are */
    int64_t batch, part;      /* part: a divisor of the batch */
    CvmFeatures
        *features; /* NULL: the plans take pictures; else what a frozen prefix makes of them */
    const char *image_input; /* the plans' picture input; their others: "target", "rate"
                               (of `apply`, where there is one), and "random" where chance takes
                               part (i32 [4]: the halves of the seed and of the part's number, low
                               first) */
    const CvmDataset *data;
    const CvmNormalization *normalization;
    const CvmAugmentation
        *augmentation; /* of which an epoch sets the seed and the epoch; or NULL */
    bool ahead;        /* pictures are read ahead by a thread of their own (feeder.h) */
    CvmRate rate;
    const CvmPlateau *plateau; /* for a rate that follows the loss; else NULL */
    int epochs;
    uint64_t seed;
    CvmPool *pool;
    /* Called at most ten times a second; may be NULL. */
    void (*progress)(void *context, const CvmProgress *progress);
    void *context;
} CvmTraining;

typedef struct CvmEpochResult {
    double loss; /* mean over the epoch's pictures */
    double seconds;
    double waited; /* of these, for pictures */
} CvmEpochResult;

/* Runs one epoch (number `epoch`, from 0). Error: the loss is not a number any more (input). */
bool cvm_train_epoch(const CvmTraining *training, int epoch, CvmEpochResult *result,
                     CvmError *error);

/* Runs the feed's whole data set through an inference instance with the inputs that it fills and
 * the output "logits"; the last batch is filled up with zeros whose results are not counted.
 * result->classes is the caller's memory, and the rest is written. */
bool cvm_evaluate_dataset(CvmInstance *instance, int64_t batch, const CvmFeed *feed, CvmPool *pool,
                          CvmEvaluation *result, CvmError *error);

#endif
