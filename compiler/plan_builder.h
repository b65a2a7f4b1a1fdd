/* From kernels and a memory plan to what the runtime executes. */
#ifndef CVM_COMPILER_PLAN_BUILDER_H
#define CVM_COMPILER_PLAN_BUILDER_H

#include "compiler/kernels/lower.h"
#include "compiler/passes/passes.h"
#include "runtime/plan.h"

/* The plan, in `arena`, one call per kernel in order; functions are left NULL for the linker. All
 * strings are copied, so the graph may go away. */
CvmPlan *cvm_plan_build(const CvmGraph *graph, const CvmKernelList *kernels,
                        const CvmMemoryPlan *memory, CvmArena *arena);

/* What a parameter node keeps beyond a step. Its name is the node's own. */
CvmSlot cvm_slot_of_parameter(const CvmNode *parameter);

/* `cvmc dump --stage plan`. */
void cvm_plan_print(const CvmPlan *plan, FILE *stream);

#endif
