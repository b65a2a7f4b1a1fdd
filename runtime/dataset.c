/* See dataset.h. A pixel has 256 values, so normalizing one is looking it up in its channel's
 * table. */
#include "runtime/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIXEL_VALUES = 256 };

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

void cvm_dataset_fill(const CvmDataset *dataset, const CvmNormalization *normalization,
                      const int32_t *samples, int64_t count, float *images, int32_t *labels) {
    int channels = dataset->channels;
    int64_t plane = (int64_t)dataset->height * dataset->width;
    float tables[CVM_MAX_CHANNELS][PIXEL_VALUES];
    for (int c = 0; c < channels; c++)
        fill_table(normalization, c, tables[c]);
    for (int64_t i = 0; i < count; i++) {
        const uint8_t *pixels = dataset->pixels + samples[i] * channels * plane;
        labels[i] = dataset->labels[samples[i]];
        for (int c = 0; c < channels; c++, pixels += plane, images += plane)
            for (int64_t p = 0; p < plane; p++)
                images[p] = tables[c][pixels[p]];
    }
}
