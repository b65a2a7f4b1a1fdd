/* See store.h. */
#include "runtime/store.h"

#include "runtime/filters.h"
#include "runtime/memory.h"
#include "runtime/random.h"

#include <stdlib.h>
#include <string.h>

void cvm_store_init(CvmStore *store) {
    *store = (CvmStore){0};
}

int64_t cvm_stored_bytes(const CvmStored *tensor) {
    int64_t count = 0;
    cvm_shape_count(&tensor->shape, &count); /* was checked when the tensor was added */
    return count * (int64_t)cvm_dtype_bytes(tensor->dtype);
}

static void free_tensor(CvmStored *tensor) {
    if (!tensor->borrowed)
        cvm_memory_free(tensor->data, cvm_stored_bytes(tensor));
    free(tensor->name);
}

/* Frees the tensors from number `count` on. */
static void truncate_store(CvmStore *store, int count) {
    while (store->count > count)
        free_tensor(&store->tensors[--store->count]);
}

void cvm_store_free(CvmStore *store) {
    truncate_store(store, 0);
    free(store->tensors);
    cvm_store_init(store);
}

CvmStored *cvm_store_find(const CvmStore *store, const char *name) {
    for (int i = 0; i < store->count; i++)
        if (strcmp(store->tensors[i].name, name) == 0)
            return &store->tensors[i];
    return NULL;
}

/* --- the order of elements --- */

void cvm_stored_read(const CvmStored *tensor, void *plain) {
    if (tensor->lanes)
        cvm_filters_unpack(&tensor->shape, tensor->lanes, tensor->data, plain);
    else
        memcpy(plain, tensor->data, (size_t)cvm_stored_bytes(tensor));
}

void cvm_stored_write(CvmStored *tensor, const void *plain) {
    if (tensor->lanes)
        cvm_filters_pack(&tensor->shape, tensor->lanes, plain, tensor->data);
    else
        memcpy(tensor->data, plain, (size_t)cvm_stored_bytes(tensor));
}

void cvm_stored_copy(const CvmStored *from, CvmStored *to) {
    if (from->lanes == to->lanes)
        memcpy(to->data, from->data, (size_t)cvm_stored_bytes(to));
    else if (from->lanes == 0)
        cvm_stored_write(to, from->data);
    else
        cvm_stored_read(from, to->data);
}

CvmSlot cvm_stored_slot(const CvmStored *tensor) {
    return (CvmSlot){.name = tensor->name,
                     .kind = tensor->kind,
                     .dtype = tensor->dtype,
                     .shape = tensor->shape,
                     .lanes = tensor->lanes};
}

/* Brings a tensor into another order, where it lies. */
static bool reorder(CvmStored *tensor, int lanes, CvmError *error) {
    int64_t bytes = cvm_stored_bytes(tensor);
    if (tensor->lanes == lanes || bytes == 0)
        return true;
    if (tensor->borrowed || (lanes && !cvm_filters_fit(&tensor->shape, lanes)))
        return cvm_error_set(error, CVM_ERROR_INPUT, "%s cannot be kept as filters of %d lanes",
                             tensor->name, lanes);
    void *plain = cvm_memory_allocate(bytes);
    if (!plain)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to reorder %s", tensor->name);
    cvm_stored_read(tensor, plain);
    tensor->lanes = lanes;
    cvm_stored_write(tensor, plain);
    cvm_memory_free(plain, bytes);
    return true;
}

/* --- adding --- */

static void fill_start(CvmStored *tensor, const CvmSlot *slot, int64_t count, uint64_t seed) {
    if (tensor->dtype == CVM_I32) {
        for (int64_t i = 0; i < count; i++)
            ((int32_t *)tensor->data)[i] = (int32_t)slot->fill;
    } else if (slot->bound > 0) {
        cvm_random_fill(tensor->data, count, seed, slot->name, slot->bound);
    } else if (slot->fill != 0) { /* the memory starts as zeros */
        for (int64_t i = 0; i < count; i++)
            ((float *)tensor->data)[i] = (float)slot->fill;
    }
}

