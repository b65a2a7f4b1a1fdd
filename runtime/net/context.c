/* See net.h: contexts. A context is an instance of each inference plan, all of them in one arena,
 * since nothing in it outlives a run. */
#include "runtime/net/internal.h"

#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

/* A plan with its outputs found. */
typedef struct Inference {
    CvmInstance *instance;
    size_t batch;
    int logits, probabilities;
} Inference;

struct cvm_net_context {
    cvm_net_model *model;
    CvmPool *pool;
    void *arena;
    int64_t owned_bytes; /* of the arena; 0: it is the caller's */
    Inference inferences[CVM_NET_MAX_INFERENCES];
    atomic_flag busy;
};

size_t cvm_net_working_memory(const CvmNetDescription *about) {
    int64_t most = CVM_ALIGNMENT;
    for (int c = 0; c < about->code_count; c++)
        for (int i = 0; i < about->codes[c].inference_count; i++) {
            int64_t bytes = about->codes[c].inferences[i]->arena_bytes;
            most = bytes > most ? bytes : most;
        }
    return (size_t)most;
}

static int find_output(const CvmPlan *plan, const char *name) {
    for (int i = 0; i < plan->output_count; i++)
        if (strcmp(plan->outputs[i].name, name) == 0)
            return i;
    return -1;
}

cvm_net_status cvm_net_check_options(const cvm_net_options *options, size_t bytes) {
    if (options->size < sizeof *options)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "options.size is %zu, and must be set to sizeof(options): %zu",
                            options->size, sizeof *options);
    if (!options->memory)
        return CVM_NET_OK;
    if ((uintptr_t)options->memory % CVM_ALIGNMENT != 0)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "options.memory must be aligned to %d bytes",
                            CVM_ALIGNMENT);
    if (options->memory_bytes < bytes)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "options.memory has %zu bytes, and %zu are needed",
                            options->memory_bytes, bytes);
    return CVM_NET_OK;
}

static cvm_net_status take_arena(cvm_net_context *context, const cvm_net_options *options) {
    size_t bytes = cvm_net_working_memory(context->model->about);
    if (options->memory) {
        context->arena = options->memory;
        memset(context->arena, 0, bytes);
        return CVM_NET_OK;
    }
    context->owned_bytes = (int64_t)bytes;
    context->arena = cvm_memory_allocate((int64_t)bytes);
    return context->arena
               ? CVM_NET_OK
               : cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a context's %zu bytes", bytes);
}

static cvm_net_status make_inference(cvm_net_context *context, int index) {
    const cvm_net_model *model = context->model;
    const CvmPlan *plan = model->code->inferences[index];
    const CvmPlace place = {context->arena, model->prepared};
    CvmError error;
    Inference *inference = &context->inferences[index];
    *inference =
        (Inference){.instance = cvm_instance_create_in(plan, &model->store, &place, &error),
                    .batch = (size_t)plan->inputs[0].shape.sizes[0],
                    .logits = find_output(plan, "logits"),
                    .probabilities = find_output(plan, "probabilities")};
    return inference->instance ? CVM_NET_OK
                               : cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
}

static cvm_net_status fill_context(cvm_net_context *context, const cvm_net_options *options) {
    CvmError error;
    cvm_net_status status = take_arena(context, options);
    for (int i = 0; !status && i < context->model->code->inference_count; i++)
        status = make_inference(context, i);
    if (status)
        return status;
    context->pool = cvm_pool_create(options->threads, &error);
    return context->pool ? CVM_NET_OK
                         : cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_THREADS);
}

cvm_net_status cvm_net_context_create(cvm_net_model *model, const cvm_net_options *options,
                                      cvm_net_context **created) {
    const cvm_net_options otherwise = {.size = sizeof otherwise};
    options = options ? options : &otherwise;
    if (!model || !created)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "model and context must not be null");
    cvm_net_status status = cvm_net_check_options(options, cvm_net_working_memory(model->about));
    if (status)
        return status;
    cvm_net_context *context = calloc(1, sizeof *context);
    if (!context)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a context");
    context->model = model;
    atomic_flag_clear(&context->busy);
    atomic_fetch_add(&model->users, 1);
    status = fill_context(context, options);
    if (status)
        cvm_net_context_destroy(context);
    else
        *created = context;
    return status;
}

void cvm_net_context_destroy(cvm_net_context *context) {
    if (!context)
        return;
    for (int i = 0; i < CVM_NET_MAX_INFERENCES; i++)
        cvm_instance_free(context->inferences[i].instance);
    cvm_pool_free(context->pool);
    if (context->owned_bytes)
        cvm_memory_free(context->arena, context->owned_bytes);
    atomic_fetch_sub(&context->model->users, 1);
    free(context);
}

static void run_batches(cvm_net_context *context, const float *images, size_t count, float *logits,
                        float *probabilities) {
    const CvmNetDescription *about = context->model->about;
    int64_t image = 1;
    cvm_shape_count(&about->input, &image);
    for (int i = 0; count > 0; i++) { /* the last one takes single images */
        const Inference *inference = &context->inferences[i];
        for (; count >= inference->batch; count -= inference->batch) {
            size_t results = inference->batch * (size_t)about->classes;
            cvm_instance_bind_input(inference->instance, 0, images);
            cvm_instance_bind_output(inference->instance, inference->logits, logits);
            cvm_instance_bind_output(inference->instance, inference->probabilities, probabilities);
            cvm_instance_run(inference->instance, context->pool);
            images += inference->batch * (size_t)image;
            logits = logits ? logits + results : NULL;
            probabilities = probabilities ? probabilities + results : NULL;
        }
    }
}

cvm_net_status cvm_net_run(cvm_net_context *context, const float *images, size_t count,
                           float *logits, float *probabilities) {
    if (!context || (!images && count > 0))
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "context and images must not be null");
    if (!logits && !probabilities)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "logits and probabilities are both null: nothing is asked for");
    if (((uintptr_t)images | (uintptr_t)logits | (uintptr_t)probabilities) % sizeof(float) != 0)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "images, logits and probabilities must be aligned to 4 bytes");
    if (atomic_flag_test_and_set(&context->busy))
        return cvm_net_fail(CVM_NET_BAD_ORDER,
                            "the context runs on another thread: each thread needs its own");
    run_batches(context, images, count, logits, probabilities);
    atomic_flag_clear(&context->busy);
    return CVM_NET_OK;
}
