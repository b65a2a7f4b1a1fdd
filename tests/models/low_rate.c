/* Low-rate fine-tuning beside PyTorch's: the same start and pictures, a body at a tenth of the
 * head's rate, and after 20 steps the same parameters and losses. low_rate.py made the values. */
#include "runtime/safetensors.h"
#include "tests/support/command.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { BATCH = 8, SIDE = 12, PIXELS = SIDE * SIDE, PARAMETERS = 6, MOST = 512, STEPS = 20 };
static const double TOLERANCE = 1e-5;

static const char *const names[PARAMETERS] = {
    "body.conv1.weight", "body.conv1.bias",     "body.conv2.weight",
    "body.conv2.bias",   "head.linear1.weight", "head.linear1.bias",
};

static const char program[] =
    "data rows {\n"
    "    folder \"rows\"  image [1, 12, 12]  classes 3\n"
    "    train idx(\"images\", \"labels\")  test idx(\"images\", \"labels\")\n"
    "}\n"
    "model Tiny {\n"
    "    input image: [1, 12, 12]\n"
    "    body { conv(4, kernel=3, pad=1) relu maxpool(2)\n"
    "           conv(6, kernel=3) relu maxpool(2) flatten }\n"
    "    head { linear(3) }\n"
    "}\n"
    "train Tiny on rows {\n"
    "    weights   \"start.safetensors\"\n"
    "    rate      body 0.1x\n"
    "    loss      cross_entropy\n"
    "    optimizer sgd(rate=0.1, momentum=0.9, decay=1e-3)\n"
    "    epochs 20  batch 8\n"
    "}\n";

static CvmTestPlace place;
static CvmTensorFile recorded;

static const CvmFileTensor *find(const char *prefix, const char *name) {
    char full[64];
    snprintf(full, sizeof full, "%s%s", prefix, name);
    const CvmFileTensor *tensor = cvm_tensor_file_find(&recorded, full);
    assert_non_null(tensor);
    return tensor;
}

static int64_t read(const CvmFileTensor *tensor, float values[MOST]) {
    CvmError error;
    int64_t count;
    assert_true(cvm_shape_count(&tensor->shape, &count) && count <= MOST * BATCH);
    assert_true(cvm_file_tensor_read_f32(tensor, values, &error));
    return count;
}

static void write_pictures(void) {
    static const uint8_t shape[16] = {0, 0, 8, 3, 0, 0, 0, BATCH, 0, 0, 0, SIDE, 0, 0, 0, SIDE};
    uint8_t images[16 + BATCH * PIXELS], labels[8 + BATCH] = {0, 0, 8, 1, 0, 0, 0, BATCH};
    float pixels[BATCH * PIXELS];
    int32_t classes[BATCH];
    CvmError error;
    memcpy(images, shape, sizeof shape);
    assert_true(cvm_file_tensor_read_f32(find("", "pixels"), pixels, &error));
    assert_true(cvm_file_tensor_read_i32(find("", "labels"), classes, &error));
    for (int i = 0; i < BATCH * PIXELS; i++)
        images[16 + i] = (uint8_t)pixels[i];
    for (int i = 0; i < BATCH; i++)
        labels[8 + i] = (uint8_t)classes[i];
    cvm_test_write(&place, "data/rows/images", images, sizeof images);
    cvm_test_write(&place, "data/rows/labels", labels, sizeof labels);
}

static void write_start(void) {
    CvmFileTensor tensors[PARAMETERS];
    char path[512];
    CvmError error;
    for (int i = 0; i < PARAMETERS; i++) {
        tensors[i] = *find("start.", names[i]);
        tensors[i].name = names[i];
    }
    snprintf(path, sizeof path, "%s/start.safetensors", place.folder);
    assert_true(cvm_tensor_file_write(path, tensors, PARAMETERS, NULL, 0, &error));
}

static void assert_close(const char *name, const CvmFileTensor *have, const CvmFileTensor *want) {
    float one[MOST], other[MOST];
    int64_t count = read(want, other);
    assert_int_equal(read(have, one), count);
    for (int64_t i = 0; i < count; i++)
        if (!(fabs((double)one[i] - other[i]) <= TOLERANCE))
            fail_msg("%s[%d] is %.9g, and PyTorch's %.9g", name, (int)i, one[i], other[i]);
}

/* "epoch 3/20  loss 1.0964 …": a step an epoch. */
static void assert_losses(const char *text) {
    float losses[MOST];
    assert_int_equal(read(find("", "losses"), losses), STEPS);
    for (int i = 0; i < STEPS; i++) {
        char start[32];
        snprintf(start, sizeof start, "epoch %d/%d  loss ", i + 1, STEPS);
        const char *line = strstr(text, start);
        assert_non_null(line);
        assert_true(fabs(atof(line + strlen(start)) - losses[i]) < 1e-4);
    }
}

static void low_rate_fine_tuning_gives_what_pytorch_does(void **state) {
    (void)state;
    char path[512];
    CvmError error;
    CvmTensorFile trained;
    write_pictures();
    write_start();
    cvm_test_write_text(&place, "tiny.cvm", program);
    CvmTestResult result = cvm_test_cvmc(&place, "train", "tiny.cvm", NULL);
    assert_int_equal(result.code, 0);
    assert_losses(result.err);
    cvm_test_result_free(&result);
    snprintf(path, sizeof path, "%s/tiny.safetensors", place.folder);
    assert_true(cvm_tensor_file_open(path, &trained, &error));
    for (int i = 0; i < PARAMETERS; i++)
        assert_close(names[i], cvm_tensor_file_find(&trained, names[i]), find("end.", names[i]));
    cvm_tensor_file_close(&trained);
}

static int set_up(void **state) {
    (void)state;
    char path[512];
    CvmError error;
    const char *folder = getenv("CVM_SOURCE_DIR");
    snprintf(path, sizeof path, "%s/tests/models/low_rate.safetensors", folder ? folder : ".");
    cvm_test_place_create(&place);
    return cvm_tensor_file_open(path, &recorded, &error) ? 0 : -1;
}

static int tear_down(void **state) {
    (void)state;
    cvm_tensor_file_close(&recorded);
    cvm_test_place_remove(&place);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(low_rate_fine_tuning_gives_what_pytorch_does),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
