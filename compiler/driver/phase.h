/* A phase of a training: the epochs in which the same parameters learn at the same multiples of the
 * rate. Each has plans of its own, since the compiler leaves out what a frozen parameter does not
 * need, and cuts off what is frozen up to the first that learns. */
#ifndef CVM_DRIVER_PHASE_H
#define CVM_DRIVER_PHASE_H

#include "compiler/driver/frozen.h"
#include "compiler/driver/prefix.h"

typedef struct CvmPhase {
    int end; /* the first epoch that is not in it */
    /* as CvmTraining has them */
    CvmInstance *step, *last, *apply;
    int64_t part;
    CvmInstance *evaluator;
    int64_t test_batch;
    CvmPrefix prefix;
    CvmFeed test; /* what the evaluator takes */
    CvmFrozen frozen;
} CvmPhase;

/* Compiles what `epoch` and those of its phase after it need for these pictures, and makes it the
 * train's epoch. What learns from now on starts without optimizer state, and what does not any more
 * loses its own. */
bool cvm_phase_enter(CvmSession *session, int epoch, const CvmPictures *pictures, CvmPhase *phase);

/* Frees the plans. False when a frozen parameter changed, which is a mistake in cvmc. */
bool cvm_phase_leave(CvmSession *session, CvmPhase *phase);

#endif
