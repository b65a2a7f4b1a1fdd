/* What the readers of picture files share. */
#ifndef CVM_RUNTIME_IMAGE_FILE_H
#define CVM_RUNTIME_IMAGE_FILE_H

#include "runtime/error.h"

#include <stdio.h>

enum {
    CVM_IMAGE_MAX_SIDE = 16384,
    CVM_IMAGE_MAX_PIXELS = 1 << 26,
};

/* Opens a picture to be read as `channels` channels; NULL if it is no regular file, or if there is
 * no reading a picture as so many. */
FILE *cvm_image_open(const char *path, int channels, CvmError *error);

/* 0.299 R + 0.587 G + 0.114 B of bytes, rounded; in 65536ths, which add up to one, so that grey
 * stays what it is. */
unsigned cvm_image_grey(const unsigned rgb[3]);

#endif
