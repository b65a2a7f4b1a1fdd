/* Inference plans for several batch sizes pack the same weights, mostly in the same way. */
#ifndef CVM_OBJECT_SHARE_H
#define CVM_OBJECT_SHARE_H

#include "compiler/pipeline.h"

/* Gives the plans of the executables one block of prepared memory. What several of them prepare
 * alike lies in it once, and the first of them prepares it: the later ones find it there. plans[i]
 * becomes a copy in the arena. */
void cvm_share_prepared(CvmExecutable *const *executables, int count, const CvmPlan **plans,
                        CvmArena *arena);

#endif
