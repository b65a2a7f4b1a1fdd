/* See preparation.h: of picture files. */
#include "runtime/preparation.h"

bool cvm_prepare_picture(const CvmPreparation *preparation, const char *path, CvmImage *image,
                         CvmError *error) {
    CvmError inner;
    if (!cvm_image_read(path, preparation->channels, image, error))
        return false;
    return cvm_prepare_image(preparation, image, &inner) ||
           cvm_error_set(error, inner.kind, "%.500s: %.500s", path, inner.message);
}
