/* The joint graph of one training step: forward, loss, backward, optimizer. */
#ifndef CVM_COMPILER_TRAINING_GRAPH_H
#define CVM_COMPILER_TRAINING_GRAPH_H

#include "compiler/front/program.h"

/* What goes over each part of a batch: the whole batch, unless the train accumulates (then see
 * cvm_gradient_graph, whose graph it is). Inputs: the model's image [batch, c, h, w], "target" i32
 * [batch], "rate" f32 [], and with dropout "random" i32 [4]: the halves of the seed and of the
 * step's number. Outputs: "loss" f32 []. Updates: every parameter whose multiplier is not 0, and
 * what the optimizer keeps of it. NULL on error (reported). */
CvmGraph *cvm_training_graph(const CvmTrain *train, int64_t batch, CvmArena *arena, CvmDiag *diag);

/* The same in two steps, so that several parts can be learned from at once. The gradients of a
 * part are added to parameters "gradient.NAME" of kind "gradient", which begin at zero; the input
 * "rate" is missing. They are those of the mean over `batch` pictures, or where the train
 * accumulates times batch / train->batch, so that the parts of a batch add up to the gradients of
 * its mean. distributions: "target" is f32 [batch, classes], each row of which adds up to 1. */
CvmGraph *cvm_gradient_graph(const CvmTrain *train, int64_t batch, bool distributions,
                             CvmArena *arena, CvmDiag *diag);

/* Inputs: "rate", "scale". Updates every learning parameter, and what the optimizer keeps of it,
 * from "gradient.NAME" times the scale. */
CvmGraph *cvm_apply_graph(const CvmTrain *train, CvmArena *arena, CvmDiag *diag);

/* Inputs: the image. Output: "logits" f32 [batch, classes], what the model gives. with_softmax:
 * also "probabilities"; of a model that ends with a softmax itself these are its output, and
 * "logits" the numbers before it. */
CvmGraph *cvm_inference_graph(const CvmModelUse *model, int64_t batch, bool with_softmax,
                              CvmArena *arena, CvmDiag *diag);

#endif
