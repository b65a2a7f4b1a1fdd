/* The memory plan: every tensor's place in one arena. A tensor lives from the step that stores it
 * to the last step that reads it, a step being the kernel of a group or of a single node; tensors
 * that live at different times may share bytes. What depends on parameters alone is computed once
 * and lies apart, so that it can be shared. Placing is first-fit, largest tensors first: each
 * takes the lowest gap among those placed before that live at the same time. */
#include "compiler/passes/pass.h"
#include "runtime/plan.h"

#include <stdlib.h>
#include <string.h>

enum { NO_MEMORY = -1, BEFORE_THE_FIRST = -1 };

/* Bytes for one tensor, or for several in turn that are computed in place. */
typedef struct Storage {
    const CvmNode *node; /* the first that lies there */
    int64_t bytes;       /* a multiple of CVM_ALIGNMENT */
    int first, last;     /* steps, inclusive */
    bool prepared;       /* lies in memory of its own, where nothing shares bytes */
    int64_t offset;
} Storage;

typedef struct Planning {
    const CvmGraph *graph;
    bool *prepared; /* by node id; see CvmMemoryPlan */
    bool *kept;     /* by node id: prepared, and read at every step */
    int *steps;     /* by node id: the step that computes it */
    int *last;      /* by node id (of alias roots): the last step that reads it */
    bool *stored;   /* by node id: read outside of its group */
    int step_count;
    Storage *storages;
    int storage_count;
    int *storage_of; /* by node id; -1: none */
} Planning;

static bool has_kernel(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS;
}

/* --- lives --- */

static void number_steps(Planning *planning) {
    int group = CVM_NO_GROUP;
    for (int i = 0; i < planning->graph->node_count; i++) {
        const CvmNode *node = planning->graph->nodes[i];
        planning->steps[node->id] = BEFORE_THE_FIRST;
        if (!has_kernel(node))
            continue;
        bool same_step = node->group != CVM_NO_GROUP && node->group == group;
        group = node->group;
        planning->step_count += !same_step;
        planning->steps[node->id] = planning->step_count - 1;
    }
}

static void note_read(Planning *planning, CvmNode *value, int step) {
    CvmNode *root = cvm_alias_root(value);
    planning->stored[root->id] = true;
    if (planning->last[root->id] < step)
        planning->last[root->id] = step;
}

static void find_lives(Planning *planning) {
    const CvmGraph *graph = planning->graph;
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        planning->last[node->id] = planning->steps[node->id];
        for (int k = 0; k < node->input_count && has_kernel(node); k++)
            if (planning->steps[node->inputs[k]->id] != planning->steps[node->id])
                note_read(planning, node->inputs[k], planning->steps[node->id]);
    }
    for (int i = 0; i < graph->output_count; i++)
        note_read(planning, graph->outputs[i].value, planning->step_count);
}

/* --- what outlives a step --- */

static bool is_updated(const CvmGraph *graph, const CvmNode *parameter) {
    for (int i = 0; i < graph->update_count; i++)
        if (strcmp(graph->updates[i].name, parameter->origin.name) == 0)
            return true;
    return false;
}

/* Sums of gradients change in every step, though another graph adds to them. */
static bool is_sum(const CvmNode *parameter) {
    return strcmp(cvm_node_attribute(parameter, "kind")->text, "gradient") == 0;
}

static bool is_settled(const Planning *planning, CvmNode *value) {
    const CvmNode *root = cvm_alias_root(value);
    return root->op == CVM_OP_CONSTANT || planning->prepared[root->id] ||
           (root->op == CVM_OP_PARAMETER && !is_updated(planning->graph, root) && !is_sum(root));
}

/* Whether all that the step starting at node `first` reads from outside is settled, some parameter
 * or prepared value among it, and nothing of it is an update or an output. */
