/* The choice of some pictures to learn from: balanced, and by the seed alone. */
#include "runtime/dataset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 60, CLASSES = 3 };

/* 30 of class 0, 20 of class 1, 10 of class 2. */
static void fill_labels(int32_t labels[COUNT]) {
    for (int i = 0; i < COUNT; i++)
        labels[i] = i % 6 < 3 ? 0 : i % 6 < 5 ? 1 : 2;
}

static void count_taken(int64_t wanted, uint64_t seed, bool taken[COUNT], int counts[CLASSES]) {
    int32_t labels[COUNT];
    CvmError error;
    fill_labels(labels);
    memset(counts, 0, CLASSES * sizeof *counts);
    assert_true(cvm_take(labels, COUNT, CLASSES, wanted, seed, taken, &error));
    for (int i = 0; i < COUNT; i++)
        counts[labels[i]] += taken[i];
}

static void classes_are_taken_alike_as_far_as_they_go(void **state) {
    (void)state;
    bool taken[COUNT];
    int counts[CLASSES];
    count_taken(9, 1, taken, counts);
    assert_true(counts[0] == 3 && counts[1] == 3 && counts[2] == 3);
    count_taken(50, 1, taken, counts);
    assert_true(counts[0] == 20 && counts[1] == 20 && counts[2] == 10);
    count_taken(COUNT, 1, taken, counts);
    assert_true(counts[0] == 30 && counts[1] == 20 && counts[2] == 10);
    count_taken(10, 1, taken, counts);
    assert_int_equal(counts[0] + counts[1] + counts[2], 10);
}

static void the_seed_chooses(void **state) {
    (void)state;
    bool one[COUNT], again[COUNT], other[COUNT];
    int counts[CLASSES];
    count_taken(12, 7, one, counts);
    count_taken(12, 7, again, counts);
    count_taken(12, 8, other, counts);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
}

static void more_than_there_are_is_an_error(void **state) {
    (void)state;
    int32_t labels[COUNT];
    bool taken[COUNT];
    CvmError error;
    fill_labels(labels);
    assert_false(cvm_take(labels, COUNT, CLASSES, COUNT + 1, 1, taken, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(classes_are_taken_alike_as_far_as_they_go),
        cmocka_unit_test(the_seed_chooses),
        cmocka_unit_test(more_than_there_are_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
