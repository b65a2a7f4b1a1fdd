/* The passes: a table of name, doc, default and function. Each rewrites a graph in place and tells
 * how often it applied. The verifier runs after every pass in debug builds and in tests. */
#ifndef CVM_PASSES_PASSES_H
#define CVM_PASSES_PASSES_H

#include "compiler/graph/graph.h"

typedef struct CvmPassContext {
    CvmDiag *diag;
    int vector_lanes; /* f32 lanes of the target's vectors: 16, 8, 4 */
    FILE *remarks;    /* one line per candidate considered ("fused", "refused: …"); NULL for none */
} CvmPassContext;

typedef struct CvmPass {
    const char *name;
    const char *doc;
    bool enabled; /* in the default pipeline */
    int (*run)(CvmPassContext *context, CvmGraph *graph); /* number of applications; -1 on error */
} CvmPass;

/* In pipeline order. */
const CvmPass *cvm_passes(int *count);

/* Which passes run: a flag per row of the table. */
typedef struct CvmPassChoice {
    bool enabled[32];
} CvmPassChoice;

/* Parses "default", "none", "-fuse-pointwise,+cse", "none,+dead-code". Reports an unknown name with the nearest one
 * (code 1170). */
bool cvm_pass_choice(const char *text, CvmPassChoice *choice, CvmDiag *diag);

/* Runs the chosen passes in table order, sorting and (debug builds: verifying) after each. */
bool cvm_run_passes(const CvmPassChoice *choice, CvmPassContext *context, CvmGraph *graph);

/* Where each tensor lies in the arena, by liveness. Groups (and single nodes) run in graph order. */
typedef struct CvmMemoryPlan {
    int64_t *offsets;    /* by node id; -1: takes no arena memory (sources bound elsewhere, constants,
                            values inside a group only). Aliases have their operand's offset. */
    int id_count;
    int64_t arena_bytes; /* a multiple of CVM_ALIGNMENT */
    int64_t lower_bound; /* largest sum of bytes alive at once */
} CvmMemoryPlan;

/* Inputs live from the start (they are filled before the step) to their last use; outputs to the end. Updates are written straight
 * to their parameter's slot when the update's value is the last reader, so they take no arena memory. False (reported, 1601) when
 * sizes overflow. */
bool cvm_plan_memory(const CvmGraph *graph, CvmArena *arena, CvmMemoryPlan *plan, CvmDiag *diag);

#endif
