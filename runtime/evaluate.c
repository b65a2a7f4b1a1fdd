/* See train.h: how well a trained network does on a data set. Every batch is of the plan's size;
 * the places that the last one leaves over hold zeros, and their results are not looked at. */
#include "runtime/train.h"

#include "runtime/batch.h"
#include "runtime/clock.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* The first largest value's index. */
static int64_t largest(const float *values, int64_t count) {
    int64_t best = 0;
    for (int64_t i = 1; i < count; i++)
        if (values[i] > values[best])
            best = i;
    return best;
}

/* -log(softmax(logits)[label]) = log(sum exp(x - m)) + m - x[label], m the maximum, so that no
 * exponential overflows. */
static double cross_entropy(const float *logits, int64_t classes, int64_t label) {
    double maximum = logits[largest(logits, classes)], sum = 0;
    for (int64_t i = 0; i < classes; i++)
        sum += exp(logits[i] - maximum);
    return log(sum) + maximum - logits[label];
}

static void count_results(const float *logits, int64_t classes, const int32_t *labels,
                          int64_t count, CvmEvaluation *result) {
    for (int64_t i = 0; i < count; i++, logits += classes) {
        bool correct = largest(logits, classes) == labels[i];
        result->correct += correct;
        result->classes[labels[i]].count++;
        result->classes[labels[i]].correct += correct;
        result->loss += cross_entropy(logits, classes, labels[i]);
    }
    result->count += count;
}

/* Samples and labels of one batch, allocated once. */
typedef struct Buffers {
    int32_t *samples, *labels;
} Buffers;

static bool run_batches(CvmInstance *instance, CvmBatch batch, const Buffers *buffers, int64_t size,
                        const float *logits, CvmPool *pool, CvmEvaluation *result,
                        CvmError *error) {
    const CvmDataset *data = batch.data;
    int64_t picture = (int64_t)data->channels * data->height * data->width;
    for (int64_t first = 0; first < data->count; first += size) {
        batch.count = data->count - first < size ? data->count - first : size;
        for (int64_t i = 0; i < batch.count; i++)
            buffers->samples[i] = (int32_t)(first + i);
        if (!cvm_batch_fill(&batch, pool, error))
            return false;
        memset(batch.images + batch.count * picture, 0,
               (size_t)((size - batch.count) * picture) * sizeof *batch.images);
        cvm_instance_run(instance, pool);
        count_results(logits, data->classes, batch.labels, batch.count, result);
    }
    result->loss /= (double)data->count;
    return true;
}

bool cvm_evaluate_dataset(CvmInstance *instance, const char *image_input, int64_t batch,
                          const CvmDataset *data, const CvmNormalization *normalization,
                          CvmPool *pool, CvmEvaluation *result, CvmError *error) {
    double began = cvm_seconds();
    cvm_instance_forget(instance); /* training may have moved the weights */
    const CvmShape image_shape = {4, {batch, data->channels, data->height, data->width}};
    const CvmShape logits_shape = {2, {batch, data->classes}};
    if (data->count < 1 || batch < 1)
        return cvm_error_set(error, CVM_ERROR_INPUT,
                             "cannot evaluate %lld pictures in batches of %lld",
                             (long long)data->count, (long long)batch);
    float *images = cvm_batch_input(instance, image_input, CVM_F32, image_shape, error);
    const float *logits =
        images ? cvm_batch_output(instance, "logits", CVM_F32, logits_shape, error) : NULL;
    if (!logits)
        return false;
    Buffers buffers = {.samples = malloc((size_t)batch * sizeof(int32_t)),
                       .labels = malloc((size_t)batch * sizeof(int32_t))};
    bool done = buffers.samples && buffers.labels;
    if (!done) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to evaluate");
    } else {
        const CvmBatch first = {.data = data,
                                .normalization = normalization,
                                .samples = buffers.samples,
                                .images = images,
                                .labels = buffers.labels};
        *result = (CvmEvaluation){.classes = result->classes};
        memset(result->classes, 0, (size_t)data->classes * sizeof *result->classes);
        done = run_batches(instance, first, &buffers, batch, logits, pool, result, error);
        result->seconds = cvm_seconds() - began;
    }
    free(buffers.samples);
    free(buffers.labels);
    return done;
}
