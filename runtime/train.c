/* See train.h. An epoch is a loop over batches, and each is one over its parts: fill a plan's
 * inputs, run it, take its loss. A plan is made for one number of pictures, so that the rest of the
 * data set that fills no part has its own. */
#include "runtime/train.h"

#include "runtime/clock.h"
#include "runtime/feeder.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PROGRESS_SECONDS = 0.1;

/* An instance with its ports found. */
typedef struct Stage {
    CvmInstance *instance;
    int64_t part;
    CvmFeedPorts ports;
    int32_t *targets;
    float *rate;      /* NULL: `apply` has it */
    uint32_t *random; /* NULL: the plan draws no random numbers */
    const float *loss;
} Stage;

/* An epoch while it runs. */
typedef struct Epoch {
    const CvmTraining *training;
    int number;
    int32_t *order;
    CvmAugmentation augmentation;
    CvmFeed feed;
    CvmFeeder *feeder;
    int64_t steps, parts;
    int64_t part, done; /* parts and pictures so far */
    Stage full, rest;
    float *rate, *scale; /* of `apply` */
    double loss_sum;     /* over the pictures so far */
    double began, reported;
} Epoch;

static void find_feed(Epoch *epoch) {
    const CvmTraining *training = epoch->training;
    epoch->feed = (CvmFeed){.data = training->data,
                            .normalization = training->normalization,
                            .image_input = training->image_input,
                            .features = training->features,
                            .ahead = training->ahead};
    if (!training->augmentation)
        return;
    epoch->augmentation = *training->augmentation;
    epoch->augmentation.seed = training->seed;
    epoch->augmentation.epoch = (uint64_t)epoch->number;
    epoch->feed.augmentation = &epoch->augmentation;
}

static bool find_ports(const Epoch *epoch, CvmInstance *instance, int64_t part, Stage *stage,
                       CvmError *error) {
    const CvmShape vector = {1, {part}}, scalar = {0};
    *stage = (Stage){.instance = instance, .part = part};
    if (!cvm_feed_find(&epoch->feed, instance, part, &stage->ports, error))
        return false;
    stage->targets = cvm_batch_input(instance, "target", CVM_I32, vector, error);
    if (!stage->targets)
        return false;
    if (!epoch->training->apply) {
        stage->rate = cvm_batch_input(instance, "rate", CVM_F32, scalar, error);
        if (!stage->rate)
            return false;
    }
    if (cvm_instance_input(instance, "random")) {
        const CvmShape halves = {1, {4}};
        stage->random = cvm_batch_input(instance, "random", CVM_I32, halves, error);
        if (!stage->random)
            return false;
    }
    stage->loss = cvm_batch_output(instance, "loss", CVM_F32, scalar, error);
    return stage->loss != NULL;
}

static bool find_apply(Epoch *epoch, CvmError *error) {
    CvmInstance *apply = epoch->training->apply;
    const CvmShape scalar = {0};
    if (!apply)
        return true;
    epoch->rate = cvm_batch_input(apply, "rate", CVM_F32, scalar, error);
    epoch->scale = epoch->rate ? cvm_batch_input(apply, "scale", CVM_F32, scalar, error) : NULL;
    return epoch->scale != NULL;
}

static bool find_stages(Epoch *epoch, CvmError *error) {
    const CvmTraining *training = epoch->training;
    int64_t count = training->data->count, rest = count % training->part;
    if (count >= training->part &&
        !find_ports(epoch, training->step, training->part, &epoch->full, error))
        return false;
    if (rest > 0 && !training->last)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%lld pictures in batches of %lld leave %lld, and there is no plan "
                             "for those",
                             (long long)count, (long long)training->part, (long long)rest);
    return (rest == 0 || find_ports(epoch, training->last, rest, &epoch->rest, error)) &&
           find_apply(epoch, error);
}

static void report(Epoch *epoch, int64_t step) {
    const CvmTraining *training = epoch->training;
    int64_t done = epoch->done;
    double now = cvm_seconds();
    if (!training->progress || now - epoch->reported < PROGRESS_SECONDS)
        return;
    epoch->reported = now;
    double speed = (double)done / (now - epoch->began);
    int64_t epochs_left = training->epochs - epoch->number;
    double left = (double)epochs_left * (double)training->data->count - (double)done;
    const CvmProgress progress = {.epoch = epoch->number,
                                  .epochs = training->epochs,
                                  .step = step,
                                  .steps = epoch->steps,
                                  .loss = epoch->loss_sum / (double)done,
                                  .images_per_second = speed,
                                  .seconds_left = left > 0 ? left / speed : 0};
    training->progress(training->context, &progress);
}

