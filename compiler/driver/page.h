/* A report of a training or an evaluation as one HTML file that needs no other: figures, learning
 * curves, accuracy of each class, confusion matrix, and the .cvm file itself. */
#ifndef CVM_DRIVER_PAGE_H
#define CVM_DRIVER_PAGE_H

#include "compiler/driver/history.h"
#include "compiler/driver/session.h"
#include "runtime/train.h"

typedef struct CvmPage {
    const CvmEvaluation *evaluation;
    const CvmHistory *history; /* of the weights; empty where it is not known */
    const char *weights;       /* the file they are in */
} CvmPage;

/* Writes it where --report says; does nothing without the option. */
bool cvm_write_page(CvmSession *session, const CvmPage *page);

#endif
