/* The main road, end to end with the real command: a small network learns a small data set, is
 * evaluated, classifies pictures; a training goes on after a break and on any number of threads to
 * the same bits. */
#include "tests/support/command.h"
#include "tests/support/json.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static CvmTestPlace place;

/* 330 pictures in batches of 32: the last batch is smaller. */
static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 330, 90);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, "trained Small for 4 epochs", "epoch 4/4", "train", "small.cvm",
                    NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* The last line of text as JSON. */
static cJSON *last_json(const char *text) {
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n')
        length--;
    size_t start = length;
    while (start && text[start - 1] != '\n')
        start--;
    cJSON *object = cJSON_ParseWithLength(text + start, length - start);
    assert_non_null(object);
    return object;
}

static void training_learns_the_patterns(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "eval", "small.cvm", "--checkpoint",
                                         "small.safetensors", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *evaluation = last_json(result.out);
    assert_true(cvm_test_number(evaluation, "accuracy") >= 0.95);
    assert_true(cvm_test_number(evaluation, "loss") < 0.3);
    assert_int_equal(cvm_test_number(evaluation, "count"), 90);
    const cJSON *classes = cJSON_GetObjectItem(evaluation, "classes");
    assert_int_equal(cJSON_GetArraySize(classes), 4);
    double total = 0;
    for (int i = 0; i < 4; i++)
        total += cvm_test_number(cJSON_GetArrayItem(classes, i), "correct");
    assert_int_equal(total, cvm_test_number(evaluation, "correct"));
    cJSON_Delete(evaluation);
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 0, "  rows ", NULL, "eval", "small.cvm", "--checkpoint",
                    "small.safetensors", NULL);
}

static void training_prints_one_json_object_an_epoch_and_one_at_the_end(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "train", "small.cvm", "--json", "--epochs", "2",
                                         "-o", "json.safetensors", NULL);
    assert_int_equal(result.code, 0);
    int lines = 0;
    for (char *line = strtok(result.out, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        cJSON *object = cJSON_Parse(line);
        assert_non_null(object);
        const char *event = cJSON_GetStringValue(cJSON_GetObjectItem(object, "event"));
        assert_string_equal(event, lines < 2 ? "epoch" : "trained");
        assert_int_equal(cvm_test_number(object, "epoch"), lines < 2 ? lines + 1 : 2);
        cJSON_Delete(object);
    }
    assert_int_equal(lines, 3);
    cvm_test_result_free(&result);
}

static void the_same_training_gives_the_same_bits_at_any_number_of_threads(void **state) {
    (void)state;
    static const char *const threads[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--threads", threads[i], "-o",
                        "threads.safetensors", NULL);
        assert_true(cvm_test_same_bytes(&place, "small.safetensors", "threads.safetensors"));
    }
}

static void a_resumed_training_gives_the_bits_of_an_unbroken_one(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--stop-after", "1", "-o",
                    "broken.safetensors", NULL);
    assert_false(cvm_test_same_bytes(&place, "small.safetensors", "broken.safetensors"));
    cvm_test_expect(&place, 0, NULL, "epoch 2/4", "train", "small.cvm", "--resume", "--stop-after",
                    "3", "-o", "broken.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, "epoch 4/4", "train", "small.cvm", "--resume", "-o",
                    "broken.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "small.safetensors", "broken.safetensors"));
    cvm_test_expect(&place, 0, "is trained already: 4 of 4 epochs", NULL, "train", "small.cvm",
                    "--resume", "-o", "broken.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "small.safetensors", "broken.safetensors"));
}

/* Dropout draws by seed, step and place alone, and evaluation knows nothing of it. */
static void a_training_with_dropout_gives_the_same_bits_on_every_way(void **state) {
    (void)state;
    cvm_test_write_text(&place, "drop.cvm",
                        CVM_TEST_DATA
                        "model Drop(classes: int = 4) {\n"
                        "    input image: [1, 28, 28]\n"
                        "    conv(4, kernel=5) dropout(0.1) relu maxpool(4)\n"
                        "    flatten linear(16) relu dropout linear(classes)\n"
                        "}\n"
                        "train Drop on patterns { normalize mean_of_train loss cross_entropy "
                        "optimizer sgd(rate=0.02, momentum=0.9) epochs 3 batch 32 seed 5 }\n");
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--threads", "1", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--threads", "3", "-o",
                    "other.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "drop.safetensors", "other.safetensors"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--stop-after", "1", "-o",
                    "half.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--resume", "-o",
                    "half.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "drop.safetensors", "half.safetensors"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "drop.cvm", "--seed", "6", "-o",
                    "other.safetensors", NULL);
    assert_false(cvm_test_same_bytes(&place, "drop.safetensors", "other.safetensors"));
    CvmTestResult once = cvm_test_cvmc(&place, "eval", "drop.cvm", "--json", "--checkpoint",
                                       "drop.safetensors", NULL);
    cJSON *evaluation = last_json(once.out);
    assert_true(cvm_test_number(evaluation, "accuracy") >= 0.9);
    cJSON_Delete(evaluation);
    cvm_test_result_free(&once);
}

