/* See pipeline.h. cvm_compile is the compiler on one screen: passes, kernels, code, memory, plan.
 */
#include "compiler/pipeline.h"

#include "compiler/codegen/build.h"
#include "compiler/codegen/module.h"
#include "compiler/plan_builder.h"

#include <llvm-c/Core.h>

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* What the stages make of a graph, up to the plan. */
typedef struct Stages {
    CvmTarget target;
    CvmKernelList kernels;
    CvmMemoryPlan memory;
} Stages;

struct CvmExecutable {
    CvmArena *arena; /* stages and plan */
    Stages stages;
    CvmCode *code;
    CvmPlan *plan;
    CvmCompileStats stats;
};

CvmTuning *cvm_find_tuning(const CvmCompileOptions *options, CvmArena *arena,
                           const char **ignored) {
    CvmDiag silent;
    CvmTarget target;
    *ignored = NULL;
    if (options->tuning || !options->tuning_folder ||
        access(cvm_arena_format(arena, "%s/tuning", options->tuning_folder), F_OK))
        return options->tuning; /* where nothing was measured, LLVM is not asked for the host */
    cvm_diag_init(&silent, arena);
    return cvm_target_find(options->cpu, arena, &target, &silent)
               ? cvm_tuning_load(options->tuning_folder, cvm_code_identity(&target, arena), arena,
                                 ignored)
               : NULL;
}

bool cvm_record_tuning(const CvmCompileOptions *options, const CvmTuning *tuning, const char **path,
                       CvmError *error) {
    CvmDiag silent;
    CvmTarget target;
    cvm_diag_init(&silent, tuning->arena);
    if (!cvm_target_find(options->cpu, tuning->arena, &target, &silent))
        return cvm_error_set(error, CVM_ERROR_INPUT, "unknown CPU '%s'", options->cpu);
    return cvm_tuning_save(tuning, options->tuning_folder,
                           cvm_code_identity(&target, tuning->arena), path, error);
}

static bool run_passes(CvmGraph *graph, const CvmCompileOptions *options, CvmTuning *tuning,
                       CvmDiag *diag) {
    const CvmPlan **beside =
        cvm_arena_array(graph->arena, (size_t)options->beside_count + 1, sizeof *beside);
    for (int i = 0; i < options->beside_count; i++)
        beside[i] = options->beside[i]->plan;
    CvmPassContext context = {.diag = diag,
                              .vector_lanes = cvm_target_lanes(options->cpu),
                              .convolution = options->convolution,
                              .precision = options->precision,
                              .tuning = tuning,
                              .memory_limit = options->memory_limit,
                              .beside = beside,
                              .beside_count = options->beside_count};
    return cvm_run_passes(&options->passes, &context, graph);
}

static bool name_kernels(CvmKernelList *kernels, const char *ending, CvmDiag *diag) {
    for (int i = 0; ending && i < kernels->count; i++) {
        char *symbol = ((CvmKernel *)kernels->kernels[i])->symbol;
        size_t length = strlen(symbol);
        if (length + strlen(ending) >= sizeof kernels->kernels[i]->symbol)
            return cvm_diag_error(diag, 1604, (CvmSpan){0}, NULL, NULL, "%s%s is too long a name",
                                  symbol, ending);
        strcpy(symbol + length, ending);
    }
    return true;
}

static bool find_target(const CvmCompileOptions *options, CvmArena *arena, CvmTarget *target,
                        CvmDiag *diag) {
    bool found = cvm_target_find(options->cpu, arena, target, diag);
    target->shape.blas = options->blas;
    return found;
}

/* A kernel is of the place of its first node that the text has. */
static void place_kernels(CvmKernelList *kernels) {
    for (int i = 0; i < kernels->count; i++) {
        CvmKernel *kernel = kernels->kernels[i];
        for (int k = 0; k < kernel->node_count && !kernel->place; k++)
            if (kernel->nodes[k]->origin.span.source)
                kernel->place = &kernel->nodes[k]->origin;
    }
}

