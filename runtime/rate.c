/* See rate.h. */
#include "runtime/rate.h"

#include <math.h>
#include <stddef.h>

static const double PI = 3.14159265358979323846;
static const double LOWER = 1e-4; /* a part of the best loss */

CvmPlateau cvm_plateau_begin(void) {
    return (CvmPlateau){.best = INFINITY};
}

/* One multiplication per fall, so that the bits do not depend on how a library raises to a power.
 */
static double fall(double value, double factor, int64_t times) {
    for (int64_t i = 0; i < times; i++)
        value *= factor;
    return value;
}

/* From `from` to `to` along a half cosine; part: 0 to 1. */
static double anneal(double from, double to, double part) {
    return to + (from - to) * (1 + cos(PI * part)) / 2;
}

static double cosine_rate(const CvmRate *rate, double done, double all) {
    if (all <= 0)
        return rate->base;
    return done >= all ? rate->least : anneal(rate->base, rate->least, done / all);
}

/* PyTorch counts to the last step, not to the one behind it, and so do its phases. */
static double one_cycle_rate(const CvmRate *rate, double done, double all) {
    double first = rate->base / rate->start, top = rate->rise * all - 1, last = all - 1;
    if (done <= top)
        return anneal(first, rate->base, done / top);
    return last > top ? anneal(rate->base, first / rate->end, (done - top) / (last - top))
                      : rate->base;
}

static double plateau_rate(const CvmRate *rate, const CvmPlateau *plateau) {
    double value = fall(rate->base, rate->factor, plateau ? plateau->falls : 0);
    return value > rate->least ? value : rate->least;
}

double cvm_rate_at(const CvmRate *rate, const CvmPlateau *plateau, int epoch, int64_t step,
                   int64_t steps_per_epoch) {
    double warmup = floor(rate->warmup * (double)steps_per_epoch);
    double all = (double)rate->epochs * (double)steps_per_epoch - warmup;
    double done = (double)epoch * (double)steps_per_epoch + (double)step - warmup;
    if (done < 0)
        return rate->base * (done + warmup + 1) / (warmup + 1);
    switch (rate->schedule) {
    case CVM_RATE_CONSTANT:
        return rate->base;
    case CVM_RATE_STEP: {
        double period = (double)rate->step_epochs * (double)steps_per_epoch;
        return period > 0 ? fall(rate->base, rate->factor, (int64_t)(done / period)) : rate->base;
    }
    case CVM_RATE_COSINE:
        return cosine_rate(rate, done, all);
    case CVM_RATE_ONE_CYCLE:
        return one_cycle_rate(rate, done, all);
    case CVM_RATE_PLATEAU:
        return plateau_rate(rate, plateau);
    }
    return rate->base;
}

void cvm_plateau_observe(const CvmRate *rate, CvmPlateau *plateau, double loss) {
    if (rate->schedule != CVM_RATE_PLATEAU)
        return;
    if (loss < plateau->best * (1 - LOWER)) {
        plateau->best = loss;
        plateau->waited = 0;
    } else if (++plateau->waited > rate->patience) {
        plateau->waited = 0;
        plateau->falls++;
    }
}
