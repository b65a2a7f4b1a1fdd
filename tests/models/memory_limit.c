/* `--memory`: the real command under limits that are met without more, by recomputing, and not at
 * all; the same bits come out, and the numbers that it tells agree with one another. */
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

/* Batch norm leaves much to recompute. */
static const char program[] =
    CVM_TEST_DATA "model Net(classes: int = 4) {\n"
                  "    input image: [1, 28, 28]\n"
                  "    repeat 3 { conv(8, kernel=3, pad=1, bias=false) batchnorm relu }\n"
                  "    maxpool(4) flatten linear(classes)\n"
                  "}\n"
                  "train Net on patterns {\n"
                  "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"
                  "    epochs 1 batch 32 seed 3\n"
                  "}\n";

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 64, 32);
    cvm_test_write_text(&place, "net.cvm", program);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* What `cvmc passes` says of the arena; what is alive adds up to the lower bound. */
static double arena_with(const char *passes) {
    CvmTestResult result =
        cvm_test_cvmc(&place, "passes", "net.cvm", "--json", "--passes", passes, NULL);
    assert_int_equal(result.code, 0);
    cJSON *whole = cJSON_Parse(result.out);
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(whole, "passes")) > 0);
    double arena = cvm_test_number(whole, "arena_bytes"),
           live = cvm_test_number(whole, "live_bytes"), sum = 0;
    const cJSON *alive;
    cJSON_ArrayForEach(alive, cJSON_GetObjectItem(whole, "alive")) sum +=
        cvm_test_number(alive, "bytes");
    assert_true(sum == live && live <= arena);
    cJSON_Delete(whole);
    cvm_test_result_free(&result);
    return arena;
}

static void recomputing_takes_less(void **state) {
    (void)state;
    assert_true(arena_with("+recompute") < 0.9 * arena_with("default"));
}

static void explain_tells_the_same_numbers(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "explain", "net.cvm", "--json", NULL);
    cJSON *whole = cJSON_Parse(result.out), *step = cJSON_GetObjectItem(whole, "step");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(step, "training")));
    assert_true(cvm_test_number(step, "pictures") == 32);
    assert_true(cvm_test_number(step, "arena_bytes") == arena_with("default"));
    cJSON_Delete(whole);
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 0, "a training step of 32 pictures takes", NULL, "explain", "net.cvm",
                    NULL);
}

static void training_under_a_limit_gives_the_same_bits(void **state) {
    (void)state;
    char limit[32];
    snprintf(limit, sizeof limit, "%.0f", (arena_with("+recompute") + arena_with("default")) / 2);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "net.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "net.cvm", "--memory", limit, "-o",
                    "limited.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "net.safetensors", "limited.safetensors"));
}

/* Nothing is trained, and the least is told. */
static void a_limit_that_cannot_be_met_is_an_error(void **state) {
    (void)state;
    char least[64];
    snprintf(least, sizeof least, "Net needs %.1f MB beside its parameters",
             arena_with("+recompute") / 1e6);
    cvm_test_expect(&place, 1, NULL, least, "train", "net.cvm", "--memory", "100K", "-o",
                    "none.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "CVM1607", "bench", "net.cvm", "--train", "--memory=100K",
                    NULL);
    assert_false(cvm_test_exists(&place, "none.safetensors"));
    cvm_test_expect(&place, 2, NULL, "--memory", "train", "net.cvm", "--memory", "much", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recomputing_takes_less),
        cmocka_unit_test(explain_tells_the_same_numbers),
        cmocka_unit_test(training_under_a_limit_gives_the_same_bits),
        cmocka_unit_test(a_limit_that_cannot_be_met_is_an_error),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
