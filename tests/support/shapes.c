/* See shapes.h. */
#include "tests/support/shapes.h"

#include "runtime/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

const char *const cvm_shape_classes[CVM_SHAPE_CLASSES] = {"blue bars",  "blue disc", "green bars",
                                                          "green disc", "red bars",  "red disc"};

CvmImage cvm_test_shape(int class, uint32_t index) {
    enum { SIDE = CVM_SHAPE_SIDE, PLANE = SIDE * SIDE };
    CvmImage image = {3, SIDE, SIDE, malloc(3 * PLANE)};
    uint32_t drawn[4], noise[4];
    assert_non_null(image.pixels);
    cvm_philox(7, (uint64_t)class, index, drawn);
    int radius = 6 + (int)(drawn[0] % 5), centre_y = 12 + (int)(drawn[1] % 9),
        centre_x = 12 + (int)(drawn[2] % 9);
    for (int y = 0; y < SIDE; y++)
        for (int x = 0; x < SIDE; x++) {
            int dy = abs(y - centre_y), dx = abs(x - centre_x);
            bool inside = dy * dy + dx * dx <= radius * radius && (class % 2 || x % 4 < 2);
            cvm_philox(8, (uint64_t)class << 32 | index, (uint64_t)(y * SIDE + x), noise);
            for (int c = 0; c < 3; c++) {
                bool lit = inside && c == 2 - class / 2;
                image.pixels[c * PLANE + y * SIDE + x] =
                    (uint8_t)((lit ? 190 : 20) + noise[c] % 60);
            }
        }
    return image;
}

void cvm_test_write_shapes(const CvmTestPlace *place, const char *folder, int count) {
    char path[512];
    CvmError error;
    snprintf(path, sizeof path, "%s/%s", place->folder, folder);
    mkdir(path, 0777);
    for (int class = 0; class < CVM_SHAPE_CLASSES; class ++) {
        snprintf(path, sizeof path, "%s/%s/%s", place->folder, folder, cvm_shape_classes[class]);
        assert_int_equal(mkdir(path, 0777), 0);
        for (int i = 0; i < count; i++) {
            CvmImage image = cvm_test_shape(class, (uint32_t)i);
            snprintf(path, sizeof path, "%s/%s/%s/%03d.png", place->folder, folder,
                     cvm_shape_classes[class], i);
            assert_true(cvm_image_write_png(path, &image, &error));
            cvm_image_free(&image);
        }
    }
}
