/* See import.h: numbers about shapes. Exporters often compute the target of a Reshape from the
 * tensor's own shape, with Shape, Gather, Unsqueeze and Concat, or the pads of a Pad from a list of
 * pairs. Those numbers are worked out here, the batch size as one that nobody knows. */
#include "compiler/onnx/import.h"

#include <string.h>

bool cvm_onnx_give_numbers(CvmOnnxImport *import, const CvmOnnxValue *numbers) {
    import->result = *numbers;
    import->result.kind = CVM_ONNX_NUMBERS;
    return true;
}

/* Whether input i is numbers about a shape, or a constant of whole numbers. */
bool cvm_onnx_is_numbers(const CvmOnnxImport *import, int i) {
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
    bool whole = cvm_onnx_is_numbers(import, 0);
    if (whole ? type != CVM_ONNX_INT64 && type != CVM_ONNX_INT32 && type != CVM_ONNX_BOOL
              : type != CVM_ONNX_FLOAT)
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
    CvmOnnxValue all = {.rank = 1}, numbers = {.rank = 1};
    if (!cvm_onnx_lrn_shape(import, &all)) {
        if (!cvm_onnx_take_tensor(import, 0, &x))
            return false;
        const CvmShape *shape = cvm_onnx_shape(import, x);
        for (all.count = 0; all.count < shape->rank; all.count++)
            all.numbers[all.count] = all.count ? shape->sizes[all.count] : CVM_ONNX_BATCH;
    }
    int64_t start = cvm_onnx_int(import, "start", 0), end = cvm_onnx_int(import, "end", all.count);
    start += start < 0 ? all.count : 0;
    end += end < 0 ? all.count : 0;
    for (int64_t i = 0; i < all.count; i++)
        if (i >= start && i < end)
            numbers.numbers[numbers.count++] = all.numbers[i];
    return cvm_onnx_give_numbers(import, &numbers);
}

static int64_t clamp(int64_t value, int64_t least, int64_t most) {
    return value < least ? least : value > most ? most : value;
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
    return cvm_onnx_give_numbers(import, &at);
}

/* Along the first axis; a step of -1 turns the order round. */
bool cvm_onnx_read_slice(CvmOnnxImport *import) {
    CvmOnnxValue from, begin, end, axis = {.count = 1}, step = {.count = 1, .numbers = {1}};
    if (!cvm_onnx_take_numbers(import, 0, &from) || !cvm_onnx_take_numbers(import, 1, &begin) ||
        !cvm_onnx_take_numbers(import, 2, &end) ||
        (cvm_onnx_has_input(import, 3) && !cvm_onnx_take_numbers(import, 3, &axis)) ||
        (cvm_onnx_has_input(import, 4) && !cvm_onnx_take_numbers(import, 4, &step)))
        return false;
    int64_t by = step.numbers[0], width = from.rank == 2 ? from.columns : 1;
    bool one = begin.count == 1 && end.count == 1 && axis.count == 1 && step.count == 1;
    if (!one || (axis.numbers[0] != 0 && axis.numbers[0] != -from.rank) || (by != 1 && by != -1))
        return cvm_onnx_refuse(import, 1703, NULL, "cuts a shape in a way that is not known");
    int64_t rows = width ? from.count / width : 0;
    int64_t least = by > 0 ? 0 : -1, most = by > 0 ? rows : rows - 1;
    int64_t first = clamp(begin.numbers[0] + (begin.numbers[0] < 0 ? rows : 0), least, most);
    int64_t last = clamp(end.numbers[0] + (end.numbers[0] < 0 ? rows : 0), least, most);
    CvmOnnxValue cut = {.rank = from.rank, .columns = from.columns};
    for (int64_t i = first; by > 0 ? i < last : i > last; i += by)
        for (int64_t k = 0; k < width; k++)
            cut.numbers[cut.count++] = from.numbers[i * width + k];
    return cvm_onnx_give_numbers(import, &cut);
}

