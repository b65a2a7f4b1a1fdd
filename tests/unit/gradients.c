/* Every gradient against finite differences: for f = sum of out * cotangent, the derivative along
 * each element of each operand is (f(x + h) - f(x - h)) / 2h. Values keep a distance from each
 * other and from 0 that is larger than h, so that no maximum changes hands and no relu its side. */
#include "compiler/graph/autodiff.h"
#include "compiler/graph/evaluate.h"
#include "compiler/graph/op.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_OPERANDS = 5 };
static const double step = 0.01, distance = 0.03;

typedef struct Operand {
    CvmDtype dtype;
    CvmShape shape;
    CvmOp computed; /* a statistic of the first operand (and the one before), not a free one */
} Operand;

typedef struct Case {
    const char *name;
    CvmOp op;
    Operand operands[MAX_OPERANDS]; /* as many as the op has */
    CvmAttribute attributes[5];
} Case;

#define F32(...)                                                                                   \
    {                                                                                              \
        .dtype = CVM_F32, .shape = { sizeof((int[]){__VA_ARGS__}) / sizeof(int), {__VA_ARGS__} }   \
    }
#define I32(...)                                                                                   \
    {                                                                                              \
        .dtype = CVM_I32, .shape = { sizeof((int[]){__VA_ARGS__}) / sizeof(int), {__VA_ARGS__} }   \
    }
#define STATISTIC(op) {.computed = op}
#define CONV(stride_h, stride_w, top, left, bottom, right, dilation_h, dilation_w, groups)         \
    {                                                                                              \
        {{stride_h, stride_w}}, {{top, left, bottom, right}}, {{dilation_h, dilation_w}}, {        \
            {                                                                                      \
                groups                                                                             \
            }                                                                                      \
        }                                                                                          \
    }
#define POOL(kernel_h, kernel_w, stride_h, stride_w, top, left, bottom, right, ceil, count_pad)    \
    {                                                                                              \
        {{kernel_h, kernel_w}}, {{stride_h, stride_w}}, {{top, left, bottom, right}}, {{ceil}}, {  \
            {                                                                                      \
                count_pad                                                                          \
            }                                                                                      \
        }                                                                                          \
    }
#define LRN(size, alpha, beta, k)                                                                  \
    {                                                                                              \
        {{size}}, {.real = alpha}, {.real = beta}, {                                               \
            .real = k                                                                              \
        }                                                                                          \
    }

