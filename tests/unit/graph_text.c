/* The graph's text form: what is printed reads back to the same, and every breach of the IR's rules
 * is found, whether in text or in a graph made by hand. */
#include "compiler/graph/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char sound[] =
    "graph Net {\n"
    "  %0 = input image : f32[32, 1, 8, 8]\n"
    "  %1 = parameter body.conv1.weight {kind=\"weight\", bound=0.25, fill=0} : f32[4, 1, 3, 3]\n"
    "  %2 = parameter body.conv1.bias {kind=\"weight\", bound=0, fill=1.5} : f32[4]\n"
    "  %9 = relayout image (%0) {to=\"batch16\"} : f32[32, 1, 8, 8] batch16\n"
    "  group 0 {\n"
    "    %3 = conv body.conv1 (%9, %1) {stride=[1, 2], pad=[1, 1, 1, 1], dilation=[1, 1], groups=1}"
    " : f32[32, 4, 8, 4] batch16\n"
    "    %4 = bias body.conv1 (%3, %2) : f32[32, 4, 8, 4] batch16\n"
    "  }\n"
    "  %5 = constant {value=0.5} : f32[4]\n"
    "  %6 = add \"odd name\\\\\\\"\" (%2, %5) : f32[4]\n"
    "  output y = %4\n"
    "  update body.conv1.bias = %6\n"
    "}\n";

static CvmGraph *parse(CvmArena *arena, CvmDiag *diag, const char *text) {
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){.path = "test.graph", .text = text, .length = strlen(text)};
    cvm_diag_init(diag, arena);
    return cvm_graph_parse(arena, source, diag);
}

static void test_text_reads_back(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmGraph *graph = parse(arena, &diag, sound);
    if (!graph)
        cvm_diag_print(&diag, stderr);
    assert_non_null(graph);
    assert_string_equal(cvm_graph_text(graph, false, arena), sound);
    assert_string_equal(cvm_graph_text(cvm_graph_copy(graph, arena), false, arena), sound);
    char *with_places = cvm_graph_text(graph, true, arena);
    assert_non_null(strstr(with_places, ": f32[32, 1, 8, 8] @ \"test.graph\":2:4\n"));
    assert_string_equal(cvm_graph_text(parse(arena, &diag, with_places), true, arena), with_places);
    cvm_arena_free(arena);
}

/* The hash names a model: places do not count, attributes do. */
static void test_hash(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmGraph *graph = parse(arena, &diag, sound);
    uint64_t hash = cvm_graph_hash(graph);
    graph->nodes[0]->origin.span.first_line = 77;
    assert_true(cvm_graph_hash(graph) == hash);
    ((CvmAttribute *)cvm_node_attribute(graph->nodes[2], "fill"))->real = 2;
    assert_true(cvm_graph_hash(graph) != hash);
    cvm_arena_free(arena);
}

typedef struct Breach {
    const char *text;
    int code;
} Breach;

#define G(body) "graph g {\n" body "}\n"
#define X "  %0 = input x : f32[2, 3]\n"

