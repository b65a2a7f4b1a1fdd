/* What an object's code makes of the weights: kept in a file (`cvmc build --packed`, open_packed),
 * and shared by its batch sizes. */
#include "runtime/safetensors.h"
#include "tests/support/net.h"

#include <cjson/cJSON.h>

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

enum { CLASSES = 4, ELEMENTS = 12 * 12, IMAGES = 6, LARGEST = 64 * 1024, PAGE = 4096 };

/* Its weights have channels enough to be packed. */
static const char PROGRAM[] = "model Wide { input image: [1, 12, 12]\n"
                              "    conv(32, kernel=3, pad=1) relu\n"
                              "    conv(32, kernel=3, pad=1) relu maxpool(4)\n"
                              "    flatten linear(4) }\n";

static CvmTestPlace place;
static CvmTestNet plain;
static float images[IMAGES * ELEMENTS];

static const char *path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", place.folder, name);
    return path;
}

/* Weights for the model that depend on `seed`. */
static void write_weights(const char *name, int seed) {
    static float values[LARGEST];
    static CvmFileTensor tensors[16];
    char path[512];
    CvmError error;
    int count = plain.parameter_count();
    for (int i = 0; i < LARGEST; i++)
        values[i] = (float)((i * 37 + seed) % 101) / 500 - 0.1f;
    for (int i = 0; i < count; i++) {
        cvm_net_parameter parameter = {.size = sizeof parameter};
        assert_int_equal(plain.parameter_at(i, &parameter), CVM_NET_OK);
        tensors[i] = (CvmFileTensor){
            .name = parameter.name, .data = values, .bytes = 4 * parameter.elements};
        tensors[i].shape.rank = parameter.rank;
        memcpy(tensors[i].shape.sizes, parameter.shape, sizeof parameter.shape);
    }
    if (!cvm_tensor_file_write(path_of(name, path), tensors, count, NULL, 0, &error))
        fail_msg("%s", error.message);
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "wide.cvm", PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "wide.cvm", NULL);
    cvm_test_net_load(&place, "wide", false, &plain);
    for (int i = 0; i < IMAGES * ELEMENTS; i++)
        images[i] = (float)(i % 13) / 6 - 1;
    write_weights("weights.safetensors", 0);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_net_unload(&plain);
    cvm_test_place_remove(&place);
    return 0;
}

/* Runs images from the one at `first` on, and closes the model. */
static void answer(const CvmTestNet *net, cvm_net_model *model, int first, size_t count,
                   float *logits) {
    cvm_net_context *context = NULL;
    assert_int_equal(net->context_create(model, NULL, &context), CVM_NET_OK);
    assert_int_equal(net->run(context, images + first * ELEMENTS, count, logits, NULL), CVM_NET_OK);
    net->context_destroy(context);
    assert_int_equal(net->close(model), CVM_NET_OK);
}

static void expect_bits(const float *logits) {
    float expected[CLASSES];
    char path[512];
    cvm_net_model *model = NULL;
    assert_int_equal(plain.open(path_of("weights.safetensors", path), &model), CVM_NET_OK);
    answer(&plain, model, 0, 1, expected);
    assert_memory_equal(logits, expected, sizeof expected);
}

/* Opens with the file of packed weights, and answers as without it. */
static void expect_opened(const char *packed) {
    float logits[CLASSES];
    char path[512], packed_path[512];
    cvm_net_model *model = NULL;
    if (plain.open_packed(path_of("weights.safetensors", path),
                          packed ? path_of(packed, packed_path) : NULL, &model))
        fail_msg("%s", plain.message());
    answer(&plain, model, 0, 1, logits);
    expect_bits(logits);
}

static long number_of(const char *name) {
    char path[512];
    struct stat status;
    assert_int_equal(stat(path_of(name, path), &status), 0);
    return (long)status.st_ino;
}

static void they_are_made_once(void **state) {
    (void)state;
    size_t size;
    expect_opened("once");
    long number = number_of("once");
    expect_opened("once");
    assert_int_equal(number_of("once"), number);
    free(cvm_test_read(&place, "once", &size));
    assert_true(size > PAGE + 32 * 32 * 9 * 4);
    expect_opened(NULL);
    assert_true(cvm_test_same_bytes(&place, "once", "weights.safetensors.packed"));
}

