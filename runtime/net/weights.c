/* See internal.h: parameters from a safetensors file, every one by its name, and nothing else. */
#include "runtime/net/internal.h"

#include "runtime/checkpoint.h"
#include "runtime/hash.h"
#include "runtime/text.h"

#include <stdio.h>
#include <string.h>

enum { LISTED = 5 };

static const char OPTIMIZER[] = "optimizer.";

/* What does not fit: the first few in words. */
typedef struct Differences {
    int count;
    char text[800];
} Differences;

static void note(Differences *differences, const char *name, const char *what) {
    if (differences->count++ >= LISTED)
        return;
    size_t used = strlen(differences->text);
    snprintf(differences->text + used, sizeof differences->text - used, "%s%s %s", used ? "; " : "",
             cvm_shown(name).text, what);
}

static bool is_floating(CvmFileDtype dtype) {
    return dtype == CVM_FILE_F32 || dtype == CVM_FILE_F16 || dtype == CVM_FILE_BF16 ||
           dtype == CVM_FILE_F64;
}

static void compare(const CvmSlot *slot, const CvmFileTensor *tensor, Differences *differences) {
    char have[128], want[128], text[300];
    cvm_shape_text(&slot->shape, want, sizeof want);
    if (!tensor) {
        snprintf(text, sizeof text, "%s is missing", want);
        note(differences, slot->name, text);
    } else if (!cvm_shape_equal(&tensor->shape, &slot->shape)) {
        snprintf(text, sizeof text, "is %s in the file, %s in the model",
                 cvm_shape_text(&tensor->shape, have, sizeof have), want);
        note(differences, slot->name, text);
    } else if (!is_floating(tensor->dtype)) {
        snprintf(text, sizeof text, "is %s in the file, which holds whole numbers",
                 cvm_file_dtype_name(tensor->dtype));
        note(differences, slot->name, text);
    }
}

static bool is_parameter(const CvmNetDescription *about, const char *name) {
    for (int i = 0; i < about->parameter_count; i++)
        if (strcmp(about->parameters[i].name, name) == 0)
            return true;
    return false;
}

static cvm_net_status check(const CvmNetDescription *about, const CvmTensorFile *file) {
    Differences differences = {0};
    for (int i = 0; i < about->parameter_count; i++)
        compare(&about->parameters[i], cvm_tensor_file_find(file, about->parameters[i].name),
                &differences);
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        if (strncmp(name, OPTIMIZER, sizeof OPTIMIZER - 1) != 0 && !is_parameter(about, name))
            note(&differences, name, "is left over: the model has no such tensor");
    }
    if (!differences.count)
        return CVM_NET_OK;
    char more[32] = "";
    if (differences.count > LISTED)
        snprintf(more, sizeof more, "; %d more", differences.count - LISTED);
    return cvm_net_fail(CVM_NET_BAD_WEIGHTS, "the weights do not fit %s: %s%s", about->name,
                        differences.text, more);
}

static cvm_net_status take(const CvmSlot *slot, const CvmFileTensor *tensor,
                           const CvmTensorFile *file, CvmStore *store) {
    CvmError error;
    CvmSlot empty = *slot; /* every element is overwritten: draw none */
    empty.bound = empty.fill = 0;
    bool in_place = tensor->dtype == CVM_FILE_F32 && (uintptr_t)tensor->data % sizeof(float) == 0;
    CvmStored *stored = cvm_store_add(store, &empty, 0, in_place ? tensor->data : NULL, &error);
    if (!stored)
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    if (in_place)
        return CVM_NET_OK;
    if (!cvm_file_tensor_read_f32(tensor, stored->data, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    cvm_tensor_file_release(file, tensor);
    return CVM_NET_OK;
}

/* A checkpoint knows its model, and how its pictures were normalized. */
static cvm_net_status read_checkpoint(const CvmNetDescription *about, const CvmTensorFile *file,
                                      CvmNormalization *normalization) {
    CvmCheckpointInfo info;
    CvmError error;
    if (!cvm_tensor_file_metadata(file, "cvm.model"))
        return CVM_NET_OK;
    if (!cvm_checkpoint_info_of(file, "the file", &info, &error))
        return cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_MEMORY);
    if (info.model_hash != about->model_hash)
        return cvm_net_fail(CVM_NET_BAD_WEIGHTS,
                            "the weights are those of another model: %s, with layers or settings "
                            "that differ from those of %s here",
                            cvm_shown(info.model).text, about->name);
    if (info.normalization.channels == about->input.sizes[0])
        *normalization = info.normalization;
    return CVM_NET_OK;
}

cvm_net_status cvm_net_take_weights(const CvmNetDescription *about, const CvmTensorFile *file,
                                    CvmStore *store, CvmNormalization *normalization) {
    cvm_net_status status = read_checkpoint(about, file, normalization);
    if (!status)
        status = check(about, file);
    for (int i = 0; !status && i < about->parameter_count; i++) {
        const CvmSlot *slot = &about->parameters[i];
        status = take(slot, cvm_tensor_file_find(file, slot->name), file, store);
    }
    return status;
}

cvm_net_status cvm_net_copy_tensor(const CvmStore *store, const char *name, float *values,
                                   size_t elements) {
    int64_t count = 0;
    const CvmStored *tensor = cvm_store_find(store, name);
    if (!tensor)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "there is no parameter '%s'",
                            cvm_shown(name).text);
    cvm_shape_count(&tensor->shape, &count);
    if ((size_t)count != elements)
        return cvm_net_fail(CVM_NET_BAD_ARGUMENT, "%s has %lld elements, and there is room for %zu",
                            name, (long long)count, elements);
    cvm_stored_read(tensor, values);
    return CVM_NET_OK;
}

/* --- hash --- */

/* A sum, so that their order does not matter. */
uint64_t cvm_net_parameters_hash(const CvmSlot *parameters, int count) {
    uint64_t sum = 0;
    for (int i = 0; i < count; i++) {
        char shape[128];
        sum += cvm_hash_text(cvm_hash_text(0, parameters[i].name),
                             cvm_shape_text(&parameters[i].shape, shape, sizeof shape));
    }
    return sum;
}
