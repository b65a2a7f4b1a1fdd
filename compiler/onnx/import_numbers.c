/* See import.h: shapes. Exporters write "flatten" as Reshape, and often compute its target from the
 * tensor's own shape with Shape, Gather, Unsqueeze and Concat. Those numbers are worked out here,
 * the batch size as a number that nobody knows; what is left is flatten, or nothing. */
#include "compiler/onnx/import.h"

#include <string.h>

static bool give_numbers(CvmOnnxImport *import, const CvmOnnxValue *numbers) {
    import->result = *numbers;
    import->result.kind = CVM_ONNX_NUMBERS;
    return true;
}

/* Whether input i is numbers about a shape, or a constant of whole numbers. */
static bool is_numbers(const CvmOnnxImport *import, int i) {
    const CvmOnnxValue *value = cvm_onnx_has_input(import, i) ? import->inputs[i] : NULL;
    return value && (value->kind == CVM_ONNX_NUMBERS ||
                     (value->kind == CVM_ONNX_CONSTANT && (value->constant.dtype == CVM_FILE_I64 ||
                                                           value->constant.dtype == CVM_FILE_I32)));
}

bool cvm_onnx_read_identity(CvmOnnxImport *import) {
    if (!cvm_onnx_has_input(import, 0))
        return cvm_onnx_refuse(import, 1703, NULL, "lacks its input");
    import->result = *import->inputs[0];
    return true;
}

/* To float from float; whole numbers stay what they are. */
bool cvm_onnx_read_cast(CvmOnnxImport *import) {
    int64_t type = cvm_onnx_int(import, "to", 0);
    bool whole = is_numbers(import, 0);
    if (type != (whole ? CVM_ONNX_INT64 : CVM_ONNX_FLOAT) && !(whole && type == CVM_ONNX_INT32))
        return cvm_onnx_refuse(import, 1702, NULL, "makes elements of another type");
    return cvm_onnx_read_identity(import);
}

bool cvm_onnx_read_constant(CvmOnnxImport *import) {
    CvmError error;
    CvmFileTensor *constant = &import->result.constant;
    if (import->proto->n_attribute != 1)
        return cvm_onnx_refuse(import, 1702, NULL, "has no value, or several");
    const Onnx__AttributeProto *value = import->proto->attribute[0];
    *constant = (CvmFileTensor){.name = "", .dtype = CVM_FILE_I64};
    import->result.kind = CVM_ONNX_CONSTANT;
    if (!strcmp(value->name, "value")) {
        if (!value->t)
            return cvm_onnx_refuse(import, 1702, NULL, "has no value");
        return cvm_onnx_tensor(import->model, value->t, constant, &error) ||
               cvm_onnx_refuse(import, 1704, NULL, "has a value that cannot be read: %s",
                               error.message);
    }
    bool list = value->name[strlen(value->name) - 1] == 's';
    bool floats = !strncmp(value->name, "value_float", 11);
    size_t count = !list ? 1 : floats ? value->n_floats : value->n_ints;
    if (list)
        constant->shape = (CvmShape){1, {(int64_t)count}};
    if (floats)
        constant->dtype = CVM_FILE_F32;
    constant->data = floats ? (list ? (const void *)value->floats : &value->f)
                            : (list ? (const void *)value->ints : &value->i);
    constant->bytes = (int64_t)count * cvm_file_dtype_bytes(constant->dtype);
    return true;
}

/* --- numbers from numbers --- */

bool cvm_onnx_read_shape(CvmOnnxImport *import) {
    int x;
    CvmOnnxValue numbers = {.count = 0};
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    const CvmShape *shape = cvm_onnx_shape(import, x);
    int64_t start = cvm_onnx_int(import, "start", 0),
            end = cvm_onnx_int(import, "end", shape->rank);
    start += start < 0 ? shape->rank : 0;
    end += end < 0 ? shape->rank : 0;
    for (int64_t i = 0; i < shape->rank; i++)
        if (i >= start && i < end)
            numbers.numbers[numbers.count++] = i ? shape->sizes[i] : CVM_ONNX_BATCH;
    return give_numbers(import, &numbers);
}

