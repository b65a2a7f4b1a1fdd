/* Formatting loses nothing and ends: every program of this repository, and variants of them with
 * other spaces, line ends and comments, is formatted, and what comes out formats to itself. That it
 * says the same is checked by cvm_format itself; here that check is seen to be awake. */
#include "compiler/front/format.h"

#include "compiler/front/format_pieces.h"
#include "tests/support/golden_file.h"
#include "tests/support/programs.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *source_folder(void) {
    const char *folder = getenv("CVM_SOURCE_DIR");
    return folder ? folder : ".";
}

static CvmSource source_of(const char *text, size_t length) {
    return (CvmSource){.path = "test", .text = text, .length = length};
}

/* Formats twice. False: the text has syntax errors. */
static bool formats(CvmArena *arena, const CvmSource *source, CvmFormatted *once) {
    CvmDiag diag;
    CvmFormatted twice;
    cvm_diag_init(&diag, arena);
    if (!cvm_format(arena, source, once, &diag)) {
        assert_true(diag.error_count > 0);
        if (diag.first->code >= 1007)
            fail_msg("%s, of:\n%s", diag.first->message, source->text);
        return false;
    }
    CvmSource again = source_of(once->text, once->length);
    assert_true(cvm_format(arena, &again, &twice, &diag));
    if (twice.changed)
        fail_msg("formatting\n%s\ngives\n%s\nand that again gives\n%s", source->text, once->text,
                 twice.text);
    return true;
}

/* --- the programs --- */

typedef void Visit(CvmArena *arena, const CvmSource *source);

static int visit_files(const char *pattern, Visit *visit) {
    CvmArena *arena = cvm_arena_create();
    glob_t files;
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    assert_int_equal(
        glob(cvm_arena_format(arena, "%s/%s", source_folder(), pattern), 0, NULL, &files), 0);
    for (size_t i = 0; i < files.gl_pathc; i++) {
        const CvmSource *source = cvm_source_read(arena, files.gl_pathv[i], (CvmSpan){0}, &diag);
        assert_non_null(source);
        visit(arena, source);
    }
    int count = (int)files.gl_pathc;
    globfree(&files);
    cvm_arena_free(arena);
    return count;
}

static void visit_all(Visit *visit) {
    CvmArena *arena = cvm_arena_create();
    assert_true(visit_files("models/*.cvm", visit) > 10);
    assert_true(visit_files("stdlib/*.cvm", visit) > 3);
    assert_true(visit_files("tests/fuzz/program/*", visit) > 1);
    CvmSource program = source_of(CVM_TEST_PROGRAM, strlen(CVM_TEST_PROGRAM));
    visit(arena, &program);
    CvmGoldenCases cases =
        cvm_golden_read(cvm_arena_format(arena, "%s/tests/golden", source_folder()), arena);
    for (int i = 0; i < cases.count; i++) {
        CvmSource source = source_of(cases.cases[i].source, strlen(cases.cases[i].source));
        visit(arena, &source);
    }
    cvm_arena_free(arena);
}

static void format_it(CvmArena *arena, const CvmSource *source) {
    CvmFormatted once;
    formats(arena, source, &once);
}

static void every_program_formats_to_what_formats_to_itself(void **state) {
    (void)state;
    visit_all(format_it);
}

static void expect_unchanged(CvmArena *arena, const CvmSource *source) {
    CvmFormatted once;
    assert_true(formats(arena, source, &once));
    if (once.changed)
        fail_msg("%s is not formatted: cvmc fmt does it", source->path);
}

static void shipped_programs_are_formatted(void **state) {
    (void)state;
    visit_files("models/*.cvm", expect_unchanged);
    visit_files("stdlib/*.cvm", expect_unchanged);
}

/* --- variants --- */

static uint32_t random_state;

static int random_below(int end) {
    random_state = random_state * 1664525 + 1013904223;
    return (int)((random_state >> 8) % (uint32_t)end);
}

