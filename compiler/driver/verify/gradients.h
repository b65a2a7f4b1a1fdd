/* The gradients of a training's loss held against finite differences of the loss: for each
 * parameter the derivative along the gradient itself, which tells its size, and along random
 * directions, which have a part of every element. */
#ifndef CVM_DRIVER_VERIFY_GRADIENTS_H
#define CVM_DRIVER_VERIFY_GRADIENTS_H

#include "compiler/driver/verify/derivative.h"
#include "compiler/driver/verify/trial.h"

enum { CVM_VERIFY_DIRECTIONS = 4 }; /* the first is the gradient's own */

typedef struct CvmVerifyGradient {
    const CvmNode *parameter;
    bool checked; /* else it was left out, for want of time */
    CvmDerivative derivatives[CVM_VERIFY_DIRECTIONS];
    int count;
    CvmDerivativeVerdict verdict;
} CvmVerifyGradient;

typedef struct CvmVerifyGradients {
    CvmVerifyTrial trial;    /* that computes the gradients; to be closed */
    CvmVerifyGradient *rows; /* in the order of its graph, and in its arena */
    int count;
    int checked, agreeing, different;
    double loss, seconds;
} CvmVerifyGradients;

/* Compiles loss and gradients and compares as many parameters as fit into the budget of seconds.
 * The trial is to be closed in any case. False on errors (reported). */
bool cvm_verify_gradients(CvmSession *session, double tolerance, double budget,
                          CvmVerifyGradients *gradients);

#endif
