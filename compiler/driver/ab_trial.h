/* Two ways of compiling one model on trial: do they compute the same, and which is faster. */
#ifndef CVM_DRIVER_AB_TRIAL_H
#define CVM_DRIVER_AB_TRIAL_H

#include "compiler/driver/ab_statistics.h"
#include "compiler/driver/session.h"

/* One side of a trial: how to compile, and what came of it. */
typedef struct CvmAbSide {
    const char *text; /* the settings as written */
    CvmCompileOptions compile;
    int64_t threads; /* 0: as everywhere else */
    int64_t batch;   /* 0: the train's, or 1 */
    bool training;   /* the training step, else the forward pass */
    CvmExecutable *executable;
    CvmPool *pool;
} CvmAbSide;

/* How far apart the two sides' values of one tensor are. */
typedef struct CvmAbDifference {
    const char *name;
    bool gradient;   /* of a parameter: what a step at rate 1 takes off it */
    double absolute; /* the largest |a - b| */
    double relative; /* that by the largest |a| */
    bool agrees;     /* |a - b| <= 1e-3 + 1e-3 |b| everywhere */
} CvmAbDifference;

typedef struct CvmAbOptions {
    double precision; /* width of the interval at which the trial ends */
    double seconds;   /* after which it ends in any case */
    uint64_t seed;
} CvmAbOptions;

typedef struct CvmAbResult {
    CvmAbDifference *differences; /* in the session's arena */
    int difference_count;
    bool compared; /* whether both computed the same tensors: equal batches and modes */
    bool agrees;
    CvmAbRatio ratio;
    CvmAbVerdict verdict;
    int blocks;
    double median[2]; /* seconds of a run, A and B */
} CvmAbResult;

/* Reads settings: words with spaces between, KEY=VALUE or a list of passes alone.
 *   passes=LIST  limit=NAME=N  threads=N  cpu=NAME  batch=N  mode=forward|train */
bool cvm_ab_settings(CvmSession *session, const char *text, CvmAbSide *side);

/* Compiles both sides, compares their results, and runs them against each other. The sides are to
 * be closed in any case. */
bool cvm_ab_run(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                CvmAbResult *result);
void cvm_ab_side_close(CvmAbSide *side);

#endif
