/* See log.h. */
#include "compiler/passes/log.h"

#include "compiler/graph/op.h"
#include "compiler/passes/pass.h"

CvmPassLog cvm_pass_log(CvmArena *arena) {
    return (CvmPassLog){.arena = arena};
}

/* --- remarks --- */

CvmNodeLabel cvm_node_label(const CvmNode *node) {
    CvmNodeLabel label;
    const char *op = cvm_op_info(node->op)->name;
    if (node->origin.name)
        snprintf(label.text, sizeof label.text, "%s %s", op, node->origin.name);
    else
        snprintf(label.text, sizeof label.text, "%s %%%d", op, node->id);
    return label;
}

CvmNodePlace cvm_node_place(const CvmNode *node) {
    CvmNodePlace place = {""};
    const CvmSpan *span = &node->origin.span;
    if (span->source)
        snprintf(place.text, sizeof place.text, "%s:%d:%d", span->source->path, span->first_line,
                 span->first_column);
    return place;
}

const char *cvm_remark_reason(const CvmRemark *remark, CvmArena *arena) {
    if (!remark->reason || !remark->cause)
        return remark->reason;
    CvmNodeLabel label = cvm_node_label(remark->cause);
    CvmNodePlace place = cvm_node_place(remark->cause);
    if (!*place.text)
        return cvm_arena_format(arena, "%s at %s", remark->reason, label.text);
    return cvm_arena_format(arena, "%s at %s (%s)", remark->reason, place.text, label.text);
}

void cvm_remark_print(const CvmRemark *remark, FILE *stream) {
    CvmArena *scratch = cvm_arena_create();
    const char *reason = cvm_remark_reason(remark, scratch);
    fprintf(stream, "%s: %s %s", remark->pass, remark->refused ? "refused" : remark->action,
            cvm_node_label(remark->node).text);
    if (remark->other)
        fprintf(stream, " %s %s", remark->link, cvm_node_label(remark->other).text);
    if (reason)
        fprintf(stream, ": %s", reason);
    fputc('\n', stream);
    cvm_arena_free(scratch);
}

void cvm_pass_log_print(const CvmPassLog *log, FILE *stream) {
    for (const CvmRemark *remark = log->first; remark; remark = remark->next)
        cvm_remark_print(remark, stream);
}

/* --- sizes --- */

static bool has_kernel(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS;
}

static int64_t bytes_of(const CvmType *type) {
    int64_t count, bytes;
    if (!cvm_shape_count(&type->shape, &count) ||
        __builtin_mul_overflow(count, (int64_t)cvm_dtype_bytes(type->dtype), &bytes))
        return INT64_MAX;
    return bytes;
}

/* Values that a kernel has to write: read by another one, or by the caller. By node id. */
static bool *find_stored(const CvmGraph *graph, CvmArena *scratch) {
    bool *stored = cvm_arena_array(scratch, (size_t)graph->next_id + 1, sizeof *stored);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        for (int k = 0; k < node->input_count && has_kernel(node); k++) {
            const CvmNode *root = cvm_alias_root(node->inputs[k]);
            stored[root->id] |= node->group == CVM_NO_GROUP || root->group != node->group;
        }
    }
    for (int i = 0; i < graph->output_count; i++)
        stored[cvm_alias_root(graph->outputs[i].value)->id] = true;
    for (int i = 0; i < graph->update_count; i++)
        stored[graph->updates[i].value->id] = false; /* written where the parameter lies */
    return stored;
}

CvmGraphSize cvm_graph_size(const CvmGraph *graph) {
    CvmArena *scratch = cvm_arena_create();
    const bool *stored = find_stored(graph, scratch);
    CvmGraphSize size = {0};
    int open = CVM_NO_GROUP;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (!has_kernel(node))
            continue;
        bool begins = node->group == CVM_NO_GROUP || node->group != open;
        size.nodes++;
        size.kernels += begins;
        size.groups += begins && node->group != CVM_NO_GROUP;
        open = node->group;
        if (stored[node->id] &&
            __builtin_add_overflow(size.stored_bytes, bytes_of(&node->type), &size.stored_bytes))
            size.stored_bytes = INT64_MAX;
    }
    cvm_arena_free(scratch);
    return size;
}
