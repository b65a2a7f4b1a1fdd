/* A whole model compiled: every plan that the functions of runtime/net/net.h run, for every CPU
 * asked for, and the description that leads to them. */
#ifndef CVM_OBJECT_NET_H
#define CVM_OBJECT_NET_H

#include "compiler/front/program.h"
#include "compiler/object/object.h"

enum { CVM_NET_MAX_CODES = 8 };

typedef struct CvmNetSettings {
    const CvmModelUse *model;
    const CvmTrain *train; /* whose steps are compiled, too; NULL: no training */
    CvmPreparation preparation;
    CvmNormalization normalization; /* of no channels: only weights will tell */
    const char *const *class_names; /* or NULL */
    int64_t batch;                  /* of the larger plan; 1: single images alone */
    const char *cpus[CVM_NET_MAX_CODES];
    int cpu_count;
    CvmCompileOptions compile; /* its cpu and symbols are set from the above */
    const char *source;        /* the .cvm file, for the facts */
    bool packed;               /* packed weights are kept beside those that are opened */
    bool load; /* into this process, where a trainer then runs its plans, instead of for a file */
} CvmNetSettings;

typedef struct CvmNet {
    CvmNetDescription about;
    CvmNetCode codes[CVM_NET_MAX_CODES];
    CvmObjectPlan plans[CVM_OBJECT_MAX_PLANS];
    CvmExecutable *executables[CVM_OBJECT_MAX_PLANS];
    int plan_count;
} CvmNet;

/* False on error (reported). Texts and tables are in the arena, code lives as long as the net. */
bool cvm_net_compile(const CvmNetSettings *settings, CvmArena *arena, CvmNet *net, CvmDiag *diag);
void cvm_net_free(CvmNet *net);

/* The facts as a JSON text (facts.c). */
const char *cvm_net_facts_text(const CvmNet *net, const CvmNetSettings *settings, CvmArena *arena);

#endif
