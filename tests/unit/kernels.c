/* Generated code against the references of compiler/ops, op by op: plain and batch-blocked layouts,
 * with and without fusion, for every vector width this machine can run, over shapes that do not
 * divide into blocks. */
#include "compiler/graph/op.h"
#include "compiler/ops/conv_layout.h"
#include "tests/support/checked.h"
#include "tests/support/compiled.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const CvmOrigin nowhere = {.name = "x"};

static CvmShape shape4(int64_t n, int64_t c, int64_t h, int64_t w) {
    return (CvmShape){4, {n, c, h, w}};
}

static CvmShape shape2(int64_t n, int64_t c) {
    return (CvmShape){2, {n, c}};
}

static void check(CvmGraph *graph, const char *what, const char *passes) {
    checked_run(graph, checked_arena, what, passes, 1e-4f);
}

typedef struct ConvCase {
    const char *name;
    int64_t n, channels, h, w, outputs, kernel[2], stride[2], pad[4], dilation[2], groups;
} ConvCase;

static const ConvCase conv_cases[] = {
    {"3x3", 2, 5, 9, 7, 11, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"5x5 wide", 16, 1, 6, 29, 6, {5, 5}, {1, 1}, {2, 2, 2, 2}, {1, 1}, 1},
    {"3x3 stride 2", 3, 4, 11, 14, 6, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 1},
    {"stride 3 of 2", 1, 3, 13, 13, 4, {2, 2}, {3, 3}, {0, 0, 0, 0}, {1, 1}, 1},
    {"11x11 stride 4", 1, 3, 31, 31, 7, {11, 11}, {4, 4}, {2, 2, 2, 2}, {1, 1}, 1},
    {"groups", 2, 8, 6, 6, 12, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 4},
    {"depthwise", 2, 6, 8, 8, 6, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 6},
    {"dilation", 2, 3, 15, 12, 5, {3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2}, 1},
    {"dilation and stride", 2, 3, 15, 12, 5, {3, 2}, {2, 3}, {1, 2, 3, 0}, {3, 2}, 1},
    {"1x1", 2, 33, 5, 5, 17, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"uneven pads", 1, 2, 7, 9, 3, {4, 2}, {1, 1}, {0, 1, 3, 0}, {1, 1}, 1},
    {"one pixel out", 2, 3, 5, 5, 4, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"more taps than are unrolled", 1, 2, 22, 22, 3, {20, 20}, {1, 1}, {3, 3, 3, 3}, {1, 1}, 1},
};

static void conv_attributes(const ConvCase *c, CvmAttribute *attributes) {
    memset(attributes, 0, CVM_MAX_ATTRIBUTES * sizeof *attributes);
    memcpy(attributes[0].integers, c->stride, sizeof c->stride);
    memcpy(attributes[1].integers, c->pad, sizeof c->pad);
    memcpy(attributes[2].integers, c->dilation, sizeof c->dilation);
    attributes[3].integers[0] = c->groups;
}

/* In the layout called `kind` with so many lanes; plain when they are 0. */
static CvmNode *relayout_to(CvmGraph *graph, CvmNode *x, const char *kind, int64_t lanes) {
    CvmAttribute to = {.text = lanes ? cvm_arena_format(checked_arena, "%s%d", kind, (int)lanes)
                                     : "plain"};
    return checked_add(graph, CVM_OP_RELAYOUT, &to, 1, x, NULL, NULL);
}

static CvmNode *relayout(CvmGraph *graph, CvmNode *x, int64_t lanes) {
    return relayout_to(graph, x, "batch", lanes);
}

/* Forward and both gradients; lanes > 0: batch-blocked by it. */
static CvmGraph *conv_graph(const ConvCase *c, int64_t lanes) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "conv");
    int64_t n = lanes ? lanes * 2 : c->n;
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES];
    conv_attributes(c, attributes);
    CvmNode *x = checked_input(graph, "x", shape4(n, c->channels, c->h, c->w));
    CvmNode *weight = checked_input(
        graph, "weight", shape4(c->outputs, c->channels / c->groups, c->kernel[0], c->kernel[1]));
    CvmNode *inside = lanes ? relayout(graph, x, lanes) : x;
    CvmNode *y = checked_add(graph, CVM_OP_CONV, attributes, 2, inside, weight, NULL);
    CvmNode *dy = checked_input(graph, "dy", y->type.shape);
    CvmNode *dy_inside = lanes ? relayout(graph, dy, lanes) : dy;
    attributes[4].integers[0] = c->h;
    attributes[4].integers[1] = c->w;
    CvmNode *dx =
        checked_add(graph, CVM_OP_CONV_GRAD_INPUT, attributes, 2, dy_inside, weight, NULL);
    memcpy(attributes[4].integers, c->kernel, sizeof c->kernel);
    CvmNode *dw =
        checked_add(graph, CVM_OP_CONV_GRAD_WEIGHT, attributes, 2, inside, dy_inside, NULL);
    cvm_graph_output(graph, "y", lanes ? relayout(graph, y, 0) : y);
    cvm_graph_output(graph, "dx", lanes ? relayout(graph, dx, 0) : dx);
    cvm_graph_output(graph, "dw", dw);
    cvm_graph_output(graph, "db",
                     checked_add(graph, CVM_OP_BIAS_GRAD, NULL, 1, dy_inside, NULL, NULL));
    return graph;
}

