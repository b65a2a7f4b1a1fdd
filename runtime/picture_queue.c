/* See picture_queue.h. Slots form a ring. Whoever prepares pictures, the queue's own thread or the
 * pool's, claims the next slot together with the next path: so order is settled before any work
 * begins. Two locks: whoever holds `claiming` may ask the source, which can take long where it is a
 * pipe; `lock` guards the counters and is never held for long. Neither waits for room in the ring
 * while it holds `claiming`. */
#include "runtime/picture_queue.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct CvmPictureQueue {
    CvmPreparation preparation;
    CvmPathSource source;
    CvmPool *pool;
    int batch, capacity; /* capacity is a multiple of the batch: no batch is broken by the end */
    size_t picture_bytes;
    CvmQueuedPicture *pictures; /* [capacity] */
    uint8_t *pixels;            /* [capacity, picture_bytes] */

    pthread_mutex_t claiming, lock;
    pthread_cond_t changed;
    bool *ready;                      /* [capacity] */
    int64_t claimed, released, taken; /* pictures so far; the ring holds released … claimed - 1 */
    bool ended;                       /* the source has */
    bool closing;

    pthread_t thread;
    bool has_thread;
};

/* --- preparing --- */

static bool has_room(const CvmPictureQueue *queue) {
    return queue->claimed < queue->released + queue->capacity;
}

static bool is_over(const CvmPictureQueue *queue) {
    return queue->ended || queue->closing;
}

/* Claims the slot of the next picture, if it comes before the picture `end`: its index in the ring,
 * else -1. */
static int claim(CvmPictureQueue *queue, int64_t end) {
    pthread_mutex_lock(&queue->claiming);
    pthread_mutex_lock(&queue->lock);
    int64_t next = queue->claimed;
    bool possible = next < end && has_room(queue) && !is_over(queue);
    pthread_mutex_unlock(&queue->lock);
    int index = possible ? (int)(next % queue->capacity) : -1;
    if (possible) {
        CvmQueuedPicture *picture = &queue->pictures[index];
        CvmNextPath found =
            queue->source.next(queue->source.context, &picture->path, &picture->error);
        picture->prepared = found == CVM_PATH_FOUND; /* until preparing fails */
        pthread_mutex_lock(&queue->lock);
        queue->claimed += found != CVM_PATH_END;
        queue->ended = found == CVM_PATH_END;
        pthread_cond_broadcast(&queue->changed);
        pthread_mutex_unlock(&queue->lock);
        index = found == CVM_PATH_END ? -1 : index;
    }
    pthread_mutex_unlock(&queue->claiming);
    return index;
}

static void prepare(CvmPictureQueue *queue, int index) {
    CvmQueuedPicture *picture = &queue->pictures[index];
    CvmImage image;
    if (picture->prepared) {
        picture->prepared =
            cvm_prepare_picture(&queue->preparation, picture->path, &image, &picture->error);
        if (picture->prepared) {
            memcpy(picture->pixels, image.pixels, queue->picture_bytes);
            cvm_image_free(&image);
        }
    }
    pthread_mutex_lock(&queue->lock);
    queue->ready[index] = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
}

/* The queue's own thread. */
static void *prepare_ahead(void *context) {
    CvmPictureQueue *queue = context;
    bool over = false;
    while (!over) {
        pthread_mutex_lock(&queue->lock);
        while (!has_room(queue) && !is_over(queue))
            pthread_cond_wait(&queue->changed, &queue->lock);
        over = is_over(queue);
        pthread_mutex_unlock(&queue->lock);
        int index = over ? -1 : claim(queue, INT64_MAX);
        if (index >= 0)
            prepare(queue, index);
    }
    return NULL;
}

/* A thread of the pool: up to the end of the batch that is waited for. */
static void help(void *context, int thread, int threads) {
    CvmPictureQueue *queue = context;
    int index;
    (void)thread, (void)threads;
    while ((index = claim(queue, queue->taken + queue->batch)) >= 0)
        prepare(queue, index);
}

