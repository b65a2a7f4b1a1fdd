/* Reverse-mode differentiation as a graph rewrite: the gradient functions of ops.def append
 * ordinary nodes, so every later pass serves backward as well as forward. Only what lies between
 * the loss and a wanted parameter gets gradient nodes: a frozen body has no backward code. */
#ifndef CVM_GRAPH_AUTODIFF_H
#define CVM_GRAPH_AUTODIFF_H

#include "compiler/graph/op.h"

/* Appends the gradients of the scalar `loss` with respect to wanted[i] (sources or any value) and
 * puts them in gradients[i] (NULL where the loss does not depend on wanted[i]). A value used
 * several times gets the sum of its uses' gradients. Error 1501: an op on the way has no gradient.
 */
bool cvm_autodiff(CvmGraph *graph, CvmNode *loss, CvmNode *const *wanted, int wanted_count,
                  CvmNode **gradients, CvmDiag *diag);

/* Vector-Jacobian product: as above for any `output` with the given cotangent of its shape. */
bool cvm_autodiff_from(CvmGraph *graph, CvmNode *output, CvmNode *cotangent, CvmNode *const *wanted,
                       int wanted_count, CvmNode **gradients, CvmDiag *diag);

/* A loss as the language names it. */
typedef struct CvmLoss {
    const char *name; /* "cross_entropy" */
    double smoothing; /* share of the target, 0 to 1, that goes to all classes alike */
} CvmLoss;

/* "cross_entropy" takes logits [n, classes] and i32 targets [n] and appends nodes for the mean over
 * the batch. NULL on error; cvm_loss_names lists the names for hints. */
CvmNode *cvm_loss_build(CvmGraph *graph, const CvmLoss *loss, CvmNode *logits, CvmNode *target,
                        CvmOrigin origin, CvmDiag *diag);
const char *const *cvm_loss_names(int *count);

#endif