static void test_conv(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i++)
        check(conv_graph(&conv_cases[i], 0), conv_cases[i].name,
              i % 2 ? "none" : "none,+fuse-bias-grad");
}

static void test_conv_batch_blocked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof conv_cases / sizeof conv_cases[0]; i += 2)
        for (int64_t lanes = 4; lanes <= cvm_target_lanes("host"); lanes *= 2)
            check(conv_graph(&conv_cases[i], lanes), conv_cases[i].name,
                  i % 4 ? "none" : "none,+fuse-bias-grad");
}

/* Channels that fit blocks of 8; the first has 3 inputs, read from plain pictures. */
static const ConvCase channel_cases[] = {
    {"first layer", 2, 3, 13, 17, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"first layer of one channel", 1, 1, 9, 8, 24, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"11x11 stride 4", 1, 3, 31, 31, 16, {11, 11}, {4, 4}, {2, 2, 2, 2}, {1, 1}, 1},
    {"12 plain inputs", 2, 12, 5, 6, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"3x3", 2, 16, 14, 14, 32, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"3x3 wide", 1, 8, 5, 61, 24, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"3x3 many channels", 1, 136, 6, 7, 40, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"3x3 stride 2", 3, 8, 15, 13, 16, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 1},
    {"1x1", 2, 24, 7, 9, 16, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"1x1 stride 2", 1, 16, 9, 9, 8, {1, 1}, {2, 2}, {0, 0, 0, 0}, {1, 1}, 1},
    {"dilation", 1, 8, 15, 12, 8, {3, 3}, {1, 1}, {2, 2, 2, 2}, {2, 2}, 1},
    {"uneven pads", 1, 8, 7, 9, 8, {4, 2}, {1, 1}, {0, 1, 3, 0}, {1, 1}, 1},
    {"one pixel out", 2, 8, 5, 5, 16, {5, 5}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"groups", 1, 32, 6, 6, 48, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"groups of few inputs", 1, 8, 6, 6, 32, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"depthwise", 2, 16, 11, 9, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 16},
    {"depthwise stride 2", 1, 8, 12, 13, 8, {5, 5}, {2, 2}, {2, 2, 2, 2}, {1, 1}, 8},
    {"20x20", 1, 8, 22, 22, 8, {20, 20}, {1, 1}, {3, 3, 3, 3}, {1, 1}, 1},
    {"narrow groups of 4", 2, 16, 7, 17, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 4},
    {"narrow groups of 2, stride 2", 1, 8, 9, 13, 8, {5, 3}, {2, 2}, {2, 1, 2, 1}, {1, 1}, 4},
    {"narrow groups, 20x20", 1, 8, 22, 22, 8, {20, 20}, {1, 1}, {3, 3, 3, 3}, {1, 1}, 2},
    {"depth multiplier 3", 2, 8, 7, 17, 24, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 8},
    {"groups of 4 to 8", 1, 8, 6, 11, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"groups of 8 to 4", 1, 16, 6, 11, 8, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"groups of 12 to 20", 1, 24, 5, 9, 40, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 2},
};

/* Gradients alone are compiled for these, and fewer of them for each CPU: they are much code. */
static const ConvCase gradient_cases[] = {
    {"11x11 stride 4 of few", 2, 3, 19, 23, 8, {11, 11}, {4, 4}, {2, 2, 2, 2}, {1, 1}, 1},
    {"chunks of rows", 1, 8, 7, 90, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1},
    {"parts of inputs", 1, 32, 3, 3, 16, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"3x3 stride 2, groups", 2, 32, 6, 7, 32, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 2},
    {"groups of few inputs", 1, 8, 4, 4, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 2},
    {"depthwise stride 2", 1, 16, 6, 5, 16, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 16},
    {"depthwise, sums in copies", 2, 8, 3, 29, 8, {2, 5}, {1, 1}, {0, 2, 1, 2}, {1, 1}, 8},
    {"narrow groups of 4", 2, 16, 5, 9, 16, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 4},
    {"narrow groups of 2, stride 2", 1, 8, 7, 9, 8, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 4},
    {"depth multiplier 2, stride 2", 1, 8, 7, 9, 16, {3, 3}, {2, 2}, {1, 1, 1, 1}, {1, 1}, 8},
    {"groups of 12 to 6", 1, 48, 4, 5, 24, {3, 2}, {1, 1}, {1, 1, 1, 0}, {1, 1}, 4},
    {"items of several tiles", 1, 8, 3, 11, 192, {1, 1}, {1, 1}, {0, 0, 0, 0}, {1, 1}, 1},
    {"dilation", 1, 8, 7, 8, 8, {3, 2}, {1, 1}, {2, 2, 2, 2}, {2, 3}, 1},
    {"uneven pads", 1, 8, 7, 9, 8, {4, 2}, {1, 1}, {0, 1, 3, 0}, {1, 1}, 1},
    {"pad wider than the kernel", 1, 8, 5, 4, 8, {2, 1}, {1, 1}, {3, 1, 2, 2}, {1, 1}, 1},
    {"more edges than are apart", 1, 8, 16, 18, 8, {1, 16}, {1, 1}, {0, 7, 0, 7}, {1, 1}, 1},
};

