/* See export.h. A node of the graph becomes one of ONNX by its row of the table below; conv and
 * linear take the bias that follows them along. The elements stay where they are in the store:
 * protobuf-c hands them to the file piece by piece. */
#include "compiler/onnx/export.h"

#include "compiler/graph/op.h"
#include "compiler/onnx/model.h"
#include "runtime/atomic_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET = 13, IR_VERSION = 7, MAX_OPERANDS = 8, NODES_FOR_ONE = 5 };

typedef struct Exporter {
    CvmArena *arena;
    const CvmGraph *graph;
    const CvmStore *store;
    CvmDiag *diag;
    const char **names; /* of values, by node id */
    Onnx__GraphProto message;
} Exporter;

/* --- messages --- */

#define NEW(exporter, type, INIT) new_message((exporter)->arena, sizeof(type), &(type)INIT)

static void *new_message(CvmArena *arena, size_t size, const void *initial) {
    return memcpy(cvm_arena_alloc(arena, size), initial, size);
}

static char *copy(Exporter *exporter, const char *text) {
    return cvm_arena_copy(exporter->arena, text, strlen(text));
}

static Onnx__AttributeProto *add_attribute(Exporter *exporter, Onnx__NodeProto *node,
                                           const char *name, int type) {
    enum { MOST = 8 };
    Onnx__AttributeProto *attribute =
        NEW(exporter, Onnx__AttributeProto, ONNX__ATTRIBUTE_PROTO__INIT);
    attribute->name = copy(exporter, name);
    attribute->has_type = true;
    attribute->type = type;
    if (!node->attribute)
        node->attribute = cvm_arena_array(exporter->arena, MOST, sizeof *node->attribute);
    node->attribute[node->n_attribute++] = attribute;
    return attribute;
}

static void add_int(Exporter *exporter, Onnx__NodeProto *node, const char *name, int64_t value) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_INT);
    attribute->has_i = true;
    attribute->i = value;
}

static void add_float(Exporter *exporter, Onnx__NodeProto *node, const char *name, double value) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_FLOAT);
    attribute->has_f = true;
    attribute->f = (float)value;
}

static void add_ints(Exporter *exporter, Onnx__NodeProto *node, const char *name,
                     const int64_t *values, size_t count) {
    Onnx__AttributeProto *attribute = add_attribute(exporter, node, name, CVM_ONNX_ATTRIBUTE_INTS);
    attribute->n_ints = count;
    attribute->ints = cvm_arena_array(exporter->arena, count, sizeof *attribute->ints);
    memcpy(attribute->ints, values, count * sizeof *values);
}

static Onnx__NodeProto *add_node(Exporter *exporter, const char *type, const char *output) {
    Onnx__NodeProto *node = NEW(exporter, Onnx__NodeProto, ONNX__NODE_PROTO__INIT);
    node->op_type = copy(exporter, type);
    node->name = copy(exporter, output);
    node->n_output = 1;
    node->output = cvm_arena_array(exporter->arena, 1, sizeof *node->output);
    node->output[0] = node->name;
    exporter->message.node[exporter->message.n_node++] = node;
    return node;
}

static void add_input(Exporter *exporter, Onnx__NodeProto *node, const char *name) {
    if (node->n_input % MAX_OPERANDS == 0) {
        char **grown =
            cvm_arena_array(exporter->arena, node->n_input + MAX_OPERANDS, sizeof *grown);
        if (node->n_input)
            memcpy(grown, node->input, node->n_input * sizeof *grown);
        node->input = grown;
    }
    node->input[node->n_input++] = copy(exporter, name);
}

static void add_initializer(Exporter *exporter, const char *name, const CvmShape *shape,
                            const void *elements) {
    Onnx__TensorProto *tensor = NEW(exporter, Onnx__TensorProto, ONNX__TENSOR_PROTO__INIT);
    int64_t count = 0;
    cvm_shape_count(shape, &count);
    tensor->name = copy(exporter, name);
    tensor->has_data_type = true;
    tensor->data_type = CVM_ONNX_FLOAT;
    tensor->n_dims = (size_t)shape->rank;
    tensor->dims = cvm_arena_array(exporter->arena, CVM_MAX_RANK, sizeof *tensor->dims);
    memcpy(tensor->dims, shape->sizes, tensor->n_dims * sizeof *tensor->dims);
    tensor->has_raw_data = true;
    tensor->raw_data.len = (size_t)count * sizeof(float);
    tensor->raw_data.data = (uint8_t *)(uintptr_t)elements; /* only read */
    exporter->message.initializer[exporter->message.n_initializer++] = tensor;
}

/* --- operators --- */

