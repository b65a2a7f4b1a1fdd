/* A derivative held against finite differences: central ones, of smaller and smaller steps. The
 * loss is known to its rounding only, and activations and poolings have kinks, so one difference
 * may tell nothing; what is sure is said. */
#ifndef CVM_DRIVER_VERIFY_DERIVATIVE_H
#define CVM_DRIVER_VERIFY_DERIVATIVE_H

typedef enum CvmDerivativeVerdict {
    CVM_DERIVATIVE_AGREES,
    CVM_DERIVATIVE_DIFFERS,
    CVM_DERIVATIVE_FLAT, /* the loss changes by no more than its rounding, as it should */
    CVM_DERIVATIVE_KINK, /* no two steps agree with one another: they go over kinks */
} CvmDerivativeVerdict;

typedef struct CvmDerivative {
    CvmDerivativeVerdict verdict;
    double expected; /* by the gradient */
    double measured; /* by the step whose difference is nearest to that */
    double error;    /* |measured - expected| / |expected| */
    double step;
} CvmDerivative;

/* loss(context, t): of the parameters moved by t times a direction. expected: the derivative at 0.
 * step: the first and largest to try. noise: how far a loss may be off by rounding. tolerance: how
 * far both derivatives may be apart, as a share. */
CvmDerivative cvm_derivative(double (*loss)(void *context, double t), void *context,
                             double expected, double step, double noise, double tolerance);

/* Of derivatives in several directions: they differ when more of them differ than agree. */
CvmDerivativeVerdict cvm_derivatives_verdict(const CvmDerivative *derivatives, int count);

#endif
