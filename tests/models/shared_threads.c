/* Shared objects in a program of many: ten of them at once on ten threads, weights shared between
 * the contexts of one, and a hundred times loaded and unloaded. */
#include "tests/support/net.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLASSES = 4, ELEMENTS = 28 * 28, THREADS = 10, RUNS = 20 };

static CvmTestPlace place;
static char weights[512];
static float image[ELEMENTS];

static int set_up(void **state) {
    (void)state;
    /* of the command, which compiles on several threads: LLVM is not instrumented, and what its own
     * locks order looks like races to ThreadSanitizer. This process has read its options before */
    setenv("TSAN_OPTIONS", "report_bugs=0", 1);
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 32, 16);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--stop-after", "1", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", NULL);
    snprintf(weights, sizeof weights, "%s/small.safetensors", place.folder);
    for (int i = 0; i < ELEMENTS; i++)
        image[i] = (float)(i % 17) / 9 - 1;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static void answer(const CvmTestNet *net, cvm_net_model *model, int threads, float *logits) {
    const cvm_net_options options = {.size = sizeof options, .threads = threads};
    cvm_net_context *context = NULL;
    if (net->context_create(model, &options, &context))
        abort();
    for (int i = 0; i < RUNS; i++)
        if (net->run(context, image, 1, logits, NULL))
            abort();
    net->context_destroy(context);
}

/* One of ten threads: what it works with, and what it found. */
typedef struct Work {
    const char *prefix;
    const CvmTestNet *net;
    cvm_net_model *model;
    float logits[CLASSES];
} Work;

static void *use_own_object(void *argument) {
    Work *work = argument;
    CvmTestNet net;
    cvm_net_model *model = NULL;
    cvm_test_net_load(&place, work->prefix, false, &net);
    if (net.open(weights, &model))
        abort();
    answer(&net, model, 2, work->logits);
    if (net.close(model))
        abort();
    cvm_test_net_unload(&net);
    return NULL;
}

static void *use_shared_model(void *argument) {
    Work *work = argument;
    answer(work->net, work->model, 1, work->logits);
    return NULL;
}

static void run_all(Work *work, void *(*function)(void *)) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, function, &work[i]), 0);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (int i = 1; i < THREADS; i++)
        assert_memory_equal(work[i].logits, work[0].logits, sizeof work[0].logits);
}

static void ten_objects_run_on_ten_threads(void **state) {
    (void)state;
    static char prefixes[THREADS][16];
    Work work[THREADS];
    for (int i = 0; i < THREADS; i++) {
        snprintf(prefixes[i], sizeof prefixes[i], "net%d", i);
        cvm_test_expect(&place, 0, NULL, NULL, "build", "small.cvm", "-o", prefixes[i], NULL);
        work[i] = (Work){.prefix = prefixes[i]};
    }
    run_all(work, use_own_object);
}

static void ten_threads_share_one_model(void **state) {
    (void)state;
    CvmTestNet net;
    cvm_net_model *model = NULL;
    Work work[THREADS];
    cvm_test_net_load(&place, "small", false, &net);
    assert_int_equal(net.open(weights, &model), CVM_NET_OK);
    for (int i = 0; i < THREADS; i++)
        work[i] = (Work){.net = &net, .model = model};
    run_all(work, use_shared_model);
    assert_int_equal(net.close(model), CVM_NET_OK);
    cvm_test_net_unload(&net);
}

static int mappings(void) {
    int lines = 0;
    FILE *stream = fopen("/proc/self/maps", "r");
    assert_non_null(stream);
    for (int c; (c = fgetc(stream)) != EOF;)
        lines += c == '\n';
    fclose(stream);
    return lines;
}

/* AddressSanitizer tells of what is not freed; nothing stays mapped, either. */
static void a_hundred_times_loaded_leaves_nothing(void **state) {
    (void)state;
    Work work = {.prefix = "small"};
    int before = 0;
    for (int i = 0; i < 100; i++) {
        use_own_object(&work);
        if (i == 10)
            before = mappings();
    }
    assert_true(mappings() <= before + 8);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_objects_run_on_ten_threads),
        cmocka_unit_test(ten_threads_share_one_model),
        cmocka_unit_test(a_hundred_times_loaded_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
