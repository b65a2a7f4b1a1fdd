/* See import.h: LRN as PyTorch's exporter writes it, which has no operator for it:
 *
 *   x / (k + alpha * mean of x^2 over `size` channels)^beta
 *
 * x^2 gets a further axis, [n, 1, c, h, w], so that Pad and AveragePool can move along the
 * channels, and loses it again. Each node on the way gives a part that knows how far the formula
 * is; the division of x makes the layer. A part that anything else reads is an error at the node
 * that gives it. */
#include "compiler/onnx/import.h"

#include <string.h>

static bool refuse(CvmOnnxImport *import, bool *failed) {
    *failed = true;
    cvm_onnx_refuse(import, 1701, NULL, "is not part of LRN's formula");
    return true;
}

static bool give(CvmOnnxImport *import, int tensor, const CvmOnnxPart *part, bool *failed) {
    *failed = !cvm_onnx_give_part(import, tensor, part);
    return true;
}

/* The tensor that input i is the square of. */
static bool is_square(const CvmOnnxImport *import, int i, int *x) {
    const CvmOnnxValue *value = cvm_onnx_has_input(import, i) ? import->inputs[i] : NULL;
    if (!value || value->kind != CVM_ONNX_TENSOR || value->tensor == 0)
        return false;
    const CvmOnnxLayer *layer = &import->net->layers[value->tensor - 1];
    *x = layer->inputs[0];
    return layer->op == CVM_OP_MUL && layer->inputs[1] == layer->inputs[0] &&
           cvm_onnx_shape(import, *x)->rank == 4;
}

/* --- axes --- */

bool cvm_onnx_lrn_shape(CvmOnnxImport *import, CvmOnnxValue *numbers) {
    const CvmOnnxValue *value = cvm_onnx_part(import, 0, CVM_ONNX_LRN);
    if (!value || value->part.stage > CVM_ONNX_LRN_MEANS ||
        value->part.stage == CVM_ONNX_LRN_PADDED)
        return false;
    const int64_t *sizes = cvm_onnx_shape(import, value->tensor)->sizes;
    const int64_t deep[] = {CVM_ONNX_BATCH, 1, sizes[1], sizes[2], sizes[3]};
    *numbers = (CvmOnnxValue){.rank = 1, .count = 5};
    memcpy(numbers->numbers, deep, sizeof deep);
    return true;
}

/* Whether a target shape is [n, 1, c, h, w], or [n, c, h, w] when that is to be: -1 for one of
 * them, 0 for one that stays. */
static bool is_shape_of(const CvmOnnxImport *import, int x, const CvmOnnxValue *target, bool deep) {
    const int64_t *sizes = cvm_onnx_shape(import, x)->sizes, *given = target->numbers;
    int open = 0;
    if (target->count != (deep ? 5 : 4))
        return false;
    bool same = given[0] == CVM_ONNX_BATCH || given[0] == 0 || given[0] == -1 ||
                (given[0] > 0 && given[0] == import->batch);
    for (int i = 0; i < target->count; i++) {
        int64_t size = !deep || i == 0 ? sizes[i] : i == 1 ? 1 : sizes[i - 1];
        open += given[i] == -1;
        same &= i == 0 || given[i] == size || given[i] == -1;
    }
    return same && open < 2;
}

static bool begin_squares(CvmOnnxImport *import, int x, bool *failed) {
    const CvmOnnxPart squares = {
        .formula = CVM_ONNX_LRN, .stage = CVM_ONNX_LRN_SQUARES, .size = 1, .alpha = 1, .beta = 1};
    return give(import, x, &squares, failed);
}

static bool flatten_means(CvmOnnxImport *import, const CvmOnnxValue *means, bool *failed) {
    CvmOnnxPart part = means->part;
    part.stage = CVM_ONNX_LRN_FLAT_MEANS;
    return give(import, means->tensor, &part, failed);
}

bool cvm_onnx_lrn_reshape(CvmOnnxImport *import, const CvmOnnxValue *target, bool *failed) {
    int x;
    const CvmOnnxValue *value = cvm_onnx_part(import, 0, CVM_ONNX_LRN);
    if (!value)
        return is_square(import, 0, &x) && is_shape_of(import, x, target, true) &&
               begin_squares(import, x, failed);
    if (is_shape_of(import, value->tensor, target, false) &&
        (value->part.stage == CVM_ONNX_LRN_MEANS || value->part.stage == CVM_ONNX_LRN_FLAT_MEANS))
        return flatten_means(import, value, failed);
    return refuse(import, failed);
}

bool cvm_onnx_lrn_unsqueeze(CvmOnnxImport *import, const CvmOnnxValue *axes, bool *failed) {
    int x;
    return is_square(import, 0, &x) && axes->count == 1 &&
           (axes->numbers[0] == 1 || axes->numbers[0] == -4) && begin_squares(import, x, failed);
}

