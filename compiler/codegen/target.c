/* See target.h. */
#include "compiler/codegen/target.h"
#include "compiler/pipeline.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

#include <string.h>

typedef struct Level {
    const char *name;
    CvmTargetShape shape;
} Level;

/* The x86-64 psABI's micro-architecture levels. */
static const Level levels[] = {
    {"x86-64", {4, 16}},
    {"x86-64-v2", {4, 16}},
    {"x86-64-v3", {8, 16}},
    {"x86-64-v4", {16, 32}},
};

enum { LEVEL_COUNT = sizeof levels / sizeof levels[0] };

static bool is_host(const char *name) {
    return !name || !strcmp(name, "host");
}

static const Level *find_level(const char *name) {
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (!strcmp(levels[i].name, name))
            return &levels[i];
    return NULL;
}

CvmTargetShape cvm_target_shape_of_host(void) {
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        return levels[3].shape;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return levels[2].shape;
    return levels[0].shape;
#else
    return (CvmTargetShape){4, 32};
#endif
}

int cvm_target_lanes(const char *cpu) {
    const Level *level = is_host(cpu) ? NULL : find_level(cpu);
    return level ? level->shape.lanes : cvm_target_shape_of_host().lanes;
}

static char *take_message(CvmArena *arena, char *message) {
    char *copy = cvm_arena_copy(arena, message, strlen(message));
    LLVMDisposeMessage(message);
    return copy;
}

bool cvm_target_find(const char *name, CvmArena *arena, CvmTarget *target, CvmDiag *diag) {
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    target->triple = take_message(arena, LLVMGetDefaultTargetTriple());
    if (is_host(name)) {
        target->cpu = take_message(arena, LLVMGetHostCPUName());
        target->features = take_message(arena, LLVMGetHostCPUFeatures());
        target->shape = cvm_target_shape_of_host();
        return true;
    }
    const Level *level = find_level(name);
    if (!level)
        return cvm_diag_error(diag, 1603, (CvmSpan){0}, NULL,
                              "use host, x86-64, x86-64-v2, x86-64-v3 or x86-64-v4",
                              "unknown CPU '%s'", name);
    target->cpu = level->name;
    target->features = "";
    target->shape = level->shape;
    return true;
}

LLVMTargetMachineRef cvm_target_machine(const CvmTarget *target) {
    LLVMTargetRef llvm_target;
    char *message = NULL;
    if (LLVMGetTargetFromTriple(target->triple, &llvm_target, &message)) {
        LLVMDisposeMessage(message);
        return NULL;
    }
    return LLVMCreateTargetMachine(llvm_target, target->triple, target->cpu, target->features,
                                   LLVMCodeGenLevelDefault, LLVMRelocPIC, LLVMCodeModelDefault);
}
