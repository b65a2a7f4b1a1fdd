/* What is wrong with files, data, weights and places is said in a sentence that names it, with the
 * right exit code (1: the input, 3: the machine), and nothing is left half-written. */
#include "runtime/cpu_features.h"
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

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 96, 32);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "1", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static void wrong_text(const char *text, const char *message) {
    cvm_test_write_text(&place, "wrong.cvm", text);
    cvm_test_expect(&place, 1, NULL, message, "check", "wrong.cvm", NULL);
    cvm_test_expect(&place, 1, NULL, message, "train", "wrong.cvm", NULL);
    assert_false(cvm_test_exists(&place, "wrong.safetensors"));
}

static void mistakes_in_the_text_are_shown_with_their_place(void **state) {
    (void)state;
    wrong_text("model M {\n    input image: [1, 8, 8\n    flatten linear(2)\n}\n", "wrong.cvm:");
    wrong_text("model M {\n    input image: [1, 8, 8]\n    flaten linear(2)\n}\n", "flatten");
    wrong_text("model M {\n    input image: [1, 8, 8]\n    linear(2)\n}\n", "flatten");
    wrong_text(
        "model M {\n    input image: [1, 8, 8]\n    conv(2, kernel=9) flatten linear(2)\n}\n",
        "wrong.cvm:3");
    wrong_text(CVM_TEST_MODEL "train Small on paterns { epochs 1 batch 8 }\n", "paterns");
    wrong_text(CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("    freeze bodi\n"), "bodi");
    wrong_text("\x01\xff\xfe{{{{", "wrong.cvm:1");
}

static void a_missing_program_is_the_machines_fault(void **state) {
    (void)state;
    cvm_test_expect(&place, 3, NULL, "none.cvm", "check", "none.cvm", NULL);
    cvm_test_expect(&place, 3, NULL, "none.cvm", "train", "none.cvm", NULL);
    cvm_test_expect(&place, 3, NULL, NULL, "check", ".", NULL);
}

static void a_program_without_a_train_or_model_says_so(void **state) {
    (void)state;
    cvm_test_write_text(&place, "model.cvm", CVM_TEST_MODEL);
    cvm_test_expect(&place, 1, NULL, "has no train", "train", "model.cvm", NULL);
    cvm_test_expect(&place, 1, NULL, "has no train", "run", "model.cvm", NULL);
    cvm_test_expect(&place, 0, "parameters", NULL, "explain", "model.cvm", NULL);
    cvm_test_write_text(&place, "data.cvm", CVM_TEST_DATA);
    cvm_test_write_text(&place, "empty.cvm", "");
    cvm_test_expect(&place, 1, NULL, "no model", "run", "empty.cvm", NULL);
    cvm_test_expect(&place, 1, NULL, "no model", "explain", "data.cvm", NULL);
    cvm_test_expect(&place, 1, NULL, "no model", "dump", "data.cvm", "--stage", "graph", NULL);
}

static void a_missing_data_set_names_every_place_and_the_way_to_get_it(void **state) {
    (void)state;
    int entries = cvm_test_entry_count(&place, ".");
    CvmTestResult result = cvm_test_cvmc(&place, "train", "small.cvm", "--data", "/nowhere", "-o",
                                         "new.safetensors", NULL);
    assert_int_equal(result.code, 3);
    assert_non_null(strstr(result.err, "/nowhere/patterns"));
    assert_non_null(strstr(result.err, "CVM_DATA"));
    assert_null(strstr(result.err, "/usr/share"));
    cvm_test_result_free(&result);
    cvm_test_write_text(&place, "other.cvm",
                        "import \"std/data.cvm\"\n"
                        "model M { input image: [1, 28, 28] flatten linear(10) }\n"
                        "train M on fashion_mnist { loss cross_entropy optimizer sgd(rate=0.1) "
                        "epochs 1 batch 8 }\n");
    cvm_test_expect(&place, 3, NULL, "apt install dataset-fashion-mnist", "train", "other.cvm",
                    "--data", "/nowhere", NULL);
    cvm_test_remove(&place, "other.cvm");
    assert_int_equal(cvm_test_entry_count(&place, "."), entries);
}

/* Trains on a copy of the data set with one file replaced. */
static void train_on(const char *file, const void *bytes, size_t size, int code,
                     const char *message) {
    static const char *const files[] = {"train-images", "train-labels", "test-images",
                                        "test-labels"};
    char from[64], to[64];
    for (int i = 0; i < 4; i++) {
        snprintf(from, sizeof from, "data/patterns/%s", files[i]);
        snprintf(to, sizeof to, "bad/patterns/%s", files[i]);
        size_t length;
        char *good = cvm_test_read(&place, from, &length);
        cvm_test_write(&place, to, good, length);
        free(good);
    }
    snprintf(to, sizeof to, "bad/patterns/%s", file);
    if (bytes)
        cvm_test_write(&place, to, bytes, size);
    else
        cvm_test_remove(&place, to);
    cvm_test_expect(&place, code, NULL, message, "train", "small.cvm", "--data", "bad", "-o",
                    "bad.safetensors", NULL);
    assert_false(cvm_test_exists(&place, "bad.safetensors"));
}

