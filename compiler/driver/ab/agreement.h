/* Whether two ways of compiling a model compute the same: outputs and, of a training step, what it
 * makes of every parameter, from one run of each on the same inputs and starting values. */
#ifndef CVM_DRIVER_AB_AGREEMENT_H
#define CVM_DRIVER_AB_AGREEMENT_H

#include "compiler/driver/ab/side.h"

typedef enum CvmAbKind { CVM_AB_OUTPUT, CVM_AB_GRADIENT, CVM_AB_STATISTIC } CvmAbKind;

/* How far apart the two sides' values of one tensor are. */
typedef struct CvmAbDifference {
    const char *name;
    CvmAbKind kind;
    double largest;  /* |b| */
    double absolute; /* the largest |a - b| */
    double relative; /* that as a share of the largest |b| */
    bool agrees;     /* |a - b| <= tolerance (min(1, largest) + |b|) for every element */
} CvmAbDifference;

typedef struct CvmAbAgreement {
    CvmAbDifference *differences; /* in the session's arena */
    int count;
    bool compared; /* whether both compute the same tensors: equal batches and modes */
    bool agrees;   /* every tensor does, or none was compared */
} CvmAbAgreement;

/* --tolerance, or what golden tests ask of whole models: 1e-3. */
double cvm_ab_tolerance(const CvmOptions *options);

/* Runs both compiled sides once. False on errors (reported). */
bool cvm_ab_compare(CvmSession *session, CvmAbSide sides[2], double tolerance,
                    CvmAbAgreement *agreement);

/* "output", "gradient", "statistic" */
const char *cvm_ab_kind_text(CvmAbKind kind);

/* The tensor with the largest relative difference; NULL when there is none. */
const CvmAbDifference *cvm_ab_worst(const CvmAbAgreement *agreement);

#endif
