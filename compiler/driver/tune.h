/* cvmc bench --tune: measures how the kernels of a model are best made on this processor. */
#ifndef CVM_DRIVER_TUNE_H
#define CVM_DRIVER_TUNE_H

#include "compiler/driver/session.h"

/* Compiles the model again and again with other candidates at its choice points, times the kernels,
 * records the best ones, and prints what came of it. */
bool cvm_tune(CvmSession *session);

/* False (reported): options were given that --tune does not go with. */
bool cvm_tune_options_agree(const CvmOptions *options);

/* What `cvmc bench` runs: the inference, or with --train the step, compiled with the session's
 * settings; and what to call it. NULL on error (reported). */
CvmInstance *cvm_bench_instance(CvmSession *session, const char **what, int64_t *batch);

#endif
