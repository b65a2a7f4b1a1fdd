/* Any bytes as files of a data set: IDX pictures of 2x2, IDX labels, and CIFAR's records; plain or
 * gzip. Refused with a sentence, or every label is a class and every pixel is there. */
#include "runtime/dataset.h"
#include "tests/support/memory_file.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES = 100 };

static void check(bool read, CvmDataset *data, const CvmError *error) {
    if (!read) {
        if (error->kind == CVM_ERROR_NONE || !*error->message || data->pixels || data->labels)
            abort();
        return;
    }
    for (int64_t i = 0; i < data->count; i++)
        if (data->labels[i] < 0 || data->labels[i] >= CLASSES)
            abort();
    cvm_normalization_of(data); /* reads every pixel */
    cvm_dataset_free(data);
}

static void read_idx(const char *images, const char *labels) {
    CvmDataset data;
    CvmError error = {0};
    const CvmShape image = {3, {1, 2, 2}};
    check(cvm_dataset_read_idx(images, labels, image, CLASSES, &data, &error), &data, &error);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    static const uint8_t images[] = {0, 0, 8, 3, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 2, 9, 8, 7, 6};
    static const uint8_t labels[] = {0, 0, 8, 1, 0, 0, 0, 1, 5};
    CvmMemoryFile file = cvm_memory_file(bytes, size);
    CvmMemoryFile sound_images = cvm_memory_file(images, sizeof images);
    CvmMemoryFile sound_labels = cvm_memory_file(labels, sizeof labels);
    read_idx(file.path, sound_labels.path);
    read_idx(sound_images.path, file.path);
    for (CvmCifarKind kind = CVM_CIFAR10; kind <= CVM_CIFAR100_FINE; kind++) {
        CvmDataset data;
        CvmError error = {0};
        const char *path = file.path;
        check(cvm_dataset_read_cifar(kind, &path, 1, CLASSES, &data, &error), &data, &error);
    }
    cvm_memory_file_close(&file);
    cvm_memory_file_close(&sound_images);
    cvm_memory_file_close(&sound_labels);
    return 0;
}
