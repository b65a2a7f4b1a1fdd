/* See preparation.h. */
#include "runtime/preparation.h"

static bool scale(const CvmPreparation *preparation, CvmImage *image, CvmError *error) {
    CvmImage scaled;
    if (!preparation->short_side && !preparation->resize_height)
        return true;
    bool done = preparation->short_side
                    ? cvm_image_resize_short_side(image, preparation->short_side, &scaled, error)
                    : cvm_image_resize(image, preparation->resize_height, preparation->resize_width,
                                       &scaled, error);
    cvm_image_free(image);
    *image = scaled;
    return done;
}

static bool crop(const CvmPreparation *preparation, CvmImage *image, CvmError *error) {
    CvmImage cropped;
    if (!preparation->crop_height)
        return true;
    bool done = cvm_image_crop_centre(image, preparation->crop_height, preparation->crop_width,
                                      &cropped, error);
    cvm_image_free(image);
    *image = cropped;
    return done;
}

static bool check_size(const CvmPreparation *preparation, const char *path, const CvmImage *image,
                       CvmError *error) {
    if (image->height == preparation->height && image->width == preparation->width)
        return true;
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "%.700s is %d pixels wide and %d high, where pictures %d wide and %d high "
                         "are needed; scale it first, or add 'resize' to the predict or data block",
                         path, image->width, image->height, preparation->width,
                         preparation->height);
}

/* With the picture's name in front of what scaling and cropping complain of. */
static bool scale_and_crop(const CvmPreparation *preparation, const char *path, CvmImage *image,
                           CvmError *error) {
    CvmError inner;
    if (scale(preparation, image, &inner) && crop(preparation, image, &inner))
        return true;
    return cvm_error_set(error, inner.kind, "%.500s: %.500s", path, inner.message);
}

bool cvm_prepare_picture(const CvmPreparation *preparation, const char *path, CvmImage *image,
                         CvmError *error) {
    if (!cvm_image_read(path, preparation->channels, image, error))
        return false;
    if (scale_and_crop(preparation, path, image, error) &&
        check_size(preparation, path, image, error))
        return true;
    cvm_image_free(image);
    return false;
}
