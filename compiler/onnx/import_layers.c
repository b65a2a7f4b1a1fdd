/* See import.h: operators that are layers. A function reads its node's operands and attributes,
 * checks what the language has no word for, and adds the layer. */
#include "compiler/onnx/import.h"

#include "runtime/text.h"

#include <string.h>

/* --- contractions --- */

/* A bias [n], or [1], [1, n], [n, 1, 1] … that is broadcast to it: n elements times `factor`, in
 * the arena where they are not just so in the model. NULL where it is another (reported). */
static const float *read_bias(CvmOnnxImport *import, const CvmFileTensor *bias, int64_t n,
                              double factor) {
    int64_t count = 0;
    cvm_shape_count(&bias->shape, &count);
    const float *given = cvm_onnx_floats(import, bias);
    if (!given)
        return NULL;
    if (count != n && count != 1) {
        char shape[96];
        cvm_onnx_refuse(import, 1704, NULL, "adds a %s, which is no bias of %lld channels",
                        cvm_shape_text(&bias->shape, shape, sizeof shape), (long long)n);
        return NULL;
    }
    if (count == n && factor == 1)
        return given;
    float *elements = cvm_arena_array(import->arena, (size_t)n + 1, sizeof *elements);
    for (int64_t i = 0; i < n; i++) {
        float value;
        memcpy(&value, (const char *)given + 4 * (count == 1 ? 0 : i), sizeof value);
        elements[i] = (float)factor * value;
    }
    return elements;
}

bool cvm_onnx_set_bias(CvmOnnxImport *import, CvmOnnxLayer *layer, int64_t n, int input,
                       double factor) {
    CvmFileTensor bias;
    bool has = cvm_onnx_has_input(import, input) && factor != 0;
    cvm_onnx_set_int(layer, "bias", has);
    if (!has)
        return true;
    if (!cvm_onnx_take_constant(import, input, &bias))
        return false;
    const float *elements = read_bias(import, &bias, n, factor);
    if (elements)
        cvm_onnx_set_parameter(layer, "bias", (CvmShape){1, {n}}, elements);
    return elements != NULL;
}

/* Weights as the language has them, [features, inputs], times `factor`. */
static const float *linear_weights(CvmOnnxImport *import, const CvmFileTensor *weight,
                                   bool transposed, double factor) {
    const float *given = cvm_onnx_floats(import, weight);
    int64_t rows = weight->shape.sizes[0], columns = weight->shape.sizes[1];
    if (!given || (transposed && factor == 1))
        return given;
    float *elements =
        cvm_arena_array(import->arena, (size_t)(rows * columns) + 1, sizeof *elements);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t k = 0; k < columns; k++) {
            float value;
            memcpy(&value, (const char *)given + 4 * (i * columns + k), sizeof value);
            elements[transposed ? i * columns + k : k * rows + i] = (float)factor * value;
        }
    return elements;
}

