/* Augmented trainings with the real command: what is learned from is another picture in every
 * epoch, the same one however the training is run; what is tested with is left alone. */
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmTestPlace place;

#define AUGMENT "    augment { shift 3 brightness 0.3 contrast 0.3 erase 0.2 }\n"

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 330, 90);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(AUGMENT));
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static void train(const char *file, const char *output, const char *option, const char *value) {
    cvm_test_expect(&place, 0, "test accuracy", NULL, "train", file, "-o", output, option, value,
                    NULL);
}

/* With one thread of several processors, another one reads ahead. */
static void threads_and_breaks_change_no_bit(void **state) {
    (void)state;
    train("small.cvm", "one.safetensors", "--threads", "1");
    train("small.cvm", "three.safetensors", "--threads", "3");
    assert_true(cvm_test_same_bytes(&place, "one.safetensors", "three.safetensors"));
    train("small.cvm", "broken.safetensors", "--stop-after", "2");
    train("small.cvm", "broken.safetensors", "--resume", NULL);
    assert_true(cvm_test_same_bytes(&place, "one.safetensors", "broken.safetensors"));
    cvm_test_write_text(&place, "plain.cvm", CVM_TEST_PROGRAM);
    train("plain.cvm", "plain.safetensors", NULL, NULL);
    assert_false(cvm_test_same_bytes(&place, "one.safetensors", "plain.safetensors"));
}

/* Mean and deviation are of the pictures as they are, and so are those to test with: a training
 * that does not move gives the same losses on them. */
static void what_is_tested_with_is_left_alone(void **state) {
    (void)state;
#define STILL(lines)                                                                               \
    CVM_TEST_DATA CVM_TEST_MODEL "train Small on patterns {\n    normalize mean_of_train\n"        \
                                 "    loss cross_entropy optimizer sgd(rate=1e-30)\n"              \
                                 "    epochs 1 batch 32 seed 3\n" lines "}\n"
    cvm_test_write_text(&place, "still.cvm", STILL(""));
    cvm_test_write_text(&place, "moved.cvm", STILL(AUGMENT));
    train("still.cvm", "still.safetensors", NULL, NULL);
    train("moved.cvm", "moved.safetensors", NULL, NULL);
    CvmTestResult still =
        cvm_test_cvmc(&place, "eval", "still.cvm", "--checkpoint", "still.safetensors", NULL);
    CvmTestResult moved =
        cvm_test_cvmc(&place, "eval", "moved.cvm", "--checkpoint", "moved.safetensors", NULL);
    assert_int_equal(still.code, 0);
    assert_string_equal(still.out, moved.out);
    cvm_test_result_free(&still);
    cvm_test_result_free(&moved);
}

/* Nothing of what is learned from is kept; with all of the network's first part computed in every
 * epoch, the bits are those of every cache. */
static void a_frozen_body_sees_augmented_pictures_anew(void **state) {
    (void)state;
    train("small.cvm", "small.safetensors", "--epochs", "1");
    cvm_test_write_text(&place, "head.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            AUGMENT "    weights \"small.safetensors\" freeze body\n"));
    cvm_test_expect(&place, 0, "frozen: 6 tensors", "since 'augment' makes others of them", "train",
                    "head.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, "kept for all 90 pictures to test with", "train", "head.cvm",
                    "-o", "file.safetensors", "--cache-file", "body.features", NULL);
    assert_true(cvm_test_same_bytes(&place, "head.safetensors", "file.safetensors"));
    train("head.cvm", "none.safetensors", "--cache-size", "0");
    assert_true(cvm_test_same_bytes(&place, "head.safetensors", "none.safetensors"));
    train("head.cvm", "broken.safetensors", "--stop-after", "2");
    train("head.cvm", "broken.safetensors", "--resume", NULL);
    assert_true(cvm_test_same_bytes(&place, "head.safetensors", "broken.safetensors"));
    cvm_test_expect(&place, 0, "which 'augment' leaves alone", NULL, "explain", "head.cvm", NULL);
}

