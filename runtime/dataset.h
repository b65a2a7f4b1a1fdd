/* Labelled pictures, and how their bytes become the network's input. */
#ifndef CVM_RUNTIME_DATASET_H
#define CVM_RUNTIME_DATASET_H

#include "runtime/augment.h"
#include "runtime/normalization.h"
#include "runtime/picture_folder.h"
#include "runtime/pool.h"
#include "runtime/preparation.h"
#include "runtime/tensor.h"

/* Sums over all pixels of each channel (and of hashes of the pictures); whole numbers, so that they
 * have one value in any order. */
typedef struct CvmPixelSums {
    uint64_t values[CVM_MAX_CHANNELS], squares[CVM_MAX_CHANNELS], hashes;
} CvmPixelSums;

typedef struct CvmDataset {
    int64_t count;
    int channels, height, width;
    int classes;
    uint8_t *pixels; /* [count, channels, height, width]; NULL: each is read when it is wanted */
    int32_t *labels; /* [count], each < classes */

    /* where they are read from when it is wanted */
    CvmPictureFolder folder; /* its pictures are `count` */
    CvmPreparation preparation;
    CvmPixelSums sums;
} CvmDataset;

/* Reads a pair of IDX files (http://yann.lecun.com/exdb/mnist: big-endian magic 0x00000803 images,
 * 0x00000801 labels), plain or gzip; where a path does not exist, the path with ".gz" is tried.
 * Errors: missing or unreadable file (machine); wrong magic, truncated, too long, counts that
 * differ, a label >= classes, pictures of another size than image = [1, height, width] (input). */
bool cvm_dataset_read_idx(const char *images, const char *labels, CvmShape image, int classes,
                          CvmDataset *dataset, CvmError *error);

/* Which of a file's labels count. */
typedef enum CvmCifarKind { CVM_CIFAR10, CVM_CIFAR100_COARSE, CVM_CIFAR100_FINE } CvmCifarKind;

/* Reads files of CIFAR's binary version, one after another, plain or gzip as above: pictures of [3,
 * 32, 32]. Errors: a missing or unreadable file (machine); one that is no whole number of pictures,
 * a label >= classes (input). */
bool cvm_dataset_read_cifar(CvmCifarKind kind, const char *const *paths, int path_count,
                            int classes, CvmDataset *dataset, CvmError *error);

/* How the pictures of a folder are read. */
typedef struct CvmFolderReading {
    CvmPreparation preparation;
    int classes;
    int64_t keep_bytes; /* they are kept in memory if they need no more than this */
    CvmPool *pool;      /* its threads read side by side */
    /* Called for each of the first unreadable pictures, and for the number of the rest. */
    void (*report)(void *context, const char *message);
    void *context;
} CvmFolderReading;

/* Reads every picture of the folder, which it takes over (on error, too). Those that cannot be read
 * are reported and left out. Where the others do not fit into keep_bytes, they are read again
 * whenever they are wanted. Errors: none is left (input), no memory (machine). */
bool cvm_dataset_read_folder(CvmPictureFolder *folder, const CvmFolderReading *reading,
                             CvmDataset *dataset, CvmError *error);

/* Chooses `wanted` of `count` pictures at random, as many of each class as of another as far as
 * they go: the same ones for a seed. taken[count] is written. Errors: there are fewer (input), no
 * memory (machine). */
bool cvm_take(const int32_t *labels, int64_t count, int classes, int64_t wanted, uint64_t seed,
              bool *taken, CvmError *error);

/* Keeps these of a data set in memory, or of a folder that is yet to be read. */
bool cvm_dataset_take(CvmDataset *dataset, int64_t wanted, uint64_t seed, CvmError *error);
bool cvm_picture_folder_take(CvmPictureFolder *folder, int classes, int64_t wanted, uint64_t seed,
                             CvmError *error);

/* Of all pixels in their order: whether two data sets have the same pictures. */
uint64_t cvm_dataset_hash(const CvmDataset *dataset);

void cvm_dataset_free(CvmDataset *dataset);

/* The pixels of one picture, [channels, height, width]. Error (only of a data set that is not in
 * memory): it cannot be read any more (machine). */
bool cvm_dataset_picture(const CvmDataset *dataset, int64_t sample, uint8_t *pixels,
                         CvmError *error);

/* Per-channel mean and deviation of the data set (exact integer sums; a deviation of 0 counts as
 * 1). */
CvmNormalization cvm_normalization_of(const CvmDataset *dataset);

/* Pictures of a data set on their way into a network's input. */
typedef struct CvmBatch {
    const CvmDataset *data;
    const CvmNormalization *normalization;
    const CvmAugmentation *augmentation; /* NULL: as they are */
    const int32_t *samples;              /* [count], indices into the data set */
    int64_t count;
    float *images;   /* f32 [count, c, h, w], of cvm_dataset_shape */
    int32_t *labels; /* i32 [count] */
} CvmBatch;

/* [count, c, h, w] of so many pictures, augmented unless that is NULL. */
CvmShape cvm_dataset_shape(const CvmDataset *dataset, const CvmAugmentation *augmentation,
                           int64_t count);

/* And how many numbers one has. */
int64_t cvm_dataset_numbers(const CvmDataset *dataset, const CvmAugmentation *augmentation);

/* Writes the pictures, augmented and then normalized, and their labels. Errors: as for
 * cvm_dataset_picture, and no memory to augment or read a picture (machine). */
bool cvm_dataset_fill(const CvmBatch *batch, CvmError *error);

/* A permutation of 0..count-1 that depends on (seed, epoch) alone: Fisher-Yates over Philox
 * numbers. */
void cvm_shuffle(int32_t *order, int64_t count, uint64_t seed, uint64_t epoch);

#endif
