/* Learning rates: how the rate of a step follows from its place in the training. */
#ifndef CVM_RUNTIME_RATE_H
#define CVM_RUNTIME_RATE_H

#include <stdint.h>

typedef enum CvmRateSchedule {
    CVM_RATE_CONSTANT,
    CVM_RATE_STEP,
    CVM_RATE_COSINE,
    CVM_RATE_ONE_CYCLE,
    CVM_RATE_PLATEAU,
} CvmRateSchedule;

/* t: steps done, of all steps T; with a warm-up both are counted from its end. */
typedef struct CvmRate {
    CvmRateSchedule schedule;
    double base;
    int epochs;    /* of the whole training */
    double warmup; /* epochs, or parts of one, in which the rate rises to the base in equal steps */
    int step_epochs; /* STEP: every so many epochs times factor */
    double factor;   /* STEP, PLATEAU */
    double least;    /* COSINE: falls from base to it as (1 + cos(pi t / T)) / 2; PLATEAU: stops at
                        it */
    /* ONE_CYCLE (Smith and Topin 2018), PyTorch's OneCycleLR with its cosines: from base / start to
     * base in the first part `rise` of the training, then down to base / start / end. */
    double rise, start, end;
    int patience; /* PLATEAU: epochs without a lower loss that are waited for before the rate falls
                   */
} CvmRate;

/* What a plateau's rate depends on besides the step: the losses seen. Kept in checkpoints. */
typedef struct CvmPlateau {
    double best; /* the lowest loss */
    int waited;  /* epochs since then, or since the last fall */
    int falls;
} CvmPlateau;

/* Before the first epoch. */
CvmPlateau cvm_plateau_begin(void);

/* step: counted within the epoch, of steps_per_epoch. plateau: NULL for any other schedule. */
double cvm_rate_at(const CvmRate *rate, const CvmPlateau *plateau, int epoch, int64_t step,
                   int64_t steps_per_epoch);

/* Takes an epoch's loss in. It is lower than the best when it is so by a part of 1e-4, as PyTorch's
 * ReduceLROnPlateau has it. */
void cvm_plateau_observe(const CvmRate *rate, CvmPlateau *plateau, double loss);

#endif
