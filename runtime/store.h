/* The tensors that outlive a step, by name: parameters, running statistics, optimizer state. Plans
 * bind to a store; checkpoints are read into and written from one. */
#ifndef CVM_RUNTIME_STORE_H
#define CVM_RUNTIME_STORE_H

#include "runtime/error.h"
#include "runtime/plan.h"

typedef struct CvmStored {
    char *name;
    CvmSlotKind kind;
    CvmDtype dtype;
    CvmShape shape;
    void *data;    /* the store's own, aligned to CVM_ALIGNMENT, or borrowed */
    int lanes;     /* data lies as filters of so many lanes (filters.h); 0: plain, row-major */
    bool borrowed; /* lies in a file's mapping, say, which must outlive the store: only read */
} CvmStored;

typedef struct CvmStore {
    CvmStored *tensors;
    int count, capacity;
} CvmStore;

/* An empty store; never fails. */
void cvm_store_init(CvmStore *store);
void cvm_store_free(CvmStore *store);

/* Adds one slot that the store lacks, with its starting values; or, where `borrowed` is not NULL,
 * on that memory, which holds its elements, is aligned to one of them and is never written. The
 * tensor stays where it is until the next one is added. NULL on error. */
CvmStored *cvm_store_add(CvmStore *store, const CvmSlot *slot, uint64_t seed, const void *borrowed,
                         CvmError *error);

/* Adds every slot of `plan` that the store lacks, with its starting values: random numbers are
 * keyed by (seed, slot name) and the place in plain order, so they do not depend on the order of
 * slots, on other layers or on packing. A slot that exists is brought into the plan's order, of
 * elements, where it lies: no instance of a plan that has it in another one may run any more.
 * Error: a slot that exists with another shape, one to be reordered that is borrowed, or no memory.
 */
bool cvm_store_add_slots(CvmStore *store, const CvmPlan *plan, uint64_t seed, CvmError *error);

/* Makes zeros of the sums of gradients. */
void cvm_store_clear_gradients(CvmStore *store);

/* Removes the optimizer state and sums of gradients that `plan` has no slot for: what does not
 * learn any more has none, and starts anew should it learn again. */
void cvm_store_drop_optimizer(CvmStore *store, const CvmPlan *plan);

/* Elements in plain order, out of a tensor and into it. */
void cvm_stored_read(const CvmStored *tensor, void *plain);
void cvm_stored_write(CvmStored *tensor, const void *plain);

/* The same from one tensor into another of its type and shape, whose orders are the same, or one of
 * them plain. */
void cvm_stored_copy(const CvmStored *from, CvmStored *to);

int64_t cvm_stored_bytes(const CvmStored *tensor);

/* The tensor as a slot of the name it has. */
CvmSlot cvm_stored_slot(const CvmStored *tensor);

/* The tensor called name, or NULL. */
CvmStored *cvm_store_find(const CvmStore *store, const char *name);

#endif
