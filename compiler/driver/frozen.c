/* See frozen.h. */
#include "compiler/driver/frozen.h"

#include <string.h>

static size_t bytes_of(const CvmStored *stored) {
    int64_t count = 0;
    cvm_shape_count(&stored->shape, &count);
    return (size_t)count * cvm_dtype_bytes(stored->dtype);
}

CvmFrozen cvm_frozen_copy(const CvmSession *session) {
    const CvmStore *store = &session->store;
    size_t most = (size_t)store->count;
    CvmFrozen frozen = {
        .tensors = cvm_arena_array(session->arena, most, sizeof *frozen.tensors),
        .copies = cvm_arena_array(session->arena, most, sizeof *frozen.copies),
    };
    for (int i = 0; i < store->count; i++) {
        const CvmStored *stored = &store->tensors[i];
        if (stored->kind == CVM_SLOT_OPTIMIZER ||
            cvm_train_multiplier(session->train, stored->name) != 0)
            continue;
        frozen.tensors[frozen.count] = stored;
        frozen.copies[frozen.count] = cvm_arena_alloc(session->arena, bytes_of(stored));
        memcpy(frozen.copies[frozen.count++], stored->data, bytes_of(stored));
    }
    return frozen;
}

int cvm_frozen_changed(const CvmFrozen *frozen) {
    int changed = 0;
    for (int i = 0; i < frozen->count; i++)
        changed +=
            memcmp(frozen->copies[i], frozen->tensors[i]->data, bytes_of(frozen->tensors[i])) != 0;
    return changed;
}
