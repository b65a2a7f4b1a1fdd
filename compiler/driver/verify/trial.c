/* See trial.h. */
#include "compiler/driver/verify/trial.h"

#include "compiler/driver/inputs.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"
#include "compiler/passes/pass.h"
#include "compiler/plan_builder.h"
#include "compiler/training_graph.h"
#include "runtime/random.h"

#include <string.h>

/* How far values that would start even are moved, as a share of the value or of 1. */
static const float unevenness = 0.25F;

/* --- inputs --- */

/* Labels are classes of whatever they are compared with. */
static int64_t classes_of(const CvmGraph *graph, const char *input) {
    int64_t classes = INT32_MAX;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        for (int k = 1; k < node->input_count; k++) {
            const CvmShape *shape = &node->inputs[0]->type.shape;
            if (node->inputs[k]->op == CVM_OP_INPUT && node->type.dtype == CVM_F32 &&
                cvm_op_info(node->op)->class == CVM_CLASS_ROWS && shape->rank >= 2 &&
                strcmp(node->inputs[k]->origin.name, input) == 0 && shape->sizes[1] < classes)
                classes = shape->sizes[1];
        }
    }
    return classes;
}

/* Runs read them where they lie, so that they outlive each run. */
static void make_inputs(CvmVerifyTrial *trial) {
    const CvmPlan *plan = cvm_executable_plan(trial->executable);
    const CvmTrain *train = trial->session->train;
    trial->inputs = cvm_arena_array(trial->arena, (size_t)plan->input_count + 1, sizeof(void *));
    for (int i = 0; i < plan->input_count; i++) {
        const CvmPort *port = &plan->inputs[i];
        int64_t count = 0;
        cvm_shape_count(&port->shape, &count);
        trial->inputs[i] =
            cvm_arena_array(trial->arena, (size_t)count, cvm_dtype_bytes(port->dtype));
        cvm_fill_input(port, classes_of(trial->source, port->name),
                       train ? (float)train->rate.base : 0.01F, trial->seed, trial->inputs[i]);
    }
}

/* --- where parameters start --- */

bool cvm_verify_load(CvmSession *session) {
    const CvmOptions *options = session->options;
    if (options->checkpoint && options->weights)
        return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "give --checkpoint or --weights, not both");
    if (options->weights)
        return cvm_session_open_weights(session);
    if (!options->checkpoint)
        return true;
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    CvmCheckpointInfo info;
    if (!graph)
        return cvm_session_fail_compile(session);
    return cvm_session_add_slots(session, graph) && cvm_session_load_checkpoint(session, &info);
}

static void make_uneven(const CvmVerifyTrial *trial, const CvmSlot *slot, CvmStored *tensor) {
    uint64_t stream = cvm_random_stream(slot->name);
    float *elements = tensor->data;
    int64_t count = 0;
    cvm_shape_count(&slot->shape, &count);
    bool even =
        slot->kind == CVM_SLOT_STATISTIC || (slot->kind == CVM_SLOT_PARAMETER && slot->bound == 0);
    for (int64_t i = 0; i < count && even; i++)
        elements[i] += unevenness * (2 * cvm_random_uniform(trial->seed, ~stream, (uint64_t)i) - 1);
}

static bool fill_start(CvmVerifyTrial *trial, CvmError *error) {
    const CvmPlan *plan = cvm_executable_plan(trial->executable);
    const CvmStore *given = &trial->session->store;
    if (!cvm_store_add_slots(&trial->start, plan, trial->seed, error))
        return false;
    for (int i = 0; i < trial->source->node_count; i++) { /* that the code does without */
        const CvmNode *node = trial->source->nodes[i];
        CvmSlot slot;
        if (node->op != CVM_OP_PARAMETER || cvm_store_find(&trial->start, node->origin.name))
            continue;
        slot = cvm_slot_of_parameter(node);
        slot.lanes = 0;
        if (!cvm_store_add(&trial->start, &slot, trial->seed, NULL, error))
            return false;
    }
    for (int i = 0; i < plan->slot_count; i++) {
        CvmStored *tensor = cvm_store_find(&trial->start, plan->slots[i].name);
        const CvmStored *from = cvm_store_find(given, plan->slots[i].name);
        if (from)
            cvm_stored_copy(from, tensor);
        else if (!given->count && tensor->dtype == CVM_F32)
            make_uneven(trial, &plan->slots[i], tensor);
    }
    return true;
}

/* --- instances --- */

static CvmInstance *instantiate(CvmVerifyTrial *trial, CvmStore *store) {
    CvmError error;
    const CvmPlan *plan = cvm_executable_plan(trial->executable);
    CvmInstance *instance = cvm_instance_create(plan, store, &error);
    if (!instance) {
        cvm_session_fail(trial->session, &error);
        return NULL;
    }
    for (int i = 0; i < plan->input_count; i++)
        cvm_instance_bind_input(instance, i, trial->inputs[i]);
    return instance;
}