static bool run_stages(CvmGraph *graph, const CvmCompileOptions *options, CvmArena *arena,
                       Stages *stages, CvmDiag *diag) {
    const char *ignored; /* whoever wants to know asks cvm_find_tuning */
    CvmTuning *tuning = cvm_find_tuning(options, arena, &ignored);
    if (!run_passes(graph, options, tuning, diag) ||
        !find_target(options, arena, &stages->target, diag))
        return false;
    stages->target.shape.tuning = tuning;
    if (!cvm_lower_graph(graph, stages->target.shape, arena, &stages->kernels, diag))
        return false;
    if (options->lines)
        place_kernels(&stages->kernels);
    return name_kernels(&stages->kernels, options->symbols, diag) &&
           cvm_plan_memory(graph, arena, &stages->memory, diag);
}

/* Plans over one store have to keep its tensors in one order. */
static void check_orders(const CvmPlan *plan, const CvmCompileOptions *options) {
    for (int i = 0; i < options->beside_count; i++)
        for (int k = 0; k < options->beside[i]->plan->slot_count; k++) {
            const CvmSlot *slot = &options->beside[i]->plan->slots[k];
            for (int m = 0; m < plan->slot_count; m++)
                if (plan->slots[m].lanes != slot->lanes &&
                    strcmp(plan->slots[m].name, slot->name) == 0)
                    abort(); /* the passes did not heed `beside`: a bug */
        }
}

static void set_functions(CvmExecutable *executable) {
    for (int i = 0; i < executable->plan->call_count; i++)
        ((CvmCall *)executable->plan->calls)[i].function =
            cvm_code_function(executable->code, executable->stages.kernels.kernels[i]);
}

/* Up to the objects of the kernels and a plan without functions. */
CvmExecutable *cvm_compile_objects(CvmGraph *graph, const CvmCompileOptions *options,
                                   CvmDiag *diag) {
    double start = now();
    CvmArena *arena = cvm_arena_create();
    CvmExecutable *executable = CVM_NEW(arena, CvmExecutable);
    executable->arena = arena;
    CvmBuildOptions build = {.cache = options->cache, .threads = options->threads};
    if (!run_stages(graph, options, arena, &executable->stages, diag) ||
        !(executable->code = cvm_code_compile(&executable->stages.kernels,
                                              &executable->stages.target, &build, diag))) {
        cvm_arena_free(arena);
        return NULL;
    }
    const CvmKernelList *kernels = &executable->stages.kernels;
    executable->plan = cvm_plan_build(graph, kernels, &executable->stages.memory, arena);
    check_orders(executable->plan, options);
    executable->stats = (CvmCompileStats){.kernels = cvm_code_kernels(executable->code),
                                          .cached = cvm_code_cached(executable->code),
                                          .code_bytes = cvm_code_bytes(executable->code),
                                          .seconds = now() - start};
    for (int i = 0; i < executable->plan->call_count; i++)
        if (!executable->plan->calls[i].prepares)
            executable->stats.bytes += executable->plan->calls[i].bytes;
    return executable;
}

CvmExecutable *cvm_compile(CvmGraph *graph, const CvmCompileOptions *options, CvmDiag *diag) {
    double start = now();
    if (!cvm_cpu_runs_here(options->cpu, diag))
        return NULL;
    CvmExecutable *executable = cvm_compile_objects(graph, options, diag);
    if (!executable)
        return NULL;
    if (!cvm_code_load(executable->code, diag)) {
        cvm_executable_free(executable);
        return NULL;
    }
    set_functions(executable);
    executable->stats.seconds = now() - start;
    return executable;
}

bool cvm_executable_relink(CvmExecutable *executable, CvmDiag *diag) {
    if (!cvm_code_relink(executable->code, diag))
        return false;
    set_functions(executable);
    return true;
}

