/* One kernel to machine code: an LLVM module of its own, in a context of its own, so that kernels
 * are compiled side by side on all cores. */
#ifndef CVM_CODEGEN_MODULE_H
#define CVM_CODEGEN_MODULE_H

#include "compiler/codegen/target.h"

typedef enum CvmCodeForm { CVM_CODE_OBJECT, CVM_CODE_ASSEMBLY, CVM_CODE_LLVM } CvmCodeForm;

/* A relocatable object, its assembly, or the optimised LLVM text. The function kernel->symbol has
 * the signature of CvmKernelFunction. NULL with *error (free with LLVMDisposeMessage) when LLVM
 * refuses. Thread-safe. The buffer is the caller's. */
LLVMMemoryBufferRef cvm_compile_kernel(const CvmKernel *kernel, const CvmTarget *target,
                                       CvmCodeForm form, char **error);

#endif
