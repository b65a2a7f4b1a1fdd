/* Common subexpressions: of nodes with one op, one set of operands and equal attributes, the first
 * serves all. Inputs and parameters are never merged, constants are. */
#include "compiler/passes/pass.h"

#include <string.h>

typedef struct Table {
    CvmNode **slots; /* open addressing */
    size_t mask;
} Table;

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 29;
}

/* Attributes are left to the comparison: few nodes share op and operands. */
static uint64_t hash_node(const CvmNode *node) {
    uint64_t hash = mix(0, node->op);
    for (int i = 0; i < node->input_count; i++)
        hash = mix(hash, (uint64_t)node->inputs[i]->id);
    for (int i = 0; i < node->type.shape.rank; i++)
        hash = mix(hash, (uint64_t)node->type.shape.sizes[i]);
    return hash;
}

static bool attribute_equal(CvmAttributeKind kind, const CvmAttribute *a, const CvmAttribute *b) {
    static const int integers[] = {[CVM_ATTRIBUTE_INT] = 1,
                                   [CVM_ATTRIBUTE_SIZE] = 2,
                                   [CVM_ATTRIBUTE_PAD] = 4,
                                   [CVM_ATTRIBUTE_TEXT] = 0};
    if (kind == CVM_ATTRIBUTE_REAL)
        return !memcmp(&a->real, &b->real, sizeof a->real);
    if (kind == CVM_ATTRIBUTE_TEXT)
        return a->text == b->text || (a->text && b->text && !strcmp(a->text, b->text));
    return !memcmp(a->integers, b->integers, (size_t)integers[kind] * sizeof *a->integers);
}

static bool is_equal(const CvmNode *a, const CvmNode *b) {
    if (a->op != b->op || a->input_count != b->input_count || !cvm_type_equal(&a->type, &b->type))
        return false;
    for (int i = 0; i < a->input_count; i++)
        if (a->inputs[i] != b->inputs[i])
            return false;
    const CvmAttributeInfo *attributes = cvm_op_info(a->op)->attributes;
    for (int i = 0; attributes[i].kind != CVM_ATTRIBUTE_END; i++)
        if (!attribute_equal(attributes[i].kind, &a->attributes[i], &b->attributes[i]))
            return false;
    return true;
}

/* The equal node seen before, or NULL: then this one is remembered. */
static CvmNode *find_or_add(Table *table, CvmNode *node) {
    for (size_t slot = hash_node(node) & table->mask;; slot = (slot + 1) & table->mask) {
        if (!table->slots[slot]) {
            table->slots[slot] = node;
            return NULL;
        }
        if (is_equal(table->slots[slot], node))
            return table->slots[slot];
    }
}

static bool is_candidate(const CvmGraph *graph, const CvmNode *node) {
    return node->op != CVM_OP_INPUT && node->op != CVM_OP_PARAMETER &&
           node->group == CVM_NO_GROUP && !cvm_is_update(graph, node);
}

bool cvm_common_subexpressions(CvmPassContext *context, CvmGraph *graph) {
    CvmArena *scratch = cvm_arena_create();
    Table table = {.mask = 15};
    while (table.mask < 2 * (size_t)graph->node_count)
        table.mask = 2 * table.mask + 1;
    table.slots = cvm_arena_array(scratch, table.mask + 1, sizeof *table.slots);
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (!is_candidate(graph, node))
            continue;
        CvmNode *earlier = find_or_add(&table, node);
        if (!earlier || !cvm_may_apply(context))
            continue;
        cvm_graph_replace(graph, node, earlier);
        cvm_remark(context,
                   (CvmRemark){.action = "merged", .node = node, .link = "into", .other = earlier});
    }
    cvm_arena_free(scratch);
    return true;
}
