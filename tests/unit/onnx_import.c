/* ONNX graphs as .cvm texts: each operator's layer, branches, weights in the language's layout, and
 * what is refused, with its node named. */
#include "tests/support/onnx_convert.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void a_small_network_becomes_readable_text(void **state) {
    (void)state;
    onnx_begin(17, 1, 12, 12);
    onnx_test_weights(&onnx.test, "c1.w", (CvmShape){4, {4, 1, 3, 3}});
    onnx_test_weights(&onnx.test, "c1.b", (CvmShape){1, {4}});
    onnx_test_ints(&onnx.test, onnx_node("Conv", "x c1.w c1.b", "c1"), "pads", 4, 1, 1, 1, 1);
    onnx_node("Relu", "c1", "r1");
    onnx_test_ints(&onnx.test, onnx_node("MaxPool", "r1", "p1"), "kernel_shape", 2, 2, 2);
    onnx_test_ints(&onnx.test, onnx_last(), "strides", 2, 2, 2);
    onnx_classify("p1", 144);
    onnx_test_int(&onnx.test, onnx_node("Softmax", "y", "z"), "axis", 1);
    if (!onnx_convert("z"))
        fail_msg("%s", onnx_diagnostics());
    assert_string_equal(onnx.converted.text,
                        "# From net.onnx, by cvmc import. Its parameters are in net.safetensors:\n"
                        "#     cvmc run net.cvm --weights net.safetensors picture.png\n"
                        "# The softmax at its end is left out: a model's output are the logits.\n"
                        "model Net(classes: int = 10) {\n"
                        "    input image: [1, 12, 12]\n"
                        "\n"
                        "    body { conv(4, kernel=3, pad=1) relu maxpool(2) flatten }\n"
                        "    head { linear(classes) }\n"
                        "}\n"
                        "\n"
                        "# How its pictures were prepared an ONNX file does not tell. This is a "
                        "guess: change it to "
                        "what the\n# net was trained with.\n"
                        "predict Net {\n"
                        "    resize [12, 12]\n"
                        "    normalize unit\n"
                        "}\n");
    assert_int_equal(onnx.converted.tensor_count, 4);
    assert_true(onnx_element("body.conv1.weight", 35) == 35.0F / 8);
    assert_true(onnx_element("body.conv1.bias", 3) == 3.0F / 8);
    assert_true(onnx_element("head.linear1.weight", 1439) == 1439.0F / 8);
}

static void windows_keep_their_sizes_pads_and_modes(void **state) {
    (void)state;
    onnx_begin(19, 2, 32, 32);
    onnx_conv("x", "a", 4, 1, 3);
    onnx_test_ints(&onnx.test, onnx_last(), "pads", 4, 0, 1, 2, 1);
    onnx_test_ints(&onnx.test, onnx_last(), "dilations", 2, 1, 2);
    onnx_test_int(&onnx.test, onnx_last(), "group", 2);
    onnx_conv("a", "b", 4, 4, 3);
    onnx_test_text(&onnx.test, onnx_last(), "auto_pad", "SAME_UPPER");
    onnx_test_ints(&onnx.test, onnx_last(), "strides", 2, 2, 1);
    onnx_conv("b", "c", 4, 4, 2);
    onnx_test_text(&onnx.test, onnx_last(), "auto_pad", "SAME_LOWER");
    onnx_test_ints(&onnx.test, onnx_node("MaxPool", "c", "d"), "kernel_shape", 2, 3, 3);
    onnx_test_ints(&onnx.test, onnx_last(), "strides", 2, 2, 2);
    onnx_test_int(&onnx.test, onnx_last(), "ceil_mode", 1);
    onnx_test_ints(&onnx.test, onnx_node("AveragePool", "d", "e"), "kernel_shape", 2, 3, 3);
    onnx_test_ints(&onnx.test, onnx_last(), "pads", 4, 1, 1, 1, 1);
    onnx_test_ints(&onnx.test, onnx_node("AveragePool", "e", "f"), "kernel_shape", 2, 1, 1);
    onnx_node("GlobalAveragePool", "f", "g");
    onnx_classify("g", 4);
    onnx_expect_layers(
        "y", "    body {\n"
             "        conv(4, kernel=3, pad=[0, 1, 2, 1], dilation=[1, 2], groups=2, "
             "bias=false)\n"
             "        conv(4, kernel=3, stride=[2, 1], pad=same, bias=false)\n"
             "        conv(4, kernel=2, pad=[1, 1, 0, 0], bias=false) "
             "maxpool(3, stride=2, ceil=true)\n"
             "        avgpool(3, stride=1, pad=1, count_pad=false) global_avgpool flatten\n"
             "    }\n"
             "    head { linear(classes) }\n");
}

