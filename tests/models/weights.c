/* Weights from any safetensors file (--weights): a model without a train classifies with them, a
 * train is evaluated with them or starts from them; what does not fit is listed. */
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"
#include "tests/support/weights_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmTestPlace place;

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 160, 48);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_write_text(&place, "unit.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL
                        "train Small on patterns {\n"
                        "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"
                        "    epochs 2 batch 16 seed 3\n"
                        "}\n");
    cvm_test_write_text(&place, "model.cvm", CVM_TEST_MODEL);
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "unit.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "1", NULL);
    cvm_test_write_weights(&place, "unit.safetensors", "plain.safetensors", NULL, NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* What a command prints on stdout, to be freed. */
#define OUTPUT_OF(...) output_of(cvm_test_cvmc(&place, __VA_ARGS__, NULL))

static char *output_of(CvmTestResult result) {
    if (result.code != 0)
        fail_msg("exit code %d: %s", result.code, result.err);
    free(result.err);
    return result.out;
}

static void assert_same_output(char *one, char *other) {
    assert_string_equal(one, other);
    free(one);
    free(other);
}

static void a_model_without_a_train_classifies(void **state) {
    (void)state;
    char *expected =
        OUTPUT_OF("predict", "unit.cvm", "--checkpoint", "unit.safetensors", "ring.png");
    assert_non_null(strstr(expected, "ring\n"));
    for (char *name = expected; (name = strstr(name, "%  "));) /* the numbers alone */
        name[0] = '\n';
    char *numbers = OUTPUT_OF("predict", "model.cvm", "--weights", "plain.safetensors", "ring.png");
    assert_non_null(strstr(numbers, "class 3\n"));
    assert_memory_equal(numbers, expected, strcspn(expected + 9, "\n"));
    free(expected);
    assert_same_output(numbers,
                       OUTPUT_OF("run", "model.cvm", "--weights", "plain.safetensors", "ring.png"));
}

static void a_train_lends_its_class_names_and_its_normalization(void **state) {
    (void)state;
    cvm_test_write_weights(&place, "small.safetensors", "mean.safetensors", NULL, NULL);
    assert_same_output(
        OUTPUT_OF("predict", "small.cvm", "--checkpoint", "small.safetensors", "ring.png"),
        OUTPUT_OF("predict", "small.cvm", "--weights", "mean.safetensors", "ring.png"));
    assert_same_output(OUTPUT_OF("run", "small.cvm", "--checkpoint", "small.safetensors"),
                       OUTPUT_OF("run", "small.cvm", "--weights", "mean.safetensors"));
}

/* "accuracy":0.9… is the same, the seconds are not. */
static void eval_measures_them(void **state) {
    (void)state;
    assert_same_output(OUTPUT_OF("eval", "unit.cvm", "--checkpoint", "unit.safetensors"),
                       OUTPUT_OF("eval", "unit.cvm", "--weights", "plain.safetensors"));
}

static void a_training_starts_from_them(void **state) {
    (void)state;
    cvm_test_write_text(
        &place, "named.cvm",
        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN("    weights \"plain.safetensors\"\n"));
    cvm_test_expect(&place, 0, NULL, "weights: 8 tensors", "train", "small.cvm", "--epochs", "1",
                    "--weights", "plain.safetensors", "-o", "one.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, "weights: 8 tensors", "train", "named.cvm", "--epochs", "1",
                    "-o", "other.safetensors", NULL);
    assert_true(cvm_test_same_bytes(&place, "one.safetensors", "other.safetensors"));
    assert_false(cvm_test_same_bytes(&place, "one.safetensors", "small.safetensors"));
}

/* The option is another place for the file that a train names; what it excepts stays so. */
static void the_option_stands_for_the_trains_file(void **state) {
    (void)state;
    cvm_test_write_text(&place, "head.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(
                            "    weights \"not-here.safetensors\" except head\n"));
    cvm_test_expect(&place, 3, NULL, "not-here.safetensors", "train", "head.cvm", NULL);
    cvm_test_expect(&place, 0, NULL, "these start anew:\n  head.linear1.weight\n", "train",
                    "head.cvm", "--epochs", "1", "--weights", "plain.safetensors", NULL);
}

/* --- other element types --- */

/* Makes files of 16-bit elements, and of 32-bit ones that have the same values. */
typedef struct Narrowing {
    bool bfloat, widened; /* which 16 bits; whether they are widened again */
    void *made[64];
    int count;
} Narrowing;

