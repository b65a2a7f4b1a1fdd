/* Building and rewriting graphs; see graph.h. */
#include "compiler/graph/graph.h"
#include "compiler/graph/op.h"

#include <stdlib.h>
#include <string.h>

CvmGraph *cvm_graph_create(CvmArena *arena, const char *name) {
    CvmGraph *graph = CVM_NEW(arena, CvmGraph);
    graph->arena = arena;
    graph->name = cvm_arena_copy(arena, name, strlen(name));
    return graph;
}

int cvm_attribute_count(CvmOp op) {
    int count = 0;
    while (cvm_op_info(op)->attributes[count].kind != CVM_ATTRIBUTE_END)
        count++;
    return count;
}

static void set_defaults(const CvmOpInfo *info, CvmAttribute *attributes, int count) {
    for (int i = 0; i < count; i++) {
        double otherwise = info->attributes[i].otherwise;
        if (info->attributes[i].kind == CVM_ATTRIBUTE_REAL)
            attributes[i].real = otherwise;
        else if (info->attributes[i].kind == CVM_ATTRIBUTE_TEXT)
            attributes[i].text = "";
        else
            for (int k = 0; k < 4; k++)
                attributes[i].integers[k] = (int64_t)otherwise;
    }
}

static CvmNode *new_node(CvmGraph *graph, CvmOp op, CvmNode *const *inputs, int input_count,
                         const CvmAttribute *attributes, CvmOrigin origin) {
    CvmNode *node = CVM_NEW(graph->arena, CvmNode);
    int count = cvm_attribute_count(op);
    node->op = op;
    node->group = CVM_NO_GROUP;
    node->origin = origin;
    node->input_count = input_count;
    node->inputs = cvm_arena_array(graph->arena, (size_t)input_count, sizeof *node->inputs);
    if (input_count)
        memcpy(node->inputs, inputs, (size_t)input_count * sizeof *inputs);
    if (count) {
        node->attributes = cvm_arena_array(graph->arena, (size_t)count, sizeof *attributes);
        set_defaults(cvm_op_info(op), node->attributes, count);
        if (attributes)
            memcpy(node->attributes, attributes, (size_t)count * sizeof *attributes);
    }
    return node;
}

static void *grow(CvmArena *arena, void *items, int count, size_t size) {
    void *larger = cvm_arena_array(arena, (size_t)count * 2 + 16, size);
    if (count)
        memcpy(larger, items, (size_t)count * size);
    return larger;
}

static CvmNode *append(CvmGraph *graph, CvmNode *node) {
    if (graph->node_count == graph->node_capacity) {
        graph->nodes = grow(graph->arena, graph->nodes, graph->node_count, sizeof *graph->nodes);
        graph->node_capacity = graph->node_count * 2 + 16;
    }
    node->id = graph->next_id++;
    return graph->nodes[graph->node_count++] = node;
}

CvmNode *cvm_graph_add(CvmGraph *graph, CvmOp op, CvmNode *const *inputs, int input_count,
                       const CvmAttribute *attributes, CvmOrigin origin, CvmDiag *diag) {
    CvmNode *node = new_node(graph, op, inputs, input_count, attributes, origin);
    const CvmOpInfo *info = cvm_op_info(op);
    if (!info->infer || (info->operand_count >= 0 && info->operand_count != input_count))
        abort(); /* a source, or a wrong number of operands: a bug in the caller */
    if (!info->infer(node, diag))
        return NULL;
    return append(graph, node);
}

CvmNode *cvm_graph_input(CvmGraph *graph, const char *name, CvmDtype dtype, CvmShape shape,
                         CvmOrigin origin) {
    origin.name = name;
    CvmNode *node = new_node(graph, CVM_OP_INPUT, NULL, 0, NULL, origin);
    node->type = (CvmType){.dtype = dtype, .shape = shape};
    return append(graph, node);
}

CvmNode *cvm_graph_parameter(CvmGraph *graph, const char *kind, CvmShape shape, double bound,
                             double fill, CvmOrigin origin) {
    CvmAttribute attributes[] = {{.text = kind}, {.real = bound}, {.real = fill}};
    CvmNode *node = new_node(graph, CVM_OP_PARAMETER, NULL, 0, attributes, origin);
    node->type = (CvmType){.dtype = CVM_F32, .shape = shape};
    return append(graph, node);
}

CvmNode *cvm_graph_constant(CvmGraph *graph, CvmShape shape, double value, CvmOrigin origin) {
    CvmAttribute attributes[] = {{.real = value}};
    CvmNode *node = new_node(graph, CVM_OP_CONSTANT, NULL, 0, attributes, origin);
    node->type = (CvmType){.dtype = CVM_F32, .shape = shape};
    return append(graph, node);
}

static void add_named(CvmArena *arena, CvmNamedValue **list, int *count, const char *name,
                      CvmNode *value) {
    CvmNamedValue *longer = cvm_arena_array(arena, (size_t)*count + 1, sizeof *longer);
    if (*count)
        memcpy(longer, *list, (size_t)*count * sizeof *longer);
    longer[*count] = (CvmNamedValue){cvm_arena_copy(arena, name, strlen(name)), value};
    *list = longer;
    ++*count;
}

void cvm_graph_output(CvmGraph *graph, const char *name, CvmNode *value) {
    add_named(graph->arena, &graph->outputs, &graph->output_count, name, value);
}

void cvm_graph_update(CvmGraph *graph, const char *parameter, CvmNode *value) {
    add_named(graph->arena, &graph->updates, &graph->update_count, parameter, value);
}

