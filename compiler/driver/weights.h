/* What a train's `weights` line asks for: parameters taken by name from a safetensors file. And the
 * proof that what `freeze` names stayed as it was. */
#ifndef CVM_DRIVER_WEIGHTS_H
#define CVM_DRIVER_WEIGHTS_H

#include "compiler/driver/session.h"

/* Fills the store (whose plans are compiled) from the train's weights file; does nothing without
 * one. The file lies beside the .cvm file, or in the current folder. Every missing, misshapen and
 * left-over tensor is listed; what `except` leaves out is listed as a fact. */
bool cvm_session_load_weights(CvmSession *session);

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
