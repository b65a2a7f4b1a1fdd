/* Values worked out by hand where operators have a choice: which of equal maxima gets the gradient,
 * what padding counts as, which side an uneven pad is on, what infinite and huge numbers do. */
#include "compiler/graph/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MOST = 32 };

typedef struct Tensor {
    CvmShape shape;
    const void *elements;
    CvmDtype dtype;
} Tensor;

/* Runs the op's reference on the operands and compares all of its elements (NaN equals NaN). */
static void check(CvmOp op, const CvmAttribute *attributes, Tensor a, Tensor b,
                  const float *expected, int count) {
    const CvmOpInfo *info = cvm_op_info(op);
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmNode operands[] = {{.type = {.dtype = a.dtype, .shape = a.shape}},
                          {.type = {.dtype = b.dtype, .shape = b.shape}}};
    CvmNode *inputs[] = {&operands[0], &operands[1]};
    CvmAttribute copy[CVM_MAX_ATTRIBUTES] = {{{0}}};
    for (int i = 0; attributes && info->attributes[i].kind != CVM_ATTRIBUTE_END; i++)
        copy[i] = attributes[i];
    CvmNode node = {
        .op = op, .inputs = inputs, .input_count = info->operand_count, .attributes = copy};
    cvm_diag_init(&diag, arena);
    if (!info->infer(&node, &diag)) {
        cvm_diag_print(&diag, stderr);
        fail_msg("%s: the case is not valid", info->name);
    }
    int64_t elements;
    assert_true(cvm_shape_count(&node.type.shape, &elements));
    assert_int_equal(elements, count);
    assert_true(count <= MOST);
    float result[MOST];
    memset(result, 0x55, sizeof result); /* what a reference does not write shows */
    info->reference(&node, (const void *[]){a.elements, b.elements}, result);
    for (int i = 0; i < count; i++)
        if (!(fabsf(result[i] - expected[i]) <= 1e-5f) && result[i] != expected[i] &&
            !(isnan(result[i]) && isnan(expected[i])))
            fail_msg("%s: element %d is %g instead of %g", info->name, i, (double)result[i],
                     (double)expected[i]);
    cvm_arena_free(arena);
}

#define VALUES(...) ((const float[]){__VA_ARGS__})
#define EXPECT(...) VALUES(__VA_ARGS__), (int)(sizeof VALUES(__VA_ARGS__) / sizeof(float))
static const Tensor none = {{0}, NULL, CVM_F32};

static Tensor picture(int64_t n, int64_t c, int64_t h, int64_t w, const float *elements) {
    return (Tensor){{4, {n, c, h, w}}, elements, CVM_F32};
}

static Tensor vectors(int64_t n, int64_t c, const float *elements) {
    return (Tensor){{2, {n, c}}, elements, CVM_F32};
}

static void test_conv_does_not_flip_its_kernel(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{1, 1}}, {{0}}, {{1, 1}}, {{1}}};
    check(CVM_OP_CONV, attributes, picture(1, 1, 2, 3, VALUES(1, 2, 3, 4, 5, 6)),
          picture(1, 1, 2, 2, VALUES(1, 10, 100, 1000)), EXPECT(5421, 6532));
}

/* Pads are top, left, bottom, right. */
static void test_conv_pads_each_side_by_its_own_number(void **state) {
    (void)state;
    const CvmAttribute top[] = {{{1, 1}}, {{1, 0, 0, 0}}, {{1, 1}}, {{1}}};
    const CvmAttribute left[] = {{{1, 1}}, {{0, 1, 0, 0}}, {{1, 1}}, {{1}}};
    const CvmAttribute bottom[] = {{{1, 1}}, {{0, 0, 1, 0}}, {{1, 1}}, {{1}}};
    const CvmAttribute right[] = {{{1, 1}}, {{0, 0, 0, 1}}, {{1, 1}}, {{1}}};
    Tensor column = picture(1, 1, 2, 1, VALUES(1, 2)), row = picture(1, 1, 1, 2, VALUES(1, 2));
    Tensor down = picture(1, 1, 2, 1, VALUES(1, 10)), along = picture(1, 1, 1, 2, VALUES(1, 10));
    check(CVM_OP_CONV, top, column, down, EXPECT(10, 21));
    check(CVM_OP_CONV, bottom, column, down, EXPECT(21, 2));
    check(CVM_OP_CONV, left, row, along, EXPECT(10, 21));
    check(CVM_OP_CONV, right, row, along, EXPECT(21, 2));
}

