/* `cvmc build --blas`: large linear layers by OpenBLAS (scripts/install-dependencies --tests), to
 * nearly the same results, and to the same bits at any number of threads. */
#include "runtime/safetensors.h"
#include "tests/support/net.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* More features than a work item's, and no multiple of a vector. */
enum { BATCH = 64, IMAGES = BATCH + 3, ELEMENTS = 32 * 32, FEATURES = 102, CLASSES = 5 };

static const char PROGRAM[] =
    "data d { folder \"d\" image [1, 32, 32] classes 5 train idx(\"a\", \"b\") "
    "test idx(\"a\", \"b\") }\n"
    "model Net { input image: [1, 32, 32] flatten linear(102) relu linear(5) }\n"
    "train Net on d { loss cross_entropy optimizer sgd(rate=0.1) epochs 1 batch 64 seed 1 }\n";

static CvmTestPlace place;
static CvmTestNet plain, blas;
static float images[IMAGES * ELEMENTS];

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "net.cvm", PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "net.cvm", "--train", "-o", "plain", NULL);
    cvm_test_expect(&place, 0, "wrote blas.so", NULL, "build", "net.cvm", "--train", "-o", "blas",
                    "--blas", NULL);
    cvm_test_net_load(&place, "plain", true, &plain);
    cvm_test_net_load(&place, "blas", true, &blas);
    for (int i = 0; i < IMAGES * ELEMENTS; i++)
        images[i] = (float)((i * 37) % 101) / 50 - 1;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_net_unload(&plain);
    cvm_test_net_unload(&blas);
    cvm_test_place_remove(&place);
    return 0;
}

static cvm_net_trainer *create(const CvmTestNet *net, int threads) {
    const cvm_net_options options = {.size = sizeof options, .threads = threads};
    cvm_net_trainer *trainer = NULL;
    assert_int_equal(net->trainer_create(NULL, &options, &trainer), CVM_NET_OK);
    return trainer;
}

/* After two steps: what all images give, and the first layer's weights. */
static void learn(const CvmTestNet *net, int threads, float *logits, float *weights) {
    int32_t labels[BATCH];
    cvm_net_trainer *trainer = create(net, threads);
    for (int i = 0; i < BATCH; i++)
        labels[i] = i % CLASSES;
    for (int i = 0; i < 2; i++)
        assert_int_equal(net->step(trainer, images, labels, BATCH, NULL), CVM_NET_OK);
    assert_int_equal(net->predict(trainer, images, IMAGES, logits, NULL), CVM_NET_OK);
    assert_int_equal(
        net->trainer_get_parameter(trainer, "linear1.weight", weights, FEATURES * ELEMENTS),
        CVM_NET_OK);
    net->trainer_destroy(trainer);
}

static void results_agree(void **state) {
    (void)state;
    static float expected[IMAGES * CLASSES], logits[IMAGES * CLASSES], again[IMAGES * CLASSES];
    static float expected_weights[FEATURES * ELEMENTS], weights[FEATURES * ELEMENTS];
    static float weights_again[FEATURES * ELEMENTS];
    learn(&plain, 1, expected, expected_weights);
    learn(&blas, 1, logits, weights);
    for (int i = 0; i < IMAGES * CLASSES; i++)
        assert_true(fabsf(logits[i] - expected[i]) <= 1e-4f * (1 + fabsf(expected[i])));
    for (int i = 0; i < FEATURES * ELEMENTS; i++)
        assert_true(fabsf(weights[i] - expected_weights[i]) <= 1e-5f);
    for (int threads = 2; threads <= 3; threads++) {
        learn(&blas, threads, again, weights_again);
        assert_memory_equal(again, logits, sizeof again);
        assert_memory_equal(weights_again, weights, sizeof weights);
    }
}

static void expect(const char *commands, const char *wanted) {
    char *text = cvm_test_shell(&place, commands);
    if (!strstr(text, wanted))
        fail_msg("%s: %s", commands, text);
    free(text);
}

static void it_is_asked_for_and_told(void **state) {
    (void)state;
    expect("objdump -p blas.so | grep NEEDED", "libopenblas.so");
    expect("objdump -p plain.so | grep -c openblas || true", "0");
    expect("grep -A2 'A run sets' blas.h", "OpenBLAS to one thread");
    expect("grep -c OpenBLAS plain.h || true", "0");
    cvm_test_expect(&place, 0, "calls OpenBLAS", NULL, "inspect", "blas.so", NULL);
    cvm_test_expect(&place, 0, " OpenBLAS ", NULL, "explain", "net.cvm", "--kernels", "--forward",
                    "--batch", "64", "--blas", NULL);
    cvm_test_expect(&place, 2, NULL, "--blas go with", "explain", "net.cvm", "--blas", NULL);
    cvm_test_expect(&place, 0, "link it with form-runtime.o, -lopenblas, -lm", NULL, "build",
                    "net.cvm", "--blas", "--batch", "64", "-o", "form", "--emit", "obj", NULL);
    expect("grep 'To link it' form.h", "form-runtime.o -lopenblas -lm");
}

/* Few pictures, and layers that are small, are for generated code. */
static void where_it_is_not_used_that_is_said(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "wrote few.so", "nothing calls OpenBLAS", "build", "net.cvm",
                    "--blas", "--batch", "32", "-o", "few", NULL);
    expect("objdump -p few.so | grep -c openblas || true", "0");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_agree),
        cmocka_unit_test(it_is_asked_for_and_told),
        cmocka_unit_test(where_it_is_not_used_that_is_said),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
