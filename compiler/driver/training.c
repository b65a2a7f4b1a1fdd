/* See training.h. What can be refused is refused before the first step: an output that can't be
 * written, data, weights, a checkpoint to resume from. */
#include "compiler/driver/training.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/confusion.h"
#include "compiler/driver/data.h"
#include "compiler/driver/evaluation.h"
#include "compiler/driver/page.h"
#include "compiler/driver/phase.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"
#include "compiler/training_graph.h"
#include "runtime/averages.h"

#include <stdlib.h>
#include <string.h>

typedef struct Run {
    CvmSession *session;
    CvmTrained *trained;
    CvmDataset train, test;
    CvmPhase phase;         /* that the next epoch belongs to */
    CvmCheckpointInfo info; /* what a checkpoint says now */
    double seconds;         /* of the epochs done here */
} Run;

/* --- where the checkpoint goes --- */

static void choose_output(const CvmSession *session, char path[CVM_PATH_SIZE]) {
    const CvmOptions *options = session->options;
    const char *given = options->output ? options->output : options->checkpoint;
    if (given)
        snprintf(path, CVM_PATH_SIZE, "%s", given);
    else
        cvm_session_stem(session, ".safetensors", path);
}

/* --- what the epochs need --- */

static bool read_data(Run *run) {
    CvmSession *session = run->session;
    if (!cvm_session_read_data(session, CVM_DATA_TRAIN, &run->train) ||
        !cvm_session_read_data(session, CVM_DATA_TEST, &run->test))
        return false;
    return cvm_session_normalization(session, &run->train, &run->trained->normalization);
}

/* A resumed training has its own from the checkpoint. */
static bool take_weights(CvmSession *session) {
    return session->options->resume || cvm_session_start_weights(session);
}

static bool same_normalization(const CvmNormalization *a, const CvmNormalization *b) {
    if (a->channels != b->channels)
        return false;
    for (int i = 0; i < a->channels; i++)
        if (a->mean[i] != b->mean[i] || a->deviation[i] != b->deviation[i])
            return false;
    return true;
}

static bool add_slots_of(CvmSession *session, const CvmGraph *graph) {
    return graph ? cvm_session_add_slots(session, graph) : cvm_session_fail_compile(session);
}

/* Puts into the store what a checkpoint of the training has after so many epochs: the optimizer
 * state of what learned in the last of them. */
static bool add_slots(CvmSession *session, int epochs_done) {
    session->settings.epoch = epochs_done > 0 ? epochs_done - 1 : 0;
    const CvmTrain *train = session->train;
    return add_slots_of(session, cvm_training_graph(train, 1, session->arena, &session->diag)) &&
           (train->accumulate <= 1 ||
            add_slots_of(session, cvm_apply_graph(train, session->arena, &session->diag)));
}

static bool resume(Run *run, uint64_t hash) {
    CvmSession *session = run->session;
    const char *path = run->trained->checkpoint;
    CvmError error;
    if (!cvm_checkpoint_read_info(path, &run->info, &error))
        return cvm_session_fail(session, &error);
    if (!add_slots(session, run->info.epoch))
        return false;
    if (!cvm_checkpoint_load(path, &session->store, cvm_model_name(session->model), hash,
                             CVM_CHECKPOINT_RESUME, &run->info, &error))
        return cvm_session_fail(session, &error);
    bool same = cvm_session_take_class_lines(session, path, run->info.classes);
    free(run->info.classes);
    run->info.classes = cvm_session_class_lines(session);
    cvm_session_take_history(session, &run->info);
    if (!same)
        return false;
    if (run->info.seed != session->train->seed)
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s was trained with seed %llu, and this training has seed %llu; "
                                  "going on would not give what either gives",
                                  path, (unsigned long long)run->info.seed,
                                  (unsigned long long)session->train->seed);
    if (!same_normalization(&run->info.normalization, &run->trained->normalization))
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s was trained on other pictures: their mean and deviation "
                                  "differ from those of the data set found now",
                                  path);
    return true;
}

/* A folder that cannot be written to is told before the first epoch, not after it. */
static bool check_outputs(CvmSession *session) {
    const CvmOptions *options = session->options;
    const char *confusion = options->confusion;
    return (!options->report || cvm_session_check_writable(session, "report", options->report)) &&
           (!confusion || strcmp(confusion, "-") == 0 ||
            cvm_session_check_writable(session, "confusion matrix", confusion));
}

static bool start(Run *run) {
    CvmSession *session = run->session;
    uint64_t hash;
    if (!cvm_session_model_hash(session, &hash))
        return false;
    if (session->options->resume)
        return resume(run, hash);
    run->info = (CvmCheckpointInfo){
        .model_hash = hash,
        .seed = session->train->seed,
        .normalization = run->trained->normalization,
        .plateau = cvm_plateau_begin(),
        .accuracy = -1,
        .classes = cvm_session_class_lines(session),
    };
    snprintf(run->info.model, sizeof run->info.model, "%s", cvm_model_name(session->model));
    return true;
}

