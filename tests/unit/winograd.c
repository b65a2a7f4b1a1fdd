/* Winograd convolutions: that minimal filtering is the same convolution, the generated code against
 * its reference, and what the pass makes of ordinary convolutions. */
#include "compiler/ops/winograd.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/op.h"
#include "tests/support/checked.h"
#include "tests/support/compiled.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

/* y of a 1-dimensional tile by the matrices, for inputs x and taps w. */
static double filtered(const CvmWinogradMatrices *m, int at, const double *x, const double *w) {
    double y = 0;
    for (int f = 0; f < m->side; f++) {
        double input = 0, weight = 0;
        for (int k = 0; k < m->side; k++)
            input += m->input[f][k] * x[k];
        for (int k = 0; k < m->taps; k++)
            weight += m->weight[f][k] * w[k];
        y += m->result[at][f] * input * weight;
    }
    return y;
}

static void test_matrices_filter(void **state) {
    (void)state;
    static const double x[] = {1, -2, 0.5, 3, -0.25, 7, 0, -1.5, 2.5},
                        w[] = {0.75, -3, 2, 0.5, -1, 0.25, 4};
    for (int64_t at = 0; at < 9 * 9; at++) {
        int64_t tile = at / 9, taps = at % 9;
        if (!cvm_winograd_has_line(tile, taps))
            continue;
        CvmWinogradMatrices matrices = cvm_winograd_matrices(tile, taps);
        assert_int_equal(matrices.side, tile + taps - 1);
        for (int i = 0; i < tile; i++) {
            double direct = 0;
            for (int64_t k = 0; k < taps; k++)
                direct += x[i + k] * w[k];
            assert_true(fabs(filtered(&matrices, i, x, w) - direct) < 1e-12);
        }
    }
    for (int64_t tile = 2; tile <= 6; tile += 2)
        assert_true(cvm_winograd_has(tile, 3));
    assert_true(cvm_winograd_has(7, 3));
    assert_false(cvm_winograd_has(3, 7));
    assert_true(cvm_winograd_has(2, 5) && cvm_winograd_has(4, 5));
    assert_false(cvm_winograd_has(3, 3) || cvm_winograd_has(6, 5) || cvm_winograd_has(2, 1));
    assert_true(cvm_winograd_has_line(5, 5) && cvm_winograd_has_line(7, 3));
    assert_false(cvm_winograd_has(5, 5) || cvm_winograd_has_line(6, 5));
}

/* --- kernels --- */

typedef struct Case {
    int64_t n, inputs, h, w, outputs, pad[4], taps, tile, groups; /* inputs: of a group */
} Case;

static const Case cases[] = {
    {1, 16, 8, 8, 16, {1, 1, 1, 1}, 3, 2, 1},   /* whole tiles of 2 and 4 */
    {2, 16, 7, 13, 48, {1, 1, 1, 1}, 3, 4, 1},  /* cut ones */
    {1, 32, 5, 4, 16, {0, 0, 0, 0}, 3, 6, 1},   /* no pad; smaller than a tile of 6 */
    {3, 16, 3, 3, 32, {2, 0, 1, 2}, 3, 2, 1},   /* uneven pads, every tile at an edge */
    {2, 16, 9, 14, 16, {2, 2, 2, 2}, 5, 4, 1},  /* 5x5 filters, whole tiles and cut ones */
    {1, 16, 6, 5, 32, {0, 2, 1, 0}, 5, 2, 1},   /* uneven pads of less than they take */
    {1, 16, 1, 1, 16, {1, 1, 1, 1}, 3, 4, 1},   /* one pixel */
    {1, 48, 30, 26, 80, {1, 1, 1, 1}, 3, 6, 1}, /* several work items */
    {2, 32, 27, 27, 48, {2, 2, 2, 2}, 5, 4, 1}, /* the same for 5x5 */
    {1, 160, 7, 9, 32, {1, 1, 1, 1}, 3, 4, 1},  /* filters in two chunks of channels */
    {1, 16, 13, 9, 64, {1, 1, 1, 1}, 3, 4, 2},  /* two groups of channels */
    {2, 32, 14, 11, 96, {2, 2, 2, 2}, 5, 4, 3}, /* three */
    {2, 16, 14, 9, 32, {1, 1, 1, 1}, 3, 7, 1},  /* largest tiles, whole and cut ones */
    {1, 160, 57, 8, 64, {1, 1, 1, 1}, 3, 7, 1}, /* sums of two chunks of channels */
};

/* The convolution with minimal filtering, of weights transformed before or of filters; and the same
 * directly, or with bias, a sum and relu behind it. */
