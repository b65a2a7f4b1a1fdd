/* The slow reference of every operator, its gradients, the losses and the optimizer against values
 * of another implementation. What the references say is what compiled code is held to elsewhere, so
 * here they are held to something that is not ours. */
#include "compiler/graph/evaluate.h"
#include "compiler/graph/op.h"
#include "tests/support/golden.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* The elements of each source as they are now, by node id; NULL: zeros. */
typedef struct Memory {
    const void **elements;
} Memory;

static const void *source_of(void *context, const CvmNode *node) {
    return ((const Memory *)context)->elements[node->id];
}

static Memory first_memory(const CvmGoldenRun *run, CvmArena *arena) {
    const CvmGraph *graph = run->graph;
    Memory memory = {cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof(void *))};
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->op != CVM_OP_INPUT && node->op != CVM_OP_PARAMETER)
            continue;
        const CvmGoldenTensor *tensor = cvm_golden_source(run, node->origin.name);
        bool starts_at_zero = node->op == CVM_OP_PARAMETER &&
                              !strcmp(cvm_node_attribute(node, "kind")->text, "optimizer");
        if (!tensor && !starts_at_zero)
            fail_msg("%s: nothing fills %s", run->name, node->origin.name);
        memory.elements[node->id] = tensor ? tensor->elements : NULL;
    }
    return memory;
}

static void apply_updates(const CvmGoldenRun *run, const CvmValues *values, Memory *memory) {
    for (int i = 0; i < run->graph->update_count; i++) {
        const CvmNamedValue *update = &run->graph->updates[i];
        const CvmNode *parameter = cvm_graph_find_source(run->graph, update->name);
        memory->elements[parameter->id] = values->data[update->value->id];
    }
}

static void check_run(const CvmGoldenRun *run, CvmArena *arena) {
    Memory memory = first_memory(run, arena);
    for (int step = 0; step < run->steps; step++) {
        CvmValues values = cvm_evaluate(run->graph, arena, source_of, &memory);
        for (int i = 0; step == 0 && i < run->expected_count; i++) {
            const CvmGoldenTensor *expected = &run->expected[i];
            const CvmNode *value = cvm_graph_find_output(run->graph, expected->name);
            cvm_golden_compare(run, expected->name, values.data[value->id], expected->elements,
                               expected->count);
        }
        if (run->losses) {
            char what[32];
            snprintf(what, sizeof what, "the loss of step %d", step + 1);
            const CvmNode *loss = cvm_graph_find_output(run->graph, "loss");
            cvm_golden_compare(run, what, values.data[loss->id], &run->losses[step], 1);
        }
        apply_updates(run, &values, &memory);
    }
}

static void test_references_agree_with_every_file(void **state) {
    (void)state;
    CvmArena *names = cvm_arena_create();
    CvmGoldenFolder folder = cvm_golden_folder(names);
    int checked = 0;
    for (int i = 0; i < folder.count; i++) {
        CvmArena *arena = cvm_arena_create();
        CvmGoldenValues values = cvm_golden_values(folder.paths[i], arena);
        if (values.missing)
            print_message("%s: not yet: %s\n", values.name, values.missing);
        for (int k = 0; k < values.run_count; k++) {
            CvmDiag diag;
            cvm_diag_init(&diag, arena);
            if (!cvm_graph_verify(values.runs[k].graph, &diag)) {
                cvm_diag_print(&diag, stderr);
                fail_msg("%s: its graph breaks a rule", values.runs[k].name);
            }
            check_run(&values.runs[k], arena);
            checked++;
        }
        cvm_arena_free(arena);
    }
    print_message("%d runs of %d files in %s agree\n", checked, folder.count, folder.path);
    assert_true(checked > 0);
    cvm_arena_free(names);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_references_agree_with_every_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
