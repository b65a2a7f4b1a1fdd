/* Checkpoints: what was saved comes back to the same bits; anything else is refused and leaves the
 * weights alone. */
#include "runtime/checkpoint.h"
#include "runtime/safetensors.h"

#include "tests/support/temporary.h"

#include <math.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HASH = 0x1234 };

static const CvmSlot SLOTS[] = {
    {"body.conv1.weight", CVM_SLOT_PARAMETER, CVM_F32, {4, {6, 1, 5, 5}}, 0.2, 0, 0},
    {"body.conv1.bias", CVM_SLOT_PARAMETER, CVM_F32, {1, {6}}, 0.2, 0, 0},
    {"body.norm.mean", CVM_SLOT_STATISTIC, CVM_F32, {1, {6}}, 0, 1, 0},
    {"optimizer.body.conv1.weight.momentum",
     CVM_SLOT_OPTIMIZER,
     CVM_F32,
     {4, {6, 1, 5, 5}},
     0.3,
     0,
     0},
    {"optimizer.steps", CVM_SLOT_OPTIMIZER, CVM_I32, {0, {0}}, 0, 7, 0},
};
enum { TRAINING_SLOTS = 5, INFERENCE_SLOTS = 3 };

static const CvmCheckpointInfo INFO = {
    .model = "LeNet5",
    .model_hash = HASH,
    .epoch = 3,
    .seed = UINT64_MAX,
    .normalization = {.channels = 2, .mean = {0.1, 1.0 / 3}, .deviation = {0.7, 1e-3}},
    .accuracy = 0.9081,
    .classes = (char[]){"T-shirt/top\nAnkle \"boot\"\nK\xC3\xA4tzchen"},
};

static void make_store(CvmStore *store, int slots, uint64_t seed) {
    CvmError error = {0};
    const CvmPlan plan = {.name = "test", .slots = SLOTS, .slot_count = slots};
    cvm_store_init(store);
    assert_true(cvm_store_add_slots(store, &plan, seed, &error));
}

static size_t bytes_of(const CvmStored *tensor) {
    int64_t count;
    assert_true(cvm_shape_count(&tensor->shape, &count));
    return (size_t)count * 4;
}

static bool stores_equal(const CvmStore *a, const CvmStore *b) {
    for (int i = 0; i < a->count; i++) {
        const CvmStored *other = cvm_store_find(b, a->tensors[i].name);
        if (other && memcmp(a->tensors[i].data, other->data, bytes_of(other)) != 0)
            return false;
    }
    return true;
}

static const char *save(void *const *state, const CvmStore *store) {
    CvmError error = {0};
    const char *path = temporary_path(state, "lenet5.ckpt");
    assert_true(cvm_checkpoint_save(path, store, &INFO, &error));
    return path;
}

static void test_round_trip(void **state) {
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmStore saved, loaded;
    make_store(&saved, TRAINING_SLOTS, 1);
    make_store(&loaded, TRAINING_SLOTS, 2);
    ((float *)saved.tensors[0].data)[0] = NAN; /* bits, not numbers, are kept */
    ((float *)saved.tensors[0].data)[1] = -0.0f;
    assert_true(cvm_checkpoint_load(save(state, &saved), &loaded, "LeNet5", HASH,
                                    CVM_CHECKPOINT_RESUME, &info, &error));
    assert_true(stores_equal(&saved, &loaded));
    assert_string_equal(info.model, "LeNet5");
    assert_true(info.model_hash == HASH && info.epoch == 3 && info.seed == UINT64_MAX);
    assert_true(info.accuracy == INFO.accuracy && info.normalization.channels == 2);
    assert_string_equal(info.classes, INFO.classes);
    free(info.classes);
    for (int c = 0; c < 2; c++) {
        assert_true(info.normalization.mean[c] == INFO.normalization.mean[c]);
        assert_true(info.normalization.deviation[c] == INFO.normalization.deviation[c]);
    }
    cvm_store_free(&saved);
    cvm_store_free(&loaded);
}

