/* What learns in a training, and what the compiler leaves out of its steps for what does not. */
#ifndef CVM_DRIVER_LEARNING_H
#define CVM_DRIVER_LEARNING_H

#include "compiler/driver/session.h"
#include "compiler/frozen_prefix.h"

#include <cjson/cJSON.h>

/* How a parameter learns over the epochs: "frozen, then 0.1x from epoch 3"; "" where it learns at
 * the rate throughout. In the arena. */
const char *cvm_learning_text(const CvmTrain *train, const char *parameter, CvmArena *arena);

/* A training step as it is compiled: its size, and what of it the way back needs. */
typedef struct CvmStepSize {
    int nodes;          /* backward and optimizer */
    double gradients;   /* bytes of the parameters' gradients */
    double optimizer;   /* bytes of optimizer state */
    double activations; /* bytes of results that the way back reads */
    double arena;       /* bytes of memory of a step in all */
} CvmStepSize;

typedef struct CvmPhaseLearning {
    int first, end;       /* epochs, from 0; end is not in it */
    int learning, frozen; /* weights: tensors */
    int64_t learning_parameters, frozen_parameters;
    CvmStepSize step, whole; /* whole: if everything learned */
    bool has_prefix;         /* computed once a picture */
    bool augmented;          /* which is so for the pictures to test with alone */
    CvmFrozenPrefix prefix;
} CvmPhaseLearning;

/* The phases of the session's train, in its arena; NULL on error (reported). */
CvmPhaseLearning *cvm_learning_phases(CvmSession *session, int *count);

void cvm_learning_print(const CvmPhaseLearning *phases, int count);
cJSON *cvm_learning_json(const CvmPhaseLearning *phases, int count);

#endif
