/* See image_file.h; and which reader a picture file is for. */
#include "runtime/image_file.h"

#include "runtime/image.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

FILE *cvm_image_open(const char *path, int channels, CvmError *error) {
    struct stat status;
    FILE *stream = NULL;
    if (channels != 1 && channels != 3)
        cvm_error_set(error, CVM_ERROR_INPUT,
                      "cannot read a picture as %d channels: it has 1 (grey) or 3 (colours)",
                      channels);
    else if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: it is not a regular file",
                      path);
    else if (!(stream = fopen(path, "rbe")))
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot read %.800s: %s", path, strerror(errno));
    return stream;
}

static bool begins_with(const uint8_t *bytes, size_t size, const char *magic, size_t magic_size) {
    return size >= magic_size && memcmp(bytes, magic, magic_size) == 0;
}

bool cvm_image_read(const char *path, int channels, CvmImage *image, CvmError *error) {
    static const char PNG[] = {'\x89', 'P', 'N', 'G'}, JPEG[] = {'\xFF', '\xD8', '\xFF'};
    uint8_t bytes[4];
    *image = (CvmImage){0};
    FILE *stream = cvm_image_open(path, channels, error);
    if (!stream)
        return false;
    size_t size = fread(bytes, 1, sizeof bytes, stream);
    fclose(stream);
    if (begins_with(bytes, size, PNG, sizeof PNG))
        return cvm_image_read_png(path, channels, image, error);
    if (begins_with(bytes, size, JPEG, sizeof JPEG))
        return cvm_image_read_jpeg(path, channels, image, error);
    return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is neither a PNG nor a JPEG picture",
                         path);
}
