/* See ab_statistics.h. */
#include "compiler/driver/ab/statistics.h"

#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { RESAMPLES = 1000 };

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double cvm_ab_block(const double *a, const double *b, int pairs) {
    double ratios[CVM_AB_PAIRS];
    for (int i = 0; i < pairs; i++)
        ratios[i] = log(b[i] / a[i]);
    qsort(ratios, (size_t)pairs, sizeof *ratios, by_value);
    return (ratios[(pairs - 1) / 2] + ratios[pairs / 2]) / 2;
}

/* The mean of the values in order, each as often as `times` says, without the outer fifth on either
 * side; `count` is the sum of times. */
static double trimmed_mean(const double *sorted, const int *times, int count) {
    int cut = count / 5, seen = 0;
    double sum = 0;
    for (int i = 0; seen < count - cut; i++) {
        int first = seen > cut ? seen : cut;
        seen += times[i];
        int last = seen < count - cut ? seen : count - cut;
        if (last > first)
            sum += sorted[i] * (last - first);
    }
    return sum / (count - 2 * cut);
}

static double resampled_mean(const double *sorted, int count, uint64_t seed, int sample) {
    int times[CVM_AB_MAX_BLOCKS] = {0};
    uint32_t bits[4];
    for (int i = 0; i < count; i++) {
        if (i % 4 == 0)
            cvm_philox(seed, (uint64_t)sample, (uint64_t)(i / 4), bits);
        times[(uint64_t)bits[i % 4] * (uint64_t)count >> 32]++;
    }
    return trimmed_mean(sorted, times, count);
}

/* The z that a normal variable exceeds, in absolute value, with the given probability. */
static double normal_quantile(double probability) {
    double low = 0, high = 40;
    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        *(erfc(middle / sqrt(2)) > probability ? &low : &high) = middle;
    }
    return low;
}

/* Student's for the normal one z: the first terms of its expansion (Abramowitz, Stegun: "Handbook
 * of mathematical functions", 26.7.5), to 0.2% from three degrees of freedom on at 95%. */
static double student_quantile(double z, double freedom) {
    double z2 = z * z, f = 1 / freedom;
    double g1 = (z2 + 1) / 4, g2 = ((5 * z2 + 16) * z2 + 3) / 96;
    double g3 = (((3 * z2 + 19) * z2 + 17) * z2 - 15) / 384;
    double g4 = ((((79 * z2 + 776) * z2 + 1482) * z2 - 1920) * z2 - 945) / 92160;
    return z * (1 + f * (g1 + f * (g2 + f * (g3 + f * g4))));
}

/* For a trial that ends when its interval is narrow: that happens sooner where it is too narrow. */
static const double early_end = 1.05;

/* How much wider than a bootstrap's interval of 95% it has to be: for few values, as Student's t is
 * against the normal distribution, with the small-sample bias of a bootstrap's variance; and for
 * one of several comparisons. */
static double widening(int count, int comparisons) {
    double kept = count - 2 * (count / 5), freedom = kept - 1;
    double z = normal_quantile(0.05 / (comparisons > 1 ? comparisons : 1));
    return early_end * student_quantile(z, freedom) / normal_quantile(0.05) * sqrt(kept / freedom);
}

CvmAbRatio cvm_ab_ratio(const double *blocks, int count, int comparisons, uint64_t seed) {
    double sorted[CVM_AB_MAX_BLOCKS], means[RESAMPLES];
    int once[CVM_AB_MAX_BLOCKS];
    memcpy(sorted, blocks, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    for (int i = 0; i < count; i++)
        once[i] = 1;
    double center = trimmed_mean(sorted, once, count);
    for (int i = 0; i < RESAMPLES; i++)
        means[i] = resampled_mean(sorted, count, seed, i);
    qsort(means, RESAMPLES, sizeof *means, by_value);
    double wider = widening(count, comparisons);
    double low = center - wider * (center - means[(int)(0.025 * RESAMPLES)]);
    double high = center + wider * (means[(int)(0.975 * RESAMPLES) - 1] - center);
    return (CvmAbRatio){exp(center), exp(low), exp(high)};
}

double cvm_ab_median(const double *values, int count) {
    double sorted[CVM_AB_MAX_BLOCKS];
    memcpy(sorted, values, (size_t)count * sizeof *sorted);
    qsort(sorted, (size_t)count, sizeof *sorted, by_value);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

CvmAbVerdict cvm_ab_verdict(const CvmAbRatio *ratio) {
    return ratio->low > 1    ? CVM_AB_A_FASTER
           : ratio->high < 1 ? CVM_AB_B_FASTER
                             : CVM_AB_NO_DIFFERENCE;
}

int cvm_ab_next_look(int count) {
    if (count < CVM_AB_MIN_BLOCKS)
        return CVM_AB_MIN_BLOCKS;
    int next = count + (count + 3) / 4;
    return next < CVM_AB_MAX_BLOCKS ? next : CVM_AB_MAX_BLOCKS;
}