/* Everything that an optimizer or a rate remembers is in the checkpoint. */
static void other_optimizers_and_rates_resume_to_the_same_bits(void **state) {
    (void)state;
    static const char *const ways[] = {
        "optimizer adamw(rate=0.005) schedule plateau(patience=0, factor=0.5, warmup=0.5) clip 1",
        "optimizer lars(rate=1, trust=0.05) schedule one_cycle",
        "optimizer sgd(rate=0.02, momentum=0.9, nesterov=true, decay=1e-3, decoupled=true)",
        "optimizer adam(rate=0.005) accumulate 4 clip 1",
        "optimizer sgd(rate=0.02, momentum=0.9) average 0.95 accumulate 2",
    };
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 CVM_TEST_DATA "model Small(classes: int = 4) {\n"
                               "    input image: [1, 28, 28]\n"
                               "    maxpool(4) flatten linear(16) relu linear(classes)\n"
                               "}\n"
                               "train Small on patterns { normalize mean_of_train loss "
                               "cross_entropy %s epochs 3 batch 32 seed 5 }\n",
                 ways[i]);
        cvm_test_write_text(&place, "way.cvm", text);
        cvm_test_expect(&place, 0, NULL, NULL, "train", "way.cvm", "--threads", "1", NULL);
        cvm_test_expect(&place, 0, NULL, NULL, "train", "way.cvm", "--stop-after", "2", "-o",
                        "half.safetensors", NULL);
        cvm_test_expect(&place, 0, NULL, NULL, "train", "way.cvm", "--resume", "-o",
                        "half.safetensors", NULL);
        assert_true(cvm_test_same_bytes(&place, "way.safetensors", "half.safetensors"));
        CvmTestResult result = cvm_test_cvmc(&place, "eval", "way.cvm", "--json", "--checkpoint",
                                             "way.safetensors", NULL);
        cJSON *evaluation = last_json(result.out);
        assert_true(cvm_test_number(evaluation, "accuracy") >= 0.6);
        cJSON_Delete(evaluation);
        cvm_test_result_free(&result);
    }
}

static double evaluated_loss(const char *checkpoint, const char *option) {
    CvmTestResult result = cvm_test_cvmc(&place, "eval", "average.cvm", "--json", "--checkpoint",
                                         checkpoint, option, NULL);
    assert_int_equal(result.code, 0);
    cJSON *evaluation = last_json(result.out);
    double loss = cvm_test_number(evaluation, "loss");
    cJSON_Delete(evaluation);
    cvm_test_result_free(&result);
    return loss;
}

/* The training is the same with averages and without; they are what is evaluated, and what the
 * checkpoint's weights are to whoever reads it. */