/* With bias, relu and a sum behind it, fused or not. */
static CvmGraph *conv_in_channels(const ConvCase *c, int64_t lanes) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "conv");
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES];
    conv_attributes(c, attributes);
    int64_t inputs = c->channels / c->groups;
    CvmShape shape = shape4(c->outputs, inputs, c->kernel[0], c->kernel[1]);
    CvmLayoutKind wanted;
    assert_true(cvm_conv_in_channels(&shape, c->groups, (int)lanes, &wanted));
    bool blocked = wanted == CVM_LAYOUT_CHANNEL;
    CvmNode *x = checked_input(graph, "x", shape4(c->n, c->channels, c->h, c->w));
    CvmNode *weight = checked_input(graph, "weight", shape);
    CvmNode *bias = checked_input(graph, "bias", (CvmShape){1, {c->outputs}});
    CvmNode *y = checked_add(graph, CVM_OP_CONV, attributes, 2,
                             blocked ? relayout_to(graph, x, "channel", lanes) : x,
                             relayout_to(graph, weight, "filter", lanes), NULL);
    CvmNode *other = checked_input(graph, "other", y->type.shape);
    y = checked_add(graph, CVM_OP_BIAS, NULL, 2, y, bias, NULL);
    y = checked_add(graph, CVM_OP_ADD, NULL, 2, y, relayout_to(graph, other, "channel", lanes),
                    NULL);
    y = checked_add(graph, CVM_OP_RELU, NULL, 1, y, NULL, NULL);
    cvm_graph_output(graph, "y", relayout(graph, y, 0));
    cvm_graph_output(graph, "sums", checked_add(graph, CVM_OP_BIAS_GRAD, NULL, 1, y, NULL, NULL));
    cvm_graph_output(graph, "weight",
                     relayout(graph, relayout_to(graph, weight, "filter", lanes), 0));
    return graph;
}

static void test_conv_channel_blocked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof channel_cases / sizeof channel_cases[0]; i++) {
        const ConvCase *c = &channel_cases[i];
        check(conv_in_channels(c, 8), c->name, i % 2 ? "none" : "none,+fuse-epilogue");
        int64_t lanes = cvm_target_lanes("host");
        if (lanes != 8 && c->outputs / c->groups % lanes == 0)
            check(conv_in_channels(c, lanes), c->name, "none,+fuse-epilogue");
    }
}

/* Every other output of conv_graph. */
static CvmGraph *conv_gradients(const ConvCase *c) {
    CvmGraph *graph = conv_graph(c, 0);
    graph->outputs++; /* the convolution itself is no longer one */
    graph->output_count--;
    return graph;
}

/* The layout pass blocks all of them by channels, as their batches fill no vectors; it turns the
 * gradients of pictures into convolutions where the stride is 1. */
static void test_conv_gradients_channel_blocked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof gradient_cases / sizeof gradient_cases[0]; i++)
        check(conv_gradients(&gradient_cases[i]), gradient_cases[i].name,
              i % 2 ? "none,+layout,+dead-code" : "none,+layout,+fuse-epilogue,+fuse-bias-grad");
}

