/* Passes keep what a graph computes: random training graphs under random choices of passes give the
 * same outputs and updates by the reference functions, and every stage is accepted by the verifier.
 * And the choice of passes is read as documented. */
#include "compiler/passes/passes.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/op.h"
#include "compiler/kernels/lower.h"
#include "tests/support/random_graph.h"
#include "tests/support/sources.h"

#include <math.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { GRAPHS = 300 };

/* --- the choice of passes --- */

static bool enabled(const CvmPassChoice *choice, const char *name) {
    int row = cvm_pass_find(name);
    assert_true(row >= 0);
    for (int i = 0; i < choice->count; i++)
        if (choice->order[i] == row)
            return true;
    return false;
}

static CvmPassChoice choose(const char *text) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmPassChoice choice;
    cvm_diag_init(&diag, arena);
    assert_true(cvm_pass_choice(text, &choice, &diag));
    assert_int_equal(diag.error_count, 0);
    cvm_arena_free(arena);
    return choice;
}

static void default_is_what_the_table_says(void **state) {
    (void)state;
    int count, expected = 0;
    const CvmPass *passes = cvm_passes(&count);
    for (int i = 0; i < count; i++)
        expected += passes[i].enabled;
    const char *const texts[] = {NULL, "", "default", "none,default"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CvmPassChoice choice = choose(texts[i]);
        assert_int_equal(choice.count, expected);
    }
}

static void none_leaves_no_pass(void **state) {
    (void)state;
    CvmPassChoice choice = choose("none");
    assert_int_equal(choice.count, 0);
}

static void signs_add_and_remove(void **state) {
    (void)state;
    CvmPassChoice all = choose("default"), choice = choose("-cse, -layout");
    assert_false(enabled(&choice, "cse"));
    assert_false(enabled(&choice, "layout"));
    assert_int_equal(choice.count, all.count - 2);
    choice = choose("none,+cse");
    assert_true(enabled(&choice, "cse"));
    assert_int_equal(choice.count, 1);
}

static void a_list_of_names_stands_for_itself(void **state) {
    (void)state;
    CvmPassChoice choice = choose("dead-code,fuse-loss");
    assert_true(enabled(&choice, "dead-code"));
    assert_true(enabled(&choice, "fuse-loss"));
    assert_int_equal(choice.count, 2);
    choice = choose("dead-code,cse,dead-code");
    CvmArena *arena = cvm_arena_create();
    assert_string_equal(cvm_pass_choice_text(&choice, arena), "dead-code,cse,dead-code");
    choice = choose("none,+dead-code,+cse"); /* signs keep the table's order */
    assert_string_equal(cvm_pass_choice_text(&choice, arena), "cse,dead-code");
    choice = choose("none");
    assert_string_equal(cvm_pass_choice_text(&choice, arena), "none");
    cvm_arena_free(arena);
}

static void limits_are_read_and_written(void **state) {
    (void)state;
    static const char *const wrong[] = {"cse", "cse=",   "cse=-1", "cse=1x",
                                        "=1",  "csee=1", ",cse=1", "cse=99999999999999999999"};
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmPassChoice choice = choose("default");
    assert_null(cvm_pass_limits_text(&choice, arena));
    assert_true(cvm_pass_limits("fuse-loss=0, cse=3", &choice, &diag));
    assert_string_equal(cvm_pass_limits_text(&choice, arena), "cse=3,fuse-loss=0");
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_false(cvm_pass_limits(wrong[i], &choice, &diag));
    assert_int_equal(diag.error_count, sizeof wrong / sizeof *wrong);
    cvm_arena_free(arena);
}

static void unknown_passes_are_reported(void **state) {
    (void)state;
    const char *const texts[] = {"fuse-everything", "default,", ",cse", "-", "+",
                                 "none,cs e",       "--cse"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        CvmPassChoice choice;
        cvm_diag_init(&diag, arena);
        bool known = cvm_pass_choice(texts[i], &choice, &diag);
        /* a comma at the very end separates nothing */
        assert_int_equal(known, !strcmp(texts[i], "default,"));
        assert_int_equal(diag.error_count, known ? 0 : 1);
        if (!known)
            assert_int_equal(diag.first->code, 1170);
        cvm_arena_free(arena);
    }
}

/* --- what graphs compute --- */

static void assert_same_elements(const CvmType *type, const float *expected, const float *actual,
                                 const char *name) {
    int64_t count;
    assert_true(cvm_shape_count(&type->shape, &count));
    for (int64_t i = 0; i < count; i++) {
        double error = fabs((double)expected[i] - actual[i]);
        if (!(error <= 1e-5 * (1 + fabs((double)expected[i]))))
            fail_msg("%s[%d] is %.9g and became %.9g", name, (int)i, (double)expected[i],
                     (double)actual[i]);
    }
}

static const CvmNode *find_update(const CvmGraph *graph, const char *name) {
    for (int i = 0; i < graph->update_count; i++)
        if (!strcmp(graph->updates[i].name, name))
            return graph->updates[i].value;
    fail_msg("the update of %s is gone", name);
    return NULL;
}

