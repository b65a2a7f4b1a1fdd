/* See dataset.h. */
#include "runtime/dataset.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD = 2, PREFETCHED_BYTES = 4096, CACHE_LINE = 64 };

void cvm_dataset_free(CvmDataset *dataset) {
    free(dataset->pixels);
    free(dataset->labels);
    cvm_picture_folder_free(&dataset->folder);
    *dataset = (CvmDataset){0};
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

static void fill_from_memory(const CvmDataset *dataset, const CvmPixelTables *tables,
                             const int32_t *samples, int64_t count, float *images) {
    int64_t plane = plane_of(dataset), picture = dataset->channels * plane;
    for (int64_t i = 0; i < count; i++) {
        if (i + AHEAD < count)
            prefetch(dataset->pixels + samples[i + AHEAD] * picture, picture);
        cvm_pixel_tables_look_up(dataset->pixels + samples[i] * picture, tables, dataset->channels,
                                 plane, images + i * picture);
    }
}

static bool fill_from_files(const CvmDataset *dataset, const CvmPixelTables *tables,
                            const int32_t *samples, int64_t count, float *images, CvmError *error) {
    int64_t plane = plane_of(dataset), picture = dataset->channels * plane;
    uint8_t *pixels = malloc((size_t)picture);
    bool done = pixels || cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read a picture");
    for (int64_t i = 0; done && i < count; i++) {
        done = cvm_dataset_picture(dataset, samples[i], pixels, error);
        if (done)
            cvm_pixel_tables_look_up(pixels, tables, dataset->channels, plane,
                                     images + i * picture);
    }
    free(pixels);
    return done;
}

bool cvm_dataset_fill(const CvmDataset *dataset, const CvmNormalization *normalization,
                      const int32_t *samples, int64_t count, float *images, int32_t *labels,
                      CvmError *error) {
    CvmPixelTables tables;
    cvm_pixel_tables_fill(normalization, &tables);
    for (int64_t i = 0; i < count; i++)
        labels[i] = dataset->labels[samples[i]];
    if (!dataset->pixels)
        return fill_from_files(dataset, &tables, samples, count, images, error);
    fill_from_memory(dataset, &tables, samples, count, images);
    return true;
}
