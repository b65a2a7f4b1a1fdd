/* IDX files, normalization and the order of an epoch. */
#include "runtime/dataset.h"

#include "tests/support/temporary.h"

#include <math.h>
#include <zlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 5, HEIGHT = 3, WIDTH = 4, PICTURE = HEIGHT * WIDTH, CLASSES = 10 };
enum { IMAGES_BYTES = 16 + COUNT * PICTURE, LABELS_BYTES = 8 + COUNT };

static const CvmShape IMAGE = {3, {1, HEIGHT, WIDTH}};

typedef struct Files {
    uint8_t images[IMAGES_BYTES], labels[LABELS_BYTES];
} Files;

static Files sample_files(void) {
    Files files = {{0, 0, 8, 3, 0, 0, 0, COUNT, 0, 0, 0, HEIGHT, 0, 0, 0, WIDTH},
                   {0, 0, 8, 1, 0, 0, 0, COUNT, 3, 0, 9, 1, 3}};
    for (int i = 0; i < COUNT * PICTURE; i++)
        files.images[16 + i] = (uint8_t)(i * 4);
    return files;
}

static void write_gzip(const char *path, const void *bytes, unsigned size) {
    gzFile stream = gzopen(path, "wb");
    assert_non_null(stream);
    assert_int_equal(gzwrite(stream, bytes, size), size);
    assert_int_equal(gzclose(stream), Z_OK);
}

static bool read_pair(void *const *state, CvmShape image, int classes, CvmDataset *dataset,
                      CvmError *error) {
    return cvm_dataset_read_idx(temporary_path(state, "images"), temporary_path(state, "labels"),
                                image, classes, dataset, error);
}

static void expect_sample(void *const *state) {
    CvmError error = {0};
    CvmDataset dataset;
    const Files files = sample_files();
    if (!read_pair(state, IMAGE, CLASSES, &dataset, &error))
        fail_msg("%s", error.message);
    assert_true(dataset.count == COUNT && dataset.channels == 1 && dataset.classes == CLASSES);
    assert_true(dataset.height == HEIGHT && dataset.width == WIDTH);
    assert_memory_equal(dataset.pixels, files.images + 16, COUNT * PICTURE);
    for (int i = 0; i < COUNT; i++)
        assert_int_equal(dataset.labels[i], files.labels[8 + i]);
    cvm_dataset_free(&dataset);
}

static void test_plain_and_gzip_read_alike(void **state) {
    const Files files = sample_files();
    temporary_write(temporary_path(state, "images"), files.images, IMAGES_BYTES);
    temporary_write(temporary_path(state, "labels"), files.labels, LABELS_BYTES);
    expect_sample(state);
    write_gzip(temporary_path(state, "images"), files.images, IMAGES_BYTES); /* whatever its name */
    expect_sample(state);
}

static void test_gz_stands_in_for_a_missing_file(void **state) {
    const Files files = sample_files();
    write_gzip(temporary_path(state, "images.gz"), files.images, IMAGES_BYTES);
    write_gzip(temporary_path(state, "labels.gz"), files.labels, LABELS_BYTES);
    expect_sample(state);
}

