/* Transfer learning with the real command: what is frozen, what thaws later, and that a training
 * may be broken off and go on anywhere. */
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmTestPlace place;

/* Trained weights to start from, small.safetensors. */
static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 330, 90);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "2", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

#define TRANSFER(lines)                                                                            \
    CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(                                                   \
        "    weights \"small.safetensors\" except head\n" lines)

/* Broken off after each epoch, within and between phases. */
static void a_gradual_training_goes_on_to_the_same_bits(void **state) {
    (void)state;
    cvm_test_write_text(&place, "gradual.cvm",
                        TRANSFER("    rate body 0.5x per layer\n    freeze body\n"
                                 "    unfreeze body.linear1 at epoch 2\n"
                                 "    unfreeze body.conv2 at epoch 3\n"
                                 "    freeze body.linear1 at epoch 3\n"));
    cvm_test_expect(&place, 0, "frozen: 4 tensors, bits unchanged", "from epoch 3 on", "train",
                    "gradual.cvm", NULL);
    static const char *const stops[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        cvm_test_expect(&place, 0, NULL, NULL, "train", "gradual.cvm", "--stop-after", stops[i],
                        "-o", "broken.safetensors", NULL);
        assert_false(cvm_test_same_bytes(&place, "gradual.safetensors", "broken.safetensors"));
        cvm_test_expect(&place, 0, NULL, NULL, "train", "gradual.cvm", "--resume", "-o",
                        "broken.safetensors", NULL);
        assert_true(cvm_test_same_bytes(&place, "gradual.safetensors", "broken.safetensors"));
    }
    cvm_test_expect(&place, 0, "frozen, then 0.25x from epoch 3", NULL, "explain", "gradual.cvm",
                    NULL);
    cvm_test_expect(&place, 0, "\"first_epoch\":3", NULL, "explain", "gradual.cvm", "--json", NULL);
}

/* --- the frozen part, computed once --- */

/* In batches of 16 vectors hold pictures, in others not; 330 and 90 are multiples of neither. */
#define FROZEN(batch)                                                                              \
    CVM_TEST_DATA "model Normed(classes: int = 4) {\n"                                             \
                  "    input image: [1, 28, 28]\n"                                                 \
                  "    body { conv(4, kernel=5) batchnorm relu maxpool(3)\n"                       \
                  "        let side = it conv(4, kernel=1)\n"                                      \
                  "        conv(4, kernel=3, pad=1) dropout(0.3) relu add(it, side) flatten }\n"   \
                  "    middle { linear(20) batchnorm relu }\n"                                     \
                  "    head { dropout(0.2) linear(classes) }\n"                                    \
                  "}\n"                                                                            \
                  "train Normed on patterns {\n"                                                   \
                  "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"                \
                  "    epochs 3 batch " batch " seed 3 freeze body\n}\n"

static void the_cache_of_features_changes_no_bit(void **state) {
    (void)state;
    static const char *const programs[] = {FROZEN("32"), FROZEN("7"), FROZEN("50")};
    static const char *const sizes[] = {"0", "300K"};
    for (int i = 0; i < 3; i++) {
        cvm_test_write_text(&place, "normed.cvm", programs[i]);
        cvm_test_expect(&place, 0, "frozen: ", "kept for all 420 pictures", "train", "normed.cvm",
                        NULL);
        for (int k = 0; k < 2; k++) {
            cvm_test_expect(&place, 0, "frozen: ", "of 420 pictures", "train", "normed.cvm",
                            "--cache-size", sizes[k], "-o", "other.safetensors", NULL);
            assert_true(cvm_test_same_bytes(&place, "normed.safetensors", "other.safetensors"));
        }
    }
}

