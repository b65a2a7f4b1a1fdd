/* A folder data set of coloured shapes, 32x32, one sub-folder a class: the class is a shape in a
 * colour, so that neither of the two suffices. The same at every call. */
#ifndef CVM_TEST_SHAPES_H
#define CVM_TEST_SHAPES_H

#include "runtime/image.h"
#include "tests/support/command.h"

#include <stdint.h>

enum { CVM_SHAPE_SIDE = 32, CVM_SHAPE_CLASSES = 6 };

extern const char *const cvm_shape_classes[CVM_SHAPE_CLASSES]; /* sorted */

/* Picture `index` of the class, freed by the caller. */
CvmImage cvm_test_shape(int class, uint32_t index);

/* Writes `count` of each class to FOLDER/class/NNN.png. */
void cvm_test_write_shapes(const CvmTestPlace *place, const char *folder, int count);

#endif
