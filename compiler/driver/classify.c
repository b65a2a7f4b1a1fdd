/* See classify.h. */
#include "compiler/driver/classify.h"
#include "compiler/driver/class_names.h"

#include "compiler/driver/data.h"
#include "compiler/driver/labels.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

#include <string.h>

bool cvm_session_stated_normalization(CvmSession *session, CvmNormalization *normalization) {
    if (session->predict && session->predict->normalizes) {
        *normalization = session->predict->normalize.stated;
        return true;
    }
    if (session->train)
        return cvm_session_normalization(session, NULL, normalization);
    *normalization = cvm_normalization_unit((int)cvm_model_input(session->model).sizes[0]);
    return true;
}

/* Takes the checkpoint's weights and the normalization it remembers. */
static bool checkpoint_normalization(CvmSession *session, CvmNormalization *normalization) {
    CvmCheckpointInfo info;
    if (!cvm_session_load_checkpoint(session, &info))
        return false;
    *normalization = info.normalization;
    return true;
}

static bool count_classes(CvmClassifier *classifier) {
    CvmSession *session = classifier->session;
    const CvmPort *logits = cvm_instance_plan(classifier->instance)->outputs;
    CvmShape given = logits->shape;
    char text[128];
    if (given.rank == 2) {
        classifier->classes = (int)given.sizes[1];
        return true;
    }
    given.rank--; /* without the batch, as the language tells shapes */
    memmove(given.sizes, given.sizes + 1, (size_t)given.rank * sizeof *given.sizes);
    return cvm_session_refuse(session, CVM_EXIT_INPUT,
                              "%s makes %s of a picture, and a classifier ends with one number for "
                              "each class; end the model with flatten and linear(classes)",
                              cvm_model_name(session->model),
                              cvm_shape_text(&given, text, sizeof text));
}

CvmPreparation cvm_session_preparation(const CvmSession *session) {
    CvmShape input = cvm_model_input(session->model);
    if (session->predict)
        return session->predict->preparation;
    if (session->train && session->train->data->kind == CVM_DATA_FOLDER)
        return session->train->data->preparation;
    return (CvmPreparation){.channels = (int)input.sizes[0],
                            .height = (int)input.sizes[1],
                            .width = (int)input.sizes[2]};
}

bool cvm_classifier_open(CvmSession *session, const CvmNormalization *trained, int batch,
                         CvmClassifier *classifier) {
    *classifier = (CvmClassifier){
        .session = session, .batch = batch, .preparation = cvm_session_preparation(session)};
    bool from_file = !trained && session->options->weights;
    if (from_file && !cvm_session_open_weights(session))
        return false;
    classifier->instance = cvm_session_inference(session, batch, true);
    classifier->pool = classifier->instance ? cvm_session_pool(session) : NULL;
    if (!classifier->pool)
        return false;
    if (!count_classes(classifier))
        return false;
    int64_t top = session->options->top ? session->options->top : CVM_GUESSES;
    classifier->top = top < classifier->classes ? (int)top : classifier->classes;
    classifier->normalization = trained ? *trained : (CvmNormalization){0};
    if (!trained &&
        !(from_file ? cvm_session_stated_normalization(session, &classifier->normalization)
                    : checkpoint_normalization(session, &classifier->normalization)))
        return false;
    if (session->class_count && session->class_count != classifier->classes)
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s names %d classes, and %s tells %d apart",
                                  session->options->checkpoint, session->class_count,
                                  cvm_model_name(session->model), classifier->classes);
    cvm_session_prepare(session, classifier->instance, classifier->pool);
    return cvm_session_read_labels(session, classifier->classes);
}

/* --- classifying --- */

/* A batch while the threads normalize it. */
typedef struct Normalizing {
    const CvmClassifier *classifier;
    const uint8_t *const *pixels;
    int count;
    float *images; /* [batch, c, h, w] */
} Normalizing;

static void normalize_part(void *context, int thread, int threads) {
    const Normalizing *work = context;
    const CvmPreparation *input = &work->classifier->preparation;
    int64_t plane = (int64_t)input->height * input->width, picture = input->channels * plane;
    for (int i = thread; i < work->classifier->batch; i += threads) {
        if (i < work->count && work->pixels[i])
            cvm_normalize(&work->classifier->normalization, work->pixels[i], plane,
                          work->images + i * picture);
        else /* whatever an earlier run left there */
            memset(work->images + i * picture, 0, (size_t)picture * sizeof *work->images);
    }
}

void cvm_classify(const CvmClassifier *classifier, const uint8_t *const *pixels, int count) {
    const char *image = cvm_model_input_name(classifier->session->model);
    Normalizing work = {classifier, pixels, count, cvm_instance_input(classifier->instance, image)};
    if (classifier->batch > 1)
        cvm_pool_run(classifier->pool, normalize_part, &work);
    else
        normalize_part(&work, 0, 1);
    cvm_instance_run(classifier->instance, classifier->pool);
}

const float *cvm_classified_logits(const CvmClassifier *classifier, int index) {
    const float *logits = cvm_instance_output(classifier->instance, "logits");
    return logits + (int64_t)index * classifier->classes;
}

/* Puts the class among the guesses if it is likelier than one of them. */
static void consider(CvmGuesses *guesses, int top, int label, float probability) {
    int place = guesses->count;
    while (place > 0 && probability > guesses->best[place - 1].probability)
        place--;
    if (place == top)
        return;
    if (guesses->count < top)
        guesses->count++;
    for (int i = guesses->count - 1; i > place; i--)
        guesses->best[i] = guesses->best[i - 1];
    guesses->best[place] = (CvmGuess){label, probability};
}

CvmGuesses cvm_classified(const CvmClassifier *classifier, int index) {
    const float *probabilities = cvm_instance_output(classifier->instance, "probabilities");
    CvmGuesses guesses = {.count = 0};
    probabilities += (int64_t)index * classifier->classes;
    for (int label = 0; label < classifier->classes; label++)
        consider(&guesses, classifier->top, label, probabilities[label]);
    return guesses;
}
