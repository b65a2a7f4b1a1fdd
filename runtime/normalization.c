/* See normalization.h. */
#include "runtime/normalization.h"

#include <string.h>

CvmNormalization cvm_normalization_unit(int channels) {
    CvmNormalization normalization = {.channels = channels <= CVM_MAX_CHANNELS ? channels : 0};
    for (int c = 0; c < normalization.channels; c++)
        normalization.deviation[c] = 1;
    return normalization;
}

void cvm_pixel_tables_fill(const CvmNormalization *normalization, CvmPixelTables *tables) {
    for (int c = 0; c < normalization->channels; c++)
        for (int value = 0; value < CVM_PIXEL_VALUES; value++)
            tables->of[c][value] =
                (float)((value / 255.0 - normalization->mean[c]) / normalization->deviation[c]);
}

/* images[p] = table[pixels[p]]. Four at a time, which compilers turn into one wide store. */
static void look_up(const uint8_t *pixels, const float table[CVM_PIXEL_VALUES], int64_t count,
                    float *restrict images) {
    int64_t p = 0;
    for (; p + 4 <= count; p += 4) {
        const float four[4] = {table[pixels[p]], table[pixels[p + 1]], table[pixels[p + 2]],
                               table[pixels[p + 3]]};
        memcpy(images + p, four, sizeof four);
    }
    for (; p < count; p++)
        images[p] = table[pixels[p]];
}

void cvm_pixel_tables_look_up(const uint8_t *pixels, const CvmPixelTables *tables, int channels,
                              int64_t plane, float *images) {
    for (int c = 0; c < channels; c++)
        look_up(pixels + c * plane, tables->of[c], plane, images + c * plane);
}

void cvm_normalize(const CvmNormalization *normalization, const uint8_t *pixels, int64_t plane,
                   float *images) {
    CvmPixelTables tables;
    cvm_pixel_tables_fill(normalization, &tables);
    cvm_pixel_tables_look_up(pixels, &tables, normalization->channels, plane, images);
}
