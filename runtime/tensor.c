/* See tensor.h. */
#include "runtime/tensor.h"

#include <stdio.h>

bool cvm_shape_count(const CvmShape *shape, int64_t *count) {
    int64_t product = 1;
    for (int i = 0; i < shape->rank; i++)
        if (shape->sizes[i] < 0 || __builtin_mul_overflow(product, shape->sizes[i], &product))
            return false;
    *count = product;
    return true;
}

bool cvm_shape_equal(const CvmShape *a, const CvmShape *b) {
    if (a->rank != b->rank)
        return false;
    for (int i = 0; i < a->rank; i++)
        if (a->sizes[i] != b->sizes[i])
            return false;
    return true;
}

char *cvm_shape_text(const CvmShape *shape, char *text, size_t size) {
    size_t used = (size_t)snprintf(text, size, "[");
    for (int i = 0; i < shape->rank && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%lld", i ? ", " : "",
                                 (long long)shape->sizes[i]);
    if (used < size)
        snprintf(text + used, size - used, "]");
    return text;
}

size_t cvm_dtype_bytes(CvmDtype dtype) {
    return dtype == CVM_BF16 ? 2 : 4;
}

const char *cvm_dtype_name(CvmDtype dtype) {
    return dtype == CVM_F32 ? "f32" : dtype == CVM_I32 ? "i32" : "bf16";
}
