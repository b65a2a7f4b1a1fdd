/* The machine code is made for: the host, or one of the x86-64 levels by name. */
#ifndef CVM_CODEGEN_TARGET_H
#define CVM_CODEGEN_TARGET_H

#include "compiler/front/diag.h"
#include "compiler/kernels/lower.h"

#include <llvm-c/TargetMachine.h>

typedef struct CvmTarget {
    const char *cpu;      /* LLVM's name */
    const char *features; /* "+avx2,-avx512f,…"; empty where the name says it all */
    const char *triple;
    CvmTargetShape shape;
} CvmTarget;

/* name: NULL, "host" or "native", "x86-64", "x86-64-v2", "x86-64-v3", "x86-64-v4". Unknown: error
 * 1603. Strings live in the arena. */
bool cvm_target_find(const char *name, CvmArena *arena, CvmTarget *target, CvmDiag *diag);

/* Vector lanes and registers of the host, without asking LLVM: fast enough for `cvmc check`. */
CvmTargetShape cvm_target_shape_of_host(void);

/* What a processor must have to run code for the target, of all that matters to plain arithmetic;
 * the list ends with NULL. */
const char *const *cvm_target_features(const CvmTarget *target, CvmArena *arena);

/* NULL only when LLVM lacks the target. Owned by the caller. */
LLVMTargetMachineRef cvm_target_machine(const CvmTarget *target);

#endif