static const Case cases[] = {
    {"conv", CVM_OP_CONV, {F32(2, 3, 5, 4), F32(4, 3, 3, 3)}, CONV(1, 1, 0, 0, 0, 0, 1, 1, 1)},
    {"conv, pad", CVM_OP_CONV, {F32(1, 2, 5, 5), F32(3, 2, 3, 3)}, CONV(1, 1, 1, 1, 1, 1, 1, 1, 1)},
    {"conv, uneven pads",
     CVM_OP_CONV,
     {F32(1, 2, 4, 5), F32(2, 2, 4, 2)},
     CONV(1, 1, 0, 1, 3, 0, 1, 1, 1)},
    {"conv, stride with a rest",
     CVM_OP_CONV,
     {F32(2, 2, 8, 7), F32(3, 2, 3, 2)},
     CONV(2, 3, 1, 0, 1, 1, 1, 1, 1)},
    {"conv, stride beyond the kernel",
     CVM_OP_CONV,
     {F32(1, 2, 8, 8), F32(2, 2, 2, 2)},
     CONV(3, 3, 0, 0, 0, 0, 1, 1, 1)},
    {"conv, dilation",
     CVM_OP_CONV,
     {F32(1, 2, 7, 8), F32(2, 2, 3, 3)},
     CONV(1, 1, 2, 1, 2, 1, 2, 3, 1)},
    {"conv, groups, stride, dilation, pads",
     CVM_OP_CONV,
     {F32(2, 4, 7, 8), F32(6, 2, 2, 3)},
     CONV(2, 1, 1, 2, 0, 1, 2, 2, 2)},
    {"conv, depthwise",
     CVM_OP_CONV,
     {F32(2, 3, 4, 4), F32(3, 1, 3, 3)},
     CONV(1, 1, 1, 1, 1, 1, 1, 1, 3)},
    {"conv, one pixel",
     CVM_OP_CONV,
     {F32(2, 3, 3, 3), F32(2, 3, 3, 3)},
     CONV(1, 1, 0, 0, 0, 0, 1, 1, 1)},
    {"linear", CVM_OP_LINEAR, {F32(3, 5), F32(4, 5)}, {{{0}}}},
    {"linear, one", CVM_OP_LINEAR, {F32(1, 1), F32(1, 1)}, {{{0}}}},
    {"bias of pictures", CVM_OP_BIAS, {F32(2, 3, 2, 4), F32(3)}, {{{0}}}},
    {"bias of vectors", CVM_OP_BIAS, {F32(3, 4), F32(4)}, {{{0}}}},
    {"batchnorm of pictures",
     CVM_OP_BATCHNORM,
     {F32(2, 3, 2, 4), F32(3), F32(3), F32(3), F32(3)},
     {{.real = 0.5}}},
    {"batchnorm of vectors",
     CVM_OP_BATCHNORM,
     {F32(4, 3), F32(3), F32(3), F32(3), F32(3)},
     {{.real = 0.5}}},
    {"batch_mean", CVM_OP_BATCH_MEAN, {F32(2, 3, 2, 4)}, {{{0}}}},
    {"batch_variance",
     CVM_OP_BATCH_VARIANCE,
     {F32(2, 3, 2, 4), STATISTIC(CVM_OP_BATCH_MEAN)},
     {{{0}}}},
    {"batchnorm by the batch",
     CVM_OP_BATCHNORM,
     {F32(2, 3, 2, 4), F32(3), F32(3), STATISTIC(CVM_OP_BATCH_MEAN),
      STATISTIC(CVM_OP_BATCH_VARIANCE)},
     {{.real = 0.5}}},
    {"batchnorm of vectors by the batch",
     CVM_OP_BATCHNORM,
     {F32(5, 3), F32(3), F32(3), STATISTIC(CVM_OP_BATCH_MEAN), STATISTIC(CVM_OP_BATCH_VARIANCE)},
     {{.real = 0.5}}},
    {"relu", CVM_OP_RELU, {F32(2, 3, 4, 5)}, {{{0}}}},
    {"tanh", CVM_OP_TANH, {F32(3, 7)}, {{{0}}}},
    {"sigmoid", CVM_OP_SIGMOID, {F32(3, 7)}, {{{0}}}},
    {"add", CVM_OP_ADD, {F32(2, 3, 2, 2), F32(2, 3, 2, 2)}, {{{0}}}},
    {"mul", CVM_OP_MUL, {F32(2, 3, 2, 2), F32(2, 3, 2, 2)}, {{{0}}}},
    {"leaky_relu", CVM_OP_LEAKY_RELU, {F32(3, 7)}, {{.real = 0.2}}},
    {"gelu", CVM_OP_GELU, {F32(3, 7)}, {{{0}}}},
    {"scale", CVM_OP_SCALE, {F32(5)}, {{.real = -2.5}}},
    {"dropout", CVM_OP_DROPOUT, {F32(2, 3, 4, 5), I32(4)}, {{.real = 0.4}, {{99}}}},
    {"maxpool", CVM_OP_MAXPOOL, {F32(2, 2, 6, 5)}, POOL(2, 2, 2, 2, 0, 0, 0, 0, 0, 1)},
    {"maxpool, overlapping, pads",
     CVM_OP_MAXPOOL,
     {F32(1, 2, 7, 6)},
     POOL(3, 3, 2, 2, 1, 1, 1, 1, 0, 1)},
    {"maxpool, uneven", CVM_OP_MAXPOOL, {F32(1, 2, 7, 9)}, POOL(3, 2, 1, 3, 0, 1, 2, 0, 0, 1)},
    {"avgpool", CVM_OP_AVGPOOL, {F32(2, 2, 6, 5)}, POOL(2, 2, 2, 2, 0, 0, 0, 0, 0, 1)},
    {"avgpool, overlapping, pads",
     CVM_OP_AVGPOOL,
     {F32(1, 2, 7, 6)},
     POOL(3, 3, 2, 2, 1, 1, 1, 1, 0, 1)},
    {"avgpool, uneven", CVM_OP_AVGPOOL, {F32(1, 2, 7, 9)}, POOL(3, 2, 1, 3, 0, 1, 2, 0, 0, 1)},
    {"maxpool, last window over the end",
     CVM_OP_MAXPOOL,
     {F32(1, 2, 6, 8)},
     POOL(3, 3, 2, 2, 0, 0, 0, 0, 1, 0)},
    {"avgpool, last window over the end",
     CVM_OP_AVGPOOL,
     {F32(1, 2, 6, 8)},
     POOL(3, 3, 2, 2, 1, 0, 1, 0, 1, 1)},
    {"avgpool without its padding",
     CVM_OP_AVGPOOL,
     {F32(1, 2, 7, 6)},
     POOL(3, 3, 2, 2, 1, 1, 1, 1, 1, 0)},
    {"adaptive_avgpool", CVM_OP_ADAPTIVE_AVGPOOL, {F32(2, 3, 7, 5)}, {{{3, 4}}}},
    {"adaptive_avgpool, enlarging", CVM_OP_ADAPTIVE_AVGPOOL, {F32(1, 2, 3, 5)}, {{{5, 2}}}},
    {"global_avgpool", CVM_OP_GLOBAL_AVGPOOL, {F32(2, 3, 4, 5)}, {{{0}}}},
    {"softmax", CVM_OP_SOFTMAX, {F32(3, 5)}, {{{0}}}},
    {"softmax of one class", CVM_OP_SOFTMAX, {F32(3, 1)}, {{{0}}}},
    {"log_softmax", CVM_OP_LOG_SOFTMAX, {F32(3, 5)}, {{{0}}}},
    {"softmax of pictures", CVM_OP_SOFTMAX, {F32(2, 4, 2, 3)}, {{{0}}}},
    {"log_softmax of pictures", CVM_OP_LOG_SOFTMAX, {F32(2, 4, 3, 1)}, {{{0}}}},
    {"lrn", CVM_OP_LRN, {F32(2, 7, 2, 3)}, LRN(5, 2, 0.75, 2)},
    {"lrn over every channel", CVM_OP_LRN, {F32(2, 4, 1, 2)}, LRN(9, 3, 0.5, 1)},
    {"lrn of one channel", CVM_OP_LRN, {F32(1, 3, 2, 2)}, LRN(1, 1, 1.25, 1)},
    {"nll", CVM_OP_NLL, {F32(4, 3), I32(4)}, {{{0}}}},
    {"nll, smoothed", CVM_OP_NLL, {F32(4, 3), I32(4)}, {{.real = 0.3}}},
    {"mean", CVM_OP_MEAN, {F32(7)}, {{{0}}}},
    {"concat of pictures",
     CVM_OP_CONCAT,
     {F32(2, 3, 2, 4), F32(2, 1, 2, 4), F32(2, 2, 2, 4)},
     {{{0}}}},
    {"concat of vectors", CVM_OP_CONCAT, {F32(3, 4), F32(3, 2)}, {{{0}}}},
    {"flatten", CVM_OP_FLATTEN, {F32(2, 3, 2, 2)}, {{{0}}}},
};
enum { CASE_COUNT = sizeof cases / sizeof cases[0] };

