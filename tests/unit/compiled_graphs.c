/* Random training graphs, compiled under random choices of passes and run as a step is run: outputs
 * and updated parameters are those of the reference functions on the graph as it was before any
 * pass. So fusion, layouts, kernels and the memory plan hold together. */
#include "compiler/graph/evaluate.h"
#include "tests/support/compiled.h"
#include "tests/support/random_graph.h"

#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { GRAPHS = 40 };

static void fill_sources(Compiled *compiled, const CvmGraph *graph, CvmTestSources *sources) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        bool bound =
            node->op == CVM_OP_INPUT ||
            (node->op == CVM_OP_PARAMETER && cvm_store_find(&compiled->store, node->origin.name));
        int64_t count;
        if (bound && cvm_shape_count(&node->type.shape, &count))
            compiled_set(compiled, node->origin.name, cvm_test_source_elements(sources, node),
                         count);
    }
}

static void assert_near(const CvmType *type, const float *expected, const float *actual,
                        const char *name, uint64_t seed, const char *passes) {
    int64_t count;
    assert_true(cvm_shape_count(&type->shape, &count));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)expected[i] - actual[i]) <= 1e-4 * (1 + fabs((double)expected[i]))))
            fail_msg("graph %d with '%s': %s[%d] is %.9g, compiled %.9g", (int)seed, passes, name,
                     (int)i, (double)expected[i], (double)actual[i]);
}

static void compare(const CvmGraph *graph, const char *passes, const char *cpu,
                    CvmTestSources *sources) {
    CvmValues values = cvm_evaluate(graph, sources->arena, cvm_test_source_elements, sources);
    Compiled compiled = compiled_open(cvm_graph_copy(graph, sources->arena), passes, cpu, 2);
    fill_sources(&compiled, graph, sources);
    compiled_run(&compiled);
    for (int i = 0; i < graph->output_count; i++) {
        const CvmNamedValue *output = &graph->outputs[i];
        assert_near(&output->value->type, values.data[output->value->id],
                    compiled_output(&compiled, output->name), output->name, sources->seed, passes);
    }
    for (int i = 0; i < graph->update_count; i++) {
        const CvmNamedValue *update = &graph->updates[i];
        assert_near(&update->value->type, values.data[update->value->id],
                    compiled_parameter(&compiled, update->name), update->name, sources->seed,
                    passes);
    }
    compiled_close(&compiled);
}

static void compiled_steps_give_what_the_references_give(void **state) {
    (void)state;
    const char *const *cpus = compiled_cpus();
    int cpu_count = 0;
    while (cpus[cpu_count])
        cpu_count++;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 32452843};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(graph);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        CvmTestSources sources = {arena, seed};
        compare(graph, cvm_pass_choice_text(&choice, arena), cpus[(int)seed % cpu_count], &sources);
        cvm_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiled_steps_give_what_the_references_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
