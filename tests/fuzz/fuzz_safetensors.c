/* Any bytes as a safetensors file: refused with a sentence, or every tensor is inside and can be
 * read. */
#include "runtime/safetensors.h"

#include <stdlib.h>
#include <string.h>

/* The parser promises that a tensor's data lies within the bytes: AddressSanitizer checks it. */
static void read_tensor(const CvmFileTensor *tensor) {
    CvmError error;
    int64_t count;
    if (!cvm_shape_count(&tensor->shape, &count) ||
        count * cvm_file_dtype_bytes(tensor->dtype) != tensor->bytes)
        abort();
    void *values = malloc((size_t)count * 4 + 1);
    if (!values)
        return;
    cvm_file_tensor_read_f32(tensor, values, &error);
    cvm_file_tensor_read_i32(tensor, values, &error);
    free(values);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) {
    CvmTensorFile file;
    CvmError error = {0};
    if (!cvm_tensor_file_parse(bytes, (int64_t)size, &file, &error)) {
        if (error.kind == CVM_ERROR_NONE || strlen(error.message) == 0)
            abort();
        return 0;
    }
    int64_t sum = 0;
    for (int i = 0; i < file.count; i++) {
        read_tensor(&file.tensors[i]);
        sum += file.tensors[i].bytes;
        if (!cvm_tensor_file_find(&file, file.tensors[i].name))
            abort();
    }
    for (int i = 0; i < file.metadata_count; i++)
        if (!cvm_tensor_file_metadata(&file, file.metadata[i].key))
            abort();
    if (sum > (int64_t)size)
        abort();
    cvm_tensor_file_close(&file);
    return 0;
}
