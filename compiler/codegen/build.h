/* Kernels to callable functions: looked up in the object cache, compiled side by side where they
 * are not, and linked into the process by LLVM's ORC JIT. */
#ifndef CVM_CODEGEN_BUILD_H
#define CVM_CODEGEN_BUILD_H

#include "compiler/codegen/target.h"
#include "runtime/plan.h"

/* Machine code loaded into the process. */
typedef struct CvmCode CvmCode;

typedef struct CvmBuildOptions {
    const char *cache; /* folder, or NULL for none */
    int threads;       /* compiling side by side; 0: one per core */
} CvmBuildOptions;

/* Compiles (or fetches) every distinct kernel of the list and links them. NULL on error (16xx). */
CvmCode *cvm_code_build(const CvmKernelList *kernels, const CvmTarget *target,
                        const CvmBuildOptions *options, CvmDiag *diag);
void cvm_code_free(CvmCode *code);

/* Links the same objects once more, so that they lie elsewhere; functions change. Measurements do
 * so, lest an address decide. False on error (16xx): then there are no functions. */
bool cvm_code_relink(CvmCode *code, CvmDiag *diag);

/* The function of a kernel of that list. */
CvmKernelFunction cvm_code_function(const CvmCode *code, const CvmKernel *kernel);

/* Distinct kernels, and how many of them came from the cache. */
int cvm_code_kernels(const CvmCode *code);
int cvm_code_cached(const CvmCode *code);

/* Bytes of their machine code: the text sections of their object files. */
int64_t cvm_code_bytes(const CvmCode *code);

#endif
