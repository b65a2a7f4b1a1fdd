/* What passes share: remarks, uses of values, small questions about nodes. See pass.h. */
#include "compiler/passes/pass.h"

#include <string.h>

bool cvm_may_apply(CvmPassContext *context) {
    if (context->applications >= context->limit)
        return false;
    context->applications++;
    return true;
}

void cvm_remark(const CvmPassContext *context, CvmRemark remark) {
    CvmPassLog *log = context->log;
    if (!log)
        return;
    CvmRemark *kept = CVM_NEW(log->arena, CvmRemark);
    *kept = remark;
    kept->pass = context->pass;
    kept->application = remark.refused ? 0 : context->applications;
    *(log->last ? &log->last->next : &log->first) = kept;
    log->last = kept;
}

CvmUses cvm_uses_find(const CvmGraph *graph, CvmArena *scratch) {
    size_t ids = (size_t)graph->next_id + 1;
    CvmUses uses = {.users = cvm_arena_array(scratch, ids, sizeof *uses.users),
                    .user_counts = cvm_arena_array(scratch, ids, sizeof *uses.user_counts),
                    .kept = cvm_arena_array(scratch, ids, sizeof *uses.kept)};
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            uses.user_counts[graph->nodes[i]->inputs[k]->id]++;
    for (int i = 0; i < graph->node_count; i++) {
        int id = graph->nodes[i]->id;
        uses.users[id] =
            cvm_arena_array(scratch, (size_t)uses.user_counts[id] + 1, sizeof **uses.users);
        uses.user_counts[id] = 0;
    }
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++) {
            int id = graph->nodes[i]->inputs[k]->id;
            uses.users[id][uses.user_counts[id]++] = graph->nodes[i];
        }
    for (int i = 0; i < graph->output_count; i++)
        uses.kept[graph->outputs[i].value->id]++;
    for (int i = 0; i < graph->update_count; i++)
        uses.kept[graph->updates[i].value->id]++;
    return uses;
}

bool cvm_type_equal(const CvmType *a, const CvmType *b) {
    return a->dtype == b->dtype && a->layout == b->layout && a->lanes == b->lanes &&
           cvm_shape_equal(&a->shape, &b->shape);
}

bool cvm_is_update(const CvmGraph *graph, const CvmNode *value) {
    for (int i = 0; i < graph->update_count; i++)
        if (graph->updates[i].value == value)
            return true;
    return false;
}

/* Whether `name` is "gradient." and the parameter's. */
static bool is_gradient_of(const char *name, const CvmNode *parameter) {
    static const char prefix[] = "gradient.";
    size_t length = sizeof prefix - 1;
    return strncmp(name, prefix, length) == 0 && strcmp(name + length, parameter->origin.name) == 0;
}

bool cvm_learns(const CvmGraph *graph, const CvmNode *parameter) {
    for (int i = 0; i < graph->update_count; i++)
        if (cvm_graph_find_source(graph, graph->updates[i].name) == parameter ||
            is_gradient_of(graph->updates[i].name, parameter))
            return true;
    return false;
}

CvmNode *cvm_alias_root(CvmNode *value) {
    while (cvm_op_info(value->op)->class == CVM_CLASS_ALIAS)
        value = value->inputs[0];
    return value;
}

bool cvm_is_pointwise(const CvmNode *node) {
    return cvm_op_info(node->op)->class == CVM_CLASS_POINTWISE;
}
