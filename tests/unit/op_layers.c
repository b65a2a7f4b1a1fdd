/* What a layer of the language becomes: nodes, parameters with their names and bounds, and for
 * every mistake one message with the shapes and the mend. */
#include "compiler/graph/layer.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Bench {
    CvmArena *arena;
    CvmDiag diag;
    CvmGraph *graph;
    CvmLayer layer; /* of the layer to build next */
} Bench;

static const CvmSource source = {.path = "net.cvm", .text = "\n\n\n\n\n\n\n\n\n\n\n\n"};

static CvmOrigin at_line(const char *name, int line) {
    return (CvmOrigin){.name = name, .span = {&source, line, 1, line, 5}};
}

static int open_bench(void **state) {
    Bench *bench = calloc(1, sizeof *bench);
    bench->arena = cvm_arena_create();
    bench->graph = cvm_graph_create(bench->arena, "net");
    cvm_diag_init(&bench->diag, bench->arena);
    *state = bench;
    return 0;
}

static int close_bench(void **state) {
    Bench *bench = *state;
    cvm_arena_free(bench->arena);
    free(bench);
    return 0;
}

/* Begins a layer whose arguments have the signature's defaults, as far as they are numbers. */
static void begin(Bench *bench, CvmOp op, CvmNode *input) {
    bench->layer = (CvmLayer){.graph = bench->graph,
                              .diag = &bench->diag,
                              .input = input,
                              .op = op,
                              .origin = at_line("body.layer", 10)};
    char *rest = NULL, *text = cvm_arena_copy(bench->arena, cvm_op_info(op)->arguments,
                                              strlen(cvm_op_info(op)->arguments));
    for (char *word = strtok_r(text, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        CvmArgument *argument = &bench->layer.arguments[bench->layer.argument_count++];
        char *kind = strchr(word, ':'), *value = strchr(word, '=');
        assert_non_null(kind);
        *kind = 0;
        argument->name = word;
        double number = value ? strcmp(value + 1, "true") ? atof(value + 1) : 1 : 0;
        argument->real = number;
        for (int i = 0; i < 4; i++)
            argument->integers[i] = (int64_t)number;
    }
}

static CvmArgument *argument(Bench *bench, const char *name) {
    CvmArgument *given = (CvmArgument *)cvm_layer_argument(&bench->layer, name);
    given->given = true;
    return given;
}

static void set(Bench *bench, const char *name, int64_t a, int64_t b) {
    CvmArgument *given = argument(bench, name);
    for (int i = 0; i < 4; i++)
        given->integers[i] = i % 2 ? b : a;
}

static CvmNode *build(Bench *bench) {
    return cvm_op_info(bench->layer.op)->build(&bench->layer);
}

static CvmNode *image(Bench *bench, int64_t c, int64_t h, int64_t w) {
    return cvm_graph_input(bench->graph, "image", CVM_F32, (CvmShape){4, {64, c, h, w}},
                           at_line("image", 2));
}

static CvmNode *vector(Bench *bench, int64_t features) {
    return cvm_graph_input(bench->graph, "vector", CVM_F32, (CvmShape){2, {64, features}},
                           at_line("vector", 2));
}

static void assert_shape(const CvmNode *node, int rank, int64_t a, int64_t b, int64_t c,
                         int64_t d) {
    CvmShape expected = {rank, {a, b, c, d}};
    char got[96], wanted[96];
    assert_non_null(node);
    assert_string_equal(cvm_shape_text(&node->type.shape, got, sizeof got),
                        cvm_shape_text(&expected, wanted, sizeof wanted));
}

/* The layer must be refused with exactly this. */
static void assert_refused(Bench *bench, int code, const char *message, const char *mend) {
    assert_null(build(bench));
    assert_int_equal(bench->diag.error_count, 1);
    const CvmDiagnostic *told = bench->diag.last;
    assert_int_equal(told->code, code);
    assert_string_equal(told->message, message);
    if (mend)
        assert_string_equal(told->mend, mend);
    assert_int_equal(told->span.first_line, 10);
    cvm_diag_init(&bench->diag, bench->arena);
}

/* --- what is built --- */

static void test_conv_makes_weights_and_bias(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, image(bench, 3, 28, 28));
    set(bench, "channels", 6, 0);
    set(bench, "kernel", 5, 3);
    CvmNode *y = build(bench);
    assert_shape(y, 4, 64, 6, 24, 26);
    assert_int_equal(y->op, CVM_OP_BIAS);
    const CvmNode *weight = cvm_graph_find_source(bench->graph, "body.layer.weight");
    const CvmNode *bias = cvm_graph_find_source(bench->graph, "body.layer.bias");
    assert_shape(weight, 4, 6, 3, 5, 3);
    assert_shape(bias, 1, 6, 0, 0, 0);
    double bound = 1 / sqrt(3 * 5 * 3);
    assert_float_equal(cvm_node_attribute(weight, "bound")->real, bound, 1e-12);
    assert_float_equal(cvm_node_attribute(bias, "bound")->real, bound, 1e-12);
}

