/* A data set small enough to learn in a second: 28x28 grey pictures of four kinds of stripes and
 * squares under noise, the same at every call. */
#ifndef CVM_TEST_PATTERNS_H
#define CVM_TEST_PATTERNS_H

#include "tests/support/command.h"

#include <stdint.h>

enum { CVM_PATTERN_SIDE = 28, CVM_PATTERN_CLASSES = 4 };

/* Names of the kinds. */
extern const char *const cvm_pattern_names[CVM_PATTERN_CLASSES];

/* Picture `index` of the kind. */
void cvm_test_pattern(int kind, uint32_t index, uint8_t pixels[28 * 28]);

/* Writes data/patterns/{train,test}-{images,labels} in the IDX format. */
void cvm_test_write_patterns(const CvmTestPlace *place, int train_count, int test_count);

/* Writes one as a PNG. */
void cvm_test_write_pattern_png(const CvmTestPlace *place, const char *path, int kind,
                                uint32_t index);

#endif
