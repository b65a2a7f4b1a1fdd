/* See scope.h. */
#include "compiler/onnx/scope.h"

#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

static int by_text(const void *left, const void *right) {
    const CvmOnnxName *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order ? order : (int)a->source - (int)b->source;
}

static void add_name(CvmOnnxScope *scope, const char *text, CvmOnnxSource source, size_t index,
                     bool first) {
    if (text && *text)
        scope->names[scope->count++] = (CvmOnnxName){
            .text = text, .source = source, .index = (int)index, .first_output = first};
}

/* An initializer may be listed among the inputs too, as its default; any other name has one source.
 */
static bool drop_doubles(CvmOnnxImport *import, CvmOnnxScope *scope) {
    int kept = 0;
    bool sound = true;
    for (int i = 0; i < scope->count; i++) {
        const CvmOnnxName *name = &scope->names[i], *before = kept ? &scope->names[kept - 1] : NULL;
        if (!before || strcmp(before->text, name->text))
            scope->names[kept++] = *name;
        else if (before->source != CVM_ONNX_FROM_INITIALIZER || name->source != CVM_ONNX_FROM_INPUT)
            sound =
                cvm_diag_error(import->diag, 1706, (CvmSpan){.source = import->model->nodes}, NULL,
                               NULL, "two tensors are called '%s'", cvm_shown(name->text).text);
    }
    scope->count = kept;
    return sound;
}

bool cvm_onnx_scope_open(CvmOnnxImport *import, const Onnx__GraphProto *graph,
                         const CvmOnnxScope *outer, CvmOnnxScope *scope) {
    size_t count = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        count += graph->node[i]->n_output;
    *scope = (CvmOnnxScope){.graph = graph, .outer = outer};
    scope->names = cvm_arena_array(import->arena, count + 1, sizeof *scope->names);
    for (size_t i = 0; i < graph->n_initializer; i++)
        add_name(scope, graph->initializer[i]->name, CVM_ONNX_FROM_INITIALIZER, i, true);
    for (size_t i = 0; i < graph->n_input; i++)
        add_name(scope, graph->input[i]->name, CVM_ONNX_FROM_INPUT, i, true);
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            add_name(scope, graph->node[i]->output[k], CVM_ONNX_FROM_NODE, i, k == 0);
    qsort(scope->names, (size_t)scope->count, sizeof *scope->names, by_text);
    return drop_doubles(import, scope);
}

CvmOnnxName *cvm_onnx_scope_find(const CvmOnnxScope *scope, const char *text) {
    for (; scope; scope = scope->outer) {
        int low = 0, high = scope->count;
        while (low < high) {
            int middle = low + (high - low) / 2;
            int order = strcmp(scope->names[middle].text, text);
            if (order == 0)
                return &scope->names[middle];
            if (order < 0)
                low = middle + 1;
            else
                high = middle;
        }
    }
    return NULL;
}

void cvm_onnx_count_uses(const CvmOnnxScope *scope, const Onnx__GraphProto *graph) {
    CvmOnnxName *name;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_input; k++)
            if ((name = cvm_onnx_scope_find(scope, graph->node[i]->input[k])))
                name->value.uses++;
    for (size_t i = 0; i < graph->n_output; i++)
        if (graph->output[i]->name && (name = cvm_onnx_scope_find(scope, graph->output[i]->name)))
            name->value.uses++;
}

void cvm_onnx_read_initializer(CvmOnnxImport *import, const CvmOnnxScope *scope,
                               CvmOnnxName *name) {
    CvmError error;
    if (name->value.kind != CVM_ONNX_UNREAD)
        return;
    name->value.kind = CVM_ONNX_CONSTANT;
    if (cvm_onnx_tensor(import->model, scope->graph->initializer[name->index],
                        &name->value.constant, &error))
        return;
    name->value.kind = CVM_ONNX_UNKNOWN;
    import->diag->machine_at_fault |= error.kind == CVM_ERROR_MACHINE;
    cvm_diag_error(import->diag, 1704, (CvmSpan){.source = import->model->nodes}, NULL, NULL, "%s",
                   error.message);
}

