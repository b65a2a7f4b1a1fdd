/* cvmc ab, end to end: it answers, its settings are checked, and the sides' results are compared.
 * What is faster is not asked here: that would depend on the machine. */
#include "tests/support/command.h"
#include "tests/support/programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static CvmTestPlace place;

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* Precise to 100%: as few runs as there can be. */
static void two_pass_lists_are_compared(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "results agree", NULL, "ab", "small.cvm", "--a", "default", "--b",
                    "none", "--precision", "1000", "--time", "5", NULL);
    cvm_test_expect(&place, 0, "again: cvmc ab small.cvm --a 'default' --b 'none threads=1'", NULL,
                    "ab", "small.cvm", "--a", "default", "--b", "none threads=1", "--precision",
                    "1000", "--forward", NULL);
}

static void json_tells_of_both_sides_and_every_tensor(void **state) {
    (void)state;
    CvmTestResult result =
        cvm_test_cvmc(&place, "ab", "small.cvm", "--a", "default", "--b",
                      "-fuse-epilogue limit=cse=0", "--precision=1000", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *trial = cJSON_Parse(result.out);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(trial, "agrees")));
    const cJSON *differences = cJSON_GetObjectItem(trial, "differences");
    assert_true(cJSON_GetArraySize(differences) > 1); /* the loss, and gradients */
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(differences, 1), "gradient")));
    double low = cJSON_GetNumberValue(cJSON_GetObjectItem(trial, "low"));
    double high = cJSON_GetNumberValue(cJSON_GetObjectItem(trial, "high"));
    assert_true(0 < low && low <= high);
    cJSON_Delete(trial);
    cvm_test_result_free(&result);
}

static void other_batches_and_modes_race_without_a_comparison(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "results not compared", NULL, "ab", "small.cvm", "--a",
                    "mode=forward batch=1", "--b", "mode=forward batch=4", "--precision", "1000",
                    "--time", "2", NULL);
}

/* A folder of pictures tells its classes only when it is read, and a trial reads no data. */
static void data_need_not_be_there(void **state) {
    (void)state;
    cvm_test_write_text(&place, "folder.cvm",
                        "data patterns {\n"
                        "    folder \"nowhere\"\n"
                        "    image [1, 28, 28]\n"
                        "    train folder(\"train\")\n"
                        "    test  folder(\"test\")\n"
                        "}\n" CVM_TEST_MODEL CVM_TEST_TRAIN(""));
    cvm_test_expect(&place, 0, "results agree", NULL, "ab", "folder.cvm", "--a", "default", "--b",
                    "default", "--precision", "1000", "--time", "5", NULL);
}

static void each_pass_is_left_out_in_turn(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "fuse-epilogue", NULL, "ab", "small.cvm", "--each", "--precision",
                    "1000", "--time", "1", "--forward", NULL);
}

static void settings_are_checked(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--each alone", "ab", "small.cvm", "--a", "none", NULL);
    cvm_test_expect(&place, 2, NULL, "--each alone", "ab", "small.cvm", "--each", "--a", "none",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "is no setting", "ab", "small.cvm", "--a", "none", "--b",
                    "speed=5", NULL);
    cvm_test_expect(&place, 2, NULL, "is no setting", "ab", "small.cvm", "--a", "none", "--b",
                    "threads=0", NULL);
    cvm_test_expect(&place, 2, NULL, "there is no pass 'cs'", "ab", "small.cvm", "--a", "none",
                    "--b", "-cs", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_pass_lists_are_compared),
        cmocka_unit_test(json_tells_of_both_sides_and_every_tensor),
        cmocka_unit_test(other_batches_and_modes_race_without_a_comparison),
        cmocka_unit_test(data_need_not_be_there),
        cmocka_unit_test(each_pass_is_left_out_in_turn),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
