/* See walk.h. Calls run one after the other; what they store is copied in plain order as long as
 * references need it, and the references of several calls are computed side by side. */
#include "compiler/driver/verify/walk.h"

#include "compiler/driver/report.h"
#include "compiler/driver/verify/reference.h"
#include "compiler/driver/verify/stores.h"
#include "runtime/bfloat16.h"
#include "runtime/clock.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { BLUR_TRIALS = 4, WAITING_CALLS = 16 };
static const size_t waiting_bytes = 512u << 20;
/* Longer work is announced. */
static const double long_seconds = 10;

/* What is known of a call of the plan. */
typedef struct Call {
    int first, count; /* of the stored values */
    int level;        /* 0: the first of its operators, 1: of its shape, 2: of neither */
    double seconds;   /* that its references are expected to take */
    bool chosen;
} Call;

typedef struct Walk {
    CvmVerifyTrial *trial;
    CvmInstance *instance;
    CvmPool *pool;
    double tolerance, start, budget;
    CvmReferences references;
    CvmVerifyStores stores;
    CvmVerifyRow *rows; /* by stored value */
    void **copies;      /* by stored value: what the call stored, while it is needed */
    Call *calls;
    int call_count;
    int *waiting; /* calls whose references are to be computed next */
    int waiting_count;
    size_t waiting_bytes;
    atomic_int next; /* of those */
    atomic_bool failed;
} Walk;

/* --- before the walk --- */

static void find_places(Walk *walk) {
    const CvmGraph *graph = walk->trial->source;
    int *places = cvm_arena_array(walk->trial->arena, (size_t)graph->next_id + 1, sizeof *places);
    for (int i = 0; i < graph->node_count; i++)
        places[graph->nodes[i]->id] = i;
    walk->references.graph = graph;
    walk->references.places = places;
}

/* Inputs, as the instance has them now, and parameters, as they started. */
static bool know_source(Walk *walk, const CvmNode *node) {
    CvmKnownValue *known = &walk->references.known[node->id];
    const CvmStored *stored = cvm_store_find(&walk->trial->start, node->origin.name);
    known->call = CVM_VERIFY_SOURCE;
    known->last = INT_MAX;
    known->elements = node->op == CVM_OP_INPUT
                          ? cvm_instance_input(walk->instance, node->origin.name)
                      : stored && !stored->lanes ? stored->data
                                                 : NULL;
    if (known->elements)
        return true;
    size_t bytes = cvm_verify_bytes(node);
    known->elements = known->owned = calloc(bytes ? bytes : 1, 1);
    if (!known->owned)
        return false;
    if (node->op == CVM_OP_PARAMETER && stored)
        cvm_stored_read(stored, known->owned);
    return true;
}

static bool know(Walk *walk) {
    const CvmGraph *graph = walk->trial->source;
    walk->references.known = cvm_arena_array(walk->trial->arena, (size_t)graph->next_id + 1,
                                             sizeof *walk->references.known);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        walk->references.known[node->id].call = CVM_VERIFY_NOWHERE;
        if ((node->op == CVM_OP_INPUT || node->op == CVM_OP_PARAMETER) && !know_source(walk, node))
            return false;
    }
    for (int i = 0; i < walk->stores.count; i++) {
        CvmKnownValue *known = &walk->references.known[walk->stores.values[i].node->id];
        if (known->call == CVM_VERIFY_NOWHERE)
            known->call = walk->stores.values[i].call;
    }
    return true;
}

static const char *operators_text(const CvmKernel *kernel, CvmArena *arena) {
    const char *text = "";
    for (int i = 0; i < kernel->node_count; i++)
        text = cvm_arena_format(arena, "%s+%d", text, (int)kernel->nodes[i]->op);
    return text;
}

static void find_levels(Walk *walk) {
    const CvmKernelList *kernels = cvm_executable_kernels(walk->trial->executable);
    const char **texts =
        cvm_arena_array(walk->trial->arena, (size_t)walk->call_count + 1, sizeof *texts);
    for (int i = 0; i < walk->call_count; i++) {
        texts[i] = operators_text(kernels->kernels[i], walk->trial->arena);
        for (int k = 0; k < i && walk->calls[i].level < 2; k++) {
            bool equal = !strcmp(kernels->kernels[i]->symbol, kernels->kernels[k]->symbol);
            if (equal || (!strcmp(texts[i], texts[k]) && walk->calls[i].level < 1))
                walk->calls[i].level = equal ? 2 : 1;
        }
    }
}

/* The nodes whose values a call stores, each once. */
static int list_nodes(const Walk *walk, int call, const CvmNode **nodes) {
    int count = 0;
    for (int i = 0; i < walk->calls[call].count; i++) {
        const CvmNode *node = walk->stores.values[walk->calls[call].first + i].node;
        bool repeated = false;
        for (int k = 0; k < count; k++)
            repeated |= nodes[k] == node;
        if (!repeated)
            nodes[count++] = node;
    }
    return count;
}

