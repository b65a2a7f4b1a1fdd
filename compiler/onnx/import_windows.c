/* See import.h: operators whose windows move over a picture, and the zeros around it. A Pad is a
 * part until a convolution or an average reads it, since the language has pads as an argument of
 * those. */
#include "compiler/onnx/import.h"
#include "compiler/ops/pool_window.h"

#include <string.h>

/* A list of `count` whole numbers; `otherwise` for each when the attribute is left out. */
static bool read_list(CvmOnnxImport *import, const char *name, int count, int64_t otherwise,
                      int64_t *list) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, name);
    for (int i = 0; i < count; i++)
        list[i] = otherwise;
    if (!attribute)
        return true;
    if (attribute->n_ints != (size_t)count)
        return cvm_onnx_refuse(import, 1702, NULL,
                               "has %d numbers as its %s, where pictures need %d",
                               (int)attribute->n_ints, name, count);
    for (int i = 0; i < count; i++) {
        list[i] = attribute->ints[i];
        if (list[i] < 0 || list[i] > INT32_MAX)
            return cvm_onnx_refuse(import, 1702, NULL, "has %s out of range", name);
    }
    return true;
}

bool cvm_onnx_text_is(const Onnx__AttributeProto *attribute, const char *text) {
    return attribute->s.len == strlen(text) && !memcmp(attribute->s.data, text, attribute->s.len);
}

/* What keeps ceil(size / stride) pixels, the odd one at the top and left; `same` in the language
 * has it at the bottom and right. */
static void same_lower(const CvmShape *x, const int64_t *kernel, const int64_t *stride,
                       const int64_t *dilation, int64_t pads[4]) {
    for (int i = 0; i < 2; i++) {
        int64_t size = x->sizes[2 + i], step = stride[i] > 0 ? stride[i] : 1;
        int64_t total =
            ((size + step - 1) / step - 1) * step + (kernel[i] - 1) * dilation[i] + 1 - size;
        total = total > 0 && total < INT32_MAX ? total : 0;
        pads[i] = total - total / 2;
        pads[2 + i] = total / 2;
    }
}

static bool read_pads(CvmOnnxImport *import, CvmArgument *pad, const CvmShape *x,
                      const int64_t *kernel, const int64_t *stride, const int64_t *dilation) {
    const Onnx__AttributeProto *automatic = cvm_onnx_attribute(import, "auto_pad");
    pad->given = true;
    if (!automatic || cvm_onnx_text_is(automatic, "NOTSET"))
        return read_list(import, "pads", 4, 0, pad->integers);
    if (cvm_onnx_text_is(automatic, "SAME_UPPER"))
        pad->same = true;
    else if (cvm_onnx_text_is(automatic, "SAME_LOWER"))
        same_lower(x, kernel, stride, dilation, pad->integers);
    else if (!cvm_onnx_text_is(automatic, "VALID"))
        return cvm_onnx_refuse(import, 1702, NULL, "has an auto_pad that is not known");
    return true;
}

/* Input 0 as a picture, and the zeros that a Pad put around it. */
static bool take_picture(CvmOnnxImport *import, int *x, int64_t pads[4]) {
    const CvmOnnxValue *padded = cvm_onnx_part(import, 0, CVM_ONNX_PADDED);
    memset(pads, 0, 4 * sizeof *pads);
    if (padded)
        memcpy(pads, padded->part.pads, 4 * sizeof *pads);
    *x = padded ? padded->tensor : 0;
    if (!padded && !cvm_onnx_take_tensor(import, 0, x))
        return false;
    return cvm_onnx_shape(import, *x)->rank == 4 ||
           cvm_onnx_refuse(import, 1703, NULL, "works on pictures, and gets a vector");
}

static bool is_padded(const int64_t pads[4]) {
    return pads[0] || pads[1] || pads[2] || pads[3];
}

/* The node's own pads and those of a Pad before it. auto_pad would count from the padded picture.
 */