/* The file does not tell in which order the store keeps its tensors. */
static void test_files_are_plain_whatever_the_store_is(void **state) {
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmSlot packed[TRAINING_SLOTS];
    CvmStore plain, filters;
    memcpy(packed, SLOTS, sizeof packed);
    packed[0].lanes = packed[3].lanes = 2;
    const CvmPlan plan = {.name = "packed", .slots = packed, .slot_count = TRAINING_SLOTS};
    make_store(&plain, TRAINING_SLOTS, 1);
    make_store(&filters, TRAINING_SLOTS, 1);
    assert_true(cvm_store_add_slots(&filters, &plan, 1, &error));
    assert_false(stores_equal(&plain, &filters));
    size_t sizes[2];
    void *bytes[2];
    for (int i = 0; i < 2; i++)
        bytes[i] = temporary_read(save(state, i ? &filters : &plain), &sizes[i]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    CvmStore loaded;
    make_store(&loaded, TRAINING_SLOTS, 2);
    assert_true(cvm_store_add_slots(&loaded, &plan, 2, &error));
    assert_true(cvm_checkpoint_load(save(state, &plain), &loaded, "LeNet5", HASH,
                                    CVM_CHECKPOINT_RESUME, &info, &error));
    free(info.classes);
    assert_true(stores_equal(&filters, &loaded));
    for (int i = 0; i < 2; i++)
        free(bytes[i]);
    cvm_store_free(&plain);
    cvm_store_free(&filters);
    cvm_store_free(&loaded);
}

static void test_classes_need_no_names(void **state) {
    CvmError error = {0};
    CvmCheckpointInfo info = INFO;
    CvmStore store;
    make_store(&store, TRAINING_SLOTS, 1);
    const char *path = temporary_path(state, "numbers.ckpt");
    info.classes = NULL;
    assert_true(cvm_checkpoint_save(path, &store, &info, &error));
    assert_true(
        cvm_checkpoint_load(path, &store, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, &info, &error));
    assert_null(info.classes);
    cvm_store_free(&store);
}

static void test_inference_skips_optimizer_state(void **state) {
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmStore saved, loaded;
    make_store(&saved, TRAINING_SLOTS, 1);
    make_store(&loaded, INFERENCE_SLOTS, 2);
    assert_true(cvm_checkpoint_load(save(state, &saved), &loaded, "LeNet5", HASH,
                                    CVM_CHECKPOINT_WEIGHTS, &info, &error));
    free(info.classes);
    assert_true(stores_equal(&saved, &loaded));
    cvm_store_free(&saved);
    cvm_store_free(&loaded);
}

/* Loading the file at path fails with the sentence, and changes nothing. */
static void expect_refused(const char *path, const char *model, uint64_t hash, CvmCheckpointUse use,
                           const char *sentence) {
    CvmError error = {0};
    CvmCheckpointInfo info, before;
    CvmStore store, untouched;
    make_store(&store, TRAINING_SLOTS, 2);
    make_store(&untouched, TRAINING_SLOTS, 2);
    memset(&info, 0xAB, sizeof info);
    memcpy(&before, &info, sizeof info);
    assert_false(cvm_checkpoint_load(path, &store, model, hash, use, &info, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    if (!strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
    assert_true(stores_equal(&store, &untouched));
    assert_memory_equal(&info, &before, sizeof info);
    cvm_store_free(&store);
    cvm_store_free(&untouched);
}

static void test_missing_optimizer_state(void **state) {
    CvmStore saved;
    make_store(&saved, INFERENCE_SLOTS, 1);
    const char *path = save(state, &saved);
    expect_refused(path, "LeNet5", HASH, CVM_CHECKPOINT_RESUME,
                   "optimizer.body.conv1.weight.momentum is missing in the file, "
                   "F32 [6, 1, 5, 5] in the model");
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmStore loaded;
    make_store(&loaded, TRAINING_SLOTS, 2);
    assert_true(
        cvm_checkpoint_load(path, &loaded, "LeNet5", HASH, CVM_CHECKPOINT_WEIGHTS, &info, &error));
    free(info.classes);
    assert_true(stores_equal(&saved, &loaded));
    cvm_store_free(&saved);
    cvm_store_free(&loaded);
}

/* Averages have the weights' names in the file; who trains on takes the weights themselves. */
static void test_averages_have_the_weights_names(void **state) {
    static const CvmSlot slots[] = {
        {"w", CVM_SLOT_PARAMETER, CVM_F32, {1, {2}}, 0, 1, 0},
        {"frozen", CVM_SLOT_PARAMETER, CVM_F32, {1, {2}}, 0, 2, 0},
        {"optimizer.w.average", CVM_SLOT_OPTIMIZER, CVM_F32, {1, {2}}, 0, 3, 0},
        {"optimizer.w.average_weight", CVM_SLOT_OPTIMIZER, CVM_F32, {0, {0}}, 0, 4, 0}};
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmStore saved, trained, used, other;
    const CvmPlan training = {.name = "step", .slots = slots, .slot_count = 4},
                  inference = {.name = "forward", .slots = slots, .slot_count = 2};
    CvmStore *const stores[] = {&saved, &trained, &used, &other};
    for (int i = 0; i < 4; i++) {
        cvm_store_init(stores[i]);
        assert_true(cvm_store_add_slots(stores[i], i < 2 ? &training : &inference, 1, &error));
        for (int k = 0; i > 0 && k < stores[i]->count; k++)
            memset(stores[i]->tensors[k].data, 0, bytes_of(&stores[i]->tensors[k]));
    }
    const char *path = save(state, &saved);
    assert_true(
        cvm_checkpoint_load(path, &trained, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, &info, &error));
    free(info.classes);
    assert_true(stores_equal(&saved, &trained));
    const float *weight = cvm_store_find(&used, "w")->data;
    assert_true(
        cvm_checkpoint_load(path, &used, "LeNet5", HASH, CVM_CHECKPOINT_WEIGHTS, &info, &error));
    free(info.classes);
    assert_true(weight[0] == 3 && weight[1] == 3);
    assert_true(
        cvm_checkpoint_load(path, &used, "LeNet5", HASH, CVM_CHECKPOINT_RAW, &info, &error));
    free(info.classes);
    assert_true(weight[0] == 1 && weight[1] == 1);
    path = save(state, &other); /* has none */
    assert_false(
        cvm_checkpoint_load(path, &used, "LeNet5", HASH, CVM_CHECKPOINT_RAW, &info, &error));
    assert_non_null(strstr(error.message, "has no averages"));
    assert_false(
        cvm_checkpoint_load(path, &trained, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, &info, &error));
    assert_non_null(strstr(error.message, "optimizer.w.average is missing in the file"));
    for (int i = 0; i < 4; i++)
        cvm_store_free(stores[i]);
}

static void test_checkpoint_of_another_model(void **state) {
    CvmStore saved;
    make_store(&saved, TRAINING_SLOTS, 1);
    const char *path = save(state, &saved);
    expect_refused(path, "VGG16", HASH + 1, CVM_CHECKPOINT_RESUME,
                   "is a checkpoint of another model (LeNet5, not VGG16)");
    expect_refused(path, "LeNet5", HASH + 1, CVM_CHECKPOINT_RESUME,
                   "is a checkpoint of another model (LeNet5 with different layers or settings)");
    cvm_store_free(&saved);
}

static void test_misshapen_missing_and_extra_tensors_are_listed(void **state) {
    CvmError error = {0};
    CvmSlot other[] = {SLOTS[0], SLOTS[1], SLOTS[2]};
    other[0].shape.sizes[0] = 8;
    other[1].name = "body.conv1.other";
    const CvmPlan plan = {.name = "test", .slots = other, .slot_count = 3};
    CvmStore saved;
    cvm_store_init(&saved);
    assert_true(cvm_store_add_slots(&saved, &plan, 1, &error));
    const char *path = save(state, &saved);
    expect_refused(path, "LeNet5", HASH, CVM_CHECKPOINT_WEIGHTS,
                   "body.conv1.weight is F32 [8, 1, 5, 5] in the file, F32 [6, 1, 5, 5] in the "
                   "model; body.conv1.bias is missing in the file, F32 [6] in the model; "
                   "body.conv1.other is [6] in the file, not present in the model");
    expect_refused(path, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, "; 2 more");
    expect_refused(path, "VGG16", HASH + 1, CVM_CHECKPOINT_RESUME,
                   "(LeNet5, not VGG16): body.conv1.weight is");
    cvm_store_free(&saved);
}

static void test_truncated_anywhere_is_refused(void **state) {
    size_t size;
    CvmStore saved;
    make_store(&saved, TRAINING_SLOTS, 1);
    uint8_t *bytes = temporary_read(save(state, &saved), &size);
    const char *path = temporary_path(state, "short.ckpt");
    for (size_t length = 0; length < size; length += 97) {
        temporary_write(path, bytes, length);
        expect_refused(path, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, path);
    }
    free(bytes);
    cvm_store_free(&saved);
}

static void expect_bad_text(void *const *state, const char *key, const char *value) {
    const CvmFileText good[] = {{"cvm.model", "LeNet5"}, {"cvm.model_hash", "1234"},
                                {"cvm.epoch", "3"},      {"cvm.seed", "1"},
                                {"cvm.mean", "0.5"},     {"cvm.deviation", "0.25"},
                                {"cvm.accuracy", "-1"}};
    enum { COUNT = sizeof good / sizeof good[0] };
    CvmFileText texts[COUNT];
    int count = 0;
    for (int i = 0; i < COUNT; i++) {
        bool chosen = strcmp(good[i].key, key) == 0;
        if (!chosen || value)
            texts[count++] = (CvmFileText){good[i].key, chosen ? value : good[i].value};
    }
    CvmError error = {0};
    const char *path = temporary_path(state, "bad.ckpt");
    assert_true(cvm_tensor_file_write(path, NULL, 0, texts, count, &error));
    expect_refused(path, "LeNet5", HASH, CVM_CHECKPOINT_WEIGHTS,
                   strcmp(key, "cvm.model") == 0 ? "name its model" : key);
}

static void test_bad_metadata_is_refused(void **state) {
    static const CvmFileText BAD[] = {
        {"cvm.model", NULL},
        {"cvm.model_hash", NULL},
        {"cvm.model_hash", "xyz"},
        {"cvm.model_hash", "-1"},
        {"cvm.epoch", NULL},
        {"cvm.epoch", "-1"},
        {"cvm.epoch", "2147483648"},
        {"cvm.epoch", "3 "},
        {"cvm.epoch", ""},
        {"cvm.epoch", "0x3"},
        {"cvm.seed", "18446744073709551616"},
        {"cvm.mean", NULL},
        {"cvm.mean", "nan"},
        {"cvm.mean", "inf"},
        {"cvm.mean", "0.1,0.2"},
        {"cvm.mean", "0.1,"},
        {"cvm.mean", "1,2,3,4,5"},
        {"cvm.deviation", "0"},
        {"cvm.deviation", "-1"},
        {"cvm.deviation", "1e999"},
        {"cvm.deviation", "0.1x"},
        {"cvm.accuracy", "nan"},
        {"cvm.accuracy", "1.5"},
        {"cvm.accuracy", "high"},
    };
    char long_name[200];
    memset(long_name, 'x', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++)
        expect_bad_text(state, BAD[i].key, BAD[i].value);
    expect_bad_text(state, "cvm.model", long_name);
}

static void test_unwritable_and_missing_places(void **state) {
    CvmError error = {0};
    CvmCheckpointInfo info;
    CvmStore store;
    make_store(&store, TRAINING_SLOTS, 1);
    const char *path = temporary_path(state, "missing/lenet5.ckpt");
    assert_false(cvm_checkpoint_save(path, &store, &INFO, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    error.kind = CVM_ERROR_NONE;
    assert_false(
        cvm_checkpoint_load(path, &store, "LeNet5", HASH, CVM_CHECKPOINT_RESUME, &info, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    assert_int_equal(temporary_count(state), 0);
    cvm_store_free(&store);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_round_trip),
        WITH_FOLDER(test_files_are_plain_whatever_the_store_is),
        WITH_FOLDER(test_classes_need_no_names),
        WITH_FOLDER(test_inference_skips_optimizer_state),
        WITH_FOLDER(test_missing_optimizer_state),
        WITH_FOLDER(test_averages_have_the_weights_names),
        WITH_FOLDER(test_checkpoint_of_another_model),
        WITH_FOLDER(test_misshapen_missing_and_extra_tensors_are_listed),
        WITH_FOLDER(test_truncated_anywhere_is_refused),
        WITH_FOLDER(test_bad_metadata_is_refused),
        WITH_FOLDER(test_unwritable_and_missing_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
