/* From a picture's file to the pixels that a model takes: read, scaled and cropped as a predict or
 * data block says. No state: threads may prepare pictures side by side. */
#ifndef CVM_RUNTIME_PREPARATION_H
#define CVM_RUNTIME_PREPARATION_H

#include "runtime/image.h"

typedef struct CvmPreparation {
    int channels, height, width;     /* what comes out */
    int short_side;                  /* the picture is scaled until its short side has so many … */
    int resize_height, resize_width; /* … or to this size; 0: neither */
    int crop_height, crop_width;     /* then its middle is taken; 0: no */
} CvmPreparation;

/* The same without the crop, as far as all pictures have it then: what random crops are taken of.
 * Of pictures scaled by their short side, that is the middle square (Krizhevsky et al. 2012,
 * section 4.1). */
CvmPreparation cvm_preparation_uncropped(const CvmPreparation *preparation);

/* Scales and crops a picture in memory, which has the preparation's channels; on error it is freed.
 * Errors: it comes out in another size or is smaller than its crop (input), no memory (machine). */
bool cvm_prepare_image(const CvmPreparation *preparation, CvmImage *image, CvmError *error);

/* The same of a file. Errors, too: it cannot be read or is no picture. */
bool cvm_prepare_picture(const CvmPreparation *preparation, const char *path, CvmImage *image,
                         CvmError *error);

#endif
