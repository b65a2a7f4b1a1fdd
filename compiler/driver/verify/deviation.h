/* Whether a tensor of compiled code is what the reference functions give, and how far it is from
 * that. The two round in different places, so an element may be apart by the tolerance, as a share
 * of its own value and of the tensor's norm (the root of the mean square) together, or by less than
 * the least normal float. Where the true
 * value is the small rest of large terms, a zero even, that is too little; its *blur* is what such
 * a number can be known to: how far it moves when the operands it is made of move by the tolerance.
 * (A result that is right for operands so near is all that one can ask of an algorithm: Higham,
 * "Accuracy and stability of numerical algorithms", 2002, calls it backward stable.) */
#ifndef CVM_DRIVER_VERIFY_DEVIATION_H
#define CVM_DRIVER_VERIFY_DEVIATION_H

#include <stdbool.h>
#include <stdint.h>

typedef struct CvmDeviation {
    double norm;             /* root of the mean square of what is expected */
    int64_t worst;           /* the element nearest to what it may be apart, or farthest beyond */
    double expected, actual; /* there */
    double error;            /* |actual - expected| there, as a share of the norm (if it is 0, of 1)
                              */
    double allowed;          /* what that may be there */
    double strain;           /* error / allowed: beyond 1 they differ */
    bool agrees;
} CvmDeviation;

/* Compares `count` elements. blur: of each element, or NULL where that is not needed. Infinities
 * are equal to themselves, and NaN agrees with NaN. */
CvmDeviation cvm_deviation(const float *expected, const float *actual, int64_t count,
                           double tolerance, const float *blur);

#endif