static void assert_same_results(const CvmGraph *before, const CvmGraph *after,
                                CvmTestSources *sources) {
    CvmValues expected = cvm_evaluate(before, sources->arena, cvm_test_elements, sources);
    CvmValues actual = cvm_evaluate(after, sources->arena, cvm_test_elements, sources);
    assert_int_equal(before->output_count, after->output_count);
    assert_int_equal(before->update_count, after->update_count);
    for (int i = 0; i < before->output_count; i++) {
        const char *name = before->outputs[i].name;
        const CvmNode *was = before->outputs[i].value, *is = cvm_graph_find_output(after, name);
        assert_non_null(is);
        assert_int_equal(is->type.layout, CVM_LAYOUT_PLAIN);
        assert_same_elements(&was->type, expected.data[was->id], actual.data[is->id], name);
    }
    for (int i = 0; i < before->update_count; i++) {
        const char *name = before->updates[i].name;
        const CvmNode *was = before->updates[i].value, *is = find_update(after, name);
        assert_same_elements(&was->type, expected.data[was->id], actual.data[is->id], name);
    }
}

/* All passes, those too that are off by default, in the table's order. */
static CvmPassChoice every_pass(void) {
    CvmPassChoice choice = choose("none");
    cvm_passes(&choice.count);
    for (int i = 0; i < choice.count; i++)
        choice.order[i] = i;
    return choice;
}

/* With every limit lower than what a pass does, it does just that much, and the graph is whole. */
static void limits_cut_passes_off_anywhere(void **state) {
    (void)state;
    int pass_count;
    cvm_passes(&pass_count);
    for (uint64_t seed = 1; seed <= GRAPHS / 20; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 104729};
        CvmGraph *before = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(before);
        CvmTestSources sources = {arena, seed};
        CvmPassLog whole = cvm_pass_log(arena);
        CvmPassChoice choice = every_pass();
        CvmPassContext context = {.diag = &diag, .vector_lanes = 2, .log = &whole, .verify = true};
        assert_true(cvm_run_passes(&choice, &context, cvm_graph_copy(before, arena)));
        for (int pass = 0; pass < pass_count; pass++) {
            int most = whole.reports[pass].applications;
            CvmPassLog log = cvm_pass_log(arena);
            CvmGraph *after = cvm_graph_copy(before, arena);
            choice = every_pass();
            choice.limits[pass] = most ? (int)cvm_test_pick(&random, 0, most - 1) : 0;
            context.log = &log;
            assert_true(cvm_run_passes(&choice, &context, after));
            assert_int_equal(log.reports[pass].applications, choice.limits[pass]);
            assert_same_results(before, after, &sources);
        }
        cvm_arena_free(arena);
    }
}

static void random_graphs_keep_their_results(void **state) {
    (void)state;
    int fused = 0, blocked = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 1000003};
        CvmGraph *before = cvm_test_random_graph(&random, arena, &diag);
        if (!before)
            cvm_diag_print(&diag, stderr);
        assert_non_null(before);
        CvmGraph *after = cvm_graph_copy(before, arena);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        CvmPassContext context = {.diag = &diag, .vector_lanes = 2, .verify = true};
        if (!cvm_run_passes(&choice, &context, after)) {
            cvm_diag_print(&diag, stderr);
            cvm_graph_print(after, false, stderr);
            fail_msg("passes failed on graph %d", (int)seed);
        }
        CvmTestSources sources = {arena, seed};
        assert_same_results(before, after, &sources);
        for (int i = 0; i < after->node_count; i++) {
            fused += after->nodes[i]->group != CVM_NO_GROUP;
            blocked += after->nodes[i]->type.layout == CVM_LAYOUT_BATCH;
        }
        cvm_arena_free(arena);
    }
    assert_true(fused > GRAPHS);
    assert_true(blocked > GRAPHS);
}

/* The limits of fusion are those of kernels. */
static void every_group_becomes_a_kernel(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 15485863};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(graph);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        CvmPassContext context = {.diag = &diag, .vector_lanes = 2, .verify = true};
        assert_true(cvm_run_passes(&choice, &context, graph));
        CvmKernelList kernels;
        bool lowered = cvm_lower_graph(graph, (CvmTargetShape){.lanes = 2, .registers = 16}, arena,
                                       &kernels, &diag);
        if (!lowered) {
            cvm_diag_print(&diag, stderr);
            cvm_graph_print(graph, false, stderr);
        }
        assert_true(lowered);
        for (int i = 0; i < kernels.count; i++)
            assert_true(kernels.kernels[i]->form != CVM_KERNEL_REDUCE ||
                        kernels.kernels[i]->result_count > 0);
        cvm_arena_free(arena);
    }
}

static void running_the_passes_again_changes_nothing(void **state) {
    (void)state;
    for (uint64_t seed = 1; seed <= GRAPHS / 10; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 7919};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(graph);
        CvmPassChoice choice = choose("default");
        CvmPassContext context = {.diag = &diag, .vector_lanes = 2, .verify = true};
        assert_true(cvm_run_passes(&choice, &context, graph));
        const char *once = cvm_graph_text(graph, false, arena);
        assert_true(cvm_run_passes(&choice, &context, graph));
        assert_string_equal(cvm_graph_text(graph, false, arena), once);
        cvm_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_is_what_the_table_says),
        cmocka_unit_test(none_leaves_no_pass),
        cmocka_unit_test(signs_add_and_remove),
        cmocka_unit_test(a_list_of_names_stands_for_itself),
        cmocka_unit_test(limits_are_read_and_written),
        cmocka_unit_test(limits_cut_passes_off_anywhere),
        cmocka_unit_test(unknown_passes_are_reported),
        cmocka_unit_test(random_graphs_keep_their_results),
        cmocka_unit_test(every_group_becomes_a_kernel),
        cmocka_unit_test(running_the_passes_again_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