static void averages_of_the_weights_are_what_counts(void **state) {
    (void)state;
    cvm_test_write_text(&place, "average.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "    average 0.9 freeze body.conv1 at epoch 3\n"));
    CvmTestResult result = cvm_test_cvmc(&place, "train", "average.cvm", "--json", NULL);
    assert_int_equal(result.code, 0);
    char *last = strstr(result.out, "\"epoch\":4");
    assert_non_null(last);
    double during = strtod(strstr(last, "test_loss\":") + strlen("test_loss\":"), NULL);
    cvm_test_result_free(&result);
    double raw = evaluated_loss("average.safetensors", "--raw");
    assert_true(evaluated_loss("average.safetensors", NULL) == during);
    assert_true(raw != during);
    cvm_test_write_text(
        &place, "average.cvm",
        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("    freeze body.conv1 at epoch 3\n"));
    cvm_test_expect(&place, 0, NULL, NULL, "train", "average.cvm", "-o", "plain.safetensors", NULL);
    assert_true(evaluated_loss("plain.safetensors", NULL) == raw);
    cvm_test_expect(&place, 1, NULL, "has no averages", "eval", "average.cvm", "--checkpoint",
                    "plain.safetensors", "--raw", NULL);
    cvm_test_expect(&place, 2, NULL, "give --checkpoint", "predict", "average.cvm", "--weights",
                    "plain.safetensors", "--raw", "x.png", NULL);
}

static void passes_change_how_it_is_computed_but_not_what_is_learned(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--passes=none", "-o",
                    "plain.safetensors", NULL);
    CvmTestResult result = cvm_test_cvmc(&place, "eval", "small.cvm", "--checkpoint",
                                         "plain.safetensors", "--json", "--passes=none", NULL);
    cJSON *evaluation = last_json(result.out);
    assert_true(cvm_test_number(evaluation, "accuracy") >= 0.95);
    cJSON_Delete(evaluation);
    cvm_test_result_free(&result);
}

static void pictures_are_classified_with_the_names_of_the_data(void **state) {
    (void)state;
    for (int kind = 0; kind < CVM_PATTERN_CLASSES; kind++) {
        cvm_test_write_pattern_png(&place, "picture.png", kind, 5000);
        CvmTestResult result = cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint",
                                             "small.safetensors", "--json", "picture.png", NULL);
        assert_int_equal(result.code, 0);
        cJSON *object = last_json(result.out);
        const cJSON *classes = cJSON_GetObjectItem(object, "classes");
        assert_int_equal(cJSON_GetArraySize(classes), 4);
        const cJSON *best = cJSON_GetArrayItem(classes, 0);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(best, "class")),
                            cvm_pattern_names[kind]);
        double sum = 0;
        for (int i = 0; i < 4; i++)
            sum += cvm_test_number(cJSON_GetArrayItem(classes, i), "probability");
        assert_true(sum > 0.999 && sum < 1.001);
        cJSON_Delete(object);
        cvm_test_result_free(&result);
    }
}

static void run_with_a_checkpoint_and_pictures_needs_no_data_set(void **state) {
    (void)state;
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    cvm_test_expect(&place, 0, "ring.png\n", "", "run", "small.cvm", "--checkpoint",
                    "small.safetensors", "--data", "/nowhere", "ring.png", NULL);
}

static void a_picture_that_cannot_be_used_does_not_stop_the_others(void **state) {
    (void)state;
    cvm_test_write_pattern_png(&place, "square.png", 2, 7000);
    cvm_test_write_text(&place, "text.png", "no picture at all");
    cvm_test_expect(&place, 1, "square.png\n", "text.png", "predict", "small.cvm", "--checkpoint",
                    "small.safetensors", "missing.png", "text.png", "square.png", NULL);
}

static void run_trains_evaluates_and_classifies(void **state) {
    (void)state;
    cvm_test_write_text(&place, "again.cvm", CVM_TEST_PROGRAM);
    cvm_test_write_pattern_png(&place, "rows.png", 0, 8000);
    CvmTestResult result = cvm_test_cvmc(&place, "run", "again.cvm", "rows.png", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "trained Small for 4 epochs"));
    assert_non_null(strstr(result.out, "test accuracy"));
    assert_non_null(strstr(result.out, "rows.png\n"));
    cvm_test_result_free(&result);
    assert_true(cvm_test_same_bytes(&place, "small.safetensors", "again.safetensors"));
    assert_false(cvm_test_exists(&place, "again-templates.png"));
}

