/* See train.h: how well a trained network does on a data set. Every batch is of the plan's size;
 * the places that the last one leaves over hold zeros, and their results are not looked at. */
#include "runtime/train.h"

#include "runtime/clock.h"
#include "runtime/feeder.h"
#include "runtime/score.h"

#include <stdlib.h>
#include <string.h>

static void count_results(const float *logits, int64_t classes, const int32_t *labels,
                          int64_t count, CvmEvaluation *result) {
    for (int64_t i = 0; i < count; i++, logits += classes) {
        int64_t taken_for = cvm_largest(logits, classes);
        bool correct = taken_for == labels[i];
        result->correct += correct;
        if (result->confusion)
            result->confusion[labels[i] * classes + taken_for]++;
        result->classes[labels[i]].count++;
        result->classes[labels[i]].correct += correct;
        result->loss += cvm_cross_entropy(logits, classes, labels[i]);
    }
    result->count += count;
}

/* An evaluation while it runs. */
typedef struct Run {
    CvmInstance *instance;
    const CvmFeed *feed;
    CvmFeedPorts ports;
    const float *logits;
    int32_t *order, *labels; /* [count], [batch] */
} Run;

static bool run_batches(const Run *run, CvmFeeder *feeder, CvmPool *pool, CvmEvaluation *result,
                        CvmError *error) {
    const CvmDataset *data = run->feed->data;
    int64_t size = run->ports.batch;
    for (int64_t first = 0; first < data->count; first += size) {
        int64_t count = data->count - first < size ? data->count - first : size;
        if (!cvm_feeder_next(feeder, run->instance, &run->ports, run->labels, error))
            return false;
        cvm_instance_run(run->instance, pool);
        count_results(run->logits, data->classes, run->labels, count, result);
    }
    result->loss /= (double)data->count;
    return true;
}

static bool run_all(const Run *run, CvmPool *pool, CvmEvaluation *result, CvmError *error) {
    int64_t count = run->feed->data->count;
    for (int64_t i = 0; i < count; i++)
        run->order[i] = (int32_t)i;
    CvmFeeder *feeder =
        cvm_feeder_open(run->feed, run->order, count, run->ports.batch, pool, error);
    bool done = feeder && run_batches(run, feeder, pool, result, error);
    cvm_feeder_close(feeder);
    return done;
}

bool cvm_evaluate_dataset(CvmInstance *instance, int64_t batch, const CvmFeed *feed, CvmPool *pool,
                          CvmEvaluation *result, CvmError *error) {
    const CvmDataset *data = feed->data;
    double began = cvm_seconds();
    cvm_instance_forget(instance); /* training may have moved the weights */
    const CvmShape logits_shape = {2, {batch, data->classes}};
    if (data->count < 1 || batch < 1)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "cannot evaluate %lld pictures in batches of %lld",
                             (long long)data->count, (long long)batch);
    Run run = {.instance = instance, .feed = feed};
    if (!cvm_feed_find(feed, instance, batch, &run.ports, error))
        return false;
    run.logits = cvm_batch_output(instance, "logits", CVM_F32, logits_shape, error);
    if (!run.logits)
        return false;
    run.order = malloc((size_t)data->count * sizeof *run.order);
    run.labels = malloc((size_t)batch * sizeof *run.labels);
    bool done = run.order && run.labels;
    if (!done) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to evaluate");
    } else {
        *result = (CvmEvaluation){.classes = result->classes, .confusion = result->confusion};
        memset(result->classes, 0, (size_t)data->classes * sizeof *result->classes);
        if (result->confusion)
            memset(result->confusion, 0,
                   (size_t)data->classes * (size_t)data->classes * sizeof *result->confusion);
        done = run_all(&run, pool, result, error);
        result->seconds = cvm_seconds() - began;
    }
    free(run.order);
    free(run.labels);
    return done;
}
