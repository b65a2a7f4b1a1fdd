/* See ahead.h. Whoever prepares items, the ring's own thread or the pool's, claims the next slot
 * together with the next item: so order is settled before any work begins. Two locks: whoever holds
 * `claiming` may be in the caller's claim, which can take long where it reads from a pipe; `lock`
 * guards the counters and is never held for long. Neither waits for room in the ring while it holds
 * `claiming`. */
#include "runtime/ahead.h"

#include <pthread.h>
#include <stdlib.h>

struct CvmAhead {
    CvmAheadItems items;
    CvmPool *pool;
    int batch, capacity; /* capacity is a multiple of the batch: no batch is broken by the end */

    pthread_mutex_t claiming, lock;
    pthread_cond_t changed;
    bool *ready;                      /* [capacity] */
    int64_t claimed, released, taken; /* items so far; the ring holds released … claimed - 1 */
    bool ended;                       /* there are no more items */
    bool closing;

    pthread_t thread;
    bool has_thread;
};

/* --- preparing --- */

static bool has_room(const CvmAhead *ahead) {
    return ahead->claimed < ahead->released + ahead->capacity;
}

static bool is_over(const CvmAhead *ahead) {
    return ahead->ended || ahead->closing;
}

/* Claims the next item, if it comes before the item `end`: its slot, else -1. */
static int claim(CvmAhead *ahead, int64_t end) {
    pthread_mutex_lock(&ahead->claiming);
    pthread_mutex_lock(&ahead->lock);
    int64_t next = ahead->claimed;
    bool possible = next < end && has_room(ahead) && !is_over(ahead);
    pthread_mutex_unlock(&ahead->lock);
    int slot = possible ? (int)(next % ahead->capacity) : -1;
    if (possible) {
        bool found = ahead->items.claim(ahead->items.context, next, slot);
        pthread_mutex_lock(&ahead->lock);
        ahead->claimed += found;
        ahead->ended = !found;
        pthread_cond_broadcast(&ahead->changed);
        pthread_mutex_unlock(&ahead->lock);
        slot = found ? slot : -1;
    }
    pthread_mutex_unlock(&ahead->claiming);
    return slot;
}

static void prepare(CvmAhead *ahead, int slot) {
    ahead->items.prepare(ahead->items.context, slot);
    pthread_mutex_lock(&ahead->lock);
    ahead->ready[slot] = true;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
}

/* The ring's own thread. */
static void *prepare_ahead(void *context) {
    CvmAhead *ahead = context;
    bool over = false;
    while (!over) {
        pthread_mutex_lock(&ahead->lock);
        while (!has_room(ahead) && !is_over(ahead))
            pthread_cond_wait(&ahead->changed, &ahead->lock);
        over = is_over(ahead);
        pthread_mutex_unlock(&ahead->lock);
        int slot = over ? -1 : claim(ahead, INT64_MAX);
        if (slot >= 0)
            prepare(ahead, slot);
    }
    return NULL;
}

/* A thread of the pool: up to the end of the batch that is waited for. */
static void help(void *context, int thread, int threads) {
    CvmAhead *ahead = context;
    int slot;
    (void)thread, (void)threads;
    while ((slot = claim(ahead, ahead->taken + ahead->batch)) >= 0)
        prepare(ahead, slot);
}

/* --- taking --- */

/* Gives back the slots of the batch before. */
static void release(CvmAhead *ahead) {
    for (int64_t i = ahead->released; i < ahead->taken; i++)
        ahead->ready[i % ahead->capacity] = false;
    ahead->released = ahead->taken;
    pthread_cond_broadcast(&ahead->changed);
}

static bool all_ready(const CvmAhead *ahead, int64_t end) {
    for (int64_t i = ahead->taken; i < end; i++)
        if (!ahead->ready[i % ahead->capacity])
            return false;
    return true;
}

int cvm_ahead_take(CvmAhead *ahead, int *first) {
    pthread_mutex_lock(&ahead->lock);
    release(ahead);
    int64_t end = ahead->taken + ahead->batch;
    bool complete = ahead->claimed >= end || ahead->ended;
    pthread_mutex_unlock(&ahead->lock);
    if (!complete)
        cvm_pool_run(ahead->pool, help, ahead);
    pthread_mutex_lock(&ahead->lock);
    end = ahead->claimed < end ? ahead->claimed : end;
    while (!all_ready(ahead, end))
        pthread_cond_wait(&ahead->changed, &ahead->lock);
    int count = (int)(end - ahead->taken);
    *first = (int)(ahead->taken % ahead->capacity);
    ahead->taken = end;
    pthread_mutex_unlock(&ahead->lock);
    return count;
}

/* --- making one --- */

int cvm_ahead_slots(int batch, bool own_thread) {
    return own_thread ? 2 * batch : batch;
}

CvmAhead *cvm_ahead_create(CvmAheadItems items, int batch, bool own_thread, CvmPool *pool,
                           CvmError *error) {
    CvmAhead *ahead = calloc(1, sizeof *ahead);
    if (ahead) {
        ahead->items = items;
        ahead->pool = pool;
        ahead->batch = batch;
        ahead->capacity = cvm_ahead_slots(batch, own_thread);
        pthread_mutex_init(&ahead->claiming, NULL);
        pthread_mutex_init(&ahead->lock, NULL);
        pthread_cond_init(&ahead->changed, NULL);
        ahead->ready = calloc((size_t)ahead->capacity, sizeof *ahead->ready);
    }
    if (!ahead || !ahead->ready) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a batch of %d pictures", batch);
    } else if (own_thread && pthread_create(&ahead->thread, NULL, prepare_ahead, ahead) != 0) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot start a thread to read pictures");
    } else {
        ahead->has_thread = own_thread;
        return ahead;
    }
    cvm_ahead_free(ahead);
    return NULL;
}

void cvm_ahead_free(CvmAhead *ahead) {
    if (!ahead)
        return;
    pthread_mutex_lock(&ahead->lock);
    ahead->closing = true;
    pthread_cond_broadcast(&ahead->changed);
    pthread_mutex_unlock(&ahead->lock);
    if (ahead->has_thread)
        pthread_join(ahead->thread, NULL);
    pthread_mutex_destroy(&ahead->claiming);
    pthread_mutex_destroy(&ahead->lock);
    pthread_cond_destroy(&ahead->changed);
    free(ahead->ready);
    free(ahead);
}
