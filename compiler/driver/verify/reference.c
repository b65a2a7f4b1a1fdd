/* See reference.h. */
#include "compiler/driver/verify/reference.h"

#include "runtime/clock.h"
#include "runtime/random.h"

#include <stdlib.h>
#include <string.h>

/* A reference that is not a contraction takes about so long for an element that it reads or makes.
 */
static const double seconds_per_element = 4e-9;

int64_t cvm_verify_count(const CvmNode *node) {
    int64_t count;
    if (!cvm_shape_count(&node->type.shape, &count))
        abort(); /* types were checked when the node was added */
    return count;
}

size_t cvm_verify_bytes(const CvmNode *node) {
    return (size_t)cvm_verify_count(node) * cvm_dtype_bytes(node->type.dtype);
}

/* --- which values --- */

static bool is_known(const CvmReferences *references, const CvmNode *node, int call) {
    return references->known[node->id].call <= call;
}

static void mark_operands(const CvmReferences *references, int call, const CvmNode *node,
                          bool *computed, bool *read) {
    for (int k = 0; k < node->input_count; k++) {
        const CvmNode *operand = node->inputs[k];
        bool known = is_known(references, operand, call);
        *(known ? &read[operand->id] : &computed[operand->id]) = true;
    }
}

void cvm_verify_mark(const CvmReferences *references, int call, const CvmNode *const *nodes,
                     int count, bool *computed, bool *read) {
    int end = 0;
    for (int i = 0; i < count; i++) {
        if (is_known(references, nodes[i], call - 1)) {
            read[nodes[i]->id] = true;
            continue;
        }
        computed[nodes[i]->id] = true;
        if (references->places[nodes[i]->id] >= end)
            end = references->places[nodes[i]->id] + 1;
    }
    for (int i = end - 1; i >= 0; i--)
        if (computed[references->graph->nodes[i]->id])
            mark_operands(references, call, references->graph->nodes[i], computed, read);
}

/* --- computing them --- */

typedef struct Computation {
    const CvmReferences *references;
    int call;
    double tolerance;
    uint64_t seed;
    bool *computed, *read; /* by id */
    void **values;         /* by id: what is computed here, known values that were moved among it */
    bool failed;
} Computation;

static void *room(Computation *computation, const CvmNode *node) {
    size_t bytes = cvm_verify_bytes(node);
    void *memory = calloc(bytes ? bytes : 1, 1);
    computation->failed |= !memory;
    return memory;
}

/* Labels and places are exact. */
static bool moves(const Computation *computation, const CvmNode *node) {
    return computation->tolerance > 0 && node->type.dtype == CVM_F32 &&
           node->op != CVM_OP_MAXPOOL_INDEX;
}

static float *moved(Computation *computation, const CvmNode *node, const float *from) {
    float *to = room(computation, node);
    int64_t count = to ? cvm_verify_count(node) : 0;
    for (int64_t i = 0; i < count; i++) {
        double by =
            2 * (double)cvm_random_uniform(computation->seed, (uint64_t)node->id, (uint64_t)i) - 1;
        to[i] = (float)((double)from[i] * (1 + computation->tolerance * by));
    }
    return to;
}

static const void *operand(Computation *computation, const CvmNode *node) {
    const void *known = computation->references->known[node->id].elements;
    if (!is_known(computation->references, node, computation->call))
        return computation->values[node->id];
    if (!moves(computation, node))
        return known;
    if (!computation->values[node->id])
        computation->values[node->id] = moved(computation, node, known);
    return computation->values[node->id];
}

static void compute(Computation *computation, const CvmNode *node, void *result) {
    enum { FEW = 32 };
    const void *few[FEW], **operands = few;
    if (node->op == CVM_OP_CONSTANT) {
        float value = (float)cvm_node_attribute(node, "value")->real;
        for (int64_t i = 0; i < cvm_verify_count(node); i++)
            ((float *)result)[i] = value;
        return;
    }
    if (node->input_count > FEW &&
        !(operands = calloc((size_t)node->input_count, sizeof *operands))) {
        computation->failed = true;
        return;
    }
    for (int k = 0; k < node->input_count; k++)
        operands[k] = operand(computation, node->inputs[k]);
    memset(result, 0, cvm_verify_bytes(node));
    if (!computation->failed)
        cvm_op_info(node->op)->reference(node, operands, result);
    if (operands != few)
        free(operands);
}

