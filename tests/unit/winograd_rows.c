/* Minimal filtering along rows of batch-blocked pictures: the generated code of a convolution and
 * of both its gradients against their references, and what the pass makes of direct ones. */
#include "compiler/graph/op.h"
#include "compiler/passes/passes.h"
#include "tests/support/checked.h"
#include "tests/support/compiled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

typedef struct Case {
    int64_t n, inputs, h, w, outputs, pad[4], kernel[2], tile;
} Case;

static const Case cases[] = {
    {8, 6, 14, 14, 16, {0, 0, 0, 0}, {5, 5}, 5},  /* LeNet's second */
    {8, 1, 28, 28, 6, {2, 2, 2, 2}, {5, 5}, 4},   /* its first */
    {16, 3, 9, 11, 5, {1, 1, 1, 1}, {3, 3}, 4},   /* cut tiles, two blocks of pictures */
    {8, 2, 7, 13, 3, {0, 2, 1, 0}, {3, 3}, 6},    /* uneven pads, larger tiles */
    {16, 5, 6, 5, 7, {2, 0, 2, 3}, {5, 5}, 2},    /* small tiles, every row at an edge */
    {8, 3, 12, 10, 4, {3, 3, 3, 3}, {7, 7}, 2},   /* wide filters */
    {8, 4, 10, 9, 6, {0, 1, 2, 1}, {2, 3}, 7},    /* filters that are no squares */
    {8, 20, 21, 40, 18, {1, 1, 1, 1}, {3, 3}, 6}, /* inputs in several chunks of rows */
    {8, 1, 1, 1, 1, {1, 1, 1, 1}, {3, 3}, 2},     /* a pixel */
    {8, 3, 3, 2, 2, {5, 6, 4, 7}, {5, 5}, 5},     /* more pad than picture */
};

enum { CASES = sizeof cases / sizeof *cases };

static CvmNode *blocked(CvmGraph *graph, const char *name, CvmShape shape, int lanes) {
    return checked_relayout(graph, checked_input(graph, name, shape),
                            cvm_arena_format(checked_arena, "batch%d", lanes));
}

static CvmShape shape_of_x(const Case *c) {
    return (CvmShape){4, {c->n, c->inputs, c->h, c->w}};
}

static CvmShape shape_of_y(const Case *c) {
    return (CvmShape){4,
                      {c->n, c->outputs, c->h + c->pad[0] + c->pad[2] - c->kernel[0] + 1,
                       c->w + c->pad[1] + c->pad[3] - c->kernel[1] + 1}};
}

static CvmShape shape_of_weight(const Case *c) {
    return (CvmShape){4, {c->outputs, c->inputs, c->kernel[0], c->kernel[1]}};
}

static void set_attributes(const Case *c, CvmAttribute attributes[4]) {
    CvmAttribute ones = {.integers = {1, 1}};
    attributes[0] = attributes[2] = attributes[3] = ones;
    attributes[1] = (CvmAttribute){.integers = {c->pad[0], c->pad[1], c->pad[2], c->pad[3]}};
}

/* The convolution with bias, a sum and relu behind it, and a pooling where one is asked for. */
static CvmGraph *make_forward(const Case *c, int lanes, CvmOp pooling) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "forward");
    CvmAttribute attributes[5] = {[4] = {.integers = {c->tile}}}, none = {{0}};
    set_attributes(c, attributes);
    CvmNode *y = checked_add(graph, CVM_OP_WINOGRAD_ROWS, attributes, 2,
                             blocked(graph, "x", shape_of_x(c), lanes),
                             checked_input(graph, "weight", shape_of_weight(c)));
    y = checked_add(graph, CVM_OP_BIAS, NULL, 2, y,
                    checked_input(graph, "bias", (CvmShape){1, {c->outputs}}));
    y = checked_add(graph, CVM_OP_ADD, NULL, 2, y, blocked(graph, "other", y->type.shape, lanes));
    y = checked_add(graph, CVM_OP_RELU, NULL, 1, y, NULL);
    if (pooling != CVM_OP_INPUT) {
        CvmAttribute size = {.integers = {2, 2}};
        CvmAttribute windows[] = {size, size, none, none, none};
        CvmNode *pooled = checked_add(graph, pooling, windows, 1, y, NULL);
        if (pooling == CVM_OP_MAXPOOL)
            cvm_graph_output(
                graph, "index",
                checked_relayout(
                    graph, checked_add(graph, CVM_OP_MAXPOOL_INDEX, windows, 1, y, NULL), "plain"));
        y = pooled;
    }
    cvm_graph_output(graph, "y", checked_relayout(graph, y, "plain"));
    return graph;
}

static void test_forward(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i++)
        checked_run(make_forward(&cases[i], i % 3 == 2 ? 4 : 8, CVM_OP_INPUT), checked_arena,
                    "rows", i % 2 ? "none,+fuse-epilogue" : "none", 3e-4f);
    if (cvm_target_lanes("host") == 16)
        checked_run(make_forward(&cases[2], 16, CVM_OP_INPUT), checked_arena, "rows", "none",
                    3e-4f);
}

