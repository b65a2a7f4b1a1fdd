/* The passes: a table of name, doc, default and function. Each rewrites a graph in place and tells
 * how often it applied. The verifier runs after every pass in debug builds and in tests. */
#ifndef CVM_PASSES_PASSES_H
#define CVM_PASSES_PASSES_H

#include "compiler/passes/log.h"
#include "compiler/tuning.h"
#include "runtime/plan.h"

/* How 3x3 convolutions of stride 1 are computed: as a model of the costs says, or all the same way
 * where that can be. */
typedef enum CvmConvolution {
    CVM_CONVOLUTION_AUTO,
    CVM_CONVOLUTION_DIRECT,
    CVM_CONVOLUTION_WINOGRAD,
} CvmConvolution;

/* Reads "auto", "direct" or "winograd"; anything else is reported (1172). NULL is auto. */
bool cvm_convolution_parse(const char *text, CvmConvolution *convolution, CvmDiag *diag);

/* In which numbers linear layers compute: float32 with weights stored in float32 or in bfloat16, or
 * with both operands rounded to bfloat16, each product and sum float32 still. For inference alone.
 */
typedef enum CvmPrecision {
    CVM_PRECISION_F32,
    CVM_PRECISION_BF16_WEIGHTS,
    CVM_PRECISION_BF16,
} CvmPrecision;

/* Reads "f32", "bf16-weights" or "bf16"; anything else is reported (1173). NULL is f32. */
bool cvm_precision_parse(const char *text, CvmPrecision *precision, CvmDiag *diag);
const char *cvm_precision_name(CvmPrecision precision);

typedef struct CvmPassContext {
    CvmDiag *diag;
    int vector_lanes; /* f32 lanes of the target's vectors: 16, 8, 4 */
    CvmConvolution convolution;
    CvmTuning *tuning; /* what was measured; NULL: nothing */
    CvmPrecision precision;
    int64_t memory_limit;         /* bytes that the arena may take; 0: as many as it needs */
    const CvmPlan *const *beside; /* plans over the same store: parameters have their order */
    int beside_count;
    CvmPassLog *log; /* takes remarks and reports; NULL for none */
    bool verify;     /* run the verifier after every pass (debug builds always do) */

    /* of the pass that runs; cvm_run_passes sets them */
    const char *pass;
    int applications; /* so far */
    int limit;        /* how many there may be */
} CvmPassContext;

typedef struct CvmPass {
    const char *name;
    const char *doc;
    bool enabled;                                          /* in the default pipeline */
    bool (*run)(CvmPassContext *context, CvmGraph *graph); /* false on error (reported) */
} CvmPass;

/* In pipeline order. */
const CvmPass *cvm_passes(int *count);

/* The row of the pass called name; -1 when there is none. */
int cvm_pass_find(const char *name);

/* Which passes run, in which order, and how often each may apply. */
typedef struct CvmPassChoice {
    int order[CVM_MAX_PASSES]; /* rows of the table */
    int count;
    int limits[CVM_MAX_PASSES]; /* by row; INT_MAX: as often as it can */
} CvmPassChoice;

/* Reads a comma-separated choice, from left to right, starting with the default passes:
 *   "default", "none"            as they say
 *   "-fuse-pointwise,+cse"       the default without one and with another, in table order
 *   "none,+dead-code"            that one alone
 *   "dead-code,cse,dead-code"    a list that starts with a bare name: those alone, in this order
 * NULL and "" are the default. An unknown name is reported with the nearest one (code 1170). */
bool cvm_pass_choice(const char *text, CvmPassChoice *choice, CvmDiag *diag);

/* Reads limits, "fuse-epilogue=3,cse=0", into a choice: of a pass only the first 3 applications are
 * done (none for 0). NULL sets none. What cannot be read is reported (1170, 1171). */
bool cvm_pass_limits(const char *text, CvmPassChoice *choice, CvmDiag *diag);

/* The choice as a list of names that cvm_pass_choice reads to the same, "none" when it is empty;
 * and its limits as cvm_pass_limits reads them, NULL when there are none. In the arena. */
const char *cvm_pass_choice_text(const CvmPassChoice *choice, CvmArena *arena);
const char *cvm_pass_limits_text(const CvmPassChoice *choice, CvmArena *arena);

/* Applies the precision; runs the chosen passes in their order, sorting and (debug builds:
 * verifying) after each; then, in any case, settles the results (settle.c), without which no kernel
 * could store them. False on errors (reported; 1600: groups that wait for each other, 1607: the
 * arena exceeds the limit, 1608: a training in another precision than float32). */
bool cvm_run_passes(const CvmPassChoice *choice, CvmPassContext *context, CvmGraph *graph);

/* A tensor in the arena, or several that are computed in place one after the other: known by the
 * first. */
typedef struct CvmAlive {
    const CvmNode *node;
    int64_t bytes;
} CvmAlive;

/* Where each tensor lies in the arena, by liveness. Groups (and single nodes) run in graph order.
 */
typedef struct CvmMemoryPlan {
    int64_t *offsets; /* bytes, by node id; -1: takes no arena memory (parameters and updates lie in
                         slots, constants are immediates, values inside a group stay in registers).
                         Aliases have their operand's offset. */
    bool *prepared;   /* by node id: computed by a kernel from parameters alone that the graph does
                         not update, so that it need not be computed every step */
    bool *kept;       /* by node id: prepared, and read at every step: its offset is one into memory
                         of its own, which nothing else is placed in. What is prepared but not kept
                         only leads to such values. */
    int id_count;
    int64_t arena_bytes;    /* a multiple of CVM_ALIGNMENT */
    int64_t prepared_bytes; /* another one, of what is prepared */
    int64_t lower_bound;    /* largest sum of bytes alive at once: no plan could take less */
    CvmAlive *alive;        /* what that sum is made of, the largest first */
    int alive_count;
} CvmMemoryPlan;

/* Plans a graph that cvm_run_passes has finished with.
 *   Inputs live from before the first kernel to their last use; the caller fills every one of them
 *   before each step, since later tensors may take their place.
 *   Outputs live to the end. Everything else lives from the kernel that stores it to the last that
 *   reads it; a value read by its own group alone takes no memory.
 *   An update's value is written straight to its parameter's slot and read from there.
 *   In place: a kernel of pointwise nodes alone may store a result over an operand of the same type
 *   that is read for the last time.
 * False (reported) when sizes overflow (1601) or an output lies in no arena memory (1606). */
bool cvm_plan_memory(const CvmGraph *graph, CvmArena *arena, CvmMemoryPlan *plan, CvmDiag *diag);

#endif
