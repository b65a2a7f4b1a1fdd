/* See safetensors.h: elements of a file's tensor as f32 or i32. The data has no alignment, so every
 * element is copied out of its bytes. */
#include "runtime/safetensors.h"

#include "runtime/bfloat16.h"
#include "runtime/text.h"

#include <string.h>

static int64_t element_count(const CvmFileTensor *tensor) {
    return tensor->bytes / cvm_file_dtype_bytes(tensor->dtype);
}

static float float_of_bits(uint32_t bits) {
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* IEEE 754 binary16: 1 sign, 5 exponent (bias 15), 10 fraction bits. */
static float float_of_half(uint16_t half) {
    uint32_t sign = (uint32_t)(half >> 15) << 31;
    uint32_t exponent = half >> 10 & 0x1F, fraction = half & 0x3FF;
    if (exponent == 0) { /* zero or subnormal: fraction * 2^-24, exact in f32 */
        float magnitude = (float)fraction * 0x1p-24f;
        return sign ? -magnitude : magnitude;
    }
    uint32_t wide = exponent == 0x1F ? 0xFF : exponent - 15 + 127;
    return float_of_bits(sign | wide << 23 | fraction << 13);
}

static void read_halves(const uint8_t *bytes, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t half;
        memcpy(&half, bytes + 2 * i, sizeof half);
        out[i] = float_of_half(half);
    }
}

static void read_bfloats(const uint8_t *bytes, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        uint16_t upper;
        memcpy(&upper, bytes + 2 * i, sizeof upper);
        out[i] = cvm_bfloat16_value(upper);
    }
}

static void read_doubles(const uint8_t *bytes, int64_t count, float *out) {
    for (int64_t i = 0; i < count; i++) {
        double value;
        memcpy(&value, bytes + 8 * i, sizeof value);
        out[i] = (float)value;
    }
}

static bool wrong_type(const CvmFileTensor *tensor, const char *wanted, CvmError *error) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "tensor '%s' is %s, where %s is needed",
                         cvm_shown(tensor->name).text, cvm_file_dtype_name(tensor->dtype), wanted);
}

bool cvm_file_tensor_read_f32(const CvmFileTensor *tensor, float *out, CvmError *error) {
    int64_t count = element_count(tensor);
    switch (tensor->dtype) {
    case CVM_FILE_F32:
        if (count > 0)
            memcpy(out, tensor->data, (size_t)tensor->bytes);
        return true;
    case CVM_FILE_F16:
        read_halves(tensor->data, count, out);
        return true;
    case CVM_FILE_BF16:
        read_bfloats(tensor->data, count, out);
        return true;
    case CVM_FILE_F64:
        read_doubles(tensor->data, count, out);
        return true;
    case CVM_FILE_I64:
    case CVM_FILE_I32:
    case CVM_FILE_U8:
        break;
    }
    return wrong_type(tensor, "a floating-point type", error);
}

static bool read_longs(const CvmFileTensor *tensor, int32_t *out, CvmError *error) {
    const uint8_t *bytes = tensor->data;
    for (int64_t i = 0; i < element_count(tensor); i++) {
        int64_t value;
        memcpy(&value, bytes + 8 * i, sizeof value);
        if (value < INT32_MIN || value > INT32_MAX)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "tensor '%s' holds %lld, which does not fit in 32 bits",
                                 cvm_shown(tensor->name).text, (long long)value);
        out[i] = (int32_t)value;
    }
    return true;
}

bool cvm_file_tensor_read_i32(const CvmFileTensor *tensor, int32_t *out, CvmError *error) {
    const uint8_t *bytes = tensor->data;
    switch (tensor->dtype) {
    case CVM_FILE_I32:
        if (tensor->bytes > 0)
            memcpy(out, tensor->data, (size_t)tensor->bytes);
        return true;
    case CVM_FILE_I64:
        return read_longs(tensor, out, error);
    case CVM_FILE_U8:
        for (int64_t i = 0; i < tensor->bytes; i++)
            out[i] = bytes[i];
        return true;
    case CVM_FILE_F32:
    case CVM_FILE_F16:
    case CVM_FILE_BF16:
    case CVM_FILE_F64:
        break;
    }
    return wrong_type(tensor, "a whole-number type", error);
}