/* What 16 bits keep of a float: a bfloat16 has its upper half; of binary16 the trained weights lie
 * in the range of normal numbers, or count as 0. */
static uint32_t kept(uint32_t bits, bool bfloat) {
    if (bfloat)
        return bits & 0xFFFF0000;
    return (bits >> 23 & 0xFF) > 127 - 15 ? bits & 0xFFFFE000 : 0;
}

static uint16_t narrowed(uint32_t bits, bool bfloat) {
    if (bfloat || !bits)
        return (uint16_t)(bits >> 16);
    uint32_t exponent = (bits >> 23 & 0xFF) - 127 + 15;
    return (uint16_t)((bits >> 16 & 0x8000) | exponent << 10 | (bits >> 13 & 0x3FF));
}

static bool narrow(CvmFileTensor *tensor, void *context) {
    Narrowing *narrowing = context;
    int64_t count = tensor->bytes / 4, size = narrowing->widened ? 4 : 2;
    char *data = malloc((size_t)(count * size));
    assert_non_null(data);
    for (int64_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, (const char *)tensor->data + i * 4, 4);
        bits = kept(bits, narrowing->bfloat);
        uint16_t half = narrowed(bits, narrowing->bfloat);
        memcpy(data + i * size, narrowing->widened ? (const void *)&bits : &half, (size_t)size);
    }
    narrowing->made[narrowing->count++] = data;
    tensor->data = data;
    tensor->bytes = count * size;
    tensor->dtype = narrowing->widened  ? CVM_FILE_F32
                    : narrowing->bfloat ? CVM_FILE_BF16
                                        : CVM_FILE_F16;
    return true;
}

static void write_narrowed(const char *path, bool bfloat, bool widened) {
    Narrowing narrowing = {.bfloat = bfloat, .widened = widened};
    cvm_test_write_weights(&place, "plain.safetensors", path, narrow, &narrowing);
    while (narrowing.count)
        free(narrowing.made[--narrowing.count]);
}

static void half_precision_is_widened(void **state) {
    (void)state;
    for (int bfloat = 0; bfloat < 2; bfloat++) {
        write_narrowed("narrow.safetensors", bfloat, false);
        write_narrowed("wide.safetensors", bfloat, true);
        assert_same_output(
            OUTPUT_OF("predict", "model.cvm", "--weights", "narrow.safetensors", "ring.png"),
            OUTPUT_OF("predict", "model.cvm", "--weights", "wide.safetensors", "ring.png"));
    }
}

/* --- what does not fit --- */

static bool spoil(CvmFileTensor *tensor, void *context) {
    (void)context;
    if (!strcmp(tensor->name, "body.conv1.bias"))
        return false;
    if (!strcmp(tensor->name, "head.linear1.weight"))
        tensor->shape = (CvmShape){.rank = 2, .sizes = {16, 4}};
    if (!strcmp(tensor->name, "body.conv2.bias"))
        tensor->name = "body.conv9.bias";
    if (!strcmp(tensor->name, "head.linear1.bias"))
        tensor->dtype = CVM_FILE_I32;
    return true;
}

static void what_does_not_fit_is_listed_with_both_shapes(void **state) {
    (void)state;
    cvm_test_write_weights(&place, "plain.safetensors", "spoilt.safetensors", spoil, NULL);
    static const char *const commands[] = {"predict", "run"};
    for (int i = 0; i < 2; i++) {
        CvmTestResult result = cvm_test_cvmc(&place, commands[i], "model.cvm", "--weights",
                                             "spoilt.safetensors", "ring.png", NULL);
        assert_int_equal(result.code, 1);
        assert_non_null(strstr(result.err, "the weights of spoilt.safetensors do not fit Small:"));
        assert_non_null(strstr(result.err, "body.conv1.bias [4] is missing in the file"));
        assert_non_null(strstr(result.err, "body.conv2.bias [8] is missing in the file"));
        assert_non_null(strstr(result.err, "body.conv9.bias [8] is left over"));
        assert_non_null(
            strstr(result.err, "head.linear1.weight is [16, 4] in the file, [4, 16] in the model"));
        assert_non_null(
            strstr(result.err, "head.linear1.bias is I32 in the file, which holds whole numbers"));
        cvm_test_result_free(&result);
    }
    cvm_test_expect(&place, 1, NULL, "body.conv9.bias [8] is left over", "eval", "unit.cvm",
                    "--weights", "spoilt.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "body.conv9.bias [8] is left over", "train", "unit.cvm",
                    "--weights", "spoilt.safetensors", "-o", "spoilt-out.safetensors", NULL);
    assert_false(cvm_test_exists(&place, "spoilt-out.safetensors"));
}

