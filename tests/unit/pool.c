/* The thread pool: all threads run, barriers separate, nothing is lost over many runs. Meant to be
 * run under -fsanitize=thread too. */
#include "runtime/pool.h"

#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_THREADS = 8, RUNS = 300, BARRIERS = 20 };

/* Plain memory, ordered by the pool's barriers alone: a lost or weak barrier is a data race. */
typedef struct Shared {
    CvmPool *pool;
    int64_t values[MAX_THREADS];
    int64_t sums[MAX_THREADS];
} Shared;

static void set_own_value(void *context, int thread, int threads) {
    Shared *shared = context;
    assert_true(thread < threads);
    shared->values[thread] = thread + 1;
}

static void test_every_thread_runs_once(void **state) {
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++) {
        CvmError error;
        Shared shared = {.pool = cvm_pool_create(threads, &error)};
        assert_non_null(shared.pool);
        assert_int_equal(cvm_pool_threads(shared.pool), threads);
        cvm_pool_run(shared.pool, set_own_value, &shared);
        for (int t = 0; t < MAX_THREADS; t++)
            assert_int_equal(shared.values[t], t < threads ? t + 1 : 0);
        cvm_pool_free(shared.pool);
    }
}

/* Each thread writes its value, all add up all values, again and again. */
static void add_between_barriers(void *context, int thread, int threads) {
    Shared *shared = context;
    for (int round = 0; round < BARRIERS; round++) {
        shared->values[thread] = round * threads + thread;
        cvm_pool_barrier(shared->pool);
        int64_t sum = 0;
        for (int t = 0; t < threads; t++)
            sum += shared->values[t];
        int64_t expected = (int64_t)round * threads * threads + threads * (threads - 1) / 2;
        shared->sums[thread] += sum == expected;
        cvm_pool_barrier(shared->pool);
    }
}

static void check_barriers(int threads, int runs, int idle_microseconds) {
    CvmError error;
    Shared shared = {.pool = cvm_pool_create(threads, &error)};
    assert_non_null(shared.pool);
    for (int run = 0; run < runs; run++) {
        cvm_pool_run(shared.pool, add_between_barriers, &shared);
        if (idle_microseconds)
            usleep((useconds_t)idle_microseconds);
    }
    for (int t = 0; t < threads; t++)
        assert_int_equal(shared.sums[t], runs * BARRIERS);
    cvm_pool_free(shared.pool);
}

static void test_barriers_separate(void **state) {
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++)
        check_barriers(threads, RUNS / threads, 0);
}

static void test_workers_that_fell_asleep_come_back(void **state) {
    (void)state;
    check_barriers(2, 50, 500);
    check_barriers(4, 20, 500);
}

static void test_pool_without_a_run_ends(void **state) {
    (void)state;
    CvmError error;
    cvm_pool_free(cvm_pool_create(4, &error));
    cvm_pool_free(NULL);
}

static void test_environment_gives_the_number_of_threads(void **state) {
    (void)state;
    CvmError error;
    setenv("CVM_THREADS", "3", 1);
    CvmPool *pool = cvm_pool_create(0, &error);
    assert_non_null(pool);
    assert_int_equal(cvm_pool_threads(pool), 3);
    cvm_pool_free(pool);
    pool = cvm_pool_create(2, &error); /* the caller's word comes first */
    assert_int_equal(cvm_pool_threads(pool), 2);
    cvm_pool_free(pool);
    unsetenv("CVM_THREADS");
    pool = cvm_pool_create(0, &error);
    assert_non_null(pool);
    assert_true(cvm_pool_threads(pool) >= 1);
    cvm_pool_free(pool);
}

static void test_bad_numbers_of_threads_are_refused(void **state) {
    (void)state;
    static const char *const BAD[] = {"",    "0",  "-1", "257", "99999999999999999999",
                                      "two", "2x", " 2", "1.5", "+2"};
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        CvmError error = {0};
        setenv("CVM_THREADS", BAD[i], 1);
        assert_null(cvm_pool_create(0, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
        assert_non_null(strstr(error.message, "CVM_THREADS"));
    }
    unsetenv("CVM_THREADS");
    CvmError error = {0};
    assert_null(cvm_pool_create(-1, &error));
    assert_null(cvm_pool_create(257, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_thread_runs_once),
        cmocka_unit_test(test_barriers_separate),
        cmocka_unit_test(test_workers_that_fell_asleep_come_back),
        cmocka_unit_test(test_pool_without_a_run_ends),
        cmocka_unit_test(test_environment_gives_the_number_of_threads),
        cmocka_unit_test(test_bad_numbers_of_threads_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