bool cvm_onnx_read_gather(CvmOnnxImport *import) {
    CvmOnnxValue from, at;
    if (!cvm_onnx_take_numbers(import, 0, &from) || !cvm_onnx_take_numbers(import, 1, &at))
        return false;
    for (int i = 0; i < at.count; i++) {
        int64_t index = at.numbers[i];
        if (index == CVM_ONNX_BATCH || index < -from.count || index >= from.count)
            return cvm_onnx_refuse(import, 1703, NULL, "takes a number that is not there");
        at.numbers[i] = from.numbers[index < 0 ? index + from.count : index];
    }
    return give_numbers(import, &at);
}

/* Along the one axis, with step 1. */
bool cvm_onnx_read_slice(CvmOnnxImport *import) {
    CvmOnnxValue from, begin, end, step = {.count = 1, .numbers = {1}}, cut = {.count = 0};
    if (!cvm_onnx_take_numbers(import, 0, &from) || !cvm_onnx_take_numbers(import, 1, &begin) ||
        !cvm_onnx_take_numbers(import, 2, &end) ||
        (cvm_onnx_has_input(import, 4) && !cvm_onnx_take_numbers(import, 4, &step)))
        return false;
    if (begin.count != 1 || end.count != 1 || step.count != 1 || step.numbers[0] != 1)
        return cvm_onnx_refuse(import, 1703, NULL, "cuts a shape in a way that is not known");
    int64_t first = begin.numbers[0], last = end.numbers[0];
    first += first < 0 ? from.count : 0;
    last += last < 0 ? from.count : 0;
    for (int i = 0; i < from.count; i++)
        if (i >= first && i < last)
            cut.numbers[cut.count++] = from.numbers[i];
    return give_numbers(import, &cut);
}

bool cvm_onnx_read_unsqueeze(CvmOnnxImport *import) {
    CvmOnnxValue numbers;
    if (!cvm_onnx_take_numbers(import, 0, &numbers))
        return false;
    if (!numbers.scalar)
        return cvm_onnx_refuse(import, 1701, NULL, "adds an axis, as no layer does");
    numbers.scalar = false;
    return give_numbers(import, &numbers);
}

static bool concat_numbers(CvmOnnxImport *import) {
    CvmOnnxValue all = {.count = 0}, one;
    for (int i = 0; i < import->input_count; i++) {
        if (!cvm_onnx_take_numbers(import, i, &one))
            return false;
        for (int k = 0; k < one.count; k++) {
            if (all.count == CVM_ONNX_MAX_NUMBERS)
                return cvm_onnx_refuse(import, 1703, NULL, "makes a shape of too many axes");
            all.numbers[all.count++] = one.numbers[k];
        }
    }
    return give_numbers(import, &all);
}

bool cvm_onnx_read_concat(CvmOnnxImport *import) {
    if (is_numbers(import, 0))
        return concat_numbers(import);
    int *tensors = cvm_arena_array(import->arena, (size_t)import->input_count + 1, sizeof *tensors);
    for (int i = 0; i < import->input_count; i++)
        if (!cvm_onnx_take_tensor(import, i, &tensors[i]))
            return false;
    int64_t axis = cvm_onnx_int(import, "axis", 0);
    axis += axis < 0 ? cvm_onnx_shape(import, tensors[0])->rank : 0;
    if (axis != 1)
        return cvm_onnx_refuse(import, 1702, NULL, "joins along another axis than the channels");
    if (import->input_count == 1)
        return cvm_onnx_give_tensor(import, tensors[0]);
    CvmOnnxLayer *layer =
        cvm_onnx_begin_layer(import, import->operator->layer, tensors, import->input_count);
    return layer && cvm_onnx_finish_layer(import, layer);
}

static bool compute(const char *name, int64_t a, int64_t b, int64_t *result) {
    if (a == CVM_ONNX_BATCH || b == CVM_ONNX_BATCH)
        return false;
    switch (name[0]) {
    case 'A':
        return !__builtin_add_overflow(a, b, result);
    case 'S':
        return !__builtin_sub_overflow(a, b, result);
    case 'M':
        return !__builtin_mul_overflow(a, b, result);
    default:
        *result = b > 0 ? a / b : 0;
        return b > 0;
    }
}

