/* Texts of strangers made fit for terminals, CSV and JSON. */
#include "runtime/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NONE "\xEF\xBF\xBD"

static void expect_clean(const char *text, CvmTextUse use, const char *expected) {
    char *clean = cvm_clean_text(text, use);
    assert_string_equal(clean, expected);
    free(clean);
}

static void valid_text_stays(void **state) {
    (void)state;
    static const char *const texts[] = {
        "",
        "cat.jpg",
        "K\xC3\xA4tzchen",
        "\xE7\x8C\xAB",     /* a cat */
        "\xF0\x9F\x90\x88", /* another */
        "\xC2\xA0\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\xF4\x8F\xBF\xBF" /* at the borders */,
    };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        for (int use = CVM_TEXT_LINE; use <= CVM_TEXT_DATA; use++)
            expect_clean(texts[i], (CvmTextUse)use, texts[i]);
}

static void invalid_bytes_are_replaced(void **state) {
    (void)state;
    for (int use = CVM_TEXT_LINE; use <= CVM_TEXT_DATA; use++) {
        expect_clean("K\xE4tzchen", (CvmTextUse)use, "K" NONE "tzchen");        /* Latin-1 */
        expect_clean("a\xC0\xAF", (CvmTextUse)use, "a" NONE NONE);              /* overlong '/' */
        expect_clean("\xE0\x80\x80", (CvmTextUse)use, NONE NONE NONE);          /* overlong */
        expect_clean("\xED\xA0\x80", (CvmTextUse)use, NONE NONE NONE);          /* surrogate */
        expect_clean("\xF4\x90\x80\x80", (CvmTextUse)use, NONE NONE NONE NONE); /* too large */
        expect_clean("\xE7\x8C", (CvmTextUse)use, NONE NONE);                   /* cut off */
        expect_clean("\xF0\x9F\x90", (CvmTextUse)use, NONE NONE NONE);
        expect_clean("\xE7z", (CvmTextUse)use, NONE "z");
        expect_clean("\x80\xFF", (CvmTextUse)use, NONE NONE);
    }
}

static void control_characters_are_allowed_by_use(void **state) {
    (void)state;
    static const char text[] = "a\x1B[31m\tb\r\nc\x7F\xC2\x9B"
                               "d";
    expect_clean(text, CVM_TEXT_LINE, "a" NONE "[31m" NONE "b" NONE NONE "c" NONE NONE "d");
    expect_clean(text, CVM_TEXT_LINES, "a" NONE "[31m" NONE "b\r\nc" NONE NONE "d");
    expect_clean(text, CVM_TEXT_DATA, text);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_text_stays),
        cmocka_unit_test(invalid_bytes_are_replaced),
        cmocka_unit_test(control_characters_are_allowed_by_use),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
