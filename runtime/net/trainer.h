/* What trainer.c and trainer_state.c share. */
#ifndef CVM_RUNTIME_NET_TRAINER_H
#define CVM_RUNTIME_NET_TRAINER_H

#include "runtime/net/internal.h"
#include "runtime/net/train.h"

typedef enum CvmTrainerPlan {
    CVM_TRAINER_STEP,
    CVM_TRAINER_GRADIENTS,
    CVM_TRAINER_DISTRIBUTIONS,
    CVM_TRAINER_APPLY,
    CVM_TRAINER_EVALUATION, /* of the larger batch … */
    CVM_TRAINER_SINGLE,     /* … and single images */
    CVM_TRAINER_PLANS,
} CvmTrainerPlan;

/* Tensors of the store that no plan has. */
#define CVM_TRAINER_STEPS "optimizer.steps"
#define CVM_TRAINER_RATE "optimizer.rate"

struct cvm_net_trainer {
    const CvmNetDescription *about;
    const CvmNetCode *code;
    cvm_net_model *model; /* it began with, or NULL */
    CvmNormalization normalization;
    CvmStore store; /* weights, what the optimizer keeps, sums of gradients; in the plans' order */
    CvmStore averaged; /* what classifies: averages in place of the weights that have some */
    CvmInstance *instances[CVM_TRAINER_PLANS];
    CvmPool *pool;
    void *arena;
    void *prepared;                /* of the evaluations, which share it */
    int64_t owned_bytes;           /* of the arena; 0: it is the caller's */
    int32_t *steps;                /* into the store: batches so far, low half first */
    float *rate;                   /* the same */
    int pending;                   /* batches whose gradients wait */
    bool stale[CVM_TRAINER_PLANS]; /* weights moved since the plan last prepared them */
};

/* Plans that prepared something of the weights have to do it again; of a step, which itself moves
 * those that learn, only where frozen ones moved. */
void cvm_trainer_weights_moved(cvm_net_trainer *trainer, bool frozen_ones);

#endif
