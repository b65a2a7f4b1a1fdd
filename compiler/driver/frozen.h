/* The proof that what `freeze` names stayed as it was. */
#ifndef CVM_DRIVER_FROZEN_H
#define CVM_DRIVER_FROZEN_H

#include "compiler/driver/session.h"

/* Hashes of the parameters that are frozen in the train's present epoch, in the store's order. */
typedef struct CvmFrozen {
    int count; /* tensors */
    uint64_t *hashes;
} CvmFrozen;

/* In the session's arena. */
CvmFrozen cvm_frozen_note(const CvmSession *session);
/* How many of them differ from what they were, in the same epoch's phase. */
int cvm_frozen_changed(const CvmSession *session, const CvmFrozen *frozen);

#endif
