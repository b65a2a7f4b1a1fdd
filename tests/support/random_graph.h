/* Small random training graphs for property tests: pictures through convolutions, poolings,
 * activations, residual sums and linear layers, a loss, gradients and updates. The same number
 * gives the same graph. */
#ifndef CVM_TEST_RANDOM_GRAPH_H
#define CVM_TEST_RANDOM_GRAPH_H

#include "compiler/graph/graph.h"
#include "compiler/passes/passes.h"

#include <stdint.h>

typedef struct CvmTestRandom {
    uint64_t state;
} CvmTestRandom;

/* A whole number in [low, high]. */
int64_t cvm_test_pick(CvmTestRandom *random, int64_t low, int64_t high);

/* A graph with output "loss" (and sometimes others) and an update for most parameters. */
CvmGraph *cvm_test_random_graph(CvmTestRandom *random, CvmArena *arena, CvmDiag *diag);

/* Each pass with a probability of three in four; once in a while all or none, in any order, or with
 * limits. */
CvmPassChoice cvm_test_random_passes(CvmTestRandom *random);

#endif