/* Sums have one order, however the work items are split. */
static void test_gradients_give_the_same_bits_on_any_threads(void **state) {
    (void)state;
    const ConvCase c = {"threads", 2, 32, 7, 9, 48, {3, 3}, {1, 1}, {1, 1, 1, 1}, {1, 1}, 1};
    float *first[4] = {NULL};
    for (int threads = 1; threads <= 3; threads++) {
        CvmGraph *graph = conv_gradients(&c);
        CvmNode *dy = checked_input(graph, "rows", shape2(7, 200)),
                *weight = checked_input(graph, "w", shape2(200, 999));
        cvm_graph_output(graph, "strips",
                         checked_add(graph, CVM_OP_LINEAR_GRAD_INPUT, NULL, 2, dy, weight, NULL));
        const char *const names[] = {"dx", "dw", "db", "strips"};
        Compiled compiled =
            compiled_open(cvm_graph_copy(graph, checked_arena),
                          "none,+layout,+fuse-epilogue,+fuse-bias-grad", "host", threads);
        checked_fill(&compiled, graph, checked_arena);
        compiled_run(&compiled);
        for (int i = 0; i < 4; i++) {
            int64_t count;
            cvm_shape_count(&cvm_graph_find_output(graph, names[i])->type.shape, &count);
            const float *found = compiled_output(&compiled, names[i]);
            if (!first[i])
                first[i] = memcpy(cvm_arena_array(checked_arena, (size_t)count, 4), found,
                                  (size_t)count * 4);
            assert_memory_equal(found, first[i], (size_t)count * 4);
        }
        compiled_close(&compiled);
    }
}

/* Turned weights in the plain and the batch-blocked layout: the gradient as forward loops. */
static void test_conv_gradient_with_turned_weights(void **state) {
    (void)state;
    for (size_t i = 1; i < 8; i += 3) {
        const ConvCase *c = &conv_cases[i];
        CvmGraph *graph = conv_graph(c, i % 2 ? 8 : 0);
        graph->outputs++;
        graph->output_count = 1; /* dx */
        for (int k = 0; k < graph->node_count; k++) {
            CvmNode *node = graph->nodes[k];
            CvmAttribute groups = {.integers = {c->groups}};
            if (node->op != CVM_OP_CONV_GRAD_INPUT)
                continue;
            node->inputs[1] =
                checked_add(graph, CVM_OP_TURN_WEIGHT, &groups, 1, node->inputs[1], NULL, NULL);
            node->attributes[5].integers[0] = 1;
            assert_true(cvm_graph_sort(graph));
            break;
        }
        check(graph, c->name, "none,+dead-code");
    }
}

static void test_linear(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{1, 400, 120}, {5, 77, 31}, {64, 84, 10},
                                       {3, 1, 1},     {7, 17, 33}, {7, 333, 200}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t n = sizes[i][0], in = sizes[i][1], out = sizes[i][2];
        CvmGraph *graph = cvm_graph_create(checked_arena, "linear");
        CvmNode *x = checked_input(graph, "x", shape2(n, in)),
                *dy = checked_input(graph, "dy", shape2(n, out));
        CvmNode *weight = checked_input(graph, "weight", shape2(out, in));
        cvm_graph_output(graph, "y", checked_add(graph, CVM_OP_LINEAR, NULL, 2, x, weight, NULL));
        cvm_graph_output(graph, "dx",
                         checked_add(graph, CVM_OP_LINEAR_GRAD_INPUT, NULL, 2, dy, weight, NULL));
        cvm_graph_output(graph, "dw",
                         checked_add(graph, CVM_OP_LINEAR_GRAD_WEIGHT, NULL, 2, x, dy, NULL));
        cvm_graph_output(graph, "db",
                         checked_add(graph, CVM_OP_BIAS_GRAD, NULL, 1, dy, NULL, NULL));
        CvmNode *masked = checked_add(graph, CVM_OP_LINEAR_GRAD_INPUT, NULL, 2, dy, weight, NULL);
        masked = checked_add(graph, CVM_OP_BIAS, NULL, 2, masked,
                             checked_input(graph, "b", (CvmShape){1, {in}}), NULL);
        masked = checked_add(graph, CVM_OP_RELU_GRAD, NULL, 2, masked, x, NULL);
        cvm_graph_output(graph, "masked", masked);
        check(graph, "linear", "none,+fuse-epilogue");
        check(graph, "linear", "none,+fuse-bias-grad");
    }
}

/* Weights that a batch shares: with features, inputs and pictures that no tile and no chunk
 * divides; the last ones are few enough for work items of some pictures. */
static void test_large_linear(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {
        {2, 2300, 131}, {7, 777, 401}, {16, 1029, 257}, {45, 600, 450}, {32, 300, 131}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        int64_t n = sizes[i][0], in = sizes[i][1], out = sizes[i][2];
        CvmGraph *graph = cvm_graph_create(checked_arena, "large_linear");
        CvmNode *x = checked_input(graph, "x", shape2(n, in)),
                *weight = checked_input(graph, "w", shape2(out, in));
        CvmNode *y = checked_add(graph, CVM_OP_LINEAR, NULL, 2, x, weight, NULL);
        y = checked_add(graph, CVM_OP_BIAS, NULL, 2, y,
                        checked_input(graph, "b", (CvmShape){1, {out}}), NULL);
        cvm_graph_output(graph, "y", checked_add(graph, CVM_OP_RELU, NULL, 1, y, NULL, NULL));
        check(graph, "large linear", i % 2 ? "none" : "none,+fuse-epilogue");
    }
}