static void activations_are_layers(void **state) {
    (void)state;
    onnx_begin(20, 1, 4, 4);
    onnx_conv("x", "a", 2, 1, 1);
    onnx_node("Tanh", "a", "b");
    onnx_node("Sigmoid", "b", "c");
    onnx_test_float(&onnx.test, onnx_node("LeakyRelu", "c", "d"), "alpha", 0.2F);
    onnx_node("Gelu", "d", "e");
    onnx_node("Identity", "e", "f");
    onnx_classify("f", 32);
    onnx_expect_layers(
        "y", "    body { conv(2, kernel=1, bias=false) tanh sigmoid leaky_relu(slope=0.2) "
             "gelu flatten }\n"
             "    head { linear(classes) }\n");
}

static void normalization_across_channels_is_a_layer(void **state) {
    (void)state;
    onnx_begin(13, 2, 4, 4);
    onnx_test_int(&onnx.test, onnx_node("LRN", "x", "a"), "size", 5);
    onnx_test_float(&onnx.test, onnx_last(), "alpha", 0.0005F);
    onnx_test_float(&onnx.test, onnx_last(), "bias", 2);
    onnx_test_int(&onnx.test, onnx_node("Softmax", "a", "b"), "axis", 1);
    onnx_test_int(&onnx.test, onnx_node("LRN", "b", "c"), "size", 3);
    onnx_classify("c", 32);
    onnx_expect_layers("y", "    head {\n"
                            "        lrn(alpha=0.0005) softmax lrn(size=3, k=1) flatten\n"
                            "        linear(classes)\n"
                            "    }\n");
}

static void batch_norm_keeps_its_statistics(void **state) {
    (void)state;
    onnx_begin(15, 1, 4, 4);
    onnx_conv("x", "a", 2, 1, 1);
    const char *const names[] = {"n.scale", "n.bias", "n.mean", "n.var"};
    for (int i = 0; i < 4; i++) {
        Onnx__TensorProto *tensor = onnx_test_weights(&onnx.test, names[i], (CvmShape){1, {2}});
        ((float *)tensor->raw_data.data)[1] = (float)(i + 1);
    }
    onnx_node("BatchNormalization", "a n.scale n.bias n.mean n.var", "n");
    onnx_test_float(&onnx.test, onnx_last(), "epsilon", 0.001F);
    onnx_node("Relu", "n", "r");
    onnx_classify("r", 32);
    onnx_expect_layers(
        "y", "    body { conv(2, kernel=1, bias=false) batchnorm(epsilon=0.001) relu flatten "
             "}\n    head { linear(classes) }\n");
    assert_true(onnx_element("body.batchnorm1.scale", 1) == 1);
    assert_true(onnx_element("body.batchnorm1.shift", 1) == 2);
    assert_true(onnx_element("body.batchnorm1.running_mean", 1) == 3);
    assert_true(onnx_element("body.batchnorm1.running_variance", 1) == 4);
}

static void dropout_stays_for_trainings(void **state) {
    (void)state;
    onnx_begin(11, 1, 4, 4);
    onnx_test_float(&onnx.test, onnx_node("Dropout", "x", "a"), "ratio", 0.3F);
    onnx_classify("a", 16);
    onnx_expect_layers(
        "y", "    head {\n        dropout(rate=0.3) flatten\n        linear(classes)\n    }\n");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_test_number(&onnx.test, "half", 0.5F);
    onnx_node("Dropout", "x half", "a");
    onnx_classify("a", 16);
    onnx_expect_layers("y",
                       "    head {\n        dropout flatten\n        linear(classes)\n    }\n");
}

