/* Pictures prepared ahead of whoever classifies them: a bounded queue between a source of paths and
 * batches of pixels. Its own thread reads, decodes and scales the next batch while this one is
 * computed on; where the computing is the faster, the threads that wait for the batch help to
 * prepare it. Batches come in the order of the paths, whoever prepared them, and memory is that of
 * two batches, however many pictures there are. */
#ifndef CVM_RUNTIME_PICTURE_QUEUE_H
#define CVM_RUNTIME_PICTURE_QUEUE_H

#include "runtime/pool.h"
#include "runtime/preparation.h"

typedef enum CvmNextPath {
    CVM_PATH_END,    /* there are no more */
    CVM_PATH_FOUND,  /* a picture's path */
    CVM_PATH_FAILED, /* what was to have more paths cannot be read; others may follow */
} CvmNextPath;

/* Where paths come from. `next` is called by one thread at a time, of any thread, and may wait. It
 * gives a path to be freed by the queue, when it failed that of the folder or list, and the error.
 */
typedef struct CvmPathSource {
    CvmNextPath (*next)(void *context, char **path, CvmError *error);
    void *context;
} CvmPathSource;

/* A picture, or why there is none. */
typedef struct CvmQueuedPicture {
    char *path;
    bool prepared;   /* else `error` says why not */
    uint8_t *pixels; /* [channels, height, width] */
    CvmError error;
} CvmQueuedPicture;

typedef struct CvmPictureQueue CvmPictureQueue;

/* Takes from the source until it ends. `batch`: pictures a batch; `ahead`: with a thread of its
 * own. That one gains where a processor is free for it; without one it takes time from threads that
 * all others wait for at each kernel's end. Source and pool are the caller's and outlive the queue.
 * NULL on error (machine): no memory, no thread. */
CvmPictureQueue *cvm_picture_queue_create(const CvmPreparation *preparation, CvmPathSource source,
                                          int batch, bool ahead, CvmPool *pool, CvmError *error);

/* The next pictures, `batch` of them or at the end fewer, and 0 when there are none left; theirs
 * until the next call. To be called by the pool's owner. */
int cvm_picture_queue_take(CvmPictureQueue *queue, const CvmQueuedPicture **pictures);

/* Before the end, too: waits for pictures that are being prepared. */
void cvm_picture_queue_free(CvmPictureQueue *queue);

#endif