typedef struct PoolCase {
    int64_t kernel[2], stride[2], pad[4];
    bool ceil, count_pad;
} PoolCase;

/* In the layout called kind with so many lanes; 0: plain. */
static void pool_graph(CvmGraph *graph, const PoolCase *c, const char *kind, int64_t lanes) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    memcpy(attributes[0].integers, c->kernel, sizeof c->kernel);
    memcpy(attributes[1].integers, c->stride, sizeof c->stride);
    memcpy(attributes[2].integers, c->pad, sizeof c->pad);
    attributes[3].integers[0] = c->ceil;
    attributes[4].integers[0] = c->count_pad;
    CvmNode *x =
        checked_input(graph, "x", shape4(lanes ? lanes : 2, *kind == 'c' ? 2 * lanes : 3, 13, 11));
    CvmNode *inside = lanes ? relayout_to(graph, x, kind, lanes) : x;
    CvmNode *largest = checked_add(graph, CVM_OP_MAXPOOL, attributes, 1, inside, NULL, NULL);
    CvmNode *mean = checked_add(graph, CVM_OP_AVGPOOL, attributes, 1, inside, NULL, NULL);
    CvmNode *dy = checked_input(graph, "dy", mean->type.shape);
    CvmNode *dy_inside = lanes ? relayout_to(graph, dy, kind, lanes) : dy;
    CvmNode *index = checked_add(graph, CVM_OP_MAXPOOL_INDEX, attributes, 1, inside, NULL, NULL);
    CvmAttribute back[CVM_MAX_ATTRIBUTES];
    memcpy(back, attributes, sizeof back);
    back[4] = (CvmAttribute){.integers = {13, 11}};
    CvmNode *dmax = checked_add(graph, CVM_OP_MAXPOOL_GRAD, back, 2, dy_inside, index, NULL);
    attributes[5].integers[0] = 13;
    attributes[5].integers[1] = 11;
    CvmNode *dmean = checked_add(graph, CVM_OP_AVGPOOL_GRAD, attributes, 1, dy_inside, NULL, NULL);
    CvmNode *results[] = {largest, mean, index, dmax, dmean};
    static const char *const names[] = {"maxpool", "avgpool", "maxpool_index", "maxpool_grad",
                                        "avgpool_grad"};
    for (int i = 0; i < 5; i++)
        cvm_graph_output(graph, names[i], lanes ? relayout(graph, results[i], 0) : results[i]);
}

static const PoolCase pool_cases[] = {
    {{2, 2}, {2, 2}, {0, 0, 0, 0}, false, true},   {{3, 3}, {2, 2}, {0, 0, 0, 0}, false, true},
    {{3, 3}, {2, 2}, {1, 1, 1, 1}, false, true},   {{2, 3}, {3, 4}, {0, 0, 0, 0}, false, true},
    {{13, 11}, {1, 1}, {0, 0, 0, 0}, false, true}, {{1, 1}, {1, 1}, {0, 0, 0, 0}, false, true},
    {{2, 2}, {2, 2}, {0, 0, 0, 0}, true, true},    {{3, 4}, {3, 3}, {0, 1, 1, 2}, true, true},
    {{3, 3}, {2, 2}, {1, 1, 1, 1}, true, false},   {{2, 2}, {2, 2}, {1, 0, 0, 1}, true, false},
    {{17, 20}, {1, 1}, {2, 6, 2, 6}, true, false}, {{13, 11}, {13, 11}, {0, 0, 0, 0}, false, true},
};

static void test_pool(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pool_cases / sizeof pool_cases[0]; i++)
        for (int64_t lanes = 0; lanes <= cvm_target_lanes("host"); lanes = lanes ? lanes * 2 : 4) {
            CvmGraph *graph = cvm_graph_create(checked_arena, "pool");
            pool_graph(graph, &pool_cases[i], "batch", lanes);
            check(graph, "pooling", "none");
        }
}

static void test_pool_channel_blocked(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof pool_cases / sizeof pool_cases[0]; i++) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "pool");
        pool_graph(graph, &pool_cases[i], "channel", cvm_target_lanes("host"));
        check(graph, "pooling over channels", "none");
    }
}

