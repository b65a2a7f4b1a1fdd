/* How long a training step waits for its pictures: steps on the train's own data set, fed as a
 * training feeds them. */
#ifndef CVM_DRIVER_WAITING_H
#define CVM_DRIVER_WAITING_H

#include "compiler/driver/session.h"

typedef struct CvmWaiting {
    const char *refusal; /* why nothing was measured; NULL when it was */
    const char *data;    /* the data set's name */
    int64_t steps;
    double seconds, waited; /* of all these steps together */
    bool ahead;             /* a thread of its own read the pictures */
} CvmWaiting;

/* Runs the step of `batch` pictures, whose rate is 0, on shuffled pictures to learn from: `steps`
 * times, or for so many seconds when steps is 0, after one that does not count. A data set that is
 * not on this machine is a refusal; false: one that is there cannot be used (reported). */
bool cvm_measure_waiting(CvmSession *session, CvmInstance *step, int64_t batch, int64_t steps,
                         double seconds, CvmWaiting *waiting);

#endif
