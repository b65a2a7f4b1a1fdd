/* What exporters write as several nodes and is one layer: LRN, pads, means over uneven windows,
 * branches that a shape decides; and every operator in the form of each opset. */
#include "tests/support/onnx_convert.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void again(void) {
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
}

static Onnx__NodeProto *with_list(Onnx__NodeProto *node, const char *name, int64_t value) {
    onnx_test_ints(&onnx.test, node, name, 1, (int)value);
    return node;
}

/* Axes are an attribute up to opset 12, then an operand. */
static void on_axis(int opset, const char *type, const char *x, const char *axis, int64_t number,
                    const char *output) {
    char operands[64];
    snprintf(operands, sizeof operands, "%s %s", x, opset < 13 ? "" : axis);
    Onnx__NodeProto *node = onnx_node(type, operands, output);
    if (opset < 13)
        with_list(node, "axes", number);
}

static void mean_of_three(const char *x, const char *output) {
    Onnx__NodeProto *pool = onnx_node("AveragePool", x, output);
    onnx_test_ints(&onnx.test, pool, "kernel_shape", 3, 3, 1, 1);
    onnx_test_ints(&onnx.test, pool, "strides", 3, 1, 1, 1);
    onnx_test_ints(&onnx.test, pool, "pads", 6, 0, 0, 0, 0, 0, 0);
    onnx_test_int(&onnx.test, pool, "count_include_pad", 1);
}

/* x / (2 + 0.5 mean)^0.75 */
static void divide(const char *x, const char *mean, const char *output) {
    char operands[64];
    onnx_test_number(&onnx.test, "alpha", 0.5F);
    onnx_test_number(&onnx.test, "k", 2);
    onnx_test_number(&onnx.test, "beta", 0.75F);
    snprintf(operands, sizeof operands, "%s alpha", mean);
    onnx_node("Mul", operands, "scaled");
    onnx_node("Add", "scaled k", "sum");
    onnx_node("Pow", "sum beta", "power");
    snprintf(operands, sizeof operands, "%s power", x);
    onnx_node("Div", operands, output);
}

static const char lrn_layers[] = "    body { conv(4, kernel=1, bias=false) lrn(size=3, alpha=0.5) "
                                 "flatten }\n    head { linear(classes) }\n";

/* The size of an axis as an operand of one axis. */
static void size_of_axis(int opset, const char *x, const char *index, const char *output) {
    char shape[32], one[32], operands[64];
    snprintf(shape, sizeof shape, "%s.shape", output);
    snprintf(one, sizeof one, "%s.one", output);
    onnx_node("Shape", x, shape);
    snprintf(operands, sizeof operands, "%s %s", shape, index);
    onnx_node("Gather", operands, one);
    on_axis(opset, "Unsqueeze", one, "zero", 0, output);
}

/* [-1, 0] as rows of pairs, turned round, transposed, flattened: the pads of five axes. */
static void pads_of_pairs(void) {
    onnx_test_integers(&onnx.test, "last", 6, 0, 0, 0, 0, 1, 1);
    onnx_test_integers(&onnx.test, "four", 1, 4);
    onnx_test_integers(&onnx.test, "pairs", 2, -1, 2);
    onnx_test_integers(&onnx.test, "minus", 1, -1);
    onnx_test_integers(&onnx.test, "least", 1, 0)->int64_data[0] = -INT64_MAX;
    Onnx__TensorProto *fill = onnx_test_integers(&onnx.test, "fill", 1, 0);
    onnx.test.graph.n_initializer--;
    Onnx__NodeProto *rest = onnx_node("ConstantOfShape", "four", "rest");
    onnx_test_tensor(&onnx.test, rest, "value", fill);
    onnx_test_int(&onnx.test, onnx_node("Concat", "last rest", "list"), "axis", 0);
    onnx_node("Reshape", "list pairs", "rows");
    onnx_node("Slice", "rows minus least zero minus", "turned");
    onnx_test_ints(&onnx.test, onnx_node("Transpose", "turned", "columns"), "perm", 2, 1, 0);
    onnx_node("Reshape", "columns minus", "flat_pads");
    onnx_test_int(&onnx.test, onnx_node("Cast", "flat_pads", "pads"), "to", CVM_ONNX_INT64);
}

