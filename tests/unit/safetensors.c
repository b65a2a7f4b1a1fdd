/* safetensors files: what is written is read back, and no file that breaks the format's rules, in
 * whatever way, is taken. */
#include "runtime/safetensors.h"

#include "tests/support/temporary.h"

#include <dirent.h>
#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const float WEIGHT[] = {1, -2, 3.5f, 0, 1e-30f, 1e30f};
static const int32_t STEPS = 42;

static const CvmFileTensor TENSORS[] = {
    {"body.conv1.weight", CVM_FILE_F32, {2, {2, 3}}, WEIGHT, 24, 0},
    {"empty", CVM_FILE_U8, {2, {0, 5}}, WEIGHT, 0, 0},
    {"steps \"\\", CVM_FILE_I32, {0, {0}}, &STEPS, 4, 0},
};
static const CvmFileText METADATA[] = {{"cvm.model", "LeNet5"}, {"note", "line\nquote\" slash\\"}};

static const char *write_sample(void *const *state, const char *name) {
    CvmError error = {0};
    const char *path = temporary_path(state, name);
    assert_true(cvm_tensor_file_write(path, TENSORS, 3, METADATA, 2, &error));
    return path;
}

static void test_round_trip(void **state) {
    CvmError error = {0};
    CvmTensorFile file;
    const char *path = write_sample(state, "a.safetensors");
    assert_int_equal(temporary_count(state), 1); /* no temporary left */
    assert_true(cvm_tensor_file_open(path, &file, &error));
    assert_int_equal(file.count, 3);
    const CvmFileTensor *weight = cvm_tensor_file_find(&file, "body.conv1.weight");
    assert_non_null(weight);
    assert_true(cvm_shape_equal(&weight->shape, &TENSORS[0].shape));
    assert_int_equal((uintptr_t)weight->data % 64, 0);
    float values[6];
    assert_true(cvm_file_tensor_read_f32(weight, values, &error));
    assert_memory_equal(values, WEIGHT, sizeof values);
    int32_t steps;
    assert_true(
        cvm_file_tensor_read_i32(cvm_tensor_file_find(&file, TENSORS[2].name), &steps, &error));
    assert_int_equal(steps, 42);
    assert_non_null(cvm_tensor_file_find(&file, "empty"));
    assert_null(cvm_tensor_file_find(&file, "other"));
    assert_string_equal(cvm_tensor_file_metadata(&file, "note"), METADATA[1].value);
    assert_null(cvm_tensor_file_metadata(&file, "other"));
    cvm_tensor_file_close(&file);
}

static void test_writing_twice_gives_the_same_bytes(void **state) {
    size_t one_size, two_size;
    void *one = temporary_read(write_sample(state, "one"), &one_size);
    void *two = temporary_read(write_sample(state, "two"), &two_size);
    assert_int_equal(one_size, two_size);
    assert_memory_equal(one, two, one_size);
    free(one);
    free(two);
}

static void test_a_shape_that_does_not_fit_is_not_written(void **state) {
    CvmError error = {0};
    CvmFileTensor wrong = TENSORS[0];
    wrong.bytes = 20;
    assert_false(cvm_tensor_file_write(temporary_path(state, "a"), &wrong, 1, NULL, 0, &error));
    assert_int_equal(temporary_count(state), 0);
}

/* Parses an exact copy, so that AddressSanitizer sees a read past its end. */
static bool parses(const void *bytes, size_t size, CvmError *error) {
    CvmTensorFile file;
    void *copy = malloc(size ? size : 1);
    memcpy(copy, bytes, size);
    bool good = cvm_tensor_file_parse(copy, (int64_t)size, &file, error);
    if (good)
        cvm_tensor_file_close(&file);
    free(copy);
    return good;
}