bool cvm_onnx_join_numbers(CvmOnnxImport *import, bool *failed) {
    CvmOnnxValue a, b;
    if (!is_numbers(import, 0) || !is_numbers(import, 1))
        return false;
    *failed = true;
    if (!cvm_onnx_take_numbers(import, 0, &a) || !cvm_onnx_take_numbers(import, 1, &b))
        return true;
    CvmOnnxValue result = a.count >= b.count ? a : b;
    result.scalar = a.scalar && b.scalar;
    if (a.count != b.count && a.count != 1 && b.count != 1) {
        cvm_onnx_refuse(import, 1703, NULL, "computes with shapes of different lengths");
        return true;
    }
    for (int i = 0; i < result.count; i++)
        if (!compute(import->operator->name, a.numbers[a.count == 1 ? 0 : i],
                     b.numbers[b.count == 1 ? 0 : i], &result.numbers[i])) {
            cvm_onnx_refuse(import, 1703, NULL,
                            "computes a size that depends on the batch, or is none");
            return true;
        }
    *failed = !give_numbers(import, &result);
    return true;
}

/* --- tensors of another shape --- */

static bool flatten(CvmOnnxImport *import, int x) {
    if (cvm_onnx_shape(import, x)->rank == 2)
        return cvm_onnx_give_tensor(import, x);
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    return layer && cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_flatten(CvmOnnxImport *import) {
    int x;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    int64_t axis = cvm_onnx_int(import, "axis", 1);
    if (axis != 1 && axis != 1 - cvm_onnx_shape(import, x)->rank)
        return cvm_onnx_refuse(import, 1702, NULL, "does not keep the batch apart");
    return flatten(import, x);
}

/* Whether a target shape's number may stand for an axis of this size; -1: whatever is left. */
static bool may_be(int64_t number, int64_t size, int *open) {
    *open += number == -1;
    return number == -1 || number == size;
}

static bool is_batch(const CvmOnnxImport *import, int64_t number, int *open) {
    *open += number == -1;
    return number == -1 || number == 0 || number == CVM_ONNX_BATCH ||
           (number > 0 && number == import->batch);
}

bool cvm_onnx_read_reshape(CvmOnnxImport *import) {
    int x, open = 0;
    CvmOnnxValue target;
    if (!cvm_onnx_take_tensor(import, 0, &x) || !cvm_onnx_take_numbers(import, 1, &target))
        return false;
    const CvmShape *shape = cvm_onnx_shape(import, x);
    int64_t features = 1;
    for (int i = 1; i < shape->rank; i++)
        features *= shape->sizes[i];
    bool batch = target.count > 0 && is_batch(import, target.numbers[0], &open);
    if (target.count == 2 && batch && may_be(target.numbers[1], features, &open) && open < 2)
        return flatten(import, x);
    bool same = batch && target.count == shape->rank;
    for (int i = 1; same && i < shape->rank; i++)
        same = target.numbers[i] == 0 || may_be(target.numbers[i], shape->sizes[i], &open);
    if (same && open < 2)
        return cvm_onnx_give_tensor(import, x);
    return cvm_onnx_refuse(import, 1703, NULL, "makes a shape that is not [n, features]");
}

/* Of a tensor, only where it makes a vector of [n, c, 1, 1]. */
bool cvm_onnx_read_squeeze(CvmOnnxImport *import) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, "axes");
    CvmOnnxValue axes = {.count = 0};
    int x;
    if (is_numbers(import, 0)) {
        if (!cvm_onnx_take_numbers(import, 0, &axes))
            return false;
        axes.scalar = axes.count == 1;
        return give_numbers(import, &axes);
    }
    if (!cvm_onnx_take_tensor(import, 0, &x) ||
        (cvm_onnx_has_input(import, 1) && !cvm_onnx_take_numbers(import, 1, &axes)))
        return false;
    for (size_t i = 0; attribute && i < attribute->n_ints && i < 3; i++)
        axes.numbers[axes.count++] = attribute->ints[i];
    const CvmShape *shape = cvm_onnx_shape(import, x);
    int64_t sum = axes.count == 2 ? axes.numbers[0] + axes.numbers[1] : 0; /* 2 + 3, or -2 - 1 */
    if (shape->rank != 4 || shape->sizes[2] != 1 || shape->sizes[3] != 1 || (sum != 5 && sum != -3))
        return cvm_onnx_refuse(import, 1703, NULL, "takes away other axes than a pixel's two");
    return flatten(import, x);
}
