/* See import.h: what the functions that read a node ask of it, and how they add a layer. */
#include "compiler/front/signature.h"
#include "compiler/onnx/import.h"
#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

bool cvm_onnx_refuse(CvmOnnxImport *import, int code, const char *mend, const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    const char *name = import->proto->name;
    if (!name || !*name)
        name = import->proto->n_output ? import->proto->output[0] : "";
    return cvm_diag_error(import->diag, code, cvm_onnx_node_span(import->model, import->node), NULL,
                          mend, "%s '%s' %s",
                          cvm_shown(import->proto->op_type ? import->proto->op_type : "?").text,
                          cvm_shown(name).text, message);
}

const Onnx__AttributeProto *cvm_onnx_attribute(const CvmOnnxImport *import, const char *name) {
    for (size_t i = 0; i < import->proto->n_attribute; i++) {
        const Onnx__AttributeProto *one = import->proto->attribute[i];
        if (one->name && strcmp(one->name, name) == 0)
            return one;
    }
    return NULL;
}

int64_t cvm_onnx_int(const CvmOnnxImport *import, const char *name, int64_t otherwise) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, name);
    return attribute ? attribute->i : otherwise;
}

double cvm_onnx_float(const CvmOnnxImport *import, const char *name, double otherwise) {
    const Onnx__AttributeProto *attribute = cvm_onnx_attribute(import, name);
    return attribute ? (double)attribute->f : otherwise;
}

/* --- inputs --- */

bool cvm_onnx_has_input(const CvmOnnxImport *import, int i) {
    return i < import->input_count && import->inputs[i];
}

/* The input, or NULL (reported). */
static const CvmOnnxValue *need_input(CvmOnnxImport *import, int i) {
    if (cvm_onnx_has_input(import, i))
        return import->inputs[i];
    cvm_onnx_refuse(import, 1703, NULL, "lacks its input %d", i + 1);
    return NULL;
}

/* Told at the node that gives the part, which is what no layer does. */
static bool refuse_part(CvmOnnxImport *import, const CvmOnnxValue *part) {
    static const char *const whats[] = {
        "computes with a constant, which only GELU's formula can do",
        "is part of a formula that is not LRN's",
        "pads a picture, which can only be a convolution's or an average's pad",
        "multiplies rows of pixels by a matrix, as no layer does",
    };
    int node = import->node;
    const Onnx__NodeProto *proto = import->proto;
    import->node = part->node;
    import->proto = import->model->message->graph->node[part->node];
    cvm_onnx_refuse(import, 1701, NULL, "%s", whats[part->part.formula]);
    import->node = node;
    import->proto = proto;
    return false;
}

bool cvm_onnx_take_tensor(CvmOnnxImport *import, int i, int *tensor) {
    const CvmOnnxValue *value = need_input(import, i);
    if (!value)
        return false;
    *tensor = value->tensor;
    if (value->kind == CVM_ONNX_TENSOR)
        return true;
    if (value->kind == CVM_ONNX_PART)
        return refuse_part(import, value);
    return cvm_onnx_refuse(
        import, 1703, NULL, "takes %s as its input %d, where no layer can",
        value->kind == CVM_ONNX_CONSTANT ? "a constant" : "the numbers of a shape", i + 1);
}

const CvmOnnxValue *cvm_onnx_part(const CvmOnnxImport *import, int i, CvmOnnxFormula formula) {
    const CvmOnnxValue *value = cvm_onnx_has_input(import, i) ? import->inputs[i] : NULL;
    bool is = value && value->kind == CVM_ONNX_PART && value->part.formula == formula;
    return is ? value : NULL;
}

bool cvm_onnx_give_part(CvmOnnxImport *import, int tensor, const CvmOnnxPart *part) {
    import->result = (CvmOnnxValue){
        .kind = CVM_ONNX_PART, .tensor = tensor, .part = *part, .node = import->node};
    return true;
}

bool cvm_onnx_take_constant(CvmOnnxImport *import, int i, CvmFileTensor *constant) {
    const CvmOnnxValue *value = need_input(import, i);
    if (!value)
        return false;
    *constant = value->constant;
    return value->kind == CVM_ONNX_CONSTANT ||
           cvm_onnx_refuse(import, 1703, NULL,
                           "computes its input %d, which must be a constant of the file", i + 1);
}