static void damaged_ones_are_made_again(void **state) {
    (void)state;
    size_t size;
    expect_opened("damaged");
    char *bytes = cvm_test_read(&place, "damaged", &size);
    const size_t sizes[] = {0, 1, 20, PAGE, size / 2, size - 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        cvm_test_write(&place, "damaged", bytes, sizes[i]);
        expect_opened("damaged");
        assert_true(cvm_test_same_bytes(&place, "damaged", "weights.safetensors.packed"));
    }
    bytes[8] ^= 1; /* the key */
    cvm_test_write(&place, "damaged", bytes, size);
    expect_opened("damaged");
    assert_true(cvm_test_same_bytes(&place, "damaged", "weights.safetensors.packed"));
    free(bytes);
}

static void other_weights_are_packed_anew(void **state) {
    (void)state;
    float before[CLASSES], after[CLASSES];
    char path[512];
    cvm_net_model *model = NULL;
    path_of("changing.safetensors", path);
    write_weights("changing.safetensors", 1);
    assert_int_equal(plain.open_packed(path, NULL, &model), CVM_NET_OK);
    answer(&plain, model, 0, 1, before);
    write_weights("changing.safetensors", 2); /* as large, in the same second */
    assert_int_equal(plain.open_packed(path, NULL, &model), CVM_NET_OK);
    answer(&plain, model, 0, 1, after);
    assert_memory_not_equal(before, after, sizeof before);
    assert_int_equal(plain.open(path, &model), CVM_NET_OK);
    answer(&plain, model, 0, 1, before);
    assert_memory_equal(before, after, sizeof before);
}

static void an_open_model_keeps_its_own(void **state) {
    (void)state;
    float logits[CLASSES];
    char path[512], packed[512];
    cvm_net_model *model = NULL, *other = NULL;
    path_of("weights.safetensors", path);
    write_weights("other.safetensors", 3);
    assert_int_equal(plain.open_packed(path, path_of("shared", packed), &model), CVM_NET_OK);
    assert_int_equal(plain.open_packed(path_of("other.safetensors", path), packed, &other),
                     CVM_NET_OK);
    answer(&plain, model, 0, 1, logits);
    expect_bits(logits);
    assert_int_equal(plain.close(other), CVM_NET_OK);
}

static void expect_refused(const char *packed, const char *sentence) {
    char path[512], packed_path[512];
    cvm_net_model *model = NULL;
    int before = cvm_test_entry_count(&place, ".");
    cvm_net_status status = plain.open_packed(path_of("weights.safetensors", path),
                                              path_of(packed, packed_path), &model);
    if (status != CVM_NET_NO_FILE || !strstr(plain.message(), sentence))
        fail_msg("%s: %s", plain.status_name(status), plain.message());
    assert_null(model);
    assert_int_equal(cvm_test_entry_count(&place, "."), before);
}

static void bad_calls_give_a_status(void **state) {
    (void)state;
    cvm_net_model *model = NULL;
    assert_int_equal(plain.open_packed(NULL, NULL, &model), CVM_NET_BAD_ARGUMENT);
    assert_int_equal(plain.open_packed("x", NULL, NULL), CVM_NET_BAD_ARGUMENT);
    assert_int_equal(plain.open_packed("/nowhere/at.all", NULL, &model), CVM_NET_NO_FILE);
    assert_null(model);
}

static void a_place_that_refuses_is_told(void **state) {
    (void)state;
    char folder[512];
    expect_refused("nowhere/at.all", "No such file");
    assert_int_equal(mkdir(path_of("folder", folder), 0777), 0);
    expect_refused("folder", "it is a folder");
    assert_int_equal(chmod(folder, 0555), 0);
    if (geteuid() != 0) /* whom no folder refuses */
        expect_refused("folder/packed", "Permission denied");
}