static void test_conv_dilates_and_groups(void **state) {
    (void)state;
    const CvmAttribute dilated[] = {{{1, 1}}, {{0}}, {{1, 2}}, {{1}}};
    check(CVM_OP_CONV, dilated, picture(1, 1, 1, 4, VALUES(1, 2, 3, 4)),
          picture(1, 1, 1, 2, VALUES(1, 10)), EXPECT(31, 42));
    const CvmAttribute grouped[] = {{{1, 1}}, {{0}}, {{1, 1}}, {{2}}};
    check(CVM_OP_CONV, grouped, picture(1, 4, 1, 1, VALUES(1, 2, 3, 4)),
          picture(2, 2, 1, 1, VALUES(1, 10, 100, 1000)), EXPECT(21, 4300));
}

static void test_padding_never_wins_a_maximum(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{2, 2}}, {{2, 2}}, {{1, 1, 1, 1}}, {{0}}, {{1}}};
    Tensor negative = picture(1, 1, 2, 2, VALUES(-1, -2, -3, -4));
    check(CVM_OP_MAXPOOL, attributes, negative, none, EXPECT(-1, -2, -3, -4));
    check(CVM_OP_AVGPOOL, attributes, negative, none, EXPECT(-0.25f, -0.5f, -0.75f, -1));
}

static void test_a_mean_counts_its_padding(void **state) {
    (void)state;
    CvmAttribute attributes[] = {{{2, 2}}, {{2, 2}}, {{0, 0, 1, 0}}, {{0}}, {{1}}};
    Tensor fours = picture(1, 1, 3, 2, VALUES(4, 4, 4, 4, 4, 4));
    check(CVM_OP_AVGPOOL, attributes, fours, none, EXPECT(4, 2));
    attributes[4].integers[0] = 0;
    check(CVM_OP_AVGPOOL, attributes, fours, none, EXPECT(4, 4));
}

/* Expected values: PyTorch's AvgPool2d(2, ceil_mode=True) and AdaptiveAvgPool2d. */
static void test_a_last_window_may_reach_over_the_end(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{1, 2}}, {{1, 2}}, {{0}}, {{1}}, {{1}}};
    Tensor row = picture(1, 1, 1, 5, VALUES(1, 2, 3, 4, 5));
    check(CVM_OP_AVGPOOL, attributes, row, none, EXPECT(1.5f, 3.5f, 5));
    check(CVM_OP_MAXPOOL, attributes, row, none, EXPECT(2, 4, 5));
    const CvmAttribute three[] = {{{1, 3}}};
    check(CVM_OP_ADAPTIVE_AVGPOOL, three, row, none, EXPECT(1.5f, 3, 4.5f));
    check(CVM_OP_GLOBAL_AVGPOOL, NULL, row, none, EXPECT(3));
}

static void test_windows_that_do_not_fit_are_left_out(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{2, 2}}, {{2, 2}}, {{0}}, {{0}}};
    check(CVM_OP_MAXPOOL, attributes, picture(1, 1, 3, 3, VALUES(1, 2, 9, 3, 4, 9, 9, 9, 9)), none,
          EXPECT(4));
}

static void test_the_first_of_equal_maxima_gets_the_gradient(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{2, 2}}, {{1, 1}}, {{0}}, {{0}}, {{2, 3}}};
    check(CVM_OP_MAXPOOL_INDEX, attributes, picture(1, 1, 2, 3, VALUES(7, 7, 7, 7, 7, 7)), none,
          EXPECT(0, 0));
    check(CVM_OP_MAXPOOL_INDEX, attributes, picture(1, 1, 2, 3, VALUES(0, 7, 0, 7, 0, 7)), none,
          EXPECT(1, 0));
    Tensor dy = picture(1, 1, 1, 2, VALUES(1, 10));
    check(CVM_OP_MAXPOOL_GRAD, attributes, dy, picture(1, 1, 1, 2, VALUES(1, 0)),
          EXPECT(0, 11, 0, 0, 0, 0));
    check(CVM_OP_MAXPOOL_GRAD, attributes, dy, picture(1, 1, 1, 2, VALUES(3, 2)),
          EXPECT(0, 0, 0, 0, 11, 0));
}

