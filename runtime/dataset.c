/* See dataset.h. A pixel has 256 values, so normalizing one is looking it up in its channel's
 * table. */
#include "runtime/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIXEL_VALUES = 256, AHEAD = 2, PREFETCHED_BYTES = 4096, CACHE_LINE = 64 };

void cvm_dataset_free(CvmDataset *dataset) {
    free(dataset->pixels);
    free(dataset->labels);
    *dataset = (CvmDataset){0};
}

CvmNormalization cvm_normalization_unit(int channels) {
    CvmNormalization normalization = {.channels = channels};
    for (int c = 0; c < channels; c++)
        normalization.deviation[c] = 1;
    return normalization;
}

CvmNormalization cvm_normalization_of(const CvmDataset *dataset) {
    CvmNormalization normalization = cvm_normalization_unit(dataset->channels);
    int64_t plane = (int64_t)dataset->height * dataset->width;
    double samples = (double)dataset->count * (double)plane;
    if (samples == 0)
        return normalization;
    for (int c = 0; c < dataset->channels; c++) {
        uint64_t sum = 0, squares = 0;
        for (int64_t i = 0; i < dataset->count; i++) {
            const uint8_t *pixels = dataset->pixels + (i * dataset->channels + c) * plane;
            for (int64_t p = 0; p < plane; p++) {
                sum += pixels[p];
                squares += (uint64_t)pixels[p] * pixels[p];
            }
        }
        double mean = (double)sum / samples;
        double variance = (double)squares / samples - mean * mean;
        normalization.mean[c] = mean / 255;
        if (variance > 0)
            normalization.deviation[c] = sqrt(variance) / 255;
    }
    return normalization;
}

static void fill_table(const CvmNormalization *normalization, int channel,
                       float table[PIXEL_VALUES]) {
    for (int value = 0; value < PIXEL_VALUES; value++)
        table[value] = (float)((value / 255.0 - normalization->mean[channel]) /
                               normalization->deviation[channel]);
}

/* images[p] = table[pixels[p]]. Four at a time, which compilers turn into one wide store. */
static void look_up(const uint8_t *pixels, const float table[PIXEL_VALUES], int64_t count,
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

/* Shuffled samples lie anywhere in memory: asking for a picture's beginning two pictures ahead
 * halves the time of filling a batch. The rest of a large one follows in order, as hardware
 * expects. */
static void prefetch(const uint8_t *picture, int64_t bytes) {
    for (int64_t b = 0; b < bytes && b < PREFETCHED_BYTES; b += CACHE_LINE)
        __builtin_prefetch(picture + b);
}

void cvm_dataset_fill(const CvmDataset *dataset, const CvmNormalization *normalization,
                      const int32_t *samples, int64_t count, float *images, int32_t *labels) {
    int channels = dataset->channels;
    int64_t plane = (int64_t)dataset->height * dataset->width, picture = channels * plane;
    float tables[CVM_MAX_CHANNELS][PIXEL_VALUES];
    for (int c = 0; c < channels; c++)
        fill_table(normalization, c, tables[c]);
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *pixels = dataset->pixels + samples[i] * picture;
        if (i + AHEAD < count)
            prefetch(dataset->pixels + samples[i + AHEAD] * picture, picture);
        labels[i] = dataset->labels[samples[i]];
        for (int c = 0; c < channels; c++, images += plane)
            look_up(pixels + c * plane, tables[c], plane, images);
    }
}
