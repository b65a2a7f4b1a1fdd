/* The arithmetic of cvmc verify: when a tensor is as its reference, and when a derivative is what
 * finite differences say. */
#include "compiler/driver/verify/derivative.h"
#include "compiler/driver/verify/deviation.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* --- tensors --- */

enum { COUNT = 6 };
static const float values[COUNT] = {1, -2, 3, -4, 5, -6};

static CvmDeviation doctored(int64_t at, float value, double tolerance) {
    float actual[COUNT];
    for (int i = 0; i < COUNT; i++)
        actual[i] = values[i];
    actual[at] = value;
    return cvm_deviation(values, actual, COUNT, tolerance, NULL);
}

static void equal_tensors_agree_at_any_tolerance(void **state) {
    (void)state;
    CvmDeviation deviation = cvm_deviation(values, values, COUNT, 0, NULL);
    assert_true(deviation.agrees);
    assert_true(deviation.strain == 0);
    assert_true(fabs(deviation.norm - sqrt(91.0 / 6)) < 1e-12);
}

static void a_doctored_element_is_found(void **state) {
    (void)state;
    CvmDeviation deviation = doctored(3, -4.01F, 1e-4);
    assert_false(deviation.agrees);
    assert_int_equal(deviation.worst, 3);
    assert_true(deviation.expected == -4 && fabs(deviation.actual + 4.01) < 1e-6);
    assert_true(fabs(deviation.error - 0.01 / deviation.norm) < 1e-6);
    assert_true(doctored(3, -4.01F, 1e-2).agrees);
    assert_false(doctored(0, 1, 0).strain > 0);
}

/* An error may be a share of the norm and of the element itself, not of the largest element. */
static void the_worst_element_is_the_one_nearest_to_its_bound(void **state) {
    (void)state;
    float actual[COUNT];
    for (int i = 0; i < COUNT; i++)
        actual[i] = values[i];
    actual[0] += 0.001F;  /* the bound is less here … */
    actual[5] += 0.0011F; /* … than here */
    assert_int_equal(cvm_deviation(values, actual, COUNT, 1e-3, NULL).worst, 0);
}

static void not_a_number_differs_from_numbers_alone(void **state) {
    (void)state;
    const float expected[] = {1, NAN, INFINITY, 2};
    const float same[] = {1, NAN, INFINITY, 2}, other[] = {1, NAN, INFINITY, NAN};
    const float negative[] = {1, NAN, -INFINITY, 2}, finite[] = {1, 0, INFINITY, 2};
    assert_true(cvm_deviation(expected, same, 4, 1e-4, NULL).agrees);
    assert_int_equal(cvm_deviation(expected, other, 4, 1e-4, NULL).worst, 3);
    assert_false(cvm_deviation(expected, other, 4, 1e-4, NULL).agrees);
    assert_false(cvm_deviation(expected, negative, 4, 1e-4, NULL).agrees);
    assert_false(cvm_deviation(expected, finite, 4, 1e-4, NULL).agrees);
}

/* A softmax of logits that are 97 apart, say, where the compiled exp gives zero. */
static void denormal_numbers_are_as_good_as_zero(void **state) {
    (void)state;
    const float tiny[] = {3e-42F, -1e-40F}, zeros[] = {0, 0}, small[] = {3e-42F, -1e-37F};
    assert_true(cvm_deviation(tiny, zeros, 2, 1e-4, NULL).agrees);
    assert_false(cvm_deviation(small, zeros, 2, 1e-4, NULL).agrees);
}

/* The gradient of a bias before batch norm, say: zero but for rounding. */
static void a_blurred_zero_agrees_and_a_wrong_number_does_not(void **state) {
    (void)state;
    const float zeros[] = {0, 1e-9F, 0, -1e-9F}, noise[] = {2e-8F, -3e-8F, 1e-8F, 2e-8F};
    const float wrong[] = {2e-8F, -3e-8F, 1e-3F, 2e-8F}, blur[] = {2e-8F, 3e-8F, 1e-9F, 1e-8F};
    assert_false(cvm_deviation(zeros, noise, 4, 1e-4, NULL).agrees);
    assert_true(cvm_deviation(zeros, noise, 4, 1e-4, blur).agrees);
    assert_int_equal(cvm_deviation(zeros, wrong, 4, 1e-4, blur).worst, 2);
    assert_false(cvm_deviation(zeros, wrong, 4, 1e-4, blur).agrees);
}