static CvmGraph *make_graph(const Case *c, int64_t tile, int lanes, bool filters, bool direct) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "winograd");
    const char *channel = cvm_arena_format(checked_arena, "channel%d", lanes);
    const char *filter = cvm_arena_format(checked_arena, "filter%d", lanes);
    CvmNode *x =
        checked_input(graph, "x", (CvmShape){4, {c->n, c->groups * c->inputs, c->h, c->w}});
    CvmNode *weight =
        checked_input(graph, "weight", (CvmShape){4, {c->outputs, c->inputs, c->taps, c->taps}});
    CvmAttribute pad = {.integers = {c->pad[0], c->pad[1], c->pad[2], c->pad[3]}};
    CvmAttribute ones = {.integers = {1, 1}};
    CvmNode *used = checked_relayout(graph, weight, filter);
    if (!filters)
        used = checked_add(graph, CVM_OP_WINOGRAD_WEIGHT, &(CvmAttribute){.integers = {tile}}, 1,
                           used, NULL);
    CvmNode *y = checked_add(graph, CVM_OP_WINOGRAD,
                             (CvmAttribute[]){pad, {.integers = {tile}}, {.integers = {c->groups}}},
                             2, checked_relayout(graph, x, channel), used);
    if (direct) {
        y = checked_relayout(graph, y, "plain");
        cvm_graph_output(graph, "direct",
                         checked_add(graph, CVM_OP_CONV,
                                     (CvmAttribute[]){ones, pad, ones, {.integers = {c->groups}}},
                                     2, x, weight));
    } else {
        y = checked_add(graph, CVM_OP_BIAS, NULL, 2, y,
                        checked_input(graph, "bias", (CvmShape){1, {c->outputs}}));
        y = checked_add(
            graph, CVM_OP_ADD, NULL, 2, y,
            checked_relayout(graph, checked_input(graph, "other", y->type.shape), channel));
        y = checked_relayout(graph, checked_add(graph, CVM_OP_RELU, NULL, 1, y, NULL), "plain");
    }
    cvm_graph_output(graph, "y", y);
    return graph;
}

static const void *small_values(void *context, const CvmNode *node) {
    (void)context;
    int64_t count;
    cvm_shape_count(&node->type.shape, &count);
    float *values = cvm_arena_array(checked_arena, (size_t)count, sizeof *values);
    for (int64_t i = 0; i < count; i++)
        values[i] = (float)(i * 7919 % 201 - 100) / 100;
    return values;
}

/* That the references of "y" and "direct" agree. */
static void check_reference(const CvmGraph *graph) {
    CvmValues values = cvm_evaluate(graph, checked_arena, small_values, NULL);
    const CvmNode *direct = cvm_graph_find_output(graph, "direct");
    const float *expected = values.data[direct->id];
    const float *got = values.data[cvm_graph_find_output(graph, "y")->id];
    int64_t count;
    cvm_shape_count(&direct->type.shape, &count);
    for (int64_t k = 0; k < count; k++)
        assert_true(fabsf(expected[k] - got[k]) < 1e-4f);
}

static void test_reference_is_a_convolution(void **state) {
    (void)state;
    for (size_t i = 0; i < 6; i++)
        for (int64_t tile = 2; tile <= CVM_WINOGRAD_SIDE; tile++)
            if (cvm_winograd_has(tile, cases[i].taps))
                check_reference(make_graph(&cases[i], tile, 8, i % 2, true));
}

static void test_kernels(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int lanes = i % 2 ? 4 : 8;
        bool filters = cases[i].tile < 7 && (i % 2 == 0 || cases[i].inputs > 100);
        float tolerance = cases[i].tile < 7 ? 3e-4f : 1e-3f; /* sums are of up to 1440 products */
        checked_run(make_graph(&cases[i], cases[i].tile, lanes, filters, false), checked_arena,
                    "winograd", i % 4 ? "none,+fuse-epilogue" : "none", tolerance);
    }
    if (cvm_target_lanes("host") == 16)
        checked_run(make_graph(&cases[1], 4, 16, false, false), checked_arena, "winograd", "none",
                    3e-4f);
}

/* Pooling joins the kernel where its windows divide the tiles; the picture's last row and column
 * may lie in no window. */
static void test_pooled(void **state) {
    (void)state;
    for (size_t i = 1; i < sizeof cases / sizeof *cases; i += 3) { /* with cut tiles */
        const Case *c = &cases[i];
        int64_t window = c->tile == 6 ? 3 : c->tile == 7 ? 7 : 2;
        CvmGraph *graph = make_graph(c, c->tile, 8, c->tile < 7 && i % 2, false);
        CvmNode *relu = graph->outputs[0].value->inputs[0];
        CvmAttribute size = {.integers = {window, window}}, none = {{0}};
        CvmNode *pooled =
            checked_add(graph, i != 4 ? CVM_OP_MAXPOOL : CVM_OP_AVGPOOL,
                        (CvmAttribute[]){size, size, none, none, none}, 1, relu, NULL);
        graph->outputs[0].value = checked_relayout(graph, pooled, "plain");
        checked_run(graph, checked_arena, "winograd", "none,+fuse-epilogue,+fuse-pool", 3e-4f);
    }
}

/* The gradient of the filters by minimal filtering, tiles of dy being `tile` wide; and the same
 * directly. */
