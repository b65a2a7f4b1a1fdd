/* JPEG pictures: read, turned upright, and refused when they are broken or lie. */
#include "runtime/image.h"

#include "tests/support/temporary.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include <cmocka.h>

enum { SIDE = 16, WIDTH = 2 * SIDE }; /* the written picture is SIDE high */

/* Where a TIFF directory with one entry says how the picture is turned; big-endian. */
static const uint8_t EXIF[] = {'E', 'x',  'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1,
                               1,   0x12, 0,   3,   0, 0, 0,   1,   0, 1,  0, 0, 0, 0, 0, 0};
enum { ORIENTATION = 25 }; /* where its low byte lies */

/* A picture SIDE high whose every row is the same, but for `lower` added below the middle. */
static void write_jpeg(const char *path, int orientation, J_COLOR_SPACE colours, bool progressive,
                       int width, const uint8_t *upper, int lower) {
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    uint8_t exif[sizeof EXIF], row[4 * WIDTH];
    JSAMPROW rows[] = {row};
    FILE *stream = fopen(path, "wb");
    assert_non_null(stream);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, stream);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = SIDE;
    bool inked = colours == JCS_CMYK || colours == JCS_YCCK;
    jpeg.input_components = colours == JCS_RGB ? 3 : inked ? 4 : 1;
    jpeg.in_color_space = inked ? JCS_CMYK : colours;
    jpeg_set_defaults(&jpeg);
    if (inked)
        jpeg_set_colorspace(&jpeg, colours);
    jpeg_set_quality(&jpeg, 100, TRUE);
    jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1; /* colours kept sharp */
    if (progressive)
        jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    memcpy(exif, EXIF, sizeof exif);
    exif[ORIENTATION] = (uint8_t)orientation;
    if (orientation)
        jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, sizeof exif);
    for (int y = 0; y < SIDE; y++) {
        for (int i = 0; i < width * jpeg.input_components; i++)
            row[i] = (uint8_t)(upper[i] + (y >= SIDE / 2 ? lower : 0));
        jpeg_write_scanlines(&jpeg, rows, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(stream);
}

/* Black left half; the right half lit, in the first of the colours. */
static void write_half_lit(const char *path, int orientation, J_COLOR_SPACE colours,
                           bool progressive) {
    uint8_t row[4 * WIDTH] = {0};
    for (int x = SIDE; x < WIDTH; x++)
        row[x * (colours == JCS_RGB ? 3 : 1)] = 255;
    write_jpeg(path, orientation, colours, progressive, WIDTH, row, 0);
}

static void expect_pixel(const CvmImage *image, int c, int y, int x, int value) {
    int found = image->pixels[((int64_t)c * image->height + y) * image->width + x];
    if (abs(found - value) > 4)
        fail_msg("channel %d at (%d, %d) is %d, not %d", c, y, x, found, value);
}

static void test_colours_and_grey(void **state) {
    const char *path = temporary_path(state, "a.jpg");
    CvmError error = {0};
    CvmImage image;
    for (int progressive = 0; progressive < 2; progressive++) {
        write_half_lit(path, 0, JCS_RGB, progressive);
        assert_true(cvm_image_read(path, 3, &image, &error));
        assert_true(image.channels == 3 && image.height == SIDE && image.width == WIDTH);
        for (int c = 0; c < 3; c++) {
            expect_pixel(&image, c, 3, 2, 0);
            expect_pixel(&image, c, 3, WIDTH - 2, c == 0 ? 255 : 0);
        }
        cvm_image_free(&image);
        assert_true(cvm_image_read(path, 1, &image, &error));
        expect_pixel(&image, 0, 3, WIDTH - 2, 76); /* 0.299 of red */
        cvm_image_free(&image);
    }
    write_half_lit(path, 0, JCS_GRAYSCALE, false);
    assert_true(cvm_image_read(path, 3, &image, &error));
    for (int c = 0; c < 3; c++)
        expect_pixel(&image, c, 9, WIDTH - 1, 255);
    cvm_image_free(&image);
}

/* The lit half of the stored picture is on its right; where it is once turned upright, by the EXIF
 * standard's table (CIPA DC-008, 4.6.4 "Orientation"). */
static void test_every_orientation(void **state) {
    static const struct {
        int orientation, dark_y, dark_x, lit_y, lit_x;
    } CASES[] = {
        {1, 5, 0, 5, WIDTH - 1}, {2, 5, WIDTH - 1, 5, 0}, {3, 5, WIDTH - 1, 5, 0},
        {4, 5, 0, 5, WIDTH - 1}, {5, 0, 5, WIDTH - 1, 5}, {6, 0, 5, WIDTH - 1, 5},
        {7, WIDTH - 1, 5, 0, 5}, {8, WIDTH - 1, 5, 0, 5}, {9, 5, 0, 5, WIDTH - 1},
    };
    const char *path = temporary_path(state, "a.jpg");
    for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
        CvmError error = {0};
        CvmImage image;
        bool turned = CASES[i].orientation >= 5 && CASES[i].orientation <= 8;
        write_half_lit(path, CASES[i].orientation, JCS_GRAYSCALE, false);
        assert_true(cvm_image_read(path, 1, &image, &error));
        assert_int_equal(image.height, turned ? WIDTH : SIDE);
        assert_int_equal(image.width, turned ? SIDE : WIDTH);
        expect_pixel(&image, 0, CASES[i].dark_y, CASES[i].dark_x, 0);
        expect_pixel(&image, 0, CASES[i].lit_y, CASES[i].lit_x, 255);
        cvm_image_free(&image);
    }
}

