/* See net.h. */
#include "compiler/object/net.h"

#include "compiler/codegen/target.h"
#include "compiler/object/share.h"
#include "compiler/plan_builder.h"
#include "compiler/training_graph.h"
#include "runtime/net/internal.h"

#include <string.h>

typedef struct Making {
    const CvmNetSettings *settings;
    CvmArena *arena;
    CvmNet *net;
    CvmDiag *diag;
    int first, count; /* of the net's executables: those over one store, the next one's too */
} Making;

/* --- what it is --- */

static bool list_parameters(Making *making) {
    CvmNetDescription *about = &making->net->about;
    CvmGraph *graph = cvm_model_build(making->settings->model, 1, making->arena, making->diag);
    if (!graph)
        return false;
    size_t room = (size_t)graph->node_count + 1;
    CvmSlot *slots = cvm_arena_array(making->arena, room, sizeof *slots);
    double *multipliers = cvm_arena_array(making->arena, room, sizeof *multipliers);
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_PARAMETER)
            slots[about->parameter_count++] = cvm_slot_of_parameter(graph->nodes[i]);
    for (int i = 0; making->settings->train && i < about->parameter_count; i++)
        if (slots[i].kind == CVM_SLOT_PARAMETER)
            multipliers[i] = cvm_train_multiplier(making->settings->train, slots[i].name);
    about->parameters = slots;
    about->multipliers = multipliers;
    about->model_hash = cvm_graph_hash(graph);
    about->parameters_hash = cvm_net_parameters_hash(slots, about->parameter_count);
    about->classes = (int)cvm_graph_find_output(graph, "logits")->type.shape.sizes[1];
    return true;
}

static bool describe(Making *making) {
    const CvmNetSettings *settings = making->settings;
    making->net->about = (CvmNetDescription){
        .name = cvm_model_name(settings->model),
        .input = cvm_model_input(settings->model),
        .class_names = settings->class_names,
        .preparation = settings->preparation,
        .normalization = settings->normalization,
        .codes = making->net->codes,
        .packed = settings->packed,
    };
    if (settings->train) {
        making->net->about.train_batch = settings->train->batch;
        making->net->about.rate = settings->train->rate.base;
        making->net->about.seed = settings->train->seed;
    }
    return list_parameters(making);
}

/* --- code --- */

static const CvmPlan *add_plan(Making *making, CvmGraph *graph, const CvmCompileOptions *chosen) {
    CvmNet *net = making->net;
    CvmCompileOptions options = *chosen;
    options.beside = net->executables + making->first;
    options.beside_count = making->count;
    CvmExecutable *(*compile)(CvmGraph *, const CvmCompileOptions *, CvmDiag *) =
        making->settings->load ? cvm_compile : cvm_compile_objects;
    CvmExecutable *executable = graph ? compile(graph, &options, making->diag) : NULL;
    if (!executable)
        return NULL;
    const CvmPlan *plan = cvm_executable_plan(executable);
    net->plans[net->plan_count] = (CvmObjectPlan){plan, executable};
    net->executables[net->plan_count++] = executable;
    making->count++;
    return plan;
}

static bool add_inference(Making *making, int64_t batch, const CvmCompileOptions *options,
                          const CvmPlan **plan) {
    CvmGraph *graph =
        cvm_inference_graph(making->settings->model, batch, true, making->arena, making->diag);
    *plan = add_plan(making, graph, options);
    return *plan != NULL;
}

/* Of the larger batch and of single images, which prepare what they can together. */
static bool add_inferences(Making *making, const CvmCompileOptions *options,
                           const CvmPlan *plans[CVM_NET_MAX_INFERENCES]) {
    CvmNet *net = making->net;
    int first = net->plan_count, count = 0;
    if ((making->settings->batch > 1 &&
         !add_inference(making, making->settings->batch, options, &plans[count++])) ||
        !add_inference(making, 1, options, &plans[count++]))
        return false;
    cvm_share_prepared(net->executables + first, count, plans, making->arena);
    for (int i = 0; i < count; i++)
        net->plans[first + i].plan = plans[i];
    return true;
}

