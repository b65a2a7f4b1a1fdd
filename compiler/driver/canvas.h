/* Drawing into an RGB picture: rectangles and small letters. Whatever lies outside is cut off. */
#ifndef CVM_DRIVER_CANVAS_H
#define CVM_DRIVER_CANVAS_H

#include "runtime/image.h"

typedef struct CvmColor {
    uint8_t red, green, blue;
} CvmColor;

#define CVM_BLACK ((CvmColor){0, 0, 0})

/* A white picture; the caller frees it with cvm_image_free. */
bool cvm_canvas_create(CvmImage *canvas, int height, int width, CvmError *error);

void cvm_canvas_fill(CvmImage *canvas, int left, int top, int width, int height, CvmColor color);

/* One line of ASCII text in capitals, at double size where that fits into `width`, else at single
 * size, cut where even that does not fit. Up to 14 pixels high. */
void cvm_canvas_text(CvmImage *canvas, int left, int top, int width, CvmColor color,
                     const char *text);

/* -1 blue, 0 white, 1 red. */
CvmColor cvm_diverging_color(float value);

#endif
