/* See pictures.h. */
#include "compiler/driver/pictures.h"

#include "compiler/driver/answers.h"
#include "compiler/driver/classify.h"
#include "compiler/driver/picture_paths.h"
#include "compiler/driver/report.h"
#include "runtime/picture_queue.h"

#include <stdlib.h>

enum { BATCH = 8 };

/* Prints a batch's answers; false when a picture could not be read. */
static bool tell(const CvmClassifier *classifier, const CvmQueuedPicture *pictures, int count) {
    bool all = true;
    for (int i = 0; i < count; i++) {
        if (pictures[i].prepared)
            cvm_print_answer(classifier, pictures[i].path, i);
        else
            cvm_print_failure(classifier, pictures[i].path, pictures[i].error.message);
        all &= pictures[i].prepared;
    }
    fflush(stdout); /* a reader follows a long list batch by batch */
    return all;
}

static bool classify_queue(const CvmClassifier *classifier, CvmPictureQueue *queue,
                           const uint8_t **pixels) {
    const CvmQueuedPicture *pictures;
    bool all = true;
    int count;
    while ((count = cvm_picture_queue_take(queue, &pictures)) > 0) {
        bool any = false;
        for (int i = 0; i < count; i++) {
            pixels[i] = pictures[i].prepared ? pictures[i].pixels : NULL;
            any |= pictures[i].prepared;
        }
        if (any)
            cvm_classify(classifier, pixels, count);
        all &= tell(classifier, pictures, count);
    }
    return all;
}

static bool classify(CvmSession *session, const CvmNormalization *trained, int batch,
                     CvmPicturePaths *paths) {
    CvmClassifier classifier;
    CvmError error;
    if (!cvm_classifier_open(session, trained, batch, &classifier))
        return false;
    const uint8_t **pixels = cvm_arena_array(session->arena, (size_t)batch, sizeof *pixels);
    bool spare = cvm_pool_processors() > cvm_pool_threads(classifier.pool);
    CvmPictureQueue *queue =
        cvm_picture_queue_create(&classifier.preparation, cvm_picture_paths_source(paths), batch,
                                 spare, classifier.pool, &error);
    if (!queue)
        return cvm_session_fail(session, &error);
    cvm_print_answers_head(&classifier);
    bool all = classify_queue(&classifier, queue, pixels);
    cvm_picture_queue_free(queue);
    if (!all)
        session->status = CVM_EXIT_INPUT;
    return all;
}

bool cvm_classify_pictures(CvmSession *session, const CvmNormalization *trained,
                           const char *const *arguments, int count) {
    CvmPicturePaths paths;
    if (!cvm_picture_paths_open(session, arguments, count, session->options->list, &paths))
        return false;
    int batch = (int)session->options->batch;
    if (!batch)
        batch = cvm_picture_paths_are(&paths, BATCH) ? BATCH : 1;
    bool all = classify(session, trained, batch, &paths);
    cvm_picture_paths_close(&paths);
    return all;
}
