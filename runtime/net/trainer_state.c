/* See train.h: a trainer's parameters, and its files. */
#include "runtime/net/trainer.h"

#include "runtime/averages.h"
#include "runtime/checkpoint.h"
#include "runtime/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void cvm_trainer_weights_moved(cvm_net_trainer *trainer, bool frozen_ones) {
    for (int i = 0; i < CVM_TRAINER_PLANS; i++)
        trainer->stale[i] |= i != CVM_TRAINER_STEP || frozen_ones;
}

/* --- parameters --- */

static bool is_parameter(const cvm_net_trainer *trainer, const char *name) {
    for (int i = 0; i < trainer->about->parameter_count; i++)
        if (strcmp(trainer->about->parameters[i].name, name) == 0)
            return true;
    return false;
}

static cvm_net_status check_name(const cvm_net_trainer *trainer, const char *name,
                                 const void *values) {
    if (!trainer || !name || !values)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer, name and values must not be null");
    return is_parameter(trainer, name)
               ? CVM_NET_OK
               : cvm_net_fail(CVM_NET_BAD_ARGUMENT, "there is no parameter '%s'",
                              cvm_shown(name).text);
}

cvm_net_status cvm_net_trainer_get_parameter(const cvm_net_trainer *trainer, const char *name,
                                             float *values, size_t elements) {
    cvm_net_status status = check_name(trainer, name, values);
    return status ? status : cvm_net_copy_tensor(&trainer->store, name, values, elements);
}

cvm_net_status cvm_net_trainer_set_parameter(cvm_net_trainer *trainer, const char *name,
                                             const float *values, size_t elements) {
    cvm_net_status status = check_name(trainer, name, values);
    if (status)
        return status;
    CvmStored *stored = cvm_store_find(&trainer->store, name);
    size_t bytes = (size_t)cvm_stored_bytes(stored);
    if (bytes != elements * sizeof *values)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "%s has %zu elements, and %zu are given", name,
                            bytes / sizeof *values, elements);
    cvm_stored_write(stored, values);
    cvm_average_restart(&trainer->store, name);
    cvm_trainer_weights_moved(trainer, true);
    return CVM_NET_OK;
}

cvm_net_status cvm_net_get_gradient(const cvm_net_trainer *trainer, const char *name, float *values,
                                    size_t elements) {
    char full[512];
    cvm_net_status status = check_name(trainer, name, values);
    if (status)
        return status;
    snprintf(full, sizeof full, "gradient.%s", name);
    if (!cvm_store_find(&trainer->store, full))
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "%s does not learn and has no gradient", name);
    return cvm_net_copy_tensor(&trainer->store, full, values, elements);
}

/* --- files --- */

/* The names of the classes one a line, as checkpoints have them; NULL: they have none, or there is
 * no memory. */
static char *class_lines(const CvmNetDescription *about) {
    size_t size = 1;
    for (int i = 0; about->class_names && i < about->classes; i++)
        size += strlen(about->class_names[i]) + 1;
    char *lines = about->class_names ? malloc(size) : NULL, *end = lines;
    for (int i = 0; lines && i < about->classes; i++)
        end += sprintf(end, "%s%s", i ? "\n" : "", about->class_names[i]);
    return lines;
}

static cvm_net_status save(const cvm_net_trainer *trainer, const CvmStore *store,
                           const char *path) {
    const CvmNetDescription *about = trainer->about;
    CvmError error;
    CvmCheckpointInfo info = {.model_hash = about->model_hash,
                              .seed = about->seed,
                              .normalization = trainer->normalization,
                              .plateau = cvm_plateau_begin(),
                              .accuracy = -1,
                              .classes = class_lines(about)};
    if (!info.normalization.channels)
        info.normalization = cvm_normalization_unit((int)about->input.sizes[0]);
    snprintf(info.model, sizeof info.model, "%s", about->name);
    bool done = cvm_checkpoint_save(path, store, &info, &error);
    free(info.classes);
    return done ? CVM_NET_OK : cvm_net_fail_with(&error, CVM_NET_BAD_ARGUMENT, CVM_NET_NO_FILE);
}

cvm_net_status cvm_net_save_weights(const cvm_net_trainer *trainer, const char *path) {
    CvmStore weights;
    CvmError error;
    cvm_net_status status = CVM_NET_OK;
    if (!trainer || !path)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer and path must not be null");
    cvm_store_init(&weights);
    for (int i = 0; !status && i < trainer->about->parameter_count; i++) {
        const CvmStored *stored =
            cvm_store_find(&trainer->averaged, trainer->about->parameters[i].name);
        const CvmSlot slot = cvm_stored_slot(stored);
        if (!cvm_store_add(&weights, &slot, 0, stored->data, &error))
            status = cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    }
    if (!status)
        status = save(trainer, &weights, path);
    cvm_store_free(&weights);
    return status;
}

cvm_net_status cvm_net_save_checkpoint(const cvm_net_trainer *trainer, const char *path) {
    if (!trainer || !path)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer and path must not be null");
    if (trainer->pending)
        return cvm_net_fail(CVM_NET_BAD_ORDER,
                            "gradients of %d batches wait to be applied or discarded",
                            trainer->pending);
    return save(trainer, &trainer->store, path);
}

cvm_net_status cvm_net_resume(cvm_net_trainer *trainer, const char *path) {
    CvmCheckpointInfo info;
    CvmError error;
    if (!trainer || !path)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "trainer and path must not be null");
    if (!cvm_checkpoint_load(path, &trainer->store, trainer->about->name,
                             trainer->about->model_hash, CVM_CHECKPOINT_RESUME, &info, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_FILE);
    free(info.classes);
    trainer->normalization = info.normalization;
    cvm_trainer_weights_moved(trainer, true);
    return cvm_net_discard(trainer);
}
