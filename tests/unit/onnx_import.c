/* ONNX graphs as .cvm texts: each operator's layer, branches, weights in the language's layout, and
 * what is refused, with its node named. With CVM_ONNX_SEEDS=FOLDER each model is written there,
 * too: the first inputs of tests/fuzz/fuzz_onnx.c. */
#include "compiler/onnx/convert.h"
#include "tests/support/onnx_model.h"
#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmArena *arena;
static OnnxTest test;
static CvmOnnxModel model;
static CvmOnnxConverted converted;
static CvmDiag diag;

static int set_up(void **state) {
    (void)state;
    arena = cvm_arena_create();
    memset(&model, 0, sizeof model);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_onnx_model_close(&model);
    cvm_arena_free(arena);
    return 0;
}

static void write_seed(const uint8_t *bytes, size_t size) {
    static int count;
    char path[512];
    const char *folder = getenv("CVM_ONNX_SEEDS");
    if (!folder)
        return;
    snprintf(path, sizeof path, "%s/%02d", folder, count++);
    temporary_write(path, bytes, size);
}

static bool convert(const char *output) {
    CvmError error;
    size_t size;
    const CvmOnnxNames names = {"Net", "net.onnx", "net.cvm", "net.safetensors"};
    const uint8_t *bytes = onnx_test_end(&test, output, &size);
    write_seed(bytes, size);
    cvm_diag_init(&diag, arena);
    if (!cvm_onnx_model_parse(bytes, (int64_t)size, "net.onnx", arena, &model, &error))
        fail_msg("%s", error.message);
    return cvm_onnx_convert(&model, &names, arena, &converted, &diag);
}

static char *diagnostics(void) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    cvm_diag_print(&diag, stream);
    fclose(stream);
    char *copy = cvm_arena_copy(arena, text, size);
    free(text);
    return copy;
}

/* That the model's text has these layers: what stands between the input and the predict block. */
static void expect_layers(const char *output, const char *layers) {
    if (!convert(output))
        fail_msg("%s", diagnostics());
    char *begin = strchr(strstr(converted.text, "input image"), '\n') + 2;
    *strstr(begin, "}\n\n# How") = 0;
    assert_string_equal(begin, layers);
}

/* That it is refused with these messages, and no others. */
static void expect_errors(const char *output, int count, ...) {
    va_list messages;
    assert_false(convert(output));
    char *text = diagnostics();
    va_start(messages, count);
    for (int i = 0; i < count; i++) {
        const char *message = va_arg(messages, const char *);
        if (!strstr(text, message))
            fail_msg("no '%s' in: %s", message, text);
    }
    va_end(messages);
    if (diag.error_count != count)
        fail_msg("%d errors: %s", diag.error_count, text);
}

