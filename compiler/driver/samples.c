/* cvmc samples: pictures of the test set with what the model takes them for, in the terminal and as
 * a PNG; --wrong shows its mistakes. */
#include "compiler/driver/canvas.h"
#include "compiler/driver/class_names.h"
#include "compiler/driver/classify.h"
#include "compiler/driver/command.h"
#include "compiler/driver/data.h"
#include "compiler/driver/report.h"
#include "compiler/driver/sketch.h"

#include <stdlib.h>

enum { PER_ROW = 5, GAP = 8, CAPTION = 38, FRAME = 3, LEAST_SIDE = 168 };

static const CvmColor right_color = {0, 128, 48}, wrong_color = {200, 32, 32};

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

static void print_samples(const Samples *samples) {
    const CvmDataset *data = &samples->data;
    CvmSketch sketch = cvm_sketch_begin(stdout, samples->session->options->ascii, data->width);
    for (int first = 0; first < samples->count; first += sketch.per_row) {
        CvmSketchCell cells[CVM_SKETCH_MOST] = {0};
        int count = 0;
        for (; count < sketch.per_row && first + count < samples->count; count++) {
            const Sample *sample = &samples->list[first + count];
            CvmSketchCell *cell = &cells[count];
            cell->picture =
                (CvmImage){data->channels, data->height, data->width, (uint8_t *)sample->pixels};
            cell->good = sample->guess.label == sample->label;
            caption(samples, sample, cell->first, cell->second, sizeof cell->first);
        }
        cvm_sketch_row(&sketch, cells, count);
    }
}

static CvmColor pixel_color(const CvmDataset *data, const uint8_t *pixels, int y, int x) {
    size_t plane = (size_t)data->height * (size_t)data->width;
    const uint8_t *pixel = pixels + (size_t)y * (size_t)data->width + (size_t)x;
    if (data->channels >= 3)
        return (CvmColor){pixel[0], pixel[plane], pixel[2 * plane]};
    return (CvmColor){pixel[0], pixel[0], pixel[0]};
}

static void draw_sample(const Samples *samples, const Sample *sample, CvmImage *canvas, int left,
                        int top, int zoom) {
    const CvmDataset *data = &samples->data;
    int width = data->width * zoom, height = data->height * zoom;
    CvmColor color = sample->guess.label == sample->label ? right_color : wrong_color;
    cvm_canvas_fill(canvas, left - FRAME, top - FRAME, width + 2 * FRAME, height + 2 * FRAME,
                    color);
    for (int y = 0; y < data->height; y++)
        for (int x = 0; x < data->width; x++)
            cvm_canvas_fill(canvas, left + x * zoom, top + y * zoom, zoom, zoom,
                            pixel_color(data, sample->pixels, y, x));
    char first[CVM_SKETCH_TEXT], second[CVM_SKETCH_TEXT];
    caption(samples, sample, first, second, sizeof first);
    cvm_canvas_text(canvas, left, top + height + FRAME + 3, width, color, first);
    cvm_canvas_text(canvas, left, top + height + FRAME + 20, width, color, second);
}

static bool write_png(const Samples *samples, const char *path) {
    const CvmDataset *data = &samples->data;
    int side = data->height > data->width ? data->height : data->width;
    int zoom = side >= LEAST_SIDE ? 1 : (LEAST_SIDE + side - 1) / side;
    int cell_width = data->width * zoom + 2 * FRAME + GAP;
    int cell_height = data->height * zoom + 2 * FRAME + CAPTION + GAP;
    int columns = samples->count < PER_ROW ? samples->count : PER_ROW;
    int rows = (samples->count + PER_ROW - 1) / PER_ROW;
    CvmImage canvas;
    CvmError error;
    if (!cvm_canvas_create(&canvas, rows * cell_height + GAP, columns * cell_width + GAP, &error))
        return cvm_session_fail(samples->session, &error);
    for (int i = 0; i < samples->count; i++)
        draw_sample(samples, &samples->list[i], &canvas, GAP + FRAME + i % PER_ROW * cell_width,
                    GAP + FRAME + i / PER_ROW * cell_height, zoom);
    bool written = cvm_image_write_png(path, &canvas, &error);
    cvm_image_free(&canvas);
    return written || cvm_session_fail(samples->session, &error);
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
    print_samples(samples);
    if (session->options->png && !write_png(samples, session->options->png))
        return false;
    if (session->options->png)
        printf("the same as a picture: %s\n", session->options->png);
    return true;
}

int cvm_command_samples(const CvmOptions *options) {
    if (!options->checkpoint) {
        cvm_report_error("samples needs --checkpoint PATH, a file that cvmc train wrote");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    Samples samples = {.session = &session};
    if (cvm_session_open(&session, options) && cvm_session_need_train(&session) &&
        cvm_session_read_data(&session, CVM_DATA_TEST, &samples.data)) {
        show(&samples);
        cvm_dataset_free(&samples.data);
    }
    return cvm_session_close(&session);
}
