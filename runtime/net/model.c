/* See net.h: models. Opening checks the processor, then the weights, and computes once what kernels
 * want of them (packed weights), which all contexts share. */
#include "runtime/net/internal.h"

#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

/* Preparing less than this is done before other threads have started. */
static const int64_t SPLIT_BYTES = 4 << 20;

int64_t cvm_net_prepared_bytes(const CvmNetCode *code) {
    return code->inferences[0]->prepared_bytes;
}

static cvm_net_status fill_for(const cvm_net_model *model, const CvmPlan *plan, void *block,
                               CvmPool *pool) {
    const CvmPlace place = {.prepared = block};
    CvmError error;
    CvmInstance *instance = cvm_instance_create_in(plan, &model->store, &place, &error);
    if (!instance)
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    cvm_instance_forget(instance);
    cvm_instance_prepare(instance, pool);
    cvm_instance_free(instance);
    return CVM_NET_OK;
}

cvm_net_status cvm_net_fill_prepared(const cvm_net_model *model, void *block) {
    CvmError error;
    CvmPool *pool =
        cvm_pool_create(cvm_net_prepared_bytes(model->code) < SPLIT_BYTES ? 1 : 0, &error);
    if (!pool)
        return cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_THREADS);
    cvm_net_status status = CVM_NET_OK;
    for (int i = 0; !status && i < model->code->inference_count; i++)
        status = fill_for(model, model->code->inferences[i], block, pool);
    cvm_pool_free(pool);
    return status;
}

static cvm_net_status prepare(cvm_net_model *model) {
    int64_t bytes = cvm_net_prepared_bytes(model->code);
    model->prepared = cvm_memory_allocate(bytes);
    if (!model->prepared)
        return cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for %lld bytes of packed weights",
                            (long long)bytes);
    return cvm_net_fill_prepared(model, model->prepared);
}

static void free_model(cvm_net_model *model) {
    if (!model->packed.bytes)
        cvm_memory_free(model->prepared, cvm_net_prepared_bytes(model->code));
    cvm_mapped_file_close(&model->packed);
    cvm_store_free(&model->store);
    cvm_tensor_file_close(&model->file);
    free(model);
}

cvm_net_status cvm_net_open_file(const CvmNetDescription *about, CvmTensorFile *file,
                                 CvmNetPacked packed, cvm_net_model **opened) {
    const CvmNetCode *code;
    cvm_net_status status = cvm_net_choose_code(about, &code);
    cvm_net_model *model = status ? NULL : calloc(1, sizeof *model);
    if (!model) {
        cvm_tensor_file_close(file);
        return status ? status : cvm_net_fail(CVM_NET_NO_MEMORY, "no memory for a model");
    }
    *model = (cvm_net_model){
        .about = about, .code = code, .file = *file, .normalization = about->normalization};
    cvm_store_init(&model->store);
    atomic_init(&model->users, 0);
    status = cvm_net_take_weights(about, &model->file, &model->store, &model->normalization);
    if (!status)
        status = packed.path ? cvm_net_take_packed(model, packed) : prepare(model);
    if (status)
        free_model(model);
    else
        *opened = model;
    return status;
}

cvm_net_status cvm_net_close(cvm_net_model *model) {
    if (!model)
        return CVM_NET_OK;
    int users = atomic_load(&model->users);
    if (users)
        return cvm_net_fail(CVM_NET_BAD_ORDER,
                            "the model cannot be closed: %d of its contexts are there still",
                            users);
    free_model(model);
    return CVM_NET_OK;
}

cvm_net_status cvm_net_get_parameter(const cvm_net_model *model, const char *name, float *values,
                                     size_t elements) {
    if (!model || !name || !values)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "model, name and values must not be null");
    return cvm_net_copy_tensor(&model->store, name, values, elements);
}

cvm_net_status cvm_net_describe_parameter(const CvmNetDescription *about, int index,
                                          cvm_net_parameter *parameter) {
    if (!parameter || parameter->size < sizeof *parameter)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT,
                            "parameter must not be null, and its size that of its struct");
    if (index < 0 || index >= about->parameter_count)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "there are parameters 0 to %d, and no %d",
                            about->parameter_count - 1, index);
    const CvmSlot *slot = &about->parameters[index];
    *parameter = (cvm_net_parameter){.size = parameter->size,
                                     .name = slot->name,
                                     .rank = slot->shape.rank,
                                     .learned = slot->kind == CVM_SLOT_PARAMETER,
                                     .multiplier = about->multipliers[index]};
    for (int i = 0; i < slot->shape.rank; i++)
        parameter->shape[i] = slot->shape.sizes[i];
    cvm_shape_count(&slot->shape, &parameter->elements);
    return CVM_NET_OK;
}
