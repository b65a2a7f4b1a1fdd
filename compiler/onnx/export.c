/* See export.h. A node of the graph becomes one of ONNX by its row of the table below; conv and
 * linear take the bias that follows them along. The elements stay where they are in the store:
 * protobuf-c hands them to the file piece by piece. */
#include "compiler/onnx/export.h"

#include "compiler/graph/op.h"
#include "compiler/onnx/export_message.h"
#include "compiler/ops/pool_window.h"
#include "runtime/atomic_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { OPSET = 13, IR_VERSION = 7, NODES_FOR_ONE = 5 };

/* --- operators --- */

typedef struct ExportRow {
    const char *op;
    const char *type;
    void (*attributes)(CvmOnnxExporter *exporter, Onnx__NodeProto *message, const CvmNode *node);
} ExportRow;

static void set_size(CvmOnnxExporter *exporter, Onnx__NodeProto *message, const CvmNode *node,
                     const char *name, const char *attribute, size_t count) {
    cvm_onnx_add_ints(exporter, message, name, cvm_node_attribute(node, attribute)->integers,
                      count);
}

static void conv_attributes(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                            const CvmNode *node) {
    cvm_onnx_add_ints(exporter, message, "kernel_shape", node->inputs[1]->type.shape.sizes + 2, 2);
    set_size(exporter, message, node, "strides", "stride", 2);
    set_size(exporter, message, node, "pads", "pad", 4);
    set_size(exporter, message, node, "dilations", "dilation", 2);
    cvm_onnx_add_int(exporter, message, "group", cvm_node_int(node, "groups"));
}

static void linear_attributes(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                              const CvmNode *node) {
    (void)node;
    cvm_onnx_add_int(exporter, message, "transB", 1);
}

static void leaky_relu_attributes(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                                  const CvmNode *node) {
    cvm_onnx_add_float(exporter, message, "alpha", cvm_node_attribute(node, "slope")->real);
}

/* Operands stand in ONNX's order: scale, shift, mean, variance. */
static void batchnorm_attributes(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                                 const CvmNode *node) {
    cvm_onnx_add_float(exporter, message, "epsilon", cvm_node_attribute(node, "epsilon")->real);
}

static void lrn_attributes(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                           const CvmNode *node) {
    cvm_onnx_add_int(exporter, message, "size", cvm_node_int(node, "size"));
    cvm_onnx_add_float(exporter, message, "alpha", cvm_node_attribute(node, "alpha")->real);
    cvm_onnx_add_float(exporter, message, "beta", cvm_node_attribute(node, "beta")->real);
    cvm_onnx_add_float(exporter, message, "bias", cvm_node_attribute(node, "k")->real);
}

static void along_channels(CvmOnnxExporter *exporter, Onnx__NodeProto *message,
                           const CvmNode *node) {
    (void)node;
    cvm_onnx_add_int(exporter, message, "axis", 1);
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
    {"global_avgpool", "GlobalAveragePool", NULL},
    {"flatten", "Flatten", along_channels},
    {"softmax", "Softmax", along_channels},
    {"log_softmax", "LogSoftmax", along_channels},
};

static const char *name_of(const CvmOnnxExporter *exporter, const CvmNode *node) {
    return exporter->names[node->id];
}

/* type(a, b) -> output; a constant b is one number. */
static void add_step(CvmOnnxExporter *exporter, const char *type, const char *a, const char *b,
                     const double *number, const char *output) {
    Onnx__NodeProto *node = cvm_onnx_add_node(exporter, type, output);
    cvm_onnx_add_input(exporter, node, a);
    if (number) {
        float *element = cvm_arena_alloc(exporter->arena, sizeof *element);
        CvmShape scalar = {.rank = 0};
        *element = (float)*number;
        b = cvm_arena_format(exporter->arena, "%s.number", output);
        cvm_onnx_add_floats(exporter, b, &scalar, element);
    }
    if (b)
        cvm_onnx_add_input(exporter, node, b);
}