static void test_truncated_anywhere_is_refused(void **state) {
    size_t size;
    CvmError error = {0};
    uint8_t *bytes = temporary_read(write_sample(state, "a"), &size);
    assert_true(parses(bytes, size, &error));
    for (size_t length = 0; length < size; length++) {
        error.kind = CVM_ERROR_NONE;
        assert_false(parses(bytes, length, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
    }
    uint8_t *longer = calloc(1, size + 1);
    memcpy(longer, bytes, size);
    assert_false(parses(longer, size + 1, &error));
    free(longer);
    free(bytes);
}

static void test_any_flipped_byte_is_harmless(void **state) {
    size_t size;
    CvmError error = {0};
    uint8_t *bytes = temporary_read(write_sample(state, "a"), &size);
    for (size_t i = 0; i < size; i++) {
        for (int bit = 0; bit < 8; bit++) {
            bytes[i] ^= (uint8_t)(1 << bit);
            parses(bytes, size, &error); /* good or bad, but no crash */
            bytes[i] ^= (uint8_t)(1 << bit);
        }
    }
    free(bytes);
}

/* A file of this header and that many bytes of data. */
static bool header_parses(const char *header, size_t data_bytes, CvmError *error) {
    uint64_t length = strlen(header);
    uint8_t *bytes = calloc(1, 8 + length + data_bytes);
    memcpy(bytes, &length, 8);
    memcpy(bytes + 8, header, length);
    bool good = parses(bytes, 8 + length + data_bytes, error);
    free(bytes);
    return good;
}

#define TENSOR(name, dtype, shape, begin, end)                                                     \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" #begin        \
    "," #end "]}"

static void test_good_headers(void **state) {
    (void)state;
    static const char *const GOOD[] = {
        "{" TENSOR("a", "F32", "2", 0, 8) "}",
        "{" TENSOR("a", "F32", "2", 0, 8) "}   \n ",
        "{" TENSOR("b", "F32", "", 4, 8) "," TENSOR("a", "F32", "1", 0, 4) "}",
        "{" TENSOR("a", "I64", "1,1,1,1", 0, 8) ",\"__metadata__\":{\"format\":\"pt\"}}",
        "{" TENSOR("a", "U8", "8", 0, 8) "," TENSOR("z", "F16", "3,0", 0, 0) "}",
        "{\"a\":{\"data_offsets\":[0,8],\"shape\":[4],\"dtype\":\"BF16\"}}",
    };
    for (size_t i = 0; i < sizeof GOOD / sizeof GOOD[0]; i++) {
        CvmError error = {0};
        if (!header_parses(GOOD[i], 8, &error))
            fail_msg("%s: %s", GOOD[i], error.message);
    }
    CvmError error;
    assert_true(header_parses("{}", 0, &error));
    assert_true(header_parses("{\"__metadata__\":{}}", 0, &error));
}

static void test_hostile_headers(void **state) {
    (void)state;
    static const struct {
        const char *header, *sentence;
    } BAD[] = {
        {"", "does not begin"},
        {"[]", "does not begin"},
        {" {}", "does not begin"},
        {"{", "not valid JSON"},
        {"{}{}", "not valid JSON"},
        {"{} x", "not valid JSON"},
        {"{\"a\":}", "not valid JSON"},
        {"{\"a\":1}", "not described by an object"},
        {"{\"a\":{}}", "lacks"},
        {"{}", "belongs to no tensor"},
        {"{" TENSOR("a", "F32", "2", 0, 8) "," TENSOR("a", "F32", "2", 0, 8) "}", "occurs twice"},
        {"{" TENSOR("a", "F32", "2", 0, 8) "," TENSOR("b", "F32", "2", 0, 8) "}", "shares"},
        {"{" TENSOR("a", "U8", "5", 0, 5) "," TENSOR("b", "U8", "4", 4, 8) "}", "shares"},
        {"{" TENSOR("a", "F32", "1", 4, 8) "}", "hole"},
        {"{" TENSOR("a", "U8", "3", 0, 3) "," TENSOR("b", "U8", "4", 4, 8) "}", "hole"},
        {"{" TENSOR("a", "F32", "1", 0, 4) "}", "belongs to no tensor"},
        {"{" TENSOR("a", "F32", "3", 0, 12) "}", "beyond the file"},
        {"{" TENSOR("a", "F32", "3", 0, 8) "}", "does not fit"},
        {"{" TENSOR("a", "F32", "2", 8, 0) "}", "beyond the file"},
        {"{" TENSOR("a", "F32", "-2", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "2", -8, 0) "}", "data_offsets"},
        {"{" TENSOR("a", "F32", "2.5", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "\"2\"", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "9007199254740992", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "1e300", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "1e999", 0, 8) "}", "not a whole number"},
        {"{" TENSOR("a", "F32", "4294967296,4294967296,2", 0, 8) "}", "does not fit"},
        {"{" TENSOR("a", "F32", "4611686018427387,2049", 0, 8) "}", "does not fit"},
        {"{" TENSOR("a", "F32", "1,1,1,1,2", 0, 8) "}", "more than 4 dimensions"},
        {"{" TENSOR("a", "F32", "2", 0, 9007199254740991) "}", "beyond the file"},
        {"{" TENSOR("a", "F99", "2", 0, 8) "}", "cannot read"},
        {"{" TENSOR("a", "f32", "2", 0, 8) "}", "cannot read"},
        {"{\"a\":{\"dtype\":4,\"shape\":[2],\"data_offsets\":[0,8]}}", "not a string"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", "not a list"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4,8]}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":8}}", "data_offsets"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", "lacks"},
        {"{\"a\":{\"dtype\":\"F32\",\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "repeated"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8],\"more\":1}}", "unknown"},
        {"{" TENSOR("a\\u0000b", "F32", "2", 0, 8) "}", "zero character"},
        {"{\"__metadata__\":[]}", "not an object"},
        {"{\"__metadata__\":{\"a\":1}}", "not a string"},
        {"{\"__metadata__\":{},\"__metadata__\":{}}", "twice"},
        {"{\"__metadata__\":{\"a\":\"1\",\"a\":\"2\"}," TENSOR("x", "U8", "8", 0, 8) "}", "twice"},
        {"{\"a\":{\"shape\":[[[[[1]]]]]}}", "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof BAD / sizeof BAD[0]; i++) {
        CvmError error = {0};
        if (header_parses(BAD[i].header, 8, &error))
            fail_msg("%s was taken", BAD[i].header);
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
        if (!strstr(error.message, BAD[i].sentence))
            fail_msg("%s: '%s' lacks '%s'", BAD[i].header, error.message, BAD[i].sentence);
    }
}

static void test_deep_and_wide_headers_cost_nothing(void **state) {
    (void)state;
    enum { SIZE = 4 << 20 };
    CvmError error = {0};
    char *header = malloc(SIZE + 1);
    memset(header, '[', SIZE);
    header[SIZE] = '\0';
    header[0] = '{';
    assert_false(header_parses(header, 0, &error));
    assert_non_null(strstr(error.message, "deeply"));
    memcpy(header, "{\"a\":[0", 7);
    for (int i = 7; i < SIZE; i++)
        header[i] = i % 2 ? ',' : '1';
    assert_false(header_parses(header, 0, &error));
    assert_non_null(strstr(error.message, "too many values"));
    free(header);
}

static void test_lying_header_lengths(void **state) {
    (void)state;
    static const uint64_t LENGTHS[] = {3, 100, 100000000, 100000001, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof LENGTHS / sizeof LENGTHS[0]; i++) {
        CvmError error = {0};
        uint8_t bytes[10] = {0};
        memcpy(bytes, &LENGTHS[i], 8);
        memcpy(bytes + 8, "{}", 2);
        assert_false(parses(bytes, sizeof bytes, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
    }
}

static void test_names_cannot_steer_the_terminal(void **state) {
    (void)state;
    CvmError error = {0};
    assert_false(header_parses("{\"\\u001b[31mred\":1}", 0, &error));
    assert_null(strchr(error.message, 0x1b));
    assert_non_null(strstr(error.message, "?[31mred"));
}

static void test_elements_are_converted(void **state) {
    (void)state;
    CvmError error = {0};
    float values[6];
    int32_t wholes[2];
    const uint16_t halves[] = {0x3C00, 0xC000, 0x7BFF, 0x0001, 0x8000, 0x7C00};
    const CvmFileTensor f16 = {"f16", CVM_FILE_F16, {1, {6}}, halves, 12, 0};
    assert_true(cvm_file_tensor_read_f32(&f16, values, &error));
    assert_true(values[0] == 1 && values[1] == -2 && values[2] == 65504);
    assert_true(values[3] == 0x1p-24f && values[4] == 0 && signbit(values[4]) && isinf(values[5]));
    const uint16_t upper[] = {0x3F80, 0xC040};
    const CvmFileTensor bf16 = {"bf16", CVM_FILE_BF16, {1, {2}}, upper, 4, 0};
    assert_true(cvm_file_tensor_read_f32(&bf16, values, &error));
    assert_true(values[0] == 1 && values[1] == -3);
    const double doubles[] = {0.5, -1e10};
    const CvmFileTensor f64 = {"f64", CVM_FILE_F64, {1, {2}}, doubles, 16, 0};
    assert_true(cvm_file_tensor_read_f32(&f64, values, &error));
    assert_true(values[0] == 0.5f && values[1] == -1e10f);
    int64_t longs[] = {INT32_MAX, INT32_MIN};
    const CvmFileTensor i64 = {"i64", CVM_FILE_I64, {1, {2}}, longs, 16, 0};
    assert_true(cvm_file_tensor_read_i32(&i64, wholes, &error));
    assert_true(wholes[0] == INT32_MAX && wholes[1] == INT32_MIN);
    longs[1] = (int64_t)INT32_MIN - 1;
    assert_false(cvm_file_tensor_read_i32(&i64, wholes, &error));
    assert_false(cvm_file_tensor_read_f32(&i64, values, &error));
    assert_false(cvm_file_tensor_read_i32(&f64, wholes, &error));
    assert_non_null(strstr(error.message, "F64"));
}

static void test_unaligned_data_is_read(void **state) {
    (void)state;
    uint8_t bytes[5] = {0};
    const float one = 1;
    float value;
    CvmError error;
    memcpy(bytes + 1, &one, 4);
    const CvmFileTensor tensor = {"odd", CVM_FILE_F32, {0, {0}}, bytes + 1, 4, 0};
    assert_true(cvm_file_tensor_read_f32(&tensor, &value, &error));
    assert_true(value == 1);
}

static void test_unreadable_files_are_the_machines_fault(void **state) {
    CvmError error = {0};
    CvmTensorFile file;
    assert_false(cvm_tensor_file_open(temporary_path(state, "missing"), &file, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    assert_non_null(strstr(error.message, "missing: No such file"));
    assert_false(cvm_tensor_file_open(*state, &file, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    temporary_write(temporary_path(state, "empty"), "", 0);
    assert_false(cvm_tensor_file_open(temporary_path(state, "empty"), &file, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
}

/* Reference values made by PyTorch: all that stand in the golden folder must open. */
static void test_reference_values_open(void **state) {
    (void)state;
    char folder[512], path[1024];
    const char *chosen = getenv("CVM_GOLDEN"), *source = getenv("CVM_SOURCE_DIR");
    snprintf(folder, sizeof folder, "%s%s",
             chosen   ? chosen
             : source ? source
                      : ".",
             chosen ? "" : "/../shared/golden");
    DIR *directory = opendir(folder);
    if (!directory)
        skip();
    for (struct dirent *entry; (entry = readdir(directory));) {
        CvmTensorFile file;
        CvmError error = {0};
        if (!strstr(entry->d_name, ".safetensors"))
            continue;
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (!cvm_tensor_file_open(path, &file, &error))
            fail_msg("%s", error.message);
        assert_true(file.count > 0 && file.metadata_count > 0);
        cvm_tensor_file_close(&file);
    }
    closedir(directory);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_round_trip),
        WITH_FOLDER(test_writing_twice_gives_the_same_bytes),
        WITH_FOLDER(test_a_shape_that_does_not_fit_is_not_written),
        WITH_FOLDER(test_truncated_anywhere_is_refused),
        WITH_FOLDER(test_any_flipped_byte_is_harmless),
        cmocka_unit_test(test_good_headers),
        cmocka_unit_test(test_hostile_headers),
        cmocka_unit_test(test_deep_and_wide_headers_cost_nothing),
        cmocka_unit_test(test_lying_header_lengths),
        cmocka_unit_test(test_names_cannot_steer_the_terminal),
        cmocka_unit_test(test_elements_are_converted),
        cmocka_unit_test(test_unaligned_data_is_read),
        WITH_FOLDER(test_unreadable_files_are_the_machines_fault),
        cmocka_unit_test(test_reference_values_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