bool cvm_onnx_lrn_squeeze(CvmOnnxImport *import, const CvmOnnxValue *axes, bool *failed) {
    const CvmOnnxValue *value = cvm_onnx_part(import, 0, CVM_ONNX_LRN);
    if (!value)
        return false;
    bool channels = axes->count == 1 && (axes->numbers[0] == 1 || axes->numbers[0] == -4);
    return channels && value->part.stage == CVM_ONNX_LRN_MEANS
               ? flatten_means(import, value, failed)
               : refuse(import, failed);
}

/* --- the mean --- */

/* size / 2 channels of zeros on either side. */
bool cvm_onnx_lrn_pad(CvmOnnxImport *import, const CvmOnnxValue *pads, bool *failed) {
    const CvmOnnxValue *value = cvm_onnx_part(import, 0, CVM_ONNX_LRN);
    if (!value)
        return false;
    CvmOnnxPart part = value->part;
    bool others = false;
    for (int i = 0; i < pads->count; i++)
        others |= i % 5 != 2 && pads->numbers[i] != 0;
    int64_t before = pads->numbers[2], after = pads->numbers[7];
    if (part.stage != CVM_ONNX_LRN_SQUARES || pads->count != 10 || others || before != after ||
        before < 0 || before > INT32_MAX / 2)
        return refuse(import, failed);
    part.stage = CVM_ONNX_LRN_PADDED;
    part.size = 2 * before + 1;
    return give(import, value->tensor, &part, failed);
}

/* Whether a list is left out, or is `first`, then `others`. */
static bool is_list(const CvmOnnxImport *import, const char *name, size_t count, int64_t first,
                    int64_t others) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, name);
    if (!attribute)
        return first == others;
    for (size_t i = 0; i < attribute->n_ints; i++)
        if (attribute->ints[i] != (i ? others : first))
            return false;
    return attribute->n_ints == count;
}

bool cvm_onnx_lrn_pool(CvmOnnxImport *import, bool *failed) {
    const CvmOnnxValue *value = cvm_onnx_part(import, 0, CVM_ONNX_LRN);
    if (!value)
        return false;
    CvmOnnxPart part = value->part;
    if (strcmp(import->operator->layer, "avgpool") != 0 || part.stage > CVM_ONNX_LRN_PADDED ||
        !is_list(import, "kernel_shape", 3, part.size, 1) || !is_list(import, "strides", 3, 1, 1) ||
        !is_list(import, "pads", 6, 0, 0) || !is_list(import, "dilations", 3, 1, 1) ||
        cvm_onnx_attribute(import, "auto_pad"))
        return refuse(import, failed);
    part.stage = CVM_ONNX_LRN_MEANS;
    return give(import, value->tensor, &part, failed);
}

/* --- sum, power, division --- */

/* The part with a number, in either order where that is the same. */
static bool join_number(CvmOnnxImport *import, const CvmOnnxValue *value, double number,
                        bool *failed) {
    CvmOnnxPart part = value->part;
    switch (import->operator->name[0]) {
    case 'M':
        part.alpha *= number;
        break;
    case 'D':
        part.alpha /= number;
        break;
    case 'A':
        part.k += number;
        break;
    default: /* Pow */
        part.beta = number;
        break;
    }
    bool power = import->operator->name[0] == 'P', adds = import->operator->name[0] == 'A';
    if (part.stage != CVM_ONNX_LRN_FLAT_MEANS && !(power && part.stage == CVM_ONNX_LRN_SUM))
        return refuse(import, failed);
    part.stage = power ? CVM_ONNX_LRN_POWER : adds ? CVM_ONNX_LRN_SUM : CVM_ONNX_LRN_FLAT_MEANS;
    return give(import, value->tensor, &part, failed);
}

static bool divide(CvmOnnxImport *import, const CvmOnnxPart *part, int x, bool *failed) {
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, "lrn", &x, 1);
    *failed = true;
    if (!layer)
        return true;
    cvm_onnx_set_int(layer, "size", part->size);
    cvm_onnx_set_real(layer, "alpha", part->alpha);
    cvm_onnx_set_real(layer, "beta", part->beta);
    cvm_onnx_set_real(layer, "k", part->k);
    *failed = !cvm_onnx_finish_layer(import, layer);
    return true;
}

bool cvm_onnx_join_lrn(CvmOnnxImport *import, bool *failed) {
    double number;
    const CvmOnnxValue *parts[2];
    for (int i = 0; i < 2; i++)
        parts[i] = cvm_onnx_part(import, i, CVM_ONNX_LRN);
    if ((!parts[0] && !parts[1]) || !cvm_onnx_has_input(import, 0) ||
        !cvm_onnx_has_input(import, 1))
        return false;
    char operation = import->operator->name[0];
    bool ordered = operation == 'D' || operation == 'P';
    if (operation == 'D' && parts[1] && import->inputs[0]->kind == CVM_ONNX_TENSOR &&
        import->inputs[0]->tensor == parts[1]->tensor && parts[1]->part.stage >= CVM_ONNX_LRN_SUM)
        return divide(import, &parts[1]->part, parts[1]->tensor, failed);
    for (int i = 0; i < 2 - ordered; i++)
        if (parts[i] && cvm_onnx_single(import->inputs[1 - i], &number))
            return join_number(import, parts[i], number, failed);
    return refuse(import, failed);
}