static void test_conv_without_bias_is_one_node(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, image(bench, 4, 8, 8));
    set(bench, "channels", 6, 0);
    set(bench, "kernel", 3, 3);
    set(bench, "groups", 2, 0);
    set(bench, "bias", 0, 0);
    assert_int_equal(build(bench)->op, CVM_OP_CONV);
    assert_shape(cvm_graph_find_source(bench->graph, "body.layer.weight"), 4, 6, 2, 3, 3);
    assert_null(cvm_graph_find_source(bench->graph, "body.layer.bias"));
}

static void test_pad_same_keeps_the_size_over_the_stride(void **state) {
    Bench *bench = *state;
    static const struct {
        int64_t size, kernel, stride, dilation, out, before, after;
    } cases[] = {{28, 5, 1, 1, 28, 2, 2}, {28, 4, 1, 1, 28, 1, 2}, {28, 3, 2, 1, 14, 0, 1},
                 {7, 3, 2, 1, 4, 1, 1},   {9, 1, 4, 1, 3, 0, 0},   {9, 3, 1, 4, 9, 4, 4},
                 {5, 2, 3, 1, 2, 0, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        begin(bench, CVM_OP_CONV, image(bench, 1, cases[i].size, cases[i].size));
        set(bench, "channels", 2, 0);
        set(bench, "kernel", cases[i].kernel, cases[i].kernel);
        set(bench, "stride", cases[i].stride, cases[i].stride);
        set(bench, "dilation", cases[i].dilation, cases[i].dilation);
        argument(bench, "pad")->same = true;
        CvmNode *y = build(bench);
        assert_shape(y, 4, 64, 2, cases[i].out, cases[i].out);
        const int64_t *pad = cvm_node_attribute(y->inputs[0], "pad")->integers;
        assert_int_equal(pad[0], cases[i].before);
        assert_int_equal(pad[1], cases[i].before);
        assert_int_equal(pad[2], cases[i].after);
        assert_int_equal(pad[3], cases[i].after);
    }
}

static void test_a_pools_stride_is_its_kernel_unless_given(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_MAXPOOL, image(bench, 3, 13, 13));
    set(bench, "kernel", 3, 2);
    assert_shape(build(bench), 4, 64, 3, 4, 6);
    begin(bench, CVM_OP_AVGPOOL, image(bench, 3, 13, 13));
    set(bench, "kernel", 3, 3);
    set(bench, "stride", 2, 1);
    assert_shape(build(bench), 4, 64, 3, 6, 11);
}

static void test_linear_takes_vectors(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_LINEAR, vector(bench, 400));
    set(bench, "features", 120, 0);
    assert_shape(build(bench), 2, 64, 120, 0, 0);
    const CvmNode *bias = cvm_graph_find_source(bench->graph, "body.layer.bias");
    assert_float_equal(cvm_node_attribute(bias, "bound")->real, 0.05, 1e-12);
}

static void test_flatten_leaves_vectors_as_they_are(void **state) {
    Bench *bench = *state;
    CvmNode *x = vector(bench, 7);
    begin(bench, CVM_OP_FLATTEN, x);
    assert_ptr_equal(build(bench), x);
    begin(bench, CVM_OP_FLATTEN, image(bench, 3, 4, 5));
    assert_shape(build(bench), 2, 64, 60, 0, 0);
}

