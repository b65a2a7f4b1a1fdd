/* See frozen.h. */
#include "compiler/driver/frozen.h"

#include "runtime/hash.h"

static uint64_t hash_of(const CvmStored *stored) {
    int64_t count = 0;
    cvm_shape_count(&stored->shape, &count);
    return cvm_hash(0, stored->data, (size_t)count * cvm_dtype_bytes(stored->dtype));
}

static bool is_frozen(const CvmSession *session, const CvmStored *stored) {
    return (stored->kind == CVM_SLOT_PARAMETER || stored->kind == CVM_SLOT_STATISTIC) &&
           cvm_train_multiplier(session->train, stored->name) == 0;
}

CvmFrozen cvm_frozen_note(const CvmSession *session) {
    const CvmStore *store = &session->store;
    CvmFrozen frozen = {
        .hashes = cvm_arena_array(session->arena, (size_t)store->count + 1, sizeof *frozen.hashes)};
    for (int i = 0; i < store->count; i++)
        if (is_frozen(session, &store->tensors[i]))
            frozen.hashes[frozen.count++] = hash_of(&store->tensors[i]);
    return frozen;
}

int cvm_frozen_changed(const CvmSession *session, const CvmFrozen *frozen) {
    const CvmStore *store = &session->store;
    int changed = 0, at = 0;
    for (int i = 0; i < store->count && at < frozen->count; i++)
        if (is_frozen(session, &store->tensors[i]))
            changed += hash_of(&store->tensors[i]) != frozen->hashes[at++];
    return changed;
}
