/* See score.h. */
#include "runtime/score.h"

#include <math.h>

int64_t cvm_largest(const float *values, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* log(sum exp(x - m)) + m - x[label], m the maximum, so that no exponential overflows. */
double cvm_cross_entropy(const float *logits, int64_t classes, int64_t label) {
    double maximum = logits[cvm_largest(logits, classes)], sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(logits[i] - maximum);
    return log(sum) + maximum - logits[label];
}
