/* The part of a model's header that is about training (see net.h). In it, what stands between the
 * marks follows net.h. */
#ifndef CVM_NET_TRAIN_H
#define CVM_NET_TRAIN_H

#include "runtime/net/net.h"

/* @BEGIN@ */
/* --- training ---
 *
 * A trainer has weights of its own, which it changes, and the optimizer's memory of earlier steps.
 * It belongs to one thread at a time, as a context does.
 *
 *     cvm_net_trainer *trainer;
 *     cvm_net_trainer_create(model, NULL, &trainer);
 *     for (...)
 *         cvm_net_step(trainer, images, labels, CVM_NET_TRAIN_BATCH, &loss);
 *     cvm_net_save_weights(trainer, "tuned.safetensors");
 *     cvm_net_trainer_destroy(trainer);
 *
 * Which parameters learn, at what multiple of the rate, by which optimizer and loss is what the
 * .cvm file says; the rate over time is the caller's to set. Where it keeps averages of the weights
 * (`average`), they are what evaluate and predict use and save_weights writes; parameters are the
 * weights themselves. The same calls give the same bits, at any number of threads. */
typedef struct cvm_net_trainer cvm_net_trainer;

/* How much working memory a trainer needs, for options.memory; weights and gradients are not in it.
 */
size_t cvm_net_trainer_bytes(void);

/* Starts from a model's weights, which are copied, or with a model of NULL from the random ones
 * that the .cvm file's seed gives. options: NULL for the defaults. NO_MEMORY, NO_THREADS, BAD_CPU.
 */
cvm_net_status cvm_net_trainer_create(cvm_net_model *model, const cvm_net_options *options,
                                      cvm_net_trainer **trainer);
/* NULL is allowed. */
void cvm_net_trainer_destroy(cvm_net_trainer *trainer);

/* One step of the optimizer on one batch. images: f32 [count, CVM_NET_CHANNELS, CVM_NET_HEIGHT,
 * CVM_NET_WIDTH], normalized; labels: i32 [count], each from 0 to CVM_NET_CLASSES - 1; count:
 * CVM_NET_TRAIN_BATCH. *loss (or NULL): the mean over the batch, before the step. BAD_ARGUMENT;
 * BAD_ORDER: gradients wait to be applied; NOT_A_NUMBER: the weights are of no use any more. */
cvm_net_status cvm_net_step(cvm_net_trainer *trainer, const float *images, const int32_t *labels,
                            size_t count, float *loss);

/* The same with a distribution over the classes for each image, f32 [count, CVM_NET_CLASSES], whose
 * rows add up to 1, in place of labels: a teacher's answers, or mixed pictures. */
cvm_net_status cvm_net_step_of_distributions(cvm_net_trainer *trainer, const float *images,
                                             const float *distributions, size_t count, float *loss);

/* A step in two halves: the gradients of batches are added up, and then applied together, each
 * times `scale` (1 / batches for their mean). discard throws them away. */
cvm_net_status cvm_net_gradients(cvm_net_trainer *trainer, const float *images,
                                 const int32_t *labels, size_t count, float *loss);
cvm_net_status cvm_net_gradients_of_distributions(cvm_net_trainer *trainer, const float *images,
                                                  const float *distributions, size_t count,
                                                  float *loss);
/* BAD_ORDER: there are no gradients. */
cvm_net_status cvm_net_apply(cvm_net_trainer *trainer, float scale);
cvm_net_status cvm_net_discard(cvm_net_trainer *trainer);

/* The base rate. BAD_ARGUMENT: it is negative, infinite or not a number. */
cvm_net_status cvm_net_get_rate(const cvm_net_trainer *trainer, float *rate);
cvm_net_status cvm_net_set_rate(cvm_net_trainer *trainer, float rate);

typedef struct cvm_net_evaluation {
    size_t size;            /* sizeof(cvm_net_evaluation), set by the caller */
    int64_t count, correct; /* images; how many of them are taken for what they are */
    double loss;            /* mean cross-entropy */
} cvm_net_evaluation;

/* Classifies any number of images with the weights as they are now. */
cvm_net_status cvm_net_evaluate(cvm_net_trainer *trainer, const float *images,
                                const int32_t *labels, size_t count,
                                cvm_net_evaluation *evaluation);

/* Classifies any number of images with the weights as they are now: cvm_net_run of a trainer. */
cvm_net_status cvm_net_predict(cvm_net_trainer *trainer, const float *images, size_t count,
                               float *logits, float *probabilities);

/* A parameter's values, and the gradient that waits to be applied; `elements` must be its number of
 * them. BAD_ARGUMENT: there is no such parameter, or it does not learn and has no gradient. */
cvm_net_status cvm_net_trainer_get_parameter(const cvm_net_trainer *trainer, const char *name,
                                             float *values, size_t elements);
cvm_net_status cvm_net_trainer_set_parameter(cvm_net_trainer *trainer, const char *name,
                                             const float *values, size_t elements);
cvm_net_status cvm_net_get_gradient(const cvm_net_trainer *trainer, const char *name, float *values,
                                    size_t elements);

/* Writes the weights as a file that cvm_net_open and cvmc take, whole or not at all. NO_FILE. */
cvm_net_status cvm_net_save_weights(const cvm_net_trainer *trainer, const char *path);

/* The same with the optimizer's memory, the rate and the number of steps: a trainer that resumes
 * from it goes on to the same bits. BAD_ORDER: gradients wait to be applied. */
cvm_net_status cvm_net_save_checkpoint(const cvm_net_trainer *trainer, const char *path);
/* On error the trainer is as before. BAD_WEIGHTS, NO_FILE. */
cvm_net_status cvm_net_resume(cvm_net_trainer *trainer, const char *path);
/* @END@ */

#endif
