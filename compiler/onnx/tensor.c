/* See model.h: tensors. A TensorProto has its elements as raw bytes, in a list of its own type
 * (16-bit floats as whole numbers in the list of int32), or in a file beside the model. */
#include "compiler/onnx/model.h"

#include "runtime/text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { EXTERNAL = 1 };

typedef struct TypeRow {
    int32_t onnx;
    CvmFileDtype dtype;
} TypeRow;

static const TypeRow TYPES[] = {
    {CVM_ONNX_FLOAT, CVM_FILE_F32},     {CVM_ONNX_FLOAT16, CVM_FILE_F16},
    {CVM_ONNX_BFLOAT16, CVM_FILE_BF16}, {CVM_ONNX_DOUBLE, CVM_FILE_F64},
    {CVM_ONNX_INT64, CVM_FILE_I64},     {CVM_ONNX_INT32, CVM_FILE_I32},
    {CVM_ONNX_UINT8, CVM_FILE_U8},      {CVM_ONNX_BOOL, CVM_FILE_U8},
};

static bool wrong(const CvmFileTensor *tensor, CvmError *error, const char *what) {
    return cvm_error_set(error, CVM_ERROR_INPUT, "tensor '%s' %s", cvm_shown(tensor->name).text,
                         what);
}

static bool read_type(const Onnx__TensorProto *tensor, CvmFileTensor *read, CvmError *error) {
    for (size_t i = 0; i < sizeof TYPES / sizeof *TYPES; i++)
        if (tensor->data_type == TYPES[i].onnx) {
            read->dtype = TYPES[i].dtype;
            return true;
        }
    return cvm_error_set(error, CVM_ERROR_INPUT,
                         "tensor '%s' has elements of type %d, which is not read (float, float16, "
                         "bfloat16, double, int64, int32, uint8 and bool are)",
                         cvm_shown(read->name).text, (int)tensor->data_type);
}

static bool read_shape(const Onnx__TensorProto *tensor, CvmFileTensor *read, CvmError *error) {
    int64_t count;
    if (tensor->n_dims > CVM_MAX_RANK)
        return wrong(read, error, "has more than 4 axes");
    read->shape.rank = (int)tensor->n_dims;
    for (int i = 0; i < read->shape.rank; i++)
        read->shape.sizes[i] = tensor->dims[i];
    if (!cvm_shape_count(&read->shape, &count) ||
        __builtin_mul_overflow(count, cvm_file_dtype_bytes(read->dtype), &read->bytes))
        return wrong(read, error, "has a size that no memory could hold");
    return true;
}

static bool take(const void *data, size_t bytes, CvmFileTensor *read, CvmError *error) {
    if ((int64_t)bytes != read->bytes)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "tensor '%s' has %lld bytes of data, and its shape says %lld",
                             cvm_shown(read->name).text, (long long)bytes, (long long)read->bytes);
    read->data = data;
    return true;
}

/* --- in lists --- */

/* The int32 list holds what has 8 or 16 bits: its lower bytes are the elements. */
static bool take_narrow(CvmOnnxModel *model, const Onnx__TensorProto *tensor, CvmFileTensor *read,
                        CvmError *error) {
    size_t size = (size_t)cvm_file_dtype_bytes(read->dtype);
    char *data = cvm_arena_array(model->arena, tensor->n_int32_data + 1, size);
    for (size_t i = 0; i < tensor->n_int32_data; i++)
        memcpy(data + i * size, &tensor->int32_data[i], size);
    return take(data, tensor->n_int32_data * size, read, error);
}

