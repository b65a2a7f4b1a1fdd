/* See export_message.h. */
#include "compiler/onnx/export_message.h"

#include <string.h>

enum { MOST_ATTRIBUTES = 8, OPERANDS = 8 };

void *cvm_onnx_new(CvmArena *arena, size_t size, const void *initial) {
    return memcpy(cvm_arena_alloc(arena, size), initial, size);
}

char *cvm_onnx_copy(CvmOnnxExporter *exporter, const char *text) {
    return cvm_arena_copy(exporter->arena, text, strlen(text));
}

static Onnx__AttributeProto *add_attribute(CvmOnnxExporter *exporter, Onnx__NodeProto *node,
                                           const char *name, int type) {
    Onnx__AttributeProto *attribute =
        CVM_ONNX_NEW(exporter, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    attribute->name = cvm_onnx_copy(exporter, name);
    attribute->has_type = true;
    attribute->type = type;
    if (!node->attribute)
        node->attribute =
            cvm_arena_array(exporter->arena, MOST_ATTRIBUTES, sizeof *node->attribute);
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

void cvm_onnx_add_int(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                      int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_INT);
    attribute->has_i = true;
    attribute->i = value;
}

void cvm_onnx_add_float(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                        double value) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_FLOAT);
    attribute->has_f = true;
    attribute->f = (float)value;
}

void cvm_onnx_add_ints(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                       const int64_t *values, size_t count) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_INTS);
    attribute->n_ints = count;
    attribute->ints = cvm_arena_array(exporter->arena, count, sizeof *attribute->ints);
    memcpy(attribute->ints, values, count * sizeof *values);
}

Onnx__NodeProto *cvm_onnx_add_node(CvmOnnxExporter *exporter, const char *type,
                                   const char *output) {
    Onnx__NodeProto *node = CVM_ONNX_NEW(exporter, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    node->op_type = cvm_onnx_copy(exporter, type);
    node->name = cvm_onnx_copy(exporter, output);
    node->n_output = 1;
    node->output = cvm_arena_array(exporter->arena, 1, sizeof *node->output);
    node->output[0] = node->name;
    exporter->message.node[exporter->message.n_node++] = node;
    return node;
}

void cvm_onnx_add_input(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name) {
    if (node->n_input % OPERANDS == 0) {
        char **grown = cvm_arena_array(exporter->arena, node->n_input + OPERANDS, sizeof *grown);
        if (node->n_input)
            memcpy(grown, node->input, node->n_input * sizeof *grown);
        node->input = grown;
    }
    node->input[node->n_input++] = cvm_onnx_copy(exporter, name);
}

static void add_tensor(CvmOnnxExporter *exporter, const char *name, const CvmShape *shape, int type,
                       const void *elements, size_t size) {
    Onnx__TensorProto *tensor = CVM_ONNX_NEW(exporter, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    int64_t count = 0;
    cvm_shape_count(shape, &count);
    tensor->name = cvm_onnx_copy(exporter, name);
    tensor->has_data_type = true;
    tensor->data_type = type;
    tensor->n_dims = (size_t)shape->rank;
    tensor->dims = cvm_arena_array(exporter->arena, CVM_MAX_RANK, sizeof *tensor->dims);
    memcpy(tensor->dims, shape->sizes, tensor->n_dims * sizeof *tensor->dims);
    tensor->has_raw_data = true;
    tensor->raw_data.len = (size_t)count * size;
    tensor->raw_data.data = (uint8_t *)(uintptr_t)elements; /* only read */
    exporter->message.initializer[exporter->message.n_initializer++] = tensor;
}

void cvm_onnx_add_floats(CvmOnnxExporter *exporter, const char *name, const CvmShape *shape,
                         const void *elements) {
    add_tensor(exporter, name, shape, CVM_ONNX_FLOAT, elements, sizeof(float));
}

void cvm_onnx_add_integers(CvmOnnxExporter *exporter, const char *name, const int64_t *values,
                           int64_t count) {
    int64_t *elements = cvm_arena_array(exporter->arena, (size_t)count, sizeof *elements);
    memcpy(elements, values, (size_t)count * sizeof *elements);
    add_tensor(exporter, name, &(CvmShape){1, {count}}, CVM_ONNX_INT64, elements, sizeof *elements);
}
