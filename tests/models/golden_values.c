/* Compiled code against the reference values of another implementation: every file of the golden
 * folder, with all passes and with none, for this machine's CPU and for the plainest one. */
#include "tests/support/compiled.h"
#include "tests/support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Way {
    const char *passes, *cpu;
} Way;

static const Way ways[] = {{"default", "host"}, {"none", "host"}, {"default", "x86-64"}};
enum { WAYS = sizeof ways / sizeof *ways };

static void fill_sources(Compiled *compiled, const CvmGoldenRun *run) {
    const CvmPlan *plan = cvm_executable_plan(compiled->executable);
    for (int i = 0; i < run->source_count; i++) {
        const CvmGoldenTensor *source = &run->sources[i];
        bool wanted = cvm_instance_input(compiled->instance, source->name) != NULL;
        for (int k = 0; k < plan->slot_count && !wanted; k++)
            wanted = !strcmp(plan->slots[k].name, source->name);
        if (wanted) /* passes may have found that nothing depends on it */
            compiled_set(compiled, source->name, source->elements, source->count);
    }
}

static void compare_outputs(const Compiled *compiled, const CvmGoldenRun *run) {
    for (int i = 0; i < run->expected_count; i++) {
        const CvmGoldenTensor *expected = &run->expected[i];
        cvm_golden_compare(run, expected->name, compiled_output(compiled, expected->name),
                           expected->elements, expected->count);
    }
}

/* Inputs are filled again before every step, as their memory may serve other values within it. */
static void fill_inputs(Compiled *compiled, const CvmGoldenRun *run) {
    for (int i = 0; i < run->source_count; i++)
        if (cvm_instance_input(compiled->instance, run->sources[i].name))
            compiled_set(compiled, run->sources[i].name, run->sources[i].elements,
                         run->sources[i].count);
}

static void check_run(const CvmGoldenRun *run, const Way *way) {
    CvmArena *arena = cvm_arena_create();
    Compiled compiled = compiled_open(cvm_graph_copy(run->graph, arena), way->passes, way->cpu, 2);
    fill_sources(&compiled, run);
    for (int step = 0; step < run->steps; step++) {
        fill_inputs(&compiled, run);
        compiled_run(&compiled);
        if (step == 0)
            compare_outputs(&compiled, run);
        if (run->losses)
            cvm_golden_compare(run, "loss", compiled_output(&compiled, "loss"), &run->losses[step],
                               1);
    }
    compiled_close(&compiled);
    cvm_arena_free(arena);
}

static void test_golden_values(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmGoldenFolder folder = cvm_golden_folder(arena);
    int checked = 0;
    bool in_turn = getenv("CVM_SANITIZED"); /* sanitizers look at the code and not at values */
    for (int i = 0; i < folder.count; i++) {
        CvmGoldenValues values = cvm_golden_values(folder.paths[i], arena);
        if (values.missing)
            printf("not yet: %s (%s)\n", values.missing, values.name);
        for (int k = 0; k < values.run_count; k++)
            for (int way = 0; way < WAYS; way++)
                if (!in_turn || (i + k) % WAYS == way)
                    check_run(&values.runs[k], &ways[way]);
        checked += values.run_count > 0;
    }
    printf("%d of %d files agree\n", checked, folder.count);
    assert_true(checked > 0);
    cvm_arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_golden_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