static void train_with_file(const char *note) {
    cvm_test_expect(&place, 0, NULL, note, "train", "normed.cvm", "--cache-file", "body.features",
                    "-o", "other.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "normed.safetensors", "other.safetensors"));
}

static void features_in_a_file_serve_later_runs_unless_damaged(void **state) {
    (void)state;
    cvm_test_write_text(&place, "normed.cvm", FROZEN("32"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "normed.cvm", NULL);
    train_with_file(NULL);
    size_t size, again;
    char *bytes = cvm_test_read(&place, "body.features", &size);
    train_with_file(NULL);
    char *same = cvm_test_read(&place, "body.features", &again);
    assert_true(size == again && memcmp(bytes, same, size) == 0);
    free(same);

    bytes[size - 9] ^= 1; /* in the last record */
    bytes[size / 2] ^= 1;
    cvm_test_write(&place, "body.features", bytes, size);
    train_with_file("the features of 2 pictures were damaged");
    train_with_file(NULL);
    cvm_test_write(&place, "body.features", bytes, size / 2); /* torn */
    train_with_file("were damaged");
    bytes[40] ^= 1; /* in the header */
    cvm_test_write(&place, "body.features", bytes, size);
    train_with_file("computed anew");
    cvm_test_write(&place, "body.features", "", 0);
    train_with_file("computed anew");
    free(bytes);
}

static void features_of_something_else_are_refused_before_any_work(void **state) {
    (void)state;
    cvm_test_write_text(&place, "normed.cvm", FROZEN("32"));
    cvm_test_remove(&place, "body.features");
    cvm_test_expect(&place, 0, NULL, NULL, "train", "normed.cvm", NULL);
    train_with_file(NULL);
    cvm_test_expect(&place, 1, "", "made by other weights", "train", "normed.cvm", "--seed", "4",
                    "--cache-file", "body.features", "-o", "none.safetensors", NULL);
    cvm_test_write_text(&place, "normed.cvm", FROZEN("33"));
    cvm_test_expect(&place, 1, "", "made by another frozen part", "train", "normed.cvm",
                    "--cache-file", "body.features", "-o", "none.safetensors", NULL);
    cvm_test_write_patterns(&place, 330, 91);
    cvm_test_write_text(&place, "normed.cvm", FROZEN("32"));
    cvm_test_expect(&place, 1, "", "made of other pictures", "train", "normed.cvm", "--cache-file",
                    "body.features", "-o", "none.safetensors", NULL);
    cvm_test_write_patterns(&place, 330, 90);
    cvm_test_expect(&place, 1, "", "holds no features of cvm", "train", "normed.cvm",
                    "--cache-file", "normed.cvm", "-o", "none.safetensors", NULL);
    cvm_test_expect(&place, 3, "", "nowhere", "train", "normed.cvm", "--cache-file",
                    "nowhere/body.features", "-o", "none.safetensors", NULL);
    cvm_test_expect(&place, 2, "", "--cache-size needs", "train", "normed.cvm", "--cache-size",
                    "2Q", NULL);
    assert_false(cvm_test_exists(&place, "none.safetensors"));
}

/* --- kills --- */

/* Killed again and again, at any moment, a training comes to its end, with the bits of one that was
 * left alone; the file of features stays good. Longer and longer runs, so that it does end. */
static void a_training_that_is_killed_goes_on_to_the_same_bits(void **state) {
    (void)state;
    cvm_test_write_text(&place, "killed.cvm",
                        TRANSFER("    freeze body\n    unfreeze body.linear1 at epoch 3\n"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "killed.cvm", NULL);
    double seconds = 0.01;
    for (int run = 0; run < 200; run++, seconds *= 1.15) {
        bool resumes = cvm_test_exists(&place, "end.safetensors");
        int code = cvm_test_cvmc_killed(&place, seconds, "train", "killed.cvm", "-o",
                                        "end.safetensors", "--cache-file", "killed.features",
                                        resumes ? "--resume" : NULL, NULL);
        assert_true(code == 0 || code == 137);
        if (code == 0)
            break;
    }
    assert_true(cvm_test_same_bytes(&place, "killed.safetensors", "end.safetensors"));
}

/* --- when it is enough --- */

static void patience_ends_a_training_and_keeps_the_best(void **state) {
    (void)state;
    cvm_test_write_text(&place, "long.cvm",
                        TRANSFER("    freeze body\n    patience 2\n    take 40\n"));
    CvmTestResult result = cvm_test_cvmc(&place, "train", "long.cvm", "--epochs", "400", "--report",
                                         "long.html", "--confusion", "long.csv", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.err, "stopped after epoch "));
    assert_non_null(strstr(result.out, "weights in long.best.safetensors"));
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 0, "is trained already", NULL, "train", "long.cvm", "--epochs", "400",
                    "--resume", NULL);
    cvm_test_expect(&place, 0, "test accuracy", NULL, "eval", "long.cvm", "--checkpoint",
                    "long.best.safetensors", NULL);
    size_t size;
    char *page = cvm_test_read(&place, "long.html", &size);
    static const char *const parts[] = {"Learning curves", "Accuracy of each class",
                                        "Confusion matrix", "patience 2", "</html>"};
    for (int i = 0; i < 5; i++)
        assert_non_null(strstr(page, parts[i]));
    assert_null(strstr(page, "<script"));
    assert_null(strstr(page, "src="));
    free(page);
    char *csv = cvm_test_read(&place, "long.csv", &size);
    assert_non_null(strstr(csv, "true,\"rows\",\"columns\",\"square\",\"ring\"\n\"rows\","));
    free(csv);
}

static void an_evaluation_tells_what_is_taken_for_what(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "true \\ taken for", NULL, "eval", "small.cvm", "--checkpoint",
                    "small.safetensors", "--confusion", "-", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "eval", "small.cvm", "--checkpoint", "small.safetensors",
                    "--confusion", "small.svg", "--report", "small.html", NULL);
    size_t size;
    char *svg = cvm_test_read(&place, "small.svg", &size);
    assert_int_equal(strncmp(svg, "<svg ", 5), 0);
    free(svg);
    char *page = cvm_test_read(&place, "small.html", &size); /* curves from the checkpoint */
    assert_non_null(strstr(page, "Learning curves"));
    free(page);
    cvm_test_expect(&place, 3, "", "report can't be written", "train", "small.cvm", "--report",
                    "nowhere/small.html", "-o", "none.safetensors", NULL);
}