static void run_on_a_single_linear_layer_writes_its_templates(void **state) {
    (void)state;
    cvm_test_write_text(&place, "flat.cvm",
                        CVM_TEST_DATA "model Flat {\n"
                                      "    input image: [1, 28, 28]\n"
                                      "    flatten\n"
                                      "    head { linear(4) }\n"
                                      "}\n"
                                      "train Flat on patterns {\n"
                                      "    loss cross_entropy optimizer sgd(rate=0.01)\n"
                                      "    epochs 1 batch 16 seed 1\n"
                                      "}\n");
    cvm_test_expect(&place, 0, "flat-templates.png", NULL, "run", "flat.cvm", NULL);
    size_t size;
    char *bytes = cvm_test_read(&place, "flat-templates.png", &size);
    assert_true(size > 200);
    assert_memory_equal(bytes, "\x89PNG", 4);
    free(bytes);
}

static void samples_are_shown_and_written_as_a_picture(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "right", NULL, "samples", "small.cvm", "--checkpoint",
                    "small.safetensors", "--count", "3", "--png", "samples.png", NULL);
    assert_true(cvm_test_exists(&place, "samples.png"));
    cvm_test_expect(&place, 3, NULL, "nowhere", "samples", "small.cvm", "--checkpoint",
                    "small.safetensors", "--png", "nowhere/samples.png", NULL);
}

static void frozen_parameters_keep_their_bits(void **state) {
    (void)state;
    cvm_test_write_text(&place, "frozen.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "    weights \"small.safetensors\" except head\n    freeze body\n"));
    cvm_test_expect(&place, 0, "frozen: 6 tensors, bits unchanged", "these start anew:", "train",
                    "frozen.cvm", NULL);
    cvm_test_expect(&place, 0, "frozen", NULL, "explain", "frozen.cvm", NULL);
    CvmTestResult result = cvm_test_cvmc(&place, "eval", "frozen.cvm", "--checkpoint",
                                         "frozen.safetensors", "--json", NULL);
    cJSON *evaluation = last_json(result.out);
    assert_true(cvm_test_number(evaluation, "accuracy") >= 0.9);
    cJSON_Delete(evaluation);
    cvm_test_result_free(&result);
}

static void every_stage_can_be_dumped(void **state) {
    (void)state;
    static const char *const stages[] = {"ast", "graph", "fused", "kernels", "plan", "llvm", "asm"};
    for (int i = 0; i < 7; i++) {
        CvmTestResult result =
            cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", stages[i], "--forward", NULL);
        assert_int_equal(result.code, 0);
        assert_true(strlen(result.out) > 100);
        cvm_test_result_free(&result);
    }
    cvm_test_expect(&place, 0, "sgd_step", NULL, "dump", "small.cvm", "--stage", "graph", NULL);
    cvm_test_expect(&place, 0, "[7, 1, 28, 28]", NULL, "dump", "small.cvm", "--stage", "graph",
                    "--batch", "7", NULL);
    cvm_test_expect(&place, 0, "digraph", NULL, "dump", "small.cvm", "--stage", "graph", "--dot",
                    NULL);
    cvm_test_expect(&place, 0, "digraph", NULL, "dump", "small.cvm", "--stage", "fused", "--dot",
                    NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training_learns_the_patterns),
        cmocka_unit_test(training_prints_one_json_object_an_epoch_and_one_at_the_end),
        cmocka_unit_test(the_same_training_gives_the_same_bits_at_any_number_of_threads),
        cmocka_unit_test(a_resumed_training_gives_the_bits_of_an_unbroken_one),
        cmocka_unit_test(a_training_with_dropout_gives_the_same_bits_on_every_way),
        cmocka_unit_test(other_optimizers_and_rates_resume_to_the_same_bits),
        cmocka_unit_test(averages_of_the_weights_are_what_counts),
        cmocka_unit_test(passes_change_how_it_is_computed_but_not_what_is_learned),
        cmocka_unit_test(pictures_are_classified_with_the_names_of_the_data),
        cmocka_unit_test(run_with_a_checkpoint_and_pictures_needs_no_data_set),
        cmocka_unit_test(a_picture_that_cannot_be_used_does_not_stop_the_others),
        cmocka_unit_test(run_trains_evaluates_and_classifies),
        cmocka_unit_test(run_on_a_single_linear_layer_writes_its_templates),
        cmocka_unit_test(samples_are_shown_and_written_as_a_picture),
        cmocka_unit_test(frozen_parameters_keep_their_bits),
        cmocka_unit_test(every_stage_can_be_dumped),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
