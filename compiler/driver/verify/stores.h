/* What calls of a plan store, in terms of the graph before the passes: which values, in which
 * buffers, and their elements in plain order. */
#ifndef CVM_DRIVER_VERIFY_STORES_H
#define CVM_DRIVER_VERIFY_STORES_H

#include "compiler/driver/verify/trial.h"

/* A value of the graph before the passes in a buffer that a call writes. */
typedef struct CvmVerifyStored {
    const CvmNode *node; /* before the passes */
    const CvmNode *as;   /* after them: what the buffer holds, in the layout that it has there */
    int call, buffer;
} CvmVerifyStored;

typedef struct CvmVerifyStores {
    CvmVerifyStored *values; /* in the order of the calls; in the trial's arena */
    int count;
} CvmVerifyStores;

CvmVerifyStores cvm_verify_stores(const CvmVerifyTrial *trial);

/* Elements that lie as the type says, in plain order. */
void cvm_verify_read_plain(const CvmType *type, const void *from, void *to);

#endif
