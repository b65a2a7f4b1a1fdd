/* cvmc fmt as people and programs call it: in place, to stdout, from stdin, as a check; what it
 * refuses, and what it leaves as it was. */
#include "tests/support/programs.h"
#include "tests/support/small_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

#define UNFORMATTED "# a net\r\nmodel M{\r\n  input image:[1,8,8]  flatten linear( 2 ) # two\r\n}"
#define FORMATTED "# a net\nmodel M {\n    input image: [1, 8, 8]  flatten linear(2)  # two\n}\n"
#define WRONG "model M {\n    input image: [1, 8, 8\n    flatten linear(2)\n}\n"

static void expect_file(const char *path, const char *text) {
    size_t size;
    char *bytes = cvm_test_read(&place, path, &size);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

static void expect_output(CvmTestResult result, int code, const char *out) {
    assert_string_equal(result.out, out);
    assert_int_equal(result.code, code);
    cvm_test_result_free(&result);
}

static void files_are_formatted_in_place_and_named(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    cvm_test_write_text(&place, "b.cvm", FORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "a.cvm", "b.cvm", NULL), 0, "a.cvm: formatted\n");
    expect_file("a.cvm", FORMATTED);
    expect_file("b.cvm", FORMATTED);
    cvm_test_expect(&place, 0, "", "as it was", "fmt", "a.cvm", "-v", NULL);
}

static void unchanged_files_are_not_written(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", FORMATTED);
    free(cvm_test_shell(&place, "touch -d 2001-01-01 a.cvm; ln -s a.cvm link.cvm"));
    expect_output(cvm_test_cvmc(&place, "fmt", "a.cvm", "link.cvm", NULL), 0, "");
    char *year = cvm_test_shell(&place, "date -r a.cvm +%Y");
    assert_string_equal(year, "2001\n");
    free(year);
    cvm_test_remove(&place, "link.cvm");
}

static void links_and_permissions_stay(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    free(cvm_test_shell(&place, "chmod 750 a.cvm; ln -s a.cvm link.cvm"));
    cvm_test_expect(&place, 0, "link.cvm: formatted", NULL, "fmt", "link.cvm", NULL);
    char *status = cvm_test_shell(&place, "stat -c '%a %F' a.cvm link.cvm");
    assert_string_equal(status, "750 regular file\n777 symbolic link\n");
    free(status);
    expect_file("a.cvm", FORMATTED);
    cvm_test_remove(&place, "link.cvm");
}

static void text_goes_from_stdin_to_stdout(void **state) {
    (void)state;
    cvm_test_write_text(&place, "stdin", UNFORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "-", NULL), 0, FORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "--check", "-", NULL), 1, "<stdin>\n");
    cvm_test_write_text(&place, "stdin", WRONG);
    cvm_test_expect(&place, 1, "", "<stdin>:3:5: error CVM1001", "fmt", "-", NULL);
    cvm_test_remove(&place, "stdin");
}

static void stdout_leaves_the_file(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "--stdout", "a.cvm", NULL), 0, FORMATTED);
    expect_file("a.cvm", UNFORMATTED);
}

static void check_names_what_is_not_formatted(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    cvm_test_write_text(&place, "b.cvm", FORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "--check", "a.cvm", "b.cvm", NULL), 1, "a.cvm\n");
    expect_output(cvm_test_cvmc(&place, "fmt", "--check", "b.cvm", NULL), 0, "");
    expect_file("a.cvm", UNFORMATTED);
}

static void diff_shows_what_would_change(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", "block b {\n  relu\n}\n");
    expect_output(cvm_test_cvmc(&place, "fmt", "--diff", "a.cvm", NULL), 0,
                  "--- a.cvm\n+++ a.cvm\n@@ -1,3 +1,3 @@\n block b {\n-  relu\n+    relu\n }\n");
    cvm_test_expect(&place, 1, "+    relu", NULL, "fmt", "--diff", "--check", "a.cvm", NULL);
    expect_file("a.cvm", "block b {\n  relu\n}\n");
    cvm_test_write_text(&place, "a.cvm", FORMATTED);
    expect_output(cvm_test_cvmc(&place, "fmt", "--diff", "--check", "a.cvm", NULL), 0, "");
}

