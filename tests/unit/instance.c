/* Plans made by hand of small C kernels: what runs where, in which order, on which memory. */
#include "runtime/instance.h"
#include "runtime/clock.h"

#include <pthread.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 1000, MAX_THREADS = 8 };

/* y[i] = x[i] + 1 */
static void add_one(void *const *buffers, int64_t begin, int64_t end) {
    const float *x = buffers[0];
    float *y = buffers[1];
    for (int64_t i = begin; i < end; i++)
        y[i] = x[i] + 1;
}

/* y[i] = x[COUNT - 1 - i] * weight[i]: reads what other threads wrote, so it needs the barrier. */
static void reverse_and_scale(void *const *buffers, int64_t begin, int64_t end) {
    const float *x = buffers[0], *weight = buffers[1];
    float *y = buffers[2];
    for (int64_t i = begin; i < end; i++)
        y[i] = x[COUNT - 1 - i] * weight[i];
}

/* One work item: the sum of all, and a count of runs in a slot. */
static void add_up(void *const *buffers, int64_t begin, int64_t end) {
    const float *x = buffers[0];
    float *sum = buffers[1], *runs = buffers[2];
    assert_true(begin == 0 && end == 1);
    *sum = 0;
    for (int64_t i = 0; i < COUNT; i++)
        *sum += x[i];
    *runs += 1;
}

static const CvmBuffer ADD_BUFFERS[] = {{CVM_SPACE_ARENA, 0}, {CVM_SPACE_ARENA, 4096}};
static const CvmBuffer SCALE_BUFFERS[] = {
    {CVM_SPACE_ARENA, 4096}, {CVM_SPACE_SLOT, 0}, {CVM_SPACE_ARENA, 8192}};
static const CvmBuffer SUM_BUFFERS[] = {
    {CVM_SPACE_ARENA, 8192}, {CVM_SPACE_ARENA, 12288}, {CVM_SPACE_SLOT, 1}};
static const CvmPort INPUTS[] = {{"image", CVM_F32, {1, {COUNT}}, 0}};
static const CvmPort OUTPUTS[] = {{"scaled", CVM_F32, {1, {COUNT}}, 8192},
                                  {"sum", CVM_F32, {0}, 12288}};
static const CvmSlot SLOTS[] = {
    {"body.weight", CVM_SLOT_PARAMETER, CVM_F32, {1, {COUNT}}, 0, 2, 0},
    {"runs", CVM_SLOT_STATISTIC, CVM_F32, {0}, 0, 0, 0},
};

typedef struct Made {
    CvmCall calls[3];
    CvmPlan plan;
    CvmStore store;
    CvmInstance *instance;
} Made;

/* The plan above, each call of the given cost. */
static void make_plan(Made *made, double cost) {
    const CvmCall calls[] = {
        {"add_one", "body.add", add_one, ADD_BUFFERS, 2, COUNT, cost, 0, false},
        {"reverse", "body.scale", reverse_and_scale, SCALE_BUFFERS, 3, COUNT, cost, 0, false},
        {"add_up", "head.sum", add_up, SUM_BUFFERS, 3, 1, cost, 0, false},
    };
    memcpy(made->calls, calls, sizeof calls);
    made->plan = (CvmPlan){.name = "test",
                           .calls = made->calls,
                           .call_count = 3,
                           .inputs = INPUTS,
                           .input_count = 1,
                           .outputs = OUTPUTS,
                           .output_count = 2,
                           .slots = SLOTS,
                           .slot_count = 2,
                           .arena_bytes = 12288 + 64};
    cvm_store_init(&made->store);
}

static void make(Made *made, double cost) {
    CvmError error = {0};
    make_plan(made, cost);
    assert_true(cvm_store_add_slots(&made->store, &made->plan, 1, &error));
    made->instance = cvm_instance_create(&made->plan, &made->store, &error);
    assert_non_null(made->instance);
}

static void drop(Made *made) {
    cvm_instance_free(made->instance);
    cvm_store_free(&made->store);
}