/* Marks what the references of a call compute and read. */
static void mark(const Walk *walk, int call, bool *computed, bool *read) {
    size_t ids = (size_t)walk->references.graph->next_id + 1;
    CvmArena *scratch = cvm_arena_create();
    const CvmNode **nodes =
        cvm_arena_array(scratch, (size_t)walk->calls[call].count + 1, sizeof *nodes);
    int count = list_nodes(walk, call, nodes);
    memset(computed, 0, ids);
    memset(read, 0, ids);
    cvm_verify_mark(&walk->references, call, nodes, count, computed, read);
    cvm_arena_free(scratch);
}

static int by_level(const void *left, const void *right) {
    const Call *a = *(Call *const *)left, *b = *(Call *const *)right;
    if (a->level != b->level)
        return a->level - b->level;
    return a->seconds < b->seconds ? -1 : a->seconds > b->seconds ? 1 : a->first - b->first;
}

/* Takes calls as long as they fit the budget, and notes what must be kept for them until when.
 * Returns the seconds that all of them are expected to take. */
static double choose(Walk *walk, double rate) {
    CvmArena *arena = walk->trial->arena;
    size_t ids = (size_t)walk->references.graph->next_id + 1;
    bool *computed = cvm_arena_array(arena, ids, sizeof *computed);
    bool *read = cvm_arena_array(arena, ids, sizeof *read);
    Call **order = cvm_arena_array(arena, (size_t)walk->call_count + 1, sizeof *order);
    double whole = 0, taken = 0;
    for (int i = 0; i < walk->call_count; i++) {
        mark(walk, i, computed, read);
        walk->calls[i].seconds =
            cvm_verify_seconds(&walk->references, computed, rate) / cvm_pool_threads(walk->pool);
        whole += walk->calls[i].seconds;
        order[i] = &walk->calls[i];
    }
    qsort(order, (size_t)walk->call_count, sizeof(Call *), by_level);
    for (int i = 0; i < walk->call_count; i++) {
        order[i]->chosen = taken + order[i]->seconds <= walk->budget;
        taken += order[i]->chosen ? order[i]->seconds : 0;
    }
    for (int i = 0; i < walk->call_count; i++) {
        if (!walk->calls[i].chosen)
            continue;
        mark(walk, i, computed, read);
        for (size_t id = 0; id < ids; id++)
            if (read[id] && walk->references.known[id].last < i)
                walk->references.known[id].last = i;
    }
    return whole;
}

static void announce(const Walk *walk, double seconds) {
    if (seconds > long_seconds)
        cvm_report_note("%s: the references of everything take about %.0f seconds%s",
                        cvm_verify_title(walk->trial), seconds,
                        seconds > walk->budget
                            ? "; each kind of layer once, then what there is time for (--seconds N)"
                            : "");
}

static void find_calls(Walk *walk) {
    walk->call_count = cvm_executable_plan(walk->trial->executable)->call_count;
    walk->calls =
        cvm_arena_array(walk->trial->arena, (size_t)walk->call_count + 1, sizeof *walk->calls);
    for (int i = 0; i < walk->stores.count; i++) {
        Call *call = &walk->calls[walk->stores.values[i].call];
        if (!call->count++)
            call->first = i;
    }
}

/* --- references of one call --- */

static const float *floats(const CvmNode *node, const void *elements, float **made) {
    *made = NULL;
    if (node->type.dtype == CVM_F32)
        return elements;
    int64_t count = cvm_verify_count(node);
    *made = malloc((size_t)count * sizeof **made + 1);
    for (int64_t i = 0; *made && i < count; i++)
        (*made)[i] = node->type.dtype == CVM_BF16
                         ? cvm_bfloat16_value(((const uint16_t *)elements)[i])
                         : (float)((const int32_t *)elements)[i];
    return *made;
}

static bool compare(const Walk *walk, int value, const void *expected, const float *blur) {
    CvmVerifyRow *row = &walk->rows[value];
    float *made[2];
    const float *wanted = floats(row->node, expected, &made[0]);
    const float *got = floats(row->node, walk->copies[value], &made[1]);
    if (wanted && got) {
        row->checked = true;
        row->deviation =
            cvm_deviation(wanted, got, cvm_verify_count(row->node), walk->tolerance, blur);
        row->blurred = blur && row->deviation.agrees;
    }
    free(made[0]);
    free(made[1]);
    return wanted && got;
}

/* What one call's references are computed into. */
typedef struct Results {
    const CvmNode **nodes;
    int count;
    void **expected, **moved; /* by node */
    float **blurs;            /* by node */
} Results;

