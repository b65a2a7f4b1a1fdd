/* See classify.h. */
#include "compiler/driver/classify.h"
#include "compiler/driver/class_names.h"

#include "compiler/driver/data.h"
#include "compiler/driver/labels.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

#include <string.h>
#include <sys/stat.h>

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

bool cvm_classifier_open(CvmSession *session, const CvmNormalization *trained,
                         CvmClassifier *classifier) {
    *classifier =
        (CvmClassifier){.session = session, .preparation = cvm_session_preparation(session)};
    bool from_file = !trained && session->options->weights;
    if (from_file && !cvm_session_open_weights(session))
        return false;
    classifier->instance = cvm_session_inference(session, 1, true);
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

CvmGuesses cvm_classify(const CvmClassifier *classifier, const uint8_t *pixels) {
    const CvmPreparation *input = &classifier->preparation;
    const char *image = cvm_model_input_name(classifier->session->model);
    cvm_normalize(&classifier->normalization, pixels, (int64_t)input->height * input->width,
                  cvm_instance_input(classifier->instance, image));
    cvm_instance_run(classifier->instance, classifier->pool);
    const float *probabilities = cvm_instance_output(classifier->instance, "probabilities");
    CvmGuesses guesses = {.count = 0};
    for (int label = 0; label < classifier->classes; label++)
        consider(&guesses, classifier->top, label, probabilities[label]);
    return guesses;
}

/* --- files --- */

static cJSON *guesses_json(const CvmSession *session, const CvmGuesses *guesses) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < guesses->count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses->best[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "class",
                                cvm_session_class_name(session, guess->label, name, sizeof name));
        cJSON_AddNumberToObject(object, "label", guess->label);
        cJSON_AddNumberToObject(object, "probability", guess->probability);
        cJSON_AddItemToArray(array, object);
    }
    return array;
}

static const float *logits_of(const CvmClassifier *classifier) {
    return cvm_instance_output(classifier->instance, "logits");
}

/* Of every class. */
static cJSON *logits_json(const CvmClassifier *classifier) {
    cJSON *array = cJSON_CreateArray();
    for (int label = 0; label < classifier->classes; label++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(logits_of(classifier)[label]));
    return array;
}

static void print_guesses(const CvmClassifier *classifier, const char *path,
                          const CvmGuesses *guesses) {
    const CvmSession *session = classifier->session;
    printf("%s\n", path);
    for (int i = 0; i < guesses->count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses->best[i];
        printf("  %5.1f%%", guess->probability * 100);
        if (session->options->logits)
            printf("  %9.4f", logits_of(classifier)[guess->label]);
        printf("  %s\n", cvm_session_class_name(session, guess->label, name, sizeof name));
    }
}

/* A field of a CSV line (RFC 4180): in quotes where it needs them. */
static void print_field(const char *text) {
    if (!strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    putchar('"');
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv_header(const CvmClassifier *classifier) {
    fputs("file", stdout);
    for (int i = 1; i <= classifier->top; i++)
        printf(",class%d,probability%d", i, i);
    putchar('\n');
}

static void print_csv(const CvmSession *session, const char *path, const CvmGuesses *guesses) {
    print_field(path);
    for (int i = 0; i < guesses->count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses->best[i];
        putchar(',');
        print_field(cvm_session_class_name(session, guess->label, name, sizeof name));
        printf(",%.6g", guess->probability);
    }
    putchar('\n');
}

static bool classify_file(const CvmClassifier *classifier, const char *path, cJSON *results) {
    CvmSession *session = classifier->session;
    CvmImage image;
    CvmError error;
    bool read = cvm_prepare_picture(&classifier->preparation, path, &image, &error);
    cJSON *result = results ? cJSON_CreateObject() : NULL;
    if (result) {
        cJSON_AddStringToObject(result, "file", path);
        cJSON_AddItemToArray(results, result);
    }
    if (!read) {
        cvm_report_error("%s", error.message);
        if (result)
            cJSON_AddStringToObject(result, "error", error.message);
        return false;
    }
    CvmGuesses guesses = cvm_classify(classifier, image.pixels);
    cvm_image_free(&image);
    if (result)
        cJSON_AddItemToObject(result, "classes", guesses_json(session, &guesses));
    else if (session->options->csv)
        print_csv(session, path, &guesses);
    else
        print_guesses(classifier, path, &guesses);
    if (result && session->options->logits)
        cJSON_AddItemToObject(result, "logits", logits_json(classifier));
    return true;
}

static bool classify_folder(const CvmClassifier *classifier, const char *folder, cJSON *results) {
    CvmError error;
    CvmNames names;
    if (!cvm_picture_names(folder, &names, &error)) {
        cvm_report_error("%s", error.message);
        return false;
    }
    bool all = true;
    size_t length = strlen(folder);
    for (int64_t i = 0; i < names.count; i++) {
        char path[CVM_PATH_SIZE];
        const char *slash = length && folder[length - 1] == '/' ? "" : "/";
        int size = snprintf(path, sizeof path, "%s%s%s", folder, slash, names.list[i]);
        if (size < CVM_PATH_SIZE)
            all &= classify_file(classifier, path, results);
        else
            all = cvm_session_refuse(classifier->session, CVM_EXIT_INPUT, "%s is too long a path",
                                     names.list[i]);
    }
    cvm_names_free(&names);
    return all;
}

static bool is_folder(const char *path) {
    struct stat status;
    return stat(path, &status) == 0 && S_ISDIR(status.st_mode);
}

bool cvm_classify_files(const CvmClassifier *classifier, const char *const *paths, int count) {
    CvmSession *session = classifier->session;
    cJSON *object = NULL, *results = NULL;
    if (session->options->json) {
        object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "event", "pictures");
        results = cJSON_AddArrayToObject(object, "pictures");
    }
    if (session->options->csv)
        print_csv_header(classifier);
    bool all = true;
    for (int i = 0; i < count; i++)
        all &= is_folder(paths[i]) ? classify_folder(classifier, paths[i], results)
                                   : classify_file(classifier, paths[i], results);
    if (object)
        cvm_report_json(object);
    if (!all)
        session->status = CVM_EXIT_INPUT;
    return all;
}
