/* See features.h. Pictures without a record are collected until the prefix's batch is full or the
 * request ends; places that stay empty hold whatever was there. */
#include "runtime/features.h"

#include "runtime/batch.h"
#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct Output {
    const float *values; /* [batch, numbers] */
    int64_t numbers;
} Output;

struct CvmFeatures {
    CvmFeatureSource source;
    float *images;
    Output outputs[CVM_MAX_FEATURES];
    int64_t numbers; /* of a record */
    int64_t room;    /* records */
    float *records;  /* in memory: [room, numbers], or NULL */
    bool *present;   /* in memory: [room] */
    CvmFeatureFile *file;
    int64_t computed;

    /* of the batch that is being collected */
    int32_t *samples, *labels;
    int64_t *places; /* in the request */
    float *record;
};

static const CvmPort *find_output(const CvmPlan *plan, const char *name) {
    for (int i = 0; i < plan->output_count; i++)
        if (strcmp(plan->outputs[i].name, name) == 0)
            return &plan->outputs[i];
    return NULL;
}

static int64_t numbers_of(const CvmPlan *plan, const char *name) {
    const CvmPort *port = find_output(plan, name);
    int64_t count = 0;
    if (port && port->dtype == CVM_F32 && port->shape.rank > 1 && port->shape.sizes[0] > 0 &&
        cvm_shape_count(&port->shape, &count))
        return count / port->shape.sizes[0];
    return 0;
}

int64_t cvm_feature_numbers(const CvmInstance *prefix, const char *const *names, int count) {
    int64_t sum = 0;
    for (int i = 0; i < count; i++) {
        int64_t numbers = numbers_of(cvm_instance_plan(prefix), names[i]);
        if (numbers == 0)
            return 0;
        sum += numbers;
    }
    return sum;
}

static bool find_ports(CvmFeatures *features, CvmError *error) {
    const CvmFeatureSource *source = &features->source;
    const CvmPlan *plan = cvm_instance_plan(source->prefix);
    CvmShape shape = cvm_dataset_shape(source->sets[0], NULL, source->batch);
    features->images = cvm_batch_input(source->prefix, source->image_input, CVM_F32, shape, error);
    if (!features->images)
        return false;
    for (int i = 0; i < source->count; i++) {
        Output *output = &features->outputs[i];
        output->numbers = numbers_of(plan, source->names[i]);
        output->values = cvm_instance_output(source->prefix, source->names[i]);
        features->numbers += output->numbers;
        if (output->numbers == 0 ||
            find_output(plan, source->names[i])->shape.sizes[0] != source->batch)
            return cvm_error_set(error, CVM_ERROR_INPUT, "the plan '%s' gives no features '%s'",
                                 plan->name, source->names[i]);
    }
    return true;
}

static bool allocate(CvmFeatures *features, int64_t most_bytes, CvmError *error) {
    int64_t bytes = features->numbers * (int64_t)sizeof(float);
    int64_t pictures = cvm_features_pictures(features);
    size_t batch = (size_t)features->source.batch;
    features->room = most_bytes / bytes < pictures ? most_bytes / bytes : pictures;
    features->samples = malloc(batch * sizeof *features->samples);
    features->labels = malloc(batch * sizeof *features->labels);
    features->places = malloc(batch * sizeof *features->places);
    features->record = malloc((size_t)bytes);
    bool done = features->samples && features->labels && features->places && features->record;
    if (done && features->room > 0 && !features->file) {
        features->records = cvm_memory_allocate(features->room * bytes);
        features->present = calloc((size_t)features->room, sizeof *features->present);
        done = features->records && features->present;
    }
    return done || cvm_error_set(error, CVM_ERROR_MACHINE,
                                 "no memory to keep the features of %lld pictures",
                                 (long long)features->room);
}

CvmFeatures *cvm_features_create(const CvmFeatureSource *source, int64_t most_bytes,
                                 CvmFeatureFile *file, CvmError *error) {
    CvmFeatures *features = calloc(1, sizeof *features);
    if (!features) {
        cvm_feature_file_close(file);
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for features");
        return NULL;
    }
    features->source = *source;
    features->file = file;
    if (find_ports(features, error) && allocate(features, most_bytes, error))
        return features;
    cvm_features_free(features);
    return NULL;
}

void cvm_features_free(CvmFeatures *features) {
    if (!features)
        return;
    cvm_memory_free(features->records, features->room * features->numbers * (int64_t)sizeof(float));
    cvm_feature_file_close(features->file);
    free(features->present);
    free(features->samples);
    free(features->labels);
    free(features->places);
    free(features->record);
    free(features);
}