static CvmRate rate_of(const CvmTrain *train) {
    CvmRate rate = train->rate;
    rate.epochs = train->epochs;
    return rate;
}

/* --- reporting --- */

static void report_epoch(const Run *run, const CvmEpochResult *result) {
    const CvmSession *session = run->session;
    const CvmEvaluation *evaluation = &run->trained->evaluation;
    double speed = result->seconds > 0 ? (double)run->train.count / result->seconds : 0;
    cvm_report_note(
        "epoch %d/%d  loss %.4f  test accuracy %.4f  test loss %.4f  %.1f s  %.0f images/s",
        run->info.epoch, session->train->epochs, result->loss, run->info.accuracy, evaluation->loss,
        result->seconds, speed);
    if (session->options->verbose && result->seconds > 0)
        cvm_report_note("of its time, %.1f%% waiting for pictures",
                        100 * result->waited / result->seconds);
    if (!session->options->json)
        return;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "event", "epoch");
    cJSON_AddNumberToObject(object, "epoch", run->info.epoch);
    cJSON_AddNumberToObject(object, "epochs", session->train->epochs);
    cJSON_AddNumberToObject(object, "loss", result->loss);
    cJSON_AddNumberToObject(object, "test_accuracy", run->info.accuracy);
    cJSON_AddNumberToObject(object, "test_loss", evaluation->loss);
    cJSON_AddNumberToObject(object, "seconds", result->seconds);
    cJSON_AddNumberToObject(object, "waited_seconds", result->waited);
    cJSON_AddNumberToObject(object, "images_per_second", speed);
    cvm_report_json(object);
}

/* "small.best.safetensors" for "small.safetensors". */
static void best_path(const Run *run, char path[CVM_PATH_SIZE]) {
    static const char ending[] = ".safetensors";
    const char *checkpoint = run->trained->checkpoint;
    size_t length = strlen(checkpoint), end = sizeof ending - 1;
    if (length > end && strcmp(checkpoint + length - end, ending) == 0)
        length -= end;
    snprintf(path, CVM_PATH_SIZE, "%.*s.best%s", (int)length, checkpoint, ending);
}

static void report_trained(const Run *run) {
    const CvmSession *session = run->session;
    if (session->options->json) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "event", "trained");
        cJSON_AddStringToObject(object, "model", run->info.model);
        cJSON_AddStringToObject(object, "checkpoint", run->trained->checkpoint);
        cJSON_AddNumberToObject(object, "epoch", run->info.epoch);
        cJSON_AddNumberToObject(object, "epochs", session->train->epochs);
        cJSON_AddNumberToObject(object, "test_accuracy", run->info.accuracy);
        cJSON_AddNumberToObject(object, "seconds", run->seconds);
        cJSON_AddNumberToObject(object, "frozen", run->phase.frozen.count);
        cJSON_AddNumberToObject(object, "frozen_changed", 0); /* else the training has failed */
        cvm_report_json(object);
        return;
    }
    if (run->phase.frozen.count)
        printf("frozen: %d tensors, bits unchanged\n", run->phase.frozen.count);
    printf("trained %s for %d epoch%s: test accuracy %.4f, %.1f s; weights in %s\n",
           run->info.model, run->info.epoch, run->info.epoch == 1 ? "" : "s", run->info.accuracy,
           run->seconds, run->trained->checkpoint);
    if (run->session->train->patience) {
        int best = cvm_history_best(&run->session->history);
        char path[CVM_PATH_SIZE];
        best_path(run, path);
        printf("best: epoch %d, test accuracy %.4f; weights in %s\n", best + 1,
               run->session->history.epochs[best].accuracy, path);
    }
}

static void report_done_before(const Run *run) {
    const CvmSession *session = run->session;
    if (session->options->json)
        report_trained(run);
    else
        printf("%s is trained already: %d of %d epochs, test accuracy %.4f\n",
               run->trained->checkpoint, run->info.epoch, session->train->epochs,
               run->info.accuracy);
}

/* --- after an epoch --- */

/* The last epoch in which a line begins to count; the first where there is none. */
static int last_change(const CvmTrain *train) {
    int last = 0;
    for (int i = 0; i < train->rule_count; i++)
        if (train->rules[i].epoch > last && train->rules[i].epoch < train->epochs)
            last = train->rules[i].epoch;
    return last;
}

/* Whether `patience` says that it is enough. What has yet to thaw gets its epochs. */
static bool is_stale(const Run *run) {
    const CvmTrain *train = run->session->train;
    int best = cvm_history_best(&run->session->history), change = last_change(train);
    int since = best >= change ? best + 1 : change;
    return train->patience && run->info.epoch - since >= train->patience;
}

