/* A folder of pictures as a data set, end to end: a small VGG for 32x32 learns coloured shapes from
 * PNG files, and what is odd in a folder is told. */
#include "tests/support/command.h"
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static CvmTestPlace place;

#define MODEL                                                                                      \
    "block stage(channels: int, depth: int) {\n"                                                   \
    "    repeat depth { conv(channels, kernel=3, pad=1) relu }\n"                                  \
    "    maxpool(2)\n"                                                                             \
    "}\n"                                                                                          \
    "model Tiny(classes: int = 6) {\n"                                                             \
    "    input image: [3, 32, 32]\n"                                                               \
    "    body { stage(16, 1) stage(24, 1) stage(32, 1) flatten linear(32) relu }\n"                \
    "    head { linear(classes) }\n"                                                               \
    "}\n"
#define TRAIN                                                                                      \
    "train Tiny on shapes {\n"                                                                     \
    "    normalize mean_of_train loss cross_entropy optimizer sgd(rate=0.02, momentum=0.9)\n"      \
    "    schedule cosine epochs 12 batch 15 seed 1\n"                                              \
    "}\n"
#define SPLIT "data shapes { folder \"shapes\" image [3, 32, 32] split 0.25 seed 3 }\n"

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_shapes(&place, "shapes", 60);
    cvm_test_write_text(&place, "shapes.cvm", SPLIT MODEL TRAIN);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

static cJSON *last_line(const char *text) {
    const char *end = strrchr(text, '\n'), *begin = end;
    assert_non_null(end);
    while (begin > text && begin[-1] != '\n')
        begin--;
    cJSON *object = cJSON_ParseWithLength(begin, (size_t)(end - begin));
    assert_non_null(object);
    return object;
}

static void a_small_vgg_learns_shapes_from_files(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "train", "shapes.cvm", "--json", NULL);
    if (result.code != 0)
        fail_msg("exit code %d: %s", result.code, result.err);
    cJSON *object = last_line(result.out);
    double accuracy = cJSON_GetObjectItem(object, "test_accuracy")->valuedouble;
    if (accuracy < 0.95)
        fail_msg("test accuracy %g", accuracy);
    cJSON_Delete(object);
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 0, "green disc", NULL, "eval", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
    cvm_test_expect(&place, 0, "  blue bars ", NULL, "eval", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "samples", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
}