static bool step_is_prepared(const Planning *planning, int first, int last) {
    CvmNode *const *nodes = planning->graph->nodes;
    bool reads = false;
    for (int i = first; i < last; i++) {
        if (cvm_is_update(planning->graph, nodes[i]))
            return false;
        for (int k = 0; k < planning->graph->output_count; k++)
            if (cvm_alias_root(planning->graph->outputs[k].value) == nodes[i])
                return false;
        for (int k = 0; k < nodes[i]->input_count; k++) {
            CvmNode *operand = nodes[i]->inputs[k];
            bool inside = planning->steps[operand->id] == planning->steps[nodes[i]->id];
            if (!inside && !is_settled(planning, operand))
                return false;
            reads |= !inside && operand->op != CVM_OP_CONSTANT;
        }
    }
    return reads;
}

static void find_prepared(Planning *planning) {
    const CvmGraph *graph = planning->graph;
    for (int first = 0, last; first < graph->node_count; first = last) {
        last = first + 1;
        int step = planning->steps[graph->nodes[first]->id];
        if (!has_kernel(graph->nodes[first]))
            continue;
        while (last < graph->node_count && planning->steps[graph->nodes[last]->id] == step)
            last++;
        if (!step_is_prepared(planning, first, last))
            continue;
        for (int i = first; i < last; i++)
            planning->prepared[graph->nodes[i]->id] = true;
    }
}

/* Prepared values are kept, but for those that only other prepared ones are made of. */
static void keep_prepared(Planning *planning) {
    const CvmGraph *graph = planning->graph;
    for (int i = 0; i < graph->node_count; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++) {
            const CvmNode *root = cvm_alias_root(graph->nodes[i]->inputs[k]);
            if (!has_kernel(graph->nodes[i]) || planning->prepared[graph->nodes[i]->id] ||
                !planning->prepared[root->id])
                continue;
            planning->kept[root->id] = true;
            planning->last[root->id] = planning->step_count;
        }
}

/* --- storages --- */

static bool tensor_bytes(const CvmType *type, int64_t *bytes) {
    int64_t count;
    if (!cvm_shape_count(&type->shape, &count) ||
        __builtin_mul_overflow(count, (int64_t)cvm_dtype_bytes(type->dtype), bytes) ||
        __builtin_add_overflow(*bytes, CVM_ALIGNMENT - 1, bytes))
        return false;
    *bytes = *bytes / CVM_ALIGNMENT * CVM_ALIGNMENT;
    if (*bytes == 0)
        *bytes = CVM_ALIGNMENT;
    return true;
}

static bool needs_arena(const Planning *planning, const CvmNode *node) {
    if (node->op == CVM_OP_INPUT)
        return true;
    return has_kernel(node) && planning->stored[node->id] && !cvm_is_update(planning->graph, node);
}

static bool is_pointwise_step(const Planning *planning, int first) {
    CvmNode *const *nodes = planning->graph->nodes;
    int step = planning->steps[nodes[first]->id];
    for (int i = first; i < planning->graph->node_count; i++) {
        if (planning->steps[nodes[i]->id] != step)
            return true;
        if (!cvm_is_pointwise(nodes[i]))
            return false;
    }
    return true;
}

/* An operand of the step starting at node `first` whose storage the result can take over, or -1:
 * one of the same type, which is read element by element, and for the last time. */
static int find_dying_operand(const Planning *planning, const CvmNode *result, int first) {
    const CvmGraph *graph = planning->graph;
    int step = planning->steps[result->id];
    for (int i = first; i < graph->node_count && planning->steps[graph->nodes[i]->id] == step; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++) {
            CvmNode *operand = graph->nodes[i]->inputs[k];
            int storage = planning->storage_of[cvm_alias_root(operand)->id];
            if (storage >= 0 && cvm_type_equal(&operand->type, &result->type) &&
                planning->storages[storage].first < step &&
                planning->storages[storage].last == step)
                return storage;
        }
    return -1;
}

