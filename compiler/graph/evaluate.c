/* See evaluate.h. */
#include "compiler/graph/evaluate.h"
#include "compiler/graph/op.h"

#include <stdlib.h>
#include <string.h>

static size_t bytes_of(const CvmNode *node) {
    int64_t count;
    if (!cvm_shape_count(&node->type.shape, &count))
        abort(); /* types were checked when the node was added */
    return (size_t)count * cvm_dtype_bytes(node->type.dtype);
}

static void fill_source(const CvmNode *node, void *to,
                        const void *(*sources)(void *context, const CvmNode *node), void *context) {
    if (node->op == CVM_OP_CONSTANT) {
        float value = (float)cvm_node_attribute(node, "value")->real;
        for (size_t i = 0; i < bytes_of(node) / sizeof value; i++)
            ((float *)to)[i] = value;
        return;
    }
    const void *from = sources(context, node);
    if (from)
        memcpy(to, from, bytes_of(node));
}

CvmValues cvm_evaluate(const CvmGraph *graph, CvmArena *arena,
                       const void *(*sources)(void *context, const CvmNode *node), void *context) {
    CvmValues values = {
        .data = cvm_arena_array(arena, (size_t)graph->next_id + 1, sizeof(void *)),
        .count = graph->next_id,
    };
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        const CvmOpInfo *info = cvm_op_info(node->op);
        void *result = values.data[node->id] = cvm_arena_alloc(arena, bytes_of(node));
        const void **operands =
            cvm_arena_array(arena, (size_t)node->input_count + 1, sizeof *operands);
        for (int k = 0; k < node->input_count; k++)
            operands[k] = values.data[node->inputs[k]->id];
        if (info->class == CVM_CLASS_SOURCE)
            fill_source(node, result, sources, context);
        else
            info->reference(node, operands, result);
    }
    return values;
}