static void damaged_data_is_refused_by_name(void **state) {
    (void)state;
    size_t images_size, labels_size;
    char *images = cvm_test_read(&place, "data/patterns/train-images", &images_size);
    char *labels = cvm_test_read(&place, "data/patterns/train-labels", &labels_size);
    train_on("train-images", images, images_size - 1, 1, "train-images");
    train_on("train-images", images, 10, 1, "train-images");
    train_on("train-images", "", 0, 1, "train-images");
    train_on("train-images", labels, labels_size, 1, "train-images");
    train_on("train-labels", labels, labels_size - 5, 1, "train-labels");
    train_on("train-labels", NULL, 0, 3, "train-labels");
    train_on("test-images", NULL, 0, 3, "test-images");
    labels[20] = 4; /* one more than there are classes */
    train_on("train-labels", labels, labels_size, 1, "train-labels");
    images[4] = 0x7f; /* two thousand million pictures */
    train_on("train-images", images, images_size, 1, "train-images");
    free(images);
    free(labels);
}

static void refuse_checkpoint(const char *path, int code, const char *message) {
    cvm_test_expect(&place, code, NULL, message, "eval", "small.cvm", "--checkpoint", path, NULL);
    cvm_test_write_pattern_png(&place, "picture.png", 0, 1);
    cvm_test_expect(&place, code, NULL, message, "predict", "small.cvm", "--checkpoint", path,
                    "picture.png", NULL);
    cvm_test_expect(&place, code, NULL, message, "train", "small.cvm", "--resume", "-o", path,
                    NULL);
}

static void damaged_and_missing_checkpoints_are_refused(void **state) {
    (void)state;
    size_t size;
    char *bytes = cvm_test_read(&place, "small.safetensors", &size);
    cvm_test_write(&place, "cut.safetensors", bytes, size - 100);
    refuse_checkpoint("cut.safetensors", 1, "cut.safetensors");
    cvm_test_write(&place, "short.safetensors", bytes, 7);
    refuse_checkpoint("short.safetensors", 1, "short.safetensors");
    memset(bytes, 0xff, 8); /* the header's length */
    cvm_test_write(&place, "huge.safetensors", bytes, size);
    refuse_checkpoint("huge.safetensors", 1, "huge.safetensors");
    cvm_test_write_text(&place, "text.safetensors", "this was never a checkpoint, only some text");
    refuse_checkpoint("text.safetensors", 1, "text.safetensors");
    refuse_checkpoint("none.safetensors", 3, "none.safetensors");
    free(bytes);
}

static void a_checkpoint_of_another_model_or_seed_is_refused(void **state) {
    (void)state;
    cvm_test_write_text(
        &place, "flat.cvm",
        CVM_TEST_DATA
        "model Flat {\n    input image: [1, 28, 28]\n    flatten\n"
        "    linear(4)\n}\n"
        "train Flat on patterns { loss cross_entropy optimizer sgd(rate=0.01) epochs 1 "
        "batch 16 seed 1 }\n");
    cvm_test_expect(&place, 1, NULL, "Small", "eval", "flat.cvm", "--checkpoint",
                    "small.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "Small", "train", "flat.cvm", "--resume", "-o",
                    "small.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "seed", "train", "small.cvm", "--resume", "--seed", "4", NULL);
}

static void weights_that_do_not_fit_are_listed(void **state) {
    (void)state;
    cvm_test_write_text(&place, "start.cvm",
                        CVM_TEST_DATA
                        "model Other {\n"
                        "    input image: [1, 28, 28]\n"
                        "    body { conv(4, kernel=3, pad=2) relu maxpool(2) flatten }\n"
                        "    top { linear(4) }\n"
                        "}\n"
                        "train Other on patterns {\n"
                        "    weights \"small.safetensors\"\n"
                        "    loss cross_entropy optimizer sgd(rate=0.01)\n"
                        "    epochs 1 batch 16 seed 1\n"
                        "}\n");
    CvmTestResult result = cvm_test_cvmc(&place, "train", "start.cvm", NULL);
    assert_int_equal(result.code, 1);
    assert_non_null(strstr(result.err, "[4, 1, 5, 5] in the file, [4, 1, 3, 3] in the model"));
    assert_non_null(strstr(result.err, "is missing in the file"));
    assert_non_null(strstr(result.err, "is left over"));
    cvm_test_result_free(&result);
    assert_false(cvm_test_exists(&place, "start.safetensors"));
    cvm_test_write_text(
        &place, "lost.cvm",
        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("    weights \"no-such-file\"\n"));
    cvm_test_expect(&place, 0, NULL, NULL, "check", "lost.cvm", NULL);
    cvm_test_expect(&place, 3, NULL, "no-such-file", "train", "lost.cvm", NULL);
}

static void an_output_that_cannot_be_written_is_refused_before_training(void **state) {
    (void)state;
    CvmTestResult result =
        cvm_test_cvmc(&place, "train", "small.cvm", "-o", "no/such/folder/x.safetensors", NULL);
    assert_int_equal(result.code, 3);
    assert_non_null(strstr(result.err, "no/such/folder/x.safetensors"));
    assert_null(strstr(result.err, "epoch"));
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 3, NULL, "no plain file", "train", "small.cvm", "-o", "data", NULL);
}

