/* cvmc ab, end to end: it answers, its settings are checked, and the sides' results are compared.
 * What is faster is not asked here: that would depend on the machine. */
#include "tests/support/json.h"
#include "tests/support/programs.h"
#include "tests/support/small_place.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

/* Precise to 100%: as few runs as there can be. */
static void two_pass_lists_are_compared(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "results agree", NULL, "ab", "small.cvm", "--a", "default", "--b",
                    "none", "--interval", "1000", "--time", "5", NULL);
    cvm_test_expect(&place, 0, "again: cvmc ab small.cvm --a 'default' --b 'none threads=1'", NULL,
                    "ab", "small.cvm", "--a", "default", "--b", "none threads=1", "--interval",
                    "1000", "--forward", NULL);
}

static void json_tells_of_both_sides_and_every_tensor(void **state) {
    (void)state;
    CvmTestResult result =
        cvm_test_cvmc(&place, "ab", "small.cvm", "--a", "default", "--b",
                      "-fuse-epilogue limit=cse=0", "--interval=1000", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *trial = cJSON_Parse(result.out);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(trial, "agrees")));
    const cJSON *differences = cJSON_GetObjectItem(trial, "differences");
    assert_true(cJSON_GetArraySize(differences) > 1); /* the loss, and gradients */
    const cJSON *kind = cJSON_GetObjectItem(cJSON_GetArrayItem(differences, 1), "kind");
    assert_string_equal(cJSON_GetStringValue(kind), "gradient");
    double low = cJSON_GetNumberValue(cJSON_GetObjectItem(trial, "low"));
    double high = cJSON_GetNumberValue(cJSON_GetObjectItem(trial, "high"));
    assert_true(0 < low && low <= high);
    cJSON_Delete(trial);
    cvm_test_result_free(&result);
}

static const char *computes(const cJSON *row, const char *side) {
    const cJSON *part = cJSON_GetObjectItem(row, side);
    return cJSON_GetStringValue(cJSON_GetObjectItem(part, "computes"));
}

/* The row of the layer whose A begins with the op. */
static const cJSON *find_row(const cJSON *rows, const char *layer, const char *op) {
    const cJSON *row;
    cJSON_ArrayForEach(row, rows) {
        const char *name = cJSON_GetStringValue(cJSON_GetObjectItem(row, "layer"));
        if (strcmp(name, layer) == 0 && strncmp(computes(row, "a"), op, strlen(op)) == 0)
            return row;
    }
    fail_msg("no row of %s with %s", layer, op);
    return NULL;
}

/* What A makes one kernel of stands beside the kernels that B makes of it; every kernel of a run is
 * in one row. */
static void kernels_are_lined_up(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "ab", "small.cvm", "--a", "default", "--b", "none",
                                         "--interval=1000", "--json", "--forward", NULL);
    assert_int_equal(result.code, 0);
    cJSON *trial = cJSON_Parse(result.out);
    const cJSON *rows = cJSON_GetObjectItem(trial, "rows");
    const cJSON *conv = find_row(rows, "body.conv1", "conv");
    assert_string_equal(computes(conv, "a"), "conv+bias+relu");
    assert_string_equal(computes(conv, "b"), "conv, bias, relu");
    assert_string_equal(computes(find_row(rows, "head.linear1", "linear"), "b"), "linear, bias");
    for (int side = 0; side < 2; side++) {
        const char *name = side ? "b" : "a";
        int kernels = 0;
        const cJSON *row;
        cJSON_ArrayForEach(row, rows) kernels +=
            cJSON_GetArraySize(cJSON_GetObjectItem(cJSON_GetObjectItem(row, name), "kernels"));
        const cJSON *object = cJSON_GetObjectItem(trial, name);
        assert_int_equal(kernels, (int)cvm_test_number(object, "kernels"));
        assert_true(cvm_test_number(object, "code_bytes") > 100);
        assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(object, "run_seconds")),
                         (int)cvm_test_number(trial, "pairs"));
    }
    cJSON_Delete(trial);
    cvm_test_result_free(&result);
}

static void rows_are_sorted_and_judged(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "ab", "small.cvm", "--a", "default", "--b",
                                         "-fuse-epilogue", "--interval=1000", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *trial = cJSON_Parse(result.out);
    double last = HUGE_VAL;
    const cJSON *row;
    cJSON_ArrayForEach(row, cJSON_GetObjectItem(trial, "rows")) {
        double a = cvm_test_number(cJSON_GetObjectItem(row, "a"), "median_seconds");
        double b = cvm_test_number(cJSON_GetObjectItem(row, "b"), "median_seconds");
        assert_true(fabs(a - b) <= last);
        last = fabs(a - b);
        const char *verdict = cJSON_GetStringValue(cJSON_GetObjectItem(row, "verdict"));
        if (cJSON_HasObjectItem(row, "ratio") && cvm_test_number(row, "low") <= 1 &&
            cvm_test_number(row, "high") >= 1)
            assert_string_equal(verdict, "no difference seen");
    }
    cJSON_Delete(trial);
    cvm_test_result_free(&result);
}