static void check_runs(double cost, int threads) {
    CvmError error;
    Made made;
    CvmPool *pool = cvm_pool_create(threads, &error);
    assert_non_null(pool);
    make(&made, cost);
    float *image = cvm_instance_input(made.instance, "image");
    const float *scaled = cvm_instance_output(made.instance, "scaled");
    const float *sum = cvm_instance_output(made.instance, "sum");
    for (int run = 0; run < 20; run++) {
        for (int i = 0; i < COUNT; i++)
            image[i] = (float)(i + run);
        cvm_instance_run(made.instance, pool);
        for (int i = 0; i < COUNT; i++)
            assert_true(scaled[i] == 2 * (float)(COUNT - i + run));
        assert_true(*sum == (float)(COUNT * (COUNT + 1) + 2 * COUNT * run));
    }
    assert_true(*(float *)cvm_store_find(&made.store, "runs")->data == 20);
    drop(&made);
    cvm_pool_free(pool);
}

static void test_any_number_of_threads_gives_the_same(void **state) {
    (void)state;
    for (int threads = 1; threads <= MAX_THREADS; threads++) {
        check_runs(CVM_SMALL_COST * 10, threads);
        check_runs(1, threads);
    }
}

/* Who ran, and over which ranges. */
static void note_thread(void *const *buffers, int64_t begin, int64_t end) {
    pthread_t *who = buffers[0];
    for (int64_t i = begin; i < end; i++)
        who[i] = pthread_self();
}

static int distinct_threads(double cost, int64_t extent, int threads) {
    CvmError error;
    CvmPool *pool = cvm_pool_create(threads, &error);
    const CvmBuffer buffer = {CVM_SPACE_ARENA, 0};
    const CvmCall call = {"note", "note", note_thread, &buffer, 1, extent, cost, 0, false};
    const CvmPlan plan = {.name = "note",
                          .calls = &call,
                          .call_count = 1,
                          .arena_bytes = 64 * sizeof(pthread_t),
                          .outputs = (const CvmPort[]){{"who", CVM_F32, {1, {16}}, 0}},
                          .output_count = 1};
    CvmStore store;
    cvm_store_init(&store);
    CvmInstance *instance = cvm_instance_create(&plan, &store, &error);
    assert_non_null(instance);
    cvm_instance_run(instance, pool);
    const pthread_t *who = cvm_instance_output(instance, "who");
    int distinct = extent > 0;
    for (int64_t i = 1; i < extent; i++)
        distinct += !pthread_equal(who[i], who[i - 1]);
    assert_true(extent == 0 || pthread_equal(who[0], pthread_self()));
    cvm_instance_free(instance);
    cvm_pool_free(pool);
    return distinct;
}

static void test_small_work_stays_on_the_callers_thread(void **state) {
    (void)state;
    assert_int_equal(distinct_threads(CVM_SMALL_COST - 1, 64, 4), 1);
    assert_int_equal(distinct_threads(CVM_SMALL_COST, 64, 4), 4);
    assert_int_equal(distinct_threads(CVM_SMALL_COST, 3, 4), 3);
    assert_int_equal(distinct_threads(CVM_SMALL_COST, 1, 4), 1);
    assert_int_equal(distinct_threads(CVM_SMALL_COST, 0, 4), 0);
    assert_int_equal(distinct_threads(CVM_SMALL_COST, 63, 5), 5);
}

