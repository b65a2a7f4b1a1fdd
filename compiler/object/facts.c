/* See net.h: what a compiled model tells of itself, as JSON. Nothing in it depends on when or where
 * it was built, so that the same input gives the same bytes. */
#include "compiler/object/net.h"

#include <cjson/cJSON.h>
#include <llvm-c/Core.h>

#include <inttypes.h>
#include <string.h>

static void add_hash(cJSON *object, const char *name, uint64_t hash) {
    char text[32];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    cJSON_AddStringToObject(object, name, text);
}

static cJSON *shape_json(const CvmShape *shape) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < shape->rank; i++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber((double)shape->sizes[i]));
    return array;
}

static void add_build(cJSON *object, const CvmNet *net, const CvmNetSettings *settings,
                      CvmArena *arena) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    cJSON_AddStringToObject(object, "cvm", CVM_VERSION);
    cJSON_AddStringToObject(object, "llvm",
                            cvm_arena_format(arena, "%u.%u.%u", major, minor, patch));
    cJSON_AddStringToObject(object, "source", settings->source);
    cJSON_AddStringToObject(object, "passes",
                            cvm_pass_choice_text(&settings->compile.passes, arena));
    cJSON_AddStringToObject(object, "precision", cvm_precision_name(settings->compile.precision));
    cJSON_AddBoolToObject(object, "packed", settings->packed);
    cJSON_AddBoolToObject(object, "blas", cvm_plans_call_blas(net->plans, net->plan_count));
}

static void add_plan(cJSON *array, const char *does, int64_t batch, const CvmPlan *plan) {
    if (!plan)
        return;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "does", does);
    cJSON_AddNumberToObject(object, "batch", (double)batch);
    cJSON_AddNumberToObject(object, "calls", plan->call_count);
    cJSON_AddNumberToObject(object, "arena_bytes", (double)plan->arena_bytes);
    cJSON_AddItemToArray(array, object);
}

/* Of a part of a batch, where batches are split. */
static int64_t part_of(const CvmPlan *plan) {
    for (int i = 0; plan && i < plan->input_count; i++)
        if (plan->inputs[i].shape.rank == 4)
            return plan->inputs[i].shape.sizes[0];
    return 0;
}

static cJSON *plans_json(const CvmNetDescription *about, const CvmNetCode *code) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < code->inference_count; i++)
        add_plan(array, "inference", code->inferences[i]->inputs[0].shape.sizes[0],
                 code->inferences[i]);
    for (int i = 0; i < code->inference_count; i++)
        add_plan(array, "evaluation", code->inferences[i]->inputs[0].shape.sizes[0],
                 code->evaluations[i]);
    add_plan(array, "step", about->train_batch, code->step);
    add_plan(array, "gradients", part_of(code->gradients), code->gradients);
    add_plan(array, "gradients_of_distributions", part_of(code->distributions),
             code->distributions);
    add_plan(array, "apply", about->train_batch, code->apply);
    return array;
}

static cJSON *codes_json(const CvmNetDescription *about) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < about->code_count; i++) {
        const CvmNetCode *code = &about->codes[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "cpu", code->cpu);
        cJSON *features = cJSON_AddArrayToObject(object, "features");
        for (int k = 0; code->features[k]; k++)
            cJSON_AddItemToArray(features, cJSON_CreateString(code->features[k]));
        cJSON_AddNumberToObject(object, "packed_bytes",
                                (double)code->inferences[0]->prepared_bytes);
        cJSON_AddItemToObject(object, "plans", plans_json(about, code));
        cJSON_AddItemToArray(array, object);
    }
    return array;
}

static cJSON *input_json(const CvmNetDescription *about) {
    const CvmNormalization *normalization = &about->normalization;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", about->codes[0].inferences[0]->inputs[0].name);
    cJSON_AddStringToObject(object, "dtype", "f32");
    cJSON_AddItemToObject(object, "shape", shape_json(&about->input));
    if (normalization->channels) {
        cJSON_AddItemToObject(
            object, "mean", cJSON_CreateDoubleArray(normalization->mean, normalization->channels));
        cJSON_AddItemToObject(
            object, "deviation",
            cJSON_CreateDoubleArray(normalization->deviation, normalization->channels));
    }
    return object;
}

static cJSON *output_json(const char *name, const CvmNetDescription *about) {
    const CvmShape shape = {1, {about->classes}};
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", name);
    cJSON_AddStringToObject(object, "dtype", "f32");
    cJSON_AddItemToObject(object, "shape", shape_json(&shape));
    return object;
}

static void add_signature(cJSON *object, const CvmNetDescription *about) {
    cJSON_AddItemToArray(cJSON_AddArrayToObject(object, "inputs"), input_json(about));
    cJSON *outputs = cJSON_AddArrayToObject(object, "outputs");
    cJSON_AddItemToArray(outputs, output_json("logits", about));
    cJSON_AddItemToArray(outputs, output_json("probabilities", about));
    if (about->class_names)
        cJSON_AddItemToObject(object, "classes",
                              cJSON_CreateStringArray(about->class_names, about->classes));
}

static void add_parameters(cJSON *object, const CvmNetDescription *about) {
    cJSON *array = cJSON_AddArrayToObject(object, "parameters");
    add_hash(object, "parameters_hash", about->parameters_hash);
    for (int i = 0; i < about->parameter_count; i++) {
        const CvmSlot *slot = &about->parameters[i];
        cJSON *parameter = cJSON_CreateObject();
        cJSON_AddStringToObject(parameter, "name", slot->name);
        cJSON_AddStringToObject(parameter, "dtype", "f32");
        cJSON_AddItemToObject(parameter, "shape", shape_json(&slot->shape));
        if (about->train_batch)
            cJSON_AddNumberToObject(parameter, "multiplier", about->multipliers[i]);
        cJSON_AddItemToArray(array, parameter);
    }
}

const char *cvm_net_facts_text(const CvmNet *net, const CvmNetSettings *settings, CvmArena *arena) {
    const CvmNetDescription *about = &net->about;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "abi", 1);
    cJSON_AddStringToObject(object, "model", about->name);
    add_hash(object, "model_hash", about->model_hash);
    add_build(object, net, settings, arena);
    cJSON_AddItemToObject(object, "codes", codes_json(about));
    add_signature(object, about);
    add_parameters(object, about);
    char *text = cJSON_PrintUnformatted(object);
    const char *copy = cvm_arena_copy(arena, text, strlen(text));
    cJSON_free(text);
    cJSON_Delete(object);
    return copy;
}