static void gelus_formula_is_gelu(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_conv("x", "a", 2, 1, 1);
    onnx_test_number(&onnx.test, "root", 1.41421356F);
    onnx_test_number(&onnx.test, "inverse", 0.70710678F);
    onnx_test_number(&onnx.test, "one", 1);
    onnx_test_number(&onnx.test, "half", 0.5F);
    onnx_node("Div", "a root", "b");
    onnx_node("Erf", "b", "c");
    onnx_node("Add", "c one", "d");
    onnx_node("Mul", "a d", "e");
    onnx_node("Mul", "e half", "f");
    onnx_node("Mul", "inverse f", "g");
    onnx_node("Erf", "g", "h");
    onnx_node("Add", "one h", "i");
    onnx_node("Mul", "f half", "j");
    onnx_node("Mul", "i j", "k");
    onnx_classify("k", 32);
    onnx_expect_layers("y", "    body { conv(2, kernel=1, bias=false) gelu gelu flatten }\n"
                            "    head { linear(classes) }\n");
}

static void a_part_of_a_formula_alone_is_refused(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_test_number(&onnx.test, "two", 2);
    onnx_node("Mul", "x two", "doubled");
    onnx_node("Relu", "doubled", "r");
    onnx_classify("r", 16);
    onnx_expect_errors("y", 1, "CVM1701: Mul 'doubled' computes with a constant");
}

static void products_and_sums_become_linear_with_bias(void **state) {
    (void)state;
    onnx_begin(13, 1, 2, 2);
    onnx_node("Flatten", "x", "f");
    onnx_test_weights(&onnx.test, "m", (CvmShape){2, {4, 3}});
    onnx_test_weights(&onnx.test, "b", (CvmShape){1, {3}});
    onnx_node("MatMul", "f m", "p");
    onnx_node("Add", "b p", "s");
    onnx_test_weights(&onnx.test, "g", (CvmShape){2, {3, 2}});
    onnx_test_weights(&onnx.test, "c", (CvmShape){2, {1, 2}});
    onnx_test_float(&onnx.test, onnx_node("Gemm", "s g c", "y"), "alpha", 0.5F);
    onnx_test_float(&onnx.test, onnx_last(), "beta", 4);
    onnx_expect_layers("y", "    body {\n        flatten\n        linear(3)\n    }\n"
                            "    head { linear(classes) }\n");
    assert_true(onnx_element("body.linear1.weight", 1) == 3.0F / 8); /* transposed */
    assert_true(onnx_element("body.linear1.bias", 2) == 2.0F / 8);
    assert_true(onnx_element("head.linear1.weight", 1) == 0.5F * 2 / 8);
    assert_true(onnx_element("head.linear1.bias", 1) == 4.0F / 8);
}

static void a_sum_after_a_convolution_is_its_bias_only_where_nothing_else_reads_it(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_conv("x", "a", 2, 1, 1);
    onnx_test_weights(&onnx.test, "b", (CvmShape){3, {2, 1, 1}});
    onnx_node("Add", "a b", "s");
    onnx_node("Relu", "s", "r");
    onnx_classify("r", 32);
    onnx_expect_layers("y", "    body { conv(2, kernel=1) relu flatten }\n"
                            "    head { linear(classes) }\n");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_conv("x", "a", 2, 1, 1);
    onnx_test_weights(&onnx.test, "b", (CvmShape){3, {2, 1, 1}});
    onnx_node("Add", "a b", "s");
    onnx_node("Add", "s a", "t");
    onnx_classify("t", 32);
    onnx_expect_errors("y", 1, "CVM1703: Add 's' takes a constant as its input 2");
}

/* Reshape to what Shape, Gather, Unsqueeze and Concat computed, as older exporters wrote flatten.
 */