/* The disk is full: as far as this process may write. */
static void a_full_disk_is_told(void **state) {
    (void)state;
    struct rlimit before, tight;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = (struct rlimit){PAGE, before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    expect_refused("full", "too large");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    expect_opened("full");
}

static void an_object_may_keep_them_by_itself(void **state) {
    (void)state;
    CvmTestNet own;
    float logits[CLASSES];
    char path[512];
    cvm_net_model *model = NULL;
    cvm_test_expect(&place, 2, NULL, "--packed", "build", "wide.cvm", "--packed", "--embed-weights",
                    "--weights", "weights.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "wide.cvm", "-o", "own", "--packed", NULL);
    cvm_test_expect(&place, 0, "kept in a file beside the weights", NULL, "inspect", "own.so",
                    NULL);
    free(cvm_test_shell(&place, "grep path.packed own.h"));
    cvm_test_net_load(&place, "own", false, &own);
    write_weights("own.safetensors", 0);
    path_of("own.safetensors", path);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(own.open(path, &model), CVM_NET_OK);
        assert_true(cvm_test_exists(&place, "own.safetensors.packed"));
        answer(&own, model, 0, 1, logits);
        expect_bits(logits);
    }
    cvm_test_net_unload(&own);
}

static double packed_bytes(const CvmTestNet *net) {
    cJSON *facts = cJSON_Parse(net->facts());
    const cJSON *code = cJSON_GetObjectItem(facts, "codes")->child;
    double bytes = cJSON_GetObjectItem(code, "packed_bytes")->valuedouble;
    cJSON_Delete(facts);
    return bytes;
}

/* Where two batch sizes want the same of the weights, it is there once. */
static void batch_sizes_share_them(void **state) {
    (void)state;
    CvmTestNet one, both;
    float single[CLASSES], all[IMAGES * CLASSES];
    char path[512];
    cvm_net_model *model = NULL;
    path_of("weights.safetensors", path);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "wide.cvm", "-o", "one", "--conv", "direct",
                    NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "wide.cvm", "-o", "both", "--conv", "direct",
                    "--batch", "4", NULL);
    cvm_test_net_load(&place, "one", false, &one);
    cvm_test_net_load(&place, "both", false, &both);
    assert_true(packed_bytes(&one) == packed_bytes(&both));
    assert_int_equal(both.open(path, &model), CVM_NET_OK);
    answer(&both, model, 0, IMAGES, all); /* four, one, one */
    assert_int_equal(one.open(path, &model), CVM_NET_OK);
    answer(&one, model, 0, 1, single);
    assert_memory_equal(single, all, sizeof single);
    assert_int_equal(one.open(path, &model), CVM_NET_OK);
    answer(&one, model, 5, 1, single);
    assert_memory_equal(single, all + 5 * CLASSES, sizeof single);
    cvm_test_net_unload(&one);
    cvm_test_net_unload(&both);
}

/* Both batch sizes see what the weights have become. */
static void a_trainer_packs_what_it_learned(void **state) {
    (void)state;
    CvmTestNet net;
    float learning[IMAGES * CLASSES], learned[IMAGES * CLASSES];
    char path[512], text[1024];
    const int32_t labels[4] = {0, 1, 2, 3};
    cvm_net_model *model = NULL;
    cvm_net_trainer *trainer = NULL;
    snprintf(text, sizeof text,
             "data d { folder \"d\" image [1, 12, 12] classes 4 train idx(\"a\", \"b\") "
             "test idx(\"a\", \"b\") }\n%s"
             "train Wide on d { loss cross_entropy optimizer sgd(rate=0.1) epochs 1 batch 4 seed 1 "
             "}\n",
             PROGRAM);
    cvm_test_write_text(&place, "learning.cvm", text);
    cvm_test_expect(&place, 0, NULL, NULL, "build", "learning.cvm", "--train", NULL);
    cvm_test_net_load(&place, "learning", true, &net);
    assert_int_equal(net.trainer_create(NULL, NULL, &trainer), CVM_NET_OK);
    for (int step = 0; step < 3; step++) {
        assert_int_equal(net.step(trainer, images, labels, 4, NULL), CVM_NET_OK);
        assert_int_equal(net.save_weights(trainer, path_of("learned.safetensors", path)),
                         CVM_NET_OK);
        assert_int_equal(net.open(path, &model), CVM_NET_OK);
        answer(&net, model, 0, IMAGES, learned);
        assert_int_equal(net.predict(trainer, images + 4 * ELEMENTS, 1, learning, NULL),
                         CVM_NET_OK);
        assert_memory_equal(learning, learned + 4 * CLASSES, CLASSES * sizeof *learned);
        assert_int_equal(net.predict(trainer, images, IMAGES, learning, NULL), CVM_NET_OK);
        assert_memory_equal(learning, learned, sizeof learned);
    }
    net.trainer_destroy(trainer);
    cvm_test_net_unload(&net);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_are_made_once),
        cmocka_unit_test(damaged_ones_are_made_again),
        cmocka_unit_test(other_weights_are_packed_anew),
        cmocka_unit_test(an_open_model_keeps_its_own),
        cmocka_unit_test(bad_calls_give_a_status),
        cmocka_unit_test(a_place_that_refuses_is_told),
        cmocka_unit_test(a_full_disk_is_told),
        cmocka_unit_test(an_object_may_keep_them_by_itself),
        cmocka_unit_test(batch_sizes_share_them),
        cmocka_unit_test(a_trainer_packs_what_it_learned),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