CvmInstance *cvm_verify_instance(CvmVerifyTrial *trial, CvmStore *store) {
    CvmError error;
    cvm_store_init(store);
    if (!cvm_store_add_slots(store, cvm_executable_plan(trial->executable), trial->seed, &error)) {
        cvm_session_fail(trial->session, &error);
        return NULL;
    }
    for (int i = 0; i < store->count; i++)
        cvm_stored_copy(cvm_store_find(&trial->start, store->tensors[i].name), &store->tensors[i]);
    return instantiate(trial, store);
}

static bool make_a_step(CvmVerifyTrial *trial) {
    CvmPool *pool = cvm_session_pool(trial->session);
    CvmInstance *instance = pool ? instantiate(trial, &trial->start) : NULL;
    if (instance)
        cvm_instance_run(instance, pool);
    cvm_instance_free(instance);
    return instance;
}

/* --- compiling --- */

static CvmGraph *build_graph(CvmVerifyTrial *trial) {
    CvmSession *session = trial->session;
    CvmDiag *diag = &session->diag;
    CvmGraph *graph;
    switch (trial->mode) {
    case CVM_VERIFY_GRAPH:
        return cvm_graph_copy(session->graph, trial->arena);
    case CVM_VERIFY_INFERENCE:
        return cvm_inference_graph(session->model, trial->batch, false, trial->arena, diag);
    case CVM_VERIFY_GRADIENTS:
        return cvm_gradient_graph(session->train, trial->batch, false, trial->arena, diag);
    default:
        graph = cvm_training_graph(session->train, trial->batch, trial->arena, diag);
        if (graph && trial->mode == CVM_VERIFY_LOSS)
            graph->update_count = 0; /* so that the rest is dead code */
        return graph;
    }
}

/* What is asked for is the precision, so it is no pass that could be wrong about the numbers. */
static bool copy_source(CvmVerifyTrial *trial) {
    CvmGraph *copy = cvm_graph_copy(trial->graph, trial->arena);
    CvmPassContext context = {.diag = &trial->session->diag, .precision = trial->compile.precision};
    trial->source = copy;
    return cvm_apply_precision(&context, copy) && cvm_graph_sort(copy);
}

static bool compile(CvmVerifyTrial *trial) {
    CvmSession *session = trial->session;
    if ((trial->passes &&
         !cvm_pass_choice(trial->passes, &trial->compile.passes, &session->diag)) ||
        !(trial->graph = build_graph(trial)) || !copy_source(trial))
        return cvm_session_fail_compile(session);
    trial->executable = cvm_compile(trial->graph, &trial->compile, &session->diag);
    return trial->executable || cvm_session_fail_compile(session);
}

int64_t cvm_verify_batch(const CvmSession *session, CvmVerifyMode mode) {
    return session->options->batch ? session->options->batch : mode == CVM_VERIFY_INFERENCE ? 1 : 2;
}

bool cvm_verify_open(CvmVerifyTrial *trial, CvmSession *session, CvmVerifyMode mode,
                     const char *cpu, const char *passes) {
    const CvmOptions *options = session->options;
    *trial = (CvmVerifyTrial){.session = session,
                              .arena = cvm_arena_create(),
                              .mode = mode,
                              .batch = cvm_verify_batch(session, mode),
                              .passes = passes,
                              .compile = session->compile,
                              .seed = options->given & CVM_OPTION_SEED ? options->seed
                                      : session->train                 ? session->train->seed
                                                                       : 1};
    trial->compile.cpu = cpu;
    cvm_store_init(&trial->start);
    CvmError error;
    if (!compile(trial))
        return false;
    make_inputs(trial);
    if (!fill_start(trial, &error))
        return cvm_session_fail(session, &error);
    bool steps = mode == CVM_VERIFY_STEP || mode == CVM_VERIFY_GRAPH;
    return !steps || !trial->source->update_count || make_a_step(trial);
}

void cvm_verify_close(CvmVerifyTrial *trial) {
    cvm_store_free(&trial->start);
    cvm_executable_free(trial->executable);
    cvm_arena_free(trial->arena);
}

const char *cvm_verify_cpu(const CvmVerifyTrial *trial) {
    return trial->compile.cpu ? trial->compile.cpu : "host";
}

const char *cvm_verify_passes(const CvmVerifyTrial *trial) {
    const char *own = trial->session->options->passes;
    return trial->passes ? trial->passes : own ? own : "default";
}

const char *cvm_verify_mode(const CvmVerifyTrial *trial) {
    static const char *const texts[] = {[CVM_VERIFY_INFERENCE] = "inference",
                                        [CVM_VERIFY_STEP] = "training step",
                                        [CVM_VERIFY_GRADIENTS] = "gradients",
                                        [CVM_VERIFY_LOSS] = "loss",
                                        [CVM_VERIFY_GRAPH] = "graph"};
    return texts[trial->mode];
}

const char *cvm_verify_title(const CvmVerifyTrial *trial) {
    CvmArena *arena = trial->arena;
    const char *batch = trial->mode == CVM_VERIFY_GRAPH
                            ? ""
                            : cvm_arena_format(arena, ", batch %lld", (long long)trial->batch);
    return cvm_arena_format(arena, "%s%s, %s, passes %s", cvm_verify_mode(trial), batch,
                            cvm_verify_cpu(trial), cvm_verify_passes(trial));
}
