/* See layers.h. A layer's nodes (a convolution and its bias, say) carry the layer's name, and so
 * make one row. The receptive field follows the usual recursion: a window of k pixels over an input
 * whose values see s pixels and lie j pixels apart sees s + (k - 1) j, and its own values lie j *
 * stride apart (Araujo et al., "Computing receptive fields of convolutional neural networks",
 * Distill 2019). */
#include "compiler/driver/layers.h"

#include "compiler/graph/op.h"

#include <string.h>

typedef struct Field {
    int64_t size[2], jump[2]; /* height, width */
    bool whole;
} Field;

typedef struct Builder {
    CvmLayerTable table;
    const CvmTrain *train;
    const CvmGraph *graph;
    Field *fields; /* by node id */
    int *rows;     /* row by node id, -1: none */
    bool *counted; /* by node id: a parameter that is in the table already */
} Builder;

/* --- receptive field --- */

static void widen(Field *field, const int64_t window[2], const int64_t stride[2]) {
    for (int axis = 0; axis < 2; axis++) {
        field->size[axis] += (window[axis] - 1) * field->jump[axis];
        field->jump[axis] *= stride[axis];
    }
}

static Field merge(Field a, Field b) {
    for (int axis = 0; axis < 2; axis++) {
        a.size[axis] = a.size[axis] > b.size[axis] ? a.size[axis] : b.size[axis];
        a.jump[axis] = a.jump[axis] > b.jump[axis] ? a.jump[axis] : b.jump[axis];
    }
    a.whole |= b.whole;
    return a;
}

/* Of the pools that have no kernel of their own: the largest of the windows that divide the input,
 * from floor(i * size / count) to ceil((i + 1) * size / count). */
static int64_t adaptive_window(int64_t size, int64_t count) {
    int64_t largest = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t window = ((i + 1) * size + count - 1) / count - i * size / count;
        largest = window > largest ? window : largest;
    }
    return largest;
}

static void widen_by_pool(Field *field, const CvmNode *node) {
    if (node->op != CVM_OP_ADAPTIVE_AVGPOOL && node->op != CVM_OP_GLOBAL_AVGPOOL) {
        widen(field, cvm_node_attribute(node, "kernel")->integers,
              cvm_node_attribute(node, "stride")->integers);
        return;
    }
    int64_t window[2], stride[2];
    for (int axis = 0; axis < 2; axis++) {
        int64_t size = node->inputs[0]->type.shape.sizes[2 + axis];
        int64_t count = node->type.shape.sizes[2 + axis];
        window[axis] = adaptive_window(size, count);
        stride[axis] = size > count ? size / count : 1;
    }
    widen(field, window, stride);
}

static Field field_of(const Builder *builder, const CvmNode *node) {
    Field field = {.size = {1, 1}, .jump = {1, 1}};
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i]->op != CVM_OP_PARAMETER)
            field = merge(field, builder->fields[node->inputs[i]->id]);
    if (node->op == CVM_OP_CONV) {
        const CvmShape *weight = &node->inputs[1]->type.shape;
        const int64_t *dilation = cvm_node_attribute(node, "dilation")->integers;
        int64_t window[2] = {dilation[0] * (weight->sizes[2] - 1) + 1,
                             dilation[1] * (weight->sizes[3] - 1) + 1};
        widen(&field, window, cvm_node_attribute(node, "stride")->integers);
    } else if (node->op == CVM_OP_LINEAR) {
        field.whole = true;
    } else if (cvm_op_info(node->op)->class == CVM_CLASS_WINDOW) {
        widen_by_pool(&field, node);
    }
    return field;
}

/* --- rows --- */

static double bytes_of(const CvmNode *node) {
    int64_t count = 0;
    cvm_shape_count(&node->type.shape, &count);
    return (double)count * (double)cvm_dtype_bytes(node->type.dtype);
}

/* [1, c, h, w] as [c, h, w]. */
static CvmShape without_batch(const CvmShape *shape) {
    CvmShape one = {.rank = shape->rank > 0 ? shape->rank - 1 : 0};
    for (int i = 0; i < one.rank; i++)
        one.sizes[i] = shape->sizes[i + 1];
    return one;
}