static bool make_room(const Walk *walk, int call, CvmArena *scratch, Results *results) {
    size_t room = (size_t)walk->calls[call].count + 1;
    results->nodes = cvm_arena_array(scratch, room, sizeof *results->nodes);
    results->expected = cvm_arena_array(scratch, room, sizeof *results->expected);
    results->moved = cvm_arena_array(scratch, room, sizeof *results->moved);
    results->blurs = cvm_arena_array(scratch, room, sizeof *results->blurs);
    results->count = list_nodes(walk, call, results->nodes);
    bool done = true;
    for (int i = 0; i < results->count; i++)
        done &= (results->expected[i] = calloc(cvm_verify_bytes(results->nodes[i]) + 1, 1)) != NULL;
    return done;
}

static void free_results(Results *results) {
    for (int i = 0; i < results->count; i++) {
        free(results->expected[i]);
        free(results->moved[i]);
        free(results->blurs[i]);
    }
}

/* How far each element moves when what it is made of does. */
static bool find_blurs(const Walk *walk, int call, Results *results) {
    for (int i = 0; i < results->count; i++) {
        results->moved[i] = calloc(cvm_verify_bytes(results->nodes[i]) + 1, 1);
        results->blurs[i] = calloc((size_t)cvm_verify_count(results->nodes[i]) + 1, sizeof(float));
        if (!results->moved[i] || !results->blurs[i])
            return false;
    }
    for (uint64_t trial = 0; trial < BLUR_TRIALS; trial++) {
        if (!cvm_verify_compute(&walk->references, call, results->nodes, results->count,
                                walk->tolerance, trial, results->moved))
            return false;
        for (int i = 0; i < results->count; i++) {
            const float *moved = results->moved[i], *expected = results->expected[i];
            float *blur = results->blurs[i];
            int64_t count =
                results->nodes[i]->type.dtype == CVM_F32 ? cvm_verify_count(results->nodes[i]) : 0;
            for (int64_t k = 0; k < count; k++)
                blur[k] = fmaxf(blur[k], fabsf(moved[k] - expected[k]));
        }
    }
    return true;
}

static int place_of(const Results *results, const CvmNode *node) {
    int place = 0;
    while (results->nodes[place] != node)
        place++;
    return place;
}

static bool check_values(const Walk *walk, int call, Results *results) {
    const Call *own = &walk->calls[call];
    bool agree = true;
    if (!cvm_verify_compute(&walk->references, call, results->nodes, results->count, 0, 0,
                            results->expected))
        return false;
    for (int i = own->first; i < own->first + own->count; i++) {
        if (!compare(walk, i, results->expected[place_of(results, walk->rows[i].node)], NULL))
            return false;
        agree &= walk->rows[i].deviation.agrees;
    }
    if (agree)
        return true;
    if (!find_blurs(walk, call, results))
        return false;
    for (int i = own->first; i < own->first + own->count; i++) {
        int place = place_of(results, walk->rows[i].node);
        if (!walk->rows[i].deviation.agrees &&
            !compare(walk, i, results->expected[place], results->blurs[place]))
            return false;
    }
    return true;
}

static bool check_call(const Walk *walk, int call) {
    CvmArena *scratch = cvm_arena_create();
    Results results = {.count = 0};
    bool done = make_room(walk, call, scratch, &results) && check_values(walk, call, &results);
    free_results(&results);
    cvm_arena_free(scratch);
    return done;
}

static void check_waiting(void *context, int thread, int threads) {
    Walk *walk = context;
    (void)thread;
    (void)threads;
    for (int i; (i = atomic_fetch_add(&walk->next, 1)) < walk->waiting_count;) {
        int call = walk->waiting[i];
        /* the estimate may be far off; the first of each kind are worth waiting for */
        bool late = cvm_seconds() - walk->start > 1.5 * walk->budget + 1;
        if (!(late && walk->calls[call].level > 0) && !check_call(walk, call))
            atomic_store(&walk->failed, true);
    }
}

/* --- the walk --- */

/* Computes the references that wait, then frees what no later one reads. */
static bool flush(Walk *walk, int call) {
    atomic_store(&walk->next, 0);
    cvm_pool_run(walk->pool, check_waiting, walk);
    walk->waiting_count = 0;
    walk->waiting_bytes = 0;
    for (int i = 0; i < walk->stores.count && walk->stores.values[i].call <= call; i++) {
        CvmKnownValue *known = &walk->references.known[walk->stores.values[i].node->id];
        if (!walk->copies[i] || (known->last > call && known->owned == walk->copies[i]))
            continue;
        if (known->owned == walk->copies[i])
            known->elements = known->owned = NULL;
        free(walk->copies[i]);
        walk->copies[i] = NULL;
    }
    return !atomic_load(&walk->failed);
}

