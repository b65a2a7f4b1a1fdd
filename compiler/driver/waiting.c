/* See waiting.h. */
#include "compiler/driver/waiting.h"

#include "compiler/driver/data.h"
#include "runtime/clock.h"
#include "runtime/feeder.h"

/* Epoch after epoch of full batches. */
typedef struct Epochs {
    CvmSession *session;
    CvmInstance *step;
    CvmAugmentation augmentation; /* where the train has one */
    uint64_t epoch;
    CvmFeed feed;
    CvmFeedPorts ports;
    int64_t batch;
    int32_t *order, *targets;
    CvmFeeder *feeder; /* of the epoch under way, or NULL */
    int64_t left;      /* batches of it */
    double waited;
} Epochs;

static void end_epoch(Epochs *epochs) {
    if (epochs->feeder)
        epochs->waited += cvm_feeder_waited(epochs->feeder);
    cvm_feeder_close(epochs->feeder);
    epochs->feeder = NULL;
}

static bool begin_epoch(Epochs *epochs, CvmError *error) {
    int64_t count = epochs->feed.data->count / epochs->batch * epochs->batch;
    end_epoch(epochs);
    cvm_shuffle(epochs->order, epochs->feed.data->count, epochs->session->train->seed,
                epochs->epoch);
    epochs->augmentation.epoch = epochs->epoch++;
    epochs->left = count / epochs->batch;
    epochs->feeder = cvm_feeder_open(&epochs->feed, epochs->order, count, epochs->batch,
                                     cvm_session_pool(epochs->session), error);
    return epochs->feeder != NULL;
}

static bool run_step(Epochs *epochs, CvmError *error) {
    if (epochs->left == 0 && !begin_epoch(epochs, error))
        return false;
    epochs->left--;
    if (!cvm_feeder_next(epochs->feeder, epochs->step, &epochs->ports, epochs->targets, error))
        return false;
    cvm_instance_run(epochs->step, cvm_session_pool(epochs->session));
    return true;
}

static double waited_so_far(const Epochs *epochs) {
    return epochs->waited + (epochs->feeder ? cvm_feeder_waited(epochs->feeder) : 0);
}

/* The first step, which finds nothing read ahead, is not counted. */
static bool run_steps(Epochs *epochs, int64_t steps, double seconds, CvmWaiting *waiting,
                      CvmError *error) {
    if (!run_step(epochs, error))
        return false;
    double began = cvm_seconds(), waited = waited_so_far(epochs);
    do {
        if (!run_step(epochs, error))
            return false;
        waiting->steps++;
        waiting->seconds = cvm_seconds() - began;
    } while (steps ? waiting->steps < steps : waiting->seconds < seconds);
    waiting->waited = waited_so_far(epochs) - waited;
    return true;
}

static bool measure(Epochs *epochs, int64_t steps, double seconds, CvmWaiting *waiting) {
    CvmSession *session = epochs->session;
    CvmNormalization normalization;
    CvmError error;
    const CvmShape vector = {1, {epochs->batch}};
    if (!cvm_session_normalization(session, epochs->feed.data, &normalization))
        return false;
    epochs->feed.normalization = &normalization;
    epochs->order =
        cvm_arena_array(session->arena, (size_t)epochs->feed.data->count, sizeof *epochs->order);
    epochs->targets = cvm_batch_input(epochs->step, "target", CVM_I32, vector, &error);
    bool done = epochs->targets &&
                cvm_feed_find(&epochs->feed, epochs->step, epochs->batch, &epochs->ports, &error) &&
                run_steps(epochs, steps, seconds, waiting, &error);
    end_epoch(epochs);
    return done || cvm_session_fail(session, &error);
}

bool cvm_measure_waiting(CvmSession *session, CvmInstance *step, int64_t batch, int64_t steps,
                         double seconds, CvmWaiting *waiting) {
    CvmDataset data;
    *waiting = (CvmWaiting){.data = session->train->data->name};
    waiting->ahead = cvm_session_reads_ahead(session);
    if (!cvm_session_has_data(session, CVM_DATA_TRAIN)) {
        waiting->refusal = "it is not on this machine";
        return true;
    }
    if (!cvm_session_read_data(session, CVM_DATA_TRAIN, &data))
        return false;
    Epochs epochs = {.session = session,
                     .step = step,
                     .batch = batch,
                     .feed = {.data = &data,
                              .image_input = cvm_model_input_name(session->model),
                              .ahead = waiting->ahead}};
    bool done = true;
    if (cvm_train_augmentation(session->train)) {
        epochs.augmentation = *cvm_train_augmentation(session->train);
        epochs.augmentation.seed = session->train->seed;
        epochs.feed.augmentation = &epochs.augmentation;
    }
    if (data.count < batch)
        waiting->refusal = "it has fewer pictures than a batch";
    else
        done = measure(&epochs, steps, seconds, waiting);
    cvm_dataset_free(&data);
    return done;
}