static void nothing_is_left_beside_a_checkpoint(void **state) {
    (void)state;
    cvm_test_write_text(&place, "out/here", "");
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "1", "-o",
                    "out/x.safetensors", NULL);
    assert_int_equal(cvm_test_entry_count(&place, "out"), 2);
}

static void a_picture_of_another_size_names_both_sizes(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, NULL, NULL, "samples", "small.cvm", "--checkpoint",
                    "small.safetensors", "--png", "big.png", NULL);
    cvm_test_expect(&place, 1, NULL, "where pictures 28 wide and 28 high", "predict", "small.cvm",
                    "--checkpoint", "small.safetensors", "big.png", NULL);
}

static void unknown_passes_and_cpus_are_refused(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "no-such-pass", "dump", "small.cvm", "--stage", "fused",
                    "--passes=-no-such-pass", NULL);
    static const char *const commands[] = {"explain", "verify", "bench", "build"};
    for (int i = 0; i < 4; i++)
        cvm_test_expect(&place, 2, NULL, "no-such-cpu", commands[i], "small.cvm", "--cpu",
                        "no-such-cpu", NULL);
    cvm_test_expect(&place, 2, NULL, "no-such-cpu", "ab", "small.cvm", "--a", "cpu=no-such-cpu",
                    "--b", "default", NULL);
    cvm_test_expect(&place, 2, NULL, "x86-64 twice", "build", "small.cvm", "--cpu",
                    "x86-64,x86-64-v3,x86-64", NULL);
}

static void code_that_this_machine_cannot_run_is_refused(void **state) {
    (void)state;
    if (cvm_cpu_has("avx512bw"))
        skip(); /* it has all that --cpu knows */
    static const char *const commands[] = {"verify", "bench", "train", "bisect"};
    for (int i = 0; i < 4; i++)
        cvm_test_expect(&place, 3, NULL, "CVM1609", commands[i], "small.cvm", "--cpu", "x86-64-v4",
                        NULL);
    cvm_test_expect(&place, 3, NULL, "CVM1609", "ab", "small.cvm", "--a", "cpu=x86-64-v4", "--b",
                    "default", NULL);
    cvm_test_expect(&place, 0, "zmm", NULL, "dump", "small.cvm", "--stage", "asm", "--cpu",
                    "x86-64-v4", NULL);
}

static void a_damaged_cache_is_ignored(void **state) {
    (void)state;
    const char *argument = "small.safetensors";
    cvm_test_write_pattern_png(&place, "ring.png", 3, 9);
    CvmTestResult before =
        cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint", argument, "ring.png", NULL);
    assert_int_equal(before.code, 0);
    cvm_test_damage_files(&place, "cache");
    CvmTestResult after =
        cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint", argument, "ring.png", NULL);
    assert_int_equal(after.code, 0);
    assert_string_equal(before.out, after.out);
    cvm_test_result_free(&before);
    cvm_test_result_free(&after);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(mistakes_in_the_text_are_shown_with_their_place),
        cmocka_unit_test(a_missing_program_is_the_machines_fault),
        cmocka_unit_test(a_program_without_a_train_or_model_says_so),
        cmocka_unit_test(a_missing_data_set_names_every_place_and_the_way_to_get_it),
        cmocka_unit_test(damaged_data_is_refused_by_name),
        cmocka_unit_test(damaged_and_missing_checkpoints_are_refused),
        cmocka_unit_test(a_checkpoint_of_another_model_or_seed_is_refused),
        cmocka_unit_test(weights_that_do_not_fit_are_listed),
        cmocka_unit_test(an_output_that_cannot_be_written_is_refused_before_training),
        cmocka_unit_test(nothing_is_left_beside_a_checkpoint),
        cmocka_unit_test(a_picture_of_another_size_names_both_sizes),
        cmocka_unit_test(unknown_passes_and_cpus_are_refused),
        cmocka_unit_test(code_that_this_machine_cannot_run_is_refused),
        cmocka_unit_test(a_damaged_cache_is_ignored),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