static void expect_refused(void *const *state, CvmErrorKind kind, const char *sentence) {
    CvmError error = {0};
    CvmDataset dataset;
    assert_false(read_pair(state, IMAGE, CLASSES, &dataset, &error));
    assert_int_equal(error.kind, kind);
    assert_null(dataset.pixels);
    if (!strstr(error.message, sentence) || !strstr(error.message, *state))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void write_files(void *const *state, const Files *files, size_t images, size_t labels) {
    temporary_write(temporary_path(state, "images"), files->images, images);
    temporary_write(temporary_path(state, "labels"), files->labels, labels);
}

static void test_missing_files(void **state) {
    const Files files = sample_files();
    expect_refused(state, CVM_ERROR_MACHINE, "/images: No such file");
    temporary_write(temporary_path(state, "images"), files.images, IMAGES_BYTES);
    expect_refused(state, CVM_ERROR_MACHINE, "/labels: No such file");
}

static void test_truncated_anywhere(void **state) {
    const Files files = sample_files();
    for (size_t length = 0; length < IMAGES_BYTES; length++) {
        write_files(state, &files, length, LABELS_BYTES);
        expect_refused(state, CVM_ERROR_INPUT, "/images is truncated");
    }
    for (size_t length = 0; length < LABELS_BYTES; length++) {
        write_files(state, &files, IMAGES_BYTES, length);
        expect_refused(state, CVM_ERROR_INPUT, "/labels is truncated");
    }
}

static void test_truncated_or_damaged_gzip(void **state) {
    size_t size;
    CvmError error;
    CvmDataset dataset;
    const Files files = sample_files();
    temporary_write(temporary_path(state, "labels"), files.labels, LABELS_BYTES);
    write_gzip(temporary_path(state, "images.gz"), files.images, IMAGES_BYTES);
    uint8_t *bytes = temporary_read(temporary_path(state, "images.gz"), &size);
    for (size_t length = 2; length < size; length++) {
        temporary_write(temporary_path(state, "images"), bytes, length);
        assert_false(read_pair(state, IMAGE, CLASSES, &dataset, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
    }
    bytes[size - 6] ^= 1; /* the checksum */
    temporary_write(temporary_path(state, "images"), bytes, size);
    expect_refused(state, CVM_ERROR_INPUT, "/images is damaged");
    free(bytes);
}

static void test_lying_headers(void **state) {
    static const struct {
        int position;
        uint8_t byte;
        const char *sentence;
    } LIES[] = {
        {3, 1, "not an IDX file of pictures"},
        {2, 9, "not an IDX file of pictures"},
        {7, COUNT + 1, "is truncated"},
        {7, COUNT - 1, "is longer than its header says"},
        {4, 0x7F, "claims to hold more than 4 GiB"},
        {4, 0xFF, "claims to hold more than 4 GiB"},
        {5, 0xFF, "is truncated"},
        {7, 0, "holds no samples"},
        {11, HEIGHT + 1, "is truncated"},
        {8, 0xFF, "claims to hold more than 4 GiB"},
    };
    for (size_t i = 0; i < sizeof LIES / sizeof LIES[0]; i++) {
        Files files = sample_files();
        files.images[LIES[i].position] = LIES[i].byte;
        write_files(state, &files, IMAGES_BYTES, LABELS_BYTES);
        expect_refused(state, CVM_ERROR_INPUT, LIES[i].sentence);
    }
    Files files = sample_files();
    memset(files.images + 4, 0xFF, 12);
    write_files(state, &files, IMAGES_BYTES, LABELS_BYTES);
    expect_refused(state, CVM_ERROR_INPUT, "claims to hold more than 4 GiB");
    files = sample_files();
    files.images[11] = 4; /* as many pixels, another shape */
    files.images[15] = 3;
    write_files(state, &files, IMAGES_BYTES, LABELS_BYTES);
    expect_refused(state, CVM_ERROR_INPUT,
                   "holds pictures of [1, 4, 3], where [1, 3, 4] are needed");
}

static void test_labels_must_fit(void **state) {
    Files files = sample_files();
    files.labels[8 + 2] = CLASSES;
    write_files(state, &files, IMAGES_BYTES, LABELS_BYTES);
    expect_refused(state, CVM_ERROR_INPUT, "label 10 of sample 2 is outside of 0 to 9");
    files = sample_files();
    files.labels[7] = COUNT - 1;
    write_files(state, &files, IMAGES_BYTES, LABELS_BYTES - 1);
    expect_refused(state, CVM_ERROR_INPUT, "holds 4 labels for 5 pictures");
    write_files(state, &files, IMAGES_BYTES, LABELS_BYTES);
    temporary_write(temporary_path(state, "labels"), files.images, IMAGES_BYTES);
    expect_refused(state, CVM_ERROR_INPUT, "/labels is not an IDX file of labels");
}

enum { CIFAR_PICTURE = 3072 };

/* Two records: labels and pixels that count up. */
static void write_cifar(const char *path, int labels, size_t bytes, bool gzip) {
    static uint8_t records[2 * (2 + CIFAR_PICTURE)];
    size_t record = (size_t)labels + CIFAR_PICTURE;
    for (size_t i = 0; i < 2 * record; i++)
        records[i] = (uint8_t)(i % record < (size_t)labels ? 3 + i / record + 4 * (i % record) : i);
    if (gzip)
        write_gzip(path, records, (unsigned)bytes);
    else
        temporary_write(path, records, bytes);
}

static void test_cifar_files(void **state) {
    CvmError error = {0};
    CvmDataset data;
    const char *one = temporary_path(state, "one"), *two = temporary_path(state, "two");
    const char *paths[] = {one, two};
    write_cifar(one, 1, 2 * (1 + CIFAR_PICTURE), false);
    write_cifar(temporary_path(state, "two.gz"), 1, 1 + CIFAR_PICTURE, true);
    assert_true(cvm_dataset_read_cifar(CVM_CIFAR10, paths, 2, 10, &data, &error));
    assert_true(data.count == 3 && data.channels == 3 && data.height == 32 && data.width == 32);
    assert_true(data.labels[0] == 3 && data.labels[1] == 4 && data.labels[2] == 3);
    assert_int_equal(data.pixels[CIFAR_PICTURE - 1], (uint8_t)CIFAR_PICTURE);
    assert_int_equal(data.pixels[CIFAR_PICTURE], (uint8_t)(CIFAR_PICTURE + 2));
    assert_memory_equal(data.pixels, data.pixels + 2 * CIFAR_PICTURE, CIFAR_PICTURE);
    cvm_dataset_free(&data);
    write_cifar(one, 2, 2 * (2 + CIFAR_PICTURE), false);
    assert_true(cvm_dataset_read_cifar(CVM_CIFAR100_COARSE, paths, 1, 20, &data, &error));
    assert_true(data.count == 2 && data.labels[0] == 3 && data.labels[1] == 4);
    cvm_dataset_free(&data);
    assert_true(cvm_dataset_read_cifar(CVM_CIFAR100_FINE, paths, 1, 100, &data, &error));
    assert_true(data.labels[0] == 7 && data.labels[1] == 8);
    cvm_dataset_free(&data);
}

static void test_broken_cifar_files(void **state) {
    static const struct {
        size_t bytes;
        int classes;
        const char *sentence;
    } CASES[] = {{0, 10, "no whole file"},
                 {CIFAR_PICTURE, 10, "no whole file"},
                 {2 * CIFAR_PICTURE + 3, 10, "do not divide into records of 3073"},
                 {2 * CIFAR_PICTURE + 2, 4, "label 4 of picture 1 is outside of 0 to 3"}};
    const char *path = temporary_path(state, "one"), *missing = temporary_path(state, "none");
    CvmDataset data;
    for (int i = 0; i < 4; i++) {
        CvmError error = {0};
        write_cifar(path, 1, CASES[i].bytes, false);
        assert_false(
            cvm_dataset_read_cifar(CVM_CIFAR10, &path, 1, CASES[i].classes, &data, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
        assert_null(data.pixels);
        if (!strstr(error.message, CASES[i].sentence))
            fail_msg("'%s' lacks '%s'", error.message, CASES[i].sentence);
    }
    CvmError error = {0};
    assert_false(cvm_dataset_read_cifar(CVM_CIFAR10, &missing, 1, 10, &data, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
}

/* Two pictures of two channels of 1 x 2 pixels. */
static uint8_t pixels[] = {0, 255, 7, 7, 51, 102, 7, 7};
static int32_t labels[] = {4, 2};
static const CvmDataset SMALL = {.count = 2,
                                 .channels = 2,
                                 .height = 1,
                                 .width = 2,
                                 .classes = 5,
                                 .pixels = pixels,
                                 .labels = labels};

static void test_normalization_of_a_data_set(void **state) {
    (void)state;
    CvmNormalization found = cvm_normalization_of(&SMALL);
    assert_int_equal(found.channels, 2);
    assert_true(fabs(found.mean[0] - 0.4) < 1e-15); /* of 0, 1, 0.2, 0.4 */
    assert_true(fabs(found.deviation[0] - sqrt(0.14)) < 1e-15);
    assert_true(fabs(found.mean[1] - 7.0 / 255) < 1e-15);
    assert_true(found.deviation[1] == 1); /* constant: left as it is */
}

static void test_fill_normalizes_the_chosen_samples(void **state) {
    (void)state;
    const CvmNormalization normalization = {2, {0.5, 0}, {0.25, 1}};
    const int32_t samples[] = {1, 0, 1};
    float images[12];
    int32_t targets[3];
    CvmError error;
    CvmBatch batch = {.data = &SMALL,
                      .normalization = &normalization,
                      .samples = samples,
                      .count = 3,
                      .images = images,
                      .labels = targets};
    assert_true(cvm_dataset_fill(&batch, &error));
    const float expected[] = {(float)((51 / 255.0 - 0.5) / 0.25),
                              (float)((102 / 255.0 - 0.5) / 0.25),
                              (float)(7 / 255.0),
                              (float)(7 / 255.0),
                              -2,
                              2,
                              (float)(7 / 255.0),
                              (float)(7 / 255.0)};
    assert_memory_equal(images, expected, sizeof expected);
    assert_memory_equal(images + 8, expected, 16);
    assert_true(targets[0] == 2 && targets[1] == 4 && targets[2] == 2);
    const CvmNormalization unit = cvm_normalization_unit(2);
    batch.normalization = &unit;
    batch.samples = samples + 1;
    batch.count = 1;
    assert_true(cvm_dataset_fill(&batch, &error));
    assert_true(images[0] == 0 && images[1] == 1);
}

static void test_shuffle_is_a_permutation(void **state) {
    (void)state;
    enum { MANY = 60000 };
    int32_t *order = malloc(MANY * sizeof *order), *other = malloc(MANY * sizeof *other);
    uint8_t *seen = calloc(1, MANY);
    cvm_shuffle(order, MANY, 1, 0);
    int64_t in_place = 0;
    for (int i = 0; i < MANY; i++) {
        assert_true(order[i] >= 0 && order[i] < MANY && !seen[order[i]]);
        seen[order[i]] = 1;
        in_place += order[i] == i;
    }
    assert_true(in_place < 10);
    cvm_shuffle(other, MANY, 1, 0);
    assert_memory_equal(order, other, MANY * sizeof *order);
    cvm_shuffle(other, MANY, 1, 1);
    assert_memory_not_equal(order, other, MANY * sizeof *order);
    cvm_shuffle(other, MANY, 2, 0);
    assert_memory_not_equal(order, other, MANY * sizeof *order);
    free(order);
    free(other);
    free(seen);
}

/* A change of these values would change every training that was ever run. */
static void test_shuffle_never_changes(void **state) {
    (void)state;
    static const int32_t EXPECTED[2][8] = {{2, 1, 7, 6, 5, 3, 4, 0}, {6, 7, 2, 0, 4, 1, 3, 5}};
    int32_t order[8];
    for (uint64_t epoch = 0; epoch < 2; epoch++) {
        cvm_shuffle(order, 8, 1, epoch);
        assert_memory_equal(order, EXPECTED[epoch], sizeof order);
    }
}

/* All 24 orders of four come about equally often. */
static void test_shuffle_is_fair(void **state) {
    (void)state;
    int counts[256] = {0}, orders = 0;
    for (uint64_t epoch = 0; epoch < 24000; epoch++) {
        int32_t order[4];
        cvm_shuffle(order, 4, 5, epoch);
        counts[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    for (int i = 0; i < 256; i++) {
        orders += counts[i] > 0;
        assert_true(counts[i] == 0 || (counts[i] > 850 && counts[i] < 1150));
    }
    assert_int_equal(orders, 24);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_plain_and_gzip_read_alike),
        WITH_FOLDER(test_gz_stands_in_for_a_missing_file),
        WITH_FOLDER(test_missing_files),
        WITH_FOLDER(test_truncated_anywhere),
        WITH_FOLDER(test_truncated_or_damaged_gzip),
        WITH_FOLDER(test_lying_headers),
        WITH_FOLDER(test_labels_must_fit),
        WITH_FOLDER(test_cifar_files),
        WITH_FOLDER(test_broken_cifar_files),
        cmocka_unit_test(test_normalization_of_a_data_set),
        cmocka_unit_test(test_fill_normalizes_the_chosen_samples),
        cmocka_unit_test(test_shuffle_is_a_permutation),
        cmocka_unit_test(test_shuffle_never_changes),
        cmocka_unit_test(test_shuffle_is_fair),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
