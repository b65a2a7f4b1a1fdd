/* See sources.h. */
#include "tests/support/sources.h"

#include "compiler/graph/evaluate.h"
#include "tests/support/random_graph.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

const void *cvm_test_elements(void *context, const CvmNode *node) {
    const CvmTestSources *sources = context;
    CvmTestRandom random = {sources->seed};
    for (const char *letter = node->origin.name; *letter; letter++)
        random.state = random.state * 31 + (unsigned char)*letter;
    int64_t count;
    assert_true(cvm_shape_count(&node->type.shape, &count));
    float *elements = cvm_arena_array(sources->arena, (size_t)count, sizeof *elements);
    for (int64_t i = 0; i < count; i++) {
        if (node->type.dtype == CVM_I32)
            ((int32_t *)elements)[i] = (int32_t)cvm_test_pick(&random, 0, 1);
        else
            elements[i] = (float)cvm_test_pick(&random, -1000, 1000) / 1000;
        bool positive = strncmp(node->origin.name, "optimizer.", 10) == 0 ||
                        strstr(node->origin.name, "variance");
        if (node->type.dtype == CVM_F32 && positive)
            elements[i] = fabsf(elements[i]) + 0.1f;
    }
    return elements;
}

static void fill_sources(Compiled *compiled, const CvmGraph *graph, CvmTestSources *sources) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        bool bound =
            node->op == CVM_OP_INPUT ||
            (node->op == CVM_OP_PARAMETER && cvm_store_find(&compiled->store, node->origin.name));
        int64_t count;
        if (bound && cvm_shape_count(&node->type.shape, &count))
            compiled_set(compiled, node->origin.name, cvm_test_elements(sources, node), count);
    }
}

static void assert_near(const CvmNamedValue *value, const float *expected, const float *actual,
                        double tolerance, const char *passes) {
    int64_t count;
    assert_true(cvm_shape_count(&value->value->type.shape, &count));
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)expected[i] - actual[i]) <= tolerance * (1 + fabs((double)expected[i]))))
            fail_msg("with '%s': %s[%d] is %.9g, compiled %.9g", passes, value->name, (int)i,
                     (double)expected[i], (double)actual[i]);
}

void cvm_test_compiled(const CvmGraph *graph, const char *passes, const char *cpu,
                       CvmTestSources *sources, double tolerance) {
    CvmValues values = cvm_evaluate(graph, sources->arena, cvm_test_elements, sources);
    Compiled compiled = compiled_open(cvm_graph_copy(graph, sources->arena), passes, cpu, 2);
    fill_sources(&compiled, graph, sources);
    compiled_run(&compiled);
    for (int i = 0; i < graph->output_count; i++)
        assert_near(&graph->outputs[i], values.data[graph->outputs[i].value->id],
                    compiled_output(&compiled, graph->outputs[i].name), tolerance, passes);
    for (int i = 0; i < graph->update_count; i++)
        assert_near(&graph->updates[i], values.data[graph->updates[i].value->id],
                    compiled_parameter(&compiled, graph->updates[i].name), tolerance, passes);
    compiled_close(&compiled);
}