/* Room for one more tensor; doubled, so that adding many costs little. */
static bool grow(CvmStore *store, CvmError *error) {
    if (store->count < store->capacity)
        return true;
    int capacity = store->capacity ? 2 * store->capacity : 16;
    CvmStored *grown = realloc(store->tensors, (size_t)capacity * sizeof *grown);
    if (!grown)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for %d tensors", capacity);
    store->tensors = grown;
    store->capacity = capacity;
    return true;
}

CvmStored *cvm_store_add(CvmStore *store, const CvmSlot *slot, uint64_t seed, const void *borrowed,
                         CvmError *error) {
    int64_t count, bytes;
    if (!cvm_shape_count(&slot->shape, &count) ||
        __builtin_mul_overflow(count, (int64_t)cvm_dtype_bytes(slot->dtype), &bytes)) {
        cvm_error_set(error, CVM_ERROR_INPUT, "%s is too large", slot->name);
        return NULL;
    }
    if (!grow(store, error))
        return NULL;
    CvmStored tensor = {.kind = slot->kind,
                        .dtype = slot->dtype,
                        .shape = slot->shape,
                        .name = strdup(slot->name),
                        .data = (void *)borrowed,
                        .lanes = borrowed ? slot->lanes : 0,
                        .borrowed = borrowed != NULL};
    if (!borrowed)
        tensor.data = cvm_memory_allocate(bytes);
    if (!tensor.name || !tensor.data) {
        free(tensor.name);
        if (!borrowed)
            cvm_memory_free(tensor.data, bytes);
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for %s (%lld bytes)", slot->name,
                      (long long)bytes);
        return NULL;
    }
    CvmStored *added = &store->tensors[store->count++];
    *added = tensor;
    if (borrowed)
        return added;
    fill_start(added, slot, count, seed);
    if (reorder(added, slot->lanes, error))
        return added;
    truncate_store(store, store->count - 1);
    return NULL;
}

static bool check_same(const CvmStored *tensor, const CvmSlot *slot, const char *plan,
                       CvmError *error) {
    if (tensor->dtype == slot->dtype && cvm_shape_equal(&tensor->shape, &slot->shape))
        return true;
    char have[128], want[128];
    return cvm_error_set(
        error, CVM_ERROR_INPUT, "%s is %s %s, and the plan '%s' needs %s %s", slot->name,
        cvm_dtype_name(tensor->dtype), cvm_shape_text(&tensor->shape, have, sizeof have), plan,
        cvm_dtype_name(slot->dtype), cvm_shape_text(&slot->shape, want, sizeof want));
}

bool cvm_store_add_slots(CvmStore *store, const CvmPlan *plan, uint64_t seed, CvmError *error) {
    int before = store->count;
    for (int i = 0; i < plan->slot_count; i++) {
        const CvmSlot *slot = &plan->slots[i];
        CvmStored *present = cvm_store_find(store, slot->name);
        bool done = present ? check_same(present, slot, plan->name, error) &&
                                  reorder(present, slot->lanes, error)
                            : cvm_store_add(store, slot, seed, NULL, error) != NULL;
        if (!done) {
            truncate_store(store, before);
            return false;
        }
    }
    return true;
}

static bool has_slot(const CvmPlan *plan, const char *name) {
    for (int i = 0; i < plan->slot_count; i++)
        if (strcmp(plan->slots[i].name, name) == 0)
            return true;
    return false;
}

void cvm_store_clear_gradients(CvmStore *store) {
    for (int i = 0; i < store->count; i++) {
        const CvmStored *tensor = &store->tensors[i];
        int64_t count = 0;
        cvm_shape_count(&tensor->shape, &count);
        if (tensor->kind == CVM_SLOT_GRADIENT)
            memset(tensor->data, 0, (size_t)count * cvm_dtype_bytes(tensor->dtype));
    }
}

void cvm_store_drop_optimizer(CvmStore *store, const CvmPlan *plan) {
    int kept = 0;
    for (int i = 0; i < store->count; i++) {
        CvmStored *tensor = &store->tensors[i];
        bool of_step = tensor->kind == CVM_SLOT_OPTIMIZER || tensor->kind == CVM_SLOT_GRADIENT;
        if (of_step && !has_slot(plan, tensor->name))
            free_tensor(tensor);
        else
            store->tensors[kept++] = *tensor;
    }
    store->count = kept;
}
