/* See evaluation.h. */
#include "compiler/driver/evaluation.h"
#include "compiler/driver/class_names.h"

#include "compiler/driver/confusion.h"
#include "compiler/driver/data.h"
#include "compiler/driver/page.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

CvmInstance *cvm_session_evaluator(CvmSession *session, int64_t count, int64_t *batch) {
    int64_t wanted = cvm_train_part(session->train);
    *batch = wanted < count ? wanted : count;
    return cvm_session_inference(session, *batch, false);
}

bool cvm_session_evaluate(CvmSession *session, CvmInstance *evaluator, int64_t batch,
                          const CvmFeed *feed, CvmEvaluation *evaluation) {
    CvmError error;
    CvmPool *pool = cvm_session_pool(session);
    if (!pool)
        return false;
    const CvmOptions *options = session->options;
    size_t classes = (size_t)session->train->classes;
    if (!evaluation->confusion && (options->report || options->confusion))
        evaluation->confusion =
            cvm_arena_array(session->arena, classes * classes, sizeof *evaluation->confusion);
    if (!evaluation->classes)
        evaluation->classes = cvm_arena_array(session->arena, (size_t)session->train->classes,
                                              sizeof *evaluation->classes);
    if (!cvm_evaluate_dataset(evaluator, batch, feed, pool, evaluation, &error))
        return cvm_session_fail(session, &error);
    return true;
}

double cvm_accuracy(const CvmEvaluation *evaluation) {
    return evaluation->count ? (double)evaluation->correct / (double)evaluation->count : 0;
}

static cJSON *class_json(const CvmSession *session, const CvmEvaluation *evaluation, int label) {
    char name[32];
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "class",
                            cvm_session_class_name(session, label, name, sizeof name));
    cJSON_AddNumberToObject(object, "count", (double)evaluation->classes[label].count);
    cJSON_AddNumberToObject(object, "correct", (double)evaluation->classes[label].correct);
    if (evaluation->classes[label].count)
        cJSON_AddNumberToObject(object, "accuracy",
                                (double)evaluation->classes[label].correct /
                                    (double)evaluation->classes[label].count);
    return object;
}

static void print_json(const CvmSession *session, const CvmEvaluation *evaluation) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "event", "evaluation");
    cJSON_AddNumberToObject(object, "accuracy", cvm_accuracy(evaluation));
    cJSON_AddNumberToObject(object, "loss", evaluation->loss);
    cJSON_AddNumberToObject(object, "count", (double)evaluation->count);
    cJSON_AddNumberToObject(object, "correct", (double)evaluation->correct);
    cJSON_AddNumberToObject(object, "seconds", evaluation->seconds);
    cJSON *classes = cJSON_AddArrayToObject(object, "classes");
    for (int label = 0; label < session->train->classes; label++)
        cJSON_AddItemToArray(classes, class_json(session, evaluation, label));
    cvm_report_json(object);
}

void cvm_session_print_evaluation(const CvmSession *session, const CvmEvaluation *evaluation) {
    if (session->options->json) {
        print_json(session, evaluation);
        return;
    }
    printf("test accuracy %.4f (%lld of %lld), loss %.4f\n", cvm_accuracy(evaluation),
           (long long)evaluation->correct, (long long)evaluation->count, evaluation->loss);
    for (int label = 0; label < session->train->classes; label++) {
        char name[32];
        int64_t count = evaluation->classes[label].count;
        if (count)
            printf("  %-20s %.4f of %lld\n",
                   cvm_session_class_name(session, label, name, sizeof name),
                   (double)evaluation->classes[label].correct / (double)count, (long long)count);
    }
}

/* The instance with the weights that the options name, and how they want the pictures. */
static CvmInstance *open_evaluator(CvmSession *session, int64_t count, int64_t *batch,
                                   CvmNormalization *normalization) {
    CvmCheckpointInfo info;
    bool from_file = session->options->weights != NULL;
    if (from_file && (!cvm_session_open_weights(session) ||
                      !cvm_session_normalization(session, NULL, normalization)))
        return NULL;
    CvmInstance *evaluator = cvm_session_evaluator(session, count, batch);
    if (!evaluator || from_file)
        return evaluator;
    if (!cvm_session_load_checkpoint(session, &info))
        return NULL;
    *normalization = info.normalization;
    return evaluator;
}

bool cvm_write_evaluation(CvmSession *session, const CvmEvaluation *evaluation) {
    const CvmOptions *options = session->options;
    const CvmPage page = {.evaluation = evaluation,
                          .history = &session->history,
                          .weights = options->weights ? options->weights : options->checkpoint};
    return cvm_write_confusion(session, evaluation) && cvm_write_page(session, &page);
}

bool cvm_session_evaluate_weights(CvmSession *session) {
    CvmDataset data;
    if (!cvm_session_need_train(session) || !cvm_session_read_data(session, CVM_DATA_TEST, &data))
        return false;
    int64_t batch;
    CvmNormalization normalization;
    CvmEvaluation evaluation = {0};
    CvmInstance *evaluator = open_evaluator(session, data.count, &batch, &normalization);
    const CvmFeed feed = {.data = &data,
                          .normalization = &normalization,
                          .image_input = cvm_model_input_name(session->model)};
    bool done = evaluator && cvm_session_evaluate(session, evaluator, batch, &feed, &evaluation);
    if (done)
        cvm_session_print_evaluation(session, &evaluation);
    done = done && cvm_write_evaluation(session, &evaluation);
    cvm_dataset_free(&data);
    return done;
}
