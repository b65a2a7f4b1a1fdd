/* Dropout's mask: how much it drops, what it depends on, and that no two places share it by
 * accident. That generated code draws the same is held in kernels.c, that the gradient does in
 * gradients.c. */
#include "compiler/graph/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 100000 };

static float *drop(double rate, int64_t stream, uint64_t seed, uint64_t step) {
    static const char name[] = "x";
    CvmNode x = {.type = {.dtype = CVM_F32, .shape = {1, {COUNT}}}};
    CvmNode random = {.type = {.dtype = CVM_I32, .shape = {1, {4}}}};
    CvmNode *inputs[] = {&x, &random};
    CvmAttribute attributes[] = {{.real = rate}, {.integers = {stream}}};
    CvmNode node = {.op = CVM_OP_DROPOUT,
                    .type = x.type,
                    .inputs = inputs,
                    .input_count = 2,
                    .attributes = attributes,
                    .origin = {.name = name}};
    const uint32_t halves[] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)step,
                               (uint32_t)(step >> 32)};
    float *ones = malloc(COUNT * sizeof *ones), *y = malloc(COUNT * sizeof *y);
    assert_true(ones && y);
    for (int i = 0; i < COUNT; i++)
        ones[i] = 1;
    cvm_op_info(CVM_OP_DROPOUT)->reference(&node, (const void *[]){ones, halves}, y);
    free(ones);
    return y;
}

/* Five standard deviations of so many draws. */
static bool is_near(double share, double expected) {
    return fabs(share - expected) < 5 * sqrt(expected * (1 - expected) / COUNT);
}

static void test_the_rate_is_dropped_and_the_rest_scaled(void **state) {
    (void)state;
    static const double rates[] = {0.1, 0.5, 0.8};
    for (int k = 0; k < 3; k++) {
        float *y = drop(rates[k], 1, 2, 3);
        int dropped = 0;
        for (int i = 0; i < COUNT; i++) {
            assert_true(y[i] == 0 || fabs(y[i] - 1 / (1 - rates[k])) < 1e-5);
            dropped += y[i] == 0;
        }
        assert_true(is_near((double)dropped / COUNT, rates[k]));
        free(y);
    }
}

static void test_neighbours_are_independent(void **state) {
    (void)state;
    float *y = drop(0.5, 1, 2, 3);
    static const int distances[] = {1, 2, 4, 15, 16, 17, 64};
    for (int k = 0; k < 7; k++) {
        int both = 0;
        for (int i = 0; i < COUNT; i++)
            both += y[i] == 0 && y[(i + distances[k]) % COUNT] == 0;
        assert_true(is_near((double)both / COUNT, 0.25));
    }
    free(y);
}

static void test_seed_step_and_layer_each_give_another_mask(void **state) {
    (void)state;
    static const uint64_t places[][3] = {{1, 2, 3},
                                         {2, 2, 3},
                                         {1, 3, 3},
                                         {1, 2, 4},
                                         {1, 2 + (1ull << 32), 3},
                                         {1, 2, 3 + (1ull << 32)}};
    float *masks[6], *again = drop(0.5, 1, 2, 3);
    for (int i = 0; i < 6; i++)
        masks[i] = drop(0.5, (int64_t)places[i][0], places[i][1], places[i][2]);
    assert_memory_equal(again, masks[0], COUNT * sizeof *again);
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < i; k++) {
            int both = 0;
            for (int e = 0; e < COUNT; e++)
                both += masks[i][e] == 0 && masks[k][e] == 0;
            assert_true(is_near((double)both / COUNT, 0.25));
        }
    for (int i = 0; i < 6; i++)
        free(masks[i]);
    free(again);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_rate_is_dropped_and_the_rest_scaled),
        cmocka_unit_test(test_neighbours_are_independent),
        cmocka_unit_test(test_seed_step_and_layer_each_give_another_mask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
