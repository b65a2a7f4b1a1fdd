/* The memory plan, checked by playing the step through: every byte of the arena remembers which
 * tensor was stored there last, and every kernel must find its operands whole. The checker shares
 * nothing with the planner but the meaning of groups. */
#include "compiler/graph/op.h"
#include "compiler/passes/passes.h"
#include "runtime/plan.h"
#include "tests/support/random_graph.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { GRAPHS = 400, NOBODY = -1 };

typedef struct Play {
    const CvmGraph *graph;
    const CvmMemoryPlan *plan;
    int *owner; /* by 4 bytes of the arena: id of the tensor there */
} Play;

static bool has_kernel(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS;
}

static const CvmNode *root_of(const CvmNode *node) {
    while (cvm_op_info(node->op)->class == CVM_CLASS_ALIAS)
        node = node->inputs[0];
    return node;
}

static int64_t bytes_of(const CvmNode *node) {
    int64_t count;
    assert_true(cvm_shape_count(&node->type.shape, &count));
    return count * (int64_t)cvm_dtype_bytes(node->type.dtype);
}

static bool lies_in_slot(const CvmGraph *graph, const CvmNode *root) {
    for (int i = 0; i < graph->update_count; i++)
        if (graph->updates[i].value == root)
            return true;
    return root->op == CVM_OP_PARAMETER;
}

/* Where a value lies: what is kept from step to step behind everything else. */
static int64_t place_of(const CvmMemoryPlan *plan, const CvmNode *value) {
    int64_t offset = plan->offsets[value->id];
    return offset >= 0 && plan->kept[root_of(value)->id] ? plan->arena_bytes + offset : offset;
}

static void store(Play *play, const CvmNode *node) {
    int64_t offset = place_of(play->plan, node), end = play->plan->arena_bytes;
    assert_true(offset >= 0 && offset % CVM_ALIGNMENT == 0);
    if (play->plan->kept[node->id])
        end += play->plan->prepared_bytes;
    assert_true(offset + bytes_of(node) <= end);
    for (int64_t i = 0; i < bytes_of(node) / 4; i++)
        play->owner[offset / 4 + i] = node->id;
}

static void assert_whole(const Play *play, const CvmNode *value) {
    const CvmNode *root = root_of(value);
    if (root->op == CVM_OP_CONSTANT || lies_in_slot(play->graph, root))
        return;
    int64_t offset = place_of(play->plan, value);
    assert_int_equal(offset, place_of(play->plan, root));
    assert_true(offset >= 0);
    for (int64_t i = 0; i < bytes_of(root) / 4; i++)
        if (play->owner[offset / 4 + i] != root->id)
            fail_msg("%%%d was overwritten by %%%d before its last use", root->id,
                     play->owner[offset / 4 + i]);
}

static bool in_step(const CvmNode *const *nodes, int count, const CvmNode *value) {
    for (int i = 0; i < count; i++)
        if (nodes[i] == value)
            return true;
    return false;
}

static bool is_stored(const CvmGraph *graph, const CvmNode *const *nodes, int count,
                      const CvmNode *value) {
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == value)
            return true;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k] == value && !in_step(nodes, count, graph->nodes[i]))
                return true;
    return false;
}

static bool is_pointwise(const CvmNode *node) {
    return cvm_op_info(node->op)->class == CVM_CLASS_POINTWISE;
}

/* A result may lie exactly on an operand that is read element by element, and else on none. */
static void assert_apart(const Play *play, const CvmNode *const *nodes, int count,
                         const CvmNode *result) {
    int64_t begin = place_of(play->plan, result), end = begin + bytes_of(result);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < nodes[i]->input_count; k++) {
            const CvmNode *operand = nodes[i]->inputs[k];
            int64_t offset = place_of(play->plan, operand);
            if (offset < 0 || end <= offset || offset + bytes_of(operand) <= begin)
                continue;
            assert_true(is_pointwise(nodes[0]));
            assert_int_equal(offset, begin);
            assert_true(cvm_shape_equal(&operand->type.shape, &result->type.shape));
        }
}

static void play_kernel(Play *play, const CvmNode *const *nodes, int count) {
    for (int i = 0; i < count; i++)
        for (int k = 0; k < nodes[i]->input_count; k++)
            if (!in_step(nodes, count, nodes[i]->inputs[k]))
                assert_whole(play, nodes[i]->inputs[k]);
    for (int i = 0; i < count; i++) {
        if (lies_in_slot(play->graph, nodes[i]) ||
            !is_stored(play->graph, nodes, count, nodes[i])) {
            assert_int_equal(play->plan->offsets[nodes[i]->id], -1);
            continue;
        }
        assert_apart(play, nodes, count, nodes[i]);
        store(play, nodes[i]);
    }
    for (int i = 0; i < count; i++) /* the results of one kernel lie apart */
        if (play->plan->offsets[nodes[i]->id] >= 0)
            assert_whole(play, nodes[i]);
}

