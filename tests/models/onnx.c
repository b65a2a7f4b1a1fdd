/* cvmc import and export: a model that goes out as ONNX and comes back computes the same bits and
 * has the same weights; files that cannot be read or written. */
#include "tests/support/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "tests/support/patterns.h"
#include "tests/support/programs.h"

static CvmTestPlace place;

/* Every layer that ONNX has an operator for. */
static const char many_layers[] =
    "model Many(classes: int = 4) {\n"
    "    input image: [1, 28, 28]\n"
    "\n"
    "    body {\n"
    "        conv(8, kernel=5, stride=[1, 2], pad=[1, 2, 0, 2]) relu maxpool(3, stride=2, "
    "ceil=true)\n"
    "        let skip = it conv(8, kernel=1, bias=false) batchnorm(epsilon=0.01) tanh\n"
    "        conv(8, kernel=3, pad=1, groups=2) gelu\n"
    "        conv(8, kernel=3, pad=2, dilation=2) leaky_relu(slope=0.1) lrn(size=3)\n"
    "        add(it, skip) sigmoid avgpool(3, stride=1, pad=1, count_pad=false)\n"
    "        let skip2 = it\n"
    "        conv(8, kernel=3, pad=1) sigmoid\n"
    "        mul(it, skip2) avgpool(3, stride=2, pad=1, ceil=true) adaptive_avgpool([5, 2])\n"
    "        concat(it, it) global_avgpool flatten\n"
    "        linear(16, bias=false) relu\n"
    "    }\n"
    "    head { linear(classes) }\n"
    "}\n";

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "many.cvm", many_layers);
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static char *classes_of(const char *model, const char *weights) {
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", model, "--weights", weights, "--json", "ring.png", NULL);
    if (result.code != 0)
        fail_msg("%s", result.err);
    free(result.err);
    return result.out;
}

static void a_model_goes_out_and_comes_back(void **state) {
    (void)state;
    size_t size;
    cvm_test_expect(&place, 0, "many.onnx: model Many", "untrained parameters", "export",
                    "many.cvm", "--onnx", "many.onnx", NULL);
    cvm_test_expect(&place, 0, "back.cvm: model Back", NULL, "import", "many.onnx", "-o",
                    "back.cvm", NULL);
    char *text = cvm_test_read(&place, "back.cvm", &size);
    const char *layers = strstr(many_layers, "    body {");
    if (!strstr(text, layers))
        fail_msg("%s", text);
    free(text);
    cvm_test_expect(&place, 0, "no mistakes", NULL, "check", "back.cvm", NULL);
    cvm_test_expect(&place, 0, "", NULL, "fmt", "--check", "back.cvm", "many.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "export", "back.cvm", "--weights", "back.safetensors",
                    "--onnx", "again.onnx", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "import", "again.onnx", "-o", "again.cvm", NULL);
    assert_true(cvm_test_same_bytes(&place, "back.safetensors", "again.safetensors"));
    char *one = classes_of("many.cvm", "back.safetensors");
    char *other = classes_of("again.cvm", "again.safetensors");
    assert_string_equal(one, other);
    free(one);
    free(other);
}

static void the_files_are_named_after_the_input(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, NULL, NULL, "export", "many.cvm", "--onnx", "given.onnx", NULL);
    cvm_test_expect(&place, 0, "given.safetensors: 16 tensors", NULL, "import", "given.onnx", NULL);
    assert_true(cvm_test_exists(&place, "given.cvm"));
    assert_true(cvm_test_exists(&place, "given.safetensors"));
}

/* Trained pictures are normalized by their own mean: the file keeps it, so that the predictions
 * stay. */
static void a_checkpoints_normalization_goes_along(void **state) {
    (void)state;
    cvm_test_write_patterns(&place, 96, 16);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "1", NULL);
    cvm_test_expect(&place, 0, "its input: (pixel / 255 - ", NULL, "export", "small.cvm",
                    "--checkpoint", "small.safetensors", "--onnx", "trained.onnx", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "import", "trained.onnx", NULL);
    char *one = classes_of("trained.cvm", "trained.safetensors"), *begin = one, *numbers = one;
    CvmTestResult result = cvm_test_cvmc(&place, "predict", "small.cvm", "--checkpoint",
                                         "small.safetensors", "--json", "ring.png", NULL);
    char *other = result.out;
    /* the first has no names of classes: the probabilities alone are compared */
    for (int i = 0; i < 4; i++) {
        begin = strstr(begin + 1, "\"probability\":");
        numbers = strstr(i ? numbers + 1 : other, "\"probability\":");
        assert_non_null(begin);
        assert_non_null(numbers);
        assert_memory_equal(begin, numbers, strcspn(begin, "}"));
    }
    cvm_test_result_free(&result);
    free(one);
}

static void what_cannot_be_read_is_told(void **state) {
    (void)state;
    cvm_test_expect(&place, 3, NULL, "cannot read missing.onnx", "import", "missing.onnx", NULL);
    cvm_test_expect(&place, 1, NULL, "many.cvm is not an ONNX file", "import", "many.cvm", NULL);
    cvm_test_expect(&place, 2, NULL, "usage", "import", NULL);
    assert_false(cvm_test_exists(&place, "missing.cvm"));
}

static void what_cannot_be_written_is_told(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "export needs --onnx PATH", "export", "many.cvm", NULL);
    cvm_test_expect(&place, 3, NULL, "nowhere", "export", "many.cvm", "--onnx", "nowhere/a.onnx",
                    NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_goes_out_and_comes_back),
        cmocka_unit_test(the_files_are_named_after_the_input),
        cmocka_unit_test(a_checkpoints_normalization_goes_along),
        cmocka_unit_test(what_cannot_be_read_is_told),
        cmocka_unit_test(what_cannot_be_written_is_told),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
