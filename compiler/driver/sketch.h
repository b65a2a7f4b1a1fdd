/* Pictures in a terminal, several side by side with two lines of text under each: with coloured
 * half blocks on a terminal, with letters elsewhere. */
#ifndef CVM_DRIVER_SKETCH_H
#define CVM_DRIVER_SKETCH_H

#include "runtime/image.h"

#include <stdio.h>

enum { CVM_SKETCH_MOST = 10, CVM_SKETCH_TEXT = 64 };

typedef struct CvmSketch {
    FILE *stream;
    bool color;
    int columns, per_row; /* characters a picture, pictures a row */
} CvmSketch;

typedef enum CvmSketchMark { CVM_MARK_NONE, CVM_MARK_RIGHT, CVM_MARK_WRONG } CvmSketchMark;

typedef struct CvmSketchCell {
    CvmImage picture;   /* not owned */
    CvmSketchMark mark; /* green or red, + or - before the text */
    char first[CVM_SKETCH_TEXT], second[CVM_SKETCH_TEXT];
} CvmSketchCell;

/* Color where the stream is a terminal that understands it (not TERM=dumb, NO_COLOR unset), unless
 * letters are asked for. As many pictures a row as the terminal is wide. */
CvmSketch cvm_sketch_begin(FILE *stream, bool letters, int picture_width);

void cvm_sketch_row(const CvmSketch *sketch, const CvmSketchCell *cells, int count);

#endif
