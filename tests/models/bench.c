/* cvmc bench: what it prints and writes. No time is judged. */
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

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_write_text(&place, "model.cvm", CVM_TEST_MODEL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static cJSON *bench(const char *option, const char *value) {
    CvmTestResult result = cvm_test_cvmc(&place, "bench", "small.cvm", "--json", "--repeat", "3",
                                         "--threads", "2", option, value, NULL);
    assert_int_equal(result.code, 0);
    cJSON *object = cJSON_Parse(result.out);
    assert_non_null(object);
    cvm_test_result_free(&result);
    return object;
}

static void check_kernel(const cJSON *kernel) {
    assert_true(strlen(cvm_test_text(kernel, "kernel")) > 0);
    assert_true(cvm_test_number(kernel, "calls") >= 1);
    assert_true(cvm_test_number(kernel, "threads") == 1 || cvm_test_number(kernel, "threads") == 2);
    assert_true(cvm_test_number(kernel, "least_seconds") <=
                cvm_test_number(kernel, "median_seconds"));
    assert_true(cvm_test_number(kernel, "flops") >= 0 && cvm_test_number(kernel, "bytes") > 0);
    assert_true(cvm_test_number(kernel, "share_of_best") >= 0);
    const char *bound = cvm_test_text(kernel, "bound");
    assert_true(!strcmp(bound, "compute") || !strcmp(bound, "memory") ||
                !strcmp(bound, "overhead"));
}

/* The operations of all kernels of one op ("conv_0123…"), which its name in the table tells. */
static double flops_of(const cJSON *object, const char *op) {
    double flops = 0;
    const cJSON *kernel;
    cJSON_ArrayForEach(kernel, cJSON_GetObjectItem(object, "kernels")) {
        const char *name = cvm_test_text(kernel, "kernel");
        if (strncmp(name, op, strlen(op)) == 0 && name[strlen(op)] == '_')
            flops += cvm_test_number(kernel, "flops");
    }
    return flops;
}

static void json_tells_every_kernel_of_an_inference(void **state) {
    (void)state;
    cJSON *object = bench("--batch", "3");
    assert_string_equal(cvm_test_text(object, "model"), "Small");
    assert_string_equal(cvm_test_text(object, "what"), "inference");
    assert_true(cvm_test_number(object, "batch") == 3 && cvm_test_number(object, "threads") == 2);
    assert_true(cvm_test_number(object, "runs") == 3);
    assert_true(cvm_test_number(object, "least_seconds") > 0 &&
                cvm_test_number(object, "images_per_second") > 0);
    const cJSON *best = cJSON_GetObjectItem(object, "best");
    assert_true(cvm_test_number(cJSON_GetObjectItem(best, "one_thread"), "flops_per_second") > 0);
    assert_true(cvm_test_number(cJSON_GetObjectItem(best, "all_threads"), "bytes_per_second") > 0);
    const cJSON *counters = cJSON_GetObjectItem(object, "counters"); /* as the system permits */
    assert_true(cJSON_GetArraySize(counters) > 0 || *cvm_test_text(object, "counters_refused"));
    const cJSON *kernel;
    cJSON_ArrayForEach(kernel, cJSON_GetObjectItem(object, "kernels")) check_kernel(kernel);
    /* a multiply-add is two; bias and relu are fused into it, one each, and where the layout allows
     * it the pooling too */
    double conv1 = 3.0 * 4 * 28 * 28 * (2 * 25 + 3), conv2 = 3.0 * 8 * 10 * 10 * (2 * 100 + 3);
    assert_true(flops_of(object, "conv") + flops_of(object, "maxpool") == conv1 + conv2);
    cJSON_Delete(object);
}

static void a_training_step_has_the_files_batch_and_backward_kernels(void **state) {
    (void)state;
    cJSON *object = bench("--train", NULL);
    assert_string_equal(cvm_test_text(object, "what"), "training step");
    assert_true(cvm_test_number(object, "batch") == 32);
    assert_true(flops_of(object, "winograd_rows_grad_weight") > 0);
    cJSON_Delete(object);
}

static void a_training_step_tells_how_long_it_waits_for_pictures(void **state) {
    (void)state;
    cJSON *without = bench("--train", "Small");
    const cJSON *data = cJSON_GetObjectItem(without, "data");
    assert_string_equal(cvm_test_text(data, "name"), "patterns");
    assert_non_null(strstr(cvm_test_text(data, "refused"), "not on this machine"));
    cJSON_Delete(without);
    cvm_test_write_patterns(&place, 70, 8); /* two batches of 32, so that an epoch ends */
    cJSON *with = bench("--train", "Small");
    data = cJSON_GetObjectItem(with, "data");
    assert_true(cvm_test_number(data, "steps") == 3 && cvm_test_number(data, "step_seconds") > 0);
    assert_true(cvm_test_number(data, "waited_share") >= 0 &&
                cvm_test_number(data, "waited_share") <= 1);
    cJSON_Delete(with);
    cvm_test_expect(&place, 0, "waiting for pictures", NULL, "bench", "small.cvm", "--train",
                    "--repeat", "1", NULL);
    cvm_test_write_text(&place, "data/patterns/train-labels", "no labels");
    cvm_test_expect(&place, 1, NULL, "train-labels", "bench", "small.cvm", "--train", "--repeat",
                    "1", NULL);
}

static void the_table_names_layers_and_what_bounds_them(void **state) {
    (void)state;
    static const char *const wanted[] = {"best of this machine", "of best", "body.conv1",
                                         "head.linear1", "images/s"};
    CvmTestResult result = cvm_test_cvmc(&place, "bench", "model.cvm", "--repeat", "1", NULL);
    assert_int_equal(result.code, 0);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_non_null(strstr(result.out, wanted[i]));
    cvm_test_result_free(&result);
}

static void a_trace_has_an_event_for_each_call(void **state) {
    (void)state;
    cJSON *object = bench("--trace", "trace.json");
    size_t size;
    char *written = cvm_test_read(&place, "trace.json", &size);
    cJSON *trace = cJSON_Parse(written);
    const cJSON *events = cJSON_GetObjectItem(trace, "traceEvents");
    int calls = 0;
    const cJSON *event;
    cJSON_ArrayForEach(event, events) {
        assert_true(cvm_test_number(event, "pid") == 1);
        assert_true(cvm_test_number(event, "tid") == 0 || cvm_test_number(event, "tid") == 1);
        if (strcmp(cvm_test_text(event, "ph"), "M") ==
            0) { /* names of the process and its threads */
            const char *what = cvm_test_text(event, "name");
            assert_true(!strcmp(what, "process_name") || !strcmp(what, "thread_name"));
            assert_true(strlen(cvm_test_text(cJSON_GetObjectItem(event, "args"), "name")) > 0);
            continue;
        }
        assert_string_equal(cvm_test_text(event, "ph"), "X");
        assert_string_equal(cvm_test_text(event, "cat"), "kernel");
        assert_true(strlen(cvm_test_text(event, "name")) > 0);
        assert_true(strlen(cvm_test_text(cJSON_GetObjectItem(event, "args"), "kernel")) > 0);
        assert_true(cvm_test_number(event, "ts") >= 0 && cvm_test_number(event, "dur") >= 0);
        calls++;
    }
    int kernels = cJSON_GetArraySize(cJSON_GetObjectItem(object, "kernels"));
    assert_true(kernels > 0 && calls >= kernels);
    cJSON_Delete(trace);
    cJSON_Delete(object);
    free(written);
}

static void what_cannot_be_measured_is_refused(void **state) {
    (void)state;
    cvm_test_expect(&place, 1, NULL, "no train", "bench", "model.cvm", "--train", NULL);
    cvm_test_expect(&place, 2, NULL, "'0' is none", "bench", "model.cvm", "--seconds", "0", NULL);
    cvm_test_expect(&place, 2, NULL, "at most 10000", "bench", "model.cvm", "--repeat", "10001",
                    NULL);
    cvm_test_expect(&place, 3, NULL, "nowhere", "bench", "model.cvm", "--repeat", "1", "--trace",
                    "nowhere/trace.json", NULL);
}

#define WIDE                                                                                       \
    "model Wide { input image: [16, 16, 16] conv(32, kernel=3, pad=1) relu conv(32, kernel=3) "    \
    "flatten linear(200) }\n"

static void explain_tells_why_a_convolution_is_direct(void **state) {
    (void)state;
    cvm_test_write_text(&place, "direct.cvm",
                        "model Direct { input image: [20, 16, 16] conv(40, kernel=3, groups=2) "
                        "conv(64, kernel=1) conv(8, kernel=3, stride=2) flatten }\n");
    CvmTestResult result =
        cvm_test_cvmc(&place, "explain", "direct.cvm", "--kernels", "--cpu", "x86-64-v3", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "model: no Winograd, its kernel is not 3x3, 5x5 or 7x7"));
    assert_non_null(strstr(result.out, "plain pictures: its groups do not go with vectors"));
    assert_non_null(strstr(result.out, "model: no Winograd, it has a stride or dilation"));
    cvm_test_result_free(&result);
}