/* Rows as columns. */
bool cvm_onnx_read_transpose(CvmOnnxImport *import) {
    CvmOnnxValue from, turned;
    if (!cvm_onnx_is_numbers(import, 0))
        return cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
    if (!cvm_onnx_take_numbers(import, 0, &from))
        return false;
    const Onnx__AttributeProto *order = cvm_onnx_attribute(import, "perm");
    if (from.rank != 2 ||
        (order && (order->n_ints != 2 || order->ints[0] != 1 || order->ints[1] != 0)))
        return cvm_onnx_refuse(import, 1703, NULL, "turns a shape in a way that is not known");
    int rows = from.columns ? from.count / from.columns : 0;
    turned = from;
    turned.columns = rows;
    for (int i = 0; i < from.count; i++)
        turned.numbers[i % from.columns * rows + i / from.columns] = from.numbers[i];
    return cvm_onnx_give_numbers(import, &turned);
}

/* Of whole numbers. */
bool cvm_onnx_read_constant_of_shape(CvmOnnxImport *import) {
    CvmError error;
    CvmFileTensor value;
    CvmOnnxValue size, filled = {.rank = 1};
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, "value");
    if (!cvm_onnx_take_numbers(import, 0, &size))
        return false;
    bool read =
        attribute && attribute->t && cvm_onnx_tensor(import->model, attribute->t, &value, &error);
    bool whole = read && value.dtype == CVM_FILE_I64 && value.bytes == 8;
    if (!whole || size.count != 1 || size.numbers[0] < 0 || size.numbers[0] > CVM_ONNX_MAX_NUMBERS)
        return cvm_onnx_refuse(import, 1701, NULL, "makes a tensor, as no layer does");
    for (filled.count = 0; filled.count < size.numbers[0]; filled.count++)
        memcpy(&filled.numbers[filled.count], value.data, sizeof(int64_t));
    return cvm_onnx_give_numbers(import, &filled);
}

bool cvm_onnx_reshape_numbers(CvmOnnxImport *import) {
    CvmOnnxValue numbers, target;
    if (!cvm_onnx_take_numbers(import, 0, &numbers) || !cvm_onnx_take_numbers(import, 1, &target))
        return false;
    int64_t *sizes = target.numbers, known = 1;
    int open = -1;
    for (int i = 0; i < target.count; i++)
        if (sizes[i] == -1)
            open = i;
        else if (sizes[i] < 1 || sizes[i] > CVM_ONNX_MAX_NUMBERS)
            known = 0;
        else
            known *= target.count > 2 ? 0 : sizes[i];
    if (open >= 0 && known > 0) {
        sizes[open] = numbers.count / known;
        known *= sizes[open];
    }
    if (known != numbers.count)
        return cvm_onnx_refuse(import, 1703, NULL, "makes rows of numbers that do not fit");
    numbers.rank = target.count;
    numbers.columns = (int)sizes[1];
    return cvm_onnx_give_numbers(import, &numbers);
}

bool cvm_onnx_concat_numbers(CvmOnnxImport *import) {
    CvmOnnxValue all = {.rank = 1}, one;
    for (int i = 0; i < import->input_count; i++) {
        if (!cvm_onnx_take_numbers(import, i, &one))
            return false;
        for (int k = 0; k < one.count; k++) {
            if (all.count == CVM_ONNX_MAX_NUMBERS)
                return cvm_onnx_refuse(import, 1703, NULL, "makes a shape of too many axes");
            all.numbers[all.count++] = one.numbers[k];
        }
    }
    return cvm_onnx_give_numbers(import, &all);
}

static bool compute(const char *name, int64_t a, int64_t b, int64_t *result) {
    if (a == CVM_ONNX_BATCH || b == CVM_ONNX_BATCH)
        return false;
    switch (name[0]) {
    case 'A':
        return !__builtin_add_overflow(a, b, result);
    case 'E':
        *result = a == b;
        return true;
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
    if (!cvm_onnx_is_numbers(import, 0) || !cvm_onnx_is_numbers(import, 1))
        return false;
    *failed = true;
    if (!cvm_onnx_take_numbers(import, 0, &a) || !cvm_onnx_take_numbers(import, 1, &b))
        return true;
    CvmOnnxValue result = a.count >= b.count ? a : b;
    result.rank = a.rank > b.rank ? a.rank : b.rank;
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
    *failed = !cvm_onnx_give_numbers(import, &result);
    return true;
}

bool cvm_onnx_read_equal(CvmOnnxImport *import) {
    bool failed = false;
    if (cvm_onnx_join_numbers(import, &failed))
        return !failed;
    return cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
}
