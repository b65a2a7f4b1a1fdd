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

CvmShape cvm_dataset_shape(const CvmDataset *dataset, const CvmAugmentation *augmentation,
                           int64_t count) {
    return (CvmShape){4,
                      {count, dataset->channels,
                       augmentation ? augmentation->height : dataset->height,
                       augmentation ? augmentation->width : dataset->width}};
}

int64_t cvm_dataset_numbers(const CvmDataset *dataset, const CvmAugmentation *augmentation) {
    const CvmShape shape = cvm_dataset_shape(dataset, augmentation, 1);
    return shape.sizes[1] * shape.sizes[2] * shape.sizes[3];
}

/* A batch on its way. */
typedef struct Filling {
    const CvmBatch *batch;
    CvmPixelTables tables;
    int64_t stored;        /* bytes of a picture of the data set */
    int64_t numbers;       /* of a picture as it comes out */
    uint8_t *read;         /* [stored], of a data set that is not in memory */
    uint8_t *augmentation; /* memory for it */
} Filling;

/* Picture number i of the batch as the data set has it; NULL on error. */
static const uint8_t *find_picture(const Filling *filling, int64_t i, CvmError *error) {
    const CvmBatch *batch = filling->batch;
    const uint8_t *pixels = batch->data->pixels;
    if (!pixels)
        return cvm_dataset_picture(batch->data, batch->samples[i], filling->read, error)
                   ? filling->read
                   : NULL;
    if (i + AHEAD < batch->count)
        prefetch(pixels + batch->samples[i + AHEAD] * filling->stored, filling->stored);
    return pixels + batch->samples[i] * filling->stored;
}

static bool fill_picture(const Filling *filling, int64_t i, CvmError *error) {
    const CvmBatch *batch = filling->batch;
    const CvmDataset *data = batch->data;
    const uint8_t *pixels = find_picture(filling, i, error);
    if (pixels && batch->augmentation) {
        const CvmImage picture = {data->channels, data->height, data->width, (uint8_t *)pixels};
        pixels = cvm_augment(batch->augmentation, &picture, (uint32_t)batch->samples[i],
                             filling->augmentation, error);
    }
    if (!pixels)
        return false;
    cvm_pixel_tables_look_up(pixels, &filling->tables, data->channels,
                             filling->numbers / data->channels,
                             batch->images + i * filling->numbers);
    batch->labels[i] = data->labels[batch->samples[i]];
    return true;
}

static bool allocate(Filling *filling, CvmError *error) {
    const CvmDataset *data = filling->batch->data;
    const CvmAugmentation *augmentation = filling->batch->augmentation;
    if (!data->pixels)
        filling->read = malloc((size_t)filling->stored);
    if (augmentation)
        filling->augmentation =
            malloc(cvm_augment_bytes(augmentation, data->channels, data->height, data->width));
    return ((data->pixels || filling->read) && (!augmentation || filling->augmentation)) ||
           cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to prepare a picture");
}

bool cvm_dataset_fill(const CvmBatch *batch, CvmError *error) {
    const CvmDataset *data = batch->data;
    Filling filling = {.batch = batch,
                       .stored = (int64_t)data->channels * data->height * data->width,
                       .numbers = cvm_dataset_numbers(data, batch->augmentation)};
    cvm_pixel_tables_fill(batch->normalization, &filling.tables);
    bool done = allocate(&filling, error);
    for (int64_t i = 0; done && i < batch->count; i++)
        done = fill_picture(&filling, i, error);
    free(filling.read);
    free(filling.augmentation);
    return done;
}
