/* What a compiled model knows of itself: constant data that the compiler puts into the object
 * beside the kernels, and that the functions of net.h work from. compiler/object/describe.c writes
 * these structs; a member added here is added there. */
#ifndef CVM_RUNTIME_NET_DESCRIPTION_H
#define CVM_RUNTIME_NET_DESCRIPTION_H

#include "runtime/normalization.h"
#include "runtime/plan.h"
#include "runtime/preparation.h"

enum { CVM_NET_MAX_INFERENCES = 2 };

/* The code for one kind of processor. */
typedef struct CvmNetCode {
    const char *cpu;             /* "x86-64-v3" */
    const char *const *features; /* that the processor must have: "avx2"; they end with NULL */
    /* of batches that become smaller, the last of one image; outputs "logits", "probabilities".
     * They have one block of prepared memory, and each prepares what those before it have not */
    const CvmPlan *inferences[CVM_NET_MAX_INFERENCES];
    int inference_count;
    /* as many, of the same batches, for parameters in the order in which trainers keep them; NULL:
     * that is the plain one, or the code is for trainers alone, and the inferences are theirs */
    const CvmPlan *evaluations[CVM_NET_MAX_INFERENCES];
    /* of one batch size, NULL without training: forward, backward and update in one; gradients that
     * are added up, of labels and of distributions; the update from them (training_graph.h) */
    const CvmPlan *step, *gradients, *distributions, *apply;
} CvmNetCode;

typedef struct CvmNetDescription {
    const char *name;         /* of the model: "LeNet5" */
    const char *facts;        /* JSON, for cvm_net_facts */
    uint64_t model_hash;      /* as checkpoints have it */
    uint64_t parameters_hash; /* of their names and shapes */
    CvmShape input;           /* [c, h, w] */
    int classes;
    const char *const *class_names; /* `classes` of them, or NULL */
    const CvmSlot *parameters;      /* and statistics, in the model's order */
    const double *multipliers;      /* of the rate, one a parameter */
    int parameter_count;
    CvmPreparation preparation;
    CvmNormalization normalization; /* of no channels: unknown before the weights tell */
    const CvmNetCode *codes;        /* the first one that the processor can run is taken */
    int code_count;
    const void *weights; /* a safetensors file; NULL: none is embedded */
    int64_t weights_bytes;
    int packed;          /* 1: packed weights are kept beside the file that is opened */
    int64_t train_batch; /* 0: nothing to train with */
    double rate;         /* to begin with */
    uint64_t seed;
} CvmNetDescription;

#endif