static void a_computed_flat_shape_is_flatten(void **state) {
    (void)state;
    onnx_begin(11, 2, 3, 3);
    onnx_test_integers(&onnx.test, "zero", 1, 0);
    onnx.test.graph.initializer[0]->n_dims = 0;
    onnx_test_integers(&onnx.test, "rest", 1, -1);
    onnx_node("Relu", "x", "r");
    onnx_node("Shape", "r", "s");
    onnx_node("Gather", "s zero", "n");
    onnx_test_ints(&onnx.test, onnx_node("Unsqueeze", "n", "u"), "axes", 1, 0);
    onnx_test_int(&onnx.test, onnx_node("Concat", "u rest", "t"), "axis", 0);
    onnx_node("Reshape", "r t", "flat");
    onnx_test_weights(&onnx.test, "w", (CvmShape){2, {18, 10}});
    onnx_node("MatMul", "flat w", "y");
    onnx_expect_layers("y", "    head {\n"
                            "        relu flatten\n"
                            "        linear(classes, bias=false)\n"
                            "    }\n");
}

static void another_shape_is_refused(void **state) {
    (void)state;
    onnx_begin(13, 2, 3, 3);
    onnx_test_integers(&onnx.test, "shape", 2, -1, 9);
    onnx_node("Reshape", "x shape", "y");
    onnx_expect_errors("y", 1, "CVM1703: Reshape 'y' makes a shape that is not [n, features]");
}

static void branches_become_lets_and_equal_units_a_repeat(void **state) {
    (void)state;
    char before[16] = "x", a[16], b[16], c[16], d[16], operands[64];
    onnx_begin(13, 4, 6, 6);
    for (int i = 0; i < 3; i++) {
        snprintf(a, sizeof a, "a%d", i);
        snprintf(b, sizeof b, "b%d", i);
        snprintf(c, sizeof c, "c%d", i);
        snprintf(d, sizeof d, "d%d", i);
        onnx_conv(before, a, 4, 4, 1);
        onnx_node("Relu", a, b);
        onnx_conv(b, c, 4, 4, 1);
        snprintf(operands, sizeof operands, "%s %s", i < 2 ? before : "side", c);
        if (i == 2)
            onnx_conv(before, "side", 4, 4, 1);
        onnx_node("Add", operands, d);
        strcpy(before, d);
    }
    onnx_node("GlobalAveragePool", "d2", "g");
    onnx_classify("g", 4);
    onnx_expect_layers("y", "    body {\n"
                            "        repeat 2 {\n"
                            "            let skip = it\n"
                            "            conv(4, kernel=1, bias=false) relu\n"
                            "            conv(4, kernel=1, bias=false)\n"
                            "            add(skip, it)\n"
                            "        }\n"
                            "        let skip = it conv(4, kernel=1, bias=false)\n"
                            "        conv(4, kernel=1, bias=false) relu\n"
                            "        conv(4, kernel=1, bias=false)\n"
                            "        add(skip, it) global_avgpool flatten\n"
                            "    }\n"
                            "    head { linear(classes) }\n");
    assert_int_equal(onnx.converted.tensor_count, 9);
}

static void parts_are_joined_along_the_channels(void **state) {
    (void)state;
    onnx_begin(13, 2, 4, 4);
    onnx_conv("x", "a", 4, 2, 1);
    onnx_node("Relu", "a", "b");
    onnx_conv("x", "c", 6, 2, 1);
    onnx_node("Relu", "c", "d");
    onnx_test_int(&onnx.test, onnx_node("Concat", "b d x", "e"), "axis", 1);
    onnx_classify("e", 192);
    onnx_expect_layers("y", "    body {\n"
                            "        let skip = it\n"
                            "        let branch = it conv(4, kernel=1, bias=false) relu\n"
                            "        conv(6, kernel=1, bias=false) relu\n"
                            "        concat(branch, it, skip) flatten\n"
                            "    }\n"
                            "    head { linear(classes) }\n");
    assert_int_equal(onnx_tensor("body.conv1.weight")->shape.sizes[0], 4);
}