static void the_page_needs_nothing_else(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "results agree", NULL, "ab", "small.cvm", "--a", "default", "--b",
                    "none", "--interval=1000", "--html", "page.html", NULL);
    size_t size;
    char *page = cvm_test_read(&place, "page.html", &size);
    static const char *const wanted[] = {"</html>", "<svg", "+<wbr>bias+<wbr>relu",
                                         "body.conv1.weight",
                                         "cvmc ab small.cvm --a 'default' --b 'none'"};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        assert_non_null(strstr(page, wanted[i]));
    static const char *const unwanted[] = {"src=", "<link", "<script", "url(", "@import"};
    for (size_t i = 0; i < sizeof unwanted / sizeof *unwanted; i++)
        assert_null(strstr(page, unwanted[i]));
    free(page);
    cvm_test_expect(&place, 3, NULL, "the page can't be written to nowhere/page.html", "ab",
                    "small.cvm", "--a", "none", "--b", "none", "--forward", "--html",
                    "nowhere/page.html", NULL); /* at once, not after the trial's 20 seconds */
    cvm_test_expect(&place, 2, NULL, "--html shows one trial", "ab", "small.cvm", "--each",
                    "--html", "page.html", NULL);
}

static void other_batches_and_modes_race_without_a_comparison(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "results not compared", NULL, "ab", "small.cvm", "--a",
                    "mode=forward batch=1", "--b", "mode=forward batch=4", "--interval", "1000",
                    "--time", "2", NULL);
    CvmTestResult result = cvm_test_cvmc(&place, "ab", "small.cvm", "--a", "batch=1", "--b",
                                         "batch=4", "--forward", "--interval=1000", "--json", NULL);
    assert_int_equal(result.code, 0);
    cJSON *trial = cJSON_Parse(result.out);
    double each = cvm_test_number(cJSON_GetObjectItem(trial, "for_each_picture"), "ratio");
    assert_true(fabs(each - cvm_test_number(trial, "ratio") / 4) < 1e-9 * each);
    cJSON_Delete(trial);
    cvm_test_result_free(&result);
}

/* What bfloat16 rounds is within a tolerance that says so. */
static void the_tolerance_can_be_chosen(void **state) {
    (void)state;
    cvm_test_expect(&place, 1, "results DIFFER: 1 tensor\n", NULL, "ab", "small.cvm", "--a", "",
                    "--b", "precision=bf16", "--forward", "--interval=1000", "--tolerance=1e-9",
                    NULL);
    cvm_test_expect(&place, 0, " --tolerance 0.1 ", NULL, "ab", "small.cvm", "--a", "", "--b",
                    "precision=bf16", "--forward", "--interval=1000", "--tolerance=0.1", NULL);
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
                    "default", "--interval", "1000", "--time", "5", NULL);
}

static void each_pass_is_left_out_in_turn(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "ab", "small.cvm", "--each", "--interval", "1000",
                                         "--time", "1", "--forward", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "fuse-epilogue"));
    assert_non_null(strstr(result.out, "changes nothing here"));
    cvm_test_result_free(&result);
}

static void settings_are_checked(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "--each alone", "ab", "small.cvm", "--a", "none", NULL);
    cvm_test_expect(&place, 2, NULL, "--each alone", "ab", "small.cvm", "--each", "--a", "none",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "is no setting", "ab", "small.cvm", "--a", "none", "--b",
                    "speed=5", NULL);
    cvm_test_expect(&place, 2, NULL, "'tread=5' is no setting; did you mean 'threads='?", "ab",
                    "small.cvm", "--a", "none", "--b", "tread=5", NULL);
    static const char *const wrong[][2] = {
        {"threads=0", "write threads=N, N being a number from 1 on"},
        {"batch=x", "write batch=N"},
        {"batch=99999999999", "write batch=N"},
        {"mode=fast", "write mode=forward|train"},
        {"tune=maybe", "write tune=on|off"},
        {"limit=cse", "as in fuse-epilogue=3"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        cvm_test_expect(&place, 2, NULL, wrong[i][1], "ab", "small.cvm", "--a", "none", "--b",
                        wrong[i][0], NULL);
    cvm_test_expect(&place, 2, NULL, "there is no pass 'cs'", "ab", "small.cvm", "--a", "none",
                    "--b", "-cs", NULL);
    cvm_test_expect(&place, 2, NULL, "direct", "ab", "small.cvm", "--a", "none", "--b", "conv=fast",
                    NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_pass_lists_are_compared),
        cmocka_unit_test(json_tells_of_both_sides_and_every_tensor),
        cmocka_unit_test(kernels_are_lined_up),
        cmocka_unit_test(rows_are_sorted_and_judged),
        cmocka_unit_test(the_page_needs_nothing_else),
        cmocka_unit_test(other_batches_and_modes_race_without_a_comparison),
        cmocka_unit_test(the_tolerance_can_be_chosen),
        cmocka_unit_test(data_need_not_be_there),
        cmocka_unit_test(each_pass_is_left_out_in_turn),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
