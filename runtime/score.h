/* How good one answer of a classifier is. */
#ifndef CVM_RUNTIME_SCORE_H
#define CVM_RUNTIME_SCORE_H

#include <stdint.h>

/* The first largest value's index. */
int64_t cvm_largest(const float *values, int64_t count);

/* -log(softmax(logits)[label]) */
double cvm_cross_entropy(const float *logits, int64_t classes, int64_t label);

#endif
