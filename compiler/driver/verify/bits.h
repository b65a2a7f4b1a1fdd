/* Whether compiled code gives the same bits however it is run: call by call or as a whole, by one
 * thread or several, again and again. */
#ifndef CVM_DRIVER_VERIFY_BITS_H
#define CVM_DRIVER_VERIFY_BITS_H

#include "compiler/driver/verify/trial.h"

typedef struct CvmVerifyBits {
    int threads; /* of the runs with several */
    bool same;
    const char *run; /* the first that gave others: "1 thread", "2 threads", "2 threads, again" */
    const char *tensor; /* in it; in the trial's arena. NULL: there is none */
} CvmVerifyBits;

/* Runs the trial's plan with one thread and twice with several, each time from its start, and
 * compares outputs and parameters with those of an instance that has run already, and its store.
 * False on errors (reported). */
bool cvm_verify_bits(CvmVerifyTrial *trial, const CvmInstance *ran, const CvmStore *store,
                     CvmVerifyBits *bits);

#endif