static void what_was_measured_is_gone_by(void **state) {
    (void)state;
    cvm_test_write_text(&place, "wide.cvm", WIDE);
    cvm_test_expect(&place, 0, "model: ", NULL, "explain", "wide.cvm", "--kernels", NULL);
    CvmTestResult result =
        cvm_test_cvmc(&place, "bench", "wide.cvm", "--tune", "--seconds", "1", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *object = cJSON_Parse(result.out);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(object, "choices")) > 0);
    assert_true(cvm_test_number(object, "rounds") > 0 && cvm_test_number(object, "seconds") > 0);
    cvm_test_expect(&place, 0, "measured: ", "", "explain", "wide.cvm", "--kernels", NULL);
    static const char *const without[] = {"--no-tune", "--no-cache"};
    for (int i = 0; i < 2; i++) {
        CvmTestResult plain =
            cvm_test_cvmc(&place, "explain", "wide.cvm", "--kernels", without[i], NULL);
        assert_null(strstr(plain.out, "measured: "));
        cvm_test_result_free(&plain);
    }
    FILE *record = fopen(cvm_test_text(object, "record"), "w");
    assert_non_null(record);
    fputs("cvm tuning 1 0\n", record);
    fclose(record);
    cvm_test_expect(&place, 0, "model: ", "it is ignored", "explain", "wide.cvm", "--kernels",
                    NULL);
    cvm_test_expect(&place, 0, "recorded in", "", "bench", "wide.cvm", "--tune", "--seconds", "1",
                    NULL);
    cvm_test_expect(&place, 0, "measured: ", "", "explain", "wide.cvm", "--kernels", NULL);
    cJSON_Delete(object);
    cvm_test_result_free(&result);
}

