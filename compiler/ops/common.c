/* See common.h. */
#include "compiler/ops/common.h"

#include "compiler/graph/layout.h"
#include "runtime/bfloat16.h"

#include <stdio.h>
#include <string.h>

static const int64_t LARGEST = (int64_t)1 << 40;
static const int64_t LARGEST_SIZE = (int64_t)1 << 31;

bool cvm_refuse_operands(const CvmNode *node, CvmDiag *diag, const char *rule) {
    return cvm_diag_error(diag, 1433, node->origin.span, node->origin.uses, NULL, "%s %s",
                          cvm_op_info(node->op)->name, rule);
}

bool cvm_check_operand(const CvmNode *node, int operand, int rank, CvmDiag *diag) {
    return cvm_check_numbers(node, operand, rank, CVM_F32, CVM_F32, diag);
}

bool cvm_check_numbers(const CvmNode *node, int operand, int rank, CvmDtype a, CvmDtype b,
                       CvmDiag *diag) {
    const CvmType *type = &node->inputs[operand]->type;
    if ((type->dtype == a || type->dtype == b) && (rank < 0 || type->shape.rank == rank))
        return true;
    char shape[128];
    return cvm_diag_error(diag, 1430, node->origin.span, node->origin.uses, NULL,
                          "operand %d of %s is %s%s, which it does not take", operand + 1,
                          cvm_op_info(node->op)->name, cvm_dtype_name(type->dtype),
                          cvm_shape_text(&type->shape, shape, sizeof shape));
}

CvmNumbers cvm_numbers(const CvmNode *node, const void *const *operands, int operand) {
    return (CvmNumbers){operands[operand], node->inputs[operand]->type.dtype};
}

float cvm_number(CvmNumbers numbers, int64_t i) {
    return numbers.dtype == CVM_BF16 ? cvm_bfloat16_value(((const uint16_t *)numbers.data)[i])
                                     : ((const float *)numbers.data)[i];
}

bool cvm_check_layouts(const CvmNode *node, int a, int b, CvmDiag *diag) {
    const CvmType *left = &node->inputs[a]->type, *right = &node->inputs[b]->type;
    if (cvm_layout_equal(left, right))
        return true;
    return cvm_diag_error(diag, 1431, node->origin.span, node->origin.uses, NULL,
                          "the operands of %s lie in different layouts",
                          cvm_op_info(node->op)->name);
}

bool cvm_check_plain(const CvmNode *node, int operand, CvmDiag *diag) {
    if (node->inputs[operand]->type.layout == CVM_LAYOUT_PLAIN)
        return true;
    return cvm_diag_error(diag, 1432, node->origin.span, node->origin.uses, NULL,
                          "operand %d of %s must have the plain layout", operand + 1,
                          cvm_op_info(node->op)->name);
}

bool cvm_check_channels(const CvmNode *node, int x, int channels, CvmDiag *diag) {
    const CvmShape *shape = &node->inputs[x]->type.shape;
    if (!cvm_check_operand(node, x, shape->rank == 4 ? 4 : 2, diag) ||
        !cvm_check_operand(node, channels, 1, diag) || !cvm_check_plain(node, channels, diag))
        return false;
    if (node->inputs[channels]->type.shape.sizes[0] != shape->sizes[1])
        return cvm_refuse_operands(node, diag, "needs one number for each channel");
    return true;
}

bool cvm_set_type(CvmNode *node, CvmShape shape, const CvmType *like, CvmDiag *diag) {
    int64_t count;
    bool sized = cvm_shape_count(&shape, &count) && count >= 1 && count <= LARGEST;
    if (!sized)
        return cvm_diag_error(diag, 1249, node->origin.span, node->origin.uses, NULL,
                              "the result of %s would have no size, or more than 2^40 elements",
                              cvm_op_info(node->op)->name);
    node->type = (CvmType){.dtype = CVM_F32, .shape = shape};
    if (like) {
        node->type.layout = like->layout;
        node->type.lanes = like->lanes;
    }
    return cvm_layout_fits(&node->type) ||
           cvm_refuse_operands(node, diag, "cannot have the layout of its operand");
}

int64_t cvm_window_count(int64_t size, int64_t kernel, int64_t stride, int64_t pad_before,
                         int64_t pad_after, int64_t dilation) {
    const int64_t all[] = {size, kernel, stride, pad_before, pad_after, dilation};
    for (int i = 0; i < 6; i++)
        if (all[i] < (i == 3 || i == 4 ? 0 : 1) || all[i] > LARGEST_SIZE)
            return -1;
    int64_t reach = (kernel - 1) * dilation + 1; /* below 2^62 */
    int64_t room = size + pad_before + pad_after - reach;
    return room < 0 ? 0 : room / stride + 1;
}

