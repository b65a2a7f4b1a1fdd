/* See averages.h. */
#include "runtime/averages.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char PREFIX[] = "optimizer.", AVERAGE[] = ".average", WEIGHT[] = ".average_weight",
                  RAW[] = ".raw";

/* Whether `name` is "optimizer.", the weight's name, and the ending. */
static bool is_state_of(const char *name, const char *weight, const char *ending) {
    size_t prefix = sizeof PREFIX - 1, length = strlen(weight);
    return strncmp(name, PREFIX, prefix) == 0 && strncmp(name + prefix, weight, length) == 0 &&
           strcmp(name + prefix + length, ending) == 0;
}

static CvmStored *find_state(const CvmStore *store, const char *weight, const char *ending) {
    for (int i = 0; i < store->count; i++)
        if (store->tensors[i].kind == CVM_SLOT_OPTIMIZER &&
            is_state_of(store->tensors[i].name, weight, ending))
            return &store->tensors[i];
    return NULL;
}

CvmStored *cvm_average_of(const CvmStore *store, const char *weight) {
    return find_state(store, weight, AVERAGE);
}

CvmStored *cvm_averaged_weight(const CvmStore *store, const char *average) {
    for (int i = 0; i < store->count; i++)
        if (store->tensors[i].kind == CVM_SLOT_PARAMETER &&
            is_state_of(average, store->tensors[i].name, AVERAGE))
            return &store->tensors[i];
    return NULL;
}

bool cvm_averages_view(const CvmStore *store, CvmStore *view, CvmError *error) {
    for (int i = 0; i < store->count; i++) {
        const CvmStored *tensor = &store->tensors[i];
        const CvmStored *average =
            tensor->kind == CVM_SLOT_PARAMETER ? cvm_average_of(store, tensor->name) : NULL;
        CvmSlot slot = cvm_stored_slot(average ? average : tensor);
        slot.name = tensor->name;
        slot.kind = tensor->kind;
        if (!cvm_store_add(view, &slot, 0, average ? average->data : tensor->data, error))
            return false;
    }
    return true;
}

void cvm_averages_settle(CvmStore *store) {
    for (int i = 0; i < store->count; i++) {
        CvmStored *weight = &store->tensors[i];
        const CvmStored *average =
            weight->kind == CVM_SLOT_PARAMETER ? cvm_average_of(store, weight->name) : NULL;
        if (average)
            cvm_stored_copy(average, weight);
    }
}

void cvm_average_restart(CvmStore *store, const char *weight) {
    CvmStored *average = cvm_average_of(store, weight);
    CvmStored *ones = find_state(store, weight, WEIGHT);
    if (!average || !ones)
        return;
    cvm_stored_copy(cvm_store_find(store, weight), average);
    memset(ones->data, 0, (size_t)cvm_stored_bytes(ones));
}

const CvmFileTensor *cvm_raw_weight(const CvmTensorFile *file, const char *weight) {
    for (int i = 0; i < file->count; i++)
        if (is_state_of(file->tensors[i].name, weight, RAW))
            return &file->tensors[i];
    return NULL;
}

char *cvm_raw_weight_name(const char *weight) {
    size_t size = strlen(weight) + sizeof PREFIX + sizeof RAW;
    char *name = malloc(size);
    if (name)
        snprintf(name, size, "%s%s%s", PREFIX, weight, RAW);
    return name;
}