/* Of each code: the training's four, and inferences of trainers and of models. */
_Static_assert(CVM_NET_MAX_CODES * (4 + 2 * CVM_NET_MAX_INFERENCES) <= CVM_OBJECT_MAX_PLANS,
               "there is room for all plans");

/* Where batches are split, a step is several runs of the gradients' plan and one of apply's. */
static bool add_training(Making *making, const CvmCompileOptions *options, CvmNetCode *code) {
    const CvmTrain *train = making->settings->train;
    int64_t part = cvm_train_part(train);
    CvmArena *arena = making->arena;
    CvmDiag *diag = making->diag;
    if (train->accumulate == 1 &&
        !(code->step = add_plan(making, cvm_training_graph(train, part, arena, diag), options)))
        return false;
    return (code->gradients =
                add_plan(making, cvm_gradient_graph(train, part, false, arena, diag), options)) &&
           (code->distributions =
                add_plan(making, cvm_gradient_graph(train, part, true, arena, diag), options)) &&
           (code->apply = add_plan(making, cvm_apply_graph(train, arena, diag), options));
}

/* Code for several CPUs must differ in the names of its functions. */
static CvmCompileOptions options_for(const Making *making, int index) {
    CvmCompileOptions options = making->settings->compile;
    options.cpu = making->settings->cpus[index];
    options.symbols =
        making->settings->cpu_count > 1 ? cvm_arena_format(making->arena, "_cpu%d", index) : NULL;
    return options;
}

static bool packs_parameters(const Making *making) {
    for (int i = making->first; i < making->net->plan_count; i++)
        for (int k = 0; k < making->net->plans[i].plan->slot_count; k++)
            if (making->net->plans[i].plan->slots[k].lanes)
                return true;
    return false;
}

static void begin_store(Making *making) {
    making->first = making->net->plan_count;
    making->count = 0;
}

/* The step decides in which order trainers keep parameters, so it comes first. Models have them as
 * they are in their files, and inferences of their own where that is another order. */
static bool add_plans(Making *making, const CvmCompileOptions *options, CvmNetCode *code) {
    const CvmNetSettings *settings = making->settings;
    begin_store(making);
    if (settings->train && !add_training(making, options, code))
        return false;
    if (!settings->load && packs_parameters(making)) {
        if (!add_inferences(making, options, code->evaluations))
            return false;
        begin_store(making);
    }
    code->inference_count = settings->batch > 1 ? 2 : 1;
    return add_inferences(making, options, code->inferences);
}

static bool add_code(Making *making, int index) {
    CvmNet *net = making->net;
    CvmNetCode *code = &net->codes[index];
    CvmTarget target;
    CvmCompileOptions options = options_for(making, index);
    if (!cvm_target_find(options.cpu, making->arena, &target, making->diag))
        return false;
    *code =
        (CvmNetCode){.cpu = target.cpu, .features = cvm_target_features(&target, making->arena)};
    net->about.code_count++;
    return add_plans(making, &options, code);
}

bool cvm_net_compile(const CvmNetSettings *settings, CvmArena *arena, CvmNet *net, CvmDiag *diag) {
    Making making = {.settings = settings, .arena = arena, .net = net, .diag = diag};
    *net = (CvmNet){.plan_count = 0};
    bool done = describe(&making);
    for (int i = 0; done && i < settings->cpu_count; i++)
        done = add_code(&making, i);
    if (done)
        net->about.facts = cvm_net_facts_text(net, settings, arena);
    else
        cvm_net_free(net);
    return done;
}

void cvm_net_free(CvmNet *net) {
    for (int i = 0; i < net->plan_count; i++)
        cvm_executable_free(net->executables[i]);
    net->plan_count = 0;
}
