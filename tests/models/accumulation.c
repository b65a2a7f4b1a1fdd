/* `accumulate 4`: a batch learned from in micro-batches. The real command, and a shared object that
 * trains: the losses of whole batches in the memory of a part, and the same bits on every way. */
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

#include <cjson/cJSON.h>
#include <cmocka.h>

enum { BATCH = 32, PARTS = 4, CLASSES = 4, ELEMENTS = 28 * 28 };

static CvmTestPlace place;

static void write_net(const char *file, const char *norm, const char *dropout, int parts) {
    char text[1500];
    snprintf(text, sizeof text,
             CVM_TEST_DATA "model Net(classes: int = 4) {\n"
                           "    input image: [1, 28, 28]\n"
                           "    conv(4, kernel=5, pad=2) %s relu maxpool(4) flatten %s\n"
                           "    linear(classes)\n"
                           "}\n"
                           "train Net on patterns {\n"
                           "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9) clip 1\n"
                           "    epochs 2 batch 32 accumulate %d seed 3\n"
                           "}\n",
             norm, dropout, parts);
    cvm_test_write_text(&place, file, text);
}

/* 330 pictures: ten batches, and a last one of ten, which are a part of eight and one of two. */
static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 330, 40);
    write_net("whole.cvm", "", "", 1);
    write_net("parts.cvm", "", "", PARTS);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* The losses of both epochs. */
static void train(const char *file, double losses[2]) {
    CvmTestResult result = cvm_test_cvmc(&place, "train", file, "--json", NULL);
    assert_int_equal(result.code, 0);
    const char *line = result.out;
    for (int i = 0; i < 2; i++) {
        cJSON *object = cJSON_ParseWithOpts(line, &line, false);
        losses[i] = cJSON_GetNumberValue(cJSON_GetObjectItem(object, "loss"));
        cJSON_Delete(object);
    }
    cvm_test_result_free(&result);
}

static void losses_are_those_of_whole_batches(void **state) {
    (void)state;
    double whole[2], parts[2];
    train("whole.cvm", whole);
    train("parts.cvm", parts);
    for (int i = 0; i < 2; i++)
        if (!(fabs(parts[i] - whole[i]) < 1e-4 * whole[i]))
            fail_msg("epoch %d: loss %.9g, and of whole batches %.9g", i + 1, parts[i], whole[i]);
}

static double arena_of(const char *file) {
    CvmTestResult result = cvm_test_cvmc(&place, "dump", file, "--stage", "plan", NULL);
    const char *arena = strstr(result.out, " arena ");
    assert_non_null(arena);
    double bytes = strtod(arena + strlen(" arena "), NULL);
    cvm_test_result_free(&result);
    return bytes;
}

static void memory_is_that_of_a_part(void **state) {
    (void)state;
    assert_true(arena_of("parts.cvm") < 0.4 * arena_of("whole.cvm"));
}

static void every_way_gives_the_same_bits(void **state) {
    (void)state;
    write_net("drop.cvm", "batchnorm", "dropout(0.2)", PARTS);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--threads", "1", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--threads", "3", "-o",
                    "three.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "drop.safetensors", "three.safetensors"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--stop-after", "1", "-o",
                    "half.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--resume", "-o",
                    "half.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "drop.safetensors", "half.safetensors"));
}

/* What is frozen up to the dropout is computed apart, for parts as for batches. */
static void a_frozen_body_is_no_hindrance(void **state) {
    (void)state;
    cvm_test_write_text(&place, "frozen.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "    accumulate 2 freeze body\n    unfreeze body at epoch 3\n"));
    cvm_test_expect(&place, 0, NULL, "frozen up to", "train", "frozen.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "frozen.cvm", "--stop-after", "3", "-o",
                    "half.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "frozen.cvm", "--resume", "-o",
                    "half.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "frozen.safetensors", "half.safetensors"));
    cvm_test_expect(&place, 0, "optimizer", NULL, "explain", "frozen.cvm", NULL);
}

/* --- shared objects --- */

static float images[BATCH * ELEMENTS];
static int32_t labels[BATCH];

static void fill_batch(void) {
    for (int i = 0; i < BATCH; i++) {
        uint8_t pixels[ELEMENTS];
        labels[i] = i % CLASSES;
        cvm_test_pattern(labels[i], (uint32_t)i, pixels);
        for (int p = 0; p < ELEMENTS; p++)
            images[i * ELEMENTS + p] = (float)pixels[p] / 128 - 1;
    }
}

/* The losses of some steps, and a weight after them. */
static void learn(const char *name, float losses[4]) {
    CvmTestNet net;
    cvm_net_trainer *trainer;
    char file[32];
    snprintf(file, sizeof file, "%s.cvm", name);
    cvm_test_expect(&place, 0, NULL, NULL, "build", file, "--train", NULL);
    cvm_test_net_load(&place, name, true, &net);
    assert_int_equal(net.trainer_create(NULL, NULL, &trainer), CVM_NET_OK);
    for (int i = 0; i < 2; i++)
        assert_int_equal(net.step(trainer, images, labels, BATCH, &losses[i]), CVM_NET_OK);
    assert_int_equal(net.gradients(trainer, images, labels, BATCH, &losses[2]), CVM_NET_OK);
    assert_int_equal(net.apply(trainer, 1), CVM_NET_OK);
    assert_int_equal(net.step(trainer, images, labels, BATCH - 1, NULL), CVM_NET_BAD_ARGUMENT);
    float values[CLASSES];
    assert_int_equal(net.trainer_get_parameter(trainer, "linear1.bias", values, CLASSES),
                     CVM_NET_OK);
    losses[3] = values[0];
    net.trainer_destroy(trainer);
    cvm_test_net_unload(&net);
}

static void a_shared_object_splits_its_batches_too(void **state) {
    (void)state;
    float whole[4], parts[4];
    fill_batch();
    learn("whole", whole);
    learn("parts", parts);
    for (int i = 0; i < 4; i++)
        assert_true(fabsf(parts[i] - whole[i]) <= 1e-5f * (1 + fabsf(whole[i])));
    cvm_test_expect(&place, 2, NULL, "4 equal parts", "build", "parts.cvm", "--train", "--batch",
                    "10", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_whole_batches),
        cmocka_unit_test(memory_is_that_of_a_part),
        cmocka_unit_test(every_way_gives_the_same_bits),
        cmocka_unit_test(a_frozen_body_is_no_hindrance),
        cmocka_unit_test(a_shared_object_splits_its_batches_too),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
