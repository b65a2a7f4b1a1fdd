/* See onnx_convert.h. */
#include "tests/support/onnx_convert.h"

#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

OnnxFixture onnx;

int onnx_set_up(void **state) {
    (void)state;
    onnx.arena = cvm_arena_create();
    memset(&onnx.model, 0, sizeof onnx.model);
    return 0;
}

int onnx_tear_down(void **state) {
    (void)state;
    cvm_onnx_model_close(&onnx.model);
    cvm_arena_free(onnx.arena);
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

bool onnx_convert(const char *output) {
    CvmError error;
    size_t size;
    const CvmOnnxNames names = {"Net", "net.onnx", "net.cvm", "net.safetensors"};
    const uint8_t *bytes = onnx_test_end(&onnx.test, output, &size);
    write_seed(bytes, size);
    cvm_diag_init(&onnx.diag, onnx.arena);
    if (!cvm_onnx_model_parse(bytes, (int64_t)size, "net.onnx", onnx.arena, &onnx.model, &error))
        fail_msg("%s", error.message);
    return cvm_onnx_convert(&onnx.model, &names, onnx.arena, &onnx.converted, &onnx.diag);
}

char *onnx_diagnostics(void) {
    char *text = NULL;
    size_t size;
    FILE *stream = open_memstream(&text, &size);
    assert_non_null(stream);
    cvm_diag_print(&onnx.diag, stream);
    fclose(stream);
    char *copy = cvm_arena_copy(onnx.arena, text, size);
    free(text);
    return copy;
}

void onnx_expect_layers(const char *output, const char *layers) {
    if (!onnx_convert(output))
        fail_msg("%s", onnx_diagnostics());
    char *begin = strchr(strstr(onnx.converted.text, "input image"), '\n') + 2;
    *strstr(begin, "}\n\n# How") = 0;
    assert_string_equal(begin, layers);
}

void onnx_expect_errors(const char *output, int count, ...) {
    va_list messages;
    assert_false(onnx_convert(output));
    char *text = onnx_diagnostics();
    va_start(messages, count);
    for (int i = 0; i < count; i++) {
        const char *message = va_arg(messages, const char *);
        if (!strstr(text, message))
            fail_msg("no '%s' in: %s", message, text);
    }
    va_end(messages);
    if (onnx.diag.error_count != count)
        fail_msg("%d errors: %s", onnx.diag.error_count, text);
}

const CvmFileTensor *onnx_tensor(const char *name) {
    for (int i = 0; i < onnx.converted.tensor_count; i++)
        if (!strcmp(onnx.converted.tensors[i].name, name))
            return &onnx.converted.tensors[i];
    fail_msg("no tensor %s", name);
    return NULL;
}

float onnx_element(const char *name, int64_t i) {
    return ((const float *)onnx_tensor(name)->data)[i];
}

void onnx_begin(int opset, int channels, int height, int width) {
    onnx_test_begin(&onnx.test, onnx.arena, opset, channels, height, width);
}

Onnx__NodeProto *onnx_node(const char *type, const char *inputs, const char *output) {
    return onnx_test_node(&onnx.test, type, inputs, output);
}

void onnx_conv(const char *input, const char *output, int64_t channels, int64_t inputs,
               int64_t kernel) {
    char weight[64], operands[128];
    snprintf(weight, sizeof weight, "%s.weight", output);
    snprintf(operands, sizeof operands, "%s %s", input, weight);
    onnx_test_weights(&onnx.test, weight, (CvmShape){4, {channels, inputs, kernel, kernel}});
    onnx_node("Conv", operands, output);
}

Onnx__NodeProto *onnx_last(void) {
    return onnx.test.graph.node[onnx.test.graph.n_node - 1];
}

void onnx_classify(const char *input, int64_t features) {
    onnx_node("Flatten", input, "flat");
    onnx_test_weights(&onnx.test, "y.weight", (CvmShape){2, {10, features}});
    onnx_test_weights(&onnx.test, "y.bias", (CvmShape){1, {10}});
    onnx_test_int(&onnx.test, onnx_node("Gemm", "flat y.weight y.bias", "y"), "transB", 1);
}