static void test_softmax_withstands_large_numbers(void **state) {
    (void)state;
    Tensor x = vectors(2, 2, VALUES(1000, 1000, -1000, 1000));
    check(CVM_OP_SOFTMAX, NULL, x, none, EXPECT(0.5f, 0.5f, 0, 1));
    check(CVM_OP_LOG_SOFTMAX, NULL, x, none, EXPECT(-0.693147f, -0.693147f, -2000, 0));
}

/* Every pixel has its own softmax. */
static void test_softmax_of_pictures_runs_along_channels(void **state) {
    (void)state;
    Tensor x = picture(1, 2, 1, 2, VALUES(0, 9, 0, -9));
    check(CVM_OP_SOFTMAX, NULL, x, none, EXPECT(0.5f, 1, 0.5f, 0));
}

/* One by its neighbours on both sides, the outer ones having one neighbour fewer:
 * x / (k + alpha/3 * sum of x^2). */
static void test_lrn_divides_alpha_by_the_size(void **state) {
    (void)state;
    const CvmAttribute attributes[] = {{{3}}, {.real = 3}, {.real = 1}, {.real = 2}};
    check(CVM_OP_LRN, attributes, picture(1, 4, 1, 1, VALUES(1, 2, 3, 4)), none,
          EXPECT(1 / 7.0f, 2 / 16.0f, 3 / 31.0f, 4 / 27.0f));
}

static void test_infinite_gradients_stop_at_relu(void **state) {
    (void)state;
    check(CVM_OP_RELU, NULL, vectors(1, 4, VALUES(-1, 0, 2, NAN)), none, EXPECT(0, 0, 2, NAN));
    check(CVM_OP_RELU_GRAD, NULL, vectors(1, 3, VALUES(INFINITY, NAN, 3)),
          vectors(1, 3, VALUES(0, 0, 2)), EXPECT(0, 0, 3));
}

static void test_the_loss_picks_the_target(void **state) {
    (void)state;
    const int32_t targets[] = {2, 0, 1};
    Tensor target = {{1, {3}}, targets, CVM_I32};
    check(CVM_OP_NLL, NULL, vectors(3, 3, VALUES(1, 2, 3, 4, 5, 6, 7, -INFINITY, 9)), target,
          EXPECT(-3, -4, INFINITY));
    const CvmAttribute classes[] = {{{3}}, {.real = 0}};
    check(CVM_OP_NLL_GRAD, classes, (Tensor){{1, {3}}, VALUES(1, 2, 3), CVM_F32}, target,
          EXPECT(0, 0, -1, -2, 0, 0, 0, -3, 0));
}

/* A label that is no class reads nothing outside of its row. */
static void test_targets_out_of_range_pick_nothing(void **state) {
    (void)state;
    const int32_t targets[] = {3, -1, INT32_MIN, INT32_MAX};
    Tensor target = {{1, {4}}, targets, CVM_I32};
    check(CVM_OP_NLL, NULL, vectors(4, 3, VALUES(1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)), target,
          EXPECT(0, 0, 0, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_does_not_flip_its_kernel),
        cmocka_unit_test(test_conv_pads_each_side_by_its_own_number),
        cmocka_unit_test(test_conv_dilates_and_groups),
        cmocka_unit_test(test_padding_never_wins_a_maximum),
        cmocka_unit_test(test_a_mean_counts_its_padding),
        cmocka_unit_test(test_a_last_window_may_reach_over_the_end),
        cmocka_unit_test(test_windows_that_do_not_fit_are_left_out),
        cmocka_unit_test(test_the_first_of_equal_maxima_gets_the_gradient),
        cmocka_unit_test(test_softmax_withstands_large_numbers),
        cmocka_unit_test(test_softmax_of_pictures_runs_along_channels),
        cmocka_unit_test(test_lrn_divides_alpha_by_the_size),
        cmocka_unit_test(test_infinite_gradients_stop_at_relu),
        cmocka_unit_test(test_the_loss_picks_the_target),
        cmocka_unit_test(test_targets_out_of_range_pick_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