static bool add_storage(Planning *planning, const CvmNode *node, int first) {
    Storage storage = {.node = node,
                       .first = planning->steps[node->id],
                       .last = planning->last[node->id],
                       .prepared = planning->kept[node->id]};
    if (node->op != CVM_OP_INPUT && !storage.prepared && is_pointwise_step(planning, first)) {
        int taken = find_dying_operand(planning, node, first);
        if (taken >= 0) {
            planning->storages[taken].last = storage.last;
            planning->storage_of[node->id] = taken;
            return true;
        }
    }
    if (!tensor_bytes(&node->type, &storage.bytes))
        return false;
    planning->storage_of[node->id] = planning->storage_count;
    planning->storages[planning->storage_count++] = storage;
    return true;
}

static bool add_storages(Planning *planning) {
    const CvmGraph *graph = planning->graph;
    for (int i = 0; i < graph->next_id; i++)
        planning->storage_of[i] = -1;
    int first = 0; /* node of the present step */
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (planning->steps[node->id] != planning->steps[graph->nodes[first]->id])
            first = i;
        if (needs_arena(planning, node) && !add_storage(planning, node, first))
            return false;
    }
    return true;
}

/* --- placing --- */

static bool live_together(const Storage *a, const Storage *b) {
    return a->first <= b->last && b->first <= a->last;
}

static int by_size(const void *left, const void *right) {
    const Storage *a = *(Storage *const *)left, *b = *(Storage *const *)right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    return a < b ? -1 : a > b;
}

/* The lowest offset where the storage meets none of those placed, which are in order of offset. */
static bool find_gap(Storage *const *placed, int count, Storage *storage) {
    int64_t offset = 0, end;
    for (int i = 0; i < count; i++) {
        if (!live_together(placed[i], storage))
            continue;
        if (__builtin_add_overflow(offset, storage->bytes, &end))
            return false;
        if (end <= placed[i]->offset)
            break;
        int64_t behind = placed[i]->offset + placed[i]->bytes;
        offset = behind > offset ? behind : offset;
    }
    storage->offset = offset;
    return !__builtin_add_overflow(offset, storage->bytes, &end);
}

static void insert_by_offset(Storage **placed, int count, Storage *storage) {
    int at = count;
    for (; at > 0 && placed[at - 1]->offset > storage->offset; at--)
        placed[at] = placed[at - 1];
    placed[at] = storage;
}

/* One behind the other. */
static bool place_prepared(Planning *planning, int64_t *prepared_bytes) {
    *prepared_bytes = 0;
    for (int i = 0; i < planning->storage_count; i++) {
        Storage *storage = &planning->storages[i];
        if (!storage->prepared)
            continue;
        storage->offset = *prepared_bytes;
        if (__builtin_add_overflow(*prepared_bytes, storage->bytes, prepared_bytes))
            return false;
    }
    return true;
}

static bool place(Planning *planning, CvmArena *scratch, int64_t *arena_bytes) {
    size_t all = (size_t)planning->storage_count, count = 0;
    Storage **order = cvm_arena_array(scratch, all + 1, sizeof *order);
    Storage **placed = cvm_arena_array(scratch, all + 1, sizeof *placed);
    for (size_t i = 0; i < all; i++)
        if (!planning->storages[i].prepared)
            order[count++] = &planning->storages[i];
    qsort(order, count, sizeof *order, by_size);
    *arena_bytes = 0;
    for (size_t i = 0; i < count; i++) {
        if (!find_gap(placed, (int)i, order[i]))
            return false;
        insert_by_offset(placed, (int)i, order[i]);
        int64_t end = order[i]->offset + order[i]->bytes;
        *arena_bytes = end > *arena_bytes ? end : *arena_bytes;
    }
    return true;
}

static bool is_alive(const Storage *storage, int step) {
    return !storage->prepared && storage->first <= step && step <= storage->last;
}

/* The step during which most is alive. Everything is placed, so no sum overflows: the arena is at
 * least as large. */
