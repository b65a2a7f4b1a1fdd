/* `cvmc build -g`: machine code leads back to the lines of the .cvm file, and is the same as
 * without. */
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
    cvm_test_write_text(&place, "lib/stage.cvm",
                        "block pair(n: int) {\n"
                        "    conv(n, kernel=3) relu\n"
                        "}\n"
                        "block stage(n: int) {\n"
                        "    pair(n)\n"
                        "    maxpool(2)\n"
                        "}\n");
    cvm_test_write_text(&place, "lib/net.cvm",
                        "import \"stage.cvm\"\n"
                        "model Net {\n"
                        "    input image: [1, 12, 12]\n"
                        "    stage(4)\n"
                        "    stage(8)\n"
                        "    flatten\n"
                        "    linear(3)\n"
                        "}\n");
    cvm_test_expect(&place, 0, NULL, NULL, "build", "lib/net.cvm", "-g", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static void expect(const char *commands, const char *wanted) {
    char *text = cvm_test_shell(&place, commands);
    if (!strstr(text, wanted))
        fail_msg("%s: %s", commands, text);
    free(text);
}

/* What addr2line says of an address some bytes into each kernel of that kind. */
#define LINES_OF(file, kind)                                                                       \
    "for at in $(nm " file " | grep ' t " kind "_' | cut -d' ' -f1); do "                          \
    "addr2line -fie " file " $(printf '0x%x' $((0x$at + 40))); done"

static void kernels_lead_to_their_lines(void **state) {
    (void)state;
    expect(LINES_OF("net.so", "linear"), "lib/net.cvm:7\n");
    expect(LINES_OF("net.so", "conv"), "pair\nlib/stage.cvm:2\nstage\nlib/stage.cvm:5\nconv_");
    expect(LINES_OF("net.so", "conv"), "lib/net.cvm:4\n");
    expect(LINES_OF("net.so", "conv"), "lib/net.cvm:5\n");
}

static void the_standard_library_is_named_as_such(void **state) {
    (void)state;
    cvm_test_write_text(&place, "std.cvm",
                        "import \"std/vgg.cvm\"\n"
                        "model Net { input image: [1, 8, 8]\n"
                        "    vgg_stage(4, 1) flatten linear(3) }\n");
    cvm_test_expect(&place, 0, NULL, NULL, "build", "std.cvm", "-g", NULL);
    expect(LINES_OF("std.so", "conv"), "vgg_stage\nstd/vgg.cvm:");
    /* a sanitizer puts paths of the runtime into the data; the lines are what counts */
    expect("! objdump --dwarf=info --dwarf=decodedline std.so | grep -F \"$CVM_SOURCE_DIR\" && "
           "echo nowhere",
           "nowhere");
}

static void it_changes_no_code(void **state) {
    (void)state;
    free(cvm_test_shell(&place, "mkdir -p plain && objcopy -O binary -j .text net.so text"));
    cvm_test_expect(&place, 0, NULL, NULL, "build", "lib/net.cvm", "-o", "plain/net", NULL);
    free(cvm_test_shell(&place, "objcopy -O binary -j .text plain/net.so plain/text"));
    assert_true(cvm_test_same_bytes(&place, "text", "plain/text"));
    expect("nm plain/net.so; objdump -h plain/net.so | grep -c debug || true", "no symbols\n0\n");
}

static void the_same_input_gives_the_same_bytes(void **state) {
    (void)state;
    free(cvm_test_shell(&place, "mv net.so first.so"));
    cvm_test_expect(&place, 0, NULL, NULL, "build", "lib/net.cvm", "-g", "--no-cache", NULL);
    assert_true(cvm_test_same_bytes(&place, "net.so", "first.so"));
}

/* A kernel in the cache that came from another line is none of these. */
static void a_line_that_moves_is_seen(void **state) {
    (void)state;
    size_t size;
    char *text = cvm_test_read(&place, "lib/net.cvm", &size), moved[1024];
    snprintf(moved, sizeof moved, "\n\n%s", text);
    free(text);
    cvm_test_write_text(&place, "lib/moved.cvm", moved);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "lib/moved.cvm", "-g", NULL);
    expect(LINES_OF("moved.so", "linear"), "lib/moved.cvm:9\n");
}

static void every_form_has_them(void **state) {
    (void)state;
    static const struct {
        const char *emit, *look, *wanted;
    } rows[] = {{"obj", "objdump -dl form.o", "net.cvm:7"},
                {"static", "objdump -dl form.a", "net.cvm:7"},
                {"asm", "cat form.s", ".loc"},
                {"llvm", "cat form.ll", "!DILocation(line: 7"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        cvm_test_expect(&place, 0, NULL, NULL, "build", "lib/net.cvm", "-g", "-o", "form", "--emit",
                        rows[i].emit, NULL);
        expect(rows[i].look, rows[i].wanted);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(kernels_lead_to_their_lines),
        cmocka_unit_test(the_standard_library_is_named_as_such),
        cmocka_unit_test(it_changes_no_code),
        cmocka_unit_test(the_same_input_gives_the_same_bytes),
        cmocka_unit_test(a_line_that_moves_is_seen),
        cmocka_unit_test(every_form_has_them),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
