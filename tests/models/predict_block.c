/* What a predict block says: how pictures are scaled, cropped and normalized, what the classes are
 * called, what the weights file calls its tensors; for a model without a train. */
#include "runtime/image.h"
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"
#include "tests/support/weights_file.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static CvmTestPlace place;

static const char *path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", place.folder, name);
    return path;
}

/* Makes `to` of the picture `from`: its short side scaled to `side`, then its middle. */
static void write_prepared(const char *from, int side, const char *to) {
    char path[512];
    CvmError error;
    CvmImage image, scaled, cropped;
    assert_true(cvm_image_read(path_of(from, path), 1, &image, &error));
    assert_true(cvm_image_resize_short_side(&image, side, &scaled, &error));
    assert_true(cvm_image_crop_centre(&scaled, 28, 28, &cropped, &error));
    assert_true(cvm_image_write_png(path_of(to, path), &cropped, &error));
    cvm_image_free(&image);
    cvm_image_free(&scaled);
    cvm_image_free(&cropped);
}

/* A picture 70 wide and 50 high with a bright ring. */
static void write_large(const char *name) {
    enum { HEIGHT = 50, WIDTH = 70 };
    static uint8_t pixels[HEIGHT * WIDTH];
    char path[512];
    CvmError error;
    for (int y = 0; y < HEIGHT; y++)
        for (int x = 0; x < WIDTH; x++) {
            int square = (y - 25) * (y - 25) + (x - 35) * (x - 35);
            pixels[y * WIDTH + x] = square > 150 && square < 330 ? 230 : (uint8_t)(x + y);
        }
    CvmImage image = {1, HEIGHT, WIDTH, pixels};
    assert_true(cvm_image_write_png(path_of(name, path), &image, &error));
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 160, 48);
    cvm_test_write_text(&place, "unit.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL
                        "train Small on patterns {\n"
                        "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"
                        "    epochs 2 batch 16 seed 3\n"
                        "}\n");
    cvm_test_expect(&place, 0, NULL, NULL, "train", "unit.cvm", NULL);
    cvm_test_write_weights(&place, "unit.safetensors", "plain.safetensors", NULL, NULL);
    cvm_test_write_text(&place, "model.cvm", CVM_TEST_MODEL);
    cvm_test_write_text(&place, "names.txt", "rows\ncolumns\nsquare\nring\n");
    write_large("large.png");
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* Writes block.cvm: the model with a predict block of these lines. */
static void write_block(const char *lines) {
    char text[4096];
    snprintf(text, sizeof text, "%spredict Small {\n%s\n}\n", CVM_TEST_MODEL, lines);
    cvm_test_write_text(&place, "block.cvm", text);
}

/* The lines of guesses that a file of the place gives, to be freed. */
static char *guesses(const char *program, const char *picture) {
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", program, "--weights", "plain.safetensors", picture, NULL);
    if (result.code != 0)
        fail_msg("exit code %d: %s", result.code, result.err);
    char *lines = strdup(strchr(result.out, '\n') + 1);
    cvm_test_result_free(&result);
    return lines;
}

static void expect_same(const char *program, const char *picture, const char *other,
                        const char *other_picture) {
    char *one = guesses(program, picture), *two = guesses(other, other_picture);
    assert_string_equal(one, two);
    free(one);
    free(two);
}

static void pictures_are_scaled_and_cropped(void **state) {
    (void)state;
    write_prepared("large.png", 32, "small32.png");
    write_prepared("large.png", 28, "small28.png");
    write_block("resize 32 crop 28");
    expect_same("block.cvm", "large.png", "model.cvm", "small32.png");
    write_block("resize 32");
    expect_same("block.cvm", "large.png", "model.cvm", "small32.png");
    write_block("resize 28 crop [28, 28]");
    expect_same("block.cvm", "large.png", "model.cvm", "small28.png");
    write_block("crop 28");
    write_prepared("large.png", 50, "middle.png");
    expect_same("block.cvm", "large.png", "model.cvm", "middle.png");
}

static void a_picture_may_be_stretched(void **state) {
    (void)state;
    char path[512];
    CvmError error;
    CvmImage image, scaled;
    assert_true(cvm_image_read(path_of("large.png", path), 1, &image, &error));
    assert_true(cvm_image_resize(&image, 28, 28, &scaled, &error));
    assert_true(cvm_image_write_png(path_of("stretched.png", path), &scaled, &error));
    cvm_image_free(&image);
    cvm_image_free(&scaled);
    write_block("resize [28, 28]");
    expect_same("block.cvm", "large.png", "model.cvm", "stretched.png");
}

