/* SGD as graph updates, against PyTorch's rule worked out by hand:
 * v = momentum v + (g + decay w), w = w - multiplier rate v. */
#include "compiler/graph/evaluate.h"
#include "compiler/graph/optimizer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Step {
    CvmArena *arena;
    CvmDiag diag;
    CvmGraph *graph;
    CvmNode *weight, *gradient, *rate;
} Step;

static Step step_open(void) {
    Step step = {.arena = cvm_arena_create()};
    CvmOrigin origin = {.name = "head.linear1.weight"};
    CvmShape shape = {1, {2}};
    step.graph = cvm_graph_create(step.arena, "step");
    step.weight = cvm_graph_parameter(step.graph, "weight", shape, 0, 0, origin);
    step.gradient = cvm_graph_input(step.graph, "gradient", CVM_F32, shape, origin);
    step.rate = cvm_graph_input(step.graph, "rate", CVM_F32, (CvmShape){0}, origin);
    return step;
}

static void add_sgd(Step *step, double multiplier, double momentum, double decay) {
    cvm_diag_init(&step->diag, step->arena);
    const CvmOptimizer sgd = {.momentum = momentum, .decay = decay};
    assert_true(cvm_add_update(step->graph, &sgd, step->weight, step->gradient, step->rate,
                               multiplier, &step->diag));
    assert_true(cvm_graph_verify(step->graph, &step->diag));
}

static const void *values_of(void *context, const CvmNode *node) {
    (void)context;
    static const float weight[] = {1, -2}, gradient[] = {0.5f, 0.25f}, rate[] = {0.1f},
                       velocity[] = {4, 8};
    static const struct {
        const char *name;
        const float *values;
    } sources[] = {{"head.linear1.weight", weight},
                   {"gradient", gradient},
                   {"rate", rate},
                   {"optimizer.head.linear1.weight.momentum", velocity}};
    for (size_t i = 0; i < sizeof sources / sizeof *sources; i++)
        if (!strcmp(sources[i].name, node->origin.name))
            return sources[i].values;
    fail_msg("the graph has a source %s", node->origin.name);
    return NULL;
}

static void assert_update(const Step *step, const char *name, double first, double second) {
    CvmValues values = cvm_evaluate(step->graph, step->arena, values_of, NULL);
    for (int i = 0; i < step->graph->update_count; i++) {
        const CvmNamedValue *update = &step->graph->updates[i];
        if (strcmp(update->name, name))
            continue;
        const float *next = values.data[update->value->id];
        assert_float_equal(next[0], first, 1e-6);
        assert_float_equal(next[1], second, 1e-6);
        return;
    }
    fail_msg("nothing updates %s", name);
}

static void test_momentum_and_decay(void **state) {
    (void)state;
    Step step = step_open();
    add_sgd(&step, 1, 0.5, 0.25);
    assert_int_equal(step.graph->update_count, 2);
    /* v = 0.5 * 4 + 0.5 + 0.25 * 1, 0.5 * 8 + 0.25 - 0.25 * 2 */
    assert_update(&step, "optimizer.head.linear1.weight.momentum", 2.75, 3.75);
    assert_update(&step, "head.linear1.weight", 1 - 0.275, -2 - 0.375);
    const CvmNode *state_node =
        cvm_graph_find_source(step.graph, "optimizer.head.linear1.weight.momentum");
    assert_string_equal(cvm_node_attribute(state_node, "kind")->text, "optimizer");
    cvm_arena_free(step.arena);
}

static void test_the_multiplier_scales_the_rate(void **state) {
    (void)state;
    Step step = step_open();
    add_sgd(&step, 0.5, 0.5, 0.25);
    assert_update(&step, "optimizer.head.linear1.weight.momentum", 2.75, 3.75);
    assert_update(&step, "head.linear1.weight", 1 - 0.1375, -2 - 0.1875);
    cvm_arena_free(step.arena);
}

static void test_without_momentum_there_is_no_state(void **state) {
    (void)state;
    Step step = step_open();
    add_sgd(&step, 1, 0, 0.25);
    assert_int_equal(step.graph->update_count, 1);
    assert_update(&step, "head.linear1.weight", 1 - 0.075, -2 + 0.025);
    cvm_arena_free(step.arena);
}

static void test_plain_descent(void **state) {
    (void)state;
    Step step = step_open();
    add_sgd(&step, 1, 0, 0);
    assert_int_equal(step.graph->update_count, 1);
    assert_update(&step, "head.linear1.weight", 1 - 0.05, -2 - 0.025);
    cvm_arena_free(step.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_momentum_and_decay),
        cmocka_unit_test(test_the_multiplier_scales_the_rate),
        cmocka_unit_test(test_without_momentum_there_is_no_state),
        cmocka_unit_test(test_plain_descent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