/* torch.nn.LocalResponseNorm of a batch whose size is open, as PyTorch 2.6 exports it. */
static void computed_lrn(int opset, const char *x, const char *output) {
    static const char *const indices[] = {"i0", "i1", "i2", "i3"};
    static const char *const sizes[] = {"n", "c", "h", "w"};
    onnx_test_integers(&onnx.test, "zero", 1, 0);
    onnx_test_integers(&onnx.test, "one", 1, 1);
    for (int i = 0; i < 4; i++) {
        onnx_test_integers(&onnx.test, indices[i], 1, i)->n_dims = 0;
        size_of_axis(opset, x, indices[i], sizes[i]);
    }
    onnx_node("Mul", "a a", "squares");
    onnx_test_integers(&onnx.test, "open", 1, -1);
    onnx_test_int(&onnx.test, onnx_node("Concat", "n one c h open", "deep"), "axis", 0);
    onnx_node("Reshape", "squares deep", "as_deep");
    pads_of_pairs();
    onnx_test_text(&onnx.test, onnx_node("Pad", "as_deep pads -", "padded"), "mode", "constant");
    mean_of_three("padded", "means");
    size_t first = onnx.test.graph.n_node;
    on_axis(opset, "Squeeze", "means", "one", 1, "squeezed");
    OnnxBranch then = onnx_test_take_branch(&onnx.test, first, "squeezed");
    onnx_node("Identity", "means", "same");
    OnnxBranch otherwise = onnx_test_take_branch(&onnx.test, first, "same");
    onnx_node("Shape", "means", "means_shape");
    onnx_node("Gather", "means_shape i1", "second");
    onnx_node("Equal", "second one", "is_one");
    Onnx__NodeProto *choice = onnx_node("If", "is_one", "chosen");
    onnx_test_branch(&onnx.test, choice, "then_branch", then);
    onnx_test_branch(&onnx.test, choice, "else_branch", otherwise);
    onnx_test_int(&onnx.test, onnx_node("Concat", "n c h w", "flat_shape"), "axis", 0);
    onnx_node("Reshape", "chosen flat_shape", "flat_means");
    divide(x, "flat_means", output);
}

static void lrn_with_computed_shapes_is_lrn(void **state) {
    (void)state;
    for (int opset = 11; opset <= 17; opset += 6) {
        onnx_begin(opset, 2, 4, 4);
        onnx_conv("x", "a", 4, 2, 1);
        computed_lrn(opset, "a", "b");
        onnx_classify("b", 64);
        onnx_expect_layers("y", lrn_layers);
        again();
    }
}

/* The same of a batch whose size is known: exporters work the shapes out themselves. */
static void lrn_with_known_shapes_is_lrn(void **state) {
    (void)state;
    onnx_begin(9, 2, 4, 4);
    onnx.test.graph.input[0]->type->tensor_type->shape->dim[0]->has_dim_value = true;
    onnx.test.graph.input[0]->type->tensor_type->shape->dim[0]->dim_value = 2;
    onnx_conv("x", "a", 4, 2, 1);
    onnx_test_integers(&onnx.test, "deep", 5, 2, 1, 4, 4, -1);
    onnx_test_integers(&onnx.test, "flat_shape", 4, 2, 4, 4, 4);
    onnx_test_number(&onnx.test, "two", 2);
    onnx_node("Pow", "a two", "squares");
    onnx_node("Reshape", "squares deep", "as_deep");
    onnx_test_ints(&onnx.test, onnx_node("Pad", "as_deep", "padded"), "pads", 10, 0, 0, 1, 0, 0, 0,
                   0, 1, 0, 0);
    mean_of_three("padded", "means");
    onnx_node("Reshape", "means flat_shape", "flat_means");
    divide("a", "flat_means", "b");
    onnx_classify("b", 64);
    onnx_expect_layers("y", lrn_layers);
}

