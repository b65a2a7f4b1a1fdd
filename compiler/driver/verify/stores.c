/* See stores.h. */
#include "compiler/driver/verify/stores.h"

#include <string.h>

/* Which values of the graph before the passes each of those after them is equal to, as lists. */
typedef struct Twins {
    const CvmGraph *source;
    const CvmNode **first; /* by id after the passes; NULL: of none */
    const CvmNode **next;  /* by id before them */
} Twins;

static Twins find_twins(const CvmVerifyTrial *trial) {
    const CvmGraph *source = trial->source;
    int *successors = cvm_graph_successors(trial->graph, source->next_id, trial->arena);
    Twins twins = {
        source,
        cvm_arena_array(trial->arena, (size_t)trial->graph->next_id + 1, sizeof *twins.first),
        cvm_arena_array(trial->arena, (size_t)source->next_id + 1, sizeof *twins.next)};
    for (int i = source->node_count - 1; i >= 0; i--) {
        const CvmNode *node = source->nodes[i];
        int successor = successors[node->id];
        if (successor < 0)
            continue;
        twins.next[node->id] = twins.first[successor];
        twins.first[successor] = node;
    }
    return twins;
}

/* Whether a pass has added the node to have the same value elsewhere or in another order. */
static bool is_copy(const Twins *twins, const CvmNode *node) {
    return node->id >= twins->source->next_id &&
           (node->op == CVM_OP_RELAYOUT ||
            (node->op == CVM_OP_SCALE && cvm_node_attribute(node, "factor")->real == 1));
}

static const CvmNode *first_twin(const Twins *twins, const CvmNode *node) {
    while (!twins->first[node->id] && is_copy(twins, node))
        node = node->inputs[0];
    return twins->first[node->id];
}

static bool same_type(const CvmType *a, const CvmType *b) {
    return a->dtype == b->dtype && cvm_shape_equal(&a->shape, &b->shape);
}

/* The values that a buffer holds when the call has written it; adds them where there is room. */
static int add_values(const Twins *twins, const CvmKernelBuffer *buffer, int call, int index,
                      CvmVerifyStored *to) {
    int count = 0;
    if (!buffer->written || !buffer->value)
        return 0;
    for (const CvmNode *twin = first_twin(twins, buffer->value); twin;
         twin = twins->next[twin->id]) {
        if (!same_type(&twin->type, &buffer->value->type))
            continue;
        if (to)
            to[count] = (CvmVerifyStored){twin, buffer->value, call, index};
        count++;
    }
    return count;
}

CvmVerifyStores cvm_verify_stores(const CvmVerifyTrial *trial) {
    const CvmKernelList *kernels = cvm_executable_kernels(trial->executable);
    Twins twins = find_twins(trial);
    CvmVerifyStores stores = {NULL, 0};
    for (int filling = 0; filling < 2; filling++) {
        if (filling)
            stores.values =
                cvm_arena_array(trial->arena, (size_t)stores.count + 1, sizeof *stores.values);
        stores.count = 0;
        for (int call = 0; call < kernels->count; call++)
            for (int k = 0; k < kernels->kernels[call]->buffer_count; k++)
                stores.count += add_values(&twins, &kernels->kernels[call]->buffers[k], call, k,
                                           filling ? stores.values + stores.count : NULL);
    }
    return stores;
}

void cvm_verify_read_plain(const CvmType *type, const void *from, void *to) {
    size_t size = cvm_dtype_bytes(type->dtype);
    int64_t count = 0;
    cvm_shape_count(&type->shape, &count);
    if (type->layout == CVM_LAYOUT_PLAIN) {
        memcpy(to, from, (size_t)count * size);
        return;
    }
    CvmStrides strides = cvm_value_strides(type);
    int64_t at[CVM_MAX_RANK] = {0};
    for (int64_t i = 0; i < count; i++) {
        int64_t place = 0;
        for (int d = 0; d < type->shape.rank; d++)
            place += at[d] / strides.block[d] * strides.dims[d] +
                     at[d] % strides.block[d] * strides.inside[d];
        memcpy((char *)to + (size_t)i * size, (const char *)from + (size_t)place * size, size);
        for (int d = type->shape.rank - 1; d >= 0 && ++at[d] == type->shape.sizes[d]; d--)
            at[d] = 0;
    }
}
