/* See prefix.h. */
#include "compiler/driver/prefix.h"

#include "compiler/driver/report.h"
#include "compiler/training_graph.h"
#include "runtime/hash.h"

#include <math.h>
#include <string.h>

static const int64_t CACHE_BYTES = 1000000000; /* without --cache-size */

/* --- what features depend on --- */

/* A kernel's symbol stands for its code, so that other passes or another compiler give another
 * hash. */
static uint64_t hash_code(const CvmSession *session, const CvmPlan *plan) {
    uint64_t hash = cvm_hash_text(0, session->compile.cpu ? session->compile.cpu : "host");
    for (int i = 0; i < plan->call_count; i++) {
        const CvmCall *call = &plan->calls[i];
        hash = cvm_hash_text(hash, call->kernel);
        hash = cvm_hash_whole(hash, call->extent);
        for (int k = 0; k < call->buffer_count; k++) {
            const int64_t place[] = {call->buffers[k].space, call->buffers[k].position};
            hash = cvm_hash(hash, place, sizeof place);
        }
    }
    return hash;
}

static uint64_t hash_weights(const CvmSession *session, const CvmPlan *plan) {
    uint64_t hash = 0;
    for (int i = 0; i < plan->slot_count; i++) {
        const CvmStored *stored = cvm_store_find(&session->store, plan->slots[i].name);
        int64_t count = 0;
        cvm_shape_count(&stored->shape, &count);
        hash = cvm_hash_text(hash, stored->name);
        hash = cvm_hash(hash, stored->data, (size_t)count * cvm_dtype_bytes(stored->dtype));
    }
    return hash;
}

/* What augment makes of the pictures to learn from is another picture in every epoch: nothing of
 * those is kept. */
static bool keeps_train(const CvmSession *session) {
    return !cvm_train_augmentation(session->train);
}

static CvmFeatureKey key_of(const CvmSession *session, const CvmPictures *pictures,
                            const CvmPrefix *prefix, const CvmInstance *instance) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    const CvmNormalization *normalization = pictures->normalization;
    size_t doubles = (size_t)normalization->channels * sizeof(double);
    bool train = keeps_train(session);
    uint64_t sets[] = {train ? cvm_dataset_hash(pictures->train) : 0,
                       cvm_dataset_hash(pictures->test)};
    return (CvmFeatureKey){
        .pictures = cvm_hash(0, sets, sizeof sets),
        .normalization =
            cvm_hash(cvm_hash(0, normalization->mean, doubles), normalization->deviation, doubles),
        .prefix = hash_code(session, plan),
        .weights = hash_weights(session, plan),
        .count = (train ? pictures->train->count : 0) + pictures->test->count,
        .numbers = prefix->cut.numbers,
    };
}

/* --- where they are kept --- */

/* Later phases have files of their own, PATH.2 and so on: other parts are frozen there. */
static const char *file_path(const CvmSession *session) {
    const CvmTrain *train = session->train;
    const char *path = session->options->cache_file;
    int number = 1;
    for (int epoch = 0; cvm_train_phase_end(train, epoch) <= train->epoch;
         epoch = cvm_train_phase_end(train, epoch))
        number++;
    return number == 1 ? path : cvm_arena_format(session->arena, "%s.%d", path, number);
}

static bool open_file(CvmSession *session, const CvmFeatureKey *key, int64_t most_bytes,
                      CvmFeatureFile **file) {
    CvmError error;
    const char *path = file_path(session);
    int64_t room = most_bytes / (key->numbers * (int64_t)sizeof(float));
    bool first = path == session->options->cache_file;
    *file = cvm_feature_file_open(path, key, room < key->count ? room : key->count,
                                  first ? CVM_FEATURE_REFUSE : CVM_FEATURE_REPLACE, &error);
    if (!*file && error.kind == CVM_ERROR_INPUT)
        return cvm_session_refuse(session, CVM_EXIT_INPUT, "%s; name another --cache-file",
                                  error.message);
    if (!*file)
        return cvm_session_fail(session, &error);
    if (cvm_feature_file_replaced(*file))
        cvm_report_note("the features in %s were damaged or of another training, and are computed "
                        "anew",
                        path);
    return true;
}

