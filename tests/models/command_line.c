/* The command line itself: help, versions, unknown names, options that don't fit, and their exit
 * codes. Nothing here compiles anything. */
#include "tests/support/programs.h"
#include "tests/support/small_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static const char *const commands[] = {"check",   "fmt",     "run",     "train", "eval",
                                       "predict", "samples", "explain", "bench", "dump",
                                       "passes",  "ab",      "bisect",  "verify"};
enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void help_lists_every_command_and_exits_with_0(void **state) {
    (void)state;
    for (int i = 0; i < COMMAND_COUNT; i++) {
        cvm_test_expect(&place, 0, commands[i], NULL, "help", NULL);
        cvm_test_expect(&place, 0, "examples:", NULL, commands[i], "--help", NULL);
        cvm_test_expect(&place, 0, "usage: cvmc", NULL, "help", commands[i], NULL);
    }
    cvm_test_expect(&place, 0, "usage: cvmc", NULL, "--help", NULL);
    cvm_test_expect(&place, 0, "cvmc ", NULL, "--version", NULL);
    cvm_test_expect(&place, 0, "cvmc ", NULL, "version", NULL);
}

static void mistakes_on_the_command_line_exit_with_2_and_offer_the_nearest_name(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "usage: cvmc", NULL);
    cvm_test_expect(&place, 2, NULL, "did you mean 'check'?", "chekc", NULL);
    cvm_test_expect(&place, 2, NULL, "did you mean --epochs?", "train", "small.cvm", "--epoch", "3",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "has no option --resume", "eval", "small.cvm", "--resume",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "has no option -x", "check", "-x", NULL);
    cvm_test_expect(&place, 2, NULL, "usage: cvmc check FILE", "check", NULL);
    cvm_test_expect(&place, 2, NULL, "usage: cvmc explain FILE", "explain", "a.cvm", "b.cvm", NULL);
}

static void option_values_are_checked(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--epochs needs a value", "train", "small.cvm", "--epochs",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "'0' is none", "train", "small.cvm", "--epochs", "0", NULL);
    cvm_test_expect(&place, 2, NULL, "'3x' is none", "train", "small.cvm", "--epochs=3x", NULL);
    cvm_test_expect(&place, 2, NULL, "'-1' is none", "train", "small.cvm", "--seed", "-1", NULL);
    cvm_test_expect(&place, 2, NULL, "is none", "train", "small.cvm", "--seed",
                    "99999999999999999999999", NULL);
    cvm_test_expect(&place, 2, NULL, "given twice", "train", "small.cvm", "--seed=1", "--seed=2",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "takes no value", "check", "--json=yes", "small.cvm", NULL);
}

static void commands_say_what_they_lack(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--checkpoint PATH", "eval", "small.cvm", NULL);
    cvm_test_expect(&place, 2, NULL, "--checkpoint PATH", "predict", "small.cvm", "x.png", NULL);
    cvm_test_expect(&place, 2, NULL, "--checkpoint PATH", "samples", "small.cvm", NULL);
    cvm_test_expect(&place, 2, NULL, "--stage STAGE", "dump", "small.cvm", NULL);
    cvm_test_expect(&place, 2, NULL, "did you mean 'graph'?", "dump", "small.cvm", "--stage",
                    "grap", NULL);
    cvm_test_expect(&place, 2, NULL, "--dot", "dump", "small.cvm", "--stage", "plan", "--dot",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "not both", "explain", "small.cvm", "--train", "Small",
                    "--model", "Small", NULL);
    cvm_test_expect(&place, 2, NULL, "nothing is trained", "run", "small.cvm", "--checkpoint", "a",
                    "-o", "b", NULL);
    cvm_test_expect(&place, 2, NULL, "give one", "train", "small.cvm", "--checkpoint", "a", "-o",
                    "b", NULL);
}

static void a_train_or_model_is_chosen_by_name(void **state) {
    (void)state;
    cvm_test_write_text(&place, "two.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "") "train Small on patterns as slow {\n"
                                "    loss cross_entropy optimizer sgd(rate=0.001)\n"
                                "    epochs 1 batch 8 seed 1\n"
                                "}\n");
    cvm_test_expect(&place, 2, NULL, "several trains (Small, slow)", "explain", "two.cvm", NULL);
    cvm_test_expect(&place, 2, NULL, "no train 'fast'; it has Small, slow", "explain", "two.cvm",
                    "--train", "fast", NULL);
    cvm_test_expect(&place, 0, "parameters", NULL, "explain", "two.cvm", "--train", "slow", NULL);
    cvm_test_expect(&place, 0, "parameters", NULL, "explain", "two.cvm", "--model", "Small", NULL);
    cvm_test_expect(&place, 2, NULL, "no model 'Smal'", "explain", "two.cvm", "--model", "Smal",
                    NULL);
}

static void passes_are_listed_and_shown_at_work(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "fuse-epilogue   on", NULL, "passes", NULL);
    cvm_test_expect(&place, 0, "kernels that write", NULL, "passes", "small.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, "fuse-epilogue: fused", "passes", "small.cvm", "-v", NULL);
}

static void pass_limits_are_checked(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "CVM1171", "passes", "small.cvm", "--pass-limit", "cse", NULL);
    cvm_test_expect(&place, 2, NULL, "did you mean 'cse'?", "passes", "small.cvm", "--pass-limit",
                    "csee=1", NULL);
    cvm_test_expect(
        &place, 0, "0 fused", NULL, "explain", "small.cvm", "--fusion",
        "--pass-limit=fuse-epilogue=0,fuse-bias-grad=0,fuse-pool=0,fuse-pointwise=0,fuse-loss=0",
        NULL);
}