static void as_many_pictures_are_taken_as_the_file_says(void **state) {
    (void)state;
    cvm_test_write_text(&place, "few.cvm", TRANSFER("    take 331\n"));
    cvm_test_expect(&place, 1, "", "331 pictures are to be taken, and there are 330", "train",
                    "few.cvm", NULL);
}

/* What the command line's epochs leave no time for is told, and is no error. */
static void an_epoch_beyond_the_end_is_an_error_of_the_file_alone(void **state) {
    (void)state;
    cvm_test_write_text(&place, "late.cvm",
                        TRANSFER("    freeze body\n    unfreeze body at epoch 5\n"));
    cvm_test_expect(&place, 1, NULL, "CVM1332", "train", "late.cvm", NULL);
    cvm_test_write_text(&place, "late.cvm",
                        TRANSFER("    freeze body\n    unfreeze body at epoch 4\n"));
    cvm_test_expect(&place, 0, NULL, "'body' would learn otherwise from epoch 4 on", "train",
                    "late.cvm", "--epochs", "1", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradual_training_goes_on_to_the_same_bits),
        cmocka_unit_test(the_cache_of_features_changes_no_bit),
        cmocka_unit_test(features_in_a_file_serve_later_runs_unless_damaged),
        cmocka_unit_test(features_of_something_else_are_refused_before_any_work),
        cmocka_unit_test(a_training_that_is_killed_goes_on_to_the_same_bits),
        cmocka_unit_test(patience_ends_a_training_and_keeps_the_best),
        cmocka_unit_test(an_evaluation_tells_what_is_taken_for_what),
        cmocka_unit_test(as_many_pictures_are_taken_as_the_file_says),
        cmocka_unit_test(an_epoch_beyond_the_end_is_an_error_of_the_file_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
