/* See target.h. */
#include "compiler/codegen/target.h"
#include "compiler/pipeline.h"
#include "runtime/cpu_features.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

#include <string.h>

typedef struct Level {
    const char *name;
    CvmTargetShape shape;
    const char *features; /* what it has beyond the one before */
} Level;

/* The x86-64 psABI's micro-architecture levels. */
static const Level levels[] = {
    {"x86-64", {.lanes = 4, .registers = 16}, "+sse2"},
    {"x86-64-v2", {.lanes = 4, .registers = 16}, "+cx16,+popcnt,+sse3,+ssse3,+sse4.1,+sse4.2"},
    {"x86-64-v3", {.lanes = 8, .registers = 16}, "+avx,+avx2,+bmi,+bmi2,+f16c,+fma,+lzcnt,+movbe"},
    {"x86-64-v4",
     {.lanes = 16, .registers = 32},
     "+avx512f,+avx512bw,+avx512cd,+avx512dq,+avx512vl"},
};

enum { LEVEL_COUNT = sizeof levels / sizeof levels[0] };

static bool is_host(const char *name) {
    return !name || !strcmp(name, "host") || !strcmp(name, "native");
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
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq")) {
        CvmTargetShape shape = levels[3].shape;
        shape.dots = __builtin_cpu_supports("avx512bf16");
        return shape;
    }
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return levels[2].shape;
    return levels[0].shape;
#else
    return (CvmTargetShape){.lanes = 4, .registers = 32};
#endif
}

int cvm_target_lanes(const char *cpu) {
    const Level *level = is_host(cpu) ? NULL : find_level(cpu);
    return level ? level->shape.lanes : cvm_target_shape_of_host().lanes;
}

bool cvm_cpu_known(const char *name, CvmDiag *diag) {
    return is_host(name) || find_level(name) ||
           cvm_diag_error(diag, 1603, (CvmSpan){0}, NULL,
                          "use host, x86-64, x86-64-v2, x86-64-v3 or x86-64-v4", "unknown CPU '%s'",
                          name);
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
    LLVMInitializeX86AsmParser();
    target->triple = take_message(arena, LLVMGetDefaultTargetTriple());
    if (is_host(name)) {
        target->cpu = take_message(arena, LLVMGetHostCPUName());
        target->features = take_message(arena, LLVMGetHostCPUFeatures());
        target->shape = cvm_target_shape_of_host();
        return true;
    }
    if (!cvm_cpu_known(name, diag))
        return false;
    const Level *level = find_level(name);
    target->cpu = level->name;
    target->features = "";
    target->shape = level->shape;
    return true;
}

/* The names behind a '+' that matter, in the order of the text. */
static int add_features(const char *text, const char **list, int count, CvmArena *arena) {
    while (*text) {
        size_t length = strcspn(text, ",");
        const char *name = cvm_arena_copy(arena, text + 1, length > 0 ? length - 1 : 0);
        if (*text == '+' && cvm_cpu_feature_matters(name))
            list[count++] = name;
        text += length + (text[length] == ',');
    }
    return count;
}

const char *const *cvm_target_features(const CvmTarget *target, CvmArena *arena) {
    enum { ROOM = 512 };
    const char **list = cvm_arena_array(arena, ROOM, sizeof *list);
    const Level *level = find_level(target->cpu);
    int count = 0;
    for (const Level *l = levels; level && l <= level; l++)
        count = add_features(l->features, list, count, arena);
    if (!level)
        count = add_features(target->features, list, count, arena);
    list[count] = NULL;
    return list;
}

/* The first feature of a level that this machine lacks; NULL: its code runs here. */
static const char *missing_feature(const char *cpu, CvmArena *arena) {
#if defined(__x86_64__)
    CvmTarget target = {.cpu = cpu, .features = ""};
    const char *const *features = cvm_target_features(&target, arena);
    while (*features && cvm_cpu_has(*features))
        features++;
    return *features;
#else
    (void)arena;
    return cpu;
#endif
}

const char *const *cvm_cpus_here(CvmArena *arena) {
    const char **names = cvm_arena_array(arena, LEVEL_COUNT + 2, sizeof *names);
    int count = 0;
    names[count++] = "host";
    for (int i = LEVEL_COUNT - 1; i >= 0; i--)
        if (!missing_feature(levels[i].name, arena))
            names[count++] = levels[i].name;
    return names;
}

bool cvm_cpu_runs_here(const char *name, CvmDiag *diag) {
    const char *missing =
        is_host(name) || !find_level(name) ? NULL : missing_feature(name, diag->arena);
    if (!missing)
        return true;
    const char *mend = "build and dump make such code without running it; here run host";
    for (const char *const *cpu = cvm_cpus_here(diag->arena) + 1; *cpu; cpu++)
        mend = cvm_arena_format(diag->arena, "%s%s%s", mend, cpu[1] ? ", " : " and ", *cpu);
    diag->machine_at_fault = true;
    return cvm_diag_error(diag, 1609, (CvmSpan){0}, NULL, mend,
                          "code for %s needs %s, which this machine lacks", name, missing);
}

int cvm_cpu_rank(const char *name) {
    int rank = 0;
    CvmArena *arena = cvm_arena_create();
    for (int i = 0; i < LEVEL_COUNT; i++)
        if (is_host(name) ? !missing_feature(levels[i].name, arena)
                          : &levels[i] == find_level(name))
            rank = 2 * i + is_host(name);
    cvm_arena_free(arena);
    return rank;
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