/* Divides another tensor than the one it normalizes; pads one side alone. */
static void what_only_looks_like_lrn_is_refused(void **state) {
    (void)state;
    for (int wrong = 0; wrong < 2; wrong++) {
        onnx_begin(11, 2, 4, 4);
        onnx_conv("x", "a", 4, 2, 1);
        onnx_node("Relu", "a", "r");
        onnx_test_integers(&onnx.test, "pads", 10, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0);
        if (wrong == 1)
            onnx.test.graph.initializer[1]->int64_data[7] = 0;
        onnx_node("Mul", "a a", "squares");
        with_list(onnx_node("Unsqueeze", "squares", "as_deep"), "axes", 1);
        onnx_node("Pad", "as_deep pads", "padded");
        mean_of_three("padded", "means");
        with_list(onnx_node("Squeeze", "means", "flat_means"), "axes", 1);
        divide(wrong == 0 ? "r" : "a", "flat_means", "b");
        onnx_classify("b", 64);
        onnx_expect_errors("y", 1,
                           wrong == 0 ? "CVM1701: Div 'b' is not part of LRN's formula"
                                      : "CVM1701: Pad 'padded' is not part of LRN's formula");
        again();
    }
    onnx_begin(11, 2, 4, 4);
    onnx_node("Mul", "x x", "squares");
    with_list(onnx_node("Unsqueeze", "squares", "as_deep"), "axes", 1);
    onnx_node("Relu", "as_deep", "r");
    onnx_classify("r", 32);
    onnx_expect_errors("y", 1, "CVM1701: Unsqueeze 'as_deep' is part of a formula that is not LRN");
}

static void flag(int truth) {
    Onnx__TensorProto *tensor = onnx_test_number(&onnx.test, "flag", 0);
    uint8_t *byte = cvm_arena_alloc(onnx.arena, 1);
    *byte = (uint8_t)truth;
    tensor->n_float_data = 0;
    tensor->data_type = CVM_ONNX_BOOL;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){1, byte};
}

/* --- pads --- */

static void zeros_around_a_picture_become_the_next_layers_pad(void **state) {
    (void)state;
    onnx_begin(11, 2, 8, 8);
    onnx_test_integers(&onnx.test, "p", 8, 0, 0, 0, 1, 0, 0, 2, 1);
    onnx_test_number(&onnx.test, "nothing", 0);
    onnx_node("Pad", "x p nothing", "padded");
    onnx_conv("padded", "a", 4, 2, 3);
    onnx_test_ints(&onnx.test, onnx_last(), "pads", 4, 1, 0, 0, 0);
    onnx_node("Pad", "a p", "padded2");
    onnx_test_ints(&onnx.test, onnx_node("AveragePool", "padded2", "b"), "kernel_shape", 2, 3, 3);
    onnx_test_ints(&onnx.test, onnx_last(), "strides", 2, 2, 2);
    onnx_test_int(&onnx.test, onnx_last(), "ceil_mode", 1);
    onnx_classify("b", 100);
    onnx_expect_layers("y", "    body {\n"
                            "        conv(4, kernel=3, pad=[1, 1, 2, 1], bias=false)\n"
                            "        avgpool(3, stride=2, pad=[0, 1, 2, 1], ceil=true) flatten\n"
                            "    }\n"
                            "    head { linear(classes) }\n");
}