static CvmGraph *make_gradient(const Case *c, int64_t tile, int lanes, bool direct) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "gradient");
    const char *channel = cvm_arena_format(checked_arena, "channel%d", lanes);
    CvmNode *x =
        checked_input(graph, "x", (CvmShape){4, {c->n, c->groups * c->inputs, c->h, c->w}});
    CvmShape result = {4,
                       {c->n, c->outputs, c->h + c->pad[0] + c->pad[2] - c->taps + 1,
                        c->w + c->pad[1] + c->pad[3] - c->taps + 1}};
    CvmNode *dy = checked_input(graph, "dy", result);
    CvmAttribute pad = {.integers = {c->pad[0], c->pad[1], c->pad[2], c->pad[3]}};
    CvmAttribute ones = {.integers = {1, 1}}, taps = {.integers = {c->taps, c->taps}};
    CvmAttribute groups = {.integers = {c->groups}};
    CvmNode *inside = checked_relayout(graph, dy, channel);
    CvmNode *dw =
        checked_add(graph, CVM_OP_WINOGRAD_GRAD_WEIGHT,
                    (CvmAttribute[]){pad, {.integers = {tile}}, {.integers = {c->taps}}, groups}, 2,
                    checked_relayout(graph, x, channel), inside);
    if (!direct)
        cvm_graph_output(graph, "bias",
                         checked_add(graph, CVM_OP_BIAS_GRAD, NULL, 1, inside, NULL));
    cvm_graph_output(graph, "y", checked_relayout(graph, dw, "plain"));
    if (direct)
        cvm_graph_output(graph, "direct",
                         checked_add(graph, CVM_OP_CONV_GRAD_WEIGHT,
                                     (CvmAttribute[]){ones, pad, ones, groups, taps}, 2, x, dy));
    return graph;
}

static void test_gradient(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t tile = cases[i].taps == 5 || i % 3 == 0 ? 4 : i % 3 == 1 ? 6 : 2;
        if (i < 6 || cases[i].groups > 1)
            check_reference(make_gradient(&cases[i], tile, 8, true));
        checked_run(make_gradient(&cases[i], tile, i % 2 ? 8 : 4, false), checked_arena, "gradient",
                    "none,+fuse-bias-grad", 3e-4f);
    }
    if (cvm_target_lanes("host") == 16)
        checked_run(make_gradient(&cases[1], 4, 16, false), checked_arena, "gradient", "none",
                    3e-4f);
}

/* --- the pass --- */

static int count_op(const CvmGraph *graph, CvmOp op) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        count += graph->nodes[i]->op == op;
    return count;
}

/* How many of two convolutions, one of 32 x 32 pixels and one of a single pixel, become Winograd's.
 */
static int replaced(CvmConvolution convolution) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "two");
    for (int i = 0; i < 2; i++) {
        const char *name = i ? "x" : "one", *weight = i ? "w" : "v";
        int64_t size = i ? 32 : 1;
        CvmNode *x = checked_input(graph, name, (CvmShape){4, {1, 128, size, size}});
        CvmNode *w = checked_input(graph, weight, (CvmShape){4, {128, 128, 3, 3}});
        CvmAttribute ones = {.integers = {1, 1, 1, 1}};
        CvmAttribute attributes[] = {ones, ones, ones, ones};
        cvm_graph_output(graph, i ? "y" : "z",
                         checked_add(graph, CVM_OP_CONV, attributes, 2, x, w));
    }
    CvmPassContext context = {
        .diag = &checked_diag, .vector_lanes = 8, .convolution = convolution, .verify = true};
    CvmPassChoice choice;
    assert_true(cvm_pass_choice(NULL, &choice, &checked_diag));
    assert_true(cvm_run_passes(&choice, &context, graph));
    assert_int_equal(count_op(graph, CVM_OP_WINOGRAD) + count_op(graph, CVM_OP_CONV), 2);
    return count_op(graph, CVM_OP_WINOGRAD);
}

static void test_pass_follows_its_model_or_what_is_asked(void **state) {
    (void)state;
    assert_int_equal(replaced(CVM_CONVOLUTION_AUTO), 1);
    assert_int_equal(replaced(CVM_CONVOLUTION_DIRECT), 0);
    assert_int_equal(replaced(CVM_CONVOLUTION_WINOGRAD), 2);
}

static void test_ways_have_names(void **state) {
    (void)state;
    CvmConvolution way;
    assert_true(cvm_convolution_parse("winograd", &way, &checked_diag));
    assert_int_equal(way, CVM_CONVOLUTION_WINOGRAD);
    assert_true(cvm_convolution_parse(NULL, &way, &checked_diag));
    assert_int_equal(way, CVM_CONVOLUTION_AUTO);
    assert_false(cvm_convolution_parse("fft", &way, &checked_diag));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_matrices_filter),
        cmocka_unit_test_setup_teardown(test_reference_is_a_convolution, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_kernels, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pooled, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_gradient, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pass_follows_its_model_or_what_is_asked,
                                        checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_ways_have_names, checked_set_up, checked_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