static bool numbers_of_constant(CvmOnnxImport *import, int i, const CvmFileTensor *constant,
                                CvmOnnxValue *numbers) {
    int64_t count = 0;
    cvm_shape_count(&constant->shape, &count);
    bool whole = constant->dtype == CVM_FILE_I64 || constant->dtype == CVM_FILE_I32;
    if (!whole || constant->shape.rank > 1 || count > CVM_ONNX_MAX_NUMBERS)
        return cvm_onnx_refuse(
            import, 1703, NULL,
            "needs a few whole numbers as its input %d, and it is something else", i + 1);
    *numbers =
        (CvmOnnxValue){.kind = CVM_ONNX_NUMBERS, .count = (int)count, .rank = constant->shape.rank};
    for (int k = 0; k < numbers->count; k++) {
        int32_t narrow;
        if (constant->dtype == CVM_FILE_I64) {
            memcpy(&numbers->numbers[k], (const char *)constant->data + 8 * k, 8);
        } else {
            memcpy(&narrow, (const char *)constant->data + 4 * k, 4);
            numbers->numbers[k] = narrow;
        }
    }
    return true;
}

bool cvm_onnx_take_numbers(CvmOnnxImport *import, int i, CvmOnnxValue *numbers) {
    const CvmOnnxValue *value = need_input(import, i);
    if (!value)
        return false;
    if (value->kind == CVM_ONNX_CONSTANT)
        return numbers_of_constant(import, i, &value->constant, numbers);
    *numbers = *value;
    return value->kind == CVM_ONNX_NUMBERS ||
           cvm_onnx_refuse(import, 1703, NULL, "needs whole numbers known now as its input %d",
                           i + 1);
}

bool cvm_onnx_single(const CvmOnnxValue *value, double *number) {
    int64_t count = 0;
    float single;
    CvmError error;
    if (!value || value->kind != CVM_ONNX_CONSTANT)
        return false;
    cvm_shape_count(&value->constant.shape, &count);
    if (count != 1 || !cvm_file_tensor_read_f32(&value->constant, &single, &error))
        return false;
    *number = single;
    return true;
}

const CvmShape *cvm_onnx_shape(const CvmOnnxImport *import, int tensor) {
    const CvmNode *node = tensor ? import->net->layers[tensor - 1].output : import->picture;
    return &node->type.shape;
}

const float *cvm_onnx_floats(CvmOnnxImport *import, const CvmFileTensor *constant) {
    CvmError error;
    int64_t count = 0;
    cvm_shape_count(&constant->shape, &count);
    if (count == 0) {
        cvm_onnx_refuse(import, 1704, NULL, "has weights without elements");
        return NULL;
    }
    if (constant->dtype == CVM_FILE_F32)
        return constant->data;
    float *elements = cvm_arena_array(import->arena, (size_t)count + 1, sizeof *elements);
    if (cvm_file_tensor_read_f32(constant, elements, &error))
        return elements;
    cvm_onnx_refuse(import, 1704, NULL, "has weights that are whole numbers");
    return NULL;
}

/* --- layers --- */

CvmOnnxLayer *cvm_onnx_begin_layer(CvmOnnxImport *import, const char *name, const int *tensors,
                                   int count) {
    CvmOp op = cvm_op_find(name);
    if (op == CVM_OP_COUNT || !cvm_op_info(op)->arguments) {
        cvm_onnx_refuse(import, 1701, NULL, "would be the layer %s, which there is not yet", name);
        return NULL;
    }
    CvmSignature signature = cvm_signature(op, import->arena);
    CvmOnnxLayer *layer = CVM_NEW(import->arena, CvmOnnxLayer);
    layer->op = op;
    layer->node = import->node;
    layer->argument_count = signature.count;
    int places = 0;
    bool repeats = false;
    for (int i = 0; i < signature.count; i++) {
        const CvmParameterInfo *parameter = &signature.parameters[i];
        CvmArgument *argument = &layer->arguments[i];
        argument->name = parameter->name;
        argument->real = parameter->otherwise;
        for (int k = 0; k < 4; k++)
            argument->integers[k] = (int64_t)parameter->otherwise;
        places += parameter->kind == CVM_PARAMETER_TENSOR;
        repeats |= parameter->repeats;
    }
    layer->takes_tensors = places > 0;
    if (count > (places ? places : 1) && !repeats) {
        cvm_onnx_refuse(import, 1703, NULL, "has %d operands, and %s takes at most %d", count, name,
                        places ? places : 1);
        return NULL;
    }
    layer->inputs = cvm_arena_array(import->arena, (size_t)count + 1, sizeof *layer->inputs);
    memcpy(layer->inputs, tensors, (size_t)count * sizeof *tensors);
    layer->input_count = count;
    return layer;
}

CvmArgument *cvm_onnx_argument(CvmOnnxLayer *layer, const char *name) {
    for (int i = 0; i < layer->argument_count; i++)
        if (!strcmp(layer->arguments[i].name, name))
            return &layer->arguments[i];
    abort(); /* the layer's signature in ops.def has changed */
}

