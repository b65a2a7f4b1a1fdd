/* Work done ahead of whoever takes its results: items in order, a batch at a time, through a ring
 * of two batches. A thread of its own prepares the next batch while this one is computed on; where
 * the computing is the faster, the threads that wait for the batch help to prepare it. What comes
 * out does not depend on who prepared it. */
#ifndef CVM_RUNTIME_AHEAD_H
#define CVM_RUNTIME_AHEAD_H

#include "runtime/error.h"
#include "runtime/pool.h"

#include <stdint.h>

/* What is done. A slot is an item's place in the ring, from 0 to twice the batch - 1 (the batch - 1
 * without an own thread); it is the item's from its claim to the call of take after the one that
 * gave it. */
typedef struct CvmAheadItems {
    /* Claims the next item, by one thread at a time, of any thread, and may wait. False: there are
     * no more. */
    bool (*claim)(void *context, int64_t item, int slot);
    /* By several threads at once, for different slots. */
    void (*prepare)(void *context, int slot);
    void *context; /* outlives the ring */
} CvmAheadItems;

typedef struct CvmAhead CvmAhead;

/* own_thread: gains where a processor is free for it; without one it takes time from threads that
 * all others wait for at each kernel's end. The pool is the caller's and outlives the ring. NULL on
 * error (machine): no memory, no thread. */
CvmAhead *cvm_ahead_create(CvmAheadItems items, int batch, bool own_thread, CvmPool *pool,
                           CvmError *error);

/* The next items, `batch` of them or at the end fewer, and 0 when there are none left, in slots
 * from *first on; theirs until the next call. To be called by the pool's owner. */
int cvm_ahead_take(CvmAhead *ahead, int *first);

/* Before the end, too: waits for items that are being prepared. NULL is allowed. */
void cvm_ahead_free(CvmAhead *ahead);

/* How many slots a ring has. */
int cvm_ahead_slots(int batch, bool own_thread);

#endif
