/* A file of reference values read whole: what golden.c builds graphs from. */
#ifndef CVM_TEST_GOLDEN_READER_H
#define CVM_TEST_GOLDEN_READER_H

#include "runtime/safetensors.h"
#include "tests/support/golden.h"

typedef struct CvmGoldenInput {
    const char *name; /* the file's, without folder and ending */
    CvmGoldenTensor *tensors;
    int tensor_count;
    CvmFileText *metadata;
    int metadata_count;
} CvmGoldenInput;

/* Fails the test when the file cannot be read. */
CvmGoldenInput cvm_golden_input(const char *path, CvmArena *arena);

/* NULL when there is none of that name or key. */
const CvmGoldenTensor *cvm_golden_tensor(const CvmGoldenInput *input, const char *name);
const char *cvm_golden_text(const CvmGoldenInput *input, const char *key);

/* The key's number; fails the test when there is none. */
double cvm_golden_number(const CvmGoldenInput *input, const char *key);

/* Reads "2", "2,1", "[2, 1]" or "2x1" into numbers (of 4) and returns how many there are; 0 when
 * the text is not whole numbers. */
int cvm_golden_integers(const char *text, int64_t *numbers);

#endif