static void report_opened(const CvmSession *session, const CvmPrefix *prefix) {
    char numbers[32], room[32], pictures[32], bytes[16];
    int64_t kept = cvm_features_room(prefix->features);
    int64_t all = cvm_features_pictures(prefix->features);
    double size = (double)all * (double)prefix->cut.numbers * sizeof(float);
    const char *which = keeps_train(session) ? "" : " to test with";
    cvm_count_text(prefix->cut.numbers, numbers);
    cvm_count_text(all, pictures);
    if (!keeps_train(session))
        cvm_report_note("frozen up to %s, and computed in every epoch for the pictures to learn "
                        "from, since 'augment' makes others of them",
                        prefix->cut.last);
    if (kept == all)
        cvm_report_note("frozen up to %s: its %s numbers a picture are computed once and kept for "
                        "all %s pictures%s (%sB)",
                        prefix->cut.last, numbers, pictures, which, cvm_amount_text(size, bytes));
    else
        cvm_report_note(
            "frozen up to %s: its %s numbers a picture are kept for %s of %s pictures%s, "
            "and computed in every epoch for the others; --cache-size %.0fM would do "
            "for all",
            prefix->cut.last, numbers, cvm_count_text(kept, room), pictures, which,
            ceil(size / 1e6));
}

static bool open_features(CvmSession *session, const CvmPictures *pictures, CvmInstance *instance,
                          int64_t batch, CvmPrefix *prefix) {
    const CvmOptions *options = session->options;
    const char **names = cvm_arena_array(session->arena, CVM_MAX_FEATURES, sizeof *names);
    for (int i = 0; i < prefix->cut.count; i++)
        names[i] = prefix->cut.values[i].name;
    CvmFeatureSource source = {.prefix = instance,
                               .image_input = cvm_model_input_name(session->model),
                               .batch = batch,
                               .names = names,
                               .count = prefix->cut.count,
                               .sets = {pictures->test},
                               .normalization = pictures->normalization};
    if (keeps_train(session)) {
        source.sets[0] = pictures->train;
        source.sets[1] = pictures->test;
    }
    int64_t most = options->given & CVM_OPTION_CACHE_SIZE ? options->cache_size : CACHE_BYTES;
    CvmFeatureFile *file = NULL;
    CvmError error;
    if (options->cache_file) {
        const CvmFeatureKey key = key_of(session, pictures, prefix, instance);
        if (!open_file(session, &key, most, &file))
            return false;
    }
    prefix->features = cvm_features_create(&source, most, file, &error);
    if (!prefix->features && error.kind == CVM_ERROR_MACHINE)
        return cvm_session_refuse(session, CVM_EXIT_MACHINE, "%s; give a smaller --cache-size",
                                  error.message);
    if (!prefix->features)
        return cvm_session_fail(session, &error);
    report_opened(session, prefix);
    return true;
}

bool cvm_prefix_open(CvmSession *session, const CvmPictures *pictures, int64_t batch,
                     CvmPrefix *prefix) {
    *prefix = (CvmPrefix){0};
    CvmGraph *graph = cvm_training_graph(session->train, batch, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    prefix->found = cvm_frozen_prefix_find(graph, &prefix->cut);
    if (!prefix->found)
        return true;
    cvm_frozen_prefix_keep(graph, &prefix->cut);
    CvmInstance *instance = cvm_session_compile(session, graph, "frozen part");
    return instance && open_features(session, pictures, instance, batch, prefix);
}

void cvm_prefix_close(CvmPrefix *prefix) {
    if (!prefix->features)
        return;
    int64_t damaged = cvm_features_damaged(prefix->features);
    int failure = cvm_features_failure(prefix->features);
    if (damaged)
        cvm_report_note("the features of %lld pictures were damaged and computed anew",
                        (long long)damaged);
    if (failure)
        cvm_report_note("not all features could be written: %s", strerror(failure));
    cvm_features_free(prefix->features);
    prefix->features = NULL;
}
