/* Pictures from and to PNG (libpng). */
#ifndef CVM_RUNTIME_IMAGE_H
#define CVM_RUNTIME_IMAGE_H

#include "runtime/error.h"

#include <stdint.h>

typedef struct CvmImage {
    int channels; /* 1 grey, 3 RGB */
    int height, width;
    uint8_t *pixels; /* [channels, height, width]; owned */
} CvmImage;

/* Reads a PNG as `channels` channels (1: grey by ITU-R 601 weights, 3: RGB); alpha is laid over
 * black; 16-bit is reduced. At most 16384 pixels a side and 2^26 together. */
bool cvm_image_read_png(const char *path, int channels, CvmImage *image, CvmError *error);

/* Writes a PNG through a temporary file and rename. */
bool cvm_image_write_png(const char *path, const CvmImage *image, CvmError *error);
void cvm_image_free(CvmImage *image);

#endif
