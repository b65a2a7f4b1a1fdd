/* The one thing that is wanted of a photograph's EXIF data: how the camera was held. */
#ifndef CVM_RUNTIME_IMAGE_EXIF_H
#define CVM_RUNTIME_IMAGE_EXIF_H

#include <stddef.h>
#include <stdint.h>

/* The orientation, 1 to 8, that a JPEG's APP1 marker states; 0 if it states none. */
int cvm_exif_orientation(const uint8_t *bytes, size_t size);

#endif
