/* See weights_file.h. */
#include "tests/support/weights_file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

void cvm_test_write_weights(const CvmTestPlace *place, const char *from, const char *to,
                            CvmTestChange *change, void *context) {
    char path[512];
    CvmTensorFile file;
    CvmError error;
    snprintf(path, sizeof path, "%s/%s", place->folder, from);
    if (!cvm_tensor_file_open(path, &file, &error))
        fail_msg("%s", error.message);
    CvmFileTensor *tensors = calloc((size_t)file.count + 1, sizeof *tensors);
    assert_non_null(tensors);
    int count = 0;
    for (int i = 0; i < file.count; i++) {
        CvmFileTensor tensor = file.tensors[i];
        if (strncmp(tensor.name, "optimizer.", 10) != 0 && (!change || change(&tensor, context)))
            tensors[count++] = tensor;
    }
    snprintf(path, sizeof path, "%s/%s", place->folder, to);
    if (!cvm_tensor_file_write(path, tensors, count, NULL, 0, &error))
        fail_msg("%s", error.message);
    free(tensors);
    cvm_tensor_file_close(&file);
}
