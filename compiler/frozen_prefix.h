/* The frozen prefix of a training: what no learning parameter, no chance and no other picture has a
 * part in, and so is the same for a picture in every epoch. A step is cut there: the prefix becomes
 * an inference plan of its own, and the rest takes what it gives (the *features*) as inputs. */
#ifndef CVM_COMPILER_FROZEN_PREFIX_H
#define CVM_COMPILER_FROZEN_PREFIX_H

#include "compiler/graph/graph.h"
#include "runtime/features.h"

/* A value that crosses the border, told apart by what any graph of the model has alike. */
typedef struct CvmFeatureValue {
    const char *layer;
    CvmOp op;
    int ordinal;      /* among the layer's nodes of that op */
    const char *name; /* of the prefix's output and the rest's input */
} CvmFeatureValue;

typedef struct CvmFrozenPrefix {
    CvmFeatureValue values[CVM_MAX_FEATURES];
    int count;
    int64_t numbers;  /* of all of them, of one picture */
    double flops;     /* of the prefix, for one picture */
    const char *last; /* the layer that gives the last of them */
} CvmFrozenPrefix;

/* Looks for it in a training graph. False where nothing is worth to be cut off: no convolution or
 * linear layer is in it, or the rest reads the pictures too. */
bool cvm_frozen_prefix_find(const CvmGraph *step, CvmFrozenPrefix *prefix);

/* Leaves of a training graph of the same train, at any batch size, the prefix alone. */
void cvm_frozen_prefix_keep(CvmGraph *step, const CvmFrozenPrefix *prefix);

/* Leaves of a training graph, or of an inference graph of its model, what comes behind the prefix.
 * False where that needs the pictures too; then the graph is no use any more. */
bool cvm_frozen_prefix_drop(CvmGraph *graph, const CvmFrozenPrefix *prefix);

#endif
