/* A whole training: data, plans, starting weights, epochs with an evaluation and a checkpoint after
 * each, and what is said about it. For train and run. */
#ifndef CVM_DRIVER_TRAINING_H
#define CVM_DRIVER_TRAINING_H

#include "compiler/driver/session.h"
#include "runtime/train.h"

typedef struct CvmTrained {
    char checkpoint[CVM_PATH_SIZE]; /* where it was written */
    CvmNormalization normalization;
    CvmEvaluation evaluation; /* after the last epoch; count 0 when there was none left to do */
} CvmTrained;

/* The trained weights are in the session's store afterwards. */
bool cvm_session_train(CvmSession *session, CvmTrained *trained);

#endif