void cvm_onnx_set_int(CvmOnnxLayer *layer, const char *name, int64_t value) {
    CvmArgument *argument = cvm_onnx_argument(layer, name);
    argument->given = true;
    argument->integers[0] = value;
}

void cvm_onnx_set_real(CvmOnnxLayer *layer, const char *name, double value) {
    CvmArgument *argument = cvm_onnx_argument(layer, name);
    argument->given = true;
    argument->real = value;
}

void cvm_onnx_set_parameter(CvmOnnxLayer *layer, const char *name, CvmShape shape,
                            const float *elements) {
    int64_t count = 0;
    cvm_shape_count(&shape, &count);
    layer->parameters[layer->parameter_count++] = (CvmFileTensor){
        .name = name, .dtype = CVM_FILE_F32, .shape = shape, .data = elements, .bytes = 4 * count};
}

static const CvmFileTensor *find_parameter(const CvmOnnxLayer *layer, const CvmNode *node) {
    const char *dot = strrchr(node->origin.name, '.');
    for (int i = 0; dot && i < layer->parameter_count; i++)
        if (!strcmp(layer->parameters[i].name, dot + 1))
            return &layer->parameters[i];
    return NULL;
}

/* Whether what the layer's build function asked for is what the node brings. */
static bool check_parameters(CvmOnnxImport *import, const CvmOnnxLayer *layer, int first_node) {
    int count = 0;
    for (int i = first_node; i < import->graph->node_count; i++) {
        const CvmNode *node = import->graph->nodes[i];
        if (node->op != CVM_OP_PARAMETER)
            continue;
        const CvmFileTensor *given = find_parameter(layer, node);
        char needed[96], there[96];
        if (!given || !cvm_shape_equal(&given->shape, &node->type.shape))
            return cvm_onnx_refuse(import, 1704, NULL, "has a %s of shape %s where %s is needed",
                                   strrchr(node->origin.name, '.') + 1,
                                   given ? cvm_shape_text(&given->shape, there, sizeof there) : "-",
                                   cvm_shape_text(&node->type.shape, needed, sizeof needed));
        count++;
    }
    if (count != layer->parameter_count)
        abort(); /* a row sets what its layer does not have */
    return true;
}

static CvmNode *node_of(const CvmOnnxImport *import, int tensor) {
    return tensor ? import->net->layers[tensor - 1].output : import->picture;
}

/* Hands the operands to the layer: the one that flows, or those of its tensor arguments, of which
 * the last may take several. */
static void set_tensors(CvmOnnxImport *import, const CvmOnnxLayer *layer, CvmLayer *built) {
    CvmNode **tensors =
        cvm_arena_array(import->arena, (size_t)layer->input_count + 1, sizeof *tensors);
    for (int i = 0; i < layer->input_count; i++)
        tensors[i] = node_of(import, layer->inputs[i]);
    built->input = tensors[0];
    for (int i = 0; layer->takes_tensors && i < layer->argument_count; i++) {
        if (i >= layer->input_count)
            break;
        built->arguments[i].given = true;
        built->arguments[i].tensor = tensors[i];
        built->arguments[i].tensors = tensors + i;
        built->arguments[i].tensor_count = layer->input_count - i;
    }
}

bool cvm_onnx_build_layer(CvmOnnxImport *import, CvmOnnxLayer *layer) {
    CvmLayer built = {.graph = import->graph,
                      .diag = import->diag,
                      .op = layer->op,
                      .origin = {.name = cvm_arena_format(import->arena, "layer%d", import->node),
                                 .span = cvm_onnx_node_span(import->model, import->node)},
                      .argument_count = layer->argument_count};
    for (int i = 0; i < layer->argument_count; i++) {
        built.arguments[i] = layer->arguments[i];
        built.arguments[i].span = built.origin.span;
    }
    set_tensors(import, layer, &built);
    int first_node = import->graph->node_count;
    layer->output = cvm_op_info(layer->op)->build(&built);
    return layer->output && check_parameters(import, layer, first_node);
}

bool cvm_onnx_finish_layer(CvmOnnxImport *import, CvmOnnxLayer *layer) {
    CvmOnnxNet *net = import->net;
    if (!cvm_onnx_build_layer(import, layer))
        return false;
    if (net->count == net->capacity)
        abort(); /* there is room for as many as there are nodes, twice */
    net->layers[net->count++] = *layer;
    return cvm_onnx_give_tensor(import, net->count);
}

bool cvm_onnx_give_tensor(CvmOnnxImport *import, int tensor) {
    import->result = (CvmOnnxValue){.kind = CVM_ONNX_TENSOR, .tensor = tensor};
    return true;
}
