/* See dataset.h: reading IDX files. An IDX file is a big-endian magic number whose last byte is the
 * number of dimensions, the dimensions' sizes, and the bytes. */
#include "runtime/dataset.h"

#include "runtime/data_file.h"

#include <stdlib.h>

enum {
    IMAGES_MAGIC = 0x803,
    LABELS_MAGIC = 0x801,
    MAX_DIMENSIONS = 3,
};

static const int64_t MAX_BYTES = (int64_t)1 << 32; /* of pictures in one file */

/* An IDX file's content. */
typedef struct Idx {
    uint32_t sizes[MAX_DIMENSIONS];
    uint8_t *bytes;
    int64_t size;
} Idx;

static uint32_t big_endian(const uint8_t bytes[4]) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

/* Reads magic and sizes; the number of bytes that must follow goes to idx->size. */
static bool read_header(const CvmDataFile *file, uint32_t magic, Idx *idx, CvmError *error) {
    int dimensions = magic & 0xFF;
    uint8_t header[4 + 4 * MAX_DIMENSIONS];
    if (!cvm_data_file_read(file, header, 4, error))
        return false;
    if (big_endian(header) != magic)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s is not an IDX file of %s: it begins with 0x%08x, not 0x%08x",
                             file->path, magic == IMAGES_MAGIC ? "pictures" : "labels",
                             big_endian(header), magic);
    if (!cvm_data_file_read(file, header + 4, 4 * dimensions, error))
        return false;
    idx->size = 1;
    for (int i = 0; i < dimensions; i++) {
        idx->sizes[i] = big_endian(header + 4 + 4 * i);
        if (__builtin_mul_overflow(idx->size, (int64_t)idx->sizes[i], &idx->size) ||
            idx->size > MAX_BYTES)
            return cvm_data_file_wrong(file, "claims to hold more than 4 GiB", error);
    }
    if (idx->sizes[0] == 0)
        return cvm_data_file_wrong(file, "holds no samples", error);
    if (idx->sizes[0] > INT32_MAX)
        return cvm_data_file_wrong(file, "claims to hold more than 2^31 samples", error);
    return true;
}

static bool read_idx(const CvmDataFile *file, uint32_t magic, Idx *idx, CvmError *error) {
    *idx = (Idx){0};
    if (read_header(file, magic, idx, error) &&
        cvm_data_file_read_body(file, idx->size, &idx->bytes, error) &&
        cvm_data_file_check_end(file, error))
        return true;
    free(idx->bytes);
    idx->bytes = NULL;
    return false;
}

/* Reads the pictures into *dataset. */
static bool read_images(const CvmDataFile *file, CvmShape image, CvmDataset *dataset,
                        CvmError *error) {
    Idx idx;
    if (!read_idx(file, IMAGES_MAGIC, &idx, error))
        return false;
    if (image.rank != 3 || image.sizes[0] != 1 || image.sizes[1] != idx.sizes[1] ||
        image.sizes[2] != idx.sizes[2]) {
        char wanted[128];
        free(idx.bytes);
        return cvm_error_set(
            error, CVM_ERROR_INPUT, "%.600s holds pictures of [1, %u, %u], where %s are needed",
            file->path, idx.sizes[1], idx.sizes[2], cvm_shape_text(&image, wanted, sizeof wanted));
    }
    dataset->count = idx.sizes[0];
    dataset->channels = 1;
    dataset->height = (int)idx.sizes[1];
    dataset->width = (int)idx.sizes[2];
    dataset->pixels = idx.bytes;
    return true;
}

static bool take_labels(const CvmDataFile *file, const Idx *idx, CvmDataset *dataset,
                        CvmError *error) {
    if (idx->sizes[0] != dataset->count)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s holds %u labels for %lld pictures",
                             file->path, idx->sizes[0], (long long)dataset->count);
    dataset->labels = malloc((size_t)idx->size * sizeof *dataset->labels);
    if (!dataset->labels)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read %.800s", file->path);
    for (int64_t i = 0; i < idx->size; i++) {
        if (idx->bytes[i] >= dataset->classes)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "%.800s: label %d of sample %lld is outside of 0 to %d",
                                 file->path, idx->bytes[i], (long long)i, dataset->classes - 1);
        dataset->labels[i] = idx->bytes[i];
    }
    return true;
}

/* Reads the labels of the pictures that *dataset has. */
static bool read_labels(const CvmDataFile *file, int classes, CvmDataset *dataset,
                        CvmError *error) {
    Idx idx;
    if (!read_idx(file, LABELS_MAGIC, &idx, error))
        return false;
    dataset->classes = classes;
    bool fit = take_labels(file, &idx, dataset, error);
    free(idx.bytes);
    return fit;
}

bool cvm_dataset_read_idx(const char *images, const char *labels, CvmShape image, int classes,
                          CvmDataset *dataset, CvmError *error) {
    CvmDataFile file;
    *dataset = (CvmDataset){0};
    if (!cvm_data_file_open(images, &file, error))
        return false;
    bool done = read_images(&file, image, dataset, error);
    cvm_data_file_close(&file);
    if (!done)
        return false;
    done = cvm_data_file_open(labels, &file, error);
    if (done) {
        done = read_labels(&file, classes, dataset, error);
        cvm_data_file_close(&file);
    }
    if (!done)
        cvm_dataset_free(dataset);
    return done;
}
