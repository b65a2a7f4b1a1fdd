/* See onnx_model.h. */
#include "tests/support/onnx_model.h"

#include <stdarg.h>
#include <string.h>

enum { MOST = 64 };

#define NEW(test, type, INIT)                                                                      \
    ((type *)memcpy(cvm_arena_alloc((test)->arena, sizeof(type)), &(type)INIT, sizeof(type)))

static char *copy(OnnxTest *test, const char *text) {
    return cvm_arena_copy(test->arena, text, strlen(text));
}

static Onnx__ValueInfoProto *value_info(OnnxTest *test, const char *name, const int64_t *sizes,
                                        size_t rank) {
    Onnx__ValueInfoProto *info = NEW(test, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    Onnx__TensorShapeProto *shape =
        NEW(test, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    shape->n_dim = rank;
    shape->dim = cvm_arena_array(test->arena, rank + 1, sizeof *shape->dim);
    for (size_t i = 0; i < rank; i++) {
        shape->dim[i] =
            NEW(test, Onnx__TensorShapeProto__Dimension, ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        shape->dim[i]->has_dim_value = i > 0;
        shape->dim[i]->dim_value = sizes[i];
    }
    info->name = copy(test, name);
    info->type = NEW(test, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    info->type->tensor_type = NEW(test, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    info->type->tensor_type->shape = shape;
    return info;
}

void onnx_test_begin(OnnxTest *test, CvmArena *arena, int opset, int channels, int height,
                     int width) {
    const int64_t sizes[] = {0, channels, height, width};
    *test = (OnnxTest){.arena = arena};
    onnx__model_proto__init(&test->model);
    onnx__graph_proto__init(&test->graph);
    test->model.graph = &test->graph;
    test->model.n_opset_import = 1;
    test->model.opset_import = cvm_arena_array(arena, 1, sizeof *test->model.opset_import);
    test->model.opset_import[0] =
        NEW(test, Onnx__OperatorSetIdProto, ONNX__OPERATOR_SET_ID_PROTO__INIT);
    test->model.opset_import[0]->has_version = true;
    test->model.opset_import[0]->version = opset;
    test->graph.node = cvm_arena_array(arena, MOST, sizeof *test->graph.node);
    test->graph.initializer = cvm_arena_array(arena, MOST, sizeof *test->graph.initializer);
    test->graph.input = cvm_arena_array(arena, MOST, sizeof *test->graph.input);
    test->graph.output = cvm_arena_array(arena, MOST, sizeof *test->graph.output);
    test->graph.input[test->graph.n_input++] = value_info(test, "x", sizes, 4);
}

Onnx__NodeProto *onnx_test_node(OnnxTest *test, const char *type, const char *inputs,
                                const char *output) {
    Onnx__NodeProto *node = NEW(test, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    node->op_type = copy(test, type);
    node->name = copy(test, output);
    node->input = cvm_arena_array(test->arena, MOST, sizeof *node->input);
    node->attribute = cvm_arena_array(test->arena, MOST, sizeof *node->attribute);
    node->output = cvm_arena_array(test->arena, 1, sizeof *node->output);
    node->output[node->n_output++] = copy(test, output);
    char *place = NULL;
    for (char *one = strtok_r(copy(test, inputs), " ", &place); one;
         one = strtok_r(NULL, " ", &place))
        node->input[node->n_input++] = copy(test, strcmp(one, "-") ? one : "");
    test->graph.node[test->graph.n_node++] = node;
    return node;
}

static Onnx__AttributeProto *attribute(OnnxTest *test, Onnx__NodeProto *node, const char *name,
                                       int type) {
    Onnx__AttributeProto *one = NEW(test, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    one->name = copy(test, name);
    one->has_type = true;
    one->type = type;
    node->attribute[node->n_attribute++] = one;
    return one;
}

void onnx_test_int(OnnxTest *test, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *one = attribute(test, node, name, CVM_ONNX_ATTRIBUTE_INT);
    one->has_i = true;
    one->i = value;
}

void onnx_test_float(OnnxTest *test, Onnx__NodeProto *node, const char *name, float value) {
    Onnx__AttributeProto *one = attribute(test, node, name, CVM_ONNX_ATTRIBUTE_FLOAT);
    one->has_f = true;
    one->f = value;
}

void onnx_test_text(OnnxTest *test, Onnx__NodeProto *node, const char *name, const char *value) {
    Onnx__AttributeProto *one = attribute(test, node, name, CVM_ONNX_ATTRIBUTE_STRING);
    one->has_s = true;
    one->s = (ProtobufCBinaryData){strlen(value), (uint8_t *)copy(test, value)};
}

void onnx_test_tensor(OnnxTest *test, Onnx__NodeProto *node, const char *name,
                      Onnx__TensorProto *value) {
    attribute(test, node, name, CVM_ONNX_ATTRIBUTE_TENSOR)->t = value;
}

void onnx_test_ints(OnnxTest *test, Onnx__NodeProto *node, const char *name, int count, ...) {
    Onnx__AttributeProto *one = attribute(test, node, name, CVM_ONNX_ATTRIBUTE_INTS);
    va_list values;
    va_start(values, count);
    one->n_ints = (size_t)count;
    one->ints = cvm_arena_array(test->arena, (size_t)count + 1, sizeof *one->ints);
    for (int i = 0; i < count; i++)
        one->ints[i] = va_arg(values, int);
    va_end(values);
}

static Onnx__TensorProto *initializer(OnnxTest *test, const char *name, CvmShape shape, int type) {
    Onnx__TensorProto *tensor = NEW(test, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    tensor->name = copy(test, name);
    tensor->has_data_type = true;
    tensor->data_type = type;
    tensor->n_dims = (size_t)shape.rank;
    tensor->dims = cvm_arena_array(test->arena, CVM_MAX_RANK, sizeof *tensor->dims);
    memcpy(tensor->dims, shape.sizes, sizeof shape.sizes);
    test->graph.initializer[test->graph.n_initializer++] = tensor;
    return tensor;
}

Onnx__TensorProto *onnx_test_weights(OnnxTest *test, const char *name, CvmShape shape) {
    int64_t count = 0;
    cvm_shape_count(&shape, &count);
    Onnx__TensorProto *tensor = initializer(test, name, shape, CVM_ONNX_FLOAT);
    float *elements = cvm_arena_array(test->arena, (size_t)count + 1, sizeof *elements);
    for (int64_t i = 0; i < count; i++)
        elements[i] = (float)i / 8;
    tensor->has_raw_data = true;
    tensor->raw_data = (ProtobufCBinaryData){(size_t)count * 4, (uint8_t *)elements};
    return tensor;
}

Onnx__TensorProto *onnx_test_number(OnnxTest *test, const char *name, float value) {
    Onnx__TensorProto *tensor = initializer(test, name, (CvmShape){.rank = 0}, CVM_ONNX_FLOAT);
    tensor->n_float_data = 1;
    tensor->float_data = cvm_arena_array(test->arena, 1, sizeof *tensor->float_data);
    tensor->float_data[0] = value;
    return tensor;
}

Onnx__TensorProto *onnx_test_integers(OnnxTest *test, const char *name, int count, ...) {
    Onnx__TensorProto *tensor = initializer(test, name, (CvmShape){1, {count}}, CVM_ONNX_INT64);
    va_list values;
    va_start(values, count);
    tensor->n_int64_data = (size_t)count;
    tensor->int64_data = cvm_arena_array(test->arena, (size_t)count + 1, sizeof(int64_t));
    for (int i = 0; i < count; i++)
        tensor->int64_data[i] = va_arg(values, int);
    va_end(values);
    return tensor;
}

OnnxBranch onnx_test_take_branch(OnnxTest *test, size_t first, const char *output) {
    Onnx__GraphProto graph = ONNX__GRAPH_PROTO__INIT;
    Onnx__ValueInfoProto *info = value_info(test, output, NULL, 0);
    OnnxBranch branch;
    graph.n_node = test->graph.n_node - first;
    graph.node = test->graph.node + first;
    graph.n_output = 1;
    graph.output = &info;
    test->graph.n_node = first;
    branch.bytes.len = onnx__graph_proto__get_packed_size(&graph);
    branch.bytes.data = cvm_arena_alloc(test->arena, branch.bytes.len + 1);
    onnx__graph_proto__pack(&graph, branch.bytes.data);
    return branch;
}

void onnx_test_branch(OnnxTest *test, Onnx__NodeProto *node, const char *name, OnnxBranch branch) {
    Onnx__AttributeProto *one = attribute(test, node, name, CVM_ONNX_ATTRIBUTE_GRAPH);
    one->has_g = true;
    one->g = branch.bytes;
}

const uint8_t *onnx_test_end(OnnxTest *test, const char *output, size_t *size) {
    test->graph.output[test->graph.n_output++] = value_info(test, output, NULL, 0);
    *size = onnx__model_proto__get_packed_size(&test->model);
    uint8_t *bytes = cvm_arena_alloc(test->arena, *size + 1);
    onnx__model_proto__pack(&test->model, bytes);
    return bytes;
}
