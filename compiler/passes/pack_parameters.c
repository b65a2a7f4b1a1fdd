/* Parameters that are kept packed. Convolutions in channel blocks read weights as filters and give
 * their gradients as such. Where weights learn, they and all that goes through their update with
 * them (the optimizer's state, sums of gradients, averages) are therefore filters from the first
 * step to the last: relayouts between them and the convolutions go, and the update, being element
 * by element, does not care. Only who loads and saves parameters reorders them (runtime/store.h).
 *
 * Whoever reads such a parameter has to take it as it is kept: plans over one store name those that
 * were compiled before (context->beside), and what one of them has is packed here too, or left
 * plain, whatever it is worth. */
#include "compiler/graph/layout.h"
#include "compiler/ops/conv_layout.h"
#include "compiler/passes/pass.h"

#include <string.h>

enum { NOT_GIVEN = -1 };

typedef struct Packing {
    CvmPassContext *context;
    CvmGraph *graph;
    CvmArena *scratch;
    CvmUses uses;
    const CvmNode *parameter; /* the set at hand is made from; its values have this shape */
    bool *inside;             /* by node id: is in that set */
    bool *seen;               /* by node id: was in a set before */
    CvmNode **converted;      /* by node id: the value in the other layout, where needed */
    size_t ids;               /* room of these arrays: for one more node for each value */
    int count;                /* nodes of the graph before any was added */
    bool failed;
} Packing;

/* --- the set: what is updated together --- */

/* Whether the value is one of many that an update works on element by element. */
static bool can_join(const Packing *packing, const CvmNode *node) {
    return (node->op == CVM_OP_PARAMETER || cvm_is_pointwise(node)) &&
           node->group == CVM_NO_GROUP && node->type.layout == CVM_LAYOUT_PLAIN &&
           node->type.dtype == CVM_F32 &&
           cvm_shape_equal(&node->type.shape, &packing->parameter->type.shape);
}

static bool join(Packing *packing, const CvmNode *node) {
    if (!node || packing->inside[node->id] || !can_join(packing, node))
        return false;
    packing->inside[node->id] = packing->seen[node->id] = true;
    return true;
}

/* A pointwise node with what it reads: as soon as one of them is inside, all are. */
static bool join_operands(Packing *packing, const CvmNode *node) {
    bool joins = packing->inside[node->id], grown = false;
    if (!cvm_is_pointwise(node) || !can_join(packing, node))
        return false;
    for (int i = 0; i < node->input_count; i++)
        joins |= packing->inside[node->inputs[i]->id];
    grown = joins && join(packing, node);
    for (int i = 0; i < node->input_count && joins; i++)
        grown |= join(packing, node->inputs[i]);
    return grown;
}

/* A parameter with its next value, and with the sum of its gradients. */
static bool join_update(Packing *packing, const CvmNamedValue *update) {
    const CvmGraph *graph = packing->graph;
    const CvmNode *parameter = cvm_graph_find_source(graph, update->name);
    if (packing->inside[parameter->id])
        return join(packing, update->value);
    return packing->inside[update->value->id] && join(packing, parameter);
}

static bool join_gradient(Packing *packing, const CvmNode *node) {
    if (node->op != CVM_OP_PARAMETER)
        return false;
    const char *name = cvm_arena_format(packing->scratch, "gradient.%s", node->origin.name);
    const CvmNode *sum = cvm_graph_find_source(packing->graph, name);
    if (!sum)
        return false;
    if (packing->inside[node->id])
        return join(packing, sum);
    return packing->inside[sum->id] && join(packing, node);
}

static void find_set(Packing *packing, const CvmNode *parameter) {
    const CvmGraph *graph = packing->graph;
    memset(packing->inside, 0, packing->ids * sizeof *packing->inside);
    packing->parameter = parameter;
    for (bool grown = join(packing, parameter); grown;) {
        grown = false;
        for (int i = 0; i < packing->count; i++) {
            grown |= join_operands(packing, graph->nodes[i]);
            grown |= join_gradient(packing, graph->nodes[i]);
        }
        for (int i = 0; i < graph->update_count; i++)
            grown |= join_update(packing, &graph->updates[i]);
    }
}