static void test_a_timed_run_computes_the_same_and_tells_who_worked_when(void **state) {
    (void)state;
    CvmError error;
    Made made;
    CvmPool *pool = cvm_pool_create(3, &error);
    assert_non_null(pool);
    make(&made, CVM_SMALL_COST);
    CvmCallTime times[3 * 3];
    memset(times, 0xff, sizeof times);
    double before = cvm_seconds();
    cvm_instance_run_timed(made.instance, pool, times);
    double after = cvm_seconds();
    assert_true(*(const float *)cvm_instance_output(made.instance, "sum") == 2 * COUNT);
    for (int thread = 0; thread < 3; thread++) {
        const CvmCallTime *first = &times[thread], *second = &times[3 + thread];
        assert_true(before <= first->begin && first->begin <= first->end);
        for (int other = 0; other < 3; other++)
            assert_true(times[other].end <= second->begin);
        assert_true(second->begin <= second->end && second->end <= after);
    }
    /* one item: nothing to do for the others */
    assert_true(times[6].begin > 0 && times[7].begin == 0 && times[7].end == 0);
    cvm_pool_free(pool);
    drop(&made);
}

static void test_arena_is_aligned_and_zero(void **state) {
    (void)state;
    static const int64_t SIZES[] = {0, 1, 64, 5000, 4 << 20, (4 << 20) + 1, 9 << 20};
    for (size_t i = 0; i < sizeof SIZES / sizeof SIZES[0]; i++) {
        CvmError error;
        const CvmPort port = {"all", CVM_F32, {1, {SIZES[i] / 4}}, 0};
        const CvmPlan plan = {
            .name = "empty", .inputs = &port, .input_count = 1, .arena_bytes = SIZES[i]};
        CvmStore store;
        cvm_store_init(&store);
        CvmInstance *instance = cvm_instance_create(&plan, &store, &error);
        assert_non_null(instance);
        unsigned char *arena = cvm_instance_input(instance, "all");
        assert_int_equal((uintptr_t)arena % CVM_ALIGNMENT, 0);
        for (int64_t b = 0; b < SIZES[i]; b++)
            assert_int_equal(arena[b], 0);
        cvm_instance_free(instance);
    }
}

static void test_ports_are_found_by_name(void **state) {
    (void)state;
    Made made;
    make(&made, 1);
    assert_ptr_equal(cvm_instance_plan(made.instance), &made.plan);
    assert_null(cvm_instance_input(made.instance, "sum"));
    assert_null(cvm_instance_output(made.instance, "image"));
    assert_null(cvm_instance_output(made.instance, "nothing"));
    drop(&made);
}

