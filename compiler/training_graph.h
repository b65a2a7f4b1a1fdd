/* The joint graph of one training step: forward, loss, backward, optimizer. */
#ifndef CVM_COMPILER_TRAINING_GRAPH_H
#define CVM_COMPILER_TRAINING_GRAPH_H

#include "compiler/front/program.h"

/* Inputs: the model's image [batch, c, h, w], "target" i32 [batch], "rate" f32 [], and with dropout
 * "random" i32 [4]: the halves of the seed and of the step's number. Outputs: "loss"
 * f32 []. Updates: every parameter whose multiplier is not 0, and what the optimizer keeps of it.
 * NULL on error (reported). */
CvmGraph *cvm_training_graph(const CvmTrain *train, int64_t batch, CvmArena *arena, CvmDiag *diag);

/* The same in two steps, so that several batches can be learned from at once. The gradients of a
 * batch are added to parameters "gradient.NAME" of kind "gradient"; the input "rate" is missing.
 * distributions: "target" is f32 [batch, classes], each row of which adds up to 1. */
CvmGraph *cvm_gradient_graph(const CvmTrain *train, int64_t batch, bool distributions,
                             CvmArena *arena, CvmDiag *diag);

/* Input: "rate". Updates every learning parameter, and what the optimizer keeps of it, from
 * "gradient.NAME". */
CvmGraph *cvm_apply_graph(const CvmTrain *train, CvmArena *arena, CvmDiag *diag);

/* Inputs: the image. Output: "logits" f32 [batch, classes], what the model gives. with_softmax:
 * also "probabilities"; of a model that ends with a softmax itself these are its output, and
 * "logits" the numbers before it. */
CvmGraph *cvm_inference_graph(const CvmModelUse *model, int64_t batch, bool with_softmax,
                              CvmArena *arena, CvmDiag *diag);

#endif
