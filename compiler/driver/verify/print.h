/* What `cvmc verify` found, for people and for programs. */
#ifndef CVM_DRIVER_VERIFY_PRINT_H
#define CVM_DRIVER_VERIFY_PRINT_H

#include "compiler/driver/report.h"
#include "compiler/driver/verify/bits.h"
#include "compiler/driver/verify/gradients.h"
#include "compiler/driver/verify/walk.h"

/* What was found of one way of compiling. */
typedef struct CvmVerifyCase {
    CvmVerifyTrial trial;
    CvmVerifyWalk walk;
    CvmVerifyBits bits;
    bool done; /* else it was left out, for want of time */
} CvmVerifyCase;

/* Whether all that was checked is as it should be. */
bool cvm_verify_case_holds(const CvmVerifyCase *found);

/* A case on a line, and what is wrong with it below; -v: every tensor. */
void cvm_verify_print_case(const CvmSession *session, const CvmVerifyCase *found);
void cvm_verify_print_gradients(const CvmSession *session, const CvmVerifyGradients *gradients);

/* The tensors of all cases that come nearest to what they may be apart. */
void cvm_verify_print_nearest(CvmSession *session, const CvmVerifyCase *cases, int count);

cJSON *cvm_verify_case_json(const CvmVerifyCase *found);
cJSON *cvm_verify_gradients_json(const CvmVerifyGradients *gradients);

#endif
