/* Runs the cases of tests/golden (NAME.test): a source goes through a stage of the compiler, and
 * the text that comes out must be the expected one. With CVM_UPDATE_GOLDEN set
 * (scripts/update-golden), what comes out is written into the files instead, for a person to
 * review. */
#include "compiler/front/format.h"
#include "compiler/graph/op.h"
#include "compiler/passes/passes.h"
#include "compiler/training_graph.h"
#include "tests/support/golden_file.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A case on its way through the compiler. */
typedef struct Run {
    const CvmGoldenCase *golden;
    CvmArena *arena;
    CvmDiag diag;
    CvmSource source;
    FILE *out;
} Run;

static const char *option(const Run *run, const char *name, const char *otherwise) {
    return cvm_golden_option(run->golden, name, otherwise, run->arena);
}

static const char *source_folder(void) {
    const char *folder = getenv("CVM_SOURCE_DIR");
    return folder ? folder : ".";
}

/* --- sources --- */

static CvmGraph *parse_graph(Run *run) {
    return cvm_graph_parse(run->arena, &run->source, &run->diag);
}

/* The program in the case, or in the file that its option `file` names. */
static CvmProgram *load_program(Run *run) {
    const char *stdlib = cvm_arena_format(run->arena, "%s/stdlib", source_folder());
    const char *file = option(run, "file", NULL);
    if (!file)
        return cvm_program_from_source(run->arena, &run->source, stdlib, false, &run->diag);
    const char *path = cvm_arena_format(run->arena, "%s/%s", source_folder(), file);
    return cvm_program_load(run->arena, path, stdlib, &run->diag);
}

static int64_t batch_of(const Run *run) {
    return atoll(option(run, "batch", "1"));
}

static CvmGraph *forward_graph(Run *run) {
    CvmProgram *program = load_program(run);
    if (!program)
        return NULL;
    assert_true(cvm_program_model_count(program) > 0);
    return cvm_inference_graph(cvm_program_model(program, 0), batch_of(run), false, run->arena,
                               &run->diag);
}

static CvmGraph *training_graph(Run *run) {
    CvmProgram *program = load_program(run);
    if (!program)
        return NULL;
    assert_true(cvm_program_train_count(program) > 0);
    return cvm_training_graph(cvm_program_train(program, 0), batch_of(run), run->arena, &run->diag);
}

/* --- stages --- */

static bool run_passes(Run *run, CvmGraph *graph, const char *passes) {
    CvmPassChoice choice;
    CvmPassContext context = {
        .diag = &run->diag, .vector_lanes = atoi(option(run, "lanes", "16")), .verify = true};
    CvmPassLog log = cvm_pass_log(run->arena);
    context.log = &log;
    bool done =
        cvm_precision_parse(option(run, "precision", NULL), &context.precision, &run->diag) &&
        cvm_pass_choice(passes, &choice, &run->diag) &&
        cvm_pass_limits(option(run, "limit", NULL), &choice, &run->diag) &&
        cvm_run_passes(&choice, &context, graph);
    if (!strcmp(option(run, "remarks", "no"), "yes"))
        cvm_pass_log_print(&log, run->out);
    return done;
}

static bool print_graph(Run *run, CvmGraph *graph, const char *passes) {
    if (!graph || (passes && !run_passes(run, graph, passes)))
        return false;
    if (!cvm_graph_verify(graph, &run->diag))
        return false;
    cvm_graph_print(graph, false, run->out);
    return true;
}

static bool run_ast(Run *run, const char *argument) {
    (void)argument;
    cvm_ast_print(cvm_ast_parse(run->arena, &run->source, &run->diag), true, run->out);
    return run->diag.error_count == 0;
}

static bool run_format(Run *run, const char *argument) {
    CvmFormatted formatted;
    (void)argument;
    if (!cvm_format(run->arena, &run->source, &formatted, &run->diag))
        return false;
    fputs(formatted.text, run->out);
    return true;
}

static bool run_check(Run *run, const char *argument) {
    (void)argument;
    if (!load_program(run))
        return false;
    fputs("no errors\n", run->out);
    return true;
}

static bool run_pass(Run *run, const char *argument) {
    return print_graph(run, parse_graph(run), argument);
}

static bool run_text(Run *run, const char *argument) {
    (void)argument;
    return print_graph(run, parse_graph(run), NULL);
}

static bool run_graph(Run *run, const char *argument) {
    (void)argument;
    return print_graph(run, forward_graph(run), NULL);
}

static bool run_training(Run *run, const char *argument) {
    (void)argument;
    return print_graph(run, training_graph(run), NULL);
}