/* The checkpoint, and where it is the best so far and the train has patience, another that stays.
 */
static bool save(Run *run) {
    CvmSession *session = run->session;
    char path[CVM_PATH_SIZE];
    CvmError error;
    free(run->info.history);
    run->info.history = cvm_history_text(&session->history);
    if (!cvm_checkpoint_save(run->trained->checkpoint, &session->store, &run->info, &error))
        return cvm_session_fail(session, &error);
    if (!session->train->patience ||
        cvm_history_best(&session->history) != session->history.count - 1)
        return true;
    best_path(run, path);
    return cvm_checkpoint_save(path, &session->store, &run->info, &error) ||
           cvm_session_fail(session, &error);
}

static bool finish_epoch(Run *run, const CvmEpochResult *result) {
    CvmSession *session = run->session;
    const CvmEvaluation *evaluation = &run->trained->evaluation;
    run->seconds += result->seconds + evaluation->seconds;
    run->info.epoch++;
    run->info.accuracy = cvm_accuracy(evaluation);
    cvm_history_add(&session->history, session->arena,
                    (CvmEpochRecord){result->loss, evaluation->loss, run->info.accuracy});
    if (!save(run))
        return false;
    report_epoch(run, result);
    const CvmPage page = {evaluation, &session->history, run->trained->checkpoint};
    return cvm_write_page(session, &page);
}

/* --- the epochs --- */

static bool enter_phase(Run *run) {
    const CvmPictures pictures = {&run->train, &run->test, &run->trained->normalization};
    if (run->info.epoch > 0 && run->session->train->rule_count)
        cvm_report_note("from epoch %d on other parameters learn, or at other rates",
                        run->info.epoch + 1);
    return cvm_phase_enter(run->session, run->info.epoch, &pictures, &run->phase);
}

static bool train_epoch(Run *run) {
    CvmSession *session = run->session;
    const CvmPhase *phase = &run->phase;
    const CvmTraining training = {
        .step = phase->step,
        .last = phase->last,
        .apply = phase->apply,
        .store = &session->store,
        .batch = session->train->batch,
        .part = phase->part,
        .image_input = cvm_model_input_name(session->model),
        .data = &run->train,
        .normalization = &run->trained->normalization,
        .augmentation = cvm_train_augmentation(session->train),
        .features = phase->prefix.features,
        .ahead = cvm_session_reads_ahead(session),
        .rate = rate_of(session->train),
        .plateau = &run->info.plateau,
        .epochs = session->train->epochs,
        .seed = session->train->seed,
        .pool = session->pool,
        .progress = cvm_report_progress,
    };
    CvmEpochResult result;
    CvmError error;
    if (!cvm_train_epoch(&training, run->info.epoch, &result, &error))
        return cvm_session_fail(session, &error);
    if (!cvm_session_evaluate(session, phase->evaluator, phase->test_batch, &phase->test,
                              &run->trained->evaluation))
        return false;
    cvm_plateau_observe(&training.rate, &run->info.plateau, run->trained->evaluation.loss);
    return finish_epoch(run, &result);
}

/* The epochs of one phase, up to `end`. */
static bool train_phase(Run *run, int end) {
    if (!enter_phase(run))
        return false;
    while (run->info.epoch < run->phase.end && run->info.epoch < end && !is_stale(run))
        if (!train_epoch(run))
            return false;
    return cvm_phase_leave(run->session, &run->phase);
}

static bool train_epochs(Run *run) {
    CvmSession *session = run->session;
    int end = session->train->epochs;
    if (session->options->stop_after && session->options->stop_after < end)
        end = (int)session->options->stop_after;
    if (run->info.epoch >= end || is_stale(run)) {
        report_done_before(run);
        return true;
    }
    while (run->info.epoch < end && !is_stale(run))
        if (!train_phase(run, end))
            return false;
    if (is_stale(run))
        cvm_report_note("stopped after epoch %d: no better test accuracy since epoch %d",
                        run->info.epoch, cvm_history_best(&session->history) + 1);
    report_trained(run);
    return cvm_write_confusion(session, &run->trained->evaluation);
}

bool cvm_session_train(CvmSession *session, CvmTrained *trained) {
    *trained = (CvmTrained){0};
    Run run = {.session = session, .trained = trained};
    if (!cvm_session_need_train(session))
        return false;
    choose_output(session, trained->checkpoint);
    bool done = cvm_session_check_writable(session, "checkpoint", trained->checkpoint) &&
                check_outputs(session) && read_data(&run) && take_weights(session) && start(&run) &&
                train_epochs(&run);
    cvm_prefix_close(&run.phase.prefix); /* where a phase failed */
    cvm_averages_settle(&session->store);
    free(run.info.history);
    cvm_dataset_free(&run.train);
    cvm_dataset_free(&run.test);
    return done;
}