/* Cuts of filters' gradients are choices too, each judged by its own kernel's time. */
static void a_training_steps_gradients_are_measured(void **state) {
    (void)state;
    cvm_test_write_text(
        &place, "step.cvm",
        "model Step { input image: [3, 16, 16] conv(80, kernel=1) conv(80, kernel=1) flatten "
        "linear(2) }\n"
        "data pictures { folder \"none\" image [3, 16, 16] resize 16 split 0.5 }\n"
        "train Step on pictures { loss cross_entropy optimizer sgd(rate=0.1) epochs 1 batch 2 }\n");
    CvmTestResult result = cvm_test_cvmc(&place, "bench", "step.cvm", "--tune", "--train",
                                         "--seconds", "1", "--json", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "cut conv_grad_weight "));
    cvm_test_result_free(&result);
}

static void tuning_wants_a_place_to_record_in(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--no-cache", "bench", "model.cvm", "--tune", "--no-cache",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "--no-tune", "bench", "model.cvm", "--tune", "--no-tune",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "--repeat", "bench", "model.cvm", "--tune", "--repeat", "3",
                    NULL);
    char command[1024]; /* found before anything is measured */
    snprintf(
        command, sizeof command,
        "XDG_CACHE_HOME=$PWD/model.cvm '%s' bench model.cvm --tune --seconds 5 -v; test $? = 3",
        getenv("CVMC"));
    char *said = cvm_test_shell(&place, command);
    assert_non_null(strstr(said, "cannot write"));
    assert_null(strstr(said, "round 1"));
    free(said);
}

static void small_kernels_leave_nothing_to_choose(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "nothing to choose", NULL, "bench", "model.cvm", "--tune",
                    "--seconds", "1", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(json_tells_every_kernel_of_an_inference),
        cmocka_unit_test(a_training_step_has_the_files_batch_and_backward_kernels),
        cmocka_unit_test(a_training_step_tells_how_long_it_waits_for_pictures),
        cmocka_unit_test(the_table_names_layers_and_what_bounds_them),
        cmocka_unit_test(a_trace_has_an_event_for_each_call),
        cmocka_unit_test(what_cannot_be_measured_is_refused),
        cmocka_unit_test(explain_tells_why_a_convolution_is_direct),
        cmocka_unit_test(what_was_measured_is_gone_by),
        cmocka_unit_test(a_training_steps_gradients_are_measured),
        cmocka_unit_test(tuning_wants_a_place_to_record_in),
        cmocka_unit_test(small_kernels_leave_nothing_to_choose),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