static bool take_list(CvmOnnxModel *model, const Onnx__TensorProto *tensor, CvmFileTensor *read,
                      CvmError *error) {
    switch (read->dtype) {
    case CVM_FILE_F32:
        return take(tensor->float_data, tensor->n_float_data * sizeof(float), read, error);
    case CVM_FILE_F64:
        return take(tensor->double_data, tensor->n_double_data * sizeof(double), read, error);
    case CVM_FILE_I64:
        return take(tensor->int64_data, tensor->n_int64_data * sizeof(int64_t), read, error);
    case CVM_FILE_I32:
        return take(tensor->int32_data, tensor->n_int32_data * sizeof(int32_t), read, error);
    case CVM_FILE_F16:
    case CVM_FILE_BF16:
    case CVM_FILE_U8:
        break;
    }
    return take_narrow(model, tensor, read, error);
}

/* --- in a file beside the model --- */

/* Whether a path stays in the folder: not absolute, and without a part "..". */
static bool stays_inside(const char *path) {
    if (path[0] == '/' || path[0] == 0)
        return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == 0))
            return false;
    }
    return true;
}

static const char *entry(const Onnx__TensorProto *tensor, const char *key) {
    for (size_t i = 0; i < tensor->n_external_data; i++) {
        const Onnx__StringStringEntryProto *one = tensor->external_data[i];
        if (one->key && one->value && strcmp(one->key, key) == 0)
            return one->value;
    }
    return NULL;
}

/* An offset or length; `otherwise` when it is not stated. */
static bool entry_number(const Onnx__TensorProto *tensor, const char *key, int64_t otherwise,
                         int64_t *number) {
    const char *text = entry(tensor, key);
    char *end;
    *number = otherwise;
    if (!text)
        return true;
    errno = 0;
    *number = strtoll(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && !*end && !errno;
}

static const CvmMappedFile *data_file(CvmOnnxModel *model, const char *location, CvmError *error) {
    for (const CvmOnnxDataFile *one = model->data_files; one; one = one->next)
        if (strcmp(one->location, location) == 0)
            return &one->file;
    CvmOnnxDataFile *opened = CVM_NEW(model->arena, CvmOnnxDataFile);
    opened->location = location;
    if (!cvm_mapped_file_open(
            cvm_arena_format(model->arena, "%s/%s", model->folder, cvm_shown(location).text),
            &opened->file, error))
        return NULL;
    opened->next = model->data_files;
    model->data_files = opened;
    return &opened->file;
}

static bool take_external(CvmOnnxModel *model, const Onnx__TensorProto *tensor, CvmFileTensor *read,
                          CvmError *error) {
    const char *location = entry(tensor, "location");
    int64_t offset, length;
    if (!location || !stays_inside(location))
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "tensor '%s' has its data in '%s', which is no file in the model's "
                             "own folder",
                             cvm_shown(read->name).text, cvm_shown(location ? location : "").text);
    if (strlen(location) >= CVM_SHOWN_BYTES)
        return wrong(read, error, "has its data in a file whose name is too long");
    if (!model->folder)
        return wrong(read, error, "has its data in another file, which is not read here");
    if (!entry_number(tensor, "offset", 0, &offset) ||
        !entry_number(tensor, "length", read->bytes, &length))
        return wrong(read, error, "has an offset or length that is no number");
    const CvmMappedFile *file = data_file(model, location, error);
    if (!file)
        return false;
    if (offset > file->size || length > file->size - offset)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "tensor '%s' has its data beyond the end of '%s'",
                             cvm_shown(read->name).text, cvm_shown(location).text);
    return take((const char *)file->bytes + offset, (size_t)length, read, error);
}

bool cvm_onnx_tensor(CvmOnnxModel *model, const Onnx__TensorProto *tensor, CvmFileTensor *read,
                     CvmError *error) {
    *read = (CvmFileTensor){.name = tensor->name ? tensor->name : ""};
    if (!read_type(tensor, read, error) || !read_shape(tensor, read, error))
        return false;
    if (tensor->data_location == EXTERNAL)
        return take_external(model, tensor, read, error);
    if (tensor->has_raw_data)
        return take(tensor->raw_data.data, tensor->raw_data.len, read, error);
    return take_list(model, tensor, read, error);
}
