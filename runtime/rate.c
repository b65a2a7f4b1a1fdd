/* See train.h: the learning rate's schedules. */
#include "runtime/train.h"

#include <math.h>

static const double PI = 3.14159265358979323846;

/* One multiplication per fall, so that the bits do not depend on how a library raises to a power.
 */
static double step_rate(const CvmRate *rate, int epoch) {
    double value = rate->base;
    int falls = rate->step_epochs > 0 ? epoch / rate->step_epochs : 0;
    for (int i = 0; i < falls; i++)
        value *= rate->step_factor;
    return value;
}

static double cosine_rate(const CvmRate *rate, int epoch, int64_t step, int64_t steps_per_epoch) {
    double all = (double)rate->epochs * (double)steps_per_epoch;
    double done = (double)epoch * (double)steps_per_epoch + (double)step;
    if (all <= 0)
        return rate->base;
    if (done >= all)
        return 0;
    return rate->base * (1 + cos(PI * done / all)) / 2;
}

double cvm_rate_at(const CvmRate *rate, int epoch, int64_t step, int64_t steps_per_epoch) {
    switch (rate->schedule) {
    case CVM_RATE_CONSTANT:
        return rate->base;
    case CVM_RATE_STEP:
        return step_rate(rate, epoch);
    case CVM_RATE_COSINE:
        return cosine_rate(rate, epoch, step, steps_per_epoch);
    }
    return rate->base;
}