static void a_folder_is_classified_as_csv(void **state) {
    (void)state;
    cvm_test_write_text(&place, "shapes/blue bars/a,b\"c.png", "no picture");
    CvmTestResult result =
        cvm_test_cvmc(&place, "predict", "shapes.cvm", "--checkpoint", "shapes.safetensors",
                      "--csv", "--top", "1", "shapes/green bars", NULL);
    assert_int_equal(result.code, 0);
    assert_int_equal(
        strncmp(result.out, "file,class1,probability1\nshapes/green bars/000.png,", 50), 0);
    int lines = 0;
    for (const char *c = result.out; *c; c++)
        lines += *c == '\n';
    assert_int_equal(lines, 61);
    cvm_test_result_free(&result);
    cvm_test_expect(&place, 1, "shapes/blue bars/059.png", "neither a PNG nor a JPEG", "predict",
                    "shapes.cvm", "--checkpoint", "shapes.safetensors", "shapes/blue bars", NULL);
    size_t size;
    char *picture = cvm_test_read(&place, "shapes/blue bars/000.png", &size);
    cvm_test_write(&place, "shapes/blue bars/a,b\"c.png", picture, size);
    free(picture);
    cvm_test_expect(&place, 0, "\"shapes/blue bars/a,b\"\"c.png\",", NULL, "predict", "shapes.cvm",
                    "--checkpoint", "shapes.safetensors", "--csv", "shapes/blue bars", NULL);
    cvm_test_remove(&place, "shapes/blue bars/a,b\"c.png");
    cvm_test_expect(&place, 0, "shapes/red disc/059.png", "", "predict", "shapes.cvm",
                    "--checkpoint", "shapes.safetensors", "shapes", NULL);
    cvm_test_expect(&place, 1, NULL, "cache has no PNG or JPEG files", "predict", "shapes.cvm",
                    "--checkpoint", "shapes.safetensors", "cache", NULL);
    cvm_test_expect(&place, 2, NULL, "not both", "predict", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", "--csv", "--json", "shapes", NULL);
}

/* Predicting needs no data set: the checkpoint knows what the classes are called. */
static void a_checkpoint_knows_its_classes(void **state) {
    (void)state;
    char data[512], away[512], one[512], other[512];
    snprintf(data, sizeof data, "%s/shapes", place.folder);
    snprintf(away, sizeof away, "%s/away", place.folder);
    assert_int_equal(rename(data, away), 0);
    cvm_test_expect(&place, 0, "%  green bars\n", NULL, "predict", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", "away/green bars/000.png", NULL);
    assert_int_equal(rename(away, data), 0);
    /* a label would mean another class */
    snprintf(one, sizeof one, "%s/shapes/green bars", place.folder);
    snprintf(other, sizeof other, "%s/shapes/a\x1B[31m\xE9", place.folder);
    assert_int_equal(rename(one, other), 0);
    static const char message[] = "shapes.safetensors was trained on other classes: its class 0 is "
                                  "'blue bars', and that of the folder is 'a\xEF\xBF\xBD[31m";
    cvm_test_expect(&place, 1, NULL, message, "eval", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "other classes", "samples", "shapes.cvm", "--checkpoint",
                    "shapes.safetensors", NULL);
    cvm_test_expect(&place, 1, NULL, "other", "train", "shapes.cvm", "--resume", "--epochs", "13",
                    NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "shapes.cvm", "--epochs", "1", "-o",
                    "odd.safetensors", NULL);
    cvm_test_expect(&place, 0, "  a\xEF\xBF\xBD[31m\xEF\xBF\xBD\n", NULL, "predict", "shapes.cvm",
                    "--checkpoint", "odd.safetensors", "shapes/red disc/001.png", NULL);
    assert_int_equal(rename(other, one), 0);
}

static void what_is_no_picture_is_passed_over_and_told(void **state) {
    (void)state;
    cvm_test_write_text(&place, "shapes/readme.txt", "hello");
    cvm_test_write_text(&place, "shapes/red disc/.hidden.png", "hello");
    cvm_test_write_text(&place, "shapes/red disc/notes.txt", "hello");
    cvm_test_write_text(&place, "shapes/red disc/broken.PNG", "hello");
    CvmTestResult result = cvm_test_cvmc(&place, "train", "shapes.cvm", "--epochs", "1", "-o",
                                         "odd.safetensors", NULL);
    assert_int_equal(result.code, 0);
    assert_non_null(strstr(result.err, "3 entries are no pictures and are passed over"));
    assert_non_null(strstr(result.err, "broken.PNG is neither a PNG nor a JPEG"));
    assert_non_null(strstr(result.err, "shapes: 1 of "));
    cvm_test_result_free(&result);
    cvm_test_remove(&place, "shapes/readme.txt");
    cvm_test_remove(&place, "shapes/red disc/.hidden.png");
    cvm_test_remove(&place, "shapes/red disc/notes.txt");
    cvm_test_remove(&place, "shapes/red disc/broken.PNG");
}

static void train_and_test_may_have_folders_of_their_own(void **state) {
    (void)state;
    cvm_test_write_text(&place, "two.cvm",
                        "data shapes {\n"
                        "    image [3, 32, 32] resize 40 crop 32\n"
                        "    train folder(\"shapes\") test folder(\"few\")\n"
                        "}\n" MODEL TRAIN);
    cvm_test_expect(&place, 1, NULL, "does not say its 'folder'", "check", "two.cvm", NULL);
    cvm_test_write_text(&place, "two.cvm",
                        "data shapes {\n"
                        "    folder \"all\" image [3, 32, 32] resize 40 crop 32\n"
                        "    train folder(\"shapes\") test folder(\"few\")\n"
                        "}\n" MODEL TRAIN);
    cvm_test_expect(&place, 3, NULL, "all/few", "train", "two.cvm", "--epochs", "1", NULL);
    cvm_test_write_shapes(&place, "few", 2);
    cvm_test_expect(&place, 0, "test accuracy", NULL, "train", "two.cvm", "--epochs", "1", NULL);
    char path[512];
    snprintf(path, sizeof path, "%s/few/red disc", place.folder);
    cvm_test_remove(&place, "few/red disc/000.png");
    cvm_test_remove(&place, "few/red disc/001.png");
    assert_int_equal(rmdir(path), 0); /* a class that is not tested */
    cvm_test_expect(&place, 0, "test accuracy", NULL, "train", "two.cvm", "--epochs", "1", NULL);
}

static void classes_and_model_must_agree(void **state) {
    (void)state;
    cvm_test_write_text(&place, "five.cvm",
                        SPLIT MODEL "train Tiny(classes=5) on shapes {\n"
                                    "    loss cross_entropy optimizer sgd(rate=0.02)\n"
                                    "    epochs 1 batch 20\n"
                                    "}\n");
    cvm_test_expect(&place, 0, NULL, NULL, "check", "five.cvm", NULL);
    cvm_test_expect(&place, 1, NULL, "has 6 sub-folders, each of which is a class", "train",
                    "five.cvm", NULL);
    cvm_test_write_text(&place, "named.cvm",
                        "data shapes { folder \"shapes\" image [3, 32, 32] split 0.25\n"
                        "    classes [\"a\", \"b\", \"c\", \"d\", \"e\", \"f\"] }\n" MODEL TRAIN);
    cvm_test_expect(&place, 1, NULL, "which is none of the classes", "train", "named.cvm", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_small_vgg_learns_shapes_from_files),
        cmocka_unit_test(a_folder_is_classified_as_csv),
        cmocka_unit_test(a_checkpoint_knows_its_classes),
        cmocka_unit_test(what_is_no_picture_is_passed_over_and_told),
        cmocka_unit_test(train_and_test_may_have_folders_of_their_own),
        cmocka_unit_test(classes_and_model_must_agree),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