static void test_activations_keep_the_shape(void **state) {
    Bench *bench = *state;
    static const CvmOp ops[] = {CVM_OP_RELU, CVM_OP_TANH, CVM_OP_SIGMOID};
    for (int i = 0; i < 3; i++) {
        begin(bench, ops[i], image(bench, 3, 4, 5));
        assert_shape(build(bench), 4, 64, 3, 4, 5);
    }
    begin(bench, CVM_OP_SOFTMAX, vector(bench, 10));
    assert_shape(build(bench), 2, 64, 10, 0, 0);
    begin(bench, CVM_OP_LOG_SOFTMAX, image(bench, 3, 4, 5));
    assert_shape(build(bench), 4, 64, 3, 4, 5);
    begin(bench, CVM_OP_LRN, image(bench, 3, 4, 5));
    assert_shape(build(bench), 4, 64, 3, 4, 5);
}

/* --- what is refused --- */

static void test_linear_after_a_picture_asks_for_flatten(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_MAXPOOL, image(bench, 256, 12, 12));
    set(bench, "kernel", 2, 2);
    bench->layer.origin = at_line("body.maxpool1", 9);
    CvmNode *pooled = build(bench);
    begin(bench, CVM_OP_LINEAR, pooled);
    set(bench, "features", 120, 0);
    assert_refused(bench, 1222, "linear needs a vector, and maxpool (line 9) gives [256, 6, 6]",
                   "put 'flatten' between them");
}

static void test_conv_after_a_vector_is_refused(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, vector(bench, 10));
    assert_refused(bench, 1221,
                   "conv needs a picture [channels, height, width], and the input gives [10]",
                   "put it before 'flatten' and the linear layers");
}

static void test_layers_need_a_tensor(void **state) {
    Bench *bench = *state;
    for (int op = 0; op < CVM_OP_COUNT; op++) {
        const CvmOpInfo *info = cvm_op_info((CvmOp)op);
        if (!info->arguments)
            continue;
        char message[96];
        snprintf(message, sizeof message, "%s has nothing to work on: no tensor flows yet",
                 info->name);
        begin(bench, (CvmOp)op, NULL);
        assert_refused(bench, 1220, message, NULL);
    }
}

static void test_numbers_count_from_one(void **state) {
    Bench *bench = *state;
    static const char *const names[] = {"channels", "kernel", "stride", "dilation", "groups"};
    for (int i = 0; i < 5; i++) {
        begin(bench, CVM_OP_CONV, image(bench, 3, 8, 8));
        set(bench, "channels", 6, 0);
        set(bench, "kernel", 3, 3);
        set(bench, names[i], 0, 0);
        assert_refused(bench, 1223,
                       "conv's channels, kernel, stride, dilation and groups count from 1", NULL);
    }
    begin(bench, CVM_OP_LINEAR, vector(bench, 4));
    assert_refused(bench, 1223, "linear's features count from 1", NULL);
    begin(bench, CVM_OP_AVGPOOL, image(bench, 3, 8, 8));
    assert_refused(bench, 1223, "avgpool's kernel and stride count from 1", NULL);
}

static void test_lrn_needs_numbers_that_keep_its_divisor_positive(void **state) {
    Bench *bench = *state;
    static const char mend[] = "the usual ones are size=5, alpha=1e-4, beta=0.75, k=2";
    begin(bench, CVM_OP_LRN, image(bench, 3, 8, 8));
    set(bench, "size", 4, 0);
    assert_refused(bench, 1228, "lrn's size must be an odd number of channels, at most 255", mend);
    begin(bench, CVM_OP_LRN, image(bench, 3, 8, 8));
    argument(bench, "k")->real = 0;
    assert_refused(bench, 1228, "lrn's k must be from 1e-6 to 1e6", mend);
    begin(bench, CVM_OP_LRN, image(bench, 3, 8, 8));
    argument(bench, "alpha")->real = -1;
    assert_refused(bench, 1228, "lrn's alpha must be from 0 to 1e6", mend);
    begin(bench, CVM_OP_LRN, vector(bench, 8));
    assert_refused(bench, 1221,
                   "lrn needs a picture [channels, height, width], and the input gives [8]",
                   "put it before 'flatten' and the linear layers");
}

static void test_dropout_does_nothing_in_evaluation(void **state) {
    Bench *bench = *state;
    CvmNode *x = vector(bench, 8);
    begin(bench, CVM_OP_DROPOUT, x);
    assert_ptr_equal(build(bench), x);
    argument(bench, "rate")->real = 1;
    assert_refused(bench, 1228, "dropout's rate must be from 0 to below 1",
                   "0.5 drops every second one");
}

