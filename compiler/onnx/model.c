/* See model.h: reading the file. protobuf-c allocates what the messages announce, through an
 * allocator that keeps count: two bytes of an empty message become a hundred of a struct, so a
 * small hostile file could ask for gigabytes. */
#include "compiler/onnx/model.h"

#include "runtime/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_NODES = 100000, LINE_BYTES = 400 };
static const size_t ROOM = (size_t)64 << 20, ROOM_PER_BYTE = 3;

/* What may still be allocated. */
typedef struct Budget {
    size_t left;
    bool exceeded;
} Budget;

static void *allocate(void *data, size_t size) {
    Budget *budget = data;
    if (size > budget->left) {
        budget->exceeded = true;
        return NULL;
    }
    budget->left -= size;
    return malloc(size ? size : 1);
}

static void release(void *data, void *block) {
    (void)data;
    free(block);
}

static bool unpack(const void *bytes, int64_t size, CvmOnnxModel *model, CvmError *error) {
    Budget budget = {.left = ROOM + ROOM_PER_BYTE * (size_t)size};
    ProtobufCAllocator allocator = {allocate, release, &budget};
    model->message = onnx__model_proto__unpack(&allocator, (size_t)size, bytes);
    model->room = budget.left;
    if (budget.exceeded)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s would need far more memory than it has bytes", model->path);
    if (!model->message)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s is not an ONNX file", model->path);
    if (!model->message->graph || model->message->graph->n_node == 0)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%.800s is not an ONNX model: it has no graph, or one without nodes",
                             model->path);
    if (model->message->graph->n_node > MAX_NODES)
        return cvm_error_set(error, CVM_ERROR_INPUT, "%.800s has more than %d nodes", model->path,
                             MAX_NODES);
    return true;
}

const Onnx__GraphProto *cvm_onnx_branch(CvmOnnxModel *model,
                                        const Onnx__AttributeProto *attribute) {
    Budget budget = {.left = model->room};
    ProtobufCAllocator allocator = {allocate, release, &budget};
    if (!attribute->has_g)
        return NULL;
    CvmOnnxBranch *branch = CVM_NEW(model->arena, CvmOnnxBranch);
    branch->graph = onnx__graph_proto__unpack(&allocator, attribute->g.len, attribute->g.data);
    model->room = budget.left;
    if (!branch->graph)
        return NULL;
    branch->next = model->branches;
    model->branches = branch;
    return branch->graph->n_node > MAX_NODES ? NULL : branch->graph;
}

/* --- nodes as text --- */

static const char *shown_or(const char *text, const char *otherwise, CvmShown *shown) {
    *shown = cvm_shown(text && *text ? text : otherwise);
    return shown->text;
}

/* Conv "/features/0/Conv" (x, features.0.weight) */
static void write_line(const Onnx__NodeProto *node, FILE *stream) {
    char line[LINE_BYTES];
    CvmShown type, name;
    int used = snprintf(line, sizeof line, "%s \"%s\" (", shown_or(node->op_type, "?", &type),
                        shown_or(node->name, "", &name));
    for (size_t i = 0; i < node->n_input && used < LINE_BYTES; i++)
        used += snprintf(line + used, sizeof line - (size_t)used, "%s%s", i ? ", " : "",
                         shown_or(node->input[i], "", &name));
    fprintf(stream, "%s)\n", line);
}

static CvmSource *list_nodes(const CvmOnnxModel *model) {
    char *text = NULL;
    size_t length = 0;
    CvmSource *source = CVM_NEW(model->arena, CvmSource);
    FILE *stream = open_memstream(&text, &length);
    if (!stream)
        abort();
    for (size_t i = 0; i < model->message->graph->n_node; i++)
        write_line(model->message->graph->node[i], stream);
    fclose(stream);
    *source = (CvmSource){
        .path = model->path, .text = cvm_arena_copy(model->arena, text, length), .length = length};
    free(text);
    return source;
}

CvmSpan cvm_onnx_node_span(const CvmOnnxModel *model, int node) {
    const char *type = model->message->graph->node[node]->op_type;
    int length = (int)strlen(cvm_shown(type && *type ? type : "?").text);
    return (CvmSpan){model->nodes, node + 1, 1, node + 1, length};
}

/* --- files --- */

static const char *folder_of(const char *path, CvmArena *arena) {
    const char *slash = strrchr(path, '/');
    if (!slash)
        return ".";
    return cvm_arena_copy(arena, path, slash == path ? 1 : (size_t)(slash - path));
}

bool cvm_onnx_model_parse(const void *bytes, int64_t size, const char *path, CvmArena *arena,
                          CvmOnnxModel *model, CvmError *error) {
    *model = (CvmOnnxModel){.arena = arena, .path = path};
    if (!unpack(bytes, size, model, error)) {
        cvm_onnx_model_close(model);
        return false;
    }
    model->nodes = list_nodes(model);
    return true;
}

bool cvm_onnx_model_open(const char *path, CvmArena *arena, CvmOnnxModel *model, CvmError *error) {
    CvmMappedFile file;
    *model = (CvmOnnxModel){0};
    if (!cvm_mapped_file_open(path, &file, error))
        return false;
    bool read = cvm_onnx_model_parse(file.bytes, file.size, path, arena, model, error);
    cvm_mapped_file_close(&file); /* protobuf-c has copied all of it */
    if (read)
        model->folder = folder_of(path, arena);
    return read;
}

void cvm_onnx_model_close(CvmOnnxModel *model) {
    for (CvmOnnxDataFile *one = model->data_files; one; one = one->next)
        cvm_mapped_file_close(&one->file);
    ProtobufCAllocator allocator = {allocate, release, NULL};
    for (CvmOnnxBranch *branch = model->branches; branch; branch = branch->next)
        onnx__graph_proto__free_unpacked(branch->graph, &allocator);
    if (model->message)
        onnx__model_proto__free_unpacked(model->message, &allocator);
    *model = (CvmOnnxModel){0};
}
