/* cvmc dump: what it prints of graphs reads back to the same graphs, for every model that comes
 * with cvm; what it draws, Graphviz reads. */
#include "compiler/graph/graph.h"
#include "tests/support/small_place.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void check_reads_back(const char *path, const char *text) {
    CvmArena *arena = cvm_arena_create();
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){.path = path, .text = text, .length = strlen(text)};
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmGraph *graph = cvm_graph_parse(arena, source, &diag);
    if (!graph)
        cvm_diag_print(&diag, stderr);
    assert_non_null(graph);
    /* places are those in the text that was read, not those it tells of */
    CvmGraph *again = cvm_graph_copy(graph, arena);
    char *printed = cvm_graph_text(graph, false, arena);
    assert_string_equal(cvm_graph_text(again, false, arena), printed);
    const char *line = text;
    for (char *own = printed; *own; own = strchr(own, '\n') + 1) {
        size_t length = strcspn(own, "\n");
        assert_int_equal(strncmp(line, own, length), 0);
        assert_true(line[length] == '\n' || strncmp(line + length, " @ ", 3) == 0);
        line = strchr(line, '\n') + 1;
    }
    assert_int_equal(*line, 0);
    cvm_arena_free(arena);
}

static void check_stage(const char *path, const char *stage, const char *option) {
    CvmTestResult result = cvm_test_cvmc(&place, "dump", path, "--stage", stage, option, NULL);
    if (result.code != 0)
        fail_msg("%s at stage %s: %s", path, stage, result.err);
    check_reads_back(path, result.out);
    cvm_test_result_free(&result);
}

static void graphs_of_all_models_read_back(void **state) {
    (void)state;
    char folder[512], path[1024];
    snprintf(folder, sizeof folder, "%s/models", getenv("CVM_SOURCE_DIR"));
    DIR *models = opendir(folder);
    assert_non_null(models);
    int count = 0;
    for (struct dirent *entry; (entry = readdir(models));) {
        const char *ending = strrchr(entry->d_name, '.');
        if (!ending || strcmp(ending, ".cvm") != 0)
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        check_stage(path, "graph", NULL);
        check_stage(path, "fused", NULL);
        check_stage(path, "graph", "--forward");
        check_stage(path, "fused", "--forward");
        count++;
    }
    closedir(models);
    assert_true(count >= 10);
}

static void every_stage_is_stable(void **state) {
    (void)state;
    static const char *const stages[] = {"ast", "graph", "fused", "kernels", "plan", "llvm", "asm"};
    for (size_t i = 0; i < sizeof stages / sizeof *stages; i++) {
        CvmTestResult one =
            cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", stages[i], "--forward", NULL);
        CvmTestResult two =
            cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", stages[i], "--forward", NULL);
        assert_int_equal(one.code, 0);
        assert_string_equal(one.out, two.out);
        cvm_test_result_free(&one);
        cvm_test_result_free(&two);
    }
}

/* A graph that was printed, and perhaps changed by hand, is a file like another. */
static void stages_go_on_from_a_graph(void **state) {
    (void)state;
    CvmTestResult graph =
        cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", "graph", "--forward", NULL);
    cvm_test_write_text(&place, "small.graph", graph.out);
    CvmTestResult program =
        cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", "kernels", "--forward", NULL);
    CvmTestResult result = cvm_test_cvmc(&place, "dump", "small.graph", "--stage", "kernels", NULL);
    assert_int_equal(result.code, 0);
    assert_string_equal(result.out, program.out);
    cvm_test_result_free(&graph);
    cvm_test_result_free(&program);
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 0, "layout", NULL, "passes", "small.graph", NULL);
    cvm_test_expect(&place, 2, NULL, "is a graph already", "dump", "small.graph", "--stage",
                    "graph", "--batch", "2", NULL);
    cvm_test_write_text(&place, "broken.graph", "graph g {\n  %0 = relu x (%1) : f32[1]\n}\n");
    cvm_test_expect(&place, 1, NULL, "broken.graph:2", "dump", "broken.graph", "--stage", "graph",
                    NULL);
    cvm_test_expect(&place, 3, NULL, "no.graph", "passes", "no.graph", NULL);
}

static void before_and_after_stand_side_by_side(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", "fused", "--dot",
                                         "--before-after", "--forward", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.out, "before the passes"));
    assert_non_null(strstr(result.out, "after the passes"));
    assert_non_null(strstr(result.out, "cluster_after_0"));
    assert_null(strstr(result.out, "cluster_before_0"));
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 2, NULL, "--before-after needs", "dump", "small.cvm", "--stage",
                    "fused", "--before-after", NULL);
    cvm_test_expect(&place, 2, NULL, "either --dot or --svg", "dump", "small.cvm", "--stage",
                    "fused", "--dot", "--svg", NULL);
    cvm_test_expect(&place, 2, NULL, "--svg draws", "dump", "small.cvm", "--stage", "plan", "--svg",
                    NULL);
}

/* With Graphviz it is a picture; without, an error that says what is missing. */
static void pictures_are_drawn_by_graphviz(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "dump", "small.cvm", "--stage", "fused", "--svg",
                                         "--before-after", "--forward", NULL);
    if (result.code == 0)
        assert_non_null(strstr(result.out, "</svg>"));
    else
        assert_non_null(strstr(result.err, "Graphviz"));
    assert_true(result.code == 0 || result.code == 3);
    cvm_test_result_free(&result);
    char *path = strdup(getenv("PATH"));
    setenv("PATH", "/nowhere", 1);
    cvm_test_expect(&place, 3, NULL, "apt install graphviz", "dump", "small.cvm", "--stage",
                    "graph", "--svg", NULL);
    setenv("PATH", path, 1);
    free(path);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(graphs_of_all_models_read_back),
        cmocka_unit_test(every_stage_is_stable),
        cmocka_unit_test(stages_go_on_from_a_graph),
        cmocka_unit_test(before_and_after_stand_side_by_side),
        cmocka_unit_test(pictures_are_drawn_by_graphviz),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
