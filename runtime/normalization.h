/* From pixels to the numbers a network takes. A pixel has 256 values, so normalizing one is looking
 * it up in its channel's table. */
#ifndef CVM_RUNTIME_NORMALIZATION_H
#define CVM_RUNTIME_NORMALIZATION_H

#include <stdint.h>

enum { CVM_MAX_CHANNELS = 4, CVM_PIXEL_VALUES = 256 };

/* input = (pixel / 255 - mean[c]) / deviation[c] */
typedef struct CvmNormalization {
    int channels;
    double mean[CVM_MAX_CHANNELS], deviation[CVM_MAX_CHANNELS];
} CvmNormalization;

/* mean 0, deviation 1: pixels / 255. With more channels than pictures have it is of none: what such
 * a model takes was never a picture. */
CvmNormalization cvm_normalization_unit(int channels);

/* One picture of [channels, plane] pixels, normalized. */
void cvm_normalize(const CvmNormalization *normalization, const uint8_t *pixels, int64_t plane,
                   float *images);

/* For many pictures: for each channel what every value of a pixel becomes. */
typedef struct CvmPixelTables {
    float of[CVM_MAX_CHANNELS][CVM_PIXEL_VALUES];
} CvmPixelTables;

void cvm_pixel_tables_fill(const CvmNormalization *normalization, CvmPixelTables *tables);

/* The pixels of one picture, [channels, plane], through the tables. */
void cvm_pixel_tables_look_up(const uint8_t *pixels, const CvmPixelTables *tables, int channels,
                              int64_t plane, float *images);

#endif