typedef struct ExportRow {
    const char *op;
    const char *type;
    void (*attributes)(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node);
} ExportRow;

static void set_size(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node,
                     const char *name, const char *attribute, size_t count) {
    add_ints(exporter, message, name, cvm_node_attribute(node, attribute)->integers, count);
}

static void conv_attributes(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    add_ints(exporter, message, "kernel_shape", node->inputs[1]->type.shape.sizes + 2, 2);
    set_size(exporter, message, node, "strides", "stride", 2);
    set_size(exporter, message, node, "pads", "pad", 4);
    set_size(exporter, message, node, "dilations", "dilation", 2);
    add_int(exporter, message, "group", cvm_node_int(node, "groups"));
}

static void linear_attributes(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    (void)node;
    add_int(exporter, message, "transB", 1);
}

static void maxpool_attributes(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    set_size(exporter, message, node, "kernel_shape", "kernel", 2);
    set_size(exporter, message, node, "strides", "stride", 2);
    set_size(exporter, message, node, "pads", "pad", 4);
    add_int(exporter, message, "ceil_mode", cvm_node_int(node, "ceil"));
}

static bool has_pad(const CvmNode *node) {
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    return pad[0] || pad[1] || pad[2] || pad[3];
}

/* Without pads the attribute should not matter, but ONNX Runtime then counts what a window of
 * ceil_mode reaches over, too. */
static void avgpool_attributes(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    maxpool_attributes(exporter, message, node);
    add_int(exporter, message, "count_include_pad",
            cvm_node_int(node, "count_pad") && has_pad(node));
}

/* Whether a mean counts pads while a window reaches over them: programs that read ONNX divide such
 * a sum by different numbers. */
static bool is_counted_differently(const CvmNode *node) {
    return node->op == CVM_OP_AVGPOOL && cvm_node_int(node, "ceil") &&
           cvm_node_int(node, "count_pad") && has_pad(node);
}

static void leaky_relu_attributes(Exporter *exporter, Onnx__NodeProto *message,
                                  const CvmNode *node) {
    add_float(exporter, message, "alpha", cvm_node_attribute(node, "slope")->real);
}

/* Operands stand in ONNX's order: scale, shift, mean, variance. */
static void batchnorm_attributes(Exporter *exporter, Onnx__NodeProto *message,
                                 const CvmNode *node) {
    add_float(exporter, message, "epsilon", cvm_node_attribute(node, "epsilon")->real);
}

static void lrn_attributes(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    add_int(exporter, message, "size", cvm_node_int(node, "size"));
    add_float(exporter, message, "alpha", cvm_node_attribute(node, "alpha")->real);
    add_float(exporter, message, "beta", cvm_node_attribute(node, "beta")->real);
    add_float(exporter, message, "bias", cvm_node_attribute(node, "k")->real);
}

static void along_channels(Exporter *exporter, Onnx__NodeProto *message, const CvmNode *node) {
    (void)node;
    add_int(exporter, message, "axis", 1);
}

static const ExportRow rows[] = {
    {"conv", "Conv", conv_attributes},
    {"linear", "Gemm", linear_attributes},
    {"relu", "Relu", NULL},
    {"tanh", "Tanh", NULL},
    {"sigmoid", "Sigmoid", NULL},
    {"leaky_relu", "LeakyRelu", leaky_relu_attributes},
    {"batchnorm", "BatchNormalization", batchnorm_attributes},
    {"lrn", "LRN", lrn_attributes},
    {"concat", "Concat", along_channels},
    {"add", "Add", NULL},
    {"mul", "Mul", NULL},
    {"maxpool", "MaxPool", maxpool_attributes},
    {"avgpool", "AveragePool", avgpool_attributes},
    {"global_avgpool", "GlobalAveragePool", NULL},
    {"flatten", "Flatten", along_channels},
    {"softmax", "Softmax", along_channels},
    {"log_softmax", "LogSoftmax", along_channels},
};

static const char *name_of(const Exporter *exporter, const CvmNode *node) {
    return exporter->names[node->id];
}

/* type(a, b) -> output; a constant b is one number. */
static void add_step(Exporter *exporter, const char *type, const char *a, const char *b,
                     const double *number, const char *output) {
    Onnx__NodeProto *node = add_node(exporter, type, output);
    add_input(exporter, node, a);
    if (number) {
        float *element = cvm_arena_alloc(exporter->arena, sizeof *element);
        CvmShape scalar = {.rank = 0};
        *element = (float)*number;
        b = cvm_arena_format(exporter->arena, "%s.number", output);
        add_initializer(exporter, b, &scalar, element);
    }
    if (b)
        add_input(exporter, node, b);
}