static const Breach breaches[] = {
    {"", 1400},
    {"graph g {", 1400},
    {G(X) "more", 1400},
    {G("  %0 = nothing x : f32[2]\n"), 1400},
    {G("  %0 = input x : f16[2]\n"), 1400},
    {G("  %0 = input x : f32[0]\n"), 1400},
    {G("  %0 = input x : f32[9, 9, 9, 9, 9]\n"), 1400},
    {G("  %0 = input x : f32[281474976710656, 281474976710656]\n"), 1400},
    {G("  %99999999999 = input x : f32[2]\n"), 1400},
    {G(X "  %0 = relu r (%0) : f32[2, 3]\n"), 1400},
    {G("  %1 = relu r (%0) : f32[2, 3]\n"), 1400},
    {G(X "  %1 = relu r (%0) : f32[3, 2]\n"), 1400},
    {G(X "  %1 = relu r (%0, %0) : f32[2, 3]\n"), 1400},
    {G(X "  %1 = scale s (%0) {factr=2} : f32[2, 3]\n"), 1400},
    {G(X "  group 0 {\n    group 1 {\n    }\n  }\n"), 1400},
    {G(X "  output y = %4\n"), 1400},
    {G("  %0 = input : f32[2]\n"), 1415},
    {G(X "  %1 = input x : f32[2]\n"), 1416},
    {G(X "  group 0 {\n    %1 = relu a (%0) : f32[2, 3]\n  }\n  %2 = relu b (%0) : f32[2, 3]\n"
         "  group 0 {\n    %3 = relu c (%0) : f32[2, 3]\n  }\n"),
     1418},
    {G(X "  output y = %0\n  output y = %0\n"), 1420},
    {G(X "  update x = %0\n"), 1421},
    {G(X "  %1 = parameter p {kind=\"weight\", bound=0, fill=0} : f32[2]\n  update p = %0\n"),
     1422},
    {G("  %0 = input x : f32[2, 3]\n  %1 = linear l (%0, %0) : f32[2, 2]\n"
       "  %2 = conv c (%0, %1) {stride=[0, 0], pad=[0, 0, 0, 0], dilation=[1, 1], groups=1} : "
       "f32[1]\n"),
     1430},
};

static void test_breaches_are_told(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof breaches / sizeof breaches[0]; i++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        CvmGraph *graph = parse(arena, &diag, breaches[i].text);
        bool told = false;
        for (const CvmDiagnostic *one = diag.first; one; one = one->next)
            told |= one->code == breaches[i].code;
        if (graph || !told) {
            cvm_diag_print(&diag, stderr);
            fail_msg("expected CVM%d for\n%s", breaches[i].code, breaches[i].text);
        }
        cvm_arena_free(arena);
    }
}

static int first_code(const CvmGraph *graph, CvmArena *arena) {
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    return cvm_graph_verify(graph, &diag) ? 0 : diag.first->code;
}

/* What a pass could break, and text cannot say. */
static void test_the_verifier_finds_what_passes_could_break(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmGraph *graph = parse(arena, &diag, sound);
    assert_int_equal(first_code(graph, arena), 0);
    CvmGraph *broken = cvm_graph_copy(graph, arena);
    broken->nodes[4]->inputs[0] = broken->nodes[5];
    assert_int_equal(first_code(broken, arena), 1411);
    broken = cvm_graph_copy(graph, arena);
    broken->nodes[4]->type.layout = CVM_LAYOUT_PLAIN;
    assert_int_equal(first_code(broken, arena), 1414);
    broken = cvm_graph_copy(graph, arena);
    broken->nodes[0]->type.layout = CVM_LAYOUT_BATCH;
    assert_int_equal(first_code(broken, arena), 1413);
    broken = cvm_graph_copy(graph, arena);
    broken->nodes[1]->id = broken->nodes[0]->id;
    assert_int_not_equal(first_code(broken, arena), 0);
    broken = cvm_graph_copy(graph, arena);
    broken->nodes[3]->group = 5;
    assert_int_equal(first_code(broken, arena), 1417);
    broken = cvm_graph_copy(graph, arena);
    broken->nodes[0]->type.shape.sizes[0] = 0;
    assert_int_equal(first_code(broken, arena), 1412);
    cvm_arena_free(arena);
}

/* An update is made in place, so whoever still reads the old value is put before it. */
static void test_sorting_puts_readers_before_the_update(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmGraph *graph = parse(arena, &diag,
                            "graph g {\n"
                            "  %0 = parameter p {kind=\"weight\", bound=0, fill=0} : f32[2]\n"
                            "  %1 = scale half (%0) {factor=0.5} : f32[2]\n"
                            "  %2 = relu late (%0) : f32[2]\n"
                            "  output y = %2\n  update p = %1\n}\n");
    assert_non_null(graph);
    assert_true(cvm_graph_sort(graph));
    assert_int_equal(graph->nodes[1]->id, 2);
    assert_int_equal(graph->nodes[2]->id, 1);
    cvm_arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_reads_back),
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_breaches_are_told),
        cmocka_unit_test(test_the_verifier_finds_what_passes_could_break),
        cmocka_unit_test(test_sorting_puts_readers_before_the_update),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
