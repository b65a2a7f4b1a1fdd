/* The arithmetic of `cvmc ab`: whether B runs faster than A, from runs made in pairs.
 *
 * A pair is one run of A and one of B right after one another, so that what slows the machine down
 * for a while slows both. Pairs come in blocks: within a block, A's and B's memory lies where it
 * lies; each block is placed anew, since two runs of one program may differ by a percent for their
 * addresses alone (Mytkowicz et al., "Producing wrong data without doing anything obviously
 * wrong!", ASPLOS 2009). A block's value is the median of its pairs' log ratios, the estimate the
 * mean of the blocks' values without the outer fifth on either side, and its interval comes from a
 * bootstrap over blocks (Efron, Tibshirani: "An introduction to the bootstrap", 1993), widened as
 * Student's t is against the normal distribution. */
#ifndef CVM_DRIVER_AB_STATISTICS_H
#define CVM_DRIVER_AB_STATISTICS_H

#include <stdint.h>

enum {
    CVM_AB_PAIRS = 8,        /* pairs of a block, at most */
    CVM_AB_MIN_BLOCKS = 12,  /* before a look whether to end */
    CVM_AB_LEAST_BLOCKS = 5, /* however long they take: fewer tell nothing */
    CVM_AB_MAX_BLOCKS = 512,
};

typedef enum CvmAbVerdict {
    CVM_AB_NO_DIFFERENCE, /* none seen: the interval holds 1 */
    CVM_AB_A_FASTER,
    CVM_AB_B_FASTER,
} CvmAbVerdict;

/* time of B / time of A, and its 95% confidence interval. */
typedef struct CvmAbRatio {
    double ratio, low, high;
} CvmAbRatio;

/* The value of one block: times are seconds, above zero, by pair; 1 to CVM_AB_PAIRS of them. */
double cvm_ab_block(const double *a, const double *b, int pairs);

/* The ratio from the values of CVM_AB_LEAST_BLOCKS or more blocks. Where it is one of several
 * comparisons, intervals are wide enough for all of them to hold their true ratios in 95% of trials
 * (Bonferroni's correction). The seed fixes the bootstrap's draws. */
CvmAbRatio cvm_ab_ratio(const double *blocks, int count, int comparisons, uint64_t seed);

/* Of one or more values, at most CVM_AB_MAX_BLOCKS. */
double cvm_ab_median(const double *values, int count);

CvmAbVerdict cvm_ab_verdict(const CvmAbRatio *ratio);

/* Whether to look at the interval after `count` blocks: at CVM_AB_MIN_BLOCKS, then each time there
 * are a quarter more. Few looks, so that stopping early biases little. */
int cvm_ab_next_look(int count);

#endif
