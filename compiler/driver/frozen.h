/* The proof that what `freeze` names stayed as it was. */
#ifndef CVM_DRIVER_FROZEN_H
#define CVM_DRIVER_FROZEN_H

#include "compiler/driver/session.h"

/* A copy of every frozen parameter. */
typedef struct CvmFrozen {
    int count; /* tensors */
    const CvmStored **tensors;
    void **copies; /* in the session's arena */
} CvmFrozen;

CvmFrozen cvm_frozen_copy(const CvmSession *session);
/* How many of them differ from their copy in any bit. */
int cvm_frozen_changed(const CvmFrozen *frozen);

#endif