/* Branches that branch again cannot stand in a let: the flow comes back to the name of their start.
 */
static void nested_branches_come_back(void **state) {
    (void)state;
    onnx_begin(13, 2, 4, 4);
    onnx_node("Relu", "x", "r");
    onnx_node("Tanh", "r", "a");
    onnx_node("Sigmoid", "a", "b");
    onnx_node("Relu", "a", "c");
    onnx_node("Mul", "b c", "d");
    onnx_node("Sigmoid", "r", "e");
    onnx_node("Tanh", "e", "f");
    onnx_node("Relu", "e", "g");
    onnx_node("Mul", "f g", "h");
    onnx_node("Add", "d h", "i");
    onnx_node("Add", "i r", "j");
    onnx_classify("j", 32);
    if (!onnx_convert("y"))
        fail_msg("%s", onnx_diagnostics());
    assert_non_null(strstr(onnx.converted.text, "let skip = it\n"));
    assert_non_null(strstr(onnx.converted.text, "        skip"));
}

/* --- what is refused --- */

static void every_unknown_operator_is_named(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_node("Resize", "x", "up");
    onnx_node("Relu", "up", "r");
    onnx_test_int(&onnx.test, onnx_node("NonMaxSuppression", "r", "nms"), "center_point_box", 1);
    onnx_node("Relu", "x", "other")->domain = (char[]){"com.example"};
    onnx_node("Add", "nms other", "y");
    onnx_expect_errors("y", 3, "net.onnx:1:1: error CVM1701: Resize 'up' does what no layer does",
                       "CVM1701: NonMaxSuppression 'nms' does",
                       "'other' is an operator of com.example");
    assert_non_null(strstr(onnx_diagnostics(), "     1 | Resize \"up\" (x)\n"));
}

static void unknown_attributes_are_named(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_test_int(&onnx.test, onnx_node("Relu", "x", "y"), "leak", 1);
    onnx_expect_errors("y", 1, "CVM1702: Relu 'y' has the attribute 'leak', which is not known");
}

static void circles_and_missing_or_doubled_names_are_errors(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_node("Add", "x b", "a");
    onnx_node("Relu", "a", "b");
    onnx_expect_errors("b", 1, "CVM1705: Add 'a' depends on itself");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_node("Add", "x nowhere", "y");
    onnx_expect_errors("y", 1, "CVM1707: Add 'y' reads 'nowhere', which nothing gives");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_node("Relu", "x", "y");
    onnx_node("Tanh", "x", "y");
    onnx_expect_errors("y", 1, "CVM1706: two tensors are called 'y'");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_node("Relu", "x", "y");
    onnx_expect_errors("z", 1, "CVM1707: nothing gives the output 'z'");
}

static void other_opsets_are_refused(void **state) {
    (void)state;
    onnx_begin(6, 1, 4, 4);
    onnx_node("Relu", "x", "y");
    onnx_expect_errors("y", 1, "CVM1700: the operators are of none of the versions 7 to 21");
}

static void shapes_that_do_not_fit_are_told_at_the_node(void **state) {
    (void)state;
    onnx_begin(13, 3, 4, 4);
    onnx_conv("x", "c", 4, 2, 3);
    onnx_classify("c", 16);
    onnx_expect_errors("y", 1,
                       "CVM1704: Conv 'c' has a weight of shape [4, 2, 3, 3] where [4, 3, 3, 3]");
}

static void lying_tensors_are_refused(void **state) {
    (void)state;
    onnx_begin(13, 1, 4, 4);
    onnx_conv("x", "c", 4, 1, 3);
    onnx.test.graph.initializer[0]->dims[0] = INT64_C(1) << 40;
    onnx_classify("c", 16);
    onnx_expect_errors("y", 1, "CVM1704: tensor 'c.weight' has 144 bytes of data");
    onnx_tear_down(NULL);
    onnx_set_up(NULL);
    onnx_begin(13, 1, 4, 4);
    onnx_conv("x", "c", 4, 1, 3);
    onnx.test.graph.initializer[0]->dims[0] = onnx.test.graph.initializer[0]->dims[1] = INT64_C(1)
                                                                                        << 40;
    onnx_classify("c", 16);
    onnx_expect_errors("y", 1, "CVM1704: tensor 'c.weight' has a size that no memory could hold");
}