static void damaged_and_missing_files_are_refused(void **state) {
    (void)state;
    size_t size;
    char *bytes = cvm_test_read(&place, "plain.safetensors", &size);
    cvm_test_write(&place, "cut.safetensors", bytes, size - 100);
    cvm_test_write(&place, "short.safetensors", bytes, 5);
    free(bytes);
    static const char *const files[] = {"cut.safetensors", "short.safetensors", "ring.png"};
    for (int i = 0; i < 3; i++)
        cvm_test_expect(&place, 1, NULL, files[i], "predict", "model.cvm", "--weights", files[i],
                        "ring.png", NULL);
    cvm_test_expect(&place, 3, NULL, "none.safetensors", "predict", "model.cvm", "--weights",
                    "none.safetensors", "ring.png", NULL);
}

static void options_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    static const char *const commands[] = {"predict", "run"};
    for (int i = 0; i < 2; i++)
        cvm_test_expect(&place, 2, NULL, "give one", commands[i], "small.cvm", "--checkpoint",
                        "small.safetensors", "--weights", "plain.safetensors", "ring.png", NULL);
    cvm_test_expect(&place, 2, NULL, "give one", "eval", "small.cvm", "--checkpoint", "a",
                    "--weights", "b", NULL);
    cvm_test_expect(&place, 2, NULL, "give one", "train", "small.cvm", "--resume", "--weights", "b",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "nothing is trained", "run", "small.cvm", "--weights", "a",
                    "-o", "b", NULL);
    cvm_test_expect(&place, 2, NULL, "--weights PATH", "predict", "model.cvm", "ring.png", NULL);
    cvm_test_expect(&place, 1, NULL, "has no train", "run", "model.cvm", "--weights",
                    "plain.safetensors", NULL);
}

static void one_of_several_models_is_chosen(void **state) {
    (void)state;
    cvm_test_write_text(&place, "two.cvm",
                        CVM_TEST_MODEL "model Flat { input image: [1, 28, 28] flatten linear(4) "
                                       "}\n");
    cvm_test_expect(&place, 2, NULL, "several models (Small, Flat)", "predict", "two.cvm",
                    "--weights", "plain.safetensors", "ring.png", NULL);
    cvm_test_expect(&place, 0, "class 3", NULL, "run", "two.cvm", "--model", "Small", "--weights",
                    "plain.safetensors", "ring.png", NULL);
    cvm_test_expect(&place, 1, NULL, "do not fit Flat", "run", "two.cvm", "--model", "Flat",
                    "--weights", "plain.safetensors", "ring.png", NULL);
}

/* --- name maps --- */

/* What another program would call the tensors. */
static bool rename_foreign(CvmFileTensor *tensor, void *context) {
    static const char *const names[][2] = {
        {"body.conv1.weight", "features.0.weight"},
        {"body.conv1.bias", "features.0.bias"},
        {"body.conv2.weight", "features.10.weight"},
        {"body.conv2.bias", "features.10.bias"},
        {"body.linear1.weight", "classifier.1.weight"},
        {"body.linear1.bias", "classifier.1.bias"},
        {"head.linear1.weight", "classifier.12.weight"},
        {"head.linear1.bias", "classifier.12.bias"},
    };
    (void)context;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(tensor->name, names[i][0])) {
            tensor->name = names[i][1];
            return true;
        }
    return false;
}

#define FOREIGN_MAP                                                                                \
    "names foreign {\n    \"features.0\" -> body.conv1\n    \"features.10\" -> body.conv2\n"       \
    "    \"classifier.1\" -> body.linear1\n    \"classifier.12\" -> head.linear1\n}\n"

