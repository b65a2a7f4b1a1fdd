/* Kernels to callable functions: looked up in the object cache, compiled side by side where they
 * are not; linked into a file, or into the process by LLVM's ORC JIT. */
#ifndef CVM_CODEGEN_BUILD_H
#define CVM_CODEGEN_BUILD_H

#include "compiler/codegen/target.h"
#include "runtime/plan.h"

/* Machine code, once loaded into the process also callable. */
typedef struct CvmCode CvmCode;

typedef struct CvmBuildOptions {
    const char *cache; /* folder, or NULL for none */
    int threads;       /* compiling side by side; 0: one per core */
} CvmBuildOptions;

/* Compiles (or fetches) every distinct kernel of the list to a relocatable object. NULL on error
 * (16xx). */
CvmCode *cvm_code_compile(const CvmKernelList *kernels, const CvmTarget *target,
                          const CvmBuildOptions *options, CvmDiag *diag);

/* A text that tells apart what code depends on beside its kernels: processor, LLVM, generators. */
const char *cvm_code_identity(const CvmTarget *target, CvmArena *arena);

/* The object of each distinct kernel and the one symbol it defines, for a linker; before they are
 * loaded. */
const char *cvm_code_symbol(const CvmCode *code, int index);
const void *cvm_code_object(const CvmCode *code, int index, size_t *size);

/* Links the objects into the process. False on error (1605). */
bool cvm_code_load(CvmCode *code, CvmDiag *diag);

/* Both in one. */
CvmCode *cvm_code_build(const CvmKernelList *kernels, const CvmTarget *target,
                        const CvmBuildOptions *options, CvmDiag *diag);
void cvm_code_free(CvmCode *code);

/* Links the same objects once more, so that they lie elsewhere; functions change. Measurements do
 * so, lest an address decide. False on error (16xx): then there are no functions. */
bool cvm_code_relink(CvmCode *code, CvmDiag *diag);

/* The function of a kernel of that list, once loaded. */
CvmKernelFunction cvm_code_function(const CvmCode *code, const CvmKernel *kernel);

/* Distinct kernels, and how many of them came from the cache. */
int cvm_code_kernels(const CvmCode *code);
int cvm_code_cached(const CvmCode *code);

/* Bytes of their machine code: the text sections of their object files. */
int64_t cvm_code_bytes(const CvmCode *code);

#endif