static void check_plan(const CvmGraph *graph, const CvmMemoryPlan *plan) {
    assert_int_equal(plan->arena_bytes % CVM_ALIGNMENT, 0);
    assert_true(plan->lower_bound <= plan->arena_bytes);
    int64_t bytes = plan->arena_bytes + plan->prepared_bytes;
    Play play = {graph, plan, malloc((size_t)bytes + 4)};
    for (int64_t i = 0; i < bytes / 4; i++)
        play.owner[i] = NOBODY;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_INPUT)
            store(&play, graph->nodes[i]);
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_INPUT)
            assert_whole(&play, graph->nodes[i]);
    for (int i = 0, next; i < graph->node_count; i = next) {
        const CvmNode *const *nodes = (const CvmNode *const *)graph->nodes + i;
        for (next = i + 1; next < graph->node_count && nodes[0]->group != CVM_NO_GROUP &&
                           graph->nodes[next]->group == nodes[0]->group;)
            next++;
        if (has_kernel(nodes[0]))
            play_kernel(&play, nodes, next - i);
    }
    for (int i = 0; i < graph->node_count; i++) /* for the next step */
        if (plan->kept[graph->nodes[i]->id] && plan->offsets[graph->nodes[i]->id] >= 0)
            assert_whole(&play, graph->nodes[i]);
    for (int i = 0; i < graph->output_count; i++) {
        assert_true(plan->offsets[graph->outputs[i].value->id] >= 0);
        assert_whole(&play, graph->outputs[i].value);
    }
    free(play.owner);
}

static void tensors_alive_never_overlap(void **state) {
    (void)state;
    double taken = 0, needed = 0;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 104729};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(graph);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        CvmPassContext context = {.diag = &diag, .vector_lanes = 2, .verify = true};
        assert_true(cvm_run_passes(&choice, &context, graph));
        CvmMemoryPlan plan;
        assert_true(cvm_plan_memory(graph, arena, &plan, &diag));
        check_plan(graph, &plan);
        taken += (double)plan.arena_bytes;
        needed += (double)plan.lower_bound;
        cvm_arena_free(arena);
    }
    assert_true(taken < 1.1 * needed); /* and little is wasted */
}

static CvmGraph *parse(const char *text, CvmArena *arena, CvmDiag *diag) {
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){.path = "test", .text = text, .length = strlen(text)};
    CvmGraph *graph = cvm_graph_parse(arena, source, diag);
    assert_non_null(graph);
    return graph;
}

static void sizes_that_overflow_are_reported(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmGraph *graph = cvm_graph_create(arena, "large");
    CvmShape shape = {.rank = 4, .sizes = {1 << 20, 1 << 20, 1 << 20, 4}};
    CvmNode *image = cvm_graph_input(graph, "image", CVM_F32, shape, (CvmOrigin){0});
    cvm_graph_output(graph, "image", image);
    CvmMemoryPlan plan;
    assert_false(cvm_plan_memory(graph, arena, &plan, &diag));
    assert_int_equal(diag.first->code, 1601);
    cvm_arena_free(arena);
}

static void sums_that_overflow_are_reported(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmGraph *graph = cvm_graph_create(arena, "many");
    CvmShape shape = {.rank = 3, .sizes = {1 << 20, 1 << 20, 1 << 20}};
    for (int i = 0; i < 4; i++)
        cvm_graph_input(graph, cvm_arena_format(arena, "input%d", i), CVM_F32, shape,
                        (CvmOrigin){0});
    CvmMemoryPlan plan;
    assert_false(cvm_plan_memory(graph, arena, &plan, &diag));
    assert_int_equal(diag.first->code, 1601);
    cvm_arena_free(arena);
}

static void an_output_in_a_slot_is_reported_unless_settled(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmGraph *graph = parse("graph g {\n"
                            "  %0 = parameter w {kind=\"weight\", bound=0, fill=1} : f32[4]\n"
                            "  output w = %0\n"
                            "}\n",
                            arena, &diag);
    CvmMemoryPlan plan;
    assert_false(cvm_plan_memory(graph, arena, &plan, &diag));
    assert_int_equal(diag.first->code, 1606);
    CvmDiag settled;
    cvm_diag_init(&settled, arena);
    CvmPassChoice none = {0};
    CvmPassContext context = {.diag = &settled, .vector_lanes = 4, .verify = true};
    assert_true(cvm_run_passes(&none, &context, graph));
    assert_true(cvm_plan_memory(graph, arena, &plan, &settled));
    check_plan(graph, &plan);
    cvm_arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_alive_never_overlap),
        cmocka_unit_test(sizes_that_overflow_are_reported),
        cmocka_unit_test(sums_that_overflow_are_reported),
        cmocka_unit_test(an_output_in_a_slot_is_reported_unless_settled),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
