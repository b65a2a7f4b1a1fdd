/* Feeding and judging the runs of golden.h. */
#include "tests/support/golden.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

const CvmGoldenTensor *cvm_golden_source(const CvmGoldenRun *run, const char *name) {
    for (int i = 0; i < run->source_count; i++)
        if (!strcmp(run->sources[i].name, name))
            return &run->sources[i];
    return NULL;
}

/* How far apart, as a multiple of what is allowed; infinite where either is no number. */
static double excess(double actual, double expected, double tolerance) {
    double ratio = fabs(actual - expected) / (tolerance + tolerance * fabs(expected));
    return ratio >= 0 ? ratio : INFINITY;
}

void cvm_golden_compare(const CvmGoldenRun *run, const char *what, const float *actual,
                        const float *expected, int64_t count) {
    double most = 0;
    int64_t worst = 0, differing = 0;
    for (int64_t i = 0; i < count; i++) {
        double here = excess(actual[i], expected[i], run->tolerance);
        differing += here > 1;
        worst = here > most ? i : worst;
        most = here > most ? here : most;
    }
    if (differing)
        fail_msg("%s: %s differs in %lld of %lld elements; most at %lld: %.9g, and the reference "
                 "is %.9g",
                 run->name, what, (long long)differing, (long long)count, (long long)worst,
                 (double)actual[worst], (double)expected[worst]);
}