static void test_groups_must_divide_channels(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, image(bench, 3, 8, 8));
    set(bench, "channels", 6, 0);
    set(bench, "kernel", 3, 3);
    set(bench, "groups", 2, 0);
    assert_refused(bench, 1224, "conv's 3 input channels do not divide into 2 groups",
                   "choose groups that divide both");
    set(bench, "groups", 3, 0);
    set(bench, "channels", 4, 0);
    assert_refused(bench, 1224, "conv's 4 output channels do not divide into 3 groups",
                   "choose groups that divide both");
}

static void test_windows_must_fit(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, image(bench, 3, 4, 8));
    set(bench, "channels", 6, 0);
    set(bench, "kernel", 5, 5);
    assert_refused(bench, 1225, "a 5x5 kernel does not fit into [3, 4, 8]",
                   "use a smaller kernel, or more pad");
    begin(bench, CVM_OP_MAXPOOL, image(bench, 3, 4, 1));
    set(bench, "kernel", 2, 2);
    assert_refused(bench, 1225, "a 2x2 window does not fit into [3, 4, 1]",
                   "use a smaller kernel, or more pad");
}

static void test_pools_are_not_of_padding_alone(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_MAXPOOL, image(bench, 3, 8, 8));
    set(bench, "kernel", 2, 2);
    set(bench, "pad", 2, 0);
    assert_refused(bench, 1226,
                   "maxpool's pad must be smaller than its kernel: a window would lie in the "
                   "padding alone",
                   "use a smaller pad");
}

static void test_add_needs_one_shape(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_ADD, NULL);
    argument(bench, "a")->tensor = image(bench, 3, 8, 8);
    argument(bench, "b")->tensor = image(bench, 3, 4, 4);
    assert_refused(bench, 1227,
                   "add needs two tensors of one shape, and these are [3, 8, 8] and [3, 4, 4]",
                   "give both the same channels, height and width");
    argument(bench, "b")->tensor = argument(bench, "a")->tensor;
    assert_shape(build(bench), 4, 64, 3, 8, 8);
}

static void test_sizes_beyond_all_bounds_are_refused(void **state) {
    Bench *bench = *state;
    begin(bench, CVM_OP_CONV, image(bench, 3, 8, 8)); /* the weights would be too large */
    set(bench, "channels", INT32_MAX, 0);
    set(bench, "kernel", 40000, 40000);
    set(bench, "pad", 40000, 40000);
    assert_null(build(bench));
    assert_int_equal(bench->diag.last->code, 1249);
    begin(bench, CVM_OP_CONV, image(bench, 3, 4096, 4096)); /* here the result */
    set(bench, "channels", INT32_MAX, 0);
    set(bench, "kernel", 1, 1);
    assert_null(build(bench));
    assert_int_equal(bench->diag.last->code, 1249);
    begin(bench, CVM_OP_CONV, image(bench, 3, 8, 8)); /* no sum may overflow */
    set(bench, "channels", 1, 0);
    set(bench, "kernel", INT32_MAX, INT32_MAX);
    set(bench, "dilation", INT32_MAX, INT32_MAX);
    argument(bench, "pad")->same = true;
    assert_null(build(bench));
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, open_bench, close_bench)
    const struct CMUnitTest tests[] = {
        TEST(test_conv_makes_weights_and_bias),
        TEST(test_conv_without_bias_is_one_node),
        TEST(test_pad_same_keeps_the_size_over_the_stride),
        TEST(test_a_pools_stride_is_its_kernel_unless_given),
        TEST(test_linear_takes_vectors),
        TEST(test_flatten_leaves_vectors_as_they_are),
        TEST(test_activations_keep_the_shape),
        TEST(test_linear_after_a_picture_asks_for_flatten),
        TEST(test_conv_after_a_vector_is_refused),
        TEST(test_layers_need_a_tensor),
        TEST(test_numbers_count_from_one),
        TEST(test_lrn_needs_numbers_that_keep_its_divisor_positive),
        TEST(test_dropout_does_nothing_in_evaluation),
        TEST(test_groups_must_divide_channels),
        TEST(test_windows_must_fit),
        TEST(test_pools_are_not_of_padding_alone),
        TEST(test_add_needs_one_shape),
        TEST(test_sizes_beyond_all_bounds_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
