/* The whole way from a graph to something that runs, on one screen (pipeline.c). */
#ifndef CVM_COMPILER_PIPELINE_H
#define CVM_COMPILER_PIPELINE_H

#include "compiler/kernels/lower.h"
#include "compiler/passes/passes.h"
#include "runtime/plan.h"

/* A compiled graph: its plan points at machine code that lives as long as the executable. */
typedef struct CvmExecutable CvmExecutable;

typedef struct CvmCompileOptions {
    CvmPassChoice passes;
    const char
        *cpu; /* "host" (also NULL), or an LLVM CPU name: "x86-64", "x86-64-v3", "x86-64-v4" */
    CvmConvolution convolution;
    CvmPrecision precision;
    int64_t memory_limit;         /* of the arena, in bytes; 0: none */
    CvmExecutable *const *beside; /* whose plans are over the same store as the one to be compiled:
                                     parameters that they have are kept in the same order */
    int beside_count;
    const char *tuning_folder; /* with records of measured choices; NULL: none are read */
    CvmTuning *tuning;         /* choices that stand for those records; NULL: the records */
    const char *cache;   /* object cache folder; NULL: none. cvm_cache_folder() gives the user's */
    int threads;         /* that compile kernels side by side; 0: one per core */
    const char *symbols; /* put behind the names of kernels, where code for several CPUs is linked
                            together; NULL: nothing */
    bool blas;           /* large linear layers may call OpenBLAS: not of code that is loaded */
    bool lines;          /* code has line information, for debuggers */
    bool verbose;
} CvmCompileOptions;

/* Runs passes, kernels, schedule, code generation and linking over the graph (rewriting it). The
 * plan's inputs, outputs and slots are the graph's inputs, outputs and parameters. NULL on error.
 */
CvmExecutable *cvm_compile(CvmGraph *graph, const CvmCompileOptions *options, CvmDiag *diag);
/* The same up to relocatable objects, for a linker: the plan's functions stay NULL. */
CvmExecutable *cvm_compile_objects(CvmGraph *graph, const CvmCompileOptions *options,
                                   CvmDiag *diag);
void cvm_executable_free(CvmExecutable *executable);
const CvmPlan *cvm_executable_plan(const CvmExecutable *executable);
const struct CvmCode *cvm_executable_code(const CvmExecutable *executable); /* codegen/build.h */
const struct CvmTarget *
cvm_executable_target(const CvmExecutable *executable); /* codegen/target.h */

/* Puts the machine code elsewhere (cvm_code_relink) while no instance of its plan exists. */
bool cvm_executable_relink(CvmExecutable *executable, CvmDiag *diag);

/* What each call of the plan was made from, in the same order: the kernels and, as long as the
 * graph lives, their nodes. */
const CvmKernelList *cvm_executable_kernels(const CvmExecutable *executable);

/* What came from the cache and what was compiled. */
typedef struct CvmCompileStats {
    int kernels, cached;
    double seconds;
    double bytes; /* memory traffic of a run, estimated: what kernels read and write, each once;
                     without what is prepared once */
    int64_t code_bytes; /* machine code of the distinct kernels, without what surrounds it in their
                           object files */
} CvmCompileStats;
CvmCompileStats cvm_executable_stats(const CvmExecutable *executable);

/* For `cvmc dump`: runs the stages up to the named one and prints it.
 * graph (before passes), fused (after passes), kernels, plan, llvm, asm. */
typedef enum CvmStage {
    CVM_STAGE_GRAPH,
    CVM_STAGE_FUSED,
    CVM_STAGE_KERNELS,
    CVM_STAGE_PLAN,
    CVM_STAGE_LLVM,
    CVM_STAGE_ASM,
} CvmStage;
bool cvm_dump_stage(CvmGraph *graph, const CvmCompileOptions *options, CvmStage stage, FILE *stream,
                    CvmDiag *diag);

/* The kernels of a graph that passes have finished with, for the options' CPU, and that CPU's
 * shape; in the arena. False on error (reported). */
bool cvm_lower_for(const CvmCompileOptions *options, CvmGraph *graph, CvmArena *arena,
                   CvmKernelList *kernels, CvmTargetShape *shape, CvmDiag *diag);

/* The measured choices that a compilation with these options goes by; NULL: there are none.
 * *ignored: the path of a damaged or foreign record, else NULL. In the arena. */
CvmTuning *cvm_find_tuning(const CvmCompileOptions *options, CvmArena *arena, const char **ignored);
/* Records choices that were measured with these options; *path is where. Error (machine). */
bool cvm_record_tuning(const CvmCompileOptions *options, const CvmTuning *tuning, const char **path,
                       CvmError *error);

/* Names of CPUs, as the options take them, whose code runs on this machine: "host", then the levels
 * that it has, the widest first; NULL at the end. In the arena. */
const char *const *cvm_cpus_here(CvmArena *arena);

/* Whether there is a CPU of that name; else error 1603. NULL is the host. */
bool cvm_cpu_known(const char *name, CvmDiag *diag);

/* Whether code for the CPU runs on this machine; else error 1609. */
bool cvm_cpu_runs_here(const char *name, CvmDiag *diag);

/* Of two CPUs whose code runs on a machine, that of the higher rank is the better one: levels by
 * what they have, the host after the best level that it has. */
int cvm_cpu_rank(const char *name);

/* Lanes of f32 in a vector of the CPU named as in the options: 16, 8 or 4. */
int cvm_target_lanes(const char *cpu);

#endif