static void external_data_stays_in_the_folder(void **state) {
    (void)state;
    static const char *const places[] = {"../secret", "/etc/passwd", "a/../../b", ""};
    for (int i = 0; i < 4; i++) {
        Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT, *list = &entry;
        entry.key = (char[]){"location"};
        entry.value = cvm_arena_copy(onnx.arena, places[i], strlen(places[i]));
        onnx_begin(13, 1, 4, 4);
        onnx_conv("x", "c", 4, 1, 3);
        onnx.test.graph.initializer[0]->has_raw_data = false;
        onnx.test.graph.initializer[0]->has_data_location = true;
        onnx.test.graph.initializer[0]->data_location = 1;
        onnx.test.graph.initializer[0]->n_external_data = 1;
        onnx.test.graph.initializer[0]->external_data = &list;
        onnx_classify("c", 16);
        onnx_expect_errors("y", 1, "which is no file in the model's own folder");
        onnx_tear_down(NULL);
        onnx_set_up(NULL);
    }
}

/* Data of two tensors in one file beside the model, and a file that is too short. */
static void external_data_is_read_beside_the_model(void **state) {
    (void)state;
    void *folder;
    CvmError error;
    size_t size;
    float elements[6] = {9, 9, 1, 2, 3, 4};
    temporary_setup(&folder);
    for (int length = 24; length >= 20; length -= 4) {
        static const char *const keys[] = {"location", "offset", "length"};
        static const char *const values[] = {"net.bin", "8", "16"};
        Onnx__StringStringEntryProto entries[3], *list[3];
        for (int i = 0; i < 3; i++) {
            onnx__string_string_entry_proto__init(list[i] = &entries[i]);
            entries[i].key = cvm_arena_copy(onnx.arena, keys[i], strlen(keys[i]));
            entries[i].value = cvm_arena_copy(onnx.arena, values[i], strlen(values[i]));
        }
        onnx_begin(13, 1, 4, 4);
        onnx_conv("x", "c", 4, 1, 1);
        Onnx__TensorProto *weight = onnx.test.graph.initializer[0];
        weight->has_raw_data = false;
        weight->has_data_location = true;
        weight->data_location = 1;
        weight->n_external_data = 3;
        weight->external_data = list;
        onnx_classify("c", 64);
        const uint8_t *bytes = onnx_test_end(&onnx.test, "y", &size);
        temporary_write(temporary_path(&folder, "net.onnx"), bytes, size);
        temporary_write(temporary_path(&folder, "net.bin"), elements, (size_t)length);
        cvm_diag_init(&onnx.diag, onnx.arena);
        const CvmOnnxNames names = {"Net", "net.onnx", "net.cvm", "net.safetensors"};
        assert_true(cvm_onnx_model_open(temporary_path(&folder, "net.onnx"), onnx.arena,
                                        &onnx.model, &error));
        assert_int_equal(
            cvm_onnx_convert(&onnx.model, &names, onnx.arena, &onnx.converted, &onnx.diag),
            length == 24);
        if (length == 24)
            assert_true(onnx_element("body.conv1.weight", 0) == 1 &&
                        onnx_element("body.conv1.weight", 3) == 4);
        else
            assert_non_null(
                strstr(onnx_diagnostics(), "'c.weight' has its data beyond the end of"));
        onnx_tear_down(NULL);
        onnx_set_up(NULL);
    }
    temporary_teardown(&folder);
}

