/* `cvmc build --train`: a program fine-tunes through the shared object, to the same bits in one
 * step or in two halves, broken off or not, and takes every bad call with a status. */
#include "tests/support/net.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { CLASSES = 4, ELEMENTS = 28 * 28, BATCH = 8, HEAD = 4 * 16 };

static CvmTestPlace place;
static CvmTestNet small;
static float images[BATCH * ELEMENTS];
static int32_t labels[BATCH];

static const char *path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", place.folder, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 64, 16);
    cvm_test_write_text(&place, "small.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("freeze body.conv1\n"));
    cvm_test_expect(&place, 0, "wrote small.so", NULL, "build", "small.cvm", "--train", "--batch",
                    "8", NULL);
    cvm_test_net_load(&place, "small", true, &small);
    for (int i = 0; i < BATCH; i++) {
        uint8_t pixels[ELEMENTS];
        labels[i] = i % CLASSES;
        cvm_test_pattern(labels[i], (uint32_t)i, pixels);
        for (int p = 0; p < ELEMENTS; p++)
            images[i * ELEMENTS + p] = (float)pixels[p] / 128 - 1;
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_net_unload(&small);
    cvm_test_place_remove(&place);
    return 0;
}

static void ok(cvm_net_status status) {
    if (status)
        fail_msg("%s: %s", small.status_name(status), small.message());
}

static void expect(cvm_net_status status, cvm_net_status wanted, const char *sentence) {
    if (status != wanted || !strstr(small.message(), sentence))
        fail_msg("%s: %s", small.status_name(status), small.message());
}

static cvm_net_trainer *create(int threads) {
    const cvm_net_options options = {.size = sizeof options, .threads = threads};
    cvm_net_trainer *trainer = NULL;
    ok(small.trainer_create(NULL, &options, &trainer));
    return trainer;
}

static void get(const cvm_net_trainer *trainer, const char *name, float *values, size_t count) {
    ok(small.trainer_get_parameter(trainer, name, values, count));
}

static void expect_same_head(const cvm_net_trainer *one, const cvm_net_trainer *other) {
    float a[HEAD], b[HEAD];
    get(one, "head.linear1.weight", a, HEAD);
    get(other, "head.linear1.weight", b, HEAD);
    assert_memory_equal(a, b, sizeof a);
}

static void it_learns(void **state) {
    (void)state;
    float first, loss = 0, frozen[100], after[100];
    cvm_net_trainer *trainer = create(2);
    cvm_net_evaluation evaluation = {.size = sizeof evaluation};
    get(trainer, "body.conv1.weight", frozen, 100);
    ok(small.step(trainer, images, labels, BATCH, &first));
    for (int i = 0; i < 40; i++)
        ok(small.step(trainer, images, labels, BATCH, &loss));
    assert_true(loss < first / 2);
    ok(small.evaluate(trainer, images, labels, BATCH, &evaluation));
    assert_true(evaluation.count == BATCH && evaluation.correct == BATCH);
    cvm_net_evaluation part = {.size = sizeof part};
    ok(small.evaluate(trainer, images, labels, 3, &part)); /* no whole batch */
    assert_int_equal(part.correct, 3);
    float logits[3 * CLASSES], probabilities[3 * CLASSES];
    ok(small.predict(trainer, images, 3, logits, probabilities));
    for (int i = 0; i < 3; i++)
        for (int c = 0; c < CLASSES; c++)
            assert_true(probabilities[i * CLASSES + c] <= probabilities[i * CLASSES + labels[i]]);
    get(trainer, "body.conv1.weight", after, 100);
    assert_memory_equal(frozen, after, sizeof frozen);
    small.trainer_destroy(trainer);
}

static void halves_give_the_bits_of_a_step(void **state) {
    (void)state;
    float one, other;
    cvm_net_trainer *whole = create(1), *halves = create(3);
    for (int i = 0; i < 3; i++) {
        ok(small.step(whole, images, labels, BATCH, &one));
        ok(small.gradients(halves, images, labels, BATCH, &other));
        ok(small.apply(halves, 1));
        assert_true(one == other);
    }
    expect_same_head(whole, halves);
    small.trainer_destroy(whole);
    small.trainer_destroy(halves);
}

/* Two halves of the same batch, at half the scale, are that batch. */
static void gradients_add_up(void **state) {
    (void)state;
    float once[HEAD], twice[HEAD];
    cvm_net_trainer *one = create(1), *two = create(1);
    ok(small.gradients(one, images, labels, BATCH, NULL));
    ok(small.gradients(two, images, labels, BATCH, NULL));
    ok(small.gradients(two, images, labels, BATCH, NULL));
    ok(small.get_gradient(one, "head.linear1.weight", once, HEAD));
    ok(small.get_gradient(two, "head.linear1.weight", twice, HEAD));
    for (int i = 0; i < HEAD; i++)
        assert_true(fabsf(twice[i] - 2 * once[i]) <= 1e-6f);
    ok(small.apply(one, 1));
    ok(small.apply(two, 0.5f));
    get(one, "head.linear1.weight", once, HEAD);
    get(two, "head.linear1.weight", twice, HEAD);
    for (int i = 0; i < HEAD; i++)
        assert_true(fabsf(twice[i] - once[i]) <= 1e-6f);
    ok(small.gradients(one, images, labels, BATCH, NULL));
    ok(small.discard(one));
    ok(small.get_gradient(one, "head.linear1.weight", once, HEAD));
    assert_true(once[0] == 0 && once[HEAD - 1] == 0);
    small.trainer_destroy(one);
    small.trainer_destroy(two);
}

static void distributions_that_are_sure_are_labels(void **state) {
    (void)state;
    float targets[BATCH * CLASSES] = {0}, loss, other, a[HEAD], b[HEAD];
    for (int i = 0; i < BATCH; i++)
        targets[i * CLASSES + labels[i]] = 1;
    cvm_net_trainer *one = create(1), *two = create(1);
    ok(small.gradients(one, images, labels, BATCH, &loss));
    ok(small.gradients_of_distributions(two, images, targets, BATCH, &other));
    assert_true(fabsf(loss - other) < 1e-5f);
    ok(small.get_gradient(one, "head.linear1.weight", a, HEAD));
    ok(small.get_gradient(two, "head.linear1.weight", b, HEAD));
    for (int i = 0; i < HEAD; i++)
        assert_true(fabsf(a[i] - b[i]) <= 1e-5f);
    expect(small.step_of_distributions(two, images, targets, BATCH, NULL), CVM_NET_BAD_ORDER,
           "wait");
    ok(small.discard(one));
    ok(small.discard(two));
    ok(small.step(one, images, labels, BATCH, &loss));
    ok(small.step_of_distributions(two, images, targets, BATCH, &other));
    assert_true(fabsf(loss - other) < 1e-5f);
    ok(small.trainer_get_parameter(one, "head.linear1.weight", a, HEAD));
    ok(small.trainer_get_parameter(two, "head.linear1.weight", b, HEAD));
    for (int i = 0; i < HEAD; i++)
        assert_true(fabsf(a[i] - b[i]) <= 1e-6f);
    small.trainer_destroy(one);
    small.trainer_destroy(two);
}

static void a_resumed_training_gives_the_same_bits(void **state) {
    (void)state;
    char path[512];
    cvm_net_trainer *unbroken = create(1), *broken = create(1), *resumed = create(2);
    for (int i = 0; i < 6; i++)
        ok(small.step(unbroken, images, labels, BATCH, NULL));
    for (int i = 0; i < 3; i++)
        ok(small.step(broken, images, labels, BATCH, NULL));
    ok(small.set_rate(broken, 0.02f));
    ok(small.save_checkpoint(broken, path_of("broken.safetensors", path)));
    ok(small.step(resumed, images, labels, BATCH, NULL));
    ok(small.resume(resumed, path));
    for (int i = 0; i < 3; i++)
        ok(small.step(resumed, images, labels, BATCH, NULL));
    expect_same_head(unbroken, resumed);
    small.trainer_destroy(unbroken);
    small.trainer_destroy(broken);
    small.trainer_destroy(resumed);
}

static void saved_weights_are_opened(void **state) {
    (void)state;
    char path[512];
    cvm_net_model *model = NULL;
    cvm_net_trainer *trainer = create(1), *tuned = NULL;
    float values[HEAD] = {0}, seen[HEAD];
    for (int i = 0; i < HEAD; i++)
        values[i] = (float)i / HEAD;
    ok(small.trainer_set_parameter(trainer, "head.linear1.weight", values, HEAD));
    ok(small.save_weights(trainer, path_of("tuned.safetensors", path)));
    ok(small.open(path, &model));
    ok(small.get_parameter(model, "head.linear1.weight", seen, HEAD));
    assert_memory_equal(values, seen, sizeof seen);
    ok(small.trainer_create(model, NULL, &tuned));
    expect_same_head(trainer, tuned);
    expect(small.close(model), CVM_NET_BAD_ORDER, "contexts");
    small.trainer_destroy(tuned);
    small.trainer_destroy(trainer);
    ok(small.close(model));
    cvm_test_expect(&place, 0, "test accuracy", NULL, "eval", "small.cvm", "--checkpoint",
                    "tuned.safetensors", NULL);
}

static void bad_calls_give_a_status(void **state) {
    (void)state;
    float values[HEAD] = {0}, rate;
    int32_t wrong[BATCH] = {0, 0, 0, 9};
    char path[512];
    cvm_net_trainer *trainer = create(1), *none = NULL;
    cvm_net_evaluation evaluation = {.size = sizeof evaluation};
    const cvm_net_status bad = CVM_NET_BAD_ARGUMENT;
    expect(small.trainer_create(NULL, NULL, NULL), bad, "null");
    expect(small.trainer_create(NULL, &(cvm_net_options){.size = 3}, &none), bad, "options.size");
    expect(small.step(NULL, images, labels, BATCH, NULL), bad, "null");
    expect(small.step(trainer, NULL, labels, BATCH, NULL), bad, "null");
    expect(small.step(trainer, images, NULL, BATCH, NULL), bad, "null");
    expect(small.step(trainer, images, labels, 7, NULL), bad, "7 images");
    expect(small.step(trainer, images, wrong, BATCH, NULL), bad, "label 3 is 9");
    expect(small.gradients(trainer, images, wrong, BATCH, NULL), bad, "label 3 is 9");
    expect(small.gradients_of_distributions(trainer, images, NULL, BATCH, NULL), bad, "null");
    expect(small.step_of_distributions(NULL, images, values, BATCH, NULL), bad, "null");
    expect(small.step_of_distributions(trainer, images, values, 1, NULL), bad, "batch");
    expect(small.apply(trainer, 1), CVM_NET_BAD_ORDER, "no gradients");
    expect(small.apply(NULL, 1), bad, "null");
    expect(small.discard(NULL), bad, "null");
    expect(small.get_rate(trainer, NULL), bad, "null");
    expect(small.set_rate(trainer, -1), bad, "rate");
    expect(small.set_rate(trainer, NAN), bad, "rate");
    ok(small.get_rate(trainer, &rate));
    assert_true(rate == 0.02f);
    expect(small.evaluate(trainer, images, labels, 0, &evaluation), bad, "an image");
    expect(small.evaluate(trainer, images, labels, 1, &(cvm_net_evaluation){0}), bad, "size");
    expect(small.evaluate(trainer, images, wrong, 4, &evaluation), bad, "label 3");
    expect(small.trainer_get_parameter(trainer, "optimizer.rate", values, 1), bad, "no parameter");
    expect(small.trainer_set_parameter(trainer, "head.linear1.weight", values, 3), bad, "64");
    expect(small.get_gradient(trainer, "body.conv1.weight", values, 1), bad, "does not learn");
    expect(small.predict(NULL, images, 1, values, NULL), bad, "null");
    expect(small.predict(trainer, images, 1, NULL, NULL), bad, "both");
    expect(small.save_weights(trainer, NULL), bad, "null");
    expect(small.save_weights(trainer, "/nowhere/at.all"), CVM_NET_NO_FILE, "nowhere");
    expect(small.resume(trainer, "/nowhere/at.all"), CVM_NET_NO_FILE, "nowhere");
    ok(small.save_weights(trainer, path_of("plain.safetensors", path)));
    expect(small.resume(trainer, path), CVM_NET_BAD_WEIGHTS, "missing");
    ok(small.gradients(trainer, images, labels, BATCH, NULL));
    expect(small.step(trainer, images, labels, BATCH, NULL), CVM_NET_BAD_ORDER, "wait");
    expect(small.save_checkpoint(trainer, path), CVM_NET_BAD_ORDER, "wait");
    ok(small.discard(trainer));
    values[0] = INFINITY;
    ok(small.trainer_set_parameter(trainer, "head.linear1.weight", values, HEAD));
    expect(small.step(trainer, images, labels, BATCH, NULL), CVM_NET_NOT_A_NUMBER, "lower rate");
    assert_null(none);
    assert_true(small.trainer_bytes() > 0);
    small.trainer_destroy(NULL);
    small.trainer_destroy(trainer);
}

/* --train alone, with a name, and with --forward. */
static void the_train_is_chosen_by_name(void **state) {
    (void)state;
    static const char count[] = "nm -D --defined-only two.so | grep -c two_step$ || true";
    char *functions;
    cvm_test_write_text(&place, "two.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "") "train Small on patterns as slow { loss cross_entropy "
                                "optimizer sgd(rate=0.001) epochs 1 batch 4 seed 1 }\n");
    cvm_test_expect(&place, 2, NULL, "choose with --train NAME", "build", "two.cvm", "--train",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "no train 'fast'", "build", "two.cvm", "--train", "fast",
                    NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "--train", "slow", "two.cvm", NULL);
    functions = cvm_test_shell(&place, count);
    assert_string_equal(functions, "1\n");
    free(functions);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "--train=slow", "--forward", "two.cvm", NULL);
    functions = cvm_test_shell(&place, count);
    assert_string_equal(functions, "0\n");
    free(functions);
}

/* `average`: a trainer's weights move as without, and what it classifies with, and saves, are their
 * averages; before a step the weights themselves. */
static void averages_classify(void **state) {
    (void)state;
    char path[512];
    CvmTestNet net;
    cvm_net_trainer *trainer, *resumed, *plain = create(1);
    cvm_net_model *model;
    float raw[HEAD], same[HEAD], before[CLASSES], after[CLASSES], again[CLASSES];
    cvm_test_write_text(
        &place, "mean.cvm",
        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("freeze body.conv1 average 0.9\n"));
    cvm_test_expect(&place, 0, NULL, NULL, "build", "mean.cvm", "--train", "--batch", "8", NULL);
    cvm_test_net_load(&place, "mean", true, &net);
    assert_int_equal(net.trainer_create(NULL, NULL, &trainer), CVM_NET_OK);
    assert_int_equal(net.predict(trainer, images, 1, before, NULL), CVM_NET_OK);
    ok(small.predict(plain, images, 1, after, NULL));
    assert_memory_equal(before, after, sizeof before);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(net.step(trainer, images, labels, BATCH, NULL), CVM_NET_OK);
        ok(small.step(plain, images, labels, BATCH, NULL));
    }
    get(plain, "head.linear1.weight", same, HEAD);
    assert_int_equal(net.trainer_get_parameter(trainer, "head.linear1.weight", raw, HEAD),
                     CVM_NET_OK);
    assert_memory_equal(raw, same, sizeof raw);
    assert_int_equal(net.predict(trainer, images, 1, before, NULL), CVM_NET_OK);
    ok(small.predict(plain, images, 1, after, NULL));
    assert_memory_not_equal(before, after, sizeof before);
    path_of("mean.safetensors", path);
    assert_int_equal(net.save_checkpoint(trainer, path), CVM_NET_OK);
    assert_int_equal(net.open(path, &model), CVM_NET_OK); /* the averages, as it is read */
    assert_int_equal(net.trainer_create(model, NULL, &resumed), CVM_NET_OK);
    assert_int_equal(net.predict(resumed, images, 1, after, NULL), CVM_NET_OK);
    assert_memory_equal(before, after, sizeof before);
    assert_int_equal(net.resume(resumed, path), CVM_NET_OK);
    assert_int_equal(net.step(resumed, images, labels, BATCH, NULL), CVM_NET_OK);
    assert_int_equal(net.step(trainer, images, labels, BATCH, NULL), CVM_NET_OK);
    assert_int_equal(net.predict(trainer, images, 1, after, NULL), CVM_NET_OK);
    assert_int_equal(net.predict(resumed, images, 1, again, NULL), CVM_NET_OK);
    assert_memory_equal(again, after, sizeof again);
    net.trainer_destroy(trainer);
    net.trainer_destroy(resumed);
    net.close(model);
    cvm_test_net_unload(&net);
    small.trainer_destroy(plain);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(averages_classify),
        cmocka_unit_test(it_learns),
        cmocka_unit_test(halves_give_the_bits_of_a_step),
        cmocka_unit_test(gradients_add_up),
        cmocka_unit_test(distributions_that_are_sure_are_labels),
        cmocka_unit_test(a_resumed_training_gives_the_same_bits),
        cmocka_unit_test(saved_weights_are_opened),
        cmocka_unit_test(bad_calls_give_a_status),
        cmocka_unit_test(the_train_is_chosen_by_name),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