/* x (1 + erf(x / sqrt 2)) / 2: the operator Gelu is younger than most programs that read the file.
 */
static void export_gelu(CvmOnnxExporter *exporter, const CvmNode *node) {
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

/* --- pooling --- */

typedef struct ExportPool {
    int64_t pad[4];
    int64_t over[2]; /* how far the last window lies over the end of the picture and its pads */
    bool ceil;
} ExportPool;

/* ceil_mode counts windows as ceil=true does, but for one that begins in the pads at the end: older
 * programs keep it, newer ones and cvm leave it out. Then pads that reach just as far as the last
 * window say what is meant. */
static ExportPool pool_of(const CvmNode *node) {
    ExportPool pool = {.ceil = cvm_node_int(node, "ceil")};
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    memcpy(pool.pad, cvm_node_attribute(node, "pad")->integers, sizeof pool.pad);
    bool agreed = true;
    for (int i = 0; i < 2; i++) {
        int64_t padded = node->inputs[0]->type.shape.sizes[2 + i] + pool.pad[i] + pool.pad[2 + i];
        pool.over[i] = (node->type.shape.sizes[2 + i] - 1) * stride[i] + kernel[i] - padded;
        agreed &= pool.over[i] >= 0;
    }
    for (int i = 0; i < 2 && !agreed && pool.ceil; i++)
        pool.pad[2 + i] = pool.pad[2 + i] + pool.over[i] > 0 ? pool.pad[2 + i] + pool.over[i] : 0;
    pool.ceil &= agreed;
    return pool;
}

static Onnx__NodeProto *add_pool(CvmOnnxExporter *exporter, const CvmNode *node, const char *type,
                                 const char *x, const ExportPool *pool) {
    Onnx__NodeProto *message = cvm_onnx_add_node(exporter, type, name_of(exporter, node));
    cvm_onnx_add_input(exporter, message, x);
    set_size(exporter, message, node, "kernel_shape", "kernel", 2);
    set_size(exporter, message, node, "strides", "stride", 2);
    cvm_onnx_add_ints(exporter, message, "pads", pool->pad, 4);
    cvm_onnx_add_int(exporter, message, "ceil_mode", pool->ceil);
    return message;
}

static void export_maxpool(CvmOnnxExporter *exporter, const CvmNode *node) {
    ExportPool pool = pool_of(node);
    add_pool(exporter, node, "MaxPool", name_of(exporter, node->inputs[0]), &pool);
}

/* Zeros around the picture, as a node of their own. */
static const char *add_pad(CvmOnnxExporter *exporter, const CvmNode *node, const int64_t pad[4]) {
    const char *output = cvm_arena_format(exporter->arena, "%s.padded", name_of(exporter, node));
    const char *list = cvm_arena_format(exporter->arena, "%s.pads", name_of(exporter, node));
    int64_t pads[] = {0, 0, pad[0], pad[1], 0, 0, pad[2], pad[3]};
    Onnx__NodeProto *message = cvm_onnx_add_node(exporter, "Pad", output);
    cvm_onnx_add_input(exporter, message, name_of(exporter, node->inputs[0]));
    cvm_onnx_add_input(exporter, message, list);
    cvm_onnx_add_integers(exporter, list, pads, 8);
    return output;
}

/* Where pads count and a window reaches over them, programs divide its sum by different numbers.
 * So the zeros that count are put into the picture itself, and what the window reaches over is pads
 * that do not; not ceil_mode, with which ONNX Runtime 1.21 joins the two again. Without pads
 * count_include_pad should not matter, but some programs count what a window reaches over, too. */
static void export_avgpool(CvmOnnxExporter *exporter, const CvmNode *node) {
    ExportPool pool = pool_of(node);
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    const char *x = name_of(exporter, node->inputs[0]);
    bool counts = cvm_node_int(node, "count_pad") && (pad[0] || pad[1] || pad[2] || pad[3]);
    if (counts && (pool.over[0] > 0 || pool.over[1] > 0)) {
        x = add_pad(exporter, node, pad);
        counts = pool.ceil = false;
        for (int i = 0; i < 2; i++) {
            pool.pad[i] = 0;
            pool.pad[2 + i] = pool.over[i] > 0 ? pool.over[i] : 0;
        }
    }
    Onnx__NodeProto *message = add_pool(exporter, node, "AveragePool", x, &pool);
    cvm_onnx_add_int(exporter, message, "count_include_pad", counts);
}

/* A matrix [windows, pixels], or its transpose, that takes the mean of each window. */
static const char *add_means(CvmOnnxExporter *exporter, const CvmNode *node, int axis,
                             bool transposed) {
    const CvmShape *x = &node->inputs[0]->type.shape, *y = &node->type.shape;
    CvmPoolAxis windows = cvm_pool_axis(node, axis, x, y);
    int64_t count = windows.outputs, pixels = windows.input;
    float *elements = cvm_arena_array(exporter->arena, (size_t)(count * pixels), sizeof *elements);
    for (int64_t i = 0; i < count; i++) {
        CvmPoolSpan span = cvm_pool_span(&windows, i);
        for (int64_t k = span.first; k < span.last; k++)
            elements[transposed ? k * count + i : i * pixels + k] =
                (float)(1.0 / (double)span.count);
    }
    CvmShape shape = {2, {transposed ? pixels : count, transposed ? count : pixels}};
    const char *name = cvm_arena_format(exporter->arena, "%s.%s", name_of(exporter, node),
                                        axis == 0 ? "heights" : "widths");
    cvm_onnx_add_floats(exporter, name, &shape, elements);
    return name;
}

/* ONNX has no operator for it, but a mean over a rectangle is that of its rows' means, and each is
 * a product with a matrix. */
static void export_adaptive_avgpool(CvmOnnxExporter *exporter, const CvmNode *node) {
    const char *y = name_of(exporter, node);
    const char *rows = cvm_arena_format(exporter->arena, "%s.rows", y);
    add_step(exporter, "MatMul", name_of(exporter, node->inputs[0]),
             add_means(exporter, node, 1, true), NULL, rows);
    add_step(exporter, "MatMul", add_means(exporter, node, 0, false), rows, NULL, y);
}

/* The bias that alone reads this contraction, or NULL. */
static const CvmNode *bias_of(const CvmOnnxExporter *exporter, const CvmNode *node) {
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

static bool export_operator(CvmOnnxExporter *exporter, const CvmNode *node) {
    const ExportRow *row = rows, *end = rows + sizeof rows / sizeof *rows;
    while (row < end && strcmp(row->op, cvm_op_info(node->op)->name) != 0)
        row++;
    if (row == end)
        return cvm_diag_error(exporter->diag, 1720, node->origin.span, node->origin.uses, NULL,
                              "%s: ONNX has no operator that does this",
                              cvm_op_info(node->op)->name);
    const CvmNode *bias = bias_of(exporter, node);
    Onnx__NodeProto *message =
        cvm_onnx_add_node(exporter, row->type, name_of(exporter, bias ? bias : node));
    for (int i = 0; i < node->input_count; i++)
        cvm_onnx_add_input(exporter, message, name_of(exporter, node->inputs[i]));
    if (bias)
        cvm_onnx_add_input(exporter, message, name_of(exporter, bias->inputs[1]));
    if (row->attributes)
        row->attributes(exporter, message, node);
    return true;
}

static bool export_node(CvmOnnxExporter *exporter, const CvmNode *node) {
    switch (node->op) {
    case CVM_OP_INPUT:
        return true;
    case CVM_OP_PARAMETER:
        cvm_onnx_add_floats(exporter, name_of(exporter, node), &node->type.shape,
                            cvm_store_find(exporter->store, node->origin.name)->data);
        return true;
    case CVM_OP_BIAS:
        return true; /* written with what it belongs to */
    case CVM_OP_GELU:
        export_gelu(exporter, node);
        return true;
    case CVM_OP_MAXPOOL:
        export_maxpool(exporter, node);
        return true;
    case CVM_OP_AVGPOOL:
        export_avgpool(exporter, node);
        return true;
    case CVM_OP_ADAPTIVE_AVGPOOL:
        export_adaptive_avgpool(exporter, node);
        return true;
    default:
        return export_operator(exporter, node);
    }
}

/* --- the graph --- */

/* Values are called as their layers; where a layer has several nodes, the last of them has the
 * name. */
static void name_values(CvmOnnxExporter *exporter) {
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

static Onnx__ValueInfoProto **value_info(CvmOnnxExporter *exporter, const char *name,
                                         const CvmShape *shape) {
    Onnx__ValueInfoProto **list = cvm_arena_array(exporter->arena, 1, sizeof *list);
    Onnx__TypeProto *type = CVM_ONNX_NEW(exporter, Onnx__TypeProto, ONNX__TYPE_PROTO__INIT);
    Onnx__TypeProto__Tensor *tensor =
        CVM_ONNX_NEW(exporter, Onnx__TypeProto__Tensor, ONNX__TYPE_PROTO__TENSOR__INIT);
    Onnx__TensorShapeProto *sizes =
        CVM_ONNX_NEW(exporter, Onnx__TensorShapeProto, ONNX__TENSOR_SHAPE_PROTO__INIT);
    sizes->n_dim = (size_t)shape->rank;
    sizes->dim = cvm_arena_array(exporter->arena, CVM_MAX_RANK, sizeof *sizes->dim);
    for (int i = 0; i < shape->rank; i++) {
        sizes->dim[i] = CVM_ONNX_NEW(exporter, Onnx__TensorShapeProto__Dimension,
                                     ONNX__TENSOR_SHAPE_PROTO__DIMENSION__INIT);
        sizes->dim[i]->dim_param = i ? NULL : cvm_onnx_copy(exporter, "batch");
        sizes->dim[i]->has_dim_value = i > 0;
        sizes->dim[i]->dim_value = shape->sizes[i];
    }
    tensor->has_elem_type = true;
    tensor->elem_type = CVM_ONNX_FLOAT;
    tensor->shape = sizes;
    type->tensor_type = tensor;
    list[0] = CVM_ONNX_NEW(exporter, Onnx__ValueInfoProto, ONNX__VALUE_INFO_PROTO__INIT);
    list[0]->name = cvm_onnx_copy(exporter, name);
    list[0]->type = type;
    return list;
}

static bool export_graph(CvmOnnxExporter *exporter) {
    const CvmGraph *graph = exporter->graph;
    Onnx__GraphProto *message = &exporter->message;
    size_t count = NODES_FOR_ONE * (size_t)graph->node_count;
    onnx__graph_proto__init(message);
    message->name = cvm_onnx_copy(exporter, graph->name);
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

static Onnx__StringStringEntryProto *metadata(CvmOnnxExporter *exporter, const char *key,
                                              const double *numbers, int count) {
    Onnx__StringStringEntryProto *entry =
        CVM_ONNX_NEW(exporter, Onnx__StringStringEntryProto, ONNX__STRING_STRING_ENTRY_PROTO__INIT);
    entry->key = cvm_onnx_copy(exporter, key);
    entry->value = cvm_onnx_copy(exporter, "");
    for (int i = 0; i < count; i++)
        entry->value =
            cvm_arena_format(exporter->arena, "%s%s%.17g", entry->value, i ? " " : "", numbers[i]);
    return entry;
}

bool cvm_onnx_export(const char *path, const CvmGraph *graph, const CvmStore *store,
                     const CvmNormalization *normalization, CvmArena *arena, CvmDiag *diag,
                     CvmError *error) {
    CvmOnnxExporter exporter = {.arena = arena,
                                .graph = graph,
                                .store = store,
                                .diag = diag,
                                .names =
                                    cvm_arena_array(arena, (size_t)graph->next_id, sizeof(char *))};
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
