/* PNG pictures: written and read back; all kinds become grey or RGB; broken files are refused. */
#include "runtime/image.h"

#include "tests/support/temporary.h"

#include <png.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { HEIGHT = 5, WIDTH = 7 };

static CvmImage make_image(int channels) {
    CvmImage image = {channels, HEIGHT, WIDTH, malloc((size_t)channels * HEIGHT * WIDTH)};
    assert_non_null(image.pixels);
    for (int i = 0; i < channels * HEIGHT * WIDTH; i++)
        image.pixels[i] = (uint8_t)(i * 37);
    return image;
}

static void test_round_trip(void **state) {
    const char *path = temporary_path(state, "a.png");
    for (int channels = 1; channels <= 3; channels += 2) {
        CvmError error = {0};
        CvmImage image = make_image(channels), found;
        assert_true(cvm_image_write_png(path, &image, &error));
        assert_true(cvm_image_read_png(path, channels, &found, &error));
        assert_true(found.channels == channels && found.height == HEIGHT && found.width == WIDTH);
        assert_memory_equal(found.pixels, image.pixels, channels * HEIGHT * WIDTH);
        cvm_image_free(&image);
        cvm_image_free(&found);
    }
    assert_int_equal(temporary_count(state), 1);
}

static void test_grey_and_rgb_turn_into_each_other(void **state) {
    CvmError error = {0};
    CvmImage grey = make_image(1), rgb = make_image(3), found;
    const char *path = temporary_path(state, "a.png");
    enum { PLANE = HEIGHT * WIDTH };
    assert_true(cvm_image_write_png(path, &grey, &error));
    assert_true(cvm_image_read_png(path, 3, &found, &error));
    for (int c = 0; c < 3; c++)
        assert_memory_equal(found.pixels + c * PLANE, grey.pixels, PLANE);
    cvm_image_free(&found);
    assert_true(cvm_image_write_png(path, &rgb, &error));
    assert_true(cvm_image_read_png(path, 1, &found, &error));
    for (int p = 0; p < PLANE; p++) {
        double exact = 0.299 * rgb.pixels[p] + 0.587 * rgb.pixels[PLANE + p] +
                       0.114 * rgb.pixels[2 * PLANE + p];
        assert_true(found.pixels[p] >= exact - 0.51 && found.pixels[p] <= exact + 0.51);
    }
    cvm_image_free(&found);
    cvm_image_free(&grey);
    cvm_image_free(&rgb);
}

/* A 2 x 1 PNG of any kind, from raw rows. */
static void write_raw(const char *path, int type, int bits, int interlace, const uint8_t *row) {
    static const png_color palette[] = {{255, 0, 0}, {0, 0, 255}};
    static const png_byte palette_alpha[] = {255, 0};
    FILE *stream = fopen(path, "wb");
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    assert_false(setjmp(png_jmpbuf(png)));
    png_init_io(png, stream);
    png_set_IHDR(png, info, 2, 1, bits, type, interlace, 0, 0);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_PLTE(png, info, palette, 2);
        png_set_tRNS(png, info, palette_alpha, 2, NULL);
    }
    png_write_info(png, info);
    png_bytep rows[] = {(png_bytep)(uintptr_t)row};
    png_write_image(png, rows);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(stream);
}

static void test_every_kind_of_png(void **state) {
    static const struct {
        int type, bits, interlace;
        uint8_t row[16], rgb[6]; /* rgb: two red, two green, two blue */
    } KINDS[] = {
        {PNG_COLOR_TYPE_GRAY, 1, 0, {0x40}, {0, 255, 0, 255, 0, 255}},
        {PNG_COLOR_TYPE_GRAY, 4, 0, {0x3F}, {51, 255, 51, 255, 51, 255}},
        {PNG_COLOR_TYPE_GRAY, 8, 1, {9, 200}, {9, 200, 9, 200, 9, 200}},
        {PNG_COLOR_TYPE_GRAY, 16, 0, {0x80, 0x80, 0xFF, 0xFF}, {128, 255, 128, 255, 128, 255}},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 0, {100, 255, 100, 128}, {100, 50, 100, 50, 100, 50}},
        {PNG_COLOR_TYPE_RGB, 8, 1, {1, 2, 3, 4, 5, 6}, {1, 4, 2, 5, 3, 6}},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, 0, {10, 20, 30, 255, 40, 50, 60, 0}, {10, 0, 20, 0, 30, 0}},
        {PNG_COLOR_TYPE_PALETTE, 8, 0, {0, 1}, {255, 0, 0, 0, 0, 0}},
    };
    const char *path = temporary_path(state, "a.png");
    for (size_t i = 0; i < sizeof KINDS / sizeof KINDS[0]; i++) {
        CvmError error = {0};
        CvmImage found;
        write_raw(path, KINDS[i].type, KINDS[i].bits, KINDS[i].interlace, KINDS[i].row);
        if (!cvm_image_read_png(path, 3, &found, &error))
            fail_msg("%s", error.message);
        assert_true(found.height == 1 && found.width == 2);
        assert_memory_equal(found.pixels, KINDS[i].rgb, 6);
        cvm_image_free(&found);
    }
}

