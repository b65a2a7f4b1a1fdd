/* See dataset.h: the pictures of a folder as a data set. Every picture is read once to know that it
 * can be, by all threads, each taking the next one that is left. Pictures that fit into memory stay
 * there; of others only the sums that their mean needs. */
#include "runtime/dataset.h"
#include "runtime/hash.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPORTED = 10, PATH_BYTES = 4096 };

/* A set while it is being read. */
typedef struct Reading {
    const CvmFolderReading *how;
    CvmDataset *dataset;
    int64_t picture_bytes;
    bool *unreadable; /* [count] */
    _Atomic int64_t next;
    _Atomic uint64_t values[CVM_MAX_CHANNELS], squares[CVM_MAX_CHANNELS], hashes;
} Reading;

static bool read_picture(const CvmDataset *dataset, int64_t sample, CvmImage *image,
                         CvmError *error) {
    char path[PATH_BYTES];
    const CvmPictureFolder *folder = &dataset->folder;
    if (snprintf(path, sizeof path, "%s/%s", folder->path, folder->files.list[sample]) >=
        PATH_BYTES)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s... is too long a path", path);
    return cvm_prepare_picture(&dataset->preparation, path, image, error);
}

static void add_sums(Reading *reading, int64_t sample, const CvmImage *image) {
    int64_t plane = (int64_t)image->height * image->width;
    for (int c = 0; c < image->channels; c++) {
        uint64_t values = 0, squares = 0;
        for (int64_t p = 0; p < plane; p++) {
            uint64_t pixel = image->pixels[c * plane + p];
            values += pixel;
            squares += pixel * pixel;
        }
        reading->values[c] += values;
        reading->squares[c] += squares;
    }
    reading->hashes += cvm_hash((uint64_t)sample, image->pixels, (size_t)reading->picture_bytes);
}

static void read_part(void *context, int thread, int threads) {
    Reading *reading = context;
    CvmDataset *dataset = reading->dataset;
    CvmError error;
    int64_t sample;
    (void)thread, (void)threads;
    while ((sample = reading->next++) < dataset->count) {
        CvmImage image;
        if (!read_picture(dataset, sample, &image, &error)) {
            reading->unreadable[sample] = true;
            continue;
        }
        if (dataset->pixels)
            memcpy(dataset->pixels + sample * reading->picture_bytes, image.pixels,
                   (size_t)reading->picture_bytes);
        else
            add_sums(reading, sample, &image);
        cvm_image_free(&image);
    }
}

/* Names the first few by reading them again: threads came upon them in any order. */
static void report(const Reading *reading) {
    const CvmFolderReading *how = reading->how;
    int64_t found = 0;
    CvmError error;
    for (int64_t i = 0; i < reading->dataset->count; i++) {
        CvmImage image;
        if (!reading->unreadable[i] || found++ >= REPORTED)
            continue;
        if (read_picture(reading->dataset, i, &image, &error))
            cvm_image_free(&image); /* it can be read by now, and stays left out */
        else
            how->report(how->context, error.message);
    }
    if (found == 0)
        return;
    cvm_error_set(&error, CVM_ERROR_INPUT, "%.700s: %lld of %lld pictures cannot be read",
                  reading->dataset->folder.path, (long long)found,
                  (long long)reading->dataset->count);
    how->report(how->context, error.message);
}

static void drop_unreadable(Reading *reading) {
    CvmDataset *dataset = reading->dataset;
    char **files = dataset->folder.files.list;
    size_t bytes = (size_t)reading->picture_bytes;
    int64_t kept = 0;
    for (int64_t i = 0; i < dataset->count; i++) {
        if (reading->unreadable[i]) {
            free(files[i]);
            continue;
        }
        if (dataset->pixels && kept < i)
            memcpy(dataset->pixels + (size_t)kept * bytes, dataset->pixels + (size_t)i * bytes,
                   bytes);
        files[kept] = files[i];
        dataset->labels[kept++] = dataset->labels[i];
    }
    dataset->count = dataset->folder.files.count = kept;
}

static bool read_all(Reading *reading, CvmError *error) {
    CvmDataset *dataset = reading->dataset;
    reading->unreadable = calloc((size_t)dataset->count, sizeof *reading->unreadable);
    bool keeps = reading->picture_bytes <= reading->how->keep_bytes / dataset->count;
    if (keeps)
        dataset->pixels = malloc((size_t)(dataset->count * reading->picture_bytes));
    if (!reading->unreadable || (keeps && !dataset->pixels))
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for the pictures of %.800s",
                             dataset->folder.path);
    cvm_pool_run(reading->how->pool, read_part, reading);
    report(reading);
    drop_unreadable(reading);
    for (int c = 0; c < dataset->channels; c++) {
        dataset->sums.values[c] = reading->values[c];
        dataset->sums.squares[c] = reading->squares[c];
    }
    dataset->sums.hashes = reading->hashes;
    return dataset->count > 0 ||
           cvm_error_set(error, CVM_ERROR_INPUT, "%.800s has no picture that can be read",
                         dataset->folder.path);
}

bool cvm_dataset_read_folder(CvmPictureFolder *folder, const CvmFolderReading *how,
                             CvmDataset *dataset, CvmError *error) {
    const CvmPreparation *preparation = &how->preparation;
    *dataset = (CvmDataset){.count = folder->files.count,
                            .channels = preparation->channels,
                            .height = preparation->height,
                            .width = preparation->width,
                            .classes = how->classes,
                            .labels = folder->labels,
                            .folder = *folder,
                            .preparation = *preparation};
    dataset->folder.labels = NULL; /* the data set's now */
    *folder = (CvmPictureFolder){0};
    Reading reading = {.how = how, .dataset = dataset};
    reading.picture_bytes =
        (int64_t)preparation->channels * preparation->height * preparation->width;
    bool done = read_all(&reading, error);
    free(reading.unreadable);
    if (!done)
        cvm_dataset_free(dataset);
    return done;
}

bool cvm_dataset_picture(const CvmDataset *dataset, int64_t sample, uint8_t *pixels,
                         CvmError *error) {
    CvmImage image;
    int64_t bytes = (int64_t)dataset->channels * dataset->height * dataset->width;
    if (dataset->pixels) {
        memcpy(pixels, dataset->pixels + sample * bytes, (size_t)bytes);
        return true;
    }
    if (!read_picture(dataset, sample, &image, error)) {
        error->kind = CVM_ERROR_MACHINE; /* it could be read before */
        return false;
    }
    memcpy(pixels, image.pixels, (size_t)bytes);
    cvm_image_free(&image);
    return true;
}

uint64_t cvm_dataset_hash(const CvmDataset *dataset) {
    int64_t bytes = (int64_t)dataset->channels * dataset->height * dataset->width;
    uint64_t sum = 0;
    if (!dataset->pixels)
        return dataset->sums.hashes;
    for (int64_t i = 0; i < dataset->count; i++)
        sum += cvm_hash((uint64_t)i, dataset->pixels + i * bytes, (size_t)bytes);
    return sum;
}
