/* Name maps: what a map makes of a file's names for a model's parameters, and what it complains of.
 */
#include "compiler/front/name_map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_NAMES = 64 };

typedef struct Renamed {
    CvmArena *arena;
    const char *names[MAX_NAMES];
    int count;
    const char *problems; /* one a line */
} Renamed;

static int count_of(const char *const *names) {
    int count = 0;
    while (names[count])
        count++;
    return count;
}

static void tell(void *context, const char *problem) {
    Renamed *renamed = context;
    renamed->problems = cvm_arena_format(renamed->arena, "%s%s\n", renamed->problems, problem);
}

/* Applies a map with these lines; both lists end with NULL. */
static void apply(Renamed *renamed, const char *lines, const char *const *parameters,
                  const char *const *names) {
    *renamed = (Renamed){.arena = cvm_arena_create(), .count = count_of(names), .problems = ""};
    CvmDiag diag;
    cvm_diag_init(&diag, renamed->arena);
    char *text = cvm_arena_format(renamed->arena, "names map {\n%s\n}\n", lines);
    CvmSource source = {.path = "test.cvm", .text = text, .length = strlen(text)};
    CvmProgram *program = cvm_program_from_source(renamed->arena, &source, NULL, false, &diag);
    if (!program)
        cvm_diag_print(&diag, stderr);
    assert_non_null(program);
    assert_true(renamed->count <= MAX_NAMES);
    memcpy(renamed->names, names, (size_t)renamed->count * sizeof *names);
    cvm_rename_tensors(&(CvmRenaming){.map = cvm_program_name_map(program, "map", NULL),
                                      .parameters = parameters,
                                      .parameter_count = count_of(parameters),
                                      .names = renamed->names,
                                      .count = renamed->count,
                                      .arena = renamed->arena,
                                      .tell = tell,
                                      .context = renamed});
}

/* The map must make exactly these names of them (ignored ones: "-"), without a complaint. */
static void expect(const char *lines, const char *const *parameters, const char *const *names,
                   const char *const *expected) {
    Renamed renamed;
    apply(&renamed, lines, parameters, names);
    assert_string_equal(renamed.problems, "");
    assert_int_equal(renamed.count, count_of(expected));
    for (int i = 0; i < renamed.count; i++)
        assert_string_equal(renamed.names[i] ? renamed.names[i] : "-", expected[i]);
    cvm_arena_free(renamed.arena);
}

static void expect_problem(const char *lines, const char *const *parameters,
                           const char *const *names, const char *problem) {
    Renamed renamed;
    apply(&renamed, lines, parameters, names);
    if (!strstr(renamed.problems, problem))
        fail_msg("'%s' is not in '%s'", problem, renamed.problems);
    cvm_arena_free(renamed.arena);
}

#define NAMES(...)                                                                                 \
    (const char *const[]) {                                                                        \
        __VA_ARGS__, NULL                                                                          \
    }

static const char *const model[] = {"body.conv1.weight", "body.conv1.bias", "head.linear1.weight",
                                    "head.linear1.bias", NULL};

static void a_line_replaces_the_first_parts_of_a_name(void **state) {
    (void)state;
    expect("\"features.0\" -> body.conv1\n \"fc\" -> head.linear1", model,
           NAMES("features.0.weight", "features.0.bias", "fc.weight", "fc.bias"), model);
    /* "features.0" is no part of "features.01" */
    expect("\"features.0\" -> body.conv1", model, NAMES("features.0.weight", "features.01.weight"),
           NAMES("body.conv1.weight", "features.01.weight"));
    expect("\"features.0.weight\" -> body.conv1.bias", model, NAMES("features.0.weight"),
           NAMES("body.conv1.bias"));
}

static void lines_are_applied_one_after_another(void **state) {
    (void)state;
    expect("\"net\" -> body\n \"*.c\" -> *.conv1\n \"*.w\" -> *.weight", model, NAMES("net.c.w"),
           NAMES("body.conv1.weight"));
}

static void a_name_that_is_a_parameters_stays(void **state) {
    (void)state;
    expect("\"*.weight\" -> *.scale\n \"features.0\" -> body.conv1", model,
           NAMES("body.conv1.weight", "features.0.bias"),
           NAMES("body.conv1.weight", "body.conv1.bias"));
    /* a map that nothing needs is no mistake */
    expect("\"features.0\" -> body.conv1\n in order \"classifier\"", model, model, model);
}

