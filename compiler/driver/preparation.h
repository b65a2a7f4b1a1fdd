/* From a picture's file to the pixels that a model takes: read, scaled and cropped as its predict
 * block says. No state: threads may prepare pictures side by side. */
#ifndef CVM_DRIVER_PREPARATION_H
#define CVM_DRIVER_PREPARATION_H

#include "compiler/front/program.h"
#include "runtime/image.h"

typedef struct CvmPreparation {
    const char *model;         /* its name, for messages */
    CvmShape input;            /* [c, h, w] that it takes */
    const CvmPredict *predict; /* NULL: a picture must have the input's size */
} CvmPreparation;

/* Errors: a file that cannot be read or is no picture, one that has another size or is smaller than
 * its crop. */
bool cvm_prepare_picture(const CvmPreparation *preparation, const char *path, CvmImage *image,
                         CvmError *error);

#endif