/* x times constant weights, [features, inputs] when transposed. */
static bool read_linear(CvmOnnxImport *import, bool transposed, double factor, int bias,
                        double bias_factor) {
    int x;
    CvmFileTensor weight;
    if (!cvm_onnx_take_tensor(import, 0, &x) || !cvm_onnx_take_constant(import, 1, &weight))
        return false;
    if (weight.shape.rank != 2)
        return cvm_onnx_refuse(import, 1704, NULL, "multiplies by what is no matrix");
    int64_t features = weight.shape.sizes[!transposed], inputs = weight.shape.sizes[transposed];
    if (features < 1 || features > INT32_MAX)
        return cvm_onnx_refuse(import, 1704, NULL, "multiplies by a matrix without columns");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    const float *elements = layer ? linear_weights(import, &weight, transposed, factor) : NULL;
    if (!elements)
        return false;
    cvm_onnx_set_int(layer, "features", features);
    cvm_onnx_set_parameter(layer, "weight", (CvmShape){2, {features, inputs}}, elements);
    return cvm_onnx_set_bias(import, layer, features, bias, bias_factor) &&
           cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_gemm(CvmOnnxImport *import) {
    if (cvm_onnx_int(import, "transA", 0))
        return cvm_onnx_refuse(import, 1702, NULL,
                               "transposes its first operand, as no layer does");
    return read_linear(import, cvm_onnx_int(import, "transB", 0) != 0,
                       cvm_onnx_float(import, "alpha", 1), 2, cvm_onnx_float(import, "beta", 1));
}

bool cvm_onnx_read_matmul(CvmOnnxImport *import) {
    bool failed = false;
    if (cvm_onnx_join_means(import, &failed))
        return !failed;
    return read_linear(import, false, 1, 2, 1); /* input 2 there is not: no bias */
}

/* --- element by element, and along channels --- */

/* The mean over height and width. */
bool cvm_onnx_read_reduce_mean(CvmOnnxImport *import) {
    int x;
    CvmOnnxValue axes;
    if (!cvm_onnx_take_tensor(import, 0, &x) || !cvm_onnx_take_axes(import, &axes))
        return false;
    bool seen[4] = {false};
    for (int i = 0; i < axes.count; i++)
        if (axes.numbers[i] >= -4 && axes.numbers[i] < 4)
            seen[(axes.numbers[i] + 4) % 4] = true;
    if (cvm_onnx_shape(import, x)->rank != 4 || axes.count != 2 || !seen[2] || !seen[3])
        return cvm_onnx_refuse(import, 1701, NULL,
                               "takes a mean that is not the one over height and width");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (!layer || !cvm_onnx_finish_layer(import, layer))
        return false;
    if (cvm_onnx_int(import, "keepdims", 1))
        return true;
    layer = cvm_onnx_begin_layer(import, "flatten", &import->result.tensor, 1);
    return layer && cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_unary(CvmOnnxImport *import) {
    int x;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    return layer && cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_gelu(CvmOnnxImport *import) {
    const Onnx__AttributeProto *approximate = cvm_onnx_attribute(import, "approximate");
    if (approximate && !cvm_onnx_text_is(approximate, "none"))
        return cvm_onnx_refuse(import, 1702, NULL, "approximates GELU, which is exact here");
    return cvm_onnx_read_unary(import);
}

bool cvm_onnx_read_leaky_relu(CvmOnnxImport *import) {
    int x;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (layer)
        cvm_onnx_set_real(layer, "slope", cvm_onnx_float(import, "alpha", 0.01));
    return layer && cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_lrn(CvmOnnxImport *import) {
    int x;
    int64_t size = cvm_onnx_int(import, "size", 0);
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    if (size < 1 || size > INT32_MAX)
        return cvm_onnx_refuse(import, 1702, NULL, "has a size out of range");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (!layer)
        return false;
    cvm_onnx_set_int(layer, "size", size);
    cvm_onnx_set_real(layer, "alpha", cvm_onnx_float(import, "alpha", 0.0001));
    cvm_onnx_set_real(layer, "beta", cvm_onnx_float(import, "beta", 0.75));
    cvm_onnx_set_real(layer, "k", cvm_onnx_float(import, "bias", 1));
    return cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_read_batchnorm(CvmOnnxImport *import) {
    static const char *const names[] = {"scale", "shift", "running_mean", "running_variance"};
    int x;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    if (cvm_onnx_int(import, "training_mode", 0) || !cvm_onnx_int(import, "spatial", 1))
        return cvm_onnx_refuse(import, 1702, "export the net for inference",
                               "normalizes by the batch, not by stored statistics");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    for (int i = 0; layer && i < 4; i++) {
        CvmFileTensor tensor;
        if (!cvm_onnx_take_constant(import, i + 1, &tensor))
            return false;
        const float *elements = cvm_onnx_floats(import, &tensor);
        if (!elements)
            return false;
        cvm_onnx_set_parameter(layer, names[i], tensor.shape, elements);
    }
    if (layer)
        cvm_onnx_set_real(layer, "epsilon", cvm_onnx_float(import, "epsilon", 1e-5));
    return layer && cvm_onnx_finish_layer(import, layer);
}

/* The share is an attribute up to opset 11, then an operand. It does nothing to a picture that is
 * classified, and is kept for who trains the net. */
bool cvm_onnx_read_dropout(CvmOnnxImport *import) {
    int x;
    double rate = cvm_onnx_float(import, "ratio", 0.5);
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    if (cvm_onnx_has_input(import, 1) && !cvm_onnx_single(import->inputs[1], &rate))
        return cvm_onnx_refuse(import, 1703, NULL, "computes its ratio");
    bool training = false;
    if (cvm_onnx_has_input(import, 2) &&
        (!cvm_onnx_is_true(import->inputs[2], &training) || training))
        return cvm_onnx_refuse(import, 1702, "export the net for inference",
                               "drops out while pictures are classified");
    if (!(rate > 0 && rate < 1))
        return cvm_onnx_give_tensor(import, x);
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (!layer)
        return false;
    layer->arguments[0].given = true;
    layer->arguments[0].real = rate;
    return cvm_onnx_finish_layer(import, layer);
}

/* Up to opset 12 along all axes from `axis` on, then along that axis alone. */
bool cvm_onnx_read_softmax(CvmOnnxImport *import) {
    int x;
    if (!cvm_onnx_take_tensor(import, 0, &x))
        return false;
    const CvmShape *shape = cvm_onnx_shape(import, x);
    int64_t axis = cvm_onnx_int(import, "axis", import->opset < 13 ? 1 : -1);
    axis += axis < 0 ? shape->rank : 0;
    bool one_pixel = shape->rank == 4 && shape->sizes[2] == 1 && shape->sizes[3] == 1;
    bool along_channels = axis == 1 && (import->opset >= 13 || shape->rank == 2 || one_pixel);
    if (!along_channels)
        return cvm_onnx_refuse(import, 1702, NULL, "does not work along the channels");
    return cvm_onnx_read_unary(import);
}

/* --- several operands --- */

/* What Add does to the result of a layer without bias that nothing else reads: it is its bias. */
static bool becomes_bias(CvmOnnxImport *import, int x, int constant, bool *done) {
    const CvmOnnxValue *value = import->inputs[x], *bias = import->inputs[constant];
    *done = value->kind == CVM_ONNX_TENSOR && value->uses == 1 && value->tensor > 0 &&
            bias->kind == CVM_ONNX_CONSTANT;
    CvmOnnxLayer *layer = *done ? &import->net->layers[value->tensor - 1] : NULL;
    const char *name = *done ? cvm_op_info(layer->op)->name : "";
    *done = *done && (!strcmp(name, "conv") || !strcmp(name, "linear")) &&
            !cvm_onnx_argument(layer, "bias")->integers[0] &&
            !strcmp(import->model->message->graph->node[layer->node]->output[0],
                    import->proto->input[x]); /* else it may be read under its own name, too */
    if (!*done)
        return true;
    const CvmShape *shape = cvm_onnx_shape(import, value->tensor);
    const CvmShape *given = &bias->constant.shape;
    int from_end = shape->rank == 4 ? 3 : 1; /* the axis of the channels, counted from the last */
    int64_t n = shape->sizes[1], count = 0;
    cvm_shape_count(given, &count);
    bool along = count == 1 || (count == n && given->rank >= from_end &&
                                given->sizes[given->rank - from_end] == n);
    int tensor = value->tensor;
    if (!along)
        return cvm_onnx_refuse(import, 1704, NULL,
                               "adds a constant that is no number for each channel");
    return cvm_onnx_set_bias(import, layer, n, constant, 1) &&
           cvm_onnx_build_layer(import, layer) && cvm_onnx_give_tensor(import, tensor);
}

static bool read_pair(CvmOnnxImport *import) {
    int operands[2];
    if (!cvm_onnx_take_tensor(import, 0, &operands[0]) ||
        !cvm_onnx_take_tensor(import, 1, &operands[1]))
        return false;
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, operands, 2);
    return layer && cvm_onnx_finish_layer(import, layer);
}

/* Whether the node computes with numbers, or with parts of a formula. */
static bool join_any(CvmOnnxImport *import, bool *failed) {
    return cvm_onnx_join_numbers(import, failed) || cvm_onnx_join_lrn(import, failed) ||
           cvm_onnx_join_gelu(import, failed);
}

bool cvm_onnx_read_add(CvmOnnxImport *import) {
    bool done, failed = false;
    for (int i = 0; i < 2; i++) {
        if (!cvm_onnx_has_input(import, 0) || !cvm_onnx_has_input(import, 1))
            break;
        if (!becomes_bias(import, i, 1 - i, &done))
            return false;
        if (done)
            return true;
    }
    if (join_any(import, &failed))
        return !failed;
    return read_pair(import);
}

bool cvm_onnx_read_mul(CvmOnnxImport *import) {
    bool failed = false;
    if (join_any(import, &failed))
        return !failed;
    return read_pair(import);
}

/* x^2 is x times x; another power can only be LRN's. */
bool cvm_onnx_read_pow(CvmOnnxImport *import) {
    int x[2];
    double power;
    bool failed = false;
    if (cvm_onnx_join_lrn(import, &failed))
        return !failed;
    if (!cvm_onnx_take_tensor(import, 0, &x[0]))
        return false;
    if (!cvm_onnx_has_input(import, 1) || !cvm_onnx_single(import->inputs[1], &power) || power != 2)
        return cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
    x[1] = x[0];
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, x, 2);
    return layer && cvm_onnx_finish_layer(import, layer);
}

/* Only numbers about shapes are subtracted and divided, GELU's x by the root of 2, and LRN's x. */
bool cvm_onnx_read_sub(CvmOnnxImport *import) {
    bool failed = false;
    if (cvm_onnx_join_numbers(import, &failed))
        return !failed;
    return cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
}

bool cvm_onnx_read_div(CvmOnnxImport *import) {
    bool failed = false;
    if (join_any(import, &failed))
        return !failed;
    return cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
}