static void a_star_stands_for_any_letters(void **state) {
    (void)state;
    const char *const parameters[] = {"layer1.block1.batchnorm2.scale",
                                      "layer2.block2.batchnorm1.running_variance", NULL};
    expect("\"layer*.0\" -> layer*.block1\n \"layer*.1\" -> layer*.block2\n"
           "\"*.bn*\" -> *.batchnorm*\n \"*.batchnorm*.weight\" -> *.batchnorm*.scale\n"
           "\"*.running_var\" -> *.running_variance\n \"not.*.there\" -> *",
           parameters, NAMES("layer1.0.bn2.weight", "layer2.1.bn1.running_var"), parameters);
    expect("\"*.bn\" -> *.conv1", model, NAMES("body.bnx.bn.weight", "body.bn.weight"),
           NAMES("body.bnx.conv1.weight", "body.conv1.weight"));
}

static void ignored_tensors_are_no_concern(void **state) {
    (void)state;
    expect("ignore \"*.num_batches_tracked\", \"extra\"\n \"bn\" -> body.conv1", model,
           NAMES("bn.weight", "bn.num_batches_tracked", "extra.a", "extra.b"),
           NAMES("body.conv1.weight", "-", "-", "-"));
}

static void layers_in_order_count_by_number(void **state) {
    (void)state;
    const char *const parameters[] = {"b.conv1.weight",   "b.conv1.bias",     "b.batchnorm1.scale",
                                      "b.s.conv1.weight", "h.linear1.weight", NULL};
    expect("in order \"features\", \"classifier\"\n \"*.batchnorm*.weight\" -> *.batchnorm*.scale",
           parameters,
           NAMES("classifier.1.weight", "features.10.weight", "features.2.weight",
                 "features.0.bias", "features.0.weight"),
           NAMES("h.linear1.weight", "b.s.conv1.weight", "b.batchnorm1.scale", "b.conv1.bias",
                 "b.conv1.weight"));
    expect("in order \"features\" -> b\n \"fc\" -> h.linear1", parameters,
           NAMES("features.10.weight", "features.9.scale", "features.8.weight", "fc.weight"),
           NAMES("b.s.conv1.weight", "b.batchnorm1.scale", "b.conv1.weight", "h.linear1.weight"));
}

static void layers_that_are_too_many_or_too_few_are_told(void **state) {
    (void)state;
    expect_problem("in order \"f\"", model, NAMES("f.1.weight"),
                   "in order (test.cvm, line 2): the file has 1 such layers, the model 2");
    expect_problem("in order \"f\"", model, NAMES("f.1.weight", "f.2.weight", "f.3.weight"),
                   "the file has 3 such layers, the model 2");
    expect_problem("in order \"f\", \"g\"", model, NAMES("f.1.weight", "f.2.weight"),
                   "\"g\" (test.cvm, line 2) matches nothing in the file");
}

static void a_line_that_matches_nothing_is_told(void **state) {
    (void)state;
    expect_problem("\"features.0\" -> body.conv1\n \"feature.1\" -> head.linear1", model,
                   NAMES("features.0.weight"),
                   "\"feature.1\" (test.cvm, line 3) matches nothing in the file");
    expect_problem("ignore \"counter\"", model, NAMES("features.0.weight"), "\"counter\"");
}

static void stars_take_bounded_time(void **state) {
    (void)state;
    char name[4096];
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = 0;
    expect("\"*a*a*a*a*a*a*a*b\" -> *.*.*.*.*.*.*.*", model, NAMES(name), NAMES(name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_replaces_the_first_parts_of_a_name),
        cmocka_unit_test(lines_are_applied_one_after_another),
        cmocka_unit_test(a_name_that_is_a_parameters_stays),
        cmocka_unit_test(a_star_stands_for_any_letters),
        cmocka_unit_test(ignored_tensors_are_no_concern),
        cmocka_unit_test(layers_in_order_count_by_number),
        cmocka_unit_test(layers_that_are_too_many_or_too_few_are_told),
        cmocka_unit_test(a_line_that_matches_nothing_is_told),
        cmocka_unit_test(stars_take_bounded_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
