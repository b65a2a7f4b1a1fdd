/* See net.h: from decoded pixels to an image of the model's input, with the bits that `cvmc
 * predict` gives. */
#include "runtime/net/internal.h"

#include "runtime/image_file.h"

static cvm_net_status check_picture(const cvm_net_picture *picture) {
    if (picture->size < sizeof *picture)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "picture.size is %zu, and must be set to sizeof(picture): %zu",
                            picture->size, sizeof *picture);
    if (!picture->pixels)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "picture.pixels must not be null");
    if (picture->channels != 1 && picture->channels != 3 && picture->channels != 4)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "picture.channels is %d: 1, 3 and 4 are possible",
                            picture->channels);
    if (picture->width < 1 || picture->height < 1 || picture->width > CVM_IMAGE_MAX_SIDE ||
        picture->height > CVM_IMAGE_MAX_SIDE ||
        (int64_t)picture->width * picture->height > CVM_IMAGE_MAX_PIXELS)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "a picture %d pixels wide and %d high: from 1 to %d a side and 2^26 in "
                            "all are possible",
                            picture->width, picture->height, CVM_IMAGE_MAX_SIDE);
    return CVM_NET_OK;
}

cvm_net_status cvm_net_prepare(const cvm_net_model *model, const cvm_net_picture *picture,
                               float *image) {
    if (!model || !picture || !image)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "model, picture and image must not be null");
    cvm_net_status status = check_picture(picture);
    if (status)
        return status;
    if (!model->normalization.channels)
        return cvm_net_fail(CVM_NET_BAD_ORDER,
                            "how %s wants pixels normalized depends on the training set: open a "
                            "checkpoint, which remembers it, or build with the data at hand",
                            model->about->name);
    const CvmPreparation *preparation = &model->about->preparation;
    const CvmImageRows rows = {picture->pixels, picture->width, picture->height, picture->channels,
                               picture->stride ? picture->stride
                                               : (ptrdiff_t)picture->width * picture->channels};
    CvmImage pixels;
    CvmError error;
    if (!cvm_image_from_rows(&rows, preparation->channels, &pixels, &error) ||
        !cvm_prepare_image(preparation, &pixels, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_MEMORY);
    cvm_normalize(&model->normalization, pixels.pixels,
                  (int64_t)preparation->height * preparation->width, image);
    cvm_image_free(&pixels);
    return CVM_NET_OK;
}