/* What two halves cannot tell apart, four quarters can: 0 and 80 above, 160 and 240 below. */
static void test_mirrored_and_turned_differ(void **state) {
    const char *path = temporary_path(state, "a.jpg");
    uint8_t corner[9] = {0}; /* brightness at the upright picture's upper left, by orientation */
    uint8_t row[SIDE] = {0};
    for (int x = SIDE / 2; x < SIDE; x++)
        row[x] = 80;
    for (int orientation = 1; orientation <= 8; orientation++) {
        CvmError error = {0};
        CvmImage image;
        write_jpeg(path, orientation, JCS_GRAYSCALE, false, SIDE, row, 160);
        assert_true(cvm_image_read(path, 1, &image, &error));
        corner[orientation] = image.pixels[0];
        uint8_t right = image.pixels[SIDE - 1];
        static const int LEFT[] = {0, 0, 80, 240, 160, 0, 160, 240, 80};
        static const int RIGHT[] = {0, 80, 0, 160, 240, 160, 0, 80, 240};
        assert_in_range(corner[orientation] + 4, LEFT[orientation], LEFT[orientation] + 8);
        assert_in_range(right + 4, RIGHT[orientation], RIGHT[orientation] + 8);
        cvm_image_free(&image);
    }
}

/* Stored by Adobe's convention, 255 being no ink; expected is what Pillow's convert("RGB") gives.
 */
static void test_inks_become_colours(void **state) {
    static const struct {
        uint8_t inks[4], rgb[3], grey;
    } CASES[] = {
        {{255, 255, 255, 255}, {255, 255, 255}, 255}, /* white: no ink */
        {{0, 255, 255, 255}, {0, 255, 255}, 179},     /* cyan */
        {{255, 255, 255, 0}, {0, 0, 0}, 0},           /* black ink alone */
        {{200, 100, 50, 128}, {100, 50, 25}, 62},
    };
    const char *path = temporary_path(state, "a.jpg");
    for (int kind = 0; kind < 3; kind++)
        for (size_t i = 0; i < sizeof CASES / sizeof CASES[0]; i++) {
            CvmError error = {0};
            CvmImage image;
            uint8_t row[4 * WIDTH];
            for (int x = 0; x < 4 * WIDTH; x++)
                row[x] = CASES[i].inks[x % 4];
            write_jpeg(path, kind == 2 ? 6 : 0, kind ? JCS_YCCK : JCS_CMYK, kind == 1, WIDTH, row,
                       0);
            assert_true(cvm_image_read(path, 3, &image, &error));
            for (int c = 0; c < 3; c++)
                expect_pixel(&image, c, 5, 7, CASES[i].rgb[c]);
            cvm_image_free(&image);
            assert_true(cvm_image_read(path, 1, &image, &error));
            expect_pixel(&image, 0, 5, 7, CASES[i].grey);
            cvm_image_free(&image);
        }
}

static void expect_unreadable(const char *path, CvmErrorKind kind, const char *sentence) {
    CvmError error = {0};
    CvmImage image;
    assert_false(cvm_image_read(path, 3, &image, &error));
    assert_int_equal(error.kind, kind);
    assert_null(image.pixels);
    if (!strstr(error.message, path) || !strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void test_truncated_and_damaged_files(void **state) {
    const char *path = temporary_path(state, "a.jpg");
    size_t size;
    write_half_lit(path, 6, JCS_RGB, false);
    uint8_t *bytes = temporary_read(path, &size);
    for (size_t length = 0; length + 2 < size; length++) {
        temporary_write(path, bytes, length);
        expect_unreadable(path, CVM_ERROR_INPUT, length < 3 ? "neither" : "not a readable JPEG");
    }
    for (size_t i = 3; i < size; i++) {
        CvmError error = {0};
        CvmImage image;
        bytes[i] ^= 0x10;
        temporary_write(path, bytes, size);
        if (cvm_image_read(path, 3, &image, &error)) /* a pixel more or less: nothing says so */
            cvm_image_free(&image);
        bytes[i] ^= 0x10;
    }
    free(bytes);
}

static void test_lying_headers_and_other_files(void **state) {
    const char *path = temporary_path(state, "a.jpg");
    size_t size, frame = 0;
    write_half_lit(path, 0, JCS_RGB, false);
    uint8_t *bytes = temporary_read(path, &size);
    while (bytes[frame] != 0xFF || bytes[frame + 1] != 0xC0) /* start of frame */
        frame++;
    memset(bytes + frame + 5, 0x40, 4); /* height and width: 16448 */
    temporary_write(path, bytes, size);
    expect_unreadable(path, CVM_ERROR_INPUT, "more than 16384 pixels on a side");
    memcpy(bytes + frame + 5, "\x40\x00\x40\x00", 4);
    temporary_write(path, bytes, size);
    expect_unreadable(path, CVM_ERROR_INPUT, "more than 2^26 pixels");
    free(bytes);
    temporary_write(path, "GIF89a", 6);
    expect_unreadable(path, CVM_ERROR_INPUT, "neither a PNG nor a JPEG");
    expect_unreadable(temporary_path(state, "none.jpg"), CVM_ERROR_MACHINE, "No such file");
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_colours_and_grey),
        WITH_FOLDER(test_every_orientation),
        WITH_FOLDER(test_mirrored_and_turned_differ),
        WITH_FOLDER(test_inks_become_colours),
        WITH_FOLDER(test_truncated_and_damaged_files),
        WITH_FOLDER(test_lying_headers_and_other_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