/* --- whether it is worth it --- */

static CvmType as_filter(const CvmNode *value, int lanes) {
    CvmType type = value->type;
    type.layout = CVM_LAYOUT_FILTER;
    type.lanes = lanes;
    return type;
}

static bool is_filter(const CvmType *type, int lanes) {
    return type->layout == CVM_LAYOUT_FILTER && type->lanes == lanes;
}

static bool packs(const CvmNode *node, int lanes) {
    return node->op == CVM_OP_RELAYOUT && node->group == CVM_NO_GROUP &&
           is_filter(&node->type, lanes);
}

static bool unpacks(const CvmNode *node, int lanes) {
    return node->op == CVM_OP_RELAYOUT && node->group == CVM_NO_GROUP &&
           is_filter(&node->inputs[0]->type, lanes);
}

static bool turns(const CvmNode *node, int lanes) {
    CvmType type;
    if (node->op != CVM_OP_TURN_WEIGHT)
        return false;
    type = as_filter(node->inputs[0], lanes);
    return cvm_filters_turn(&type, cvm_node_int(node, "groups"));
}

/* What packing a set makes of the graph. */
typedef struct Worth {
    int saved;       /* relayouts that go */
    bool learns;     /* some of it is updated */
    const char *why; /* it would need relayouts instead; NULL: none */
} Worth;

static void weigh_reader(const Packing *packing, const CvmNode *reader, int lanes, Worth *worth) {
    if (packing->inside[reader->id] || reader->op == CVM_OP_SQUARE_SUM)
        return;
    bool fits = packs(reader, lanes);
    if (turns(reader, lanes)) {
        fits = !packing->uses.kept[reader->id];
        for (int i = 0; i < packing->uses.user_counts[reader->id]; i++)
            fits &= packs(packing->uses.users[reader->id][i], lanes);
    }
    worth->saved += fits;
    if (!fits)
        worth->why = "it is read in plain order too";
}

static void weigh_operands(const Packing *packing, const CvmNode *node, int lanes, Worth *worth) {
    for (int i = 0; i < node->input_count; i++) {
        const CvmNode *operand = node->inputs[i];
        if (packing->inside[operand->id] || operand->type.shape.rank == 0)
            continue;
        worth->saved += unpacks(operand, lanes);
        if (!unpacks(operand, lanes))
            worth->why = "its gradient comes in plain order";
    }
}

static Worth weigh(const Packing *packing, int lanes) {
    const CvmGraph *graph = packing->graph;
    Worth worth = {.saved = 0};
    for (int i = 0; i < packing->count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (!packing->inside[node->id])
            continue;
        for (int k = 0; k < packing->uses.user_counts[node->id]; k++)
            weigh_reader(packing, packing->uses.users[node->id][k], lanes, &worth);
        weigh_operands(packing, node, lanes, &worth);
        if (packing->uses.kept[node->id] > cvm_is_update(graph, node))
            worth.why = "it is an output";
    }
    for (int i = 0; i < graph->update_count; i++)
        worth.learns |= packing->inside[cvm_graph_find_source(graph, graph->updates[i].name)->id];
    return worth;
}

/* The lanes that a plan over the same store keeps the parameter in, 0 where it is plain. */
static int given_lanes(const Packing *packing, const CvmNode *parameter) {
    const CvmPassContext *context = packing->context;
    for (int i = 0; i < context->beside_count; i++)
        for (int k = 0; k < context->beside[i]->slot_count; k++) {
            const CvmSlot *slot = &context->beside[i]->slots[k];
            if (strcmp(slot->name, parameter->origin.name) == 0)
                return slot->lanes;
        }
    return NOT_GIVEN;
}