#define SHAPES(sizes, lines)                                                                       \
    "data shapes { folder \"shapes\" image [3, 24, 24] " sizes " split 0.25 seed 3 }\n"            \
    "model Tiny(classes: int = 6) {\n"                                                             \
    "    input image: [3, 24, 24]\n"                                                               \
    "    conv(16, kernel=3, pad=1) relu maxpool(2) conv(24, kernel=3, pad=1) relu maxpool(2)\n"    \
    "    flatten linear(classes)\n"                                                                \
    "}\n"                                                                                          \
    "train Tiny on shapes {\n"                                                                     \
    "    normalize mean_of_train loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"      \
    "    schedule cosine epochs 8 batch 15 seed 1\n" lines "}\n"

/* Crops are taken of what is larger than the model's input, and it still learns. */
static void crops_of_a_folder_are_learned_from(void **state) {
    (void)state;
    cvm_test_write_shapes(&place, "shapes", 40);
    cvm_test_write_text(&place, "shapes.cvm",
                        SHAPES("resize 28", "    augment { crop random flip horizontal }\n"));
    CvmTestResult result = cvm_test_cvmc(&place, "train", "shapes.cvm", NULL);
    const char *accuracy = strstr(result.out, "test accuracy ");
    assert_true(result.code == 0 && accuracy && atof(accuracy + 14) >= 0.9);
    cvm_test_result_free(&result);
    train("shapes.cvm", "other.safetensors", "--threads", "1");
    assert_true(cvm_test_same_bytes(&place, "shapes.safetensors", "other.safetensors"));
    cvm_test_expect(&place, 0, "test accuracy", NULL, "eval", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
    cvm_test_expect(&place, 0, "waiting for pictures", NULL, "bench", "shapes.cvm", "--train",
                    "--repeat", "1", NULL);
    cvm_test_write_text(&place, "parts.cvm",
                        SHAPES("resize [30, 26] crop 24", "    augment { crop random(0.5) }\n"));
    train("parts.cvm", "parts.safetensors", "--epochs", "1");
    cvm_test_write_text(&place, "none.cvm", SHAPES("resize 24", "    augment { crop random }\n"));
    cvm_test_expect(&place, 1, NULL, "CVM1352", "check", "none.cvm", NULL);
}

/* What the network learns from can be looked at, as a row of variants for each picture. */
static void variants_can_be_seen(void **state) {
    (void)state;
    size_t size;
    cvm_test_expect(&place, 0,
                    "pictures to learn from: shift 3, brightness 0.3, contrast 0.3, erase 0.2, "
                    "normalize mean_of_train\npictures to test with: normalize mean_of_train\n",
                    NULL, "explain", "small.cvm", NULL);
    cvm_test_expect(&place, 0, "as it is                      epoch 1", NULL, "samples",
                    "small.cvm", "--augmented", "--count", "2", "--png", "seen.png", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "samples", "small.cvm", "--augmented", "--count", "2",
                    "--png", "again.png", NULL);
    assert_true(cvm_test_same_bytes(&place, "seen.png", "again.png"));
    cvm_test_expect(&place, 0, NULL, NULL, "samples", "small.cvm", "--augmented", "--count", "2",
                    "--png", "again.png", "--seed", "9", NULL);
    assert_false(cvm_test_same_bytes(&place, "seen.png", "again.png"));
    free(cvm_test_read(&place, "seen.png", &size));
    assert_true(size > 1000);
    cvm_test_expect(&place, 2, NULL, "do not go with it", "samples", "small.cvm", "--augmented",
                    "--wrong", NULL);
    cvm_test_write_text(&place, "plain.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 1, NULL, "has no 'augment'", "samples", "plain.cvm", "--augmented",
                    NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_and_breaks_change_no_bit),
        cmocka_unit_test(what_is_tested_with_is_left_alone),
        cmocka_unit_test(a_frozen_body_sees_augmented_pictures_anew),
        cmocka_unit_test(crops_of_a_folder_are_learned_from),
        cmocka_unit_test(variants_can_be_seen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