static int find(const CvmNode *const *nodes, int count, const CvmNode *node) {
    for (int i = 0; i < count; i++)
        if (nodes[i] == node)
            return i;
    return -1;
}

static void compute_all(Computation *computation, const CvmNode *const *nodes, int count,
                        void *const *results) {
    const CvmReferences *references = computation->references;
    for (int i = 0; i < count; i++)
        if (is_known(references, nodes[i], computation->call - 1))
            memcpy(results[i], references->known[nodes[i]->id].elements,
                   cvm_verify_bytes(nodes[i]));
    int end = -1;
    for (int i = 0; i < count; i++)
        if (computation->computed[nodes[i]->id] && references->places[nodes[i]->id] > end)
            end = references->places[nodes[i]->id];
    for (int i = 0; i <= end && !computation->failed; i++) {
        const CvmNode *node = references->graph->nodes[i];
        if (!computation->computed[node->id])
            continue;
        int wanted = find(nodes, count, node);
        void *result = wanted >= 0 ? results[wanted] : room(computation, node);
        if (wanted < 0)
            computation->values[node->id] = result;
        if (result)
            compute(computation, node, result);
    }
}

bool cvm_verify_compute(const CvmReferences *references, int call, const CvmNode *const *nodes,
                        int count, double tolerance, uint64_t seed, void *const *results) {
    size_t ids = (size_t)references->graph->next_id + 1;
    Computation computation = {.references = references,
                               .call = call,
                               .tolerance = tolerance,
                               .seed = seed,
                               .computed = calloc(ids, sizeof(bool)),
                               .read = calloc(ids, sizeof(bool)),
                               .values = calloc(ids, sizeof(void *))};
    computation.failed = !computation.computed || !computation.read || !computation.values;
    if (!computation.failed) {
        cvm_verify_mark(references, call, nodes, count, computation.computed, computation.read);
        compute_all(&computation, nodes, count, results);
    }
    for (size_t i = 0; computation.values && i < ids; i++)
        free(computation.values[i]);
    free(computation.computed);
    free(computation.read);
    free(computation.values);
    return !computation.failed;
}

/* --- how long it takes --- */

double cvm_verify_seconds(const CvmReferences *references, const bool *computed, double rate) {
    double seconds = 0;
    for (int i = 0; i < references->graph->node_count; i++) {
        const CvmNode *node = references->graph->nodes[i];
        const CvmOpInfo *info = cvm_op_info(node->op);
        if (!computed[node->id])
            continue;
        double elements = (double)cvm_verify_count(node);
        for (int k = 0; k < node->input_count; k++)
            elements += (double)cvm_verify_count(node->inputs[k]);
        seconds += elements * seconds_per_element;
        if (info->class == CVM_CLASS_CONTRACTION)
            seconds += info->cost(node).flops / rate;
    }
    return seconds;
}

double cvm_verify_rate(void) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmGraph *graph = cvm_graph_create(arena, "rate");
    CvmOrigin origin = {.name = "rate"};
    CvmNode *operands[] = {
        cvm_graph_input(graph, "x", CVM_F32, (CvmShape){4, {1, 16, 30, 30}}, origin),
        cvm_graph_input(graph, "weight", CVM_F32, (CvmShape){4, {16, 16, 3, 3}}, origin)};
    CvmNode *conv = cvm_graph_add(graph, CVM_OP_CONV, operands, 2, NULL, origin, &diag);
    const void *elements[] = {cvm_arena_alloc(arena, cvm_verify_bytes(operands[0])),
                              cvm_arena_alloc(arena, cvm_verify_bytes(operands[1]))};
    void *result = cvm_arena_alloc(arena, cvm_verify_bytes(conv));
    double best = 0;
    for (int i = 0; i < 3; i++) {
        double start = cvm_seconds();
        cvm_op_info(CVM_OP_CONV)->reference(conv, elements, result);
        double rate = cvm_op_info(CVM_OP_CONV)->cost(conv).flops / (cvm_seconds() - start);
        best = rate > best ? rate : best;
    }
    cvm_arena_free(arena);
    return best;
}
