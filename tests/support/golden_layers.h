/* The architectures of reference models, written as one line of text (a model file's `layers`):
 *
 *   conv6k5p2 relu maxpool3s2 flatten linear120        conv: channels, then kernel, stride, pad,
 * groups, dilation (conv3x3p1 relu)x8,M,16,M flatten linear10         the bracket once for each
 * number; M: maxpool2 */
#ifndef CVM_TEST_GOLDEN_LAYERS_H
#define CVM_TEST_GOLDEN_LAYERS_H

#include "compiler/graph/op.h"

enum { CVM_GOLDEN_MAX_LAYERS = 256 };

typedef struct CvmGoldenLayer {
    CvmOp op;         /* CVM_OP_COUNT: not in the table */
    const char *name; /* as the table would call it: "batchnorm" */
    int64_t channels; /* conv's and linear's outputs, lrn's size; 0 where the text gives none */
    int64_t kernel[2], stride, pad, groups, dilation;
} CvmGoldenLayer;

/* Reads the line into `layers` (of CVM_GOLDEN_MAX_LAYERS) and returns how many there are. Fails the
 * test where the text is not in the form above. */
int cvm_golden_layers(const char *text, CvmGoldenLayer *layers, CvmArena *arena);

#endif
