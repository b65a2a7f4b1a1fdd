/* Each parameter is updated as soon as its gradient is there and nobody needs the old value any
 * more, so that gradients share memory instead of living until the step's end. What only updates
 * need (gradients, their relayouts) comes along, right behind what it is made of.
 *
 * A unit is a group or a node alone. Units that may move are those of an update, and those that
 * only such units read. The order is made anew: every unit at its old place in turn, and behind
 * each all units that may move and have everything they wait for. */
#include "compiler/passes/fusion.h"

typedef struct Order {
    CvmFusion *fusion;
    CvmGraph *graph;
    int *unit;    /* by node id: index of the unit's first node */
    bool *moves;  /* by unit */
    int *ready;   /* by unit that moves: the last unit that stays of those it waits for */
    bool *placed; /* by unit */
    CvmNode **nodes;
    int count;
} Order;

static int unit_of(const Order *order, const CvmNode *node) {
    return order->unit[node->id];
}

static bool is_source(const CvmNode *node) {
    return cvm_op_info(node->op)->class == CVM_CLASS_SOURCE;
}

static void find_units(Order *order) {
    CvmGraph *graph = order->graph;
    for (int i = 0; i < graph->node_count; i++) {
        int group = graph->nodes[i]->group;
        bool opens = i == 0 || group == CVM_NO_GROUP || graph->nodes[i - 1]->group != group;
        order->unit[graph->nodes[i]->id] = opens ? i : order->unit[graph->nodes[i - 1]->id];
    }
}

/* Calls visit for every unit that `node` waits for; false as soon as it gives false. */
static bool for_awaited(const Order *order, const CvmNode *node,
                        bool (*visit)(const Order *order, int unit, int64_t *state),
                        int64_t *state) {
    int own = unit_of(order, node);
    for (int k = 0; k < node->input_count; k++)
        if (unit_of(order, node->inputs[k]) != own && !is_source(node->inputs[k]) &&
            !visit(order, unit_of(order, node->inputs[k]), state))
            return false;
    for (int i = 0; i < order->graph->update_count; i++) {
        const CvmNamedValue *update = &order->graph->updates[i];
        if (update->value != node)
            continue;
        const CvmNode *parameter = cvm_graph_find_source(order->graph, update->name);
        const CvmUses *uses = &order->fusion->uses;
        for (int k = 0; k < uses->user_counts[parameter->id]; k++) {
            int reader = unit_of(order, uses->users[parameter->id][k]);
            if (reader != own && !visit(order, reader, state))
                return false;
        }
    }
    return true;
}

static bool for_unit(const Order *order, int unit,
                     bool (*visit)(const Order *order, int unit, int64_t *state), int64_t *state) {
    const CvmGraph *graph = order->graph;
    for (int i = unit; i < graph->node_count && unit_of(order, graph->nodes[i]) == unit; i++)
        if (!for_awaited(order, graph->nodes[i], visit, state))
            return false;
    return true;
}

/* --- what moves --- */

static bool has_update(const Order *order, int unit) {
    const CvmGraph *graph = order->graph;
    for (int i = unit; i < graph->node_count && unit_of(order, graph->nodes[i]) == unit; i++)
        if (cvm_is_update(graph, graph->nodes[i]))
            return true;
    return false;
}

static bool awaits_nothing(const Order *order, int unit, int64_t *state) {
    (void)order, (void)unit, (void)state;
    return false;
}

/* Whether other units read the unit, and only such as move. What is made of parameters alone has no
 * reason to come earlier: it would only live longer. */
static bool feeds_moving(const Order *order, int unit) {
    const CvmGraph *graph = order->graph;
    const CvmUses *uses = &order->fusion->uses;
    bool fed = false;
    if (for_unit(order, unit, awaits_nothing, NULL))
        return false;
    for (int i = unit; i < graph->node_count && unit_of(order, graph->nodes[i]) == unit; i++) {
        const CvmNode *node = graph->nodes[i];
        if (uses->kept[node->id] || is_source(node))
            return false;
        for (int k = 0; k < uses->user_counts[node->id]; k++) {
            int reader = unit_of(order, uses->users[node->id][k]);
            if (reader != unit && !order->moves[reader])
                return false;
            fed |= reader != unit;
        }
    }
    return fed;
}

