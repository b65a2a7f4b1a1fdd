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
    cvm_picture_folder_free(&dataset->folder);
    *dataset = (CvmDataset){0};
}

CvmNormalization cvm_normalization_unit(int channels) {
    CvmNormalization normalization = {.channels = channels};
    for (int c = 0; c < channels; c++)
        normalization.deviation[c] = 1;
    return normalization;
}

static CvmPixelSums sum_pixels(const CvmDataset *dataset) {
    CvmPixelSums sums = {0};
    int64_t plane = (int64_t)dataset->height * dataset->width;
    for (int c = 0; c < dataset->channels; c++)
        for (int64_t i = 0; i < dataset->count; i++) {
            const uint8_t *pixels = dataset->pixels + (i * dataset->channels + c) * plane;
            for (int64_t p = 0; p < plane; p++) {
                sums.values[c] += pixels[p];
                sums.squares[c] += (uint64_t)pixels[p] * pixels[p];
            }
        }
    return sums;
}

CvmNormalization cvm_normalization_of(const CvmDataset *dataset) {
    CvmNormalization normalization = cvm_normalization_unit(dataset->channels);
    double samples = (double)dataset->count * (double)dataset->height * (double)dataset->width;
    if (samples == 0)
        return normalization;
    CvmPixelSums sums = dataset->pixels ? sum_pixels(dataset) : dataset->sums;
    for (int c = 0; c < dataset->channels; c++) {
        double mean = (double)sums.values[c] / samples;
        double variance = (double)sums.squares[c] / samples - mean * mean;
        normalization.mean[c] = mean / 255;
        if (variance > 0)
            normalization.deviation[c] = sqrt(variance) / 255;
    }
    return normalization;
}

/* For each channel what every value of a pixel becomes. */
typedef struct Tables {
    float of[CVM_MAX_CHANNELS][PIXEL_VALUES];
} Tables;

static void fill_tables(const CvmNormalization *normalization, Tables *tables) {
    for (int c = 0; c < normalization->channels; c++)
        for (int value = 0; value < PIXEL_VALUES; value++)
            tables->of[c][value] =
                (float)((value / 255.0 - normalization->mean[c]) / normalization->deviation[c]);
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

static void look_up_channels(const uint8_t *pixels, const Tables *tables, int channels,
                             int64_t plane, float *images) {
    for (int c = 0; c < channels; c++)
        look_up(pixels + c * plane, tables->of[c], plane, images + c * plane);
}

void cvm_normalize(const CvmNormalization *normalization, const uint8_t *pixels, int64_t plane,
                   float *images) {
    Tables tables;
    fill_tables(normalization, &tables);
    look_up_channels(pixels, &tables, normalization->channels, plane, images);
}

/* Shuffled samples lie anywhere in memory: asking for a picture's beginning two pictures ahead
 * halves the time of filling a batch. The rest of a large one follows in order, as hardware
 * expects. */
static void prefetch(const uint8_t *picture, int64_t bytes) {
    for (int64_t b = 0; b < bytes && b < PREFETCHED_BYTES; b += CACHE_LINE)
        __builtin_prefetch(picture + b);
}

static int64_t plane_of(const CvmDataset *dataset) {
    return (int64_t)dataset->height * dataset->width;
}

static void fill_from_memory(const CvmDataset *dataset, const Tables *tables,
                             const int32_t *samples, int64_t count, float *images) {
    int64_t plane = plane_of(dataset), picture = dataset->channels * plane;
    for (int64_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            prefetch(dataset->pixels + samples[i + AHEAD] * picture, picture);
        look_up_channels(dataset->pixels + samples[i] * picture, tables, dataset->channels, plane,
                         images + i * picture);
    }
}

static bool fill_from_files(const CvmDataset *dataset, const Tables *tables, const int32_t *samples,
                            int64_t count, float *images, CvmError *error) {
    int64_t plane = plane_of(dataset), picture = dataset->channels * plane;
    uint8_t *pixels = malloc((size_t)picture);
    bool done = pixels || cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read a picture");
    for (int64_t i = 0; done && i < count; i++) {
        done = cvm_dataset_picture(dataset, samples[i], pixels, error);
        if (done)
            look_up_channels(pixels, tables, dataset->channels, plane, images + i * picture);
    }
    free(pixels);
    return done;
}

bool cvm_dataset_fill(const CvmDataset *dataset, const CvmNormalization *normalization,
                      const int32_t *samples, int64_t count, float *images, int32_t *labels,
                      CvmError *error) {
    Tables tables;
    fill_tables(normalization, &tables);
    for (int64_t i = 0; i < count; i++)
        labels[i] = dataset->labels[samples[i]];
    if (!dataset->pixels)
        return fill_from_files(dataset, &tables, samples, count, images, error);
    fill_from_memory(dataset, &tables, samples, count, images);
    return true;
}