/* --- nodes --- */

static bool check_attributes(CvmOnnxImport *import) {
    bool known = true;
    for (size_t i = 0; i < import->proto->n_attribute; i++) {
        const char *name = import->proto->attribute[i]->name, *list = import->operator->attributes;
        size_t length = name ? strlen(name) : 0;
        const char *found = length ? strstr(list, name) : NULL;
        while (found &&
               ((found != list && found[-1] != ' ') || (found[length] && found[length] != ' ')))
            found = strstr(found + 1, name);
        if (!found)
            known =
                cvm_onnx_refuse(import, 1702, NULL, "has the attribute '%s', which is not known",
                                cvm_shown(name ? name : "").text);
    }
    return known;
}

/* Its operands, which are all read by now; *skip: one of them is unknown. */
static bool collect_inputs(CvmOnnxImport *import, const CvmOnnxScope *scope, bool *skip) {
    const Onnx__NodeProto *proto = import->proto;
    bool sound = true;
    import->input_count = (int)proto->n_input;
    import->inputs = cvm_arena_array(import->arena, proto->n_input + 1, sizeof *import->inputs);
    for (int i = 0; i < import->input_count; i++) {
        CvmOnnxName *name = proto->input[i][0] ? cvm_onnx_scope_find(scope, proto->input[i]) : NULL;
        if (!name && proto->input[i][0])
            sound = cvm_onnx_refuse(import, 1707, NULL, "reads '%s', which nothing gives",
                                    cvm_shown(proto->input[i]).text);
        import->inputs[i] = name ? &name->value : NULL;
        *skip |= name && name->value.kind == CVM_ONNX_UNKNOWN;
    }
    return sound;
}

static bool read_operator(CvmOnnxImport *import, const CvmOnnxScope *scope) {
    const Onnx__NodeProto *proto = import->proto;
    bool skip = false,
         foreign = proto->domain && *proto->domain && strcmp(proto->domain, "ai.onnx");
    import->operator= proto->op_type && !foreign ? cvm_onnx_operator(proto->op_type) : NULL;
    if (!import->operator) {
        if (!proto->op_type)
            return cvm_onnx_refuse(import, 1701, NULL, "is a node without an operator");
        return foreign
                   ? cvm_onnx_refuse(import, 1701, NULL, "is an operator of %s, not of ONNX itself",
                                     cvm_shown(proto->domain).text)
                   : cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
    }
    if (!check_attributes(import) || !collect_inputs(import, scope, &skip) || skip)
        return false;
    int least = import->operator->least, most = import->operator->most;
    if (import->input_count < least || (most >= 0 && import->input_count > most))
        return cvm_onnx_refuse(import, 1703, NULL, "has %d inputs, which is not possible",
                               import->input_count);
    import->scope = scope;
    return import->operator->read(import);
}

void cvm_onnx_read_node(CvmOnnxImport *import, const CvmOnnxScope *scope,
                        const Onnx__NodeProto *node) {
    import->proto = node;
    import->result = (CvmOnnxValue){.kind = CVM_ONNX_UNKNOWN};
    if (!read_operator(import, scope))
        import->result.kind = CVM_ONNX_UNKNOWN;
    import->proto = node;
    for (size_t i = 0; i < node->n_output; i++) {
        CvmOnnxName *name = node->output[i][0] ? cvm_onnx_scope_find(scope, node->output[i]) : NULL;
        if (!name)
            continue;
        int uses = name->value.uses;
        if (name->first_output)
            name->value = import->result;
        else
            name->value.kind = CVM_ONNX_UNKNOWN;
        name->value.uses = uses;
        if (!name->first_output && uses && import->result.kind != CVM_ONNX_UNKNOWN)
            cvm_onnx_refuse(import, 1701, NULL, "gives '%s' too, which no layer does",
                            cvm_shown(name->text).text);
    }
}