void cvm_executable_free(CvmExecutable *executable) {
    if (!executable)
        return;
    cvm_code_free(executable->code);
    cvm_arena_free(executable->arena);
}

const CvmPlan *cvm_executable_plan(const CvmExecutable *executable) {
    return executable->plan;
}

const CvmCode *cvm_executable_code(const CvmExecutable *executable) {
    return executable->code;
}

const CvmKernelList *cvm_executable_kernels(const CvmExecutable *executable) {
    return &executable->stages.kernels;
}

const CvmTarget *cvm_executable_target(const CvmExecutable *executable) {
    return &executable->stages.target;
}

CvmCompileStats cvm_executable_stats(const CvmExecutable *executable) {
    return executable->stats;
}

bool cvm_lower_for(const CvmCompileOptions *options, CvmGraph *graph, CvmArena *arena,
                   CvmKernelList *kernels, CvmTargetShape *shape, CvmDiag *diag) {
    CvmTarget target;
    const char *ignored;
    if (!find_target(options, arena, &target, diag))
        return false;
    target.shape.tuning = cvm_find_tuning(options, arena, &ignored);
    *shape = target.shape;
    return cvm_lower_graph(graph, target.shape, arena, kernels, diag);
}

/* --- dumps --- */

static bool dump_code(const Stages *stages, CvmCodeForm form, FILE *stream, CvmDiag *diag) {
    for (int i = 0; i < stages->kernels.count; i++) {
        const CvmKernel *kernel = stages->kernels.kernels[i];
        bool repeated = false;
        for (int k = 0; k < i; k++)
            repeated |= !strcmp(stages->kernels.kernels[k]->symbol, kernel->symbol);
        if (repeated)
            continue;
        char *error;
        LLVMMemoryBufferRef text = cvm_compile_kernel(kernel, &stages->target, form, &error);
        if (!text) {
            cvm_diag_error(diag, 1604, (CvmSpan){0}, NULL, NULL,
                           "generating code for %s (%s) failed: %s", kernel->layer, kernel->symbol,
                           error);
            LLVMDisposeMessage(error);
            return false;
        }
        fwrite(LLVMGetBufferStart(text), 1, LLVMGetBufferSize(text), stream);
        LLVMDisposeMemoryBuffer(text);
    }
    return true;
}

static void dump_kernels(const Stages *stages, FILE *stream) {
    for (int i = 0; i < stages->kernels.count; i++) {
        const CvmKernel *kernel = stages->kernels.kernels[i];
        fprintf(stream, "%s %s\n", kernel->layer, kernel->symbol);
        cvm_kernel_print(kernel, stream);
    }
}

bool cvm_dump_stage(CvmGraph *graph, const CvmCompileOptions *options, CvmStage stage, FILE *stream,
                    CvmDiag *diag) {
    if (stage == CVM_STAGE_GRAPH) {
        cvm_graph_print(graph, true, stream);
        return true;
    }
    CvmArena *arena = cvm_arena_create();
    Stages stages;
    const char *ignored;
    bool fused = stage == CVM_STAGE_FUSED;
    bool done = fused ? run_passes(graph, options, cvm_find_tuning(options, arena, &ignored), diag)
                      : run_stages(graph, options, arena, &stages, diag);
    if (done && fused)
        cvm_graph_print(graph, true, stream);
    else if (done && stage == CVM_STAGE_KERNELS)
        dump_kernels(&stages, stream);
    else if (done && stage == CVM_STAGE_PLAN)
        cvm_plan_print(cvm_plan_build(graph, &stages.kernels, &stages.memory, arena), stream);
    else if (done)
        done = dump_code(&stages, stage == CVM_STAGE_LLVM ? CVM_CODE_LLVM : CVM_CODE_ASSEMBLY,
                         stream, diag);
    cvm_arena_free(arena);
    return done;
}