static void test_adaptive_and_global_pool(void **state) {
    (void)state;
    static const int64_t sizes[][2] = {{6, 6}, {13, 4}, {1, 3}, {16, 20}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int64_t round = 0; round < 3; round++) {
            int64_t lanes = round ? 4 : 0;
            const char *kind = round == 2 ? "channel" : "batch";
            CvmGraph *graph = cvm_graph_create(checked_arena, "pool");
            CvmAttribute size = {.integers = {sizes[i][0], sizes[i][1]}}, back = {{13, 11}};
            CvmNode *x = checked_input(graph, "x", shape4(4, 8, 13, 11));
            CvmNode *inside = lanes ? relayout_to(graph, x, kind, lanes) : x;
            CvmNode *mean =
                checked_add(graph, CVM_OP_ADAPTIVE_AVGPOOL, &size, 1, inside, NULL, NULL);
            CvmNode *dy = checked_input(graph, "dy", mean->type.shape);
            CvmNode *dy_inside = lanes ? relayout_to(graph, dy, kind, lanes) : dy;
            CvmNode *dx =
                checked_add(graph, CVM_OP_ADAPTIVE_AVGPOOL_GRAD, &back, 1, dy_inside, NULL, NULL);
            CvmNode *all = checked_add(graph, CVM_OP_GLOBAL_AVGPOOL, NULL, 1, inside, NULL, NULL);
            CvmNode *results[] = {mean, dx, all};
            static const char *const names[] = {"mean", "dx", "all"};
            for (int k = 0; k < 3; k++)
                cvm_graph_output(graph, names[k],
                                 lanes ? relayout(graph, results[k], 0) : results[k]);
            check(graph, "adaptive pooling", "none");
        }
}

static void test_pointwise_channel_blocked(void **state) {
    (void)state;
    CvmGraph *graph = cvm_graph_create(checked_arena, "pointwise");
    CvmNode *x = checked_input(graph, "x", shape4(3, 32, 5, 3)),
            *y = checked_input(graph, "y", shape4(3, 32, 5, 3));
    CvmNode *bias = checked_input(graph, "bias", (CvmShape){1, {32}});
    CvmNode *sum = checked_add(graph, CVM_OP_MUL, NULL, 2, relayout_to(graph, x, "channel", 8),
                               relayout_to(graph, y, "channel", 8), NULL);
    CvmNode *biased = checked_add(graph, CVM_OP_BIAS, NULL, 2, sum, bias, NULL);
    cvm_graph_output(graph, "product", relayout(graph, sum, 0));
    cvm_graph_output(graph, "biased", relayout(graph, biased, 0));
    check(graph, "pointwise over channels", "none");
    check(graph, "pointwise over channels, fused", "default");
}

static void test_pointwise(void **state) {
    (void)state;
    for (int64_t count = 1; count <= 150; count = count * 2 + 3) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "pointwise");
        CvmNode *x = checked_input(graph, "x", shape2(3, count)),
                *y = checked_input(graph, "y", shape2(3, count));
        CvmNode *bias = checked_input(graph, "bias", (CvmShape){1, {count}});
        static const CvmOp one[] = {CVM_OP_RELU, CVM_OP_TANH, CVM_OP_SIGMOID, CVM_OP_LEAKY_RELU,
                                    CVM_OP_GELU};
        static const CvmOp two[] = {
            CVM_OP_RELU_GRAD, CVM_OP_TANH_GRAD, CVM_OP_SIGMOID_GRAD, CVM_OP_LEAKY_RELU_GRAD,
            CVM_OP_GELU_GRAD, CVM_OP_ADD,       CVM_OP_MUL};
        for (int i = 0; i < 5; i++)
            cvm_graph_output(graph, cvm_op_info(one[i])->name,
                             checked_add(graph, one[i], NULL, 1, x, NULL, NULL));
        for (int i = 0; i < 7; i++)
            cvm_graph_output(graph, cvm_op_info(two[i])->name,
                             checked_add(graph, two[i], NULL, 2, x, y, NULL));
        cvm_graph_output(graph, "bias", checked_add(graph, CVM_OP_BIAS, NULL, 2, x, bias, NULL));
        check(graph, "pointwise", "none");
        check(graph, "pointwise, fused", "default");
    }
}

static void test_rows(void **state) {
    (void)state;
    static const int64_t classes[] = {7, 10, 16, 37, 64, 1000};
    for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "rows");
        CvmNode *x = checked_input(graph, "x", shape2(5, classes[i]));
        CvmNode *dy = checked_input(graph, "dy", shape2(5, classes[i]));
        CvmNode *row = checked_input(graph, "row", (CvmShape){1, {5}});
        CvmNode *target = cvm_graph_input(graph, "target", CVM_I32, (CvmShape){1, {5}}, nowhere);
        CvmNode *soft = checked_add(graph, CVM_OP_SOFTMAX, NULL, 1, x, NULL, NULL);
        CvmNode *log = checked_add(graph, CVM_OP_LOG_SOFTMAX, NULL, 1, x, NULL, NULL);
        CvmNode *nll = checked_add(graph, CVM_OP_NLL, NULL, 2, log, target, NULL);
        CvmAttribute count[] = {{.integers = {classes[i]}}, {.real = 0}};
        CvmNode *spread = checked_add(graph, CVM_OP_NLL_GRAD, count, 2, row, target, NULL);
        cvm_graph_output(graph, "softmax", soft);
        cvm_graph_output(graph, "softmax_grad",
                         checked_add(graph, CVM_OP_SOFTMAX_GRAD, NULL, 2, dy, soft, NULL));
        cvm_graph_output(graph, "nll", nll);
        cvm_graph_output(graph, "mean", checked_add(graph, CVM_OP_MEAN, NULL, 1, nll, NULL, NULL));
        cvm_graph_output(graph, "log_softmax_grad",
                         checked_add(graph, CVM_OP_LOG_SOFTMAX_GRAD, NULL, 2, spread, log, NULL));
        check(graph, "rows", "none");
        check(graph, "rows, fused", "+fuse-loss");
    }
}