int64_t cvm_count(const CvmNode *node) {
    int64_t count = 0;
    cvm_shape_count(&node->type.shape, &count);
    return count;
}

CvmRow cvm_first_row(const CvmNode *node) {
    const CvmShape *shape = &node->type.shape;
    int64_t step = shape->rank == 4 ? shape->sizes[2] * shape->sizes[3] : 1;
    int64_t size = shape->sizes[1] * step;
    return (CvmRow){.end = size, .step = step, .size = size, .count = shape->sizes[0] * size};
}

bool cvm_row_exists(const CvmRow *row) {
    return row->first < row->count;
}

void cvm_next_row(CvmRow *row) {
    row->first++;
    if (row->first % row->size >= row->step) /* the next picture */
        row->first += row->size - row->step;
    row->end = row->first + row->size;
}

int64_t cvm_pixels(const CvmShape *shape) {
    return shape->rank == 4 ? shape->sizes[2] * shape->sizes[3] : 1;
}

static double bytes_of(const CvmNode *node) {
    return (double)cvm_dtype_bytes(node->type.dtype) * (double)cvm_count(node);
}

double cvm_traffic(const CvmNode *node) {
    double bytes = bytes_of(node);
    for (int i = 0; i < node->input_count; i++)
        bytes += bytes_of(node->inputs[i]);
    return bytes;
}

char *cvm_picture_text(const CvmNode *node, char *text, size_t size) {
    CvmShape shape = node->type.shape;
    if (shape.rank > 0) {
        shape.rank--;
        memmove(shape.sizes, shape.sizes + 1, (size_t)shape.rank * sizeof shape.sizes[0]);
    }
    return cvm_shape_text(&shape, text, size);
}

CvmNode *cvm_layer_refuse(const CvmLayer *layer, int code, const char *mend, const char *format,
                          ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    cvm_diag_error(layer->diag, code, layer->origin.span, layer->origin.uses, mend, "%s", message);
    return NULL;
}

bool cvm_layer_has_input(const CvmLayer *layer) {
    if (layer->input)
        return true;
    return cvm_layer_refuse(layer, 1220, "declare one first: input image: [1, 28, 28]",
                            "%s has nothing to work on: no tensor flows yet",
                            cvm_op_info(layer->op)->name) != NULL;
}

/* "maxpool (line 9)": how a message names what came before. */
static void name_of(const CvmNode *node, char *text, size_t size) {
    if (node->origin.span.source && node->op != CVM_OP_INPUT)
        snprintf(text, size, "%s (line %d)", cvm_op_info(node->op)->name,
                 node->origin.span.first_line);
    else
        snprintf(text, size, "%s", node->op == CVM_OP_INPUT ? "the input" : "the layer before");
}

bool cvm_layer_needs_picture(const CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return false;
    if (layer->input->type.shape.rank == 4)
        return true;
    char before[96], shape[96];
    name_of(layer->input, before, sizeof before);
    return cvm_layer_refuse(layer, 1221, "put it before 'flatten' and the linear layers",
                            "%s needs a picture [channels, height, width], and %s gives %s",
                            cvm_op_info(layer->op)->name, before,
                            cvm_picture_text(layer->input, shape, sizeof shape)) != NULL;
}

CvmNode *cvm_layer_needs_vector(const CvmLayer *layer) {
    char before[96], shape[96];
    name_of(layer->input, before, sizeof before);
    return cvm_layer_refuse(layer, 1222, "put 'flatten' between them",
                            "%s needs a vector, and %s gives %s", cvm_op_info(layer->op)->name,
                            before, cvm_picture_text(layer->input, shape, sizeof shape));
}

void cvm_layer_pads(const CvmLayer *layer, const int64_t kernel[2], const int64_t stride[2],
                    const int64_t dilation[2], int64_t pads[4]) {
    const CvmArgument *pad = cvm_layer_argument(layer, "pad");
    memcpy(pads, pad->integers, 4 * sizeof *pads);
    if (!pad->same)
        return;
    for (int i = 0; i < 2; i++) {
        int64_t size = layer->input->type.shape.sizes[2 + i];
        int64_t count = (size + stride[i] - 1) / stride[i];
        int64_t total = (count - 1) * stride[i] + (kernel[i] - 1) * dilation[i] + 1 - size;
        total = total > 0 ? total : 0;
        pads[i] = total / 2;
        pads[2 + i] = total - total / 2;
    }
}

CvmNode *cvm_layer_bias(CvmLayer *layer, CvmNode *value, int64_t channels, double bound) {
    CvmNode *operands[] = {value,
                           cvm_layer_parameter(layer, "bias", (CvmShape){1, {channels}}, bound, 0)};
    return operands[1] ? cvm_layer_add(layer, CVM_OP_BIAS, operands, 2, NULL) : NULL;
}
