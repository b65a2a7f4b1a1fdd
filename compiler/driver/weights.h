/* Parameters taken by name from a safetensors file: what a train's `weights` line and the option
 * --weights ask for. They are put into the store before anything is compiled, so that what does not
 * fit is told at once, and so that a prediction reads them where they lie in the file's mapping. */
#ifndef CVM_DRIVER_WEIGHTS_H
#define CVM_DRIVER_WEIGHTS_H

#include "compiler/driver/session.h"

/* For eval, predict and run: whether the options name one place that the weights come from,
 * --checkpoint or --weights; reports when they name both or none. */
bool cvm_weights_are_named(const char *command, const CvmOptions *options);

/* Puts every parameter of the model into the store (which has none yet) from options->weights, to
 * be only read. Every missing, misshapen and left-over tensor is listed. */
bool cvm_session_open_weights(CvmSession *session);

/* The same for a training: from options->weights or the train's weights file, as copies that can
 * learn; does nothing without either. A train's file lies beside the .cvm file, or in the current
 * folder. What `except` leaves out is not put into the store, and listed as a fact. */
bool cvm_session_start_weights(CvmSession *session);

/* Prepares what the instance needs of the parameters (packed weights, say), and gives the memory of
 * those that nothing else reads back, where they lie in the session's weights file. */
void cvm_session_prepare(CvmSession *session, CvmInstance *instance, CvmPool *pool);

#endif