/* x (1 + erf(x / sqrt 2)) / 2: the operator Gelu is younger than most programs that read the file.
 */
static void export_gelu(Exporter *exporter, const CvmNode *node) {
    static const double root = M_SQRT2, one = 1, half = 0.5;
    const char *x = name_of(exporter, node->inputs[0]), *y = name_of(exporter, node);
    const char *steps[4];
    for (int i = 0; i < 4; i++)
        steps[i] = cvm_arena_format(exporter->arena, "%s.step%d", y, i + 1);
    add_step(exporter, "Div", x, NULL, &root, steps[0]);
    add_step(exporter, "Erf", steps[0], NULL, NULL, steps[1]);
    add_step(exporter, "Add", steps[1], NULL, &one, steps[2]);
    add_step(exporter, "Mul", x, steps[2], NULL, steps[3]);
    add_step(exporter, "Mul", steps[3], NULL, &half, y);
}

/* The bias that alone reads this contraction, or NULL. */
static const CvmNode *bias_of(const Exporter *exporter, const CvmNode *node) {
    const CvmNode *bias = NULL;
    if (node->op != CVM_OP_CONV && node->op != CVM_OP_LINEAR)
        return NULL;
    for (int i = 0; i < exporter->graph->node_count; i++)
        for (int k = 0; k < exporter->graph->nodes[i]->input_count; k++)
            if (exporter->graph->nodes[i]->inputs[k] == node) {
                if (bias || exporter->graph->nodes[i]->op != CVM_OP_BIAS)
                    return NULL;
                bias = exporter->graph->nodes[i];
            }
    return bias;
}

static bool export_operator(Exporter *exporter, const CvmNode *node) {
    const ExportRow *row = rows, *end = rows + sizeof rows / sizeof *rows;
    while (row < end && strcmp(row->op, cvm_op_info(node->op)->name) != 0)
        row++;
    if (row == end)
        return cvm_diag_error(exporter->diag, 1720, node->origin.span, node->origin.uses, NULL,
                              "%s: ONNX has no operator that does this",
                              cvm_op_info(node->op)->name);
    if (is_counted_differently(node))
        return cvm_diag_error(exporter->diag, 1720, node->origin.span, node->origin.uses,
                              "leave ceil out, or write count_pad=false",
                              "avgpool with pad, ceil and count_pad means different things to the "
                              "programs that read ONNX");
    const CvmNode *bias = bias_of(exporter, node);
    Onnx__NodeProto *message = add_node(exporter, row->type, name_of(exporter, bias ? bias : node));
    for (int i = 0; i < node->input_count; i++)
        add_input(exporter, message, name_of(exporter, node->inputs[i]));
    if (bias)
        add_input(exporter, message, name_of(exporter, bias->inputs[1]));
    if (row->attributes)
        row->attributes(exporter, message, node);
    return true;
}

static bool export_node(Exporter *exporter, const CvmNode *node) {
    switch (node->op) {
    case CVM_OP_INPUT:
        return true;
    case CVM_OP_PARAMETER:
        add_initializer(exporter, name_of(exporter, node), &node->type.shape,
                        cvm_store_find(exporter->store, node->origin.name)->data);
        return true;
    case CVM_OP_BIAS:
        return true; /* written with what it belongs to */
    case CVM_OP_GELU:
        export_gelu(exporter, node);
        return true;
    default:
        return export_operator(exporter, node);
    }
}

/* --- the graph --- */

/* Values are called as their layers; where a layer has several nodes, the last of them has the
 * name. */
static void name_values(Exporter *exporter) {
    const CvmGraph *graph = exporter->graph;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        bool last = true;
        for (int k = i + 1; k < graph->node_count && k < i + NODES_FOR_ONE; k++)
            last &= strcmp(graph->nodes[k]->origin.name, node->origin.name) != 0;
        exporter->names[node->id] =
            last ? node->origin.name
                 : cvm_arena_format(exporter->arena, "%s.%s%d", node->origin.name,
                                    cvm_op_info(node->op)->name, node->id);
    }
    for (int i = 0; i < graph->output_count; i++)
        exporter->names[graph->outputs[i].value->id] = graph->outputs[i].name;
}

