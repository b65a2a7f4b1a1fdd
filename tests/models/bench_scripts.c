/* The scripts of tests/bench: what they say of themselves and of a mistaken command line, before
 * anything is measured. */
#include "tests/support/command.h"

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
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* The script with these arguments ends with this code and says what is wanted. */
static void expect(const char *call, int code, const char *wanted) {
    char line[1024];
    snprintf(line, sizeof line,
             "code=0; timeout 20 \"$CVM_SOURCE_DIR\"/tests/bench/%s 2>&1 </dev/null || code=$?; "
             "test $code = %d",
             call, code);
    char *text = cvm_test_shell(&place, line);
    if (!strstr(text, wanted))
        fail_msg("%s", text);
    free(text);
}

static void scripts_tell_how_they_are_used(void **state) {
    (void)state;
    expect("compare --help", 0, "tests/bench/compare [WORK...]");
    expect("aa --help", 0, "tests/bench/aa [TRIALS [FILE [SECONDS]]]");
    expect("spills --help", 0, "multiply-adds that a loop must have");
    expect("fusion --help", 0, "What the passes are worth");
}

static void mistaken_command_lines_are_refused(void **state) {
    (void)state;
    expect("compare --no-such-option", 2, "no option --no-such-option");
    expect("compare lenet5 no-such-work", 2, "'no-such-work'");
    expect("aa ten", 2, "TRIALS");
    expect("spills ten", 2, "invalid int value: 'ten'");
    expect("fusion", 2, "required: file");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scripts_tell_how_they_are_used),
        cmocka_unit_test(mistaken_command_lines_are_refused),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