static void an_empty_tensor_agrees(void **state) {
    (void)state;
    assert_true(cvm_deviation(NULL, NULL, 0, 0, NULL).agrees);
}

/* --- derivatives --- */

static double smooth(void *context, double t) {
    (void)context;
    return 2 + 3 * t + t * t - 5 * t * t * t;
}

static void a_derivative_agrees_and_a_wrong_one_does_not(void **state) {
    (void)state;
    CvmDerivative right = cvm_derivative(smooth, NULL, 3, 0.1, 1e-7, 0.01);
    assert_int_equal(right.verdict, CVM_DERIVATIVE_AGREES);
    assert_true(right.error <= 0.01 && right.step < 0.1); /* the first step was too large */
    CvmDerivative wrong = cvm_derivative(smooth, NULL, 1.5, 0.1, 1e-7, 0.01);
    assert_int_equal(wrong.verdict, CVM_DERIVATIVE_DIFFERS);
    assert_int_equal(cvm_derivative(smooth, NULL, -3, 0.1, 1e-7, 0.01).verdict,
                     CVM_DERIVATIVE_DIFFERS);
    assert_int_equal(cvm_derivative(smooth, NULL, 0, 0.1, 1e-7, 0.01).verdict,
                     CVM_DERIVATIVE_DIFFERS);
}

static double rounded(void *context, double t) {
    (void)context;
    return 2 + round(1e-9 * t / 1e-7) * 1e-7;
}

static void a_change_below_the_rounding_tells_nothing(void **state) {
    (void)state;
    assert_int_equal(cvm_derivative(rounded, NULL, 1e-9, 0.1, 1e-7, 0.01).verdict,
                     CVM_DERIVATIVE_FLAT);
}

/* Beyond a kink the slope is another one; between kinks it is what smaller steps find. */
static double kinked(void *context, double t) {
    double kink = *(double *)context;
    return t < kink ? t : kink + 3 * (t - kink);
}

static void smaller_steps_stay_this_side_of_a_kink(void **state) {
    (void)state;
    double near = 0.01;
    CvmDerivative derivative = cvm_derivative(kinked, &near, 1, 0.1, 1e-9, 0.01);
    assert_int_equal(derivative.verdict, CVM_DERIVATIVE_AGREES);
    assert_true(derivative.step < 0.01);
}

/* The sawtooth's kinks are dense: no two steps measure the same slope. */
static double sawtooth(void *context, double t) {
    (void)context;
    return sin(2e4 * t * t * t + 300 * t);
}

static void kinks_everywhere_tell_nothing(void **state) {
    (void)state;
    assert_int_equal(cvm_derivative(sawtooth, NULL, 1, 0.1, 1e-9, 0.01).verdict,
                     CVM_DERIVATIVE_KINK);
}

static void most_directions_decide(void **state) {
    (void)state;
    CvmDerivative derivatives[4] = {{.verdict = CVM_DERIVATIVE_AGREES},
                                    {.verdict = CVM_DERIVATIVE_DIFFERS},
                                    {.verdict = CVM_DERIVATIVE_FLAT},
                                    {.verdict = CVM_DERIVATIVE_AGREES}};
    assert_int_equal(cvm_derivatives_verdict(derivatives, 4), CVM_DERIVATIVE_AGREES);
    derivatives[3].verdict = CVM_DERIVATIVE_DIFFERS;
    assert_int_equal(cvm_derivatives_verdict(derivatives, 4), CVM_DERIVATIVE_DIFFERS);
    assert_int_equal(cvm_derivatives_verdict(&derivatives[2], 1), CVM_DERIVATIVE_FLAT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_tensors_agree_at_any_tolerance),
        cmocka_unit_test(a_doctored_element_is_found),
        cmocka_unit_test(the_worst_element_is_the_one_nearest_to_its_bound),
        cmocka_unit_test(not_a_number_differs_from_numbers_alone),
        cmocka_unit_test(denormal_numbers_are_as_good_as_zero),
        cmocka_unit_test(a_blurred_zero_agrees_and_a_wrong_number_does_not),
        cmocka_unit_test(an_empty_tensor_agrees),
        cmocka_unit_test(a_derivative_agrees_and_a_wrong_one_does_not),
        cmocka_unit_test(a_change_below_the_rounding_tells_nothing),
        cmocka_unit_test(smaller_steps_stay_this_side_of_a_kink),
        cmocka_unit_test(kinks_everywhere_tell_nothing),
        cmocka_unit_test(most_directions_decide),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