static const CvmFileTensor *tensor(const char *name) {
    for (int i = 0; i < converted.tensor_count; i++)
        if (!strcmp(converted.tensors[i].name, name))
            return &converted.tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

static float element(const char *name, int64_t i) {
    return ((const float *)tensor(name)->data)[i];
}

static void begin(int opset, int channels, int height, int width) {
    onnx_test_begin(&test, arena, opset, channels, height, width);
}

static Onnx__NodeProto *node(const char *type, const char *inputs, const char *output) {
    return onnx_test_node(&test, type, inputs, output);
}

static void conv(const char *input, const char *output, int64_t channels, int64_t inputs,
                 int64_t kernel) {
    char weight[64], operands[128];
    snprintf(weight, sizeof weight, "%s.weight", output);
    snprintf(operands, sizeof operands, "%s %s", input, weight);
    onnx_test_weights(&test, weight, (CvmShape){4, {channels, inputs, kernel, kernel}});
    node("Conv", operands, output);
}

static Onnx__NodeProto *last(void) {
    return test.graph.node[test.graph.n_node - 1];
}

/* Ends a picture of c x h x w as ten classes. */
static void classify(const char *input, int64_t features) {
    node("Flatten", input, "flat");
    onnx_test_weights(&test, "y.weight", (CvmShape){2, {10, features}});
    onnx_test_weights(&test, "y.bias", (CvmShape){1, {10}});
    onnx_test_int(&test, node("Gemm", "flat y.weight y.bias", "y"), "transB", 1);
}

static void a_small_network_becomes_readable_text(void **state) {
    (void)state;
    begin(17, 1, 12, 12);
    onnx_test_weights(&test, "c1.w", (CvmShape){4, {4, 1, 3, 3}});
    onnx_test_weights(&test, "c1.b", (CvmShape){1, {4}});
    onnx_test_ints(&test, node("Conv", "x c1.w c1.b", "c1"), "pads", 4, 1, 1, 1, 1);
    node("Relu", "c1", "r1");
    onnx_test_ints(&test, node("MaxPool", "r1", "p1"), "kernel_shape", 2, 2, 2);
    onnx_test_ints(&test, last(), "strides", 2, 2, 2);
    classify("p1", 144);
    onnx_test_int(&test, node("Softmax", "y", "z"), "axis", 1);
    if (!convert("z"))
        fail_msg("%s", diagnostics());
    assert_string_equal(converted.text,
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
    assert_int_equal(converted.tensor_count, 4);
    assert_true(element("body.conv1.weight", 35) == 35.0F / 8);
    assert_true(element("body.conv1.bias", 3) == 3.0F / 8);
    assert_true(element("head.linear1.weight", 1439) == 1439.0F / 8);
}

static void windows_keep_their_sizes_pads_and_modes(void **state) {
    (void)state;
    begin(19, 2, 32, 32);
    conv("x", "a", 4, 1, 3);
    onnx_test_ints(&test, last(), "pads", 4, 0, 1, 2, 1);
    onnx_test_ints(&test, last(), "dilations", 2, 1, 2);
    onnx_test_int(&test, last(), "group", 2);
    conv("a", "b", 4, 4, 3);
    onnx_test_text(&test, last(), "auto_pad", "SAME_UPPER");
    onnx_test_ints(&test, last(), "strides", 2, 2, 1);
    conv("b", "c", 4, 4, 2);
    onnx_test_text(&test, last(), "auto_pad", "SAME_LOWER");
    onnx_test_ints(&test, node("MaxPool", "c", "d"), "kernel_shape", 2, 3, 3);
    onnx_test_ints(&test, last(), "strides", 2, 2, 2);
    onnx_test_int(&test, last(), "ceil_mode", 1);
    onnx_test_ints(&test, node("AveragePool", "d", "e"), "kernel_shape", 2, 3, 3);
    onnx_test_ints(&test, last(), "pads", 4, 1, 1, 1, 1);
    onnx_test_ints(&test, node("AveragePool", "e", "f"), "kernel_shape", 2, 1, 1);
    node("GlobalAveragePool", "f", "g");
    classify("g", 4);
    expect_layers("y",
                  "    body {\n"
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
    begin(20, 1, 4, 4);
    conv("x", "a", 2, 1, 1);
    node("Tanh", "a", "b");
    node("Sigmoid", "b", "c");
    onnx_test_float(&test, node("LeakyRelu", "c", "d"), "alpha", 0.2F);
    node("Gelu", "d", "e");
    node("Identity", "e", "f");
    classify("f", 32);
    expect_layers("y",
                  "    body { conv(2, kernel=1, bias=false) tanh sigmoid leaky_relu(slope=0.2) "
                  "gelu flatten }\n"
                  "    head { linear(classes) }\n");
}

static void normalization_across_channels_is_a_layer(void **state) {
    (void)state;
    begin(13, 2, 4, 4);
    onnx_test_int(&test, node("LRN", "x", "a"), "size", 5);
    onnx_test_float(&test, last(), "alpha", 0.0005F);
    onnx_test_float(&test, last(), "bias", 2);
    onnx_test_int(&test, node("Softmax", "a", "b"), "axis", 1);
    onnx_test_int(&test, node("LRN", "b", "c"), "size", 3);
    classify("c", 32);
    expect_layers("y", "    head {\n"
                       "        lrn(alpha=0.0005) softmax lrn(size=3, k=1) flatten\n"
                       "        linear(classes)\n"
                       "    }\n");
}

static void batch_norm_keeps_its_statistics(void **state) {
    (void)state;
    begin(15, 1, 4, 4);
    conv("x", "a", 2, 1, 1);
    const char *const names[] = {"n.scale", "n.bias", "n.mean", "n.var"};
    for (int i = 0; i < 4; i++) {
        Onnx__TensorProto *tensor = onnx_test_weights(&test, names[i], (CvmShape){1, {2}});
        ((float *)tensor->raw_data.data)[1] = (float)(i + 1);
    }
    node("BatchNormalization", "a n.scale n.bias n.mean n.var", "n");
    onnx_test_float(&test, last(), "epsilon", 0.001F);
    node("Relu", "n", "r");
    classify("r", 32);
    expect_layers("y",
                  "    body { conv(2, kernel=1, bias=false) batchnorm(epsilon=0.001) relu flatten "
                  "}\n    head { linear(classes) }\n");
    assert_true(element("body.batchnorm1.scale", 1) == 1);
    assert_true(element("body.batchnorm1.shift", 1) == 2);
    assert_true(element("body.batchnorm1.running_mean", 1) == 3);
    assert_true(element("body.batchnorm1.running_variance", 1) == 4);
}

static void dropout_stays_for_trainings(void **state) {
    (void)state;
    begin(11, 1, 4, 4);
    onnx_test_float(&test, node("Dropout", "x", "a"), "ratio", 0.3F);
    classify("a", 16);
    expect_layers(
        "y", "    head {\n        dropout(rate=0.3) flatten\n        linear(classes)\n    }\n");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    onnx_test_number(&test, "half", 0.5F);
    node("Dropout", "x half", "a");
    classify("a", 16);
    expect_layers("y", "    head {\n        dropout flatten\n        linear(classes)\n    }\n");
}

static void gelus_formula_is_gelu(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    conv("x", "a", 2, 1, 1);
    onnx_test_number(&test, "root", 1.41421356F);
    onnx_test_number(&test, "inverse", 0.70710678F);
    onnx_test_number(&test, "one", 1);
    onnx_test_number(&test, "half", 0.5F);
    node("Div", "a root", "b");
    node("Erf", "b", "c");
    node("Add", "c one", "d");
    node("Mul", "a d", "e");
    node("Mul", "e half", "f");
    node("Mul", "inverse f", "g");
    node("Erf", "g", "h");
    node("Add", "one h", "i");
    node("Mul", "f half", "j");
    node("Mul", "i j", "k");
    classify("k", 32);
    expect_layers("y", "    body { conv(2, kernel=1, bias=false) gelu gelu flatten }\n"
                       "    head { linear(classes) }\n");
}

static void a_part_of_a_formula_alone_is_refused(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    onnx_test_number(&test, "two", 2);
    node("Mul", "x two", "doubled");
    node("Relu", "doubled", "r");
    classify("r", 16);
    expect_errors("y", 1, "CVM1701: Mul 'doubled' computes with a constant");
}

static void products_and_sums_become_linear_with_bias(void **state) {
    (void)state;
    begin(13, 1, 2, 2);
    node("Flatten", "x", "f");
    onnx_test_weights(&test, "m", (CvmShape){2, {4, 3}});
    onnx_test_weights(&test, "b", (CvmShape){1, {3}});
    node("MatMul", "f m", "p");
    node("Add", "b p", "s");
    onnx_test_weights(&test, "g", (CvmShape){2, {3, 2}});
    onnx_test_weights(&test, "c", (CvmShape){2, {1, 2}});
    onnx_test_float(&test, node("Gemm", "s g c", "y"), "alpha", 0.5F);
    onnx_test_float(&test, last(), "beta", 4);
    expect_layers("y", "    body {\n        flatten\n        linear(3)\n    }\n"
                       "    head { linear(classes) }\n");
    assert_true(element("body.linear1.weight", 1) == 3.0F / 8); /* transposed */
    assert_true(element("body.linear1.bias", 2) == 2.0F / 8);
    assert_true(element("head.linear1.weight", 1) == 0.5F * 2 / 8);
    assert_true(element("head.linear1.bias", 1) == 4.0F / 8);
}

static void a_sum_after_a_convolution_is_its_bias_only_where_nothing_else_reads_it(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    conv("x", "a", 2, 1, 1);
    onnx_test_weights(&test, "b", (CvmShape){3, {2, 1, 1}});
    node("Add", "a b", "s");
    node("Relu", "s", "r");
    classify("r", 32);
    expect_layers("y", "    body { conv(2, kernel=1) relu flatten }\n"
                       "    head { linear(classes) }\n");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    conv("x", "a", 2, 1, 1);
    onnx_test_weights(&test, "b", (CvmShape){3, {2, 1, 1}});
    node("Add", "a b", "s");
    node("Add", "s a", "t");
    classify("t", 32);
    expect_errors("y", 1, "CVM1703: Add 's' takes a constant as its input 2");
}

/* Reshape to what Shape, Gather, Unsqueeze and Concat computed, as older exporters wrote flatten.
 */
static void a_computed_flat_shape_is_flatten(void **state) {
    (void)state;
    begin(11, 2, 3, 3);
    onnx_test_integers(&test, "zero", 1, 0);
    test.graph.initializer[0]->n_dims = 0;
    onnx_test_integers(&test, "rest", 1, -1);
    node("Relu", "x", "r");
    node("Shape", "r", "s");
    node("Gather", "s zero", "n");
    onnx_test_ints(&test, node("Unsqueeze", "n", "u"), "axes", 1, 0);
    onnx_test_int(&test, node("Concat", "u rest", "t"), "axis", 0);
    node("Reshape", "r t", "flat");
    onnx_test_weights(&test, "w", (CvmShape){2, {18, 10}});
    node("MatMul", "flat w", "y");
    expect_layers("y", "    head {\n"
                       "        relu flatten\n"
                       "        linear(classes, bias=false)\n"
                       "    }\n");
}

static void another_shape_is_refused(void **state) {
    (void)state;
    begin(13, 2, 3, 3);
    onnx_test_integers(&test, "shape", 2, -1, 9);
    node("Reshape", "x shape", "y");
    expect_errors("y", 1, "CVM1703: Reshape 'y' makes a shape that is not [n, features]");
}

static void branches_become_lets_and_equal_units_a_repeat(void **state) {
    (void)state;
    char before[16] = "x", a[16], b[16], c[16], d[16], operands[64];
    begin(13, 4, 6, 6);
    for (int i = 0; i < 3; i++) {
        snprintf(a, sizeof a, "a%d", i);
        snprintf(b, sizeof b, "b%d", i);
        snprintf(c, sizeof c, "c%d", i);
        snprintf(d, sizeof d, "d%d", i);
        conv(before, a, 4, 4, 1);
        node("Relu", a, b);
        conv(b, c, 4, 4, 1);
        snprintf(operands, sizeof operands, "%s %s", i < 2 ? before : "side", c);
        if (i == 2)
            conv(before, "side", 4, 4, 1);
        node("Add", operands, d);
        strcpy(before, d);
    }
    node("GlobalAveragePool", "d2", "g");
    classify("g", 4);
    expect_layers("y", "    body {\n"
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
    assert_int_equal(converted.tensor_count, 9);
}

static void parts_are_joined_along_the_channels(void **state) {
    (void)state;
    begin(13, 2, 4, 4);
    conv("x", "a", 4, 2, 1);
    node("Relu", "a", "b");
    conv("x", "c", 6, 2, 1);
    node("Relu", "c", "d");
    onnx_test_int(&test, node("Concat", "b d x", "e"), "axis", 1);
    classify("e", 192);
    expect_layers("y", "    body {\n"
                       "        let skip = it\n"
                       "        let branch = it conv(4, kernel=1, bias=false) relu\n"
                       "        conv(6, kernel=1, bias=false) relu\n"
                       "        concat(branch, it, skip) flatten\n"
                       "    }\n"
                       "    head { linear(classes) }\n");
    assert_int_equal(tensor("body.conv1.weight")->shape.sizes[0], 4);
}

/* Branches that branch again cannot stand in a let: the flow comes back to the name of their start.
 */
static void nested_branches_come_back(void **state) {
    (void)state;
    begin(13, 2, 4, 4);
    node("Relu", "x", "r");
    node("Tanh", "r", "a");
    node("Sigmoid", "a", "b");
    node("Relu", "a", "c");
    node("Mul", "b c", "d");
    node("Sigmoid", "r", "e");
    node("Tanh", "e", "f");
    node("Relu", "e", "g");
    node("Mul", "f g", "h");
    node("Add", "d h", "i");
    node("Add", "i r", "j");
    classify("j", 32);
    if (!convert("y"))
        fail_msg("%s", diagnostics());
    assert_non_null(strstr(converted.text, "let skip = it\n"));
    assert_non_null(strstr(converted.text, "        skip"));
}

/* --- what is refused --- */

static void every_unknown_operator_is_named(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    node("Resize", "x", "up");
    node("Relu", "up", "r");
    onnx_test_int(&test, node("NonMaxSuppression", "r", "nms"), "center_point_box", 1);
    node("Relu", "x", "other")->domain = (char[]){"com.example"};
    node("Add", "nms other", "y");
    expect_errors("y", 3, "net.onnx:1:1: error CVM1701: Resize 'up' does what no layer does",
                  "CVM1701: NonMaxSuppression 'nms' does", "'other' is an operator of com.example");
    assert_non_null(strstr(diagnostics(), "     1 | Resize \"up\" (x)\n"));
}

static void unknown_attributes_are_named(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    onnx_test_int(&test, node("Relu", "x", "y"), "leak", 1);
    expect_errors("y", 1, "CVM1702: Relu 'y' has the attribute 'leak', which is not known");
}

static void circles_and_missing_or_doubled_names_are_errors(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    node("Add", "x b", "a");
    node("Relu", "a", "b");
    expect_errors("b", 1, "CVM1705: Add 'a' depends on itself");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    node("Add", "x nowhere", "y");
    expect_errors("y", 1, "CVM1707: Add 'y' reads 'nowhere', which nothing gives");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    node("Relu", "x", "y");
    node("Tanh", "x", "y");
    expect_errors("y", 1, "CVM1706: two tensors are called 'y'");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    node("Relu", "x", "y");
    expect_errors("z", 1, "CVM1707: nothing gives the output 'z'");
}

static void other_opsets_are_refused(void **state) {
    (void)state;
    begin(6, 1, 4, 4);
    node("Relu", "x", "y");
    expect_errors("y", 1, "CVM1700: the operators are of none of the versions 7 to 21");
}

static void shapes_that_do_not_fit_are_told_at_the_node(void **state) {
    (void)state;
    begin(13, 3, 4, 4);
    conv("x", "c", 4, 2, 3);
    classify("c", 16);
    expect_errors("y", 1,
                  "CVM1704: Conv 'c' has a weight of shape [4, 2, 3, 3] where [4, 3, 3, 3]");
}

static void lying_tensors_are_refused(void **state) {
    (void)state;
    begin(13, 1, 4, 4);
    conv("x", "c", 4, 1, 3);
    test.graph.initializer[0]->dims[0] = INT64_C(1) << 40;
    classify("c", 16);
    expect_errors("y", 1, "CVM1704: tensor 'c.weight' has 144 bytes of data");
    tear_down(NULL);
    set_up(NULL);
    begin(13, 1, 4, 4);
    conv("x", "c", 4, 1, 3);
    test.graph.initializer[0]->dims[0] = test.graph.initializer[0]->dims[1] = INT64_C(1) << 40;
    classify("c", 16);
    expect_errors("y", 1, "CVM1704: tensor 'c.weight' has a size that no memory could hold");
}

static void external_data_stays_in_the_folder(void **state) {
    (void)state;
    static const char *const places[] = {"../secret", "/etc/passwd", "a/../../b", ""};
    for (int i = 0; i < 4; i++) {
        Onnx__StringStringEntryProto entry = ONNX__STRING_STRING_ENTRY_PROTO__INIT, *list = &entry;
        entry.key = (char[]){"location"};
        entry.value = cvm_arena_copy(arena, places[i], strlen(places[i]));
        begin(13, 1, 4, 4);
        conv("x", "c", 4, 1, 3);
        test.graph.initializer[0]->has_raw_data = false;
        test.graph.initializer[0]->has_data_location = true;
        test.graph.initializer[0]->data_location = 1;
        test.graph.initializer[0]->n_external_data = 1;
        test.graph.initializer[0]->external_data = &list;
        classify("c", 16);
        expect_errors("y", 1, "which is no file in the model's own folder");
        tear_down(NULL);
        set_up(NULL);
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
            entries[i].key = cvm_arena_copy(arena, keys[i], strlen(keys[i]));
            entries[i].value = cvm_arena_copy(arena, values[i], strlen(values[i]));
        }
        begin(13, 1, 4, 4);
        conv("x", "c", 4, 1, 1);
        Onnx__TensorProto *weight = test.graph.initializer[0];
        weight->has_raw_data = false;
        weight->has_data_location = true;
        weight->data_location = 1;
        weight->n_external_data = 3;
        weight->external_data = list;
        classify("c", 64);
        const uint8_t *bytes = onnx_test_end(&test, "y", &size);
        temporary_write(temporary_path(&folder, "net.onnx"), bytes, size);
        temporary_write(temporary_path(&folder, "net.bin"), elements, (size_t)length);
        cvm_diag_init(&diag, arena);
        const CvmOnnxNames names = {"Net", "net.onnx", "net.cvm", "net.safetensors"};
        assert_true(
            cvm_onnx_model_open(temporary_path(&folder, "net.onnx"), arena, &model, &error));
        assert_int_equal(cvm_onnx_convert(&model, &names, arena, &converted, &diag), length == 24);
        if (length == 24)
            assert_true(element("body.conv1.weight", 0) == 1 &&
                        element("body.conv1.weight", 3) == 4);
        else
            assert_non_null(strstr(diagnostics(), "'c.weight' has its data beyond the end of"));
        tear_down(NULL);
        set_up(NULL);
    }
    temporary_teardown(&folder);
}

static void other_element_types_become_floats(void **state) {
    (void)state;
    uint16_t halves[4] = {0x3C00, 0x4000, 0xBC00, 0};
    int32_t bfloats[4] = {0x3F80, 0x4000, 0xBF80, 0};
    double doubles[4] = {1, 2, -1, 0};
    for (int i = 0; i < 3; i++) {
        begin(13, 1, 4, 4);
        conv("x", "c", 4, 1, 1);
        Onnx__TensorProto *weight = test.graph.initializer[0];
        weight->data_type = i == 0   ? CVM_ONNX_FLOAT16
                            : i == 1 ? CVM_ONNX_BFLOAT16
                                     : CVM_ONNX_DOUBLE;
        weight->has_raw_data = i == 0;
        weight->raw_data = (ProtobufCBinaryData){sizeof halves, (uint8_t *)halves};
        weight->n_int32_data = i == 1 ? 4 : 0;
        weight->int32_data = bfloats;
        weight->n_double_data = i == 2 ? 4 : 0;
        weight->double_data = doubles;
        classify("c", 64);
        if (!convert("y"))
            fail_msg("%s", diagnostics());
        assert_true(element("body.conv1.weight", 1) == 2 && element("body.conv1.weight", 2) == -1);
        tear_down(NULL);
        set_up(NULL);
    }
}

static void bytes_that_are_no_model_are_refused(void **state) {
    (void)state;
    CvmError error;
    static const uint8_t empties[] = {0x3A, 4, 0x0A, 0x7F, 0, 0};
    assert_false(cvm_onnx_model_parse("hello", 5, "net.onnx", arena, &model, &error));
    assert_string_equal(error.message, "net.onnx is not an ONNX file");
    assert_false(cvm_onnx_model_parse(empties, sizeof empties, "net.onnx", arena, &model, &error));
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
    assert_false(cvm_onnx_model_parse(bytes, SIZE + 5, "net.onnx", arena, &model, &error));
    assert_string_equal(error.message, "net.onnx would need far more memory than it has bytes");
    free(bytes);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

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
