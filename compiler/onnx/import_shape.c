/* See import.h: tensors in another shape, and joined. Exporters write "flatten" in many ways; what
 * they come to is flatten, or nothing. */
#include "compiler/onnx/import.h"

#include <string.h>

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
    bool failed = false;
    if (cvm_onnx_is_numbers(import, 0))
        return cvm_onnx_reshape_numbers(import);
    if (!cvm_onnx_take_numbers(import, 1, &target))
        return false;
    if (cvm_onnx_lrn_reshape(import, &target, &failed))
        return !failed;
    if (!cvm_onnx_take_tensor(import, 0, &x))
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

bool cvm_onnx_take_axes(CvmOnnxImport *import, CvmOnnxValue *axes) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, "axes");
    *axes = (CvmOnnxValue){.rank = 1};
    for (size_t i = 0; attribute && i < attribute->n_ints && i < CVM_ONNX_MAX_NUMBERS; i++)
        axes->numbers[axes->count++] = attribute->ints[i];
    return !cvm_onnx_has_input(import, 1) || cvm_onnx_take_numbers(import, 1, axes);
}

/* Numbers lose their axis; of a tensor, a vector is made of [n, c, 1, 1]. */
bool cvm_onnx_read_squeeze(CvmOnnxImport *import) {
    CvmOnnxValue axes;
    int x;
    bool failed = false;
    if (cvm_onnx_is_numbers(import, 0)) {
        if (!cvm_onnx_take_numbers(import, 0, &axes))
            return false;
        axes.rank = axes.count == 1 ? 0 : axes.rank;
        return cvm_onnx_give_numbers(import, &axes);
    }
    if (!cvm_onnx_take_axes(import, &axes))
        return false;
    if (cvm_onnx_lrn_squeeze(import, &axes, &failed))
        return !failed;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    const CvmShape *shape = cvm_onnx_shape(import, x);
    int64_t sum = axes.count == 2 ? axes.numbers[0] + axes.numbers[1] : 0; /* 2 + 3, or -2 - 1 */
    if (shape->rank != 4 || shape->sizes[2] != 1 || shape->sizes[3] != 1 || (sum != 5 && sum != -3))
        return cvm_onnx_refuse(import, 1703, NULL, "takes away other axes than a pixel's two");
    return flatten(import, x);
}

bool cvm_onnx_read_unsqueeze(CvmOnnxImport *import) {
    CvmOnnxValue axes, numbers;
    bool failed = false;
    if (!cvm_onnx_take_axes(import, &axes))
        return false;
    if (cvm_onnx_lrn_unsqueeze(import, &axes, &failed))
        return !failed;
    if (!cvm_onnx_take_numbers(import, 0, &numbers))
        return false;
    if (numbers.rank != 0)
        return cvm_onnx_refuse(import, 1701, NULL, "adds an axis, as no layer does");
    numbers.rank = 1;
    return cvm_onnx_give_numbers(import, &numbers);
}

bool cvm_onnx_read_concat(CvmOnnxImport *import) {
    if (cvm_onnx_is_numbers(import, 0))
        return cvm_onnx_concat_numbers(import);
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