/* Zeros that count, then pads that do not and reach as far as a last window does, or elsewhere. */
static void pads_that_reach_over_counted_zeros_are_ceil(void **state) {
    (void)state;
    for (int over = 1; over <= 3; over++) {
        onnx_begin(13, 2, 6, 6);
        onnx_test_integers(&onnx.test, "p", 8, 0, 0, 1, 1, 0, 0, 1, 1);
        onnx_node("Pad", "x p", "padded");
        Onnx__NodeProto *pool = onnx_node("AveragePool", "padded", "b");
        onnx_test_ints(&onnx.test, pool, "kernel_shape", 2, 3, 3);
        onnx_test_ints(&onnx.test, pool, "strides", 2, 2, 2);
        onnx_test_ints(&onnx.test, pool, "pads", 4, 0, 0, over == 2 ? 0 : over, over);
        onnx_classify("b", 32);
        if (over == 1)
            onnx_expect_layers("y", "    head {\n"
                                    "        avgpool(3, stride=2, pad=1, ceil=true) flatten\n"
                                    "        linear(classes)\n"
                                    "    }\n");
        else
            onnx_expect_errors("y", 1, "CVM1702: AveragePool 'b' counts the zeros of the Pad");
        again();
    }
}

static void pads_that_no_layer_has_are_refused(void **state) {
    (void)state;
    static const char *const messages[] = {
        "CVM1702: Pad 'p' pads with other numbers than 0",
        "CVM1702: Pad 'p' puts zeros elsewhere than around height and width",
        "CVM1701: MaxPool 'm' takes the largest of pixels and the zeros of a Pad",
        "CVM1701: Pad 'p' pads a picture, which can only be a convolution's or an average's pad",
        "CVM1702: Pad 'p' pads with other numbers than 0",
    };
    for (int i = 0; i < 5; i++) {
        onnx_begin(10, 2, 8, 8);
        Onnx__NodeProto *pad = onnx_node("Pad", "x", "p");
        onnx_test_ints(&onnx.test, pad, "pads", 8, 0, i == 1, 1, 1, 0, 0, 1, 1);
        if (i == 0)
            onnx_test_text(&onnx.test, pad, "mode", "reflect");
        if (i == 4)
            onnx_test_float(&onnx.test, pad, "value", 1);
        if (i == 3)
            onnx_node("Relu", "p", "m");
        else
            onnx_test_ints(&onnx.test, onnx_node("MaxPool", "p", "m"), "kernel_shape", 2, 2, 2);
        onnx_classify("m", 162);
        onnx_expect_errors("y", 1, messages[i]);
        again();
    }
}

/* --- uneven means --- */

static void set_floats(Onnx__TensorProto *tensor, const float *elements, size_t count) {
    tensor->raw_data = (ProtobufCBinaryData){count * 4, (uint8_t *)(uintptr_t)elements};
}

static void products_that_take_uneven_means_are_adaptive(void **state) {
    (void)state;
    static const float widths[] = {0.5F, 0, 0.5F, 0.5F, 0, 0.5F}; /* 3 pixels, 2 windows */
    static const float heights[] = {0.25F, 0.25F, 0.25F, 0.25F};
    static const float others[] = {0.5F, 0, 0.25F, 0.5F, 0, 0.5F};
    for (int i = 0; i < 2; i++) {
        onnx_begin(13, 2, 4, 3);
        set_floats(onnx_test_weights(&onnx.test, "widths", (CvmShape){2, {3, 2}}),
                   i == 0 ? widths : others, 6);
        set_floats(onnx_test_weights(&onnx.test, "heights", (CvmShape){2, {1, 4}}), heights, 4);
        onnx_node("MatMul", "x widths", "rows");
        onnx_node("MatMul", "heights rows", "m");
        onnx_classify("m", 4);
        if (i == 0)
            onnx_expect_layers("y", "    head {\n"
                                    "        adaptive_avgpool([1, 2]) flatten\n"
                                    "        linear(classes)\n"
                                    "    }\n");
        else
            onnx_expect_errors("y", 1,
                               "CVM1701: MatMul 'rows' multiplies rows of pixels by a matrix");
        again();
    }
}

/* --- branches --- */

static void if_of(const char *condition, const char *then, const char *otherwise) {
    size_t first = onnx.test.graph.n_node;
    onnx_node(then, "x", "t");
    OnnxBranch left = onnx_test_take_branch(&onnx.test, first, "t");
    onnx_node(otherwise, "x", "e");
    OnnxBranch right = onnx_test_take_branch(&onnx.test, first, "e");
    Onnx__NodeProto *node = onnx_node("If", condition, "chosen");
    onnx_test_branch(&onnx.test, node, "then_branch", left);
    onnx_test_branch(&onnx.test, node, "else_branch", right);
}

