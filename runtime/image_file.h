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

#endif
