/* cvmc bisect, end to end, with commands that fail from some pass or application on. */
#include "tests/support/small_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* It counts the fused nodes of the forward graph: from the third on, all is bad. */
static void an_application_is_found(void **state) {
    (void)state;
    cvm_test_write_text(&place, "check.sh",
                        "fused=$($CVMC explain small.cvm --fusion --forward | grep -c ' fused ')\n"
                        "echo $fused\n"
                        "test $fused -lt 3\n");
    cvm_test_expect(&place, 0, "the first bad pass is fuse-epilogue, in its application 3 of", NULL,
                    "bisect", "small.cvm", "--bad", "sh check.sh", NULL);
    assert_true(cvm_test_exists(&place, "small-bisect/01.out"));
    cvm_test_expect(&place, 3, NULL, "cannot make the folder small-bisect", "bisect", "small.cvm",
                    "--bad", "sh check.sh", NULL);
}

static void options_are_put_into_the_text(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "CVM_PASS_LIMIT=cse=0", NULL, "bisect", "small.cvm", "-o", "texts",
                    "--passes", "dead-code,cse,fuse-epilogue", "--bad",
                    "echo {} | grep -v -q fuse-epilogue", "--pass-limit", "cse=0", NULL);
}

static void commands_that_tell_nothing_end_the_search(void **state) {
    (void)state;
    cvm_test_expect(&place, 1, NULL, "fails without any pass", "bisect", "small.cvm", "-o", "one",
                    "--bad", "false", NULL);
    cvm_test_expect(&place, 1, NULL, "does not fail", "bisect", "small.cvm", "-o", "two", "--bad",
                    "true", NULL);
    cvm_test_expect(&place, 1, NULL, "neither good nor bad", "bisect", "small.cvm", "-o", "three",
                    "--bad", "exit 125", NULL);
    cvm_test_expect(&place, 1, NULL, "neither good nor bad", "bisect", "small.cvm", "-o", "none",
                    "--bad", "./no-such-command", NULL);
    cvm_test_expect(&place, 1, NULL, "neither good nor bad", "bisect", "small.cvm", "-o", "four",
                    "--bad", "kill -INT $$", NULL);
    cvm_test_expect(&place, 2, NULL, "--tolerance is for", "bisect", "small.cvm", "--bad", "true",
                    "--tolerance", "1", NULL);
}

/* The line behind `word` in a text, in malloc'ed memory. */
static char *line_of(const char *text, const char *word) {
    const char *line = strstr(text, word);
    assert_non_null(line);
    line += strlen(word);
    return strndup(line, strcspn(line, "\n"));
}

/* The two commands that are printed can be run as they stand, and differ. */
static void printed_commands_do_what_they_say(void **state) {
    (void)state;
    CvmTestResult result =
        cvm_test_cvmc(&place, "bisect", "small.cvm", "-o", "printed", "--forward", "--bad",
                      "echo {} | grep -v -q 'layout' # it's", NULL);
    assert_int_equal(result.code, 0);
    for (int bad = 0; bad < 2; bad++) {
        char *command = line_of(result.out, bad ? "\nbad : " : "\ngood: ");
        assert_int_equal(system(command) != 0, bad);
        free(command);
    }
    cvm_test_result_free(&result);
    result =
        cvm_test_cvmc(&place, "bisect", "small.cvm", "-o", "compared", "--tolerance", "0", NULL);
    assert_int_equal(result.code, 0);
    char *command = line_of(result.out, "\nbad : ");
    assert_non_null(strstr(command, " --tolerance 0"));
    free(command);
    cvm_test_result_free(&result);
}

/* A command that dies of what compiled code may die of fails. */
static void a_crash_is_bad(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "the first bad pass is layout", NULL, "bisect", "small.cvm", "-o",
                    "crash", "--forward", "--bad",
                    "case $CVM_PASSES in *layout*) kill -SEGV $$;; esac", NULL);
    cvm_test_expect(&place, 0, "the first bad pass is layout", NULL, "bisect", "small.cvm", "-o",
                    "inner", "--forward", "--bad",
                    "case $CVM_PASSES in *layout*) sh -c 'kill -ABRT $$';; esac", NULL);
}

/* Sums in another order have other last bits: at no tolerance at all that is a difference. */
static void a_pass_that_changes_results_is_found(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "the first bad pass is", NULL, "bisect", "small.cvm", "-o", "bits",
                    "--tolerance", "0", NULL);
    cvm_test_expect(&place, 1, NULL, "change no result by more than the tolerance", "bisect",
                    "small.cvm", "-o", "same", "--forward", NULL);
    size_t size;
    char *printed = cvm_test_read(&place, "bits/02.out", &size);
    assert_non_null(strstr(printed, "DIFFERS"));
    free(printed);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_is_found),
        cmocka_unit_test(options_are_put_into_the_text),
        cmocka_unit_test(commands_that_tell_nothing_end_the_search),
        cmocka_unit_test(printed_commands_do_what_they_say),
        cmocka_unit_test(a_crash_is_bad),
        cmocka_unit_test(a_pass_that_changes_results_is_found),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
