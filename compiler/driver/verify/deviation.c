/* See deviation.h. */
#include "compiler/driver/verify/deviation.h"

#include <float.h>
#include <math.h>
#include <stddef.h>

/* Elements of a blur are the most of few trials, and one may have moved little by chance: none is
 * taken to be known better than the tensor's norm of them, and each to a multiple of what was seen.
 */
static const double blur_factor = 4;

static double norm_of(const float *elements, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        if (isfinite(elements[i]))
            sum += (double)elements[i] * (double)elements[i];
    return count ? sqrt(sum / (double)count) : 0;
}

/* Not at all below the least normal number: exp gives zero there, whose reference goes on to
 * denormal ones. */
static double apart(double expected, double actual) {
    if (expected == actual || (isnan(expected) && isnan(actual)))
        return 0;
    double distance = fabs(actual - expected);
    return isnan(distance) ? INFINITY : distance < (double)FLT_MIN ? 0 : distance;
}

static double strain_of(double distance, double allowed) {
    return distance == 0 ? 0 : allowed > 0 ? distance / allowed : INFINITY;
}

CvmDeviation cvm_deviation(const float *expected, const float *actual, int64_t count,
                           double tolerance, const float *blur) {
    CvmDeviation deviation = {.norm = norm_of(expected, count), .strain = -1};
    double scale = deviation.norm > 0 ? deviation.norm : 1;
    double blur_norm = blur ? norm_of(blur, count) : 0;
    for (int64_t i = 0; i < count; i++) {
        double value = (double)expected[i];
        double allowed = tolerance * (deviation.norm + (isfinite(value) ? fabs(value) : 0));
        if (blur)
            allowed += blur_factor * fmax(blur_norm, (double)blur[i]);
        double distance = apart(value, (double)actual[i]);
        double strain = strain_of(distance, allowed);
        if (strain <= deviation.strain)
            continue;
        deviation.worst = i;
        deviation.expected = value;
        deviation.actual = (double)actual[i];
        deviation.error = distance / scale;
        deviation.allowed = allowed / scale;
        deviation.strain = strain;
    }
    deviation.agrees = deviation.strain <= 1;
    return deviation;
}