static void foreign_names_are_mapped(void **state) {
    (void)state;
    cvm_test_write_weights(&place, "plain.safetensors", "foreign.safetensors", rename_foreign,
                           NULL);
    cvm_test_write_text(&place, "foreign.cvm",
                        "import \"std/torchvision.cvm\"\n" CVM_TEST_MODEL FOREIGN_MAP);
    static const char *const maps[] = {"foreign", "torchvision_vgg"};
    for (int i = 0; i < 2; i++)
        assert_same_output(
            OUTPUT_OF("predict", "model.cvm", "--weights", "plain.safetensors", "ring.png"),
            OUTPUT_OF("predict", "foreign.cvm", "--weights", "foreign.safetensors", "--names",
                      maps[i], "ring.png"));
    cvm_test_expect(&place, 1, NULL, "features.0.weight [4, 1, 5, 5] is left over", "predict",
                    "model.cvm", "--weights", "foreign.safetensors", "ring.png", NULL);
    /* the model's own names need no map */
    cvm_test_expect(&place, 0, NULL, NULL, "predict", "foreign.cvm", "--weights",
                    "plain.safetensors", "--names", "foreign", "ring.png", NULL);
}

static void a_train_states_the_names_of_its_weights(void **state) {
    (void)state;
    cvm_test_write_text(&place, "tune.cvm",
                        "import \"std/torchvision.cvm\"\n" CVM_TEST_DATA CVM_TEST_MODEL
                            CVM_TEST_TRAIN("    weights \"foreign.safetensors\" names "
                                           "torchvision_vgg except head\n    freeze body\n"));
    cvm_test_expect(&place, 0, "frozen: 6 tensors, bits unchanged",
                    "weights: 6 tensors from ./foreign.safetensors; these start anew:\n"
                    "  head.linear1.weight\n",
                    "train", "tune.cvm", "--epochs", "1", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "eval", "tune.cvm", "--weights", "foreign.safetensors",
                    NULL);
}

/* The model with another width: what was renamed is told under both names. */
static void a_map_that_does_not_fit_is_told_with_both_names(void **state) {
    (void)state;
    cvm_test_write_text(&place, "wide.cvm",
                        "import \"std/torchvision.cvm\"\n"
                        "model Wide {\n    input image: [1, 28, 28]\n    conv(6, kernel=5, pad=2) "
                        "relu flatten linear(4)\n}\n"
                        "names twice { \"features.0\" -> conv1\n \"features.10\" -> conv1\n"
                        " \"classifier.9\" -> linear1\n}\n");
    static const struct {
        const char *names, *message;
    } cases[] = {
        {"torchvision_vgg", "the file has 4 such layers, the model 2"},
        {"torchvision_vgg", "features.0.weight, as conv1.weight, is [4, 1, 5, 5] in the file, "
                            "[6, 1, 5, 5] in the model"},
        {"torchvision_vgg", "classifier.1.weight [16, 200] is left over"},
        {"twice", "features.0.weight and features.10.weight are both for conv1.weight"},
        {"twice", "\"classifier.9\" (wide.cvm, line 8) matches nothing in the file"},
    };
    for (int i = 0; i < 5; i++)
        cvm_test_expect(&place, 1, NULL, cases[i].message, "predict", "wide.cvm", "--weights",
                        "foreign.safetensors", "--names", cases[i].names, "ring.png", NULL);
    cvm_test_expect(&place, 2, NULL, "did you mean 'torchvision_vgg'?", "predict", "wide.cvm",
                    "--weights", "foreign.safetensors", "--names", "torchvision_vg", "ring.png",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "give both", "predict", "wide.cvm", "--checkpoint",
                    "foreign.safetensors", "--names", "twice", "ring.png", NULL);
    cvm_test_expect(&place, 2, NULL, "neither --weights nor the train", "train", "small.cvm",
                    "--names", "twice", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_model_without_a_train_classifies),
        cmocka_unit_test(a_train_lends_its_class_names_and_its_normalization),
        cmocka_unit_test(eval_measures_them),
        cmocka_unit_test(a_training_starts_from_them),
        cmocka_unit_test(the_option_stands_for_the_trains_file),
        cmocka_unit_test(half_precision_is_widened),
        cmocka_unit_test(what_does_not_fit_is_listed_with_both_shapes),
        cmocka_unit_test(damaged_and_missing_files_are_refused),
        cmocka_unit_test(options_that_contradict_each_other_are_refused),
        cmocka_unit_test(foreign_names_are_mapped),
        cmocka_unit_test(a_train_states_the_names_of_its_weights),
        cmocka_unit_test(a_map_that_does_not_fit_is_told_with_both_names),
        cmocka_unit_test(one_of_several_models_is_chosen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