static void answers_are_json_too(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    cvm_test_write_text(&place, "wrong.cvm", WRONG);
    CvmTestResult result = cvm_test_cvmc(&place, "fmt", "--json", "a.cvm", "wrong.cvm", NULL);
    assert_int_equal(result.code, 1);
    assert_string_equal(result.err, "");
    cJSON *files = cJSON_Parse(result.out);
    assert_int_equal(cJSON_GetArraySize(files), 2);
    const cJSON *first = cJSON_GetArrayItem(files, 0), *second = cJSON_GetArrayItem(files, 1);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(first, "file")), "a.cvm");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(first, "ok")));
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(first, "changed")));
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(second, "ok")));
    assert_true(cJSON_GetArraySize(cJSON_GetObjectItem(second, "diagnostics")) > 0);
    cJSON_Delete(files);
    cvm_test_result_free(&result);
    expect_file("a.cvm", FORMATTED);
}

/* One file's mistake is no reason to leave the others. */
static void bad_files_are_told_and_left(void **state) {
    (void)state;
    cvm_test_write_text(&place, "wrong.cvm", WRONG);
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    cvm_test_expect(&place, 1, "a.cvm: formatted", "wrong.cvm:3:5: error CVM1001", "fmt",
                    "wrong.cvm", "a.cvm", NULL);
    expect_file("wrong.cvm", WRONG);
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    cvm_test_expect(&place, 3, "a.cvm: formatted", "cannot read none.cvm", "fmt", "none.cvm",
                    "a.cvm", NULL);
    cvm_test_expect(&place, 3, "", "it is a folder", "fmt", ".", NULL);
    cvm_test_write(&place, "zero.cvm", "model\0", 6);
    cvm_test_expect(&place, 1, "", "CVM1002", "fmt", "zero.cvm", NULL);
}

/* A limit on the size of files stands for a full disk. */
static void what_cannot_be_written_stays(void **state) {
    (void)state;
    cvm_test_write_text(&place, "a.cvm", UNFORMATTED);
    int entries = cvm_test_entry_count(&place, ".");
    free(cvm_test_shell(&place,
                        "(ulimit -f 0; trap '' XFSZ; \"$CVMC\" fmt a.cvm) > /dev/null 2>&1; "
                        "test $? = 3"));
    expect_file("a.cvm", UNFORMATTED);
    assert_int_equal(cvm_test_entry_count(&place, "."), entries);
    free(cvm_test_shell(&place, "\"$CVMC\" fmt --stdout a.cvm > /dev/full 2>err.txt; test $? = 3"));
}

static void options_that_do_not_fit_are_refused(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, "", "either --stdout or", "fmt", "--check", "--stdout", "small.cvm",
                    NULL);
    cvm_test_expect(&place, 2, "", "--json goes with", "fmt", "--json", "-", NULL);
    cvm_test_expect(&place, 2, "", "usage: cvmc fmt FILE", "fmt", NULL);
}

/* What the compiler makes of the file is the same, but for the places it speaks of. */
static void the_formatted_file_compiles_to_the_same_graph(void **state) {
    (void)state;
    free(cvm_test_shell(&place, "sed 's/  */ /g' small.cvm > a.cvm; cp a.cvm b.cvm"));
    cvm_test_expect(&place, 0, "b.cvm: formatted", NULL, "fmt", "b.cvm", NULL);
    free(cvm_test_shell(&place, "for f in a b; do \"$CVMC\" dump $f.cvm --stage graph > $f.graph; "
                                "done; cmp a.graph b.graph; ! cmp -s a.cvm b.cvm"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_are_formatted_in_place_and_named),
        cmocka_unit_test(unchanged_files_are_not_written),
        cmocka_unit_test(links_and_permissions_stay),
        cmocka_unit_test(text_goes_from_stdin_to_stdout),
        cmocka_unit_test(stdout_leaves_the_file),
        cmocka_unit_test(check_names_what_is_not_formatted),
        cmocka_unit_test(diff_shows_what_would_change),
        cmocka_unit_test(answers_are_json_too),
        cmocka_unit_test(bad_files_are_told_and_left),
        cmocka_unit_test(what_cannot_be_written_stays),
        cmocka_unit_test(options_that_do_not_fit_are_refused),
        cmocka_unit_test(the_formatted_file_compiles_to_the_same_graph),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