static bool join_pads(CvmOnnxImport *import, CvmArgument *pad, const int64_t before[4]) {
    const Onnx__AttributeProto *automatic = cvm_onnx_attribute(import, "auto_pad");
    if (is_padded(before) && automatic && !cvm_onnx_text_is(automatic, "NOTSET") &&
        !cvm_onnx_text_is(automatic, "VALID"))
        return cvm_onnx_refuse(import, 1702, NULL, "has an auto_pad after a Pad");
    for (int i = 0; i < 4; i++)
        pad->integers[i] += before[i];
    return true;
}

static bool set_size(CvmOnnxLayer *layer, const char *name, const int64_t size[2]) {
    CvmArgument *argument = cvm_onnx_argument(layer, name);
    argument->given = true;
    memcpy(argument->integers, size, 2 * sizeof *size);
    return true;
}

bool cvm_onnx_read_conv(CvmOnnxImport *import) {
    int x;
    CvmFileTensor weight;
    int64_t kernel[2], stride[2], dilation[2], padded[4];
    if (!take_picture(import, &x, padded) || !cvm_onnx_take_constant(import, 1, &weight))
        return false;
    if (weight.shape.rank != 4)
        return cvm_onnx_refuse(import, 1704, NULL, "has weights that are not [o, c, h, w]");
    int64_t groups = cvm_onnx_int(import, "group", 1), channels = weight.shape.sizes[0];
    if (groups < 1 || groups > INT32_MAX || channels < 1 || channels > INT32_MAX)
        return cvm_onnx_refuse(import, 1702, NULL, "has groups or channels out of range");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (!layer || !read_list(import, "strides", 2, 1, stride) ||
        !read_list(import, "dilations", 2, 1, dilation) ||
        !read_list(import, "kernel_shape", 2, 0, kernel))
        return false;
    if (cvm_onnx_attribute(import, "kernel_shape") &&
        memcmp(kernel, weight.shape.sizes + 2, sizeof kernel) != 0)
        return cvm_onnx_refuse(import, 1704, NULL,
                               "has weights of another size than its kernel_shape");
    memcpy(kernel, weight.shape.sizes + 2, sizeof kernel);
    const float *elements = cvm_onnx_floats(import, &weight);
    if (!elements ||
        !read_pads(import, cvm_onnx_argument(layer, "pad"), cvm_onnx_shape(import, x), kernel,
                   stride, dilation) ||
        !join_pads(import, cvm_onnx_argument(layer, "pad"), padded))
        return false;
    cvm_onnx_set_int(layer, "channels", channels);
    cvm_onnx_set_int(layer, "groups", groups);
    set_size(layer, "kernel", kernel);
    set_size(layer, "stride", stride);
    set_size(layer, "dilation", dilation);
    cvm_onnx_set_parameter(layer, "weight", weight.shape, elements);
    return cvm_onnx_set_bias(import, layer, channels, 2, 1) && cvm_onnx_finish_layer(import, layer);
}

/* --- pooling --- */

/* Whether pads at the end that do not count, after zeros that do, are as far as ceil=true reaches:
 * then the layer has that instead. */
static bool becomes_ceil(CvmOnnxImport *import, CvmOnnxLayer *layer, int x, const int64_t *kernel,
                         const int64_t *stride, const int64_t before[4]) {
    int64_t *pad = cvm_onnx_argument(layer, "pad")->integers;
    const int64_t *size = cvm_onnx_shape(import, x)->sizes + 2;
    bool fits = !pad[0] && !pad[1] && !cvm_onnx_int(import, "ceil_mode", 0);
    for (int i = 0; i < 2; i++)
        fits = fits && kernel[i] > 0 && stride[i] > 0 &&
               cvm_pool_count(size[i], kernel[i], stride[i], before[i], before[2 + i], true) ==
                   cvm_pool_count(size[i], kernel[i], stride[i], before[i],
                                  before[2 + i] + pad[2 + i], false);
    if (fits) {
        memset(pad, 0, 4 * sizeof *pad);
        cvm_onnx_set_int(layer, "ceil", true);
    }
    return fits;
}

/* What is divided by in a mean over a window with pads. Zeros of a Pad always count, the node's own
 * pads where it says so; the language has one word for both. */