/* --- taking --- */

/* Gives back the pictures of the batch before. */
static void release(CvmPictureQueue *queue) {
    for (int64_t i = queue->released; i < queue->taken; i++) {
        int index = (int)(i % queue->capacity);
        free(queue->pictures[index].path);
        queue->pictures[index].path = NULL;
        queue->ready[index] = false;
    }
    queue->released = queue->taken;
    pthread_cond_broadcast(&queue->changed);
}

static bool all_ready(const CvmPictureQueue *queue, int64_t end) {
    for (int64_t i = queue->taken; i < end; i++)
        if (!queue->ready[i % queue->capacity])
            return false;
    return true;
}

int cvm_picture_queue_take(CvmPictureQueue *queue, const CvmQueuedPicture **pictures) {
    pthread_mutex_lock(&queue->lock);
    release(queue);
    int64_t end = queue->taken + queue->batch;
    bool complete = queue->claimed >= end || queue->ended;
    pthread_mutex_unlock(&queue->lock);
    if (!complete)
        cvm_pool_run(queue->pool, help, queue);
    pthread_mutex_lock(&queue->lock);
    end = queue->claimed < end ? queue->claimed : end;
    while (!all_ready(queue, end))
        pthread_cond_wait(&queue->changed, &queue->lock);
    int count = (int)(end - queue->taken);
    *pictures = &queue->pictures[queue->taken % queue->capacity];
    queue->taken = end;
    pthread_mutex_unlock(&queue->lock);
    return count;
}

/* --- making one --- */

static bool allocate(CvmPictureQueue *queue) {
    size_t room = (size_t)queue->capacity;
    const CvmPreparation *p = &queue->preparation;
    queue->picture_bytes = (size_t)p->channels * (size_t)p->height * (size_t)p->width;
    queue->pictures = calloc(room, sizeof *queue->pictures);
    queue->ready = calloc(room, sizeof *queue->ready);
    queue->pixels = calloc(room, queue->picture_bytes);
    if (!queue->pictures || !queue->ready || !queue->pixels)
        return false;
    for (size_t i = 0; i < room; i++)
        queue->pictures[i].pixels = queue->pixels + i * queue->picture_bytes;
    return true;
}

CvmPictureQueue *cvm_picture_queue_create(const CvmPreparation *preparation, CvmPathSource source,
                                          int batch, bool ahead, CvmPool *pool, CvmError *error) {
    CvmPictureQueue *queue = calloc(1, sizeof *queue);
    if (queue) {
        queue->preparation = *preparation;
        queue->source = source;
        queue->pool = pool;
        queue->batch = batch;
        queue->capacity = ahead ? 2 * batch : batch;
        pthread_mutex_init(&queue->claiming, NULL);
        pthread_mutex_init(&queue->lock, NULL);
        pthread_cond_init(&queue->changed, NULL);
    }
    if (!queue || !allocate(queue)) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a batch of %d pictures", batch);
    } else if (ahead && pthread_create(&queue->thread, NULL, prepare_ahead, queue) != 0) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "cannot start a thread to read pictures");
    } else {
        queue->has_thread = ahead;
        return queue;
    }
    cvm_picture_queue_free(queue);
    return NULL;
}

void cvm_picture_queue_free(CvmPictureQueue *queue) {
    if (!queue)
        return;
    pthread_mutex_lock(&queue->lock);
    queue->closing = true;
    pthread_cond_broadcast(&queue->changed);
    pthread_mutex_unlock(&queue->lock);
    if (queue->has_thread)
        pthread_join(queue->thread, NULL);
    for (int i = 0; queue->pictures && i < queue->capacity; i++)
        free(queue->pictures[i].path);
    pthread_mutex_destroy(&queue->claiming);
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->changed);
    free(queue->pictures);
    free(queue->ready);
    free(queue->pixels);
    free(queue);
}
