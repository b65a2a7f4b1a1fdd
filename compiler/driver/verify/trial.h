/* One way of compiling a model, to be verified: the graph before and after the passes, the code,
 * and a state that its parameters start from. */
#ifndef CVM_DRIVER_VERIFY_TRIAL_H
#define CVM_DRIVER_VERIFY_TRIAL_H

#include "compiler/driver/session.h"

typedef enum CvmVerifyMode {
    CVM_VERIFY_INFERENCE,
    CVM_VERIFY_STEP,      /* of the training */
    CVM_VERIFY_GRADIENTS, /* of the loss: parameters "gradient.NAME" */
    CVM_VERIFY_LOSS,      /* of the training step, and nothing else */
    CVM_VERIFY_GRAPH,     /* the session's, which was given as text */
} CvmVerifyMode;

typedef struct CvmVerifyTrial {
    CvmSession *session;
    CvmArena *arena; /* of all that follows */
    CvmVerifyMode mode;
    int64_t batch;
    const char *passes; /* as --passes takes them; NULL: the session's */
    CvmCompileOptions compile;

    const CvmGraph *source; /* before the passes */
    CvmGraph *graph;        /* after them */
    CvmExecutable *executable;
    void **inputs;  /* of its plan, filled */
    CvmStore start; /* what every run begins with; its parameters are what the source's read */
    uint64_t seed;
} CvmVerifyTrial;

/* Puts parameters into the session's store that trials start with: of --weights or --checkpoint,
 * else none, and each trial makes its own. False on errors (reported). */
bool cvm_verify_load(CvmSession *session);

/* --batch, else 1, or of the training 2. */
int64_t cvm_verify_batch(const CvmSession *session, CvmVerifyMode mode);

/* Compiles what the mode says of the session's model, at that batch, and fills the starting state.
 * Without weights from elsewhere parameters are as a training starts, but what would start even
 * (biases, scales, statistics) is uneven; of a training step, and of a graph that updates
 * parameters, one step has been made, so that what the optimizer keeps is not zero. To be closed in
 * any case. False on errors (reported). */
bool cvm_verify_open(CvmVerifyTrial *trial, CvmSession *session, CvmVerifyMode mode,
                     const char *cpu, const char *passes);
void cvm_verify_close(CvmVerifyTrial *trial);

/* An instance of the trial's plan on a new store (to be freed after it) that has the starting
 * values, and its inputs filled: pictures of noise in [-1, 1), labels in turn, the first epoch's
 * rate. NULL on errors (reported). */
CvmInstance *cvm_verify_instance(CvmVerifyTrial *trial, CvmStore *store);

/* As a title says them: "host", "default", "inference". */
const char *cvm_verify_cpu(const CvmVerifyTrial *trial);
const char *cvm_verify_passes(const CvmVerifyTrial *trial);
const char *cvm_verify_mode(const CvmVerifyTrial *trial);
/* "inference, batch 2, x86-64-v3, passes none" */
const char *cvm_verify_title(const CvmVerifyTrial *trial);

#endif