static bool is_punctuation(char letter) {
    return strchr("()[]{},:=", letter) != NULL;
}

/* Between two tokens: spaces in any number, and line ends, which are rare where they would be a
 * syntax error. */
static const char *separator(const CvmToken *left, const CvmToken *right, int brackets) {
    static const char *const lines[] = {"\n",    "\r\n",  "\n\n\n",  " \n\t\n  ",
                                        "\n \t", "# c\n", "\n# e\n", "  #  c \t\r\n\n#d\n"};
    static const char *const spaces[] = {" ", " ", " ", "  ", "  ", "     ", "\t"};
    char end = left->text[left->length - 1], begin = right->text[0];
    bool may_break = brackets > 0 || end == '{' || begin == '}';
    bool line =
        left->line != right->line ? random_below(8) > 0 : random_below(may_break ? 6 : 500) == 0;
    if (left->kind == CVM_TOKEN_COMMENT)
        return lines[random_below(5)];
    if (line)
        return lines[random_below(sizeof lines / sizeof *lines)];
    if ((is_punctuation(end) || is_punctuation(begin)) && random_below(3) == 0)
        return "";
    return spaces[random_below(sizeof spaces / sizeof *spaces)];
}

static CvmSource variant_of(CvmArena *arena, const CvmSource *source) {
    CvmTokens tokens = cvm_tokens_read(arena, source);
    char *text = cvm_arena_alloc(arena, source->length + (size_t)tokens.count * 32 + 1),
         *end = text;
    int brackets = 0;
    for (int i = 0; i < tokens.count; i++) {
        const CvmToken *token = &tokens.tokens[i];
        if (i > 0)
            end = stpcpy(end, separator(token - 1, token, brackets));
        brackets +=
            (token->kind == '(' || token->kind == '[') - (token->kind == ')' || token->kind == ']');
        memcpy(end, token->text, token->length);
        end += token->length;
    }
    return source_of(text, (size_t)(end - text));
}

enum { VARIANTS = 20 };

static int parsed;

static void format_variants(CvmArena *arena, const CvmSource *source) {
    CvmFormatted once;
    if (source->length > 4000 || !formats(arena, source, &once))
        return;
    for (int i = 0; i < VARIANTS; i++) {
        CvmSource variant = variant_of(arena, source);
        parsed += formats(arena, &variant, &once);
    }
}

static void variants_format_to_what_formats_to_itself(void **state) {
    (void)state;
    random_state = 7;
    visit_all(format_variants);
    assert_true(parsed > 300);
}

/* --- where spaces are all that differs --- */

static char *indent_wildly(CvmArena *arena, const CvmSource *source) {
    char *text = cvm_arena_alloc(arena, source->length * 4 + 1), *end = text;
    for (size_t i = 0; i < source->length; i++) {
        bool line = source->text[i] == '\n';
        if (line)
            end = stpcpy(end, random_below(2) ? " \t\r" : "");
        *end++ = source->text[i];
        while (line && source->text[i + 1] == ' ')
            i++;
    }
    return text;
}

static void expect_restored(CvmArena *arena, const CvmSource *source) {
    CvmFormatted once;
    char *wild = indent_wildly(arena, source);
    CvmSource other = source_of(wild, strlen(wild));
    assert_true(formats(arena, &other, &once));
    assert_int_equal(once.length, source->length);
    assert_memory_equal(once.text, source->text, source->length);
}

static void indentation_and_ends_of_lines_are_restored(void **state) {
    (void)state;
    random_state = 1;
    visit_files("models/*.cvm", expect_restored);
    visit_files("stdlib/*.cvm", expect_restored);
}

/* --- small and large texts --- */

static void expect_text(const char *text, const char *expected) {
    CvmArena *arena = cvm_arena_create();
    CvmFormatted once;
    CvmSource source = source_of(text, strlen(text));
    assert_true(formats(arena, &source, &once));
    assert_string_equal(once.text, expected);
    assert_int_equal(once.changed, strcmp(text, expected) != 0);
    cvm_arena_free(arena);
}