/* What other plans say of the set's parameters: whether they have any of them, whether one of those
 * is plain, and the lanes of those that are not. */
typedef struct Given {
    bool any, plain;
    int lanes;
} Given;

static Given find_given(const Packing *packing) {
    Given given = {.any = false};
    for (int i = 0; i < packing->count; i++) {
        const CvmNode *node = packing->graph->nodes[i];
        if (!packing->inside[node->id] || node->op != CVM_OP_PARAMETER)
            continue;
        int lanes = given_lanes(packing, node);
        given.any |= lanes != NOT_GIVEN;
        given.plain |= lanes == 0;
        given.lanes = lanes > 0 ? lanes : given.lanes;
    }
    return given;
}

/* Leaves inside what is kept packed though the rest is not. */
static void reduce_to_given(Packing *packing) {
    for (int i = 0; i < packing->count; i++) {
        const CvmNode *node = packing->graph->nodes[i];
        packing->inside[node->id] &= node->op == CVM_OP_PARAMETER && given_lanes(packing, node) > 0;
    }
}

/* --- packing --- */

static CvmNode *relayout(Packing *packing, CvmNode *value, const CvmType *to) {
    CvmNode **known = &packing->converted[value->id];
    char name[CVM_LAYOUT_TEXT];
    if (*known)
        return *known;
    CvmAttribute attribute = {.text = "plain"};
    if (to)
        attribute.text = cvm_arena_format(packing->graph->arena, "%s", cvm_layout_text(to, name));
    *known = cvm_graph_add(packing->graph, CVM_OP_RELAYOUT, &value, 1, &attribute, value->origin,
                           packing->context->diag);
    packing->failed |= !*known;
    return *known ? *known : value;
}

static void infer(Packing *packing, CvmNode *node) {
    packing->failed |= !cvm_op_info(node->op)->infer(node, packing->context->diag);
}

/* Norms of a gradient that comes as a filter are taken of it as it is. */
static void take_norms(Packing *packing, const CvmNode *plain) {
    for (int i = 0; i < packing->uses.user_counts[plain->id]; i++) {
        CvmNode *reader = packing->uses.users[plain->id][i];
        if (reader->op == CVM_OP_SQUARE_SUM) {
            reader->inputs[0] = plain->inputs[0];
            infer(packing, reader);
        }
    }
}

/* Of a value outside of the set. */
static CvmNode *packed(Packing *packing, CvmNode *value, int lanes) {
    const CvmType to = as_filter(value, lanes);
    if (!unpacks(value, lanes))
        return relayout(packing, value, &to);
    take_norms(packing, value);
    return value->inputs[0];
}

static void pack_value(Packing *packing, CvmNode *node, int lanes) {
    for (int i = 0; i < node->input_count; i++) {
        CvmNode *operand = node->inputs[i];
        if (!packing->inside[operand->id] && operand->type.shape.rank > 0)
            node->inputs[i] = packed(packing, operand, lanes);
    }
    if (node->op == CVM_OP_PARAMETER)
        node->type = as_filter(node, lanes);
    else
        infer(packing, node);
}

/* Whoever wants the value packed gets `node` as it is, whoever does not a copy of it. */
static void serve_readers(Packing *packing, CvmNode *node, int lanes);

static void serve(Packing *packing, CvmNode *reader, CvmNode *node, int lanes) {
    if (packs(reader, lanes)) {
        cvm_graph_replace(packing->graph, reader, node);
    } else if (reader->op == CVM_OP_SQUARE_SUM) {
        infer(packing, reader);
    } else if (turns(reader, lanes)) {
        infer(packing, reader);
        serve_readers(packing, reader, lanes);
    } else {
        for (int i = 0; i < reader->input_count; i++)
            if (reader->inputs[i] == node)
                reader->inputs[i] = relayout(packing, node, NULL);
    }
}