static void expect_unreadable(const char *path, CvmErrorKind kind, const char *sentence) {
    CvmError error = {0};
    CvmImage image;
    assert_false(cvm_image_read_png(path, 1, &image, &error));
    assert_int_equal(error.kind, kind);
    assert_null(image.pixels);
    if (!strstr(error.message, path) || !strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void test_truncated_and_damaged_files(void **state) {
    size_t size;
    CvmError error = {0};
    CvmImage image = make_image(3), found;
    const char *path = temporary_path(state, "a.png");
    assert_true(cvm_image_write_png(path, &image, &error));
    uint8_t *bytes = temporary_read(path, &size);
    for (size_t length = 0; length < size; length++) {
        temporary_write(path, bytes, length);
        expect_unreadable(path, CVM_ERROR_INPUT, "is not a readable PNG");
    }
    for (size_t i = 0; i < size; i++) {
        bytes[i] ^= 0x10;
        temporary_write(path, bytes, size);
        if (cvm_image_read_png(path, 1, &found, &error)) /* where no checksum reaches */
            cvm_image_free(&found);
        bytes[i] ^= 0x10;
    }
    free(bytes);
    cvm_image_free(&image);
}

/* A header that asks for this size, with a right checksum, and where the pixels would begin. */
static void write_header(const char *path, uint32_t width, uint32_t height) {
    uint8_t bytes[41] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n',
                         0,    0,   0,   13,  'I',  'H',  'D',  'R'};
    bytes[24] = 8; /* bits */
    bytes[25] = PNG_COLOR_TYPE_RGB_ALPHA;
    memcpy(bytes + 37, "IDAT", 4);
    for (int i = 0; i < 4; i++) {
        bytes[16 + i] = (uint8_t)(width >> (24 - 8 * i));
        bytes[20 + i] = (uint8_t)(height >> (24 - 8 * i));
    }
    uint32_t checksum = 0xFFFFFFFF;
    for (int i = 12; i < 29; i++) {
        checksum ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            checksum = checksum >> 1 ^ (checksum & 1 ? 0xEDB88320 : 0);
    }
    for (int i = 0; i < 4; i++)
        bytes[29 + i] = (uint8_t)(~checksum >> (24 - 8 * i));
    temporary_write(path, bytes, sizeof bytes);
}

static void test_huge_pictures_are_refused_before_memory_is_taken(void **state) {
    const char *path = temporary_path(state, "a.png");
    write_header(path, 16385, 1);
    expect_unreadable(path, CVM_ERROR_INPUT, "more than 16384 pixels on a side");
    write_header(path, 0x7FFFFFFF, 0x7FFFFFFF);
    expect_unreadable(path, CVM_ERROR_INPUT, "more than 16384 pixels on a side");
    write_header(path, 16384, 16384);
    expect_unreadable(path, CVM_ERROR_INPUT, "more than 2^26 pixels");
    write_header(path, 0, 4);
    expect_unreadable(path, CVM_ERROR_INPUT, "not a readable PNG");
}

static void test_other_places(void **state) {
    CvmError error = {0};
    CvmImage image = make_image(1);
    expect_unreadable(temporary_path(state, "missing.png"), CVM_ERROR_MACHINE, "No such file");
    expect_unreadable(*state, CVM_ERROR_MACHINE, "not a regular file");
    temporary_write(temporary_path(state, "text"), "hello", 5);
    expect_unreadable(temporary_path(state, "text"), CVM_ERROR_INPUT, "not a readable PNG");
    assert_false(cvm_image_write_png(temporary_path(state, "missing/a.png"), &image, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    image.channels = 2;
    assert_false(cvm_image_write_png(temporary_path(state, "a.png"), &image, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    assert_int_equal(temporary_count(state), 1);
    cvm_image_free(&image);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_round_trip),
        WITH_FOLDER(test_grey_and_rgb_turn_into_each_other),
        WITH_FOLDER(test_every_kind_of_png),
        WITH_FOLDER(test_truncated_and_damaged_files),
        WITH_FOLDER(test_huge_pictures_are_refused_before_memory_is_taken),
        WITH_FOLDER(test_other_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