int cvm_features_outputs(const CvmFeatures *features) {
    return features->source.count;
}

const char *cvm_features_output(const CvmFeatures *features, int index, CvmShape *shape) {
    const char *name = features->source.names[index];
    *shape = find_output(cvm_instance_plan(features->source.prefix), name)->shape;
    return name;
}

int64_t cvm_features_room(const CvmFeatures *features) {
    return features->room;
}

int64_t cvm_features_pictures(const CvmFeatures *features) {
    int64_t count = 0;
    for (int i = 0; i < CVM_FEATURE_SETS; i++)
        count += features->source.sets[i] ? features->source.sets[i]->count : 0;
    return count;
}

int64_t cvm_features_computed(const CvmFeatures *features) {
    return features->computed;
}

int64_t cvm_features_damaged(const CvmFeatures *features) {
    return features->file ? cvm_feature_file_damaged(features->file) : 0;
}

int cvm_features_failure(const CvmFeatures *features) {
    return features->file ? cvm_feature_file_failure(features->file) : 0;
}

/* --- records --- */

static const float *find_record(CvmFeatures *features, int64_t index) {
    if (index >= features->room)
        return NULL;
    if (features->file)
        return cvm_feature_file_find(features->file, index);
    return features->present[index] ? features->records + index * features->numbers : NULL;
}

static void keep_record(CvmFeatures *features, int64_t index) {
    if (index >= features->room)
        return;
    if (features->file) {
        cvm_feature_file_keep(features->file, index, features->record);
        return;
    }
    memcpy(features->records + index * features->numbers, features->record,
           (size_t)features->numbers * sizeof(float));
    features->present[index] = true;
}

static void give_record(const CvmFeatures *features, const float *record, int64_t place,
                        float *const *outputs) {
    for (int i = 0; i < features->source.count; i++) {
        int64_t numbers = features->outputs[i].numbers;
        memcpy(outputs[i] + place * numbers, record, (size_t)numbers * sizeof(float));
        record += numbers;
    }
}

/* Number `at` of the prefix's batch, as a record. */
static void take_record(CvmFeatures *features, int64_t at) {
    float *to = features->record;
    for (int i = 0; i < features->source.count; i++) {
        int64_t numbers = features->outputs[i].numbers;
        memcpy(to, features->outputs[i].values + at * numbers, (size_t)numbers * sizeof(float));
        to += numbers;
    }
}

/* --- requests --- */

typedef struct Request {
    const CvmBatch *batch;
    int64_t first; /* record of the data set's first picture; none: there is no room for it */
    float *const *outputs;
    CvmPool *pool;
} Request;

/* Computes the `count` pictures that were collected. */
static bool compute(CvmFeatures *features, const Request *request, int64_t count, CvmError *error) {
    const CvmFeatureSource *source = &features->source;
    CvmBatch batch = *request->batch;
    batch.normalization = source->normalization;
    batch.samples = features->samples;
    batch.count = count;
    batch.images = features->images;
    batch.labels = features->labels;
    if (!cvm_batch_fill(&batch, request->pool, error))
        return false;
    cvm_instance_run(source->prefix, request->pool);
    for (int64_t i = 0; i < count; i++) {
        take_record(features, i);
        give_record(features, features->record, features->places[i], request->outputs);
        keep_record(features, request->first + features->samples[i]);
    }
    features->computed += count;
    return true;
}

/* Where the records of a batch's data set begin; behind all of them where none is kept. */
static int64_t first_record(const CvmFeatures *features, const CvmBatch *batch) {
    int64_t first = 0;
    for (int i = 0; i < CVM_FEATURE_SETS && !batch->augmentation; i++) {
        const CvmDataset *set = features->source.sets[i];
        if (set == batch->data)
            return first;
        first += set ? set->count : 0;
    }
    return features->room;
}

bool cvm_features_fill(CvmFeatures *features, const CvmBatch *batch, float *const *outputs,
                       CvmPool *pool, CvmError *error) {
    const Request request = {batch, first_record(features, batch), outputs, pool};
    int64_t collected = 0;
    for (int64_t i = 0; i < batch->count; i++) {
        const float *record = find_record(features, request.first + batch->samples[i]);
        if (record) {
            give_record(features, record, i, outputs);
            continue;
        }
        features->samples[collected] = batch->samples[i];
        features->places[collected++] = i;
        if (collected < features->source.batch)
            continue;
        if (!compute(features, &request, collected, error))
            return false;
        collected = 0;
    }
    return collected == 0 || compute(features, &request, collected, error);
}
