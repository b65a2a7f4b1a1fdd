/* Labelled pictures in memory, and how their bytes become the network's input. */
#ifndef CVM_RUNTIME_DATASET_H
#define CVM_RUNTIME_DATASET_H

#include "runtime/error.h"
#include "runtime/tensor.h"

enum { CVM_MAX_CHANNELS = 4 };

typedef struct CvmDataset {
    int64_t count;
    int channels, height, width;
    int classes;
    uint8_t *pixels; /* [count, channels, height, width] */
    uint8_t *labels; /* [count], each < classes */
} CvmDataset;

/* input = (pixel / 255 - mean[c]) / deviation[c] */
typedef struct CvmNormalization {
    int channels;
    double mean[CVM_MAX_CHANNELS], deviation[CVM_MAX_CHANNELS];
} CvmNormalization;

/* Reads a pair of IDX files (http://yann.lecun.com/exdb/mnist: big-endian magic 0x00000803 images,
 * 0x00000801 labels), plain or gzip; where a path does not exist, the path with ".gz" is tried.
 * Errors: missing or unreadable file (machine); wrong magic, truncated, too long, counts that
 * differ, a label >= classes, pictures of another size than image = [1, height, width] (input). */
bool cvm_dataset_read_idx(const char *images, const char *labels, CvmShape image, int classes,
                          CvmDataset *dataset, CvmError *error);
void cvm_dataset_free(CvmDataset *dataset);

/* mean 0, deviation 1: pixels / 255. */
CvmNormalization cvm_normalization_unit(int channels);
/* Per-channel mean and deviation of the data set (exact integer sums; a deviation of 0 counts as
 * 1). */
CvmNormalization cvm_normalization_of(const CvmDataset *dataset);

/* Writes pictures samples[0..count) as f32 [count, c, h, w], normalized. */
void cvm_dataset_fill(const CvmDataset *dataset, const CvmNormalization *normalization,
                      const int32_t *samples, int64_t count, float *images, int32_t *labels);

/* A permutation of 0..count-1 that depends on (seed, epoch) alone: Fisher-Yates over Philox
 * numbers. */
void cvm_shuffle(int32_t *order, int64_t count, uint64_t seed, uint64_t epoch);

#endif