static int find_peak(const Planning *planning, int64_t *most) {
    int peak = BEFORE_THE_FIRST;
    *most = 0;
    for (int step = BEFORE_THE_FIRST; step <= planning->step_count; step++) {
        int64_t bytes = 0;
        for (int i = 0; i < planning->storage_count; i++)
            if (is_alive(&planning->storages[i], step))
                bytes += planning->storages[i].bytes;
        if (bytes > *most) {
            *most = bytes;
            peak = step;
        }
    }
    return peak;
}

static int by_bytes(const void *left, const void *right) {
    const CvmAlive *a = left, *b = right;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? 1 : -1;
    return a->node->id - b->node->id;
}

static void find_alive(const Planning *planning, CvmArena *arena, CvmMemoryPlan *plan) {
    int peak = find_peak(planning, &plan->lower_bound);
    plan->alive = cvm_arena_array(arena, (size_t)planning->storage_count + 1, sizeof *plan->alive);
    for (int i = 0; i < planning->storage_count; i++)
        if (is_alive(&planning->storages[i], peak))
            plan->alive[plan->alive_count++] =
                (CvmAlive){planning->storages[i].node, planning->storages[i].bytes};
    qsort(plan->alive, (size_t)plan->alive_count, sizeof *plan->alive, by_bytes);
}

/* --- the plan --- */

static void fill_offsets(const Planning *planning, CvmMemoryPlan *plan) {
    const CvmGraph *graph = planning->graph;
    for (int i = 0; i < plan->id_count; i++)
        plan->offsets[i] = NO_MEMORY;
    for (int i = 0; i < graph->node_count; i++) {
        int storage = planning->storage_of[cvm_alias_root(graph->nodes[i])->id];
        if (storage >= 0)
            plan->offsets[graph->nodes[i]->id] = planning->storages[storage].offset;
    }
}

static bool check_outputs(const CvmGraph *graph, const CvmMemoryPlan *plan, CvmDiag *diag) {
    bool good = true;
    for (int i = 0; i < graph->output_count; i++)
        if (plan->offsets[graph->outputs[i].value->id] == NO_MEMORY)
            good =
                cvm_diag_error(diag, 1606, graph->outputs[i].value->origin.span, NULL, NULL,
                               "output %s is not computed into the arena", graph->outputs[i].name);
    return good;
}

bool cvm_plan_memory(const CvmGraph *graph, CvmArena *arena, CvmMemoryPlan *plan, CvmDiag *diag) {
    CvmArena *scratch = cvm_arena_create();
    size_t ids = (size_t)graph->next_id + 1;
    Planning planning = {
        .graph = graph,
        .prepared = cvm_arena_array(arena, ids, sizeof *planning.prepared),
        .kept = cvm_arena_array(arena, ids, sizeof *planning.kept),
        .steps = cvm_arena_array(scratch, ids, sizeof *planning.steps),
        .last = cvm_arena_array(scratch, ids, sizeof *planning.last),
        .stored = cvm_arena_array(scratch, ids, sizeof *planning.stored),
        .storages = cvm_arena_array(scratch, ids, sizeof *planning.storages),
        .storage_of = cvm_arena_array(scratch, ids, sizeof *planning.storage_of),
    };
    *plan = (CvmMemoryPlan){.offsets = cvm_arena_array(arena, ids, sizeof *plan->offsets),
                            .prepared = planning.prepared,
                            .kept = planning.kept,
                            .id_count = graph->next_id};
    number_steps(&planning);
    find_lives(&planning);
    find_prepared(&planning);
    keep_prepared(&planning);
    bool fits = add_storages(&planning) && place_prepared(&planning, &plan->prepared_bytes) &&
                place(&planning, scratch, &plan->arena_bytes);
    if (fits) {
        find_alive(&planning, arena, plan);
        fill_offsets(&planning, plan);
    } else {
        cvm_diag_error(diag, 1601, (CvmSpan){0}, NULL, "use a smaller batch",
                       "%s needs more memory than can be addressed", graph->name);
    }
    cvm_arena_free(scratch);
    return fits && check_outputs(graph, plan, diag);
}