static void precision_is_for_inference(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "use f32, bf16-weights or bf16", "explain", "small.cvm",
                    "--kernels", "--precision", "half", NULL);
    cvm_test_expect(&place, 1, NULL, "CVM1608", "explain", "small.cvm", "--kernels", "--precision",
                    "bf16", NULL);
    cvm_test_expect(&place, 0, "bf16 weights", NULL, "explain", "small.cvm", "--kernels",
                    "--forward", "--precision", "bf16-weights", NULL);
    cvm_test_expect(&place, 0, "convolutions compute in float32", NULL, "explain", "small.cvm",
                    "--kernels", "--forward", "--precision", "bf16", NULL);
    cvm_test_expect(&place, 0, " bf16[4, 16]", NULL, "dump", "small.cvm", "--stage", "fused",
                    "--forward", "--precision", "bf16", NULL);
}

static void explain_fusion_speaks_of_source_lines(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "small.cvm:", NULL, "explain", "small.cvm", "--fusion", NULL);
    cvm_test_expect(&place, 0, "second use at small.cvm:", NULL, "explain", "small.cvm", "--fusion",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "go with explain --fusion", "explain", "small.cvm",
                    "--forward", NULL);
    CvmTestResult result =
        cvm_test_cvmc(&place, "explain", "small.cvm", "--fusion", "--json", NULL);
    cJSON *remarks = cJSON_Parse(result.out);
    assert_true(cJSON_GetArraySize(remarks) > 0);
    const cJSON *first = cJSON_GetArrayItem(remarks, 0);
    assert_non_null(cJSON_GetObjectItem(cJSON_GetObjectItem(first, "node"), "place"));
    assert_non_null(cJSON_GetObjectItem(first, "outcome"));
    cJSON_Delete(remarks);
    cvm_test_result_free(&result);
}

static void explain_takes_inputs_of_any_name(void **state) {
    (void)state;
    cvm_test_write_text(&place, "named.cvm", "model M { input x: [1, 8, 8] flatten linear(3) }\n");
    cvm_test_expect(&place, 0, "inference of 1 picture takes", NULL, "explain", "named.cvm", NULL);
}

static void check_is_short_when_all_is_well(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "small.cvm: no mistakes\n", "", "check", "small.cvm", NULL);
    CvmTestResult result = cvm_test_cvmc(&place, "check", "small.cvm", NULL);
    assert_string_equal(result.err, "");
    cvm_test_result_free(&result);
}

static void check_goes_through_all_files_and_its_json_parses(void **state) {
    (void)state;
    cvm_test_write_text(&place, "wrong.cvm",
                        "model M { input image: [1, 8, 8] flaten linear(2) }\n");
    CvmTestResult result =
        cvm_test_cvmc(&place, "check", "--json", "wrong.cvm", "small.cvm", "missing.cvm", NULL);
    assert_int_equal(result.code, 3);
    cJSON *files = cJSON_Parse(result.out);
    assert_int_equal(cJSON_GetArraySize(files), 3);
    const cJSON *wrong = cJSON_GetArrayItem(files, 0), *small = cJSON_GetArrayItem(files, 1);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(wrong, "ok")));
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(wrong, "diagnostics")) > 0);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(small, "ok")));
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(small, "diagnostics")), 0);
    cJSON_Delete(files);
    cvm_test_result_free(&result);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_lists_every_command_and_exits_with_0),
        cmocka_unit_test(mistakes_on_the_command_line_exit_with_2_and_offer_the_nearest_name),
        cmocka_unit_test(option_values_are_checked),
        cmocka_unit_test(commands_say_what_they_lack),
        cmocka_unit_test(a_train_or_model_is_chosen_by_name),
        cmocka_unit_test(passes_are_listed_and_shown_at_work),
        cmocka_unit_test(pass_limits_are_checked),
        cmocka_unit_test(precision_is_for_inference),
        cmocka_unit_test(explain_fusion_speaks_of_source_lines),
        cmocka_unit_test(explain_takes_inputs_of_any_name),
        cmocka_unit_test(check_is_short_when_all_is_well),
        cmocka_unit_test(check_goes_through_all_files_and_its_json_parses),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
