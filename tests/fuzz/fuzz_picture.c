/* Any bytes as a picture, PNG or JPEG with its EXIF data: refused with a sentence, or every pixel
 * is there. */
#include "runtime/image.h"
#include "runtime/image_exif.h"
#include "tests/support/memory_file.h"

#include <stdlib.h>
#include <string.h>

static void read_as(const char *path, int channels) {
    CvmImage image;
    CvmError error = {0};
    unsigned sum = 0;
    if (!cvm_image_read(path, channels, &image, &error)) {
        if (error.kind == CVM_ERROR_NONE || !*error.message || image.pixels)
            abort();
        return;
    }
    if (image.channels != channels || image.height < 1 || image.width < 1)
        abort();
    for (int64_t i = 0; i < (int64_t)channels * image.height * image.width; i++)
        sum += image.pixels[i];
    volatile unsigned kept = sum;
    (void)kept;
    cvm_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    int orientation = cvm_exif_orientation(bytes, size);
    if (orientation < 0 || orientation > 8)
        abort();
    CvmMemoryFile file = cvm_memory_file(bytes, size);
    read_as(file.path, 1);
    read_as(file.path, 3);
    cvm_memory_file_close(&file);
    return 0;
}
