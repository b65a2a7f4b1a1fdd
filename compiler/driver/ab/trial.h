/* Two ways of compiling one model on trial: do they compute the same, and which is faster. */
#ifndef CVM_DRIVER_AB_TRIAL_H
#define CVM_DRIVER_AB_TRIAL_H

#include "compiler/driver/ab/agreement.h"
#include "compiler/driver/ab/rows.h"
#include "compiler/driver/ab/statistics.h"

typedef struct CvmAbOptions {
    double interval;  /* width of the interval at which the trial ends */
    double seconds;   /* after which it ends in any case */
    double tolerance; /* of the comparison of results: see agreement.h */
    uint64_t seed;
} CvmAbOptions;

typedef struct CvmAbResult {
    CvmAbAgreement agreement;
    CvmAbRatio ratio;
    CvmAbVerdict verdict;
    int blocks, pairs; /* and how many pairs each block has */
    double median[2];  /* seconds of a run, A and B */
    double *times[2];  /* seconds by block * pairs + pair, in the session's arena */
    CvmAbRows rows;
} CvmAbResult;

/* Compiles both sides, where they are not yet, compares their results, and runs them against each
 * other. The sides are to be closed in any case. False on errors (reported). */
bool cvm_ab_run(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                CvmAbResult *result);

#endif