static void without_a_scale_the_size_must_be_right(void **state) {
    (void)state;
    write_block("normalize unit");
    cvm_test_expect(&place, 1, NULL, "large.png: it is 70 pixels wide and 50 high", "predict",
                    "block.cvm", "--weights", "plain.safetensors", "large.png", NULL);
    write_block("crop 28");
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    cvm_test_expect(&place, 0, "class 3", NULL, "predict", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
    char path[512];
    CvmError error;
    uint8_t pixels[20 * 30] = {0};
    CvmImage image = {1, 20, 30, pixels};
    assert_true(cvm_image_write_png(path_of("tiny.png", path), &image, &error));
    cvm_test_expect(&place, 1, "ring.png", "tiny.png", "predict", "block.cvm", "--weights",
                    "plain.safetensors", "tiny.png", "ring.png", NULL);
}

/* A mean of 0 and a deviation of 255 is what unit says, and other numbers are not. */
static void pixels_are_normalized_as_stated(void **state) {
    (void)state;
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    write_block("normalize mean(0, deviation=[255])");
    expect_same("block.cvm", "ring.png", "model.cvm", "ring.png");
    write_block("normalize mean(127.5, deviation=[127.5])");
    char *stated = guesses("block.cvm", "ring.png"), *unit = guesses("model.cvm", "ring.png");
    assert_string_not_equal(stated, unit);
    free(stated);
    free(unit);
    /* what a checkpoint remembers counts for a checkpoint */
    cvm_test_write_text(&place, "both.cvm",
                        CVM_TEST_DATA CVM_TEST_MODEL
                        "predict Small { normalize mean(127.5) }\n"
                        "train Small on patterns {\n"
                        "    loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"
                        "    epochs 2 batch 16 seed 3\n"
                        "}\n");
    CvmTestResult one = cvm_test_cvmc(&place, "predict", "both.cvm", "--checkpoint",
                                      "unit.safetensors", "ring.png", NULL);
    CvmTestResult two = cvm_test_cvmc(&place, "predict", "unit.cvm", "--checkpoint",
                                      "unit.safetensors", "ring.png", NULL);
    assert_string_equal(one.out, two.out);
    cvm_test_result_free(&one);
    cvm_test_result_free(&two);
}

static void classes_have_the_names_of_the_labels_file(void **state) {
    (void)state;
    cvm_test_write_pattern_png(&place, "ring.png", 3, 6000);
    write_block("labels \"names.txt\"");
    cvm_test_expect(&place, 0, "%  ring\n", NULL, "predict", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
    cvm_test_write_text(&place, "names-dos.txt", "rows\r\ncolumns\r\nsquare\r\nring");
    write_block("labels \"names-dos.txt\"");
    cvm_test_expect(&place, 0, "%  ring\n", NULL, "run", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
}

static void a_labels_file_that_does_not_fit_is_refused(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"rows\ncolumns\nsquare\n", "has 3 names, one a line, and Small tells 4 classes apart"},
        {"a\nb\nc\nd\ne\n", "has 5 names"},
        {"a\n\nc\nd\n", "has no name in line 2"},
        {"a\nb\nc\x1b[31m\nd\n", "has a control character or a byte that is no UTF-8 in line 3"},
        {"a\nb\nKatz\xE9\nd\n", "no UTF-8 in line 3"},
        {"", "has 0 names"},
    };
    write_block("labels \"wrong.txt\"");
    for (int i = 0; i < 6; i++) {
        cvm_test_write_text(&place, "wrong.txt", cases[i].text);
        cvm_test_expect(&place, 1, NULL, cases[i].message, "predict", "block.cvm", "--weights",
                        "plain.safetensors", "ring.png", NULL);
    }
    cvm_test_write(&place, "wrong.txt", "a\nb\0\nc\nd\n", 9);
    cvm_test_expect(&place, 1, NULL, "zero byte", "predict", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
}

static void without_the_labels_file_classes_have_numbers(void **state) {
    (void)state;
    write_block("labels \"none.txt\"");
    cvm_test_expect(&place, 0, NULL, NULL, "check", "block.cvm", NULL);
    cvm_test_expect(&place, 0, "class 3", "the labels file none.txt is neither beside", "predict",
                    "block.cvm", "--weights", "plain.safetensors", "ring.png", NULL);
}

/* The probabilities are the softmax of the logits. */
static void logits_are_told_on_request(void **state) {
    (void)state;
    write_block("normalize unit");
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", "block.cvm", "--weights", "plain.safetensors", "--logits",
                      "--json", "ring.png", NULL);
    assert_int_equal(result.code, 0);
    cJSON *json = cJSON_Parse(result.out);
    const cJSON *picture = json;
    const cJSON *logits = cJSON_GetObjectItem(picture, "logits");
    assert_int_equal(cJSON_GetArraySize(logits), 4);
    double sum = 0, logit[4];
    for (int i = 0; i < 4; i++) {
        logit[i] = cJSON_GetArrayItem(logits, i)->valuedouble;
        sum += exp(logit[i]);
    }
    const cJSON *first = cJSON_GetArrayItem(cJSON_GetObjectItem(picture, "classes"), 0);
    int label = (int)cJSON_GetObjectItem(first, "label")->valuedouble;
    double probability = cJSON_GetObjectItem(first, "probability")->valuedouble;
    assert_true(fabs(exp(logit[label]) / sum - probability) < 1e-5);
    char text[64];
    snprintf(text, sizeof text, "%9.4f  class %d\n", logit[label], label);
    cvm_test_expect(&place, 0, text, NULL, "run", "block.cvm", "--weights", "plain.safetensors",
                    "--logits", "ring.png", NULL);
    cJSON_Delete(json);
    cvm_test_result_free(&result);
}

/* Linear layers become convolutions of the same numbers. */
static bool make_convolution(CvmFileTensor *tensor, void *context) {
    (void)context;
    bool first = !strncmp(tensor->name, "body.linear1", 12);
    bool second = !strncmp(tensor->name, "head.linear1", 12);
    if (!first && !second)
        return true;
    bool bias = strstr(tensor->name, ".bias") != NULL;
    tensor->name = first  ? bias ? "body.conv3.bias" : "body.conv3.weight"
                   : bias ? "head.conv1.bias"
                          : "head.conv1.weight";
    if (!bias)
        tensor->shape = first ? (CvmShape){4, {16, 8, 5, 5}} : (CvmShape){4, {4, 16, 1, 1}};
    return true;
}

/* A model that ends with a softmax tells the same probabilities and logits as one that does not: no
 * second softmax. */
static void a_softmax_of_the_model_is_the_last_one(void **state) {
    (void)state;
    static const char *const ends[] = {
        "flatten linear(16) relu } head { linear(classes) softmax }\n",
        "flatten linear(16) relu } head { linear(classes) log_softmax }\n",
        "conv(16, kernel=5) relu } head { conv(classes, kernel=1) softmax flatten }\n",
        "conv(16, kernel=5) relu } head { conv(classes, kernel=1) flatten }\n",
    };
    char *lines[4];
    for (int i = 0; i < 4; i++) {
        char text[1024];
        snprintf(text, sizeof text,
                 "model Small(classes: int = 4) {\n"
                 "    input image: [1, 28, 28]\n"
                 "    body { conv(4, kernel=5, pad=2) relu maxpool(2)\n"
                 "           conv(8, kernel=5) relu maxpool(2)\n"
                 "           %s}\n",
                 ends[i]);
        cvm_test_write_text(&place, "ends.cvm", text);
        if (i < 2) {
            lines[i] = guesses("ends.cvm", "ring.png");
            continue;
        }
        cvm_test_write_weights(&place, "plain.safetensors", "conv.safetensors", make_convolution,
                               NULL);
        CvmTestResult result = cvm_test_cvmc(&place, "predict", "ends.cvm", "--weights",
                                             "conv.safetensors", "--logits", "ring.png", NULL);
        if (result.code != 0)
            fail_msg("exit code %d: %s", result.code, result.err);
        lines[i] = strdup(result.out);
        cvm_test_result_free(&result);
    }
    char *plain = guesses("model.cvm", "ring.png");
    assert_string_equal(lines[0], plain);
    assert_string_equal(lines[1], plain);
    assert_string_equal(lines[2], lines[3]);
    for (int i = 0; i < 4; i++)
        free(lines[i]);
    free(plain);
}

static bool number_layers(CvmFileTensor *tensor, void *context) {
    static char names[64][32];
    int *count = context;
    snprintf(names[*count], sizeof names[0], "features.%d.%s",
             !strncmp(tensor->name, "body.conv1", 10)     ? 0
             : !strncmp(tensor->name, "body.conv2", 10)   ? 3
             : !strncmp(tensor->name, "body.linear1", 12) ? 7
                                                          : 11,
             strrchr(tensor->name, '.') + 1);
    tensor->name = names[(*count)++];
    return true;
}

static void the_block_names_the_map_of_the_weights(void **state) {
    (void)state;
    int count = 0;
    cvm_test_write_weights(&place, "plain.safetensors", "numbered.safetensors", number_layers,
                           &count);
    write_block("names numbered }\nnames numbered { in order \"features\"");
    cvm_test_expect(&place, 0, "class 3", NULL, "predict", "block.cvm", "--weights",
                    "numbered.safetensors", "ring.png", NULL);
    cvm_test_expect(&place, 0, "class 3", NULL, "predict", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
}

static void the_model_that_predict_is_about_is_chosen(void **state) {
    (void)state;
    write_block("}\nmodel Flat { input image: [1, 28, 28] flatten linear(4)");
    cvm_test_expect(&place, 0, "class 3", NULL, "predict", "block.cvm", "--weights",
                    "plain.safetensors", "ring.png", NULL);
    cvm_test_expect(&place, 1, NULL, "do not fit Flat", "predict", "block.cvm", "--model", "Flat",
                    "--weights", "plain.safetensors", "ring.png", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_are_scaled_and_cropped),
        cmocka_unit_test(a_picture_may_be_stretched),
        cmocka_unit_test(without_a_scale_the_size_must_be_right),
        cmocka_unit_test(pixels_are_normalized_as_stated),
        cmocka_unit_test(classes_have_the_names_of_the_labels_file),
        cmocka_unit_test(a_labels_file_that_does_not_fit_is_refused),
        cmocka_unit_test(without_the_labels_file_classes_have_numbers),
        cmocka_unit_test(logits_are_told_on_request),
        cmocka_unit_test(a_softmax_of_the_model_is_the_last_one),
        cmocka_unit_test(the_block_names_the_map_of_the_weights),
        cmocka_unit_test(the_model_that_predict_is_about_is_chosen),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