static void other_element_types_become_floats(void **state) {
    (void)state;
    uint16_t halves[4] = {0x3C00, 0x4000, 0xBC00, 0};
    int32_t bfloats[4] = {0x3F80, 0x4000, 0xBF80, 0};
    double doubles[4] = {1, 2, -1, 0};
    for (int i = 0; i < 3; i++) {
        onnx_begin(13, 1, 4, 4);
        onnx_conv("x", "c", 4, 1, 1);
        Onnx__TensorProto *weight = onnx.test.graph.initializer[0];
        weight->data_type = i == 0   ? CVM_ONNX_FLOAT16
                            : i == 1 ? CVM_ONNX_BFLOAT16
                                     : CVM_ONNX_DOUBLE;
        weight->has_raw_data = i == 0;
        weight->raw_data = (ProtobufCBinaryData){sizeof halves, (uint8_t *)halves};
        weight->n_int32_data = i == 1 ? 4 : 0;
        weight->int32_data = bfloats;
        weight->n_double_data = i == 2 ? 4 : 0;
        weight->double_data = doubles;
        onnx_classify("c", 64);
        if (!onnx_convert("y"))
            fail_msg("%s", onnx_diagnostics());
        assert_true(onnx_element("body.conv1.weight", 1) == 2 &&
                    onnx_element("body.conv1.weight", 2) == -1);
        onnx_tear_down(NULL);
        onnx_set_up(NULL);
    }
}

static void bytes_that_are_no_model_are_refused(void **state) {
    (void)state;
    CvmError error;
    static const uint8_t empties[] = {0x3A, 4, 0x0A, 0x7F, 0, 0};
    assert_false(cvm_onnx_model_parse("hello", 5, "net.onnx", onnx.arena, &onnx.model, &error));
    assert_string_equal(error.message, "net.onnx is not an ONNX file");
    assert_false(
        cvm_onnx_model_parse(empties, sizeof empties, "net.onnx", onnx.arena, &onnx.model, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
}

/* Two bytes a node, each of which would be a struct of a hundred. */
static void memory_is_bounded_by_the_files_size(void **state) {
    (void)state;
    CvmError error;
    enum { SIZE = 4000000 };
    uint8_t *bytes = calloc(1, SIZE + 5);
    assert_non_null(bytes);
    bytes[0] = 0x3A;
    for (int i = 0, rest = SIZE; i < 4; i++, rest >>= 7)
        bytes[1 + i] = (uint8_t)((rest & 0x7F) | (i < 3 ? 0x80 : 0));
    for (int i = 0; i < SIZE; i += 2)
        bytes[5 + i] = 0x0A;
    assert_false(
        cvm_onnx_model_parse(bytes, SIZE + 5, "net.onnx", onnx.arena, &onnx.model, &error));
    assert_string_equal(error.message, "net.onnx would need far more memory than it has bytes");
    free(bytes);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, onnx_set_up, onnx_tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_small_network_becomes_readable_text),
        TEST(windows_keep_their_sizes_pads_and_modes),
        TEST(activations_are_layers),
        TEST(normalization_across_channels_is_a_layer),
        TEST(batch_norm_keeps_its_statistics),
        TEST(dropout_stays_for_trainings),
        TEST(gelus_formula_is_gelu),
        TEST(a_part_of_a_formula_alone_is_refused),
        TEST(products_and_sums_become_linear_with_bias),
        TEST(a_sum_after_a_convolution_is_its_bias_only_where_nothing_else_reads_it),
        TEST(a_computed_flat_shape_is_flatten),
        TEST(another_shape_is_refused),
        TEST(branches_become_lets_and_equal_units_a_repeat),
        TEST(parts_are_joined_along_the_channels),
        TEST(nested_branches_come_back),
        TEST(every_unknown_operator_is_named),
        TEST(unknown_attributes_are_named),
        TEST(circles_and_missing_or_doubled_names_are_errors),
        TEST(other_opsets_are_refused),
        TEST(shapes_that_do_not_fit_are_told_at_the_node),
        TEST(lying_tensors_are_refused),
        TEST(external_data_stays_in_the_folder),
        TEST(external_data_is_read_beside_the_model),
        TEST(other_element_types_become_floats),
        TEST(bytes_that_are_no_model_are_refused),
        TEST(memory_is_bounded_by_the_files_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
