/* One side of a trial: settings as text, what they compile to, and inputs to run it on. */
#ifndef CVM_DRIVER_AB_SIDE_H
#define CVM_DRIVER_AB_SIDE_H

#include "compiler/driver/session.h"

typedef struct CvmAbSide {
    const char *text; /* the settings as written */
    CvmCompileOptions compile;
    int64_t threads; /* 0: as everywhere else */
    int64_t batch;   /* 0: the train's, or 1 */
    bool training;   /* the training step, else the forward pass */

    /* once compiled */
    const CvmGraph *source; /* before the passes; both sides' have the same ids, where modes are */
    CvmGraph *graph;        /* after them */
    CvmExecutable *executable;
    CvmPool *pool; /* one for both sides, where they have as many threads: idle threads spin for a
                      while, and would take the processor from the other side's */
} CvmAbSide;

/* Reads settings: words with spaces between, KEY=VALUE or a list of passes alone. The keys are the
 * rows of a table in side.c. What is not said is as the command line has it. */
bool cvm_ab_settings(CvmSession *session, const char *text, CvmAbSide *side);

/* Compiles both sides, those that are not yet, and starts their threads. To be closed in any case.
 */
bool cvm_ab_compile(CvmSession *session, CvmAbSide sides[2]);
void cvm_ab_close(CvmAbSide sides[2]);

/* Whether two compiled sides came to the same program: the same kernels on the same memory. */
bool cvm_ab_same_program(const CvmAbSide sides[2]);

#endif