static Onnx__ValueInfoProto **value_info(Exporter *exporter, const char *name,
                                         const CvmShape *shape) {
    Onnx__ValueInfoProto **list = cvm_arena_array(exporter->arena, 1, sizeof *list);
    Onnx__TypeProto *type = NEW(exporter, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor =
        NEW(exporter, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *sizes =
        NEW(exporter, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    sizes->n_dim = (size_t)shape->rank;
    sizes->dim = cvm_arena_array(exporter->arena, CVM_MAX_RANK, sizeof *sizes->dim);
    for (int i = 0; i < shape->rank; i++) {
        sizes->dim[i] = NEW(exporter, Onnx__TensorShapeProto__Dimension,
                            ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        sizes->dim[i]->dim_param = i ? NULL : copy(exporter, "batch");
        sizes->dim[i]->has_dim_value = i > 0;
        sizes->dim[i]->dim_value = shape->sizes[i];
    }
    tensor->has_elem_type = true;
    tensor->elem_type = CVM_ONNX_FLOAT;
    tensor->shape = sizes;
    type->tensor_type = tensor;
    list[0] = NEW(exporter, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    list[0]->name = copy(exporter, name);
    list[0]->type = type;
    return list;
}

static bool export_graph(Exporter *exporter) {
    const CvmGraph *graph = exporter->graph;
    Onnx__GraphProto *message = &exporter->message;
    size_t count = NODES_FOR_ONE * (size_t)graph->node_count;
    onnx__graph_proto__init(message);
    message->name = copy(exporter, graph->name);
    message->node = cvm_arena_array(exporter->arena, count, sizeof *message->node);
    message->initializer = cvm_arena_array(exporter->arena, count, sizeof *message->initializer);
    name_values(exporter);
    bool sound = true;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        sound &= export_node(exporter, node);
        if (node->op == CVM_OP_INPUT) {
            message->n_input = 1;
            message->input = value_info(exporter, name_of(exporter, node), &node->type.shape);
        }
    }
    message->n_output = 1;
    message->output =
        value_info(exporter, graph->outputs[0].name, &graph->outputs[0].value->type.shape);
    return sound;
}

/* --- the file --- */

typedef struct FileBuffer {
    ProtobufCBuffer base;
    CvmAtomicFile *file;
} FileBuffer;

static void append(ProtobufCBuffer *buffer, size_t size, const uint8_t *bytes) {
    cvm_atomic_file_write(((FileBuffer *)buffer)->file, bytes, size);
}

static bool write_model(const char *path, const Onnx__ModelProto *model, CvmError *error) {
    CvmAtomicFile file;
    FileBuffer buffer = {{append}, &file};
    if (!cvm_atomic_file_open(path, &file, error))
        return false;
    onnx__model_proto__pack_to_buffer(model, &buffer.base);
    return cvm_atomic_file_commit(&file, error);
}

static Onnx__StringStringEntryProto *metadata(Exporter *exporter, const char *key,
                                              const double *numbers, int count) {
    Onnx__StringStringEntryProto *entry =
        NEW(exporter, Onnx__StringStringEntryProto, ONNX__STRING_STRING_ENTRY_PROTO__INIT);
    entry->key = copy(exporter, key);
    entry->value = copy(exporter, "");
    for (int i = 0; i < count; i++)
        entry->value =
            cvm_arena_format(exporter->arena, "%s%s%.17g", entry->value, i ? " " : "", numbers[i]);
    return entry;
}

bool cvm_onnx_export(const char *path, const CvmGraph *graph, const CvmStore *store,
                     const CvmNormalization *normalization, CvmArena *arena, CvmDiag *diag,
                     CvmError *error) {
    Exporter exporter = {.arena = arena,
                         .graph = graph,
                         .store = store,
                         .diag = diag,
                         .names = cvm_arena_array(arena, (size_t)graph->next_id, sizeof(char *))};
    if (!export_graph(&exporter))
        return false;
    char producer[] = "cvm", domain[] = "";
    Onnx__OperatorSetIdProto operators = ONNX__OPERATOR_SET_ID_PROTO__INIT, *sets[] = {&operators};
    operators.domain = domain;
    operators.has_version = true;
    operators.version = OPSET;
    Onnx__ModelProto model = ONNX__MODEL_PROTO__INIT;
    Onnx__StringStringEntryProto *entries[2];
    model.has_ir_version = true;
    model.ir_version = IR_VERSION;
    model.producer_name = producer;
    model.graph = &exporter.message;
    model.n_opset_import = 1;
    model.opset_import = sets;
    if (normalization) {
        int channels = normalization->channels;
        entries[0] = metadata(&exporter, CVM_ONNX_MEAN, normalization->mean, channels);
        entries[1] = metadata(&exporter, CVM_ONNX_DEVIATION, normalization->deviation, channels);
        model.n_metadata_props = 2;
        model.metadata_props = entries;
    }
    if (onnx__model_proto__get_packed_size(&model) > INT32_MAX)
        return cvm_diag_error(diag, 1721, (CvmSpan){0}, NULL, NULL,
                              "an ONNX file holds 2 GiB at most, and this model is larger");
    return write_model(path, &model, error);
}
