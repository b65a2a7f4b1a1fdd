/* See dataset.h: the binary version of CIFAR-10 and CIFAR-100 (Krizhevsky, 2009;
 * https://www.cs.toronto.edu/~kriz/cifar.html). A file has no header: it is one record a picture,
 * its label (CIFAR-100: the coarse and the fine one), and 1024 bytes each of red, green and blue,
 * row by row. */
#include "runtime/dataset.h"

#include "runtime/data_file.h"

#include <stdlib.h>
#include <string.h>

enum { CHANNELS = 3, SIDE = 32, PICTURE_BYTES = CHANNELS * SIDE * SIDE };

static const int64_t MAX_BYTES = (int64_t)1 << 29; /* of a file; the largest real one has 154 MB */

/* The labels before a picture, and which of them counts. */
typedef struct Labels {
    int bytes, chosen;
} Labels;

static const Labels LABELS[] = {
    [CVM_CIFAR10] = {1, 0},
    [CVM_CIFAR100_COARSE] = {2, 0},
    [CVM_CIFAR100_FINE] = {2, 1},
};

static bool grow(CvmDataset *dataset, int64_t count, CvmError *error) {
    uint8_t *pixels = realloc(dataset->pixels, (size_t)count * PICTURE_BYTES);
    dataset->pixels = pixels ? pixels : dataset->pixels;
    int32_t *labels = realloc(dataset->labels, (size_t)count * sizeof *labels);
    dataset->labels = labels ? labels : dataset->labels;
    return (pixels && labels) ||
           cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for %lld pictures", (long long)count);
}

static bool add_records(const CvmDataFile *file, const Labels *labels, const uint8_t *records,
                        int64_t count, CvmDataset *dataset, CvmError *error) {
    int64_t first = dataset->count;
    if (!grow(dataset, first + count, error))
        return false;
    for (int64_t i = 0; i < count; i++, records += labels->bytes + PICTURE_BYTES) {
        int label = records[labels->chosen];
        if (label >= dataset->classes)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "%.800s: label %d of picture %lld is outside of 0 to %d",
                                 file->path, label, (long long)i, dataset->classes - 1);
        dataset->labels[first + i] = label;
        memcpy(dataset->pixels + (first + i) * PICTURE_BYTES, records + labels->bytes,
               PICTURE_BYTES);
    }
    dataset->count += count;
    return true;
}

static bool read_file(const CvmDataFile *file, const Labels *labels, CvmDataset *dataset,
                      CvmError *error) {
    uint8_t *bytes;
    int64_t size, record = labels->bytes + PICTURE_BYTES;
    if (!cvm_data_file_read_rest(file, MAX_BYTES, &bytes, &size, error))
        return false;
    bool done;
    if (size == 0 || size % record)
        done = cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s is no whole file of CIFAR pictures: its %lld bytes do not "
                             "divide into records of %lld",
                             file->path, (long long)size, (long long)record);
    else
        done = add_records(file, labels, bytes, size / record, dataset, error);
    free(bytes);
    return done;
}

bool cvm_dataset_read_cifar(CvmCifarKind kind, const char *const *paths, int path_count,
                            int classes, CvmDataset *dataset, CvmError *error) {
    *dataset =
        (CvmDataset){.channels = CHANNELS, .height = SIDE, .width = SIDE, .classes = classes};
    for (int i = 0; i < path_count; i++) {
        CvmDataFile file;
        bool done = cvm_data_file_open(paths[i], &file, error);
        if (done) {
            done = read_file(&file, &LABELS[kind], dataset, error);
            cvm_data_file_close(&file);
        }
        if (!done) {
            cvm_dataset_free(dataset);
            return false;
        }
    }
    return true;
}