static bool count_pads(CvmOnnxImport *import, CvmOnnxLayer *layer, int x, const int64_t *kernel,
                       const int64_t *stride, const int64_t before[4]) {
    const CvmArgument *pad = cvm_onnx_argument(layer, "pad");
    bool own = pad->same || is_padded(pad->integers), counts = is_padded(before);
    bool own_count = cvm_onnx_int(import, "count_include_pad", 0) != 0;
    if (own && counts && !own_count && !becomes_ceil(import, layer, x, kernel, stride, before))
        return cvm_onnx_refuse(import, 1702, NULL,
                               "counts the zeros of the Pad before it and not its own pads");
    if (own || counts)
        cvm_onnx_set_int(layer, "count_pad", counts || own_count);
    return true;
}

static bool is_mean(const CvmOnnxImport *import) {
    return !strcmp(import->operator->layer, "avgpool");
}

static bool is_one(const int64_t size[2]) {
    return size[0] == 1 && size[1] == 1;
}

bool cvm_onnx_read_pool(CvmOnnxImport *import) {
    int x;
    int64_t kernel[2], stride[2], dilation[2], padded[4];
    bool failed = false;
    if (cvm_onnx_lrn_pool(import, &failed))
        return !failed;
    if (!take_picture(import, &x, padded) || !read_list(import, "kernel_shape", 2, 0, kernel) ||
        !read_list(import, "strides", 2, 1, stride) ||
        !read_list(import, "dilations", 2, 1, dilation))
        return false;
    if (!is_one(dilation))
        return cvm_onnx_refuse(import, 1702, NULL, "has dilations, which pooling has not here");
    if (is_padded(padded) && !is_mean(import))
        return cvm_onnx_refuse(import, 1701, NULL,
                               "takes the largest of pixels and the zeros of a Pad, as no layer "
                               "does");
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, import->operator->layer, &x, 1);
    if (!layer)
        return false;
    CvmArgument *pad = cvm_onnx_argument(layer, "pad");
    cvm_onnx_set_int(layer, "ceil", cvm_onnx_int(import, "ceil_mode", 0) != 0);
    if (!read_pads(import, pad, cvm_onnx_shape(import, x), kernel, stride, dilation) ||
        (is_mean(import) && !count_pads(import, layer, x, kernel, stride, padded)) ||
        !join_pads(import, pad, padded))
        return false;
    if (is_one(kernel) && is_one(stride) && !is_padded(pad->integers))
        return cvm_onnx_give_tensor(import, x); /* windows of one pixel, as exporters write them */
    set_size(layer, "kernel", kernel);
    set_size(layer, "stride", stride);
    cvm_onnx_argument(layer, "stride")->given = memcmp(kernel, stride, sizeof kernel) != 0;
    return cvm_onnx_finish_layer(import, layer);
}

/* --- zeros around a picture --- */

/* The pads of each axis, first those before, then those after: an attribute up to opset 10. */
static bool take_pads(CvmOnnxImport *import, CvmOnnxValue *pads) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, "pads");
    *pads = (CvmOnnxValue){.rank = 1};
    if (!attribute)
        return cvm_onnx_take_numbers(import, 1, pads);
    for (size_t i = 0; i < attribute->n_ints && i < CVM_ONNX_MAX_NUMBERS; i++)
        pads->numbers[pads->count++] = attribute->ints[i];
    return true;
}

static bool pad_picture(CvmOnnxImport *import, const CvmOnnxValue *pads) {
    static const int at[] = {2, 3, 6, 7};
    CvmOnnxPart part = {.formula = CVM_ONNX_PADDED};
    int x;
    if (!take_picture(import, &x, part.pads))
        return false;
    bool fits = pads->count == 8;
    for (int i = 0; i < 8 && fits; i++)
        fits = pads->numbers[i] >= 0 && pads->numbers[i] <= INT16_MAX &&
               (i % 4 > 1 || pads->numbers[i] == 0);
    if (!fits)
        return cvm_onnx_refuse(import, 1702, NULL,
                               "puts zeros elsewhere than around height and width");
    for (int i = 0; i < 4; i++)
        part.pads[i] += pads->numbers[at[i]];
    return is_padded(part.pads) ? cvm_onnx_give_part(import, x, &part)
                                : cvm_onnx_give_tensor(import, x);
}