/* Copies what the call has stored, as far as it is to be checked, or read by references. */
static bool take(Walk *walk, int call) {
    const Call *own = &walk->calls[call];
    for (int i = own->first; i < own->first + own->count; i++) {
        const CvmVerifyStored *value = &walk->stores.values[i];
        CvmKnownValue *known = &walk->references.known[value->node->id];
        bool first = known->call == call && !known->owned;
        if (!own->chosen && !(first && known->last > call))
            continue;
        size_t bytes = cvm_verify_bytes(value->node);
        walk->copies[i] = malloc(bytes + 1);
        if (!walk->copies[i])
            return false;
        cvm_verify_read_plain(&value->as->type,
                              cvm_instance_buffer(walk->instance, call, value->buffer),
                              walk->copies[i]);
        walk->waiting_bytes += bytes;
        if (first)
            known->elements = known->owned = walk->copies[i];
    }
    return true;
}

static bool go(Walk *walk) {
    for (int call = 0; call < walk->call_count; call++) {
        cvm_instance_run_call(walk->instance, walk->pool, call);
        if (!take(walk, call))
            return false;
        if (walk->calls[call].chosen && walk->calls[call].count)
            walk->waiting[walk->waiting_count++] = call;
        bool last = call + 1 == walk->call_count;
        if ((last || walk->waiting_count == WAITING_CALLS || walk->waiting_bytes > waiting_bytes) &&
            !flush(walk, call))
            return false;
    }
    return true;
}

static void free_values(Walk *walk) {
    for (int i = 0; i < walk->stores.count; i++) {
        CvmKnownValue *known = &walk->references.known[walk->stores.values[i].node->id];
        if (walk->copies[i] && known->owned == walk->copies[i])
            known->owned = NULL;
        free(walk->copies[i]);
    }
    for (int i = 0; i < walk->references.graph->next_id; i++)
        free(walk->references.known[i].owned);
}

/* --- after it --- */

static void sum_up(const Walk *walk, CvmVerifyWalk *result) {
    const CvmGraph *graph = walk->references.graph;
    size_t count = 0;
    result->rows =
        cvm_arena_array(walk->trial->arena, (size_t)walk->stores.count + 1, sizeof *result->rows);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        CvmOpClass class = cvm_op_info(node->op)->class;
        if (class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS)
            result->inside += walk->references.known[node->id].call == CVM_VERIFY_NOWHERE;
        for (int k = 0; k < walk->stores.count; k++)
            if (walk->rows[k].node == node)
                result->rows[count++] = walk->rows[k];
    }
    result->count = (int)count;
    for (int i = 0; i < result->count; i++) {
        result->checked += result->rows[i].checked;
        result->blurred += result->rows[i].blurred;
        result->different += result->rows[i].checked && !result->rows[i].deviation.agrees;
    }
}

bool cvm_verify_walk(CvmVerifyTrial *trial, CvmInstance *instance, double tolerance, double rate,
                     double budget, CvmVerifyWalk *result) {
    CvmArena *arena = trial->arena;
    Walk walk = {.trial = trial,
                 .instance = instance,
                 .pool = cvm_session_pool(trial->session),
                 .tolerance = tolerance,
                 .start = cvm_seconds(),
                 .budget = budget};
    *result = (CvmVerifyWalk){.count = 0};
    if (!walk.pool)
        return false;
    walk.stores = cvm_verify_stores(trial);
    walk.rows = cvm_arena_array(arena, (size_t)walk.stores.count + 1, sizeof *walk.rows);
    walk.copies = cvm_arena_array(arena, (size_t)walk.stores.count + 1, sizeof *walk.copies);
    walk.waiting = cvm_arena_array(arena, WAITING_CALLS, sizeof *walk.waiting);
    for (int i = 0; i < walk.stores.count; i++)
        walk.rows[i] = (CvmVerifyRow){.node = walk.stores.values[i].node,
                                      .as = walk.stores.values[i].as,
                                      .call = walk.stores.values[i].call};
    find_places(&walk);
    find_calls(&walk);
    bool done = know(&walk);
    if (done) {
        find_levels(&walk);
        announce(&walk, choose(&walk, rate));
        done = go(&walk);
    }
    free_values(&walk);
    sum_up(&walk, result);
    result->seconds = cvm_seconds() - walk.start;
    return done || cvm_session_refuse(trial->session, CVM_EXIT_MACHINE,
                                      "no memory for the values of %s", trial->source->name);
}

const CvmVerifyRow *cvm_verify_first(const CvmVerifyWalk *walk) {
    for (int i = 0; i < walk->count; i++)
        if (walk->rows[i].checked && !walk->rows[i].deviation.agrees)
            return &walk->rows[i];
    return NULL;
}