static void expect_refused(const Made *made, const char *sentence) {
    CvmError error = {0};
    assert_null(cvm_instance_create(&made->plan, &made->store, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    if (!strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void test_slots_must_be_in_the_store(void **state) {
    (void)state;
    Made made;
    make_plan(&made, 1);
    expect_refused(&made, "needs body.weight, which the store lacks");
    CvmError error = {0};
    CvmSlot other[] = {SLOTS[0], SLOTS[1]};
    other[0].shape.sizes[0] = 7;
    made.plan.slots = other;
    assert_true(cvm_store_add_slots(&made.store, &made.plan, 1, &error));
    made.plan.slots = SLOTS;
    expect_refused(&made, "body.weight is f32 [7], and the plan 'test' needs f32 [1000]");
    assert_false(cvm_store_add_slots(&made.store, &made.plan, 1, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    cvm_store_free(&made.store);
}

static void test_broken_plans_are_refused(void **state) {
    (void)state;
    Made made;
    CvmError error = {0};
    make_plan(&made, 1);
    assert_true(cvm_store_add_slots(&made.store, &made.plan, 1, &error));
    made.plan.arena_bytes = 12288;
    expect_refused(&made, "sum lies outside of its arena");
    made.plan.arena_bytes = 12288 + 64;
    const CvmBuffer outside[] = {{CVM_SPACE_ARENA, 0}, {CVM_SPACE_ARENA, 1 << 20}};
    made.calls[0].buffers = outside;
    expect_refused(&made, "buffer 1 of add_one (body.add) lies outside");
    const CvmBuffer no_slot[] = {{CVM_SPACE_SLOT, 2}, {CVM_SPACE_ARENA, 0}};
    made.calls[0].buffers = no_slot;
    expect_refused(&made, "buffer 0 of add_one (body.add) lies outside");
    cvm_store_free(&made.store);
}

static void test_an_arena_beyond_all_memory_is_the_machines_fault(void **state) {
    (void)state;
    CvmError error = {0};
    CvmStore store;
    cvm_store_init(&store);
    const CvmPlan plan = {.name = "huge", .arena_bytes = INT64_MAX / 4};
    assert_null(cvm_instance_create(&plan, &store, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
}

static void count_up(void *const *buffers, int64_t begin, int64_t end) {
    *(float *)buffers[0] += (float)(end - begin);
}

/* What depends on slots alone is done once, and again when told that they changed. */
static void test_calls_that_prepare_run_once(void **state) {
    (void)state;
    CvmError error;
    CvmPool *pool = cvm_pool_create(2, &error);
    const CvmBuffer first = {CVM_SPACE_ARENA, 0}, second = {CVM_SPACE_ARENA, 64};
    const CvmCall calls[] = {
        {"each", "each", count_up, &second, 1, 1, 0, 0, false},
        {"once", "once", count_up, &first, 1, 1, 0, 0, true},
        {"each", "each", count_up, &second, 1, 1, 0, 0, false},
    };
    const CvmPort outputs[] = {{"once", CVM_F32, {0, {0}}, 0}, {"each", CVM_F32, {0, {0}}, 64}};
    const CvmPlan plan = {.name = "prepare",
                          .calls = calls,
                          .call_count = 3,
                          .outputs = outputs,
                          .output_count = 2,
                          .arena_bytes = 128};
    CvmStore store;
    cvm_store_init(&store);
    CvmInstance *instance = cvm_instance_create(&plan, &store, &error);
    assert_non_null(instance);
    const float *once = cvm_instance_output(instance, "once");
    const float *each = cvm_instance_output(instance, "each");
    for (int i = 1; i <= 3; i++) {
        cvm_instance_run(instance, pool);
        assert_true(*once == 1 && *each == (float)(2 * i));
    }
    cvm_instance_forget(instance);
    cvm_instance_run(instance, pool);
    assert_true(*once == 2 && *each == 8);
    cvm_instance_free(instance);
    cvm_store_free(&store);
    cvm_pool_free(pool);
}

static void copy_one(void *const *buffers, int64_t begin, int64_t end) {
    if (begin < end)
        *(float *)buffers[1] = *(const float *)buffers[0];
}

/* Ports lie where the caller binds them; what one instance prepared, another one uses. */
static void test_memory_may_be_the_callers(void **state) {
    (void)state;
    CvmError error;
    CvmPool *pool = cvm_pool_create(1, &error);
    const CvmBuffer prepare[] = {{CVM_SPACE_PREPARED, 0}};
    const CvmBuffer copy[] = {{CVM_SPACE_INPUT, 0}, {CVM_SPACE_OUTPUT, 0}};
    const CvmBuffer fetch[] = {{CVM_SPACE_PREPARED, 0}, {CVM_SPACE_OUTPUT, 1}};
    const CvmCall calls[] = {
        {"count_up", "count", count_up, prepare, 1, 1, 0, 0, true},
        {"copy", "copy", copy_one, copy, 2, 1, 0, 0, false},
        {"fetch", "fetch", copy_one, fetch, 2, 1, 0, 0, false},
    };
    const CvmPort inputs[] = {{"x", CVM_F32, {0, {0}}, 0}};
    const CvmPort outputs[] = {{"y", CVM_F32, {0, {0}}, 64}, {"count", CVM_F32, {0, {0}}, 128}};
    const CvmPlan plan = {"bound", calls, 3, inputs, 1, outputs, 2, NULL, 0, 192, 64, 0, 0};
    CvmStore store;
    cvm_store_init(&store);
    CvmInstance *first = cvm_instance_create(&plan, &store, &error);
    assert_non_null(first);
    *(float *)cvm_instance_input(first, "x") = 3;
    cvm_instance_prepare(first, pool);
    assert_true(*(const float *)cvm_instance_output(first, "y") == 0);
    cvm_instance_run(first, pool);
    assert_true(*(const float *)cvm_instance_output(first, "y") == 3);
    assert_true(*(const float *)cvm_instance_output(first, "count") == 1);

    _Alignas(CVM_ALIGNMENT) float arena[48] = {0}, prepared[16] = {7}, x = 5, y = 0;
    CvmInstance *second =
        cvm_instance_create_in(&plan, &store, &(CvmPlace){arena, prepared}, &error);
    assert_non_null(second);
    cvm_instance_bind_input(second, 0, &x);
    cvm_instance_bind_output(second, 0, &y);
    cvm_instance_run(second, pool);
    assert_true(y == 5 && arena[32] == 7);
    cvm_instance_bind_output(second, 0, NULL);
    x = 6;
    cvm_instance_run(second, pool);
    assert_true(y == 5 && arena[16] == 6 && prepared[0] == 7);
    cvm_instance_free(second);
    cvm_instance_free(first);
    cvm_store_free(&store);
    cvm_pool_free(pool);
}

enum { SCRATCH_FLOATS = 4096, SCRATCH_ITEMS = 64 };

/* Each item's number, by way of scratch memory: wrong where another thread writes there too. */
static void pass_through_scratch(void *const *buffers, int64_t begin, int64_t end) {
    float *results = buffers[0], *scratch = buffers[1];
    for (int64_t item = begin; item < end; item++) {
        for (int i = 0; i < SCRATCH_FLOATS; i++)
            scratch[i] = (float)item;
        results[item] = scratch[0];
        for (int i = 1; i < SCRATCH_FLOATS; i++)
            if (scratch[i] != results[item])
                results[item] = -1;
    }
}

static void test_scratch_memory_is_each_threads_own(void **state) {
    (void)state;
    CvmError error;
    const CvmBuffer buffers[] = {{CVM_SPACE_OUTPUT, 0}, {CVM_SPACE_SCRATCH, 0}};
    const CvmCall call = {.kernel = "pass",
                          .layer = "pass",
                          .function = pass_through_scratch,
                          .buffers = buffers,
                          .buffer_count = 2,
                          .extent = SCRATCH_ITEMS,
                          .flops = 10 * CVM_SMALL_COST};
    const CvmPort output = {"items", CVM_F32, {1, {SCRATCH_ITEMS}}, 0};
    const CvmPlan plan = {.name = "scratch",
                          .calls = &call,
                          .call_count = 1,
                          .outputs = &output,
                          .output_count = 1,
                          .arena_bytes = SCRATCH_ITEMS * 4,
                          .scratch_bytes = SCRATCH_FLOATS * 4};
    CvmStore store;
    cvm_store_init(&store);
    CvmInstance *instance = cvm_instance_create(&plan, &store, &error);
    assert_non_null(instance);
    for (int threads = 1; threads <= cvm_pool_processors() + 3; threads++) {
        CvmPool *pool = cvm_pool_create(threads, &error);
        assert_non_null(pool);
        cvm_instance_run(instance, pool);
        for (int i = 0; i < SCRATCH_ITEMS; i++)
            assert_true(((const float *)cvm_instance_output(instance, "items"))[i] == (float)i);
        cvm_pool_free(pool);
    }
    cvm_instance_free(instance);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_scratch_memory_is_each_threads_own),
        cmocka_unit_test(test_memory_may_be_the_callers),
        cmocka_unit_test(test_calls_that_prepare_run_once),
        cmocka_unit_test(test_any_number_of_threads_gives_the_same),
        cmocka_unit_test(test_small_work_stays_on_the_callers_thread),
        cmocka_unit_test(test_a_timed_run_computes_the_same_and_tells_who_worked_when),
        cmocka_unit_test(test_arena_is_aligned_and_zero),
        cmocka_unit_test(test_ports_are_found_by_name),
        cmocka_unit_test(test_slots_must_be_in_the_store),
        cmocka_unit_test(test_broken_plans_are_refused),
        cmocka_unit_test(test_an_arena_beyond_all_memory_is_the_machines_fault),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