static void texts_end_with_one_line_end(void **state) {
    (void)state;
    expect_text("", "");
    expect_text(" \n\r\n\t", "");
    expect_text("\n# c", "# c\n");
    expect_text("import \"a.cvm\"", "import \"a.cvm\"\n");
    expect_text("import \"a.cvm\" # \xC3\xA4\n\n\n", "import \"a.cvm\"  # \xC3\xA4\n");
}

static void columns_count_characters(void **state) {
    (void)state;
    expect_text("names n {\n\"\xC3\xA4\xC3\xB6\"  -> a\n\"abc\" -> b\n}\n",
                "names n {\n    \"\xC3\xA4\xC3\xB6\"  -> a\n    \"abc\" -> b\n}\n");
}

/* A text that is far wider than any screen is not answered by megabytes of spaces. */
static void far_columns_are_none(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmFormatted once;
    size_t size = 400000;
    char *text = cvm_arena_alloc(arena, size + 100), *end = stpcpy(text, "block b {\n");
    memset(end, 'x', size / 2);
    end = stpcpy(end + size / 2, "(1, [2,\n3],\n4)  a  # c\n");
    while ((size_t)(end - text) < size)
        end = stpcpy(end, "y  a # c\n");
    strcpy(end, "}\n");
    CvmSource source = source_of(text, strlen(text));
    assert_true(formats(arena, &source, &once));
    assert_true(once.length < 2 * size);
    cvm_arena_free(arena);
}

static void a_result_beyond_a_megabyte_is_refused(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmFormatted once;
    CvmDiag diag;
    size_t size = 300000;
    char *text = cvm_arena_alloc(arena, size + 400), *end = stpcpy(text, "block b {");
    for (int i = 0; i < 100; i++)
        end = stpcpy(end, "a{");
    while ((size_t)(end - text) < size)
        end = stpcpy(end, "\na");
    memset(end, '}', 101);
    CvmSource source = source_of(text, strlen(text));
    cvm_diag_init(&diag, arena);
    assert_false(cvm_format(arena, &source, &once, &diag));
    assert_int_equal(diag.first->code, 1007);
    cvm_arena_free(arena);
}

/* --- the net below --- */

static bool same(const char *one, const char *other) {
    CvmArena *arena = cvm_arena_create();
    CvmSource a = source_of(one, strlen(one)), b = source_of(other, strlen(other));
    bool result = cvm_format_same(arena, &a, &b);
    cvm_arena_free(arena);
    return result;
}

static void what_says_something_else_is_noticed(void **state) {
    (void)state;
    static const char *const text =
        "block b {\n    let a = it\n    relu # c\n    add(a, -1.5)\n}\n";
    assert_true(same(text, "block  b{ let a=it\nrelu   # c \r\nadd( a,- 1.5 )}"));
    assert_false(same(text, "block b {\n    let a = it\n    relu\n    add(a, -1.5)\n}\n"));
    assert_false(same(text, "block b {\n    let a = it\n    relu # d\n    add(a, -1.5)\n}\n"));
    assert_false(same(text, "block b {\n    let a = it\n    relu # c\n    add(a, -1.50)\n}\n"));
    assert_false(same(text, "block b {\n    let a = it relu # c\n    add(a, -1.5)\n}\n"));
    assert_false(same(text, "block b {\n    let a = it\n    relu # c\n    add(a, -1.5)\n"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_program_formats_to_what_formats_to_itself),
        cmocka_unit_test(shipped_programs_are_formatted),
        cmocka_unit_test(variants_format_to_what_formats_to_itself),
        cmocka_unit_test(indentation_and_ends_of_lines_are_restored),
        cmocka_unit_test(texts_end_with_one_line_end),
        cmocka_unit_test(columns_count_characters),
        cmocka_unit_test(far_columns_are_none),
        cmocka_unit_test(a_result_beyond_a_megabyte_is_refused),
        cmocka_unit_test(what_says_something_else_is_noticed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
