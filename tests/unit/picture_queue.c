/* The queue of prepared pictures: in order at any number of threads and batch size, failures among
 * them, bounded, and ahead of who takes. */
#include "runtime/picture_queue.h"

#include "tests/support/command.h"
#include "tests/support/shapes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

enum { COUNT = 23, PICTURE = 3 * CVM_SHAPE_SIDE * CVM_SHAPE_SIDE };

static CvmTestPlace place;
static const CvmPreparation preparation = {
    .channels = 3, .height = CVM_SHAPE_SIDE, .width = CVM_SHAPE_SIDE};

/* Every sixth is no picture, every seventh a folder that cannot be read. */
static bool is_broken(int i) {
    return i % 6 == 4;
}
static bool is_failure(int i) {
    return i % 7 == 5 && !is_broken(i);
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    for (int i = 0; i < COUNT; i++) {
        char path[512];
        CvmError error;
        snprintf(path, sizeof path, "%s/%02d.png", place.folder, i);
        CvmImage shape = cvm_test_shape(i % CVM_SHAPE_CLASSES, (uint32_t)i);
        if (is_broken(i))
            cvm_test_write_text(&place, path, "broken");
        else
            assert_true(cvm_image_write_png(path, &shape, &error));
        cvm_image_free(&shape);
    }
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

/* A source that counts, and sees whether two threads ask at once. */
typedef struct Source {
    atomic_int given;
    atomic_flag busy;
} Source;

static CvmNextPath next(void *context, char **path, CvmError *error) {
    Source *source = context;
    if (atomic_flag_test_and_set(&source->busy))
        abort();
    int i = source->given;
    CvmNextPath found = i == COUNT ? CVM_PATH_END : CVM_PATH_FOUND;
    if (found == CVM_PATH_FOUND && asprintf(path, "%s/%02d.png", place.folder, i) < 0)
        abort();
    if (found == CVM_PATH_FOUND && is_failure(i)) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "failure %d", i);
        found = CVM_PATH_FAILED;
    }
    source->given += found != CVM_PATH_END;
    atomic_flag_clear(&source->busy);
    return found;
}

static CvmPictureQueue *make_queue(Source *source, int batch, bool ahead, CvmPool *pool) {
    CvmError error;
    *source = (Source){.busy = ATOMIC_FLAG_INIT};
    CvmPictureQueue *queue = cvm_picture_queue_create(&preparation, (CvmPathSource){next, source},
                                                      batch, ahead, pool, &error);
    if (!queue)
        fail_msg("%s", error.message);
    return queue;
}

static void expect_picture(const CvmQueuedPicture *picture, int i) {
    char name[16];
    snprintf(name, sizeof name, "/%02d.png", i);
    assert_string_equal(strrchr(picture->path, '/'), name);
    assert_int_equal(picture->prepared, !is_broken(i) && !is_failure(i));
    if (picture->prepared) {
        CvmImage shape = cvm_test_shape(i % CVM_SHAPE_CLASSES, (uint32_t)i);
        assert_memory_equal(picture->pixels, shape.pixels, PICTURE);
        cvm_image_free(&shape);
    } else if (is_failure(i)) {
        assert_non_null(strstr(picture->error.message, "failure"));
    } else {
        assert_non_null(strstr(picture->error.message, "neither a PNG nor a JPEG"));
    }
}

static void pictures_come_in_order(void **state) {
    (void)state;
    static const int batches[] = {1, 2, 7, COUNT, 64};
    for (int threads = 1; threads <= 3; threads++) {
        CvmError error;
        CvmPool *pool = cvm_pool_create(threads, &error);
        for (size_t b = 0; b < sizeof batches / sizeof *batches; b++) {
            Source source;
            const CvmQueuedPicture *pictures;
            CvmPictureQueue *queue = make_queue(&source, batches[b], threads != 2, pool);
            int seen = 0, count;
            while ((count = cvm_picture_queue_take(queue, &pictures)) > 0) {
                int rest = COUNT - seen;
                assert_int_equal(count, rest < batches[b] ? rest : batches[b]);
                assert_true(source.given <= seen + 2 * batches[b]); /* bounded */
                for (int i = 0; i < count; i++)
                    expect_picture(&pictures[i], seen++);
            }
            assert_int_equal(seen, COUNT);
            assert_int_equal(cvm_picture_queue_take(queue, &pictures), 0);
            cvm_picture_queue_free(queue);
        }
        cvm_pool_free(pool);
    }
}

/* Nobody waits, and the next batch is prepared all the same; but not the one after it. */
static void the_next_batch_is_prepared_meanwhile(void **state) {
    (void)state;
    CvmError error;
    Source source;
    const CvmQueuedPicture *pictures;
    CvmPool *pool = cvm_pool_create(2, &error);
    CvmPictureQueue *queue = make_queue(&source, 4, true, pool);
    const struct timespec pause = {0, 1000000};
    assert_int_equal(cvm_picture_queue_take(queue, &pictures), 4);
    for (int i = 0; source.given < 8 && i < 20000; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(source.given, 8);
    for (int i = 0; i < 20; i++)
        nanosleep(&pause, NULL);
    assert_int_equal(source.given, 8);
    expect_picture(&pictures[3], 3); /* still the taker's */
    cvm_picture_queue_free(queue);
    cvm_pool_free(pool);
}

static void without_a_thread_nothing_is_prepared_ahead(void **state) {
    (void)state;
    CvmError error;
    Source source;
    const CvmQueuedPicture *pictures;
    CvmPool *pool = cvm_pool_create(2, &error);
    CvmPictureQueue *queue = make_queue(&source, 4, false, pool);
    assert_int_equal(source.given, 0);
    assert_int_equal(cvm_picture_queue_take(queue, &pictures), 4);
    assert_int_equal(source.given, 4);
    cvm_picture_queue_free(queue);
    cvm_pool_free(pool);
}

static void a_queue_may_be_freed_at_any_time(void **state) {
    (void)state;
    CvmError error;
    CvmPool *pool = cvm_pool_create(2, &error);
    for (int taken = 0; taken < 4; taken++) {
        Source source;
        const CvmQueuedPicture *pictures;
        CvmPictureQueue *queue = make_queue(&source, 3, true, pool);
        for (int i = 0; i < taken; i++)
            cvm_picture_queue_take(queue, &pictures);
        cvm_picture_queue_free(queue);
    }
    cvm_pool_free(pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pictures_come_in_order),
        cmocka_unit_test(the_next_batch_is_prepared_meanwhile),
        cmocka_unit_test(without_a_thread_nothing_is_prepared_ahead),
        cmocka_unit_test(a_queue_may_be_freed_at_any_time),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