static void the_branch_that_is_taken_is_read_alone(void **state) {
    (void)state;
    for (int truth = 0; truth < 2; truth++) {
        onnx_begin(13, 2, 4, 4);
        flag(truth);
        if_of("flag", truth ? "Relu" : "Resize", truth ? "Resize" : "Tanh");
        onnx_classify("chosen", 32);
        char layers[128];
        snprintf(layers, sizeof layers,
                 "    head {\n        %s flatten\n        linear(classes)\n    }\n",
                 truth ? "relu" : "tanh");
        onnx_expect_layers("y", layers);
        again();
    }
}

static void a_branch_is_refused_where_the_net_decides(void **state) {
    (void)state;
    onnx_begin(13, 2, 4, 4);
    if_of("x", "Relu", "Tanh");
    onnx_classify("chosen", 32);
    onnx_expect_errors("y", 1, "CVM1701: If 'chosen' decides by what is not known before it runs");
    again();
    onnx_begin(13, 2, 4, 4);
    flag(1);
    if_of("flag", "Resize", "Relu");
    onnx_classify("chosen", 32);
    onnx_expect_errors("y", 1, "net.onnx:1:1: error CVM1701: Resize 't' does what no layer does");
}

/* --- all opsets --- */

/* One operator after another, each in the form of its opset. */
static void build_all(int opset) {
    onnx_begin(opset, 2, 12, 12);
    onnx_test_weights(&onnx.test, "w", (CvmShape){4, {4, 2, 3, 3}});
    onnx_test_weights(&onnx.test, "b", (CvmShape){1, {4}});
    onnx_test_text(&onnx.test, onnx_node("Conv", "x w b", "conv1"), "auto_pad", "SAME_UPPER");
    for (int i = 0; i < 4; i++)
        onnx_test_weights(&onnx.test, (const char *[]){"n0", "n1", "n2", "n3"}[i],
                          (CvmShape){1, {4}});
    Onnx__NodeProto *norm = onnx_node("BatchNormalization", "conv1 n0 n1 n2 n3", "norm");
    onnx_test_float(&onnx.test, norm, "momentum", 0.9F);
    if (opset < 9)
        onnx_test_int(&onnx.test, norm, "spatial", 1);
    if (opset >= 14)
        onnx_test_int(&onnx.test, norm, "training_mode", 0);
    onnx_node("Relu", "norm", "relu1");
    Onnx__NodeProto *pool = onnx_node("MaxPool", "relu1", "pool1");
    onnx_test_ints(&onnx.test, pool, "kernel_shape", 2, 3, 3);
    onnx_test_ints(&onnx.test, pool, "strides", 2, 2, 2);
    onnx_test_ints(&onnx.test, pool, "pads", 4, 0, 0, 1, 1);
    if (opset >= 10)
        onnx_test_ints(&onnx.test, pool, "dilations", 2, 1, 1);
    onnx_test_int(&onnx.test, onnx_node("LRN", "pool1", "lrn1"), "size", 3);
    onnx_node("LeakyRelu", "lrn1", "leaky");
    onnx_node("Sigmoid", "leaky", "sigmoid");
    onnx_node("Tanh", "leaky", "tanh");
    onnx_node("Mul", "sigmoid tanh", "product");
    onnx_node("Add", "product leaky", "sum");
    onnx_test_int(&onnx.test, onnx_node("Concat", "leaky sum", "joined"), "axis",
                  opset < 11 ? 1 : -3);
    onnx_test_ints(&onnx.test, onnx_node("AveragePool", "joined", "pool2"), "kernel_shape", 2, 2,
                   2);
    if (opset >= 19)
        onnx_test_ints(&onnx.test, onnx_last(), "dilations", 2, 1, 1);
    onnx_test_number(&onnx.test, "share", 0.25F);
    Onnx__NodeProto *drop = onnx_node("Dropout", opset < 12 ? "pool2" : "pool2 share", "drop");
    if (opset < 12)
        onnx_test_float(&onnx.test, drop, "ratio", 0.25F);
    onnx_node("GlobalAveragePool", "drop", "mean");
    on_axis(opset, "Squeeze", "mean", "pixel", 2, "features");
    if (opset < 13) {
        onnx_last()->n_attribute = 0;
        onnx_test_ints(&onnx.test, onnx_last(), "axes", 2, 2, 3);
    }
    onnx_test_integers(&onnx.test, "pixel", 2, 2, 3);
    onnx_test_weights(&onnx.test, "m", (CvmShape){2, {8, 6}});
    onnx_node("MatMul", "features m", "z");
    if (opset >= 20)
        onnx_node("Gelu", "z", "g");
    else
        onnx_node("Identity", "z", "g");
    onnx_test_int(&onnx.test, onnx_node("Softmax", "g", "y"), "axis", 1);
}

