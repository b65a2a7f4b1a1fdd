/* Many pictures by one command: batches, lists, folders, and names that are hard to print. */
#include "tests/support/command.h"
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

enum { COUNT = 21 };

static CvmTestPlace place;

/* many/00.png … and a list of them, the eleventh of which is missing. */
static int set_up(void **state) {
    (void)state;
    char list[COUNT * 16] = "", *end = list;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 160, 48);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "2", NULL);
    cvm_test_write_text(&place, "many/notes.txt", "no picture"); /* makes the folder */
    cvm_test_write_text(&place, "odd/notes.txt", "nor this");
    for (int i = 0; i < COUNT; i++) {
        char path[32];
        snprintf(path, sizeof path, "many/%02d.png", i);
        cvm_test_write_pattern_png(&place, path, i % CVM_PATTERN_CLASSES, (uint32_t)(9000 + i));
        end += sprintf(end, "%s\n%s", path, i % 3 ? "" : "\r\n");
    }
    cvm_test_remove(&place, "many/11.png");
    cvm_test_write_text(&place, "list.txt", list);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static char *predict(const char *batch, const char *threads, const char *form, int code) {
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint", "small.safetensors",
                      "--batch", batch, "--threads", threads, form, "--list", "list.txt", NULL);
    if (result.code != code)
        fail_msg("exit code %d: %s", result.code, result.err);
    free(result.err);
    return result.out;
}

static void batches_and_threads_change_no_answer(void **state) {
    (void)state;
    static const char *const batches[] = {"1", "2", "8", "20", "64"};
    char *first = predict("8", "1", "--csv", 1);
    for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
        char *out = predict(batches[b], b % 2 ? "1" : "3", "--csv", 1);
        assert_string_equal(out, first);
        free(out);
    }
    int lines = 0;
    for (const char *c = first; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, COUNT); /* headings, and all but one */
    free(first);
}

static void json_has_one_object_a_line(void **state) {
    (void)state;
    char *out = predict("4", "2", "--json", 1), *line = out;
    for (int i = 0; i < COUNT; i++) {
        char name[32];
        const char *end = NULL;
        cJSON *object = cJSON_ParseWithOpts(line, &end, false);
        assert_true(object && *end == '\n');
        snprintf(name, sizeof name, "many/%02d.png", i);
        assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(object, "file")), name);
        assert_int_equal(cJSON_HasObjectItem(object, "error"), i == 11);
        assert_int_equal(cJSON_HasObjectItem(object, "classes"), i != 11);
        cJSON_Delete(object);
        line += strcspn(line, "\n") + 1;
    }
    assert_int_equal(*line, 0);
    free(out);
}

static void a_list_comes_from_a_file_or_stdin(void **state) {
    (void)state;
    size_t size;
    char *list = cvm_test_read(&place, "list.txt", &size),
         *from_file = predict("8", "2", "--csv", 1);
    cvm_test_write(&place, "stdin", list, size);
    CvmTestResult result = cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint",
                                         "small.safetensors", "--csv", "--list", "-", NULL);
    assert_string_equal(result.out, from_file);
    assert_int_equal(result.code, 1);
    cvm_test_result_free(&result);
    /* a folder in a list, pictures before it, a last line without an end, and an empty list */
    cvm_test_write_text(&place, "stdin", "many");
    cvm_test_expect(&place, 0, "many/20.png", "", "predict", "small.cvm", "--checkpoint",
                    "small.safetensors", "--list", "-", "many/02.png", NULL);
    cvm_test_write_text(&place, "stdin", "");
    cvm_test_expect(&place, 0, "", "", "predict", "small.cvm", "--checkpoint", "small.safetensors",
                    "--list", "-", NULL);
    cvm_test_remove(&place, "stdin");
    cvm_test_expect(&place, 3, NULL, "cannot read the list none.txt: No such file", "predict",
                    "small.cvm", "--checkpoint", "small.safetensors", "--list", "none.txt", NULL);
    cvm_test_expect(&place, 1, NULL, "many is a folder", "predict", "small.cvm", "--checkpoint",
                    "small.safetensors", "--list", "many", NULL);
    cvm_test_expect(&place, 2, NULL, "name pictures or folders", "predict", "small.cvm",
                    "--checkpoint", "small.safetensors", NULL);
    free(list);
    free(from_file);
}

static void names_are_made_fit_for_what_reads_them(void **state) {
    (void)state;
    static const char odd[] = "odd/\x1B[31m\xE9\n,\"x\".png";
    cvm_test_write_pattern_png(&place, odd, 3, 6000);
    static const struct {
        const char *form, *out;
    } cases[] = {
        {"--logits", "odd/\xEF\xBF\xBD[31m\xEF\xBF\xBD\xEF\xBF\xBD,\"x\".png\n"},
        {"--csv", "\"odd/\xEF\xBF\xBD[31m\xEF\xBF\xBD\n,\"\"x\"\".png\",ring,"},
        {"--json", "\"odd/\\u001b[31m\xEF\xBF\xBD\\n,\\\"x\\\".png\""},
    };
    for (int i = 0; i < 3; i++)
        cvm_test_expect(&place, 0, cases[i].out, "", "predict", "small.cvm", "--checkpoint",
                        "small.safetensors", cases[i].form, odd, NULL);
    cvm_test_write_text(&place, odd, "no picture");
    cvm_test_expect(&place, 1, "x\\\".png is neither", "x\".png is neither", "predict", "small.cvm",
                    "--checkpoint", "small.safetensors", "--json", "odd", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batches_and_threads_change_no_answer),
        cmocka_unit_test(json_has_one_object_a_line),
        cmocka_unit_test(a_list_comes_from_a_file_or_stdin),
        cmocka_unit_test(names_are_made_fit_for_what_reads_them),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