static bool run_fused(Run *run, const char *argument) {
    return print_graph(run, training_graph(run), *argument ? argument : "default");
}

static bool run_fused_forward(Run *run, const char *argument) {
    return print_graph(run, forward_graph(run), *argument ? argument : "default");
}

static bool run_memory(Run *run, const char *argument) {
    CvmGraph *graph = parse_graph(run);
    CvmMemoryPlan plan;
    if (!graph || !run_passes(run, graph, *argument ? argument : "none") ||
        !cvm_plan_memory(graph, run->arena, &plan, &run->diag))
        return false;
    fprintf(run->out, "arena %lld, at least %lld\n", (long long)plan.arena_bytes,
            (long long)plan.lower_bound);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (plan.offsets[node->id] < 0)
            fprintf(run->out, "%%%d %s: none\n", node->id, cvm_op_info(node->op)->name);
        else
            fprintf(run->out, "%%%d %s: %lld\n", node->id, cvm_op_info(node->op)->name,
                    (long long)plan.offsets[node->id]);
    }
    return true;
}

typedef struct Stage {
    const char *name;
    bool (*run)(Run *run, const char *argument);
} Stage;

static const Stage stages[] = {
    {"ast", run_ast},     {"format", run_format},     {"check", run_check},
    {"text", run_text},   {"pass", run_pass},         {"passes", run_pass},
    {"graph", run_graph}, {"training", run_training}, {"fused-forward", run_fused_forward},
    {"fused", run_fused}, {"memory", run_memory},
};

static const Stage *find_stage(const char *name, size_t length) {
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++)
        if (strlen(stages[i].name) == length && !memcmp(stages[i].name, name, length))
            return &stages[i];
    return NULL;
}

/* What the compiler says about the case, to be freed. */
static char *run_case(const CvmGoldenCase *golden) {
    char *text;
    size_t size;
    Run run = {.golden = golden, .arena = cvm_arena_create()};
    run.out = open_memstream(&text, &size);
    run.source =
        (CvmSource){.path = "test", .text = golden->source, .length = strlen(golden->source)};
    cvm_diag_init(&run.diag, run.arena);
    const char *line = option(&run, "stage", "");
    size_t length = strcspn(line, " ");
    const Stage *stage = find_stage(line, length);
    if (!stage)
        fail_msg("%s: there is no stage '%s'", golden->name, line);
    bool done = stage->run(&run, line + length + strspn(line + length, " "));
    assert_true(done == (run.diag.error_count == 0));
    cvm_diag_print(&run.diag, run.out);
    fclose(run.out);
    cvm_arena_free(run.arena);
    return text;
}

/* Empty lines at the end only set cases apart. */
static size_t text_length(const char *text) {
    size_t length = strlen(text);
    while (length && text[length - 1] == '\n')
        length--;
    return length;
}

static void gives_the_expected_text(void **state) {
    const CvmGoldenCase *golden = *state;
    char *actual = run_case(golden);
    size_t length = text_length(golden->expected);
    bool same = text_length(actual) == length && !memcmp(actual, golden->expected, length);
    if (!same)
        print_error("%s gave\n%s\nwhich differs from what the file expects "
                    "(scripts/update-golden, then git diff, shows how)\n",
                    golden->name, actual);
    free(actual);
    assert_true(same);
}

static void update(const CvmGoldenCases *cases) {
    char **actual = calloc((size_t)cases->count + 1, sizeof *actual);
    for (int i = 0; i < cases->count; i++)
        actual[i] = run_case(&cases->cases[i]);
    cvm_golden_rewrite(cases, actual);
    for (int i = 0; i < cases->count; i++)
        free(actual[i]);
    free(actual);
}

int main(void) {
    CvmArena *arena = cvm_arena_create();
    const char *folder = cvm_arena_format(arena, "%s/tests/golden", source_folder());
    CvmGoldenCases cases = cvm_golden_read(folder, arena);
    int failed = 0;
    if (getenv("CVM_UPDATE_GOLDEN")) {
        update(&cases);
    } else {
        struct CMUnitTest *tests = calloc((size_t)cases.count + 1, sizeof *tests);
        for (int i = 0; i < cases.count; i++)
            tests[i] = (struct CMUnitTest){.name = cases.cases[i].name,
                                           .test_func = gives_the_expected_text,
                                           .initial_state = &cases.cases[i]};
        failed = _cmocka_run_group_tests("golden text", tests, (size_t)cases.count, NULL, NULL);
        free(tests);
    }
    cvm_arena_free(arena);
    return failed;
}
