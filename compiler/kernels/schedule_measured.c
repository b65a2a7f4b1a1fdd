/* Choices among cuts: what the cost models think of them, best first, and what measurements
 * overrule (compiler/tuning.h). A kernel asks with its text as it is before it is cut. */
#include "compiler/graph/op.h"
#include "compiler/kernels/schedule.h"
#include "runtime/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static const double WORTH_MEASURING = 1e6; /* operations */

void cvm_cuts_add(CvmCuts *cuts, int64_t a, int64_t b, double score) {
    int at = cuts->count;
    while (at > 0 && cuts->list[at - 1].score < score)
        at--;
    if (at == CVM_TUNING_CANDIDATES)
        return;
    if (cuts->count < CVM_TUNING_CANDIDATES)
        cuts->count++;
    memmove(&cuts->list[at + 1], &cuts->list[at],
            (size_t)(cuts->count - 1 - at) * sizeof *cuts->list);
    cuts->list[at] = (CvmCut){{a, b}, score};
}

const CvmCut *cvm_cuts_choose(const CvmCuts *cuts, CvmKernel *kernel, CvmTargetShape target) {
    CvmTuning *tuning = target.tuning;
    if (!tuning || kernel->flops < WORTH_MEASURING || cuts->count < 2)
        return &cuts->list[0];
    CvmTuningChoice choice = {.level = CVM_TUNING_CUT, .layer = kernel->layer};
    for (int i = 0; i < cuts->count; i++)
        cvm_tuning_offer(&choice, cuts->list[i].sizes[1] ? "%d x %d" : "%d",
                         (int)cuts->list[i].sizes[0], (int)cuts->list[i].sizes[1]);
    CvmArena *scratch = cvm_arena_create();
    char question[64];
    snprintf(question, sizeof question, "cut %.32s %016" PRIx64,
             cvm_op_info(kernel->nodes[0]->op)->name,
             cvm_hash_text(0, cvm_kernel_text(kernel, scratch)));
    cvm_arena_free(scratch);
    int chosen = cvm_tuning_choose(tuning, question, &choice);
    const CvmTuningEntry *entry = cvm_tuning_find(tuning, question);
    const char *measured = cvm_tuning_reason(tuning, question, &choice, chosen);
    kernel->question = entry ? entry->question : NULL;
    kernel->measured = measured ? measured : kernel->measured;
    return &cuts->list[chosen];
}
