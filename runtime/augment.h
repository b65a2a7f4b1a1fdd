/* Augmentation: each epoch sees its own variant of a picture to learn from. What a picture becomes
 * depends on the seed, the epoch and the picture's number alone, so that threads, reading ahead and
 * resuming change no bit. */
#ifndef CVM_RUNTIME_AUGMENT_H
#define CVM_RUNTIME_AUGMENT_H

#include "runtime/image.h"

/* The numbers are part of what is drawn: adding one must not change the others. */
typedef enum CvmAugmentKind {
    CVM_AUGMENT_FLIP_HORIZONTAL, /* left to right, with probability `amount` */
    CVM_AUGMENT_FLIP_VERTICAL,   /* upside down, the same */
    CVM_AUGMENT_SHIFT, /* (less than the picture's size) by -rows … rows and -columns … columns
                          pixels, all equally likely; what comes in is 0: a random crop after
                          padding (He et al. 2016, section 4.2) */
    CVM_AUGMENT_CROP,  /* height x width pixels at a random place of a larger picture; with `amount`
                          below 1 a part of `amount` … 1 of its area and 3:4 … 4:3 as wide as high,
                          scaled to that size (Szegedy et al. 2015, section 6) */
    CVM_AUGMENT_BRIGHTNESS, /* times 1 - amount … 1 + amount */
    CVM_AUGMENT_CONTRAST,   /* the distance from the picture's mean grey, the same */
    CVM_AUGMENT_ERASE, /* with probability `amount` noise over a rectangle of 0.02 … 0.4 of the area
                          (Zhong et al. 2020, with its section 4's numbers) */
    CVM_AUGMENT_KINDS
} CvmAugmentKind;

typedef struct CvmAugmentStep {
    CvmAugmentKind kind;
    double amount;
    int rows, columns; /* SHIFT */
} CvmAugmentStep;

typedef struct CvmAugmentation {
    CvmAugmentStep steps[CVM_AUGMENT_KINDS]; /* in the order in which they are done; each kind once
                                                at most */
    int count;
    int height, width; /* of what comes out */
    uint64_t seed, epoch;
} CvmAugmentation;

/* Bytes of memory that augmenting a picture of this size needs. */
size_t cvm_augment_bytes(const CvmAugmentation *augmentation, int channels, int height, int width);

/* Makes of a picture, number `sample` of its data set, what this epoch sees of it: its pixels
 * [channels, height, width], as the augmentation has them, lie in `memory` (cvm_augment_bytes).
 * NULL on error: no memory to scale it (machine). */
const uint8_t *cvm_augment(const CvmAugmentation *augmentation, const CvmImage *picture,
                           uint32_t sample, uint8_t *memory, CvmError *error);

#endif