/* --- values --- */

typedef struct Values {
    void *elements[MAX_OPERANDS + 2]; /* by node id: the operands, the op itself, the cotangent */
} Values;

static int64_t count_of(const CvmNode *node) {
    int64_t count;
    assert_true(cvm_shape_count(&node->type.shape, &count));
    return count;
}

/* Multiples of the distance in a shuffled order, none of them 0; labels 0, 1, 2, 0, … */
static void *values_for(CvmArena *arena, const CvmNode *node, uint32_t seed) {
    int64_t count = count_of(node);
    float *values = cvm_arena_array(arena, (size_t)count, sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        int64_t place = i - count / 2;
        values[i] = (float)(distance * (double)(place >= 0 ? place + 1 : place));
        if (node->type.dtype == CVM_I32)
            ((int32_t *)values)[i] = (int32_t)(i % 3);
    }
    for (int64_t i = count - 1; i > 0 && node->type.dtype == CVM_F32; i--) {
        seed = seed * 1664525u + 1013904223u;
        int64_t other = (int64_t)((seed >> 8) % (uint32_t)(i + 1));
        float value = values[i];
        values[i] = values[other];
        values[other] = value;
    }
    return values;
}

static const void *source_of(void *context, const CvmNode *node) {
    return ((const Values *)context)->elements[node->id];
}

