/* See image.h and image_file.h: pixels in memory, and what every reader makes of their channels. */
#include "runtime/image.h"
#include "runtime/image_file.h"

#include <stdlib.h>

void cvm_image_free(CvmImage *image) {
    free(image->pixels);
    *image = (CvmImage){0};
}

unsigned cvm_image_grey(const unsigned rgb[3]) {
    return (19595 * rgb[0] + 38470 * rgb[1] + 7471 * rgb[2] + 32768) >> 16;
}

static unsigned over_black(unsigned value, unsigned alpha) {
    return (value * alpha + 127) / 255;
}

/* One pixel as RGB. */
static void spread(const uint8_t *pixel, int channels, unsigned rgb[3]) {
    for (int c = 0; c < 3; c++) {
        rgb[c] = pixel[channels == 1 ? 0 : c];
        if (channels == 4)
            rgb[c] = over_black(rgb[c], pixel[3]);
    }
}

bool cvm_image_from_rows(const CvmImageRows *rows, int channels, CvmImage *image, CvmError *error) {
    int64_t plane = (int64_t)rows->height * rows->width;
    *image = (CvmImage){channels, rows->height, rows->width, malloc((size_t)(channels * plane))};
    if (!image->pixels) {
        *image = (CvmImage){0};
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a picture");
    }
    uint8_t *next = image->pixels;
    for (int y = 0; y < rows->height; y++) {
        const uint8_t *pixel = rows->pixels + y * rows->stride;
        for (int x = 0; x < rows->width; x++, pixel += rows->channels, next++) {
            unsigned rgb[3];
            spread(pixel, rows->channels, rgb);
            if (channels == 1)
                *next = (uint8_t)cvm_image_grey(rgb);
            else
                for (int c = 0; c < 3; c++)
                    next[c * plane] = (uint8_t)rgb[c];
        }
    }
    return true;
}
