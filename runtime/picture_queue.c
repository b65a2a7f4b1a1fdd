/* See picture_queue.h. The ring (ahead.h) settles the order; an item is claimed together with its
 * path. */
#include "runtime/picture_queue.h"

#include "runtime/ahead.h"

#include <stdlib.h>
#include <string.h>

struct CvmPictureQueue {
    CvmPreparation preparation;
    CvmPathSource source;
    CvmAhead *ahead;
    size_t picture_bytes;
    CvmQueuedPicture *pictures; /* [slots] */
    uint8_t *pixels;            /* [slots, picture_bytes] */
    int slots, first, count;    /* first, count: the batch that was taken last */
};

/* --- preparing --- */

static bool claim(void *context, int64_t item, int slot) {
    CvmPictureQueue *queue = context;
    CvmQueuedPicture *picture = &queue->pictures[slot];
    (void)item;
    CvmNextPath found = queue->source.next(queue->source.context, &picture->path, &picture->error);
    picture->prepared = found == CVM_PATH_FOUND; /* until preparing fails */
    return found != CVM_PATH_END;
}

static void prepare(void *context, int slot) {
    CvmPictureQueue *queue = context;
    CvmQueuedPicture *picture = &queue->pictures[slot];
    CvmImage image;
    if (!picture->prepared)
        return;
    picture->prepared =
        cvm_prepare_picture(&queue->preparation, picture->path, &image, &picture->error);
    if (picture->prepared) {
        memcpy(picture->pixels, image.pixels, queue->picture_bytes);
        cvm_image_free(&image);
    }
}

/* --- taking --- */

static void forget(CvmPictureQueue *queue, int first, int count) {
    for (int i = first; queue->pictures && i < first + count; i++) {
        free(queue->pictures[i].path);
        queue->pictures[i].path = NULL;
    }
}

int cvm_picture_queue_take(CvmPictureQueue *queue, const CvmQueuedPicture **pictures) {
    forget(queue, queue->first, queue->count);
    queue->count = cvm_ahead_take(queue->ahead, &queue->first);
    *pictures = &queue->pictures[queue->first];
    return queue->count;
}

/* --- making one --- */

static bool allocate(CvmPictureQueue *queue) {
    const CvmPreparation *p = &queue->preparation;
    queue->picture_bytes = (size_t)p->channels * (size_t)p->height * (size_t)p->width;
    queue->pictures = calloc((size_t)queue->slots, sizeof *queue->pictures);
    queue->pixels = calloc((size_t)queue->slots, queue->picture_bytes);
    for (int i = 0; queue->pictures && queue->pixels && i < queue->slots; i++)
        queue->pictures[i].pixels = queue->pixels + (size_t)i * queue->picture_bytes;
    return queue->pictures && queue->pixels;
}

CvmPictureQueue *cvm_picture_queue_create(const CvmPreparation *preparation, CvmPathSource source,
                                          int batch, bool ahead, CvmPool *pool, CvmError *error) {
    CvmPictureQueue *queue = calloc(1, sizeof *queue);
    const CvmAheadItems items = {claim, prepare, queue};
    if (queue) {
        queue->preparation = *preparation;
        queue->source = source;
        queue->slots = cvm_ahead_slots(batch, ahead);
    }
    if (!queue || !allocate(queue))
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for a batch of %d pictures", batch);
    else
        queue->ahead = cvm_ahead_create(items, batch, ahead, pool, error);
    if (queue && queue->ahead)
        return queue;
    cvm_picture_queue_free(queue);
    return NULL;
}

void cvm_picture_queue_free(CvmPictureQueue *queue) {
    if (!queue)
        return;
    cvm_ahead_free(queue->ahead);
    forget(queue, 0, queue->slots);
    free(queue->pictures);
    free(queue->pixels);
    free(queue);
}