/* --- one case --- */

static double objective(const CvmGraph *graph, const CvmNode *out, const CvmNode *cotangent,
                        Values *values) {
    CvmArena *arena = cvm_arena_create();
    CvmValues found = cvm_evaluate(graph, arena, source_of, values);
    const float *y = found.data[out->id], *dy = found.data[cotangent->id];
    double sum = 0;
    for (int64_t i = 0; i < count_of(out); i++)
        sum += (double)y[i] * (double)dy[i];
    cvm_arena_free(arena);
    return sum;
}

static void check_operand(const Case *c, const CvmGraph *graph, const CvmNode *out,
                          const CvmNode *cotangent, int operand, const float *gradient,
                          Values *values) {
    float *x = values->elements[operand];
    for (int64_t i = 0; i < count_of(graph->nodes[operand]); i++) {
        float kept = x[i];
        x[i] = (float)(kept + step);
        double above = x[i], more = objective(graph, out, cotangent, values);
        x[i] = (float)(kept - step);
        double slope = (more - objective(graph, out, cotangent, values)) / (above - x[i]);
        x[i] = kept;
        if (!(fabs(slope - gradient[i]) <= 1e-3 + 1e-3 * fabs(slope)))
            fail_msg("%s: the gradient of operand %d at %lld is %.6g, finite differences give %.6g",
                     c->name, operand + 1, (long long)i, (double)gradient[i], slope);
    }
}

static CvmNode *add_operand(const Operand *operand, CvmGraph *graph, const char *name,
                            CvmNode *const *before, int count, CvmDiag *diag) {
    CvmOrigin origin = {.name = name};
    if (operand->computed == CVM_OP_INPUT)
        return cvm_graph_input(graph, name, operand->dtype, operand->shape, origin);
    CvmNode *inputs[] = {before[0], before[count - 1]};
    CvmNode *node =
        cvm_graph_add(graph, operand->computed, inputs,
                      cvm_op_info(operand->computed)->operand_count, NULL, origin, diag);
    assert_non_null(node);
    return node;
}

static CvmNode *add_case(const Case *c, CvmGraph *graph, CvmNode **operands, CvmDiag *diag) {
    static const char *const names[MAX_OPERANDS] = {"a", "b", "c", "d", "e"};
    int count = cvm_op_info(c->op)->operand_count;
    while (count < MAX_OPERANDS && (count < 0 || (cvm_op_info(c->op)->operand_count < 0 &&
                                                  c->operands[count].shape.rank > 0)))
        count++; /* any number: those that the case has */
    CvmOrigin origin = {.name = c->name};
    for (int i = 0; i < count; i++)
        operands[i] = add_operand(&c->operands[i], graph, names[i], operands, i, diag);
    CvmNode *out = cvm_graph_add(graph, c->op, operands, count, c->attributes, origin, diag);
    if (!out) {
        cvm_diag_print(diag, stderr);
        fail_msg("%s: the case is no valid graph", c->name);
    }
    return out;
}

