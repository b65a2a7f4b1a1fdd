/* See feeder.h. Ahead, an item of the ring (ahead.h) is a run of pictures long enough to be worth a
 * claim, or one picture that has to be read from a file; the memory of a part is that of its items
 * side by side, and the plan reads it there. */
#include "runtime/feeder.h"

#include "runtime/ahead.h"
#include "runtime/clock.h"
#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

enum { ITEM_PIXELS = 16384, MAX_INSTANCES = 2 };

/* A run of pictures in the ring. */
typedef struct Item {
    int64_t begin, count; /* in the order */
    bool failed;
    CvmError error;
} Item;

struct CvmFeeder {
    const CvmFeed *feed;
    const int32_t *order;
    int64_t count, part, done;
    CvmPool *pool;
    double waited;

    CvmAhead *ahead; /* NULL: parts are filled when they are asked for */
    int64_t picture; /* numbers of one */
    int64_t run;     /* pictures an item */
    int items;       /* a part */
    Item *slots;     /* of two parts */
    float *images;   /* [2, part, picture] */
    int64_t image_bytes;
    int32_t *labels; /* [2, part] */

    CvmInstance *bound[MAX_INSTANCES]; /* whose input lies in `images` */
    int inputs[MAX_INSTANCES], bound_count;
};

/* --- ahead --- */

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Where a slot's pictures begin among those of both parts. */
static int64_t place_of(const CvmFeeder *feeder, int slot) {
    return slot / feeder->items * feeder->part + slot % feeder->items * feeder->run;
}

static bool claim(void *context, int64_t number, int slot) {
    CvmFeeder *feeder = context;
    Item *item = &feeder->slots[slot];
    int64_t inside = number % feeder->items * feeder->run;
    item->begin = number / feeder->items * feeder->part + inside;
    item->count = smaller(smaller(feeder->run, feeder->part - inside), feeder->count - item->begin);
    return item->count > 0;
}

static void prepare(void *context, int slot) {
    CvmFeeder *feeder = context;
    Item *item = &feeder->slots[slot];
    int64_t place = place_of(feeder, slot);
    const CvmBatch run = {.data = feeder->feed->data,
                          .normalization = feeder->feed->normalization,
                          .augmentation = feeder->feed->augmentation,
                          .samples = feeder->order + item->begin,
                          .count = item->count,
                          .images = feeder->images + place * feeder->picture,
                          .labels = feeder->labels + place};
    item->failed = !cvm_dataset_fill(&run, &item->error);
}

static void bind(CvmFeeder *feeder, CvmInstance *instance, const CvmFeedPorts *ports,
                 const float *images) {
    int i = 0;
    cvm_instance_bind_input(instance, ports->index, images);
    while (i < feeder->bound_count && feeder->bound[i] != instance)
        i++;
    if (i == feeder->bound_count && i < MAX_INSTANCES) {
        feeder->bound[i] = instance;
        feeder->inputs[i] = ports->index;
        feeder->bound_count++;
    }
}

static bool take(CvmFeeder *feeder, CvmInstance *instance, const CvmFeedPorts *ports, int64_t count,
                 int32_t *labels, CvmError *error) {
    int first, items = cvm_ahead_take(feeder->ahead, &first);
    for (int i = 0; i < items; i++)
        if (feeder->slots[first + i].failed) {
            *error = feeder->slots[first + i].error;
            return false;
        }
    int64_t place = place_of(feeder, first);
    float *images = feeder->images + place * feeder->picture;
    memcpy(labels, feeder->labels + place, (size_t)count * sizeof *labels);
    memset(images + count * feeder->picture, 0,
           (size_t)((ports->batch - count) * feeder->picture) * sizeof *images);
    bind(feeder, instance, ports, images);
    return true;
}

static bool open_ahead(CvmFeeder *feeder, CvmError *error) {
    const CvmDataset *data = feeder->feed->data;
    const CvmAheadItems items = {claim, prepare, feeder};
    feeder->picture = cvm_dataset_numbers(data, feeder->feed->augmentation);
    feeder->run = data->pixels && feeder->picture < ITEM_PIXELS ? ITEM_PIXELS / feeder->picture : 1;
    feeder->run = smaller(feeder->run, feeder->part);
    feeder->items = (int)((feeder->part - 1) / feeder->run + 1);
    feeder->image_bytes = 2 * feeder->part * feeder->picture * (int64_t)sizeof(float);
    feeder->images = cvm_memory_allocate(feeder->image_bytes);
    feeder->labels = calloc(2 * (size_t)feeder->part, sizeof *feeder->labels);
    feeder->slots = calloc((size_t)cvm_ahead_slots(feeder->items, true), sizeof *feeder->slots);
    if (!feeder->images || !feeder->labels || !feeder->slots)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to read %lld pictures ahead",
                             (long long)feeder->part);
    feeder->ahead = cvm_ahead_create(items, feeder->items, true, feeder->pool, error);
    return feeder->ahead != NULL;
}

/* --- all --- */

CvmFeeder *cvm_feeder_open(const CvmFeed *feed, const int32_t *order, int64_t count, int64_t part,
                           CvmPool *pool, CvmError *error) {
    CvmFeeder *feeder = calloc(1, sizeof *feeder);
    if (!feeder) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to feed pictures");
        return NULL;
    }
    *feeder = (CvmFeeder){.feed = feed, .order = order, .count = count, .part = part, .pool = pool};
    if (!feed->ahead || feed->features || open_ahead(feeder, error))
        return feeder;
    cvm_feeder_close(feeder);
    return NULL;
}

bool cvm_feeder_next(CvmFeeder *feeder, CvmInstance *instance, const CvmFeedPorts *ports,
                     int32_t *labels, CvmError *error) {
    double began = cvm_seconds();
    int64_t count = smaller(feeder->count - feeder->done, feeder->part);
    bool done = feeder->ahead ? take(feeder, instance, ports, count, labels, error)
                              : cvm_feed_fill(feeder->feed, ports, feeder->order + feeder->done,
                                              count, labels, feeder->pool, error);
    feeder->done += count;
    feeder->waited += cvm_seconds() - began;
    return done;
}

double cvm_feeder_waited(const CvmFeeder *feeder) {
    return feeder->waited;
}

void cvm_feeder_close(CvmFeeder *feeder) {
    if (!feeder)
        return;
    cvm_ahead_free(feeder->ahead);
    for (int i = 0; i < feeder->bound_count; i++)
        cvm_instance_bind_input(feeder->bound[i], feeder->inputs[i], NULL);
    if (feeder->images)
        cvm_memory_free(feeder->images, feeder->image_bytes);
    free(feeder->labels);
    free(feeder->slots);
    free(feeder);
}