static bool keep_latest(const Order *order, int unit, int64_t *latest) {
    int ready = order->moves[unit] ? order->ready[unit] : unit;
    *latest = ready > *latest ? ready : *latest;
    return true;
}

/* Whether something that stays stands between the unit and the last one it waits for. */
static bool could_stand_earlier(const Order *order, int unit) {
    for (int i = order->ready[unit] + 1; i < unit; i++) {
        int between = unit_of(order, order->graph->nodes[i]);
        if (between > order->ready[unit] && !is_source(order->graph->nodes[i]) &&
            !order->moves[between])
            return true;
    }
    return false;
}

/* Backwards, so that readers are decided first. */
static void find_moving(Order *order) {
    CvmPassContext *context = order->fusion->context;
    CvmGraph *graph = order->graph;
    for (int i = graph->node_count - 1; i >= 0; i--)
        if (unit_of(order, graph->nodes[i]) == i)
            order->moves[i] = has_update(order, i) || feeds_moving(order, i);
    for (int i = 0; i < graph->node_count; i++) {
        int64_t latest = -1;
        if (!order->moves[i])
            continue;
        for_unit(order, i, keep_latest, &latest);
        order->ready[i] = (int)latest;
    }
    for (int i = 0; i < graph->node_count; i++) {
        if (!order->moves[i] || !has_update(order, i) || !could_stand_earlier(order, i))
            continue;
        bool may = cvm_may_apply(context);
        order->moves[i] = may;
        if (may)
            cvm_remark(context, (CvmRemark){.action = "moved",
                                            .node = graph->nodes[i],
                                            .reason = "right behind its gradient"});
    }
    for (int i = graph->node_count - 1; i >= 0; i--) /* without what the limit held back */
        if (order->moves[i] && !has_update(order, i))
            order->moves[i] = feeds_moving(order, i);
}

/* --- the new order --- */

static bool is_placed(const Order *order, int unit, int64_t *state) {
    (void)state;
    return order->placed[unit];
}

static void place(Order *order, int unit) {
    CvmGraph *graph = order->graph;
    if (order->placed[unit])
        return;
    order->placed[unit] = true;
    for (int i = unit; i < graph->node_count && unit_of(order, graph->nodes[i]) == unit; i++)
        for (int k = 0; k < graph->nodes[i]->input_count; k++)
            if (is_source(graph->nodes[i]->inputs[k]))
                place(order, unit_of(order, graph->nodes[i]->inputs[k]));
    for (int i = unit; i < graph->node_count && unit_of(order, graph->nodes[i]) == unit; i++)
        order->nodes[order->count++] = graph->nodes[i];
}

/* Places all that can move now, until nothing more can. */
static void place_moving(Order *order) {
    for (bool again = true; again;) {
        again = false;
        for (int i = 0; i < order->graph->node_count; i++)
            if (order->moves[i] && !order->placed[i] && for_unit(order, i, is_placed, NULL)) {
                place(order, i);
                again = true;
            }
    }
}

bool cvm_update_early(CvmPassContext *context, CvmGraph *graph) {
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    size_t count = (size_t)graph->node_count + 1;
    Order order = {.fusion = &fusion,
                   .graph = graph,
                   .unit = cvm_arena_array(fusion.scratch, (size_t)graph->next_id + 1, sizeof(int)),
                   .moves = cvm_arena_array(fusion.scratch, count, sizeof(bool)),
                   .ready = cvm_arena_array(fusion.scratch, count, sizeof(int)),
                   .placed = cvm_arena_array(fusion.scratch, count, sizeof(bool)),
                   .nodes = cvm_arena_array(fusion.scratch, count, sizeof(CvmNode *))};
    find_units(&order);
    find_moving(&order);
    for (int i = 0; i < graph->node_count; i++) {
        if (unit_of(&order, graph->nodes[i]) != i || order.moves[i])
            continue;
        place(&order, i);
        place_moving(&order);
    }
    for (int i = 0; i < graph->node_count; i++)
        graph->nodes[i] = order.nodes[i];
    cvm_fusion_end(&fusion);
    return true;
}