/* The mask is the reference's in every layout, also where a bias makes the loops other ones. */
static void test_dropout(void **state) {
    (void)state;
    static const CvmAttribute attributes[] = {{.real = 0.3}, {{3000000000}}};
    static const int64_t sizes[][3] = {{3, 5, 7}, {5, 1, 1}};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int64_t lanes = 0; lanes <= 4; lanes += 4) {
            CvmGraph *graph = cvm_graph_create(checked_arena, "dropout");
            CvmNode *random =
                cvm_graph_input(graph, "random", CVM_I32, (CvmShape){1, {4}}, nowhere);
            CvmNode *bias = checked_input(graph, "bias", (CvmShape){1, {sizes[i][0]}});
            CvmNode *x = checked_input(
                graph, "x", shape4(lanes ? lanes * 2 : 3, sizes[i][0], sizes[i][1], sizes[i][2]));
            CvmNode *inside = lanes ? relayout(graph, x, lanes) : x;
            CvmNode *alone =
                checked_add(graph, CVM_OP_DROPOUT, attributes, 2, inside, random, NULL);
            CvmNode *biased = checked_add(graph, CVM_OP_BIAS, NULL, 2, alone, bias, NULL);
            CvmNode *both = checked_add(graph, CVM_OP_DROPOUT, attributes, 2, biased, random, NULL);
            cvm_graph_output(graph, "alone", lanes ? relayout(graph, alone, 0) : alone);
            cvm_graph_output(graph, "both", lanes ? relayout(graph, both, 0) : both);
            check(graph, "dropout", i ? "none" : "default");
        }
}

/* Along the channels of pictures: softmax, local normalization, and their gradients. */
static void channels_graph(CvmGraph *graph, CvmShape shape, const CvmAttribute *lrn,
                           int64_t lanes) {
    CvmNode *x = checked_input(graph, "x", shape), *dy = checked_input(graph, "dy", shape);
    CvmNode *inside = lanes ? relayout(graph, x, lanes) : x;
    CvmNode *dy_inside = lanes ? relayout(graph, dy, lanes) : dy;
    CvmNode *soft = checked_add(graph, CVM_OP_SOFTMAX, NULL, 1, inside, NULL, NULL);
    CvmNode *log = checked_add(graph, CVM_OP_LOG_SOFTMAX, NULL, 1, inside, NULL, NULL);
    CvmNode *results[] = {
        soft,
        log,
        checked_add(graph, CVM_OP_SOFTMAX_GRAD, NULL, 2, dy_inside, soft, NULL),
        checked_add(graph, CVM_OP_LOG_SOFTMAX_GRAD, NULL, 2, dy_inside, log, NULL),
        checked_add(graph, CVM_OP_LRN, lrn, 1, inside, NULL, NULL),
        checked_add(graph, CVM_OP_LRN_GRAD, lrn, 2, dy_inside, inside, NULL),
    };
    static const char *const names[] = {"softmax",          "log_softmax", "softmax_grad",
                                        "log_softmax_grad", "lrn",         "lrn_grad"};
    for (int i = 0; i < 6; i++)
        cvm_graph_output(graph, names[i], lanes ? relayout(graph, results[i], 0) : results[i]);
}

