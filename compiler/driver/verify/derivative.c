/* See derivative.h. */
#include "compiler/driver/verify/derivative.h"

#include <math.h>
#include <stdbool.h>

enum { STEPS = 5 };
static const double shrink = 4; /* from one step to the next */

CvmDerivative cvm_derivative(double (*loss)(void *context, double t), void *context,
                             double expected, double step, double noise, double tolerance) {
    CvmDerivative result = {.expected = expected, .error = INFINITY};
    double before = 0;
    bool settled = false; /* two steps in a row measured the same */
    for (int i = 0; i < STEPS; i++, step /= shrink) {
        double measured = (loss(context, step) - loss(context, -step)) / (2 * step);
        double doubt = noise / step, apart = fabs(measured - expected);
        if (!(apart / fabs(expected) >= result.error)) {
            result.error = apart / fabs(expected);
            result.measured = measured;
            result.step = step;
        }
        if (apart <= tolerance * fabs(expected) + doubt) {
            result.verdict =
                doubt > fabs(expected) / 2 ? CVM_DERIVATIVE_FLAT : CVM_DERIVATIVE_AGREES;
            return result;
        }
        settled |=
            isnan(measured) || (i > 0 && fabs(measured - before) <= tolerance * fabs(measured));
        if (i > 0 && doubt > fabs(measured)) /* smaller steps tell even less */
            break;
        before = measured;
    }
    result.verdict = settled ? CVM_DERIVATIVE_DIFFERS : CVM_DERIVATIVE_KINK;
    return result;
}

CvmDerivativeVerdict cvm_derivatives_verdict(const CvmDerivative *derivatives, int count) {
    int counts[4] = {0};
    for (int i = 0; i < count; i++)
        counts[derivatives[i].verdict]++;
    if (counts[CVM_DERIVATIVE_DIFFERS] > counts[CVM_DERIVATIVE_AGREES])
        return CVM_DERIVATIVE_DIFFERS;
    return counts[CVM_DERIVATIVE_AGREES]                                ? CVM_DERIVATIVE_AGREES
           : counts[CVM_DERIVATIVE_FLAT] >= counts[CVM_DERIVATIVE_KINK] ? CVM_DERIVATIVE_FLAT
                                                                        : CVM_DERIVATIVE_KINK;
}