static void test_pooled(void **state) {
    (void)state;
    for (size_t i = 0; i < 4; i++)
        checked_run(make_forward(&cases[i], 8, i == 2 ? CVM_OP_AVGPOOL : CVM_OP_MAXPOOL),
                    checked_arena, "rows", "none,+fuse-epilogue,+fuse-pool", 3e-4f);
}

/* The gradient of the pictures, and what a ReLU before them makes of it. */
static CvmGraph *make_grad_input(const Case *c, int lanes) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "grad_input");
    CvmAttribute attributes[7] = {[4] = {.integers = {c->h, c->w}}, [6] = {.integers = {c->tile}}};
    set_attributes(c, attributes);
    CvmNode *dx = checked_add(graph, CVM_OP_WINOGRAD_ROWS_GRAD_INPUT, attributes, 2,
                              blocked(graph, "dy", shape_of_y(c), lanes),
                              checked_input(graph, "weight", shape_of_weight(c)));
    dx = checked_add(graph, CVM_OP_RELU_GRAD, NULL, 2, dx,
                     blocked(graph, "x", shape_of_x(c), lanes));
    cvm_graph_output(graph, "y", checked_relayout(graph, dx, "plain"));
    return graph;
}

static void test_gradient_of_pictures(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i += i < 2 ? 1 : 2)
        checked_run(make_grad_input(&cases[i], i % 3 == 1 ? 4 : 8), checked_arena, "rows",
                    i % 2 ? "none,+fuse-epilogue" : "none", 3e-4f);
}

static CvmGraph *make_grad_weight(const Case *c, int lanes) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "grad_weight");
    CvmAttribute attributes[6] = {
        [4] = {.integers = {c->kernel[0], c->kernel[1]}}, [5] = {.integers = {c->tile}}};
    set_attributes(c, attributes);
    CvmNode *dy = blocked(graph, "dy", shape_of_y(c), lanes);
    CvmNode *dw = checked_add(graph, CVM_OP_WINOGRAD_ROWS_GRAD_WEIGHT, attributes, 2,
                              blocked(graph, "x", shape_of_x(c), lanes), dy);
    cvm_graph_output(graph, "bias", checked_add(graph, CVM_OP_BIAS_GRAD, NULL, 1, dy, NULL));
    dw = checked_add(graph, CVM_OP_ADD, NULL, 2, dw, checked_input(graph, "old", dw->type.shape));
    cvm_graph_output(graph, "y", dw);
    return graph;
}

static void test_gradient_of_filters(void **state) {
    (void)state;
    for (size_t i = 0; i < CASES; i += i < 1 ? 1 : 2)
        checked_run(make_grad_weight(&cases[i], i % 3 == 0 ? 4 : 8), checked_arena, "rows",
                    i % 2 ? "none" : "none,+fuse-epilogue,+fuse-bias-grad", 3e-4f);
}

/* --- the pass --- */

static int count_op(const CvmGraph *graph, CvmOp op) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        count += graph->nodes[i]->op == op;
    return count;
}

/* How many of two convolutions, one of which has a stride, are filtered along rows. */
static int replaced(const Case *c, CvmConvolution convolution) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "two");
    CvmAttribute attributes[4];
    for (int i = 0; i < 2; i++) {
        set_attributes(c, attributes);
        attributes[0] = (CvmAttribute){.integers = {1 + i, 1}};
        CvmNode *x = checked_input(graph, i ? "x" : "v", shape_of_x(c));
        CvmNode *weight = checked_input(graph, i ? "w" : "u", shape_of_weight(c));
        cvm_graph_output(graph, i ? "y" : "z",
                         checked_add(graph, CVM_OP_CONV, attributes, 2, x, weight));
    }
    CvmPassContext context = {
        .diag = &checked_diag, .vector_lanes = 8, .convolution = convolution, .verify = true};
    CvmPassChoice choice;
    assert_true(cvm_pass_choice(NULL, &choice, &checked_diag));
    assert_true(cvm_run_passes(&choice, &context, graph));
    assert_int_equal(count_op(graph, CVM_OP_WINOGRAD_ROWS) + count_op(graph, CVM_OP_CONV), 2);
    return count_op(graph, CVM_OP_WINOGRAD_ROWS);
}

static void test_pass_follows_its_model_or_what_is_asked(void **state) {
    (void)state;
    assert_int_equal(replaced(&cases[0], CVM_CONVOLUTION_AUTO), 1);
    assert_int_equal(replaced(&cases[0], CVM_CONVOLUTION_DIRECT), 0);
    assert_int_equal(replaced(&cases[0], CVM_CONVOLUTION_WINOGRAD), 1);
}

static void test_wide_pads_are_left_to_the_direct_way(void **state) {
    (void)state;
    assert_int_equal(replaced(&cases[CASES - 1], CVM_CONVOLUTION_WINOGRAD), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_forward, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pooled, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_gradient_of_pictures, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_gradient_of_filters, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pass_follows_its_model_or_what_is_asked,
                                        checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_wide_pads_are_left_to_the_direct_way, checked_set_up,
                                        checked_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
