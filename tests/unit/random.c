/* Philox against the known answers that its authors publish (Random123, kat_vectors). */
#include "runtime/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Answer {
    uint64_t key, high, low;
    uint32_t out[4];
} Answer;

static const Answer ANSWERS[] = {
    {0, 0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {UINT64_MAX, UINT64_MAX, UINT64_MAX, {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {0x299f31d0a4093822,
     0x0370734413198a2e,
     0x85a308d3243f6a88,
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_philox_gives_the_published_numbers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof ANSWERS / sizeof ANSWERS[0]; i++) {
        uint32_t out[4];
        cvm_philox(ANSWERS[i].key, ANSWERS[i].high, ANSWERS[i].low, out);
        assert_memory_equal(out, ANSWERS[i].out, sizeof out);
    }
}

/* FNV-1a's published test values. */
static void test_stream_is_fnv_1a(void **state) {
    (void)state;
    assert_true(cvm_random_stream("") == 0xcbf29ce484222325u);
    assert_true(cvm_random_stream("a") == 0xaf63dc4c8601ec8cu);
    assert_true(cvm_random_stream("foobar") == 0x85944171f73967e8u);
}

/* Every word of every counter is used once, and none lies outside of [0, 1). */
static void test_uniform_numbers_take_the_ciphers_words(void **state) {
    (void)state;
    double sum = 0;
    for (uint64_t i = 0; i < 64; i++) {
        uint32_t words[4];
        cvm_philox(5, 6, 1600 + i % 16, words);
        float number = cvm_random_uniform(5, 6, 6400 + i);
        assert_true(number == (float)(words[i / 16] >> 8) / 16777216);
        assert_true(number >= 0 && number < 1);
        sum += (double)number;
    }
    assert_true(sum > 20 && sum < 44);
}

/* Element i has the i-th 32 bits, and neither bound is passed. */
static void test_elements_are_filled_from_the_stream_of_a_name(void **state) {
    (void)state;
    float elements[7];
    uint32_t words[8];
    cvm_philox(5, cvm_random_stream("body"), 0, words);
    cvm_philox(5, cvm_random_stream("body"), 1, words + 4);
    cvm_random_fill(elements, 7, 5, "body", 0.5);
    for (int i = 0; i < 7; i++) {
        assert_true(elements[i] == (float)(words[i] >> 8) / 16777216 - 0.5F);
        assert_true(elements[i] >= -0.5F && elements[i] < 0.5F);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_gives_the_published_numbers),
        cmocka_unit_test(test_stream_is_fnv_1a),
        cmocka_unit_test(test_uniform_numbers_take_the_ciphers_words),
        cmocka_unit_test(test_elements_are_filled_from_the_stream_of_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