static void serve_readers(Packing *packing, CvmNode *node, int lanes) {
    CvmGraph *graph = packing->graph;
    for (int i = 0; i < packing->uses.user_counts[node->id] && !packing->failed; i++) {
        CvmNode *reader = packing->uses.users[node->id][i];
        if (!packing->inside[reader->id])
            serve(packing, reader, node, lanes);
    }
    for (int i = 0; i < graph->output_count && !packing->failed; i++)
        if (graph->outputs[i].value == node)
            graph->outputs[i].value = relayout(packing, node, NULL);
}

static void pack(Packing *packing, int lanes) {
    CvmGraph *graph = packing->graph;
    for (int i = 0; i < packing->count && !packing->failed; i++)
        if (packing->inside[graph->nodes[i]->id])
            pack_value(packing, graph->nodes[i], lanes);
    for (int i = 0; i < packing->count && !packing->failed; i++)
        if (packing->inside[graph->nodes[i]->id])
            serve_readers(packing, graph->nodes[i], lanes);
    for (int i = 0; i < graph->update_count && !packing->failed; i++) {
        CvmNamedValue *update = &graph->updates[i];
        const CvmNode *parameter = cvm_graph_find_source(graph, update->name);
        if (packing->inside[parameter->id] && !is_filter(&update->value->type, lanes))
            update->value = packed(packing, update->value, lanes);
        else if (!packing->inside[parameter->id] && packing->inside[update->value->id])
            update->value = relayout(packing, update->value, NULL);
    }
}

static void pack_as_given(Packing *packing, const Given *given) {
    if (given->lanes == 0)
        return;
    if (given->plain)
        reduce_to_given(packing);
    pack(packing, given->lanes);
    cvm_remark(packing->context, (CvmRemark){.action = "packed",
                                             .node = packing->parameter,
                                             .reason = "another plan keeps it so"});
}

static void pack_where_worth_it(Packing *packing) {
    CvmPassContext *context = packing->context;
    const CvmType type = as_filter(packing->parameter, context->vector_lanes);
    if (context->vector_lanes < 2 || !cvm_layout_fits(&type))
        return;
    Worth worth = weigh(packing, context->vector_lanes);
    if (!worth.learns || !worth.saved)
        return;
    bool applies = !worth.why && cvm_may_apply(context);
    const char *refusal = worth.why ? worth.why : "the limit of the pass";
    cvm_remark(context,
               (CvmRemark){.refused = !applies,
                           .action = "packed",
                           .node = packing->parameter,
                           .reason = applies ? "convolutions read it, and give its gradient, so"
                                             : refusal});
    if (applies)
        pack(packing, context->vector_lanes);
}

bool cvm_pack_parameters(CvmPassContext *context, CvmGraph *graph) {
    CvmArena *scratch = cvm_arena_create();
    size_t ids = 2 * (size_t)graph->next_id + 1;
    Packing packing = {.context = context,
                       .graph = graph,
                       .scratch = scratch,
                       .uses = cvm_uses_find(graph, scratch),
                       .inside = cvm_arena_array(scratch, ids, sizeof(bool)),
                       .seen = cvm_arena_array(scratch, ids, sizeof(bool)),
                       .converted = cvm_arena_array(scratch, ids, sizeof(CvmNode *)),
                       .ids = ids,
                       .count = graph->node_count};
    for (int i = 0; i < packing.count && !packing.failed; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->op != CVM_OP_PARAMETER || node->type.shape.rank != 4 || packing.seen[node->id] ||
            node->type.layout != CVM_LAYOUT_PLAIN)
            continue;
        find_set(&packing, node);
        Given given = find_given(&packing);
        if (given.any)
            pack_as_given(&packing, &given);
        else
            pack_where_worth_it(&packing);
    }
    cvm_arena_free(scratch);
    if (packing.failed)
        return false;
    if (cvm_graph_sort(graph)) /* relayouts stand at the end */
        cvm_drop_unread(context, graph);
    return true;
}
