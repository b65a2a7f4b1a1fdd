/* Scaling and cropping, against pixels recorded from Pillow 11.1: Image.resize(size, BILINEAR) of a
 * grey picture whose pixel is (37 x + 91 y + 7 x y) mod 256. */
#include "runtime/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmImage make_image(int channels, int height, int width) {
    CvmImage image = {channels, height, width, malloc((size_t)(channels * height * width))};
    assert_non_null(image.pixels);
    for (int i = 0; i < channels * height * width; i++) {
        int x = i % width, y = i / width % height;
        image.pixels[i] = (uint8_t)(37 * x + 91 * y + 7 * x * y);
    }
    return image;
}

static const uint8_t SMALLER[] = {76,  124, 114, 135, 102, 109, 126, 133, 121, 136, 138, 124,
                                  128, 131, 116, 143, 142, 149, 116, 149, 124, 104, 111, 128,
                                  157, 118, 136, 142, 141, 133, 138, 102, 124, 130, 121};
static const uint8_t LARGER[] = {
    0,   12,  33,  53,  74,  95,  115, 136, 148, 41,  55,  77,  99,  122, 144, 153, 111,
    86,  99,  114, 139, 154, 165, 190, 189, 85,  22,  157, 174, 201, 146, 69,  96,  116,
    105, 98,  122, 140, 170, 127, 66,  96,  126, 156, 173, 17,  36,  69,  101, 133, 165,
    197, 230, 249, 75,  96,  131, 165, 200, 144, 106, 141, 162, 133, 132, 130, 160, 197,
    131, 85,  122, 144, 191, 137, 47,  61,  101, 127, 157, 196, 220, 109, 95,  73,  102,
    144, 109, 89,  131, 156, 34,  60,  104, 148, 192, 94,  24,  68,  94};
static const uint8_t BOTH[] = {53,  147, 80,  135, 110, 115, 123, 108, 144, 110, 135, 114,
                               138, 137, 116, 148, 106, 151, 132, 131, 134, 147, 141, 135,
                               136, 143, 127, 137, 104, 139, 105, 135, 101, 132, 149, 146,
                               123, 129, 140, 132, 138, 127, 120, 124, 142, 125, 104, 126};

static void test_same_bits_as_pillow(void **state) {
    (void)state;
    static const struct {
        int height, width, to_height, to_width;
        const uint8_t *expected;
    } CASES[] = {{9, 13, 5, 7, SMALLER}, {7, 5, 11, 9, LARGER}, {9, 13, 12, 4, BOTH}};
    for (int i = 0; i < 3; i++) {
        CvmError error = {0};
        CvmImage from = make_image(3, CASES[i].height, CASES[i].width), to;
        size_t plane = (size_t)(CASES[i].to_height * CASES[i].to_width);
        assert_true(cvm_image_resize(&from, CASES[i].to_height, CASES[i].to_width, &to, &error));
        assert_true(to.height == CASES[i].to_height && to.width == CASES[i].to_width);
        for (size_t c = 0; c < 3; c++)
            assert_memory_equal(to.pixels + c * plane, CASES[i].expected, plane);
        cvm_image_free(&from);
        cvm_image_free(&to);
    }
}

static void expect_short_side(int height, int width, int size, int to_height, int to_width) {
    CvmError error = {0};
    CvmImage from = make_image(1, height, width), to;
    assert_true(cvm_image_resize_short_side(&from, size, &to, &error));
    assert_int_equal(to.height, to_height);
    assert_int_equal(to.width, to_width);
    if (height == to_height && width == to_width)
        assert_memory_equal(to.pixels, from.pixels, height * width);
    cvm_image_free(&from);
    cvm_image_free(&to);
}

static void test_short_side(void **state) {
    (void)state;
    expect_short_side(9, 13, 6, 6, 8); /* 8.67 is cut off, as torchvision does */
    expect_short_side(13, 9, 6, 8, 6);
    expect_short_side(9, 9, 20, 20, 20);
    expect_short_side(9, 13, 9, 9, 13);
}

static void test_crop_takes_the_middle(void **state) {
    (void)state;
    CvmError error = {0};
    CvmImage from = make_image(2, 9, 14), to;
    assert_true(cvm_image_crop_centre(&from, 4, 7, &to, &error));
    for (int c = 0; c < 2; c++)
        for (int y = 0; y < 4; y++) /* 2.5 and 3.5 from the edges: round() gives 2 and 4 */
            assert_memory_equal(to.pixels + (c * 4 + y) * 7, from.pixels + (c * 9 + y + 2) * 14 + 4,
                                7);
    cvm_image_free(&to);
    assert_false(cvm_image_crop_centre(&from, 10, 7, &to, &error));
    assert_null(to.pixels);
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    assert_non_null(strstr(error.message, "7 wide and 10 high from one 14 wide and 9 high"));
    cvm_image_free(&from);
}

static void test_impossible_sizes(void **state) {
    (void)state;
    CvmImage from = make_image(1, 2, 2000), to;
    static const int SIZES[][2] = {{0, 4}, {4, -1}, {16385, 1}, {16384, 16384}};
    for (int i = 0; i < 4; i++) {
        CvmError error = {0};
        assert_false(cvm_image_resize(&from, SIZES[i][0], SIZES[i][1], &to, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
        assert_null(to.pixels);
    }
    CvmError error = {0};
    assert_false(cvm_image_resize_short_side(&from, 224, &to, &error)); /* 224,000 wide */
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    cvm_image_free(&from);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_same_bits_as_pillow),
        cmocka_unit_test(test_short_side),
        cmocka_unit_test(test_crop_takes_the_middle),
        cmocka_unit_test(test_impossible_sizes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
