/* See patterns.h. */
#include "tests/support/patterns.h"

#include "runtime/image.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { SIDE = CVM_PATTERN_SIDE, PIXELS = SIDE * SIDE };

const char *const cvm_pattern_names[CVM_PATTERN_CLASSES] = {"rows", "columns", "square", "ring"};

/* A small generator of its own, so that the tests don't lean on what they test. */
static uint32_t next_random(uint32_t *state) {
    *state = *state * 1664525u + 1013904223u;
    return *state >> 16;
}

static bool is_bright(int kind, int y, int x, int shift) {
    int from_center_y = abs(y - 14 + shift % 3), from_center_x = abs(x - 14 + shift % 3);
    int distance = from_center_y > from_center_x ? from_center_y : from_center_x;
    switch (kind) {
    case 0:
        return (y + shift) / 3 % 2;
    case 1:
        return (x + shift) / 3 % 2;
    case 2:
        return distance < 7;
    default:
        return distance >= 7 && distance < 11;
    }
}

void cvm_test_pattern(int kind, uint32_t index, uint8_t pixels[PIXELS]) {
    uint32_t state = index * 2654435761u + (uint32_t)kind * 97u + 1;
    int shift = (int)(next_random(&state) % 6);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            uint32_t noise = next_random(&state) % 90;
            pixels[y * SIDE + x] = (uint8_t)(is_bright(kind, y, x, shift) ? 160 + noise : noise);
        }
}

static void put_big_endian(uint8_t *bytes, uint32_t value) {
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void write_part(const CvmTestPlace *place, const char *part, int count, uint32_t first) {
    char path[64];
    size_t images_size = 16 + (size_t)count * PIXELS, labels_size = 8 + (size_t)count;
    uint8_t *images = calloc(1, images_size), *labels = calloc(1, labels_size);
    assert_true(images && labels);
    put_big_endian(images, 0x803);
    put_big_endian(images + 4, (uint32_t)count);
    put_big_endian(images + 8, SIDE);
    put_big_endian(images + 12, SIDE);
    put_big_endian(labels, 0x801);
    put_big_endian(labels + 4, (uint32_t)count);
    for (int i = 0; i < count; i++) {
        int kind = i % CVM_PATTERN_CLASSES;
        labels[8 + i] = (uint8_t)kind;
        cvm_test_pattern(kind, first + (uint32_t)i, images + 16 + (size_t)i * PIXELS);
    }
    snprintf(path, sizeof path, "data/patterns/%s-images", part);
    cvm_test_write(place, path, images, images_size);
    snprintf(path, sizeof path, "data/patterns/%s-labels", part);
    cvm_test_write(place, path, labels, labels_size);
    free(images);
    free(labels);
}

void cvm_test_write_patterns(const CvmTestPlace *place, int train_count, int test_count) {
    write_part(place, "train", train_count, 0);
    write_part(place, "test", test_count, 1000000);
}

void cvm_test_write_pattern_png(const CvmTestPlace *place, const char *path, int kind,
                                uint32_t index) {
    uint8_t pixels[PIXELS];
    char full[512];
    CvmError error;
    CvmImage image = {.channels = 1, .height = SIDE, .width = SIDE, .pixels = pixels};
    cvm_test_pattern(kind, index, pixels);
    snprintf(full, sizeof full, "%s/%s", place->folder, path);
    assert_true(cvm_image_write_png(full, &image, &error));
}
