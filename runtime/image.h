/* Pictures from PNG (libpng) and JPEG (libjpeg-turbo), to PNG, and scaled. */
#ifndef CVM_RUNTIME_IMAGE_H
#define CVM_RUNTIME_IMAGE_H

#include "runtime/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct CvmImage {
    int channels; /* 1 grey, 3 RGB */
    int height, width;
    uint8_t *pixels; /* [channels, height, width]; owned */
} CvmImage;

/* Decoded pixels as others have them: rows from the top, the channels of a pixel side by side. */
typedef struct CvmImageRows {
    const uint8_t *pixels;
    int width, height;
    int channels;     /* 1 grey, 3 RGB, 4 RGBA */
    ptrdiff_t stride; /* bytes from one row to the next */
} CvmImageRows;

/* As a picture of 1 or 3 channels: grey by ITU-R 601 weights, alpha laid over black. Error: no
 * memory. */
bool cvm_image_from_rows(const CvmImageRows *rows, int channels, CvmImage *image, CvmError *error);

/* Reads a PNG as `channels` channels (1: grey by ITU-R 601 weights, 3: RGB); alpha is laid over
 * black; 16-bit is reduced. At most 16384 pixels a side and 2^26 together. */
bool cvm_image_read_png(const char *path, int channels, CvmImage *image, CvmError *error);

/* Writes a PNG through a temporary file and rename. */
bool cvm_image_write_png(const char *path, const CvmImage *image, CvmError *error);
void cvm_image_free(CvmImage *image);

/* Reads a JPEG in the same way, turned upright as its EXIF orientation says; grey is libjpeg's.
 * CMYK and YCCK become RGB without a colour profile, as Pillow's convert("RGB") does it. A
 * truncated or corrupt file is refused. */
bool cvm_image_read_jpeg(const char *path, int channels, CvmImage *image, CvmError *error);

/* Reads a PNG or a JPEG, whichever the file's first bytes announce. */
bool cvm_image_read(const char *path, int channels, CvmImage *image, CvmError *error);

/* The functions below make another picture, which the caller frees; `to` is not `from`, and is
 * empty when they fail. */

/* Scales to height x width; bit for bit what Pillow's Image.resize(..., BILINEAR) makes. */
bool cvm_image_resize(const CvmImage *from, int height, int width, CvmImage *to, CvmError *error);

/* Scales so that the shorter side has `size` pixels and the sides' ratio stays, rounded as by
 * torchvision's Resize(size). */
bool cvm_image_resize_short_side(const CvmImage *from, int size, CvmImage *to, CvmError *error);

/* The middle height x width pixels, which torchvision's CenterCrop takes. A smaller picture is an
 * error. */
bool cvm_image_crop_centre(const CvmImage *from, int height, int width, CvmImage *to,
                           CvmError *error);

#endif
