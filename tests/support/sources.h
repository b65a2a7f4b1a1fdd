/* Elements for the inputs and parameters of any graph, and a graph's compiled results held against
 * those of its reference functions. */
#ifndef CVM_TESTS_SOURCES_H
#define CVM_TESTS_SOURCES_H

#include "tests/support/compiled.h"

typedef struct CvmTestSources {
    CvmArena *arena; /* holds the elements */
    uint64_t seed;
} CvmTestSources;

/* For cvm_evaluate: elements in [-1, 1] that depend on the seed and the source's name alone; i32
 * ones are 0 or 1. What an optimizer keeps is positive, as its averages of squares are, and so are
 * variances. */
const void *cvm_test_elements(void *sources, const CvmNode *node);

/* Compiles a copy of the graph with these passes, runs it once and fails the test where an output
 * or an updated parameter is not what the references give: |a - b| <= tolerance (1 + |a|). */
void cvm_test_compiled(const CvmGraph *graph, const char *passes, const char *cpu,
                       CvmTestSources *sources, double tolerance);

#endif
