/* cvmc samples: pictures of the test set with what the model takes them for, in the terminal and as
 * a PNG; --wrong shows its mistakes. --augmented: those to learn from, as the train varies them. */
#include "compiler/driver/augmented.h"
#include "compiler/driver/class_names.h"
#include "compiler/driver/classify.h"
#include "compiler/driver/command.h"
#include "compiler/driver/data.h"
#include "compiler/driver/gallery.h"
#include "compiler/driver/report.h"

#include <stdlib.h>

typedef struct Sample {
    const uint8_t *pixels;
    int label;
    CvmGuess guess;
} Sample;

typedef struct Samples {
    CvmSession *session;
    CvmDataset data;
    Sample *list;
    int count;
} Samples;

/* --- choosing them --- */

static bool choose(Samples *samples, const CvmClassifier *classifier) {
    CvmError error;
    const CvmOptions *options = samples->session->options;
    const CvmDataset *data = &samples->data;
    int64_t wanted = options->count ? options->count : 10;
    wanted = wanted < data->count ? wanted : data->count;
    samples->list = cvm_arena_array(samples->session->arena, (size_t)wanted, sizeof(Sample));
    int32_t *order = cvm_arena_array(samples->session->arena, (size_t)data->count, sizeof *order);
    for (int64_t i = 0; i < data->count; i++)
        order[i] = (int32_t)i;
    if (options->given & CVM_OPTION_SEED)
        cvm_shuffle(order, data->count, options->seed, 0);
    size_t size = (size_t)data->channels * (size_t)data->height * (size_t)data->width;
    uint8_t *pixels = cvm_arena_alloc(samples->session->arena, size);
    for (int64_t i = 0; i < data->count && samples->count < wanted; i++) {
        if (!cvm_dataset_picture(data, order[i], pixels, &error))
            return cvm_session_fail(samples->session, &error);
        Sample sample = {pixels, data->labels[order[i]], {0, 0}};
        cvm_classify(classifier, &sample.pixels, 1);
        sample.guess = cvm_classified(classifier, 0).best[0];
        if (options->wrong && sample.guess.label == sample.label)
            continue;
        samples->list[samples->count++] = sample;
        pixels = cvm_arena_alloc(samples->session->arena, size);
    }
    return true;
}

/* --- showing them --- */

static void caption(const Samples *samples, const Sample *sample, char *first, char *second,
                    size_t size) {
    char name[32];
    snprintf(first, size, "%s",
             cvm_session_class_name(samples->session, sample->guess.label, name, sizeof name));
    if (sample->guess.label == sample->label)
        snprintf(second, size, "%.0f%%, right", sample->guess.probability * 100);
    else
        snprintf(second, size, "%.0f%%, is %s", sample->guess.probability * 100,
                 cvm_session_class_name(samples->session, sample->label, name, sizeof name));
}

static bool show_samples(const Samples *samples) {
    const CvmDataset *data = &samples->data;
    CvmSketchCell *cells =
        cvm_arena_array(samples->session->arena, (size_t)samples->count, sizeof *cells);
    for (int i = 0; i < samples->count; i++) {
        const Sample *sample = &samples->list[i];
        CvmSketchCell *cell = &cells[i];
        cell->picture =
            (CvmImage){data->channels, data->height, data->width, (uint8_t *)sample->pixels};
        cell->mark = sample->guess.label == sample->label ? CVM_MARK_RIGHT : CVM_MARK_WRONG;
        caption(samples, sample, cell->first, cell->second, sizeof cell->first);
    }
    return cvm_gallery_show(samples->session, cells, samples->count, false);
}

static bool show(Samples *samples) {
    CvmSession *session = samples->session;
    CvmClassifier classifier;
    if (!cvm_classifier_open(session, NULL, 1, &classifier) || !choose(samples, &classifier))
        return false;
    if (samples->count == 0) {
        puts("no mistakes on the test set");
        return true;
    }
    return show_samples(samples);
}

static bool check_options(const CvmOptions *options) {
    const CvmOptionSet of_predictions = CVM_OPTION_CHECKPOINT | CVM_OPTION_RAW | CVM_OPTION_WRONG;
    if (options->augmented && options->given & of_predictions) {
        cvm_report_error("--augmented shows pictures to learn from, without predictions: "
                         "--checkpoint, --raw and --wrong do not go with it");
        return false;
    }
    if (!options->augmented && !options->checkpoint) {
        cvm_report_error("samples needs --checkpoint PATH, a file that cvmc train wrote, or "
                         "--augmented");
        return false;
    }
    return true;
}

int cvm_command_samples(const CvmOptions *options) {
    CvmSession session;
    Samples samples = {.session = &session};
    if (!check_options(options))
        return CVM_EXIT_USAGE;
    if (!cvm_session_open(&session, options) || !cvm_session_need_train(&session))
        return cvm_session_close(&session);
    if (options->augmented) {
        cvm_show_augmented(&session);
    } else if (cvm_session_read_data(&session, CVM_DATA_TEST, &samples.data)) {
        show(&samples);
        cvm_dataset_free(&samples.data);
    }
    return cvm_session_close(&session);
}
