/* See checked.h. */
#include "tests/support/checked.h"

#include "compiler/graph/evaluate.h"
#include "tests/support/compiled.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

CvmArena *checked_arena;
CvmDiag checked_diag;

int checked_set_up(void **state) {
    (void)state;
    checked_arena = cvm_arena_create();
    cvm_diag_init(&checked_diag, checked_arena);
    return 0;
}

int checked_tear_down(void **state) {
    (void)state;
    cvm_arena_free(checked_arena);
    return 0;
}

CvmNode *checked_input(CvmGraph *graph, const char *name, CvmShape shape) {
    return cvm_graph_input(graph, name, CVM_F32, shape, (CvmOrigin){.name = "x"});
}

CvmNode *checked_add(CvmGraph *graph, CvmOp op, const CvmAttribute *attributes, int count, ...) {
    CvmNode *inputs[CHECKED_OPERANDS];
    assert_in_range(count, 0, CHECKED_OPERANDS);
    va_list operands;
    va_start(operands, count);
    for (int i = 0; i < count; i++)
        inputs[i] = va_arg(operands, CvmNode *);
    va_end(operands);
    CvmNode *node = cvm_graph_add(graph, op, inputs, count, attributes, (CvmOrigin){.name = "x"},
                                  &checked_diag);
    if (!node) {
        cvm_diag_print(&checked_diag, stderr);
        fail_msg("%s", "the graph of a test does not hold");
    }
    return node;
}

CvmNode *checked_relayout(CvmGraph *graph, CvmNode *x, const char *to) {
    return checked_add(graph, CVM_OP_RELAYOUT, &(CvmAttribute){.text = to}, 1, x);
}

/* Values in about [-1, 1], the same on every machine. Labels for i32. */
static const void *values_of(void *context, const CvmNode *node) {
    CvmArena *arena = context;
    int64_t count;
    assert_true(cvm_shape_count(&node->type.shape, &count));
    float *values = cvm_arena_array(arena, (size_t)count, 4);
    uint32_t state = 12345;
    for (const char *letter = node->origin.name; *letter; letter++)
        state = state * 31 + (unsigned char)*letter;
    for (int64_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        if (node->type.dtype == CVM_I32)
            ((int32_t *)values)[i] = (int32_t)(state >> 16) % 7;
        else
            values[i] = (float)((int32_t)(state >> 8) % 2001 - 1000) / 1000.0f;
    }
    return values;
}

static void compare(const char *what, const char *cpu, const float *expected, const float *got,
                    int64_t count, float tolerance) {
    for (int64_t i = 0; i < count; i++)
        if (!(fabsf(expected[i] - got[i]) <= tolerance * (1 + fabsf(expected[i]))))
            fail_msg("%s for %s: element %lld is %.9g, and the reference gives %.9g", what, cpu,
                     (long long)i, (double)got[i], (double)expected[i]);
}

void checked_fill(Compiled *compiled, const CvmGraph *graph, CvmArena *arena) {
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        int64_t count;
        cvm_shape_count(&node->type.shape, &count);
        if (node->op == CVM_OP_INPUT || node->op == CVM_OP_PARAMETER)
            compiled_set(compiled, node->origin.name, values_of(arena, node), count);
    }
}

static void check_cpu(const CvmGraph *graph, CvmArena *arena, const CvmValues *expected,
                      const char *what, const char *passes, const char *cpu, float tolerance) {
    Compiled compiled = compiled_open(cvm_graph_copy(graph, arena), passes, cpu, 2);
    checked_fill(&compiled, graph, arena);
    compiled_run(&compiled);
    for (int i = 0; i < graph->output_count; i++) {
        const CvmNamedValue *output = &graph->outputs[i];
        int64_t count;
        cvm_shape_count(&output->value->type.shape, &count);
        compare(what, cpu, expected->data[output->value->id],
                compiled_output(&compiled, output->name), count, tolerance);
    }
    compiled_close(&compiled);
}

void checked_run(CvmGraph *graph, CvmArena *arena, const char *what, const char *passes,
                 float tolerance) {
    static int turn;
    CvmValues expected = cvm_evaluate(graph, arena, values_of, arena);
    const char *const *cpus = compiled_cpus();
    int count = 0;
    while (cpus[count])
        count++;
    int first = getenv("CVM_SANITIZED") ? turn++ % count : 0;
    int end = getenv("CVM_SANITIZED") ? first + 1 : count;
    for (int i = first; i < end; i++)
        check_cpu(graph, arena, &expected, what, passes, cpus[i], tolerance);
}
