/* Optimizers as graph nodes: from a parameter and its gradient to the parameter's update. */
#ifndef CVM_GRAPH_OPTIMIZER_H
#define CVM_GRAPH_OPTIMIZER_H

#include "compiler/graph/graph.h"

typedef enum CvmOptimizerKind {
    CVM_OPTIMIZER_SGD,
    CVM_OPTIMIZER_ADAM,
    CVM_OPTIMIZER_LARS,
} CvmOptimizerKind;

/* Gradient g, weight w, rate r (multiplied by the parameter's own multiplier):
 *
 *   SGD    v = momentum v + g;  w = w - r v, with Nesterov's look ahead w = w - r (g + momentum v);
 *          PyTorch's rule (torch.optim.SGD)
 *   ADAM   m and s: moving averages of g and of g^2, without their bias towards the zero they
 *          begin at;  w = w - r m / (sqrt(s) + epsilon)  (Kingma and Ba 2015)
 *   LARS   SGD on g |w| trust / (|g| + decay |w|), the norms over each weight tensor; vectors
 *          (biases, batch norm's) learn by SGD alone  (You, Gitman and Ginsburg 2017)
 *
 * The average of the weights w1 … wt so far is sum (1 - a) a^(t - i) wi / (1 - a^t), a the share
 * that is kept: without the bias towards the start that a plain moving average has (as Kingma and
 * Ba correct theirs). Nothing that the step computes depends on it.
 *
 * Decay adds decay w to g; where it is decoupled (Loshchilov and Hutter 2019) it is added to what
 * the rate is multiplied with instead, so that no average and no momentum takes it in. */
typedef struct CvmOptimizer {
    CvmOptimizerKind kind;
    double momentum;                        /* SGD, LARS */
    bool nesterov;                          /* SGD */
    double mean_keep, square_keep, epsilon; /* ADAM: shares of the averages kept at each step */
    double trust;                           /* LARS */
    double decay;
    bool decoupled; /* SGD, ADAM */
    double average; /* share kept at each step of the weight's own moving average; 0: it has none */
} CvmOptimizer;

/* Appends the update nodes of one parameter and the graph updates, with the optimizer's state as
 * parameters "optimizer.NAME.momentum" (none where momentum is 0), and of ADAM "….mean",
 * "….square", and scalars "….mean_weight", "….square_weight": the averages of ones, by which
 * dividing takes the bias away; of weights that are averaged "….average" and a scalar
 * "….average_weight" (runtime/averages.h). They begin at 0. gradient: of the parameter's shape and
 * layout; rate: a scalar; multiplier: of the rate, for this parameter. False on error (reported).
 */
bool cvm_add_update(CvmGraph *graph, const CvmOptimizer *optimizer, CvmNode *parameter,
                    CvmNode *gradient, CvmNode *rate, double multiplier, CvmDiag *diag);

/* Replaces the gradients (NULL ones left out) by themselves times `scale`, a scalar or NULL. */
bool cvm_scale_gradients(CvmGraph *graph, CvmNode **gradients, int count, CvmNode *scale,
                         CvmDiag *diag);

/* Replaces the gradients times `scale` (a scalar, or NULL) by multiples of a norm, over all of them
 * together, of at most `norm`: torch.nn.utils.clip_grad_norm_'s rule, which Pascanu, Mikolov and
 * Bengio 2013 describe. False on error (reported). */
bool cvm_clip_gradients(CvmGraph *graph, CvmNode **gradients, int count, CvmNode *scale,
                        double norm, CvmDiag *diag);

#endif