CvmNode *cvm_graph_find_output(const CvmGraph *graph, const char *name) {
    for (int i = 0; i < graph->output_count; i++)
        if (!strcmp(graph->outputs[i].name, name))
            return graph->outputs[i].value;
    return NULL;
}

CvmNode *cvm_graph_find_source(const CvmGraph *graph, const char *name) {
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if ((node->op == CVM_OP_INPUT || node->op == CVM_OP_PARAMETER) &&
            !strcmp(node->origin.name, name))
            return node;
    }
    return NULL;
}

const CvmAttribute *cvm_node_attribute(const CvmNode *node, const char *name) {
    const CvmAttributeInfo *rows = cvm_op_info(node->op)->attributes;
    for (int i = 0; rows[i].kind != CVM_ATTRIBUTE_END; i++)
        if (!strcmp(rows[i].name, name))
            return &node->attributes[i];
    abort(); /* the op has no such attribute: a bug in the caller */
}

int64_t cvm_node_int(const CvmNode *node, const char *name) {
    return cvm_node_attribute(node, name)->integers[0];
}

int cvm_graph_use_count(const CvmGraph *graph, const CvmNode *node) {
    int count = 0;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            count += graph->nodes[i]->inputs[k] == node;
    for (int i = 0; i < graph->output_count; i++)
        count += graph->outputs[i].value == node;
    for (int i = 0; i < graph->update_count; i++)
        count += graph->updates[i].value == node;
    return count;
}

static void note_replacement(CvmGraph *graph, int from, int to) {
    if (graph->replacement_count == graph->replacement_capacity) {
        int capacity = 2 * graph->replacement_capacity + 16;
        CvmReplacement *grown =
            cvm_arena_array(graph->arena, (size_t)capacity, sizeof *graph->replacements);
        for (int i = 0; i < graph->replacement_count; i++)
            grown[i] = graph->replacements[i];
        graph->replacements = grown;
        graph->replacement_capacity = capacity;
    }
    graph->replacements[graph->replacement_count++] = (CvmReplacement){from, to};
}

void cvm_graph_changed(CvmGraph *graph, const CvmNode *node) {
    note_replacement(graph, node->id, -1);
}

int *cvm_graph_successors(const CvmGraph *graph, int count, CvmArena *arena) {
    int *successors = cvm_arena_array(arena, (size_t)count + 1, sizeof *successors);
    for (int i = 0; i < count; i++)
        successors[i] = i;
    for (int r = 0; r < graph->replacement_count; r++)
        for (int i = 0; i < count; i++)
            if (successors[i] == graph->replacements[r].from)
                successors[i] = graph->replacements[r].to;
    return successors;
}

void cvm_graph_replace(CvmGraph *graph, CvmNode *from, CvmNode *to) {
    note_replacement(graph, from->id, to->id);
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (graph->nodes[i]->inputs[k] == from)
                graph->nodes[i]->inputs[k] = to;
    for (int i = 0; i < graph->output_count; i++)
        if (graph->outputs[i].value == from)
            graph->outputs[i].value = to;
    for (int i = 0; i < graph->update_count; i++)
        if (graph->updates[i].value == from)
            graph->updates[i].value = to;
}

static CvmNode *copy_node(const CvmNode *node, CvmNode *const *copies, CvmArena *arena) {
    CvmNode *copy = CVM_NEW(arena, CvmNode);
    *copy = *node;
    copy->inputs = cvm_arena_array(arena, (size_t)node->input_count, sizeof *copy->inputs);
    for (int i = 0; i < node->input_count; i++)
        copy->inputs[i] = copies[node->inputs[i]->id];
    int count = cvm_attribute_count(node->op);
    copy->attributes = count ? cvm_arena_array(arena, (size_t)count, sizeof(CvmAttribute)) : NULL;
    if (count)
        memcpy(copy->attributes, node->attributes, (size_t)count * sizeof(CvmAttribute));
    return copy;
}

CvmGraph *cvm_graph_copy(const CvmGraph *graph, CvmArena *arena) {
    CvmGraph *copy = cvm_graph_create(arena, graph->name);
    CvmNode **copies = cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof *copies);
    copy->nodes = cvm_arena_array(arena, (size_t)graph->node_count + 1, sizeof *copy->nodes);
    copy->node_capacity = graph->node_count + 1;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        copy->nodes[copy->node_count++] = copies[node->id] = copy_node(node, copies, arena);
    }
    copy->next_id = graph->next_id;
    copy->next_group = graph->next_group;
    for (int i = 0; i < graph->output_count; i++)
        cvm_graph_output(copy, graph->outputs[i].name, copies[graph->outputs[i].value->id]);
    for (int i = 0; i < graph->update_count; i++)
        cvm_graph_update(copy, graph->updates[i].name, copies[graph->updates[i].value->id]);
    return copy;
}

char *cvm_graph_text(const CvmGraph *graph, bool with_places, CvmArena *arena) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    cvm_graph_print(graph, with_places, stream);
    fclose(stream);
    char *copy = cvm_arena_copy(arena, text, size);
    free(text);
    return copy;
}

uint64_t cvm_graph_hash(const CvmGraph *graph) {
    CvmArena *arena = cvm_arena_create();
    uint64_t hash = 14695981039346656037u;
    for (const char *text = cvm_graph_text(graph, false, arena); *text; text++)
        hash = (hash ^ (unsigned char)*text) * 1099511628211u;
    cvm_arena_free(arena);
    return hash;
}
