/* See preparation.h: of pictures in memory. */
#include "runtime/preparation.h"

CvmPreparation cvm_preparation_uncropped(const CvmPreparation *preparation) {
    CvmPreparation all = *preparation;
    if (all.short_side) {
        all.height = all.crop_height = all.short_side > all.height ? all.short_side : all.height;
        all.width = all.crop_width = all.short_side > all.width ? all.short_side : all.width;
    } else if (all.resize_height) {
        all.height = all.resize_height;
        all.width = all.resize_width;
        all.crop_height = all.crop_width = 0;
    }
    return all;
}

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

static bool check_size(const CvmPreparation *preparation, const CvmImage *image, CvmError *error) {
    if (image->height == preparation->height && image->width == preparation->width)
        return true;
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "it is %d pixels wide and %d high, where pictures %d wide and %d high "
                         "are needed; scale it first, or add 'resize' to the predict or data block",
                         image->width, image->height, preparation->width, preparation->height);
}

bool cvm_prepare_image(const CvmPreparation *preparation, CvmImage *image, CvmError *error) {
    if (scale(preparation, image, error) && crop(preparation, image, error) &&
        check_size(preparation, image, error))
        return true;
    cvm_image_free(image);
    return false;
}
