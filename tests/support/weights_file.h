/* Weights files for end-to-end tests: another file's tensors, changed one by one. */
#ifndef CVM_TEST_WEIGHTS_FILE_H
#define CVM_TEST_WEIGHTS_FILE_H

#include "runtime/safetensors.h"
#include "tests/support/command.h"

/* Changes a tensor before it is written; false leaves it out. */
typedef bool CvmTestChange(CvmFileTensor *tensor, void *context);

/* Writes the tensors of the file `from` in the place, without its metadata and without optimizer
 * state, to the file `to`. change NULL: as they are. */
void cvm_test_write_weights(const CvmTestPlace *place, const char *from, const char *to,
                            CvmTestChange *change, void *context);

#endif
