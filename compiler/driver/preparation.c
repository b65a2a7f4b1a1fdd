/* See preparation.h. */
#include "compiler/driver/preparation.h"

static bool scale(const CvmPredict *predict, CvmImage *image, CvmError *error) {
    CvmImage scaled;
    if (!predict->short_side && !predict->resize_height)
        return true;
    bool done = predict->short_side
                    ? cvm_image_resize_short_side(image, predict->short_side, &scaled, error)
                    : cvm_image_resize(image, predict->resize_height, predict->resize_width,
                                       &scaled, error);
    cvm_image_free(image);
    *image = scaled;
    return done;
}

static bool crop(const CvmPredict *predict, CvmImage *image, CvmError *error) {
    CvmImage cropped;
    if (!predict->crop_height)
        return true;
    bool done =
        cvm_image_crop_centre(image, predict->crop_height, predict->crop_width, &cropped, error);
    cvm_image_free(image);
    *image = cropped;
    return done;
}

static bool check_size(const CvmPreparation *preparation, const char *path, const CvmImage *image,
                       CvmError *error) {
    const int64_t *size = preparation->input.sizes;
    if (image->height == size[1] && image->width == size[2])
        return true;
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "%s is %d pixels wide and %d high, and %s takes pictures %lld wide and "
                         "%lld high; scale it first, or let a predict block do so",
                         path, image->width, image->height, preparation->model, (long long)size[2],
                         (long long)size[1]);
}

/* With the picture's name in front of what scaling and cropping complain of. */
static bool scale_and_crop(const CvmPreparation *preparation, const char *path, CvmImage *image,
                           CvmError *error) {
    CvmError inner;
    const CvmPredict *predict = preparation->predict;
    if (!predict || (scale(predict, image, &inner) && crop(predict, image, &inner)))
        return true;
    return cvm_error_set(error, inner.kind, "%s: %s", path, inner.message);
}

bool cvm_prepare_picture(const CvmPreparation *preparation, const char *path, CvmImage *image,
                         CvmError *error) {
    if (!cvm_image_read(path, (int)preparation->input.sizes[0], image, error))
        return false;
    if (scale_and_crop(preparation, path, image, error) &&
        check_size(preparation, path, image, error))
        return true;
    cvm_image_free(image);
    return false;
}