static CvmLayerRow *row_of(Builder *builder, const CvmNode *node) {
    CvmLayerTable *table = &builder->table;
    const char *name = node->origin.name ? node->origin.name : "";
    for (int i = table->count - 1; i >= 0; i--)
        if (strcmp(table->rows[i].name, name) == 0) {
            builder->rows[node->id] = i;
            return &table->rows[i];
        }
    builder->rows[node->id] = table->count;
    CvmLayerRow *row = &table->rows[table->count++];
    *row = (CvmLayerRow){.name = name, .op = cvm_op_info(node->op)->name, .rate = 1};
    return row;
}

/* Only what can learn counts, as in publications: running statistics do not. */
static void count_parameter(Builder *builder, CvmLayerRow *row, const CvmNode *parameter) {
    bool learns = !strcmp(cvm_node_attribute(parameter, "kind")->text, "weight");
    if (!learns || builder->counted[parameter->id])
        return;
    builder->counted[parameter->id] = true;
    int64_t count = 0;
    cvm_shape_count(&parameter->type.shape, &count);
    row->parameters += count;
    row->learner = parameter->origin.name;
    builder->table.parameters += count;
    if (builder->train) {
        row->rate = cvm_train_multiplier(builder->train, parameter->origin.name);
        if (row->rate == 0)
            builder->table.frozen_parameters += count;
    }
}

/* Whether a node outside the node's row reads it. */
static bool leaves_row(const Builder *builder, const CvmNode *node) {
    const CvmGraph *graph = builder->graph;
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == node)
            return true;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k] == node &&
                builder->rows[graph->nodes[i]->id] != builder->rows[node->id])
                return true;
    return false;
}

static void add_node(Builder *builder, const CvmNode *node) {
    const CvmOpInfo *info = cvm_op_info(node->op);
    builder->fields[node->id] = field_of(builder, node);
    if (node->op == CVM_OP_PARAMETER || node->op == CVM_OP_CONSTANT)
        return;
    CvmLayerRow *row = row_of(builder, node);
    for (int i = 0; i < node->input_count; i++)
        if (node->inputs[i]->op == CVM_OP_PARAMETER)
            count_parameter(builder, row, node->inputs[i]);
    if (info->cost)
        row->flops += info->cost(node).flops;
    row->output = without_batch(&node->type.shape);
    const Field *field = &builder->fields[node->id];
    memcpy(row->field, field->size, sizeof row->field);
    row->field_is_whole = field->whole;
}

/* Once every node has its row: what crosses a row's border. Aliases and inputs move nothing. */
static void add_traffic(Builder *builder, const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    if (class == CVM_CLASS_SOURCE || class == CVM_CLASS_ALIAS)
        return;
    int index = builder->rows[node->id];
    CvmLayerRow *row = &builder->table.rows[index];
    for (int i = 0; i < node->input_count; i++) {
        const CvmNode *input = node->inputs[i];
        bool inside = builder->rows[input->id] == index;
        if (!inside && input->op != CVM_OP_CONSTANT)
            row->bytes += bytes_of(input);
    }
    if (leaves_row(builder, node))
        row->bytes += bytes_of(node);
}

CvmLayerTable cvm_layer_table(const CvmGraph *graph, const CvmTrain *train, CvmArena *arena) {
    size_t ids = (size_t)graph->next_id;
    Builder builder = {
        .graph = graph,
        .train = train,
        .fields = cvm_arena_array(arena, ids, sizeof(Field)),
        .rows = cvm_arena_array(arena, ids, sizeof(int)),
        .counted = cvm_arena_array(arena, ids, sizeof(bool)),
        .table.rows = cvm_arena_array(arena, (size_t)graph->node_count, sizeof(CvmLayerRow)),
    };
    memset(builder.rows, 0xff, ids * sizeof(int)); /* -1 */
    for (int i = 0; i < graph->node_count; i++)
        add_node(&builder, graph->nodes[i]);
    for (int i = 0; i < graph->node_count; i++)
        add_traffic(&builder, graph->nodes[i]);
    for (int i = 0; i < builder.table.count; i++) {
        builder.table.flops += builder.table.rows[i].flops;
        builder.table.bytes += builder.table.rows[i].bytes;
    }
    return builder.table;
}
