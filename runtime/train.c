/* See train.h. An epoch is a loop over stages: fill a plan's inputs, run it, take its loss. A plan
 * is made for one batch size, so that the rest of the data set that fills no batch has its own. */
#include "runtime/train.h"

#include "runtime/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double PROGRESS_SECONDS = 0.1;

/* An instance with its ports found. */
typedef struct Stage {
    CvmInstance *instance;
    int64_t batch;
    CvmFeedPorts ports;
    int32_t *targets;
    float *rate;
    uint32_t *random; /* NULL: the plan draws no random numbers */
    const float *loss;
} Stage;

/* An epoch while it runs. */
typedef struct Epoch {
    const CvmTraining *training;
    int number;
    int32_t *order;
    int64_t steps;
    Stage full, rest;
    double loss_sum; /* over the pictures so far */
    double began, reported;
} Epoch;

static CvmFeed feed_of(const CvmTraining *training) {
    return (CvmFeed){.data = training->data,
                     .normalization = training->normalization,
                     .image_input = training->image_input,
                     .features = training->features};
}

static bool find_ports(const CvmTraining *training, CvmInstance *instance, int64_t batch,
                       Stage *stage, CvmError *error) {
    const CvmShape vector = {1, {batch}}, scalar = {0};
    *stage = (Stage){.instance = instance, .batch = batch};
    const CvmFeed feed = feed_of(training);
    if (!cvm_feed_find(&feed, instance, batch, &stage->ports, error))
        return false;
    stage->targets = cvm_batch_input(instance, "target", CVM_I32, vector, error);
    if (!stage->targets)
        return false;
    stage->rate = cvm_batch_input(instance, "rate", CVM_F32, scalar, error);
    if (!stage->rate)
        return false;
    if (cvm_instance_input(instance, "random")) {
        const CvmShape halves = {1, {4}};
        stage->random = cvm_batch_input(instance, "random", CVM_I32, halves, error);
        if (!stage->random)
            return false;
    }
    stage->loss = cvm_batch_output(instance, "loss", CVM_F32, scalar, error);
    return stage->loss != NULL;
}

static bool find_stages(Epoch *epoch, CvmError *error) {
    const CvmTraining *training = epoch->training;
    int64_t count = training->data->count, rest = count % training->batch;
    if (count >= training->batch &&
        !find_ports(training, training->step, training->batch, &epoch->full, error))
        return false;
    if (rest > 0 && !training->last)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "%lld pictures in batches of %lld leave %lld, and there is no plan "
                             "for those",
                             (long long)count, (long long)training->batch, (long long)rest);
    return rest == 0 || find_ports(training, training->last, rest, &epoch->rest, error);
}

static void report(Epoch *epoch, int64_t step, int64_t done) {
    const CvmTraining *training = epoch->training;
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

/* Steps are counted over all epochs, so that a resumed training draws what an unbroken one does. */
static void fill_random(const Epoch *epoch, const Stage *stage, int64_t step) {
    uint64_t seed = epoch->training->seed;
    uint64_t number = (uint64_t)epoch->number * (uint64_t)epoch->steps + (uint64_t)step;
    const uint32_t halves[] = {(uint32_t)seed, (uint32_t)(seed >> 32), (uint32_t)number,
                               (uint32_t)(number >> 32)};
    memcpy(stage->random, halves, sizeof halves);
}

/* Step number `step` of the epoch, whose pictures begin at position `done` of the order. */
static bool run_step(Epoch *epoch, const Stage *stage, int64_t step, int64_t done,
                     CvmError *error) {
    const CvmTraining *training = epoch->training;
    const CvmFeed feed = feed_of(training);
    if (!cvm_feed_fill(&feed, &stage->ports, epoch->order + done, stage->batch, stage->targets,
                       training->pool, error))
        return false;
    *stage->rate =
        (float)cvm_rate_at(&training->rate, training->plateau, epoch->number, step, epoch->steps);
    if (stage->random)
        fill_random(epoch, stage, step);
    cvm_instance_run(stage->instance, training->pool);
    if (!isfinite(*stage->loss))
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "the loss is not a number any more in epoch %d, step %lld of %lld: "
                             "try a lower rate",
                             epoch->number + 1, (long long)step + 1, (long long)epoch->steps);
    epoch->loss_sum += (double)*stage->loss * (double)stage->batch;
    report(epoch, step + 1, done + stage->batch);
    return true;
}

static bool run_steps(Epoch *epoch, CvmError *error) {
    const CvmTraining *training = epoch->training;
    int64_t count = training->data->count, done = 0;
    for (int64_t step = 0; step < epoch->steps; step++) {
        const Stage *stage = count - done >= training->batch ? &epoch->full : &epoch->rest;
        if (!run_step(epoch, stage, step, done, error))
            return false;
        done += stage->batch;
    }
    return true;
}

bool cvm_train_epoch(const CvmTraining *training, int epoch_number, CvmEpochResult *result,
                     CvmError *error) {
    int64_t count = training->data->count, batch = training->batch;
    if (count < 1 || batch < 1)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "cannot train on %lld pictures in batches of %lld", (long long)count,
                             (long long)batch);
    Epoch epoch = {.training = training, .number = epoch_number};
    epoch.steps = (count - 1) / batch + 1;
    epoch.began = epoch.reported = cvm_seconds();
    if (!find_stages(&epoch, error))
        return false;
    epoch.order = malloc((size_t)count * sizeof *epoch.order);
    if (!epoch.order)
        return cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to shuffle %lld pictures",
                             (long long)count);
    cvm_shuffle(epoch.order, count, training->seed, (uint64_t)epoch_number);
    bool done = run_steps(&epoch, error);
    free(epoch.order);
    if (done)
        *result = (CvmEpochResult){.loss = epoch.loss_sum / (double)count,
                                   .seconds = cvm_seconds() - epoch.began};
    return done;
}