static void check_case(const Case *c) {
    CvmArena *arena = cvm_arena_create();
    CvmGraph *graph = cvm_graph_create(arena, "gradients");
    CvmDiag diag;
    CvmNode *operands[MAX_OPERANDS], *wanted[MAX_OPERANDS], *gradients[MAX_OPERANDS];
    cvm_diag_init(&diag, arena);
    CvmNode *out = add_case(c, graph, operands, &diag);
    int count = out->input_count, learning = 0;
    for (int i = 0; i < count; i++)
        if (operands[i]->type.dtype == CVM_F32 && operands[i]->op == CVM_OP_INPUT)
            wanted[learning++] = operands[i];
    CvmGraph *forward = cvm_graph_copy(graph, arena);
    CvmNode *cotangent = cvm_graph_input(graph, "dy", CVM_F32, out->type.shape, out->origin);
    cvm_graph_input(forward, "dy", CVM_F32, out->type.shape, out->origin);
    assert_true(cvm_autodiff_from(graph, out, cotangent, wanted, learning, gradients, &diag));
    assert_true(cvm_graph_verify(graph, &diag));
    Values values = {{NULL}};
    for (int i = 0; i < count; i++)
        values.elements[operands[i]->id] = values_for(arena, operands[i], (uint32_t)i + 1);
    values.elements[cotangent->id] = values_for(arena, cotangent, 77);
    CvmValues found = cvm_evaluate(graph, arena, source_of, &values);
    for (int i = 0; i < learning; i++) {
        assert_non_null(gradients[i]);
        assert_true(cvm_shape_equal(&gradients[i]->type.shape, &wanted[i]->type.shape));
        check_operand(c, forward, out, cotangent, wanted[i]->id, found.data[gradients[i]->id],
                      &values);
    }
    cvm_arena_free(arena);
}

static void test_gradients_are_what_finite_differences_say(void **state) {
    (void)state;
    for (int i = 0; i < CASE_COUNT; i++)
        check_case(&cases[i]);
}

static void test_every_op_with_a_gradient_has_a_case(void **state) {
    (void)state;
    for (int op = 0; op < CVM_OP_COUNT; op++) {
        bool found = !cvm_op_info((CvmOp)op)->gradient;
        for (int i = 0; i < CASE_COUNT && !found; i++)
            found = (int)cases[i].op == op;
        if (!found)
            fail_msg("%s has a gradient that no case checks", cvm_op_info((CvmOp)op)->name);
    }
}

/* --- whole graphs --- */

typedef struct Scene {
    CvmArena *arena;
    CvmDiag diag;
    CvmGraph *graph;
} Scene;

static Scene scene_of(void) {
    Scene scene = {.arena = cvm_arena_create()};
    scene.graph = cvm_graph_create(scene.arena, "scene");
    return scene;
}

static CvmNode *source(Scene *scene, const char *name, CvmShape shape) {
    return cvm_graph_parameter(scene->graph, "weight", shape, 0, 0, (CvmOrigin){.name = name});
}

static CvmNode *add(Scene *scene, CvmOp op, CvmNode *a, CvmNode *b) {
    CvmNode *inputs[] = {a, b};
    CvmNode *node = cvm_graph_add(scene->graph, op, inputs, b ? 2 : 1, NULL,
                                  (CvmOrigin){.name = "x"}, &scene->diag);
    assert_non_null(node);
    return node;
}

static int count_op(const CvmGraph *graph, CvmOp op) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        count += graph->nodes[i]->op == op;
    return count;
}

static const void *ones(void *context, const CvmNode *node) {
    float *values = cvm_arena_array(context, (size_t)count_of(node), sizeof(float));
    for (int64_t i = 0; i < count_of(node); i++)
        values[i] = 1;
    return values;
}

/* loss = mean(3 uses of x) has the gradient 3 / n. */
static void test_gradients_of_several_uses_add_up(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *x = source(&scene, "x", (CvmShape){1, {4}}), *gradient;
    CvmNode *sum = add(&scene, CVM_OP_ADD, add(&scene, CVM_OP_ADD, x, x), x);
    CvmNode *loss = add(&scene, CVM_OP_MEAN, sum, NULL);
    assert_true(cvm_autodiff(scene.graph, loss, &x, 1, &gradient, &scene.diag));
    CvmValues values = cvm_evaluate(scene.graph, scene.arena, ones, scene.arena);
    for (int i = 0; i < 4; i++)
        assert_float_equal(((float *)values.data[gradient->id])[i], 0.75, 1e-6);
    cvm_arena_free(scene.arena);
}