static void test_along_channels(void **state) {
    (void)state;
    static const int64_t sizes[][3] = {{24, 5, 7}, {3, 1, 1}, {17, 1, 2}, {1, 4, 4}, {40, 3, 16}};
    static const CvmAttribute lrns[][4] = {
        {{{5}}, {.real = 1}, {.real = 0.75}, {.real = 2}},
        {{{1}}, {.real = 0.5}, {.real = 1}, {.real = 1}},
        {{{37}}, {.real = 3}, {.real = 0.4}, {.real = 0.1}},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (int64_t lanes = 0; lanes <= 4 << i % 2; lanes += 4 << i % 2) {
            CvmGraph *graph = cvm_graph_create(checked_arena, "channels");
            channels_graph(graph, shape4(lanes ? lanes : 2, sizes[i][0], sizes[i][1], sizes[i][2]),
                           lrns[i % 3], lanes);
            check(graph, "along channels", "none");
        }
}

/* Over channels in blocks: windows narrower and wider than a block, strips that a picture does not
 * fill, powers with roots and with logarithms, and what is fused behind. */
static void test_lrn_over_blocks(void **state) {
    (void)state;
    static const struct {
        int64_t lanes, n, channels, h, w;
        CvmAttribute lrn[4]; /* size, alpha, beta, k */
    } cases[] = {
        {8, 1, 64, 7, 9, {{{5}}, {.real = 1}, {.real = 0.75}, {.real = 2}}},
        {8, 2, 24, 3, 5, {{{3}}, {.real = 1e6}, {.real = 0.5}, {.real = 1e-6}}},
        {4, 2, 12, 2, 3, {{{17}}, {.real = 3}, {.real = 1}, {.real = 0.1}}},
        {4, 1, 4, 1, 1, {{{9}}, {.real = 1}, {.real = 1.75}, {.real = 1}}},
        {16, 1, 32, 5, 3, {{{5}}, {.real = 0.5}, {.real = 0.6}, {.real = 1}}},
        {16, 2, 160, 5, 5, {{{7}}, {.real = 5}, {.real = 0.25}, {.real = 1}}},
        {8, 1, 16, 2, 2, {{{1}}, {.real = 0}, {.real = 0}, {.real = 1}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "lrn");
        CvmShape shape = shape4(cases[i].n, cases[i].channels, cases[i].h, cases[i].w);
        CvmNode *x =
            relayout_to(graph, checked_input(graph, "x", shape), "channel", cases[i].lanes);
        CvmNode *dy =
            relayout_to(graph, checked_input(graph, "dy", shape), "channel", cases[i].lanes);
        CvmNode *y = checked_add(graph, CVM_OP_LRN, cases[i].lrn, 1, x, NULL, NULL);
        CvmNode *dx = checked_add(graph, CVM_OP_LRN_GRAD, cases[i].lrn, 2, dy, x, NULL);
        y = checked_add(graph, CVM_OP_RELU, NULL, 1, y, NULL, NULL);
        dx = checked_add(graph, CVM_OP_RELU_GRAD, NULL, 2, dx, x, NULL);
        cvm_graph_output(graph, "y", relayout(graph, y, 0));
        cvm_graph_output(graph, "dx", relayout(graph, dx, 0));
        check(graph, "lrn over blocks", i % 2 ? "none" : "default");
    }
}

/* A value far from zero must not overflow, and NaN must come through. */
static void test_extremes(void **state) {
    (void)state;
    const float x[] = {-1e30f, -200, -90, -1e-8f, 0, 1e-8f, 88, 90, 200, 1e30f, NAN};
    enum { COUNT = sizeof x / sizeof x[0] };
    for (const char *const *cpu = compiled_cpus(); *cpu; cpu++) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "extremes");
        CvmNode *in = checked_input(graph, "x", (CvmShape){1, {COUNT}});
        cvm_graph_output(graph, "tanh", checked_add(graph, CVM_OP_TANH, NULL, 1, in, NULL, NULL));
        cvm_graph_output(graph, "sigmoid",
                         checked_add(graph, CVM_OP_SIGMOID, NULL, 1, in, NULL, NULL));
        cvm_graph_output(graph, "relu", checked_add(graph, CVM_OP_RELU, NULL, 1, in, NULL, NULL));
        Compiled compiled = compiled_open(graph, "none", *cpu, 1);
        compiled_set(&compiled, "x", x, COUNT);
        compiled_run(&compiled);
        for (int i = 0; i < COUNT; i++) {
            float tanh = compiled_output(&compiled, "tanh")[i];
            float sigmoid = compiled_output(&compiled, "sigmoid")[i];
            float relu = compiled_output(&compiled, "relu")[i];
            if (isnan(x[i])) {
                assert_true(isnan(tanh) && isnan(sigmoid) && isnan(relu));
                continue;
            }
            assert_true(fabsf(tanh - tanhf(x[i])) <= 2e-7f);
            assert_true(fabsf(sigmoid - (float)(1 / (1 + exp(-(double)x[i])))) <= 2e-7f);
            assert_true(relu == (x[i] > 0 ? x[i] : 0));
        }
        compiled_close(&compiled);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_conv, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_conv_batch_blocked, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_linear, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_large_linear, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_conv_channel_blocked, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_conv_gradients_channel_blocked, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_conv_gradient_with_turned_weights, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_gradients_give_the_same_bits_on_any_threads,
                                        checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pool, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pool_channel_blocked, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_adaptive_and_global_pool, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pointwise_channel_blocked, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(test_pointwise, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_rows, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_along_channels, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_lrn_over_blocks, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_dropout, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(test_extremes, checked_set_up, checked_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