/* Parts are counted over all epochs, so that a resumed training draws what an unbroken one does. */
static void fill_random(const Epoch *epoch, const Stage *stage) {
    uint64_t seed = epoch->training->seed;
    uint64_t number = (uint64_t)epoch->number * (uint64_t)epoch->parts + (uint64_t)epoch->part;
    const uint32_t halves[] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)number,
                               (uint32_t)(number >> 32)};
    memcpy(stage->random, halves, sizeof halves);
}

static bool check_loss(const Epoch *epoch, int64_t step, float loss, CvmError *error) {
    return isfinite(loss) ||
           cvm_error_set(error, CVM_ERROR_INPUT,
                         "the loss is not a number any more in epoch %d, step %lld of %lld: "
                         "try a lower rate",
                         epoch->number + 1, (long long)step + 1, (long long)epoch->steps);
}

/* The next part, in step number `step` of the epoch. */
static bool run_part(Epoch *epoch, const Stage *stage, int64_t step, float rate, CvmError *error) {
    const CvmTraining *training = epoch->training;
    if (!cvm_feeder_next(epoch->feeder, stage->instance, &stage->ports, stage->targets, error))
        return false;
    if (stage->rate)
        *stage->rate = rate;
    if (stage->random)
        fill_random(epoch, stage);
    cvm_instance_run(stage->instance, training->pool);
    epoch->loss_sum += (double)*stage->loss * (double)stage->part;
    epoch->part++;
    epoch->done += stage->part;
    return check_loss(epoch, step, *stage->loss, error);
}

static void apply(Epoch *epoch, float rate, int64_t count) {
    const CvmTraining *training = epoch->training;
    *epoch->rate = rate;
    *epoch->scale = (float)((double)training->batch / (double)count);
    cvm_instance_run(training->apply, training->pool);
    cvm_store_clear_gradients(training->store);
    cvm_instance_forget(training->step); /* what it prepares of the weights */
    if (training->last)
        cvm_instance_forget(training->last);
}

static bool run_step(Epoch *epoch, int64_t step, CvmError *error) {
    const CvmTraining *training = epoch->training;
    int64_t begin = epoch->done, left = training->data->count - begin;
    int64_t end = begin + (left < training->batch ? left : training->batch);
    float rate =
        (float)cvm_rate_at(&training->rate, training->plateau, epoch->number, step, epoch->steps);
    while (epoch->done < end) {
        const Stage *stage = end - epoch->done >= training->part ? &epoch->full : &epoch->rest;
        if (!run_part(epoch, stage, step, rate, error))
            return false;
    }
    if (training->apply)
        apply(epoch, rate, end - begin);
    report(epoch, step + 1);
    return true;
}

static bool run_steps(Epoch *epoch, CvmError *error) {
    for (int64_t step = 0; step < epoch->steps; step++)
        if (!run_step(epoch, step, error))
            return false;
    return true;
}

bool cvm_train_epoch(const CvmTraining *training, int epoch_number, CvmEpochResult *result,
                     CvmError *error) {
    int64_t count = training->data->count, batch = training->batch;
    if (count < 1 || batch < 1 || training->part < 1)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "cannot train on %lld pictures in batches of %lld", (long long)count,
                             (long long)batch);
    Epoch epoch = {.training = training, .number = epoch_number};
    epoch.steps = (count - 1) / batch + 1;
    epoch.parts = (count - 1) / training->part + 1;
    epoch.began = epoch.reported = cvm_seconds();
    find_feed(&epoch);
    if (!find_stages(&epoch, error))
        return false;
    epoch.order = malloc((size_t)count * sizeof *epoch.order);
    if (!epoch.order)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to shuffle %lld pictures",
                             (long long)count);
    cvm_shuffle(epoch.order, count, training->seed, (uint64_t)epoch_number);
    epoch.feeder =
        cvm_feeder_open(&epoch.feed, epoch.order, count, training->part, training->pool, error);
    bool done = epoch.feeder && run_steps(&epoch, error);
    if (done)
        *result = (CvmEpochResult){.loss = epoch.loss_sum / (double)count,
                                   .seconds = cvm_seconds() - epoch.began,
                                   .waited = cvm_feeder_waited(epoch.feeder)};
    cvm_feeder_close(epoch.feeder);
    free(epoch.order);
    return done;
}
