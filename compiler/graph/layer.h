/* What the language hands to an op's build function: the layer as written, its arguments evaluated.
 *
 * An op's `arguments` string declares the layer's signature, in order:
 *   "channels:int kernel:size stride:size=1 pad:pad=0 dilation:size=1 groups:int=1 bias:bool=true"
 * Kinds: int; real; bool; size (an int for both axes, or [h, w]); pad (an int, [h, w],
 * [top, left, bottom, right], or the word `same`); tensor (a name bound by let, or `it`).
 * "name:kind" must be given, "name:kind=value" has a default, "name:kind?" may be left out (the
 * builder asks with cvm_layer_given); "name:tensor*", alone, takes one or more. Where the first
 * kinds are `tensor`, the layer takes named tensors (add(it, skip)); every other layer takes the
 * tensor that flows. The front end checks count, names and kinds against this string, and that ints
 * are within 0 … 2^31-1. */
#ifndef CVM_GRAPH_LAYER_H
#define CVM_GRAPH_LAYER_H

#include "compiler/graph/op.h"

typedef struct CvmArgument {
    const char *name;
    bool given;          /* false: the default below stands */
    bool same;           /* pad=same */
    int64_t integers[4]; /* int, bool: [0]; size: h, w; pad: top, left, bottom, right */
    double real;
    CvmNode *tensor;
    CvmNode **tensors; /* tensor*: all of them */
    int tensor_count;
    CvmSpan span; /* of the argument, or of the layer when not given */
} CvmArgument;

enum { CVM_MAX_ARGUMENTS = 12 };

typedef struct CvmTrain CvmTrain;

struct CvmLayer {
    CvmGraph *graph;
    CvmDiag *diag;
    const CvmTrain *train; /* whose step is being built; NULL: the graph is to evaluate */
    CvmNode *input;        /* the tensor that flows; NULL before any */
    CvmOp op;
    CvmOrigin origin; /* name: "body.conv1" */
    CvmArgument arguments[CVM_MAX_ARGUMENTS];
    int argument_count;
};

/* The argument called name; aborts when the signature has none (a bug in the op's file). */
const CvmArgument *cvm_layer_argument(const CvmLayer *layer, const char *name);

/* A weight of this layer, named origin.name + "." + name. See cvm_graph_parameter. */
CvmNode *cvm_layer_parameter(CvmLayer *layer, const char *name, CvmShape shape, double bound,
                             double fill);

/* The same for a statistic: kept in checkpoints, but no gradient moves it. */
CvmNode *cvm_layer_statistic(CvmLayer *layer, const char *name, CvmShape shape, double fill);

/* Whether this is a training step in which the layer's parameter or statistic of that name (NULL:
 * the layer itself) is not frozen. A layer that does other things in training than in evaluation
 * asks it, and builds either the one or the other; both have the same parameters. */
bool cvm_layer_learns(const CvmLayer *layer, const char *name);

/* cvm_graph_add with the layer's graph, origin and diag. */
CvmNode *cvm_layer_add(CvmLayer *layer, CvmOp op, CvmNode *const *inputs, int input_count,
                       const CvmAttribute *attributes);

#endif
