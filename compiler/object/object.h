/* From a compiled model to files that need nothing of cvm: a shared object with its C header, or
 * the pieces that others link. A shared object is made of
 *   - the kernels, the very objects that the JIT loads,
 *   - a module of constant data (describe.c): plans, parameters, facts; and one jump for each
 *     exported function, from the model's name for it to the runtime's (lenet5_run to cvm_net_run),
 *   - the runtime (runtime/net and what it needs), which cvmc carries as one relocatable object,
 * linked by the machine's own linker. Of all symbols only the header's are exported, so that any
 * number of models fit into one program. */
#ifndef CVM_OBJECT_OBJECT_H
#define CVM_OBJECT_OBJECT_H

#include "compiler/pipeline.h"
#include "runtime/error.h"
#include "runtime/net/description.h"

typedef enum CvmObjectForm {
    CVM_OBJECT_SHARED, /* NAME.so */
    CVM_OBJECT_STATIC, /* NAME.a */
    CVM_OBJECT_OBJECT, /* NAME.o and NAME-runtime.o; needs no linker */
    CVM_OBJECT_ASM,    /* NAME.s */
    CVM_OBJECT_LLVM,   /* NAME.ll */
} CvmObjectForm;

/* The plans that the description points to, with their code. */
typedef struct CvmObjectPlan {
    const CvmPlan *plan;
    const CvmExecutable *executable;
} CvmObjectPlan;

enum { CVM_OBJECT_MAX_PLANS = 64 };

typedef struct CvmObject {
    const char *prefix;             /* of the C names: "lenet5" */
    const char *path;               /* of the files, without ending: "out/lenet5" */
    const CvmNetDescription *about; /* its weights are left out: see below */
    CvmObjectPlan plans[CVM_OBJECT_MAX_PLANS];
    int plan_count;
    const char *weights; /* safetensors file to embed, or NULL */
    bool symbols;        /* keep names and line information, for debuggers and profilers */
} CvmObject;

/* Whether any of it calls OpenBLAS (CvmCompileOptions.blas), which the object then needs. */
bool cvm_plans_call_blas(const CvmObjectPlan *plans, int count);

/* A C identifier from a file name: "my-net" is my_net. */
const char *cvm_object_prefix(const char *name, CvmArena *arena);

/* Writes the object and its header; each appears whole or not at all. Errors are reported (18xx).
 */
bool cvm_object_write(const CvmObject *object, CvmObjectForm form, CvmArena *arena, CvmDiag *diag);

/* The facts of a built object, as JSON, without running any of it. NULL on error: it cannot be
 * read, or is none of cvmc's. */
const char *cvm_object_facts(const char *path, CvmArena *arena, CvmError *error);

#endif
