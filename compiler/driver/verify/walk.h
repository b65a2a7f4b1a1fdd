/* Compiled code, call by call, beside the reference functions: what each call stores is held
 * against what they make of what was stored before. */
#ifndef CVM_DRIVER_VERIFY_WALK_H
#define CVM_DRIVER_VERIFY_WALK_H

#include "compiler/driver/verify/deviation.h"
#include "compiler/driver/verify/trial.h"

/* A value that a call stores, and what it should be. */
typedef struct CvmVerifyRow {
    const CvmNode *node; /* of the graph before the passes */
    const CvmNode *as;   /* what computes it after them */
    int call;
    bool checked; /* else it was left out, for want of time */
    bool blurred; /* agrees within what rounding leaves of it, and not within the tolerance alone */
    CvmDeviation deviation;
} CvmVerifyRow;

typedef struct CvmVerifyWalk {
    CvmVerifyRow *rows; /* in the order of the graph before the passes; in the trial's arena */
    int count;
    int checked, blurred, different;
    int inside; /* values of that graph that no call stores: they stay inside of kernels, or are
                   done without */
    double seconds;
} CvmVerifyWalk;

/* Walks through the plan once and leaves what it made in the store of `instance`, a fresh one of
 * the trial. Checks what is expected to take `budget` seconds, each kind of kernel first: each set
 * of operators once, then each shape, then all; says so beforehand where checking everything takes
 * long. False on errors (reported). */
bool cvm_verify_walk(CvmVerifyTrial *trial, CvmInstance *instance, double tolerance, double rate,
                     double budget, CvmVerifyWalk *walk);

/* The first row that differs, NULL when there is none. */
const CvmVerifyRow *cvm_verify_first(const CvmVerifyWalk *walk);

#endif
