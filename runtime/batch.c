/* See batch.h. */
#include "runtime/batch.h"

#include <stdatomic.h>
#include <string.h>

enum { SPLIT_PIXELS = 16384 }; /* about 5 microseconds of table look-ups */

/* A batch while the threads fill it, a run of pictures after another. Runs of pictures in memory
 * are equal shares; those from files are one picture each, since decoding takes long, and of some
 * longer than of others. */
typedef struct Filling {
    CvmBatch batch;
    int64_t run;
    _Atomic int64_t next;
    atomic_bool failed;
    CvmError *error; /* of the first thread that failed */
} Filling;

static void fill_run(Filling *filling, int64_t begin) {
    CvmBatch run = filling->batch;
    CvmError error;
    run.samples += begin;
    run.labels += begin;
    run.images += begin * cvm_dataset_numbers(run.data, run.augmentation);
    run.count = run.count - begin < filling->run ? run.count - begin : filling->run;
    if (!cvm_dataset_fill(&run, &error) && !atomic_exchange(&filling->failed, true))
        *filling->error = error;
}

static void fill_runs(void *context, int thread, int threads) {
    Filling *filling = context;
    int64_t begin;
    (void)thread, (void)threads;
    while ((begin = atomic_fetch_add(&filling->next, filling->run)) < filling->batch.count)
        fill_run(filling, begin);
}

bool cvm_batch_fill(const CvmBatch *batch, CvmPool *pool, CvmError *error) {
    int64_t numbers = batch->count * cvm_dataset_numbers(batch->data, batch->augmentation);
    int threads = cvm_pool_threads(pool);
    bool files = !batch->data->pixels;
    Filling filling = {
        .batch = *batch, .run = files ? 1 : (batch->count + threads - 1) / threads, .error = error};
    if (numbers < SPLIT_PIXELS && !files)
        filling.run = batch->count;
    if (filling.run < batch->count)
        cvm_pool_run(pool, fill_runs, &filling);
    else
        fill_runs(&filling, 0, 1);
    return !filling.failed;
}

static bool check_port(const CvmPlan *plan, const CvmPort *ports, int count, const CvmPort *wanted,
                       CvmError *error) {
    char have[128], want[128];
    for (int i = 0; i < count; i++) {
        if (strcmp(ports[i].name, wanted->name) != 0)
            continue;
        if (ports[i].dtype == wanted->dtype && cvm_shape_equal(&ports[i].shape, &wanted->shape))
            return true;
        return cvm_error_set(
            error, CVM_ERROR_INPUT, "'%s' of the plan '%s' is %s %s, and the data gives %s %s",
            wanted->name, plan->name, cvm_dtype_name(ports[i].dtype),
            cvm_shape_text(&ports[i].shape, have, sizeof have), cvm_dtype_name(wanted->dtype),
            cvm_shape_text(&wanted->shape, want, sizeof want));
    }
    return cvm_error_set(error, CVM_ERROR_INPUT, "the plan '%s' has no '%s'", plan->name,
                         wanted->name);
}

void *cvm_batch_input(CvmInstance *instance, const char *name, CvmDtype dtype, CvmShape shape,
                      CvmError *error) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    CvmPort wanted = {.name = name, .dtype = dtype, .shape = shape};
    if (!check_port(plan, plan->inputs, plan->input_count, &wanted, error))
        return NULL;
    return cvm_instance_input(instance, name);
}

const void *cvm_batch_output(const CvmInstance *instance, const char *name, CvmDtype dtype,
                             CvmShape shape, CvmError *error) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    CvmPort wanted = {.name = name, .dtype = dtype, .shape = shape};
    if (!check_port(plan, plan->outputs, plan->output_count, &wanted, error))
        return NULL;
    return cvm_instance_output(instance, name);
}

static bool find_pictures(const CvmFeed *feed, CvmInstance *instance, CvmFeedPorts *ports,
                          CvmError *error) {
    const CvmShape shape = cvm_dataset_shape(feed->data, feed->augmentation, ports->batch);
    ports->count = 1;
    ports->numbers[0] = cvm_dataset_numbers(feed->data, feed->augmentation);
    ports->inputs[0] = cvm_batch_input(instance, feed->image_input, CVM_F32, shape, error);
    const CvmPlan *plan = cvm_instance_plan(instance);
    while (ports->index < plan->input_count &&
           strcmp(plan->inputs[ports->index].name, feed->image_input) != 0)
        ports->index++;
    return ports->inputs[0] != NULL;
}

bool cvm_feed_find(const CvmFeed *feed, CvmInstance *instance, int64_t batch, CvmFeedPorts *ports,
                   CvmError *error) {
    *ports = (CvmFeedPorts){.batch = batch};
    if (!feed->features)
        return find_pictures(feed, instance, ports, error);
    ports->count = cvm_features_outputs(feed->features);
    for (int i = 0; i < ports->count; i++) {
        CvmShape shape;
        const char *name = cvm_features_output(feed->features, i, &shape);
        ports->numbers[i] = 1;
        for (int axis = 1; axis < shape.rank; axis++)
            ports->numbers[i] *= shape.sizes[axis];
        shape.sizes[0] = batch;
        ports->inputs[i] = cvm_batch_input(instance, name, CVM_F32, shape, error);
        if (!ports->inputs[i])
            return false;
    }
    return true;
}

bool cvm_feed_fill(const CvmFeed *feed, const CvmFeedPorts *ports, const int32_t *samples,
                   int64_t count, int32_t *labels, CvmPool *pool, CvmError *error) {
    const CvmBatch batch = {.data = feed->data,
                            .normalization = feed->normalization,
                            .augmentation = feed->augmentation,
                            .samples = samples,
                            .count = count,
                            .images = ports->inputs[0],
                            .labels = labels};
    for (int i = 0; i < ports->count; i++)
        memset(ports->inputs[i] + count * ports->numbers[i], 0,
               (size_t)((ports->batch - count) * ports->numbers[i]) * sizeof(float));
    if (!feed->features)
        return cvm_batch_fill(&batch, pool, error);
    for (int64_t i = 0; i < count; i++)
        labels[i] = feed->data->labels[samples[i]];
    return cvm_features_fill(feed->features, &batch, ports->inputs, pool, error);
}