static void every_opset_has_its_form(void **state) {
    (void)state;
    for (int opset = 7; opset <= 21; opset++) {
        build_all(opset);
        char layers[1024];
        snprintf(layers, sizeof layers,
                 "    body {\n"
                 "        conv(4, kernel=3, pad=same) batchnorm relu maxpool(3, stride=2, "
                 "pad=[0, 0, 1, 1])\n"
                 "        lrn(size=3, k=1) leaky_relu\n"
                 "        let skip = it\n"
                 "        let branch = it sigmoid\n"
                 "        tanh\n"
                 "        mul(branch, it)\n"
                 "        add(it, skip)\n"
                 "        concat(skip, it) avgpool(2, stride=1) dropout(rate=0.25) global_avgpool "
                 "flatten\n"
                 "    }\n"
                 "    head { linear(classes, bias=false)%s }\n",
                 opset >= 20 ? " gelu" : "");
        onnx_expect_layers("y", layers);
        again();
    }
}

/* Up to opset 12 a softmax runs over all that follows its axis. */
static void softmax_means_another_thing_before_opset_13(void **state) {
    (void)state;
    for (int opset = 12; opset <= 13; opset++) {
        onnx_begin(opset, 2, 4, 4);
        onnx_test_int(&onnx.test, onnx_node("Softmax", "x", "s"), "axis", 1);
        onnx_classify("s", 32);
        if (opset == 12)
            onnx_expect_errors("y", 1, "CVM1702: Softmax 's' does not work along the channels");
        else
            onnx_expect_layers("y", "    head {\n"
                                    "        softmax flatten\n"
                                    "        linear(classes)\n"
                                    "    }\n");
        again();
    }
}

/* A flag that is false is what inference files have. */
static void dropout_of_a_training_is_refused(void **state) {
    (void)state;
    for (int training = 0; training < 2; training++) {
        onnx_begin(13, 2, 4, 4);
        flag(training);
        onnx_node("Dropout", "x - flag", "d");
        onnx_classify("d", 32);
        if (training)
            onnx_expect_errors("y", 1,
                               "CVM1702: Dropout 'd' drops out while pictures are classified");
        else
            onnx_expect_layers("y", "    head {\n"
                                    "        dropout flatten\n"
                                    "        linear(classes)\n"
                                    "    }\n");
        again();
    }
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, onnx_set_up, onnx_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(lrn_with_computed_shapes_is_lrn),
        TEST(lrn_with_known_shapes_is_lrn),
        TEST(what_only_looks_like_lrn_is_refused),
        TEST(zeros_around_a_picture_become_the_next_layers_pad),
        TEST(pads_that_reach_over_counted_zeros_are_ceil),
        TEST(pads_that_no_layer_has_are_refused),
        TEST(products_that_take_uneven_means_are_adaptive),
        TEST(the_branch_that_is_taken_is_read_alone),
        TEST(a_branch_is_refused_where_the_net_decides),
        TEST(every_opset_has_its_form),
        TEST(softmax_means_another_thing_before_opset_13),
        TEST(dropout_of_a_training_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
