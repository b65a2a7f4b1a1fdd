/* See import.h: If, as exporters write it where a shape decides (torch's squeeze of an axis that
 * may be open, say). The numbers of a shape are known here, so the branch is, and its nodes are
 * read as if they stood in place of the If. */
#include "compiler/onnx/scope.h"

#include <string.h>

static const Onnx__GraphProto *branch_of(CvmOnnxImport *import, const Onnx__NodeProto *node,
                                         const char *which) {
    for (size_t i = 0; i < node->n_attribute; i++)
        if (node->attribute[i]->name && !strcmp(node->attribute[i]->name, which))
            return cvm_onnx_branch(import->model, node->attribute[i]);
    return NULL;
}

size_t cvm_onnx_list_branches(CvmOnnxImport *import, const CvmOnnxScope *scope) {
    const Onnx__GraphProto *graph = scope->graph;
    size_t nodes = graph->n_node;
    import->branches = cvm_arena_array(import->arena, graph->n_node, sizeof *import->branches);
    cvm_onnx_count_uses(scope, graph);
    for (size_t i = 0; i < graph->n_node; i++) {
        CvmOnnxBranches *branches = &import->branches[i];
        if (!graph->node[i]->op_type || strcmp(graph->node[i]->op_type, "If") != 0)
            continue;
        branches->then = branch_of(import, graph->node[i], "then_branch");
        branches->otherwise = branch_of(import, graph->node[i], "else_branch");
        if (!branches->then || !branches->otherwise)
            continue;
        cvm_onnx_count_uses(scope, branches->then);
        cvm_onnx_count_uses(scope, branches->otherwise);
        nodes += branches->then->n_node + branches->otherwise->n_node;
    }
    return nodes;
}

bool cvm_onnx_is_true(const CvmOnnxValue *value, bool *truth) {
    const CvmFileTensor *constant = &value->constant;
    if (value->kind == CVM_ONNX_NUMBERS && value->count == 1 &&
        value->numbers[0] != CVM_ONNX_BATCH) {
        *truth = value->numbers[0] != 0;
        return true;
    }
    if (value->kind != CVM_ONNX_CONSTANT || constant->dtype != CVM_FILE_U8 || constant->bytes != 1)
        return false;
    *truth = *(const uint8_t *)constant->data != 0;
    return true;
}

const Onnx__GraphProto *cvm_onnx_taken_branch(const CvmOnnxImport *import,
                                              const CvmOnnxScope *scope, int node) {
    bool truth;
    const Onnx__NodeProto *proto = scope->graph->node[node];
    const CvmOnnxBranches *branches = &import->branches[node];
    if (!branches->then || !branches->otherwise || proto->n_input != 1)
        return NULL;
    const CvmOnnxName *name = cvm_onnx_scope_find(scope, proto->input[0]);
    if (!name || !cvm_onnx_is_true(&name->value, &truth))
        return NULL;
    return truth ? branches->then : branches->otherwise;
}

/* Operands of a branch's nodes come before them, by the format's rules. */
static bool read_graph(CvmOnnxImport *import, const Onnx__GraphProto *graph,
                       const CvmOnnxScope *outer, CvmOnnxValue *result) {
    CvmOnnxScope scope;
    if (!cvm_onnx_scope_open(import, graph, outer, &scope))
        return false;
    cvm_onnx_count_uses(&scope, graph);
    for (int i = 0; i < scope.count; i++)
        if (scope.names[i].source == CVM_ONNX_FROM_INITIALIZER)
            cvm_onnx_read_initializer(import, &scope, &scope.names[i]);
    for (size_t i = 0; i < graph->n_node; i++) {
        const Onnx__NodeProto *node = graph->node[i];
        for (size_t k = 0; k < node->n_input; k++) {
            const CvmOnnxName *name =
                node->input[k][0] ? cvm_onnx_scope_find(&scope, node->input[k]) : NULL;
            import->proto = node;
            if (name && name->value.kind == CVM_ONNX_UNREAD)
                return cvm_onnx_refuse(import, 1705, NULL, "comes before what it reads");
        }
        cvm_onnx_read_node(import, &scope, node);
    }
    const char *text = graph->n_output == 1 ? graph->output[0]->name : NULL;
    const CvmOnnxName *output = text ? cvm_onnx_scope_find(&scope, text) : NULL;
    if (output)
        *result = output->value;
    return output != NULL && result->kind != CVM_ONNX_UNREAD;
}

bool cvm_onnx_read_branch(CvmOnnxImport *import) {
    CvmOnnxValue result = {.kind = CVM_ONNX_UNKNOWN};
    const Onnx__NodeProto *proto = import->proto;
    const CvmOnnxScope *scope = import->scope;
    if (scope->outer)
        return cvm_onnx_refuse(import, 1701, NULL, "stands in a branch of another If");
    const Onnx__GraphProto *graph = cvm_onnx_taken_branch(import, scope, import->node);
    if (!graph)
        return cvm_onnx_refuse(import, 1701, NULL, "decides by what is not known before it runs");
    int errors = import->diag->error_count;
    bool read = read_graph(import, graph, scope, &result);
    import->proto = proto;
    import->result = result;
    if (!read && import->diag->error_count == errors)
        return cvm_onnx_refuse(import, 1707, NULL, "has a branch that does not give one value");
    return read;
}