bool cvm_onnx_read_pad(CvmOnnxImport *import) {
    const Onnx__AttributeProto *mode = cvm_onnx_attribute(import, "mode");
    CvmOnnxValue pads;
    bool failed = false;
    double value = cvm_onnx_float(import, "value", 0);
    if (cvm_onnx_has_input(import, 2) && !cvm_onnx_single(import->inputs[2], &value))
        return cvm_onnx_refuse(import, 1703, NULL, "computes what it pads with");
    if ((mode && !cvm_onnx_text_is(mode, "constant")) || value != 0)
        return cvm_onnx_refuse(import, 1702, NULL, "pads with other numbers than 0");
    if (cvm_onnx_has_input(import, 3))
        return cvm_onnx_refuse(import, 1702, NULL, "names the axes that it pads");
    if (!take_pads(import, &pads))
        return false;
    return cvm_onnx_lrn_pad(import, &pads, &failed) ? !failed : pad_picture(import, &pads);
}

/* --- means over uneven windows: a product with a matrix on either side --- */

/* Whether a matrix [rows, columns], or its transpose, takes the means of the windows that divide
 * `pixels` as evenly as may be; then how many windows there are. */
static bool is_means(CvmOnnxImport *import, const CvmFileTensor *matrix, bool transposed,
                     int64_t pixels, int64_t *windows) {
    const CvmShape *shape = &matrix->shape;
    if (shape->rank != 2 || shape->sizes[!transposed] != pixels || shape->sizes[transposed] < 1)
        return false;
    int64_t count = shape->sizes[transposed];
    const float *elements = cvm_onnx_floats(import, matrix);
    if (!elements)
        return false;
    CvmPoolAxis axis = {.input = pixels, .outputs = count, .adaptive = true};
    for (int64_t i = 0; i < count; i++) {
        CvmPoolSpan span = cvm_pool_span(&axis, i);
        for (int64_t k = 0; k < pixels; k++) {
            float given;
            bool inside = k >= span.first && k < span.last;
            memcpy(&given,
                   (const char *)elements + 4 * (transposed ? k * count + i : i * pixels + k),
                   sizeof given);
            if (given != (inside ? (float)(1.0 / (double)span.count) : 0))
                return false;
        }
    }
    *windows = count;
    return true;
}

static bool finish_adaptive(CvmOnnxImport *import, const CvmOnnxValue *rows, int64_t windows) {
    int x = rows->tensor;
    CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, "adaptive_avgpool", &x, 1);
    if (!layer)
        return false;
    set_size(layer, "size", (int64_t[]){windows, rows->part.windows});
    return cvm_onnx_finish_layer(import, layer);
}

bool cvm_onnx_join_means(CvmOnnxImport *import, bool *failed) {
    CvmFileTensor matrix;
    const CvmOnnxValue *rows = cvm_onnx_part(import, 1, CVM_ONNX_ADAPTIVE);
    CvmOnnxPart part = {.formula = CVM_ONNX_ADAPTIVE};
    int x;
    bool picture = cvm_onnx_has_input(import, 0) && import->inputs[0]->kind == CVM_ONNX_TENSOR &&
                   cvm_onnx_shape(import, import->inputs[0]->tensor)->rank == 4;
    if (!rows && !picture)
        return false;
    *failed = true;
    if (!cvm_onnx_take_constant(import, rows ? 0 : 1, &matrix) ||
        (!rows && !cvm_onnx_take_tensor(import, 0, &x)))
        return true;
    const CvmShape *shape = cvm_onnx_shape(import, rows ? rows->tensor : x);
    if (!is_means(import, &matrix, !rows, shape->sizes[rows ? 2 : 3], &part.windows))
        cvm_onnx_refuse(import, 1701, NULL,
                        "multiplies rows of pixels by a matrix, as no layer does");
    else
        *failed = !(rows ? finish_adaptive(import, rows, part.windows)
                         : cvm_onnx_give_part(import, x, &part));
    return true;
}