/* Two linear layers and a loss; the gradients of those that learn. */
static void two_layers(Scene *scene, CvmNode **weights, CvmNode **loss) {
    CvmOrigin origin = {.name = "loss"};
    CvmNode *x = cvm_graph_input(scene->graph, "x", CVM_F32, (CvmShape){2, {2, 3}}, origin);
    CvmNode *target = cvm_graph_input(scene->graph, "t", CVM_I32, (CvmShape){1, {2}}, origin);
    weights[0] = source(scene, "body", (CvmShape){2, {4, 3}});
    weights[1] = source(scene, "head", (CvmShape){2, {5, 4}});
    CvmNode *hidden = add(scene, CVM_OP_RELU, add(scene, CVM_OP_LINEAR, x, weights[0]), NULL);
    CvmNode *logits = add(scene, CVM_OP_LINEAR, hidden, weights[1]);
    *loss = cvm_loss_build(scene->graph, &(CvmLoss){"cross_entropy", 0}, logits, target, origin,
                           &scene->diag);
    assert_non_null(*loss);
}

static void test_a_frozen_body_has_no_backward_nodes(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *weights[2], *loss, *gradient;
    two_layers(&scene, weights, &loss);
    assert_true(cvm_autodiff(scene.graph, loss, &weights[1], 1, &gradient, &scene.diag));
    assert_non_null(gradient);
    assert_int_equal(count_op(scene.graph, CVM_OP_LINEAR_GRAD_WEIGHT), 1);
    assert_int_equal(count_op(scene.graph, CVM_OP_LINEAR_GRAD_INPUT), 0);
    assert_int_equal(count_op(scene.graph, CVM_OP_RELU_GRAD), 0);
    cvm_arena_free(scene.arena);
}

static void test_the_image_gets_no_gradient(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *weights[2], *loss, *gradients[2];
    two_layers(&scene, weights, &loss);
    assert_true(cvm_autodiff(scene.graph, loss, weights, 2, gradients, &scene.diag));
    assert_int_equal(count_op(scene.graph, CVM_OP_LINEAR_GRAD_WEIGHT), 2);
    assert_int_equal(count_op(scene.graph, CVM_OP_LINEAR_GRAD_INPUT), 1);
    assert_true(cvm_graph_verify(scene.graph, &scene.diag));
    cvm_arena_free(scene.arena);
}

static void test_what_the_loss_does_not_read_has_no_gradient(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *wanted[] = {source(&scene, "x", (CvmShape){1, {4}}),
                         source(&scene, "unread", (CvmShape){1, {4}})};
    CvmNode *gradients[2];
    CvmNode *loss = add(&scene, CVM_OP_MEAN, wanted[0], NULL);
    assert_true(cvm_autodiff(scene.graph, loss, wanted, 2, gradients, &scene.diag));
    assert_non_null(gradients[0]);
    assert_null(gradients[1]);
    cvm_arena_free(scene.arena);
}

static void test_an_op_without_gradient_is_an_error(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *x = source(&scene, "x", (CvmShape){1, {4}}), *gradient;
    CvmNode *twice = add(&scene, CVM_OP_RELU_GRAD, x, x);
    CvmNode *loss = add(&scene, CVM_OP_MEAN, twice, NULL);
    assert_false(cvm_autodiff(scene.graph, loss, &x, 1, &gradient, &scene.diag));
    assert_int_equal(scene.diag.first->code, 1501);
    cvm_arena_free(scene.arena);
}

static void test_an_unknown_loss_is_an_error(void **state) {
    (void)state;
    Scene scene = scene_of();
    cvm_diag_init(&scene.diag, scene.arena);
    CvmNode *x = source(&scene, "x", (CvmShape){2, {4, 2}});
    assert_null(cvm_loss_build(scene.graph, &(CvmLoss){"hinge", 0}, x, x, x->origin, &scene.diag));
    assert_int_equal(scene.diag.first->code, 1502);
    cvm_arena_free(scene.arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_gradients_are_what_finite_differences_say),
        cmocka_unit_test(test_every_op_with_a_gradient_has_a_case),
        cmocka_unit_test(test_gradients_of_several_uses_add_up),
        cmocka_unit_test(test_a_frozen_body_has_no_backward_nodes),
        cmocka_unit_test(test_the_image_gets_no_gradient),
        cmocka_unit_test(test_what_the_loss_does_not_read_has_no_gradient),
        cmocka_unit_test(test_an_op_without_gradient_is_an_error),
        cmocka_unit_test(test_an_unknown_loss_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
