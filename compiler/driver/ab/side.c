/* See side.h. */
#include "compiler/driver/ab/side.h"

#include "compiler/driver/report.h"
#include "compiler/training_graph.h"

#include <stdlib.h>
#include <string.h>

/* --- settings --- */

static bool read_passes(CvmSession *session, const char *value, CvmAbSide *side) {
    return cvm_pass_choice(value, &side->compile.passes, &session->diag);
}

static bool read_limit(CvmSession *session, const char *value, CvmAbSide *side) {
    return cvm_pass_limits(value, &side->compile.passes, &session->diag);
}

static bool read_conv(CvmSession *session, const char *value, CvmAbSide *side) {
    return cvm_convolution_parse(value, &side->compile.convolution, &session->diag);
}

static bool read_precision(CvmSession *session, const char *value, CvmAbSide *side) {
    return cvm_precision_parse(value, &side->compile.precision, &session->diag);
}

static bool read_tune(CvmSession *session, const char *value, CvmAbSide *side) {
    bool on = strcmp(value, "on") == 0;
    side->compile.tuning_folder = on ? session->compile.cache : NULL;
    return on || strcmp(value, "off") == 0;
}

static bool read_cpu(CvmSession *session, const char *value, CvmAbSide *side) {
    side->compile.cpu = value;
    return cvm_cpu_known(value, &session->diag);
}

static bool read_count(const char *text, int64_t *count) {
    char *end;
    long value = strtol(text, &end, 10);
    *count = value;
    return *text >= '0' && *text <= '9' && !*end && value > 0 && value < 1 << 30;
}

static bool read_threads(CvmSession *session, const char *value, CvmAbSide *side) {
    (void)session;
    return read_count(value, &side->threads);
}

static bool read_batch(CvmSession *session, const char *value, CvmAbSide *side) {
    (void)session;
    return read_count(value, &side->batch);
}

static bool read_mode(CvmSession *session, const char *value, CvmAbSide *side) {
    side->training = strcmp(value, "train") == 0;
    return (side->training && session->train) || strcmp(value, "forward") == 0;
}

typedef struct Setting {
    const char *key, *value; /* as a message shows them */
    bool (*read)(CvmSession *session, const char *value,
                 CvmAbSide *side); /* false: no such value */
} Setting;

static const Setting settings[] = {
    {"passes", "LIST", read_passes},
    {"limit", "NAME=N", read_limit},
    {"threads", "N", read_threads},
    {"cpu", "NAME", read_cpu},
    {"batch", "N", read_batch},
    {"mode", "forward|train", read_mode},
    {"conv", "auto|direct|winograd", read_conv},
    {"precision", "f32|bf16-weights|bf16", read_precision},
    {"tune", "on|off", read_tune},
};
enum { SETTING_COUNT = sizeof settings / sizeof *settings };

/* NULL: there is none of that name. */
static const Setting *find_setting(const char *key) {
    for (int i = 0; i < SETTING_COUNT; i++)
        if (strcmp(settings[i].key, key) == 0)
            return &settings[i];
    return NULL;
}

static bool refuse_key(CvmSession *session, const char *word, const char *key) {
    const char *list = "", *names[SETTING_COUNT];
    for (int i = 0; i < SETTING_COUNT; i++) {
        names[i] = settings[i].key;
        list = cvm_arena_format(session->arena, "%s%s%s=%s", list, i ? ", " : "", settings[i].key,
                                settings[i].value);
    }
    const char *nearest = cvm_nearest_name(key, names, SETTING_COUNT);
    return cvm_session_refuse(session, CVM_EXIT_USAGE,
                              "'%s' is no setting%s%s%s; settings are %s, with spaces between; a "
                              "word without '=' is a list of passes",
                              word, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                              nearest ? "='?" : "", list);
}

/* What is wrong with a list of passes or the like was reported where it was read. */
static bool refuse_value(CvmSession *session, const char *word, const Setting *setting) {
    if (session->diag.error_count) {
        cvm_session_fail_compile(session);
        session->status = CVM_EXIT_USAGE;
        return false;
    }
    if (setting->read == read_mode && !session->train && strcmp(word, "mode=train") == 0)
        return cvm_session_refuse(session, CVM_EXIT_USAGE, "mode=train: %s has no train",
                                  session->file);
    return cvm_session_refuse(
        session, CVM_EXIT_USAGE, "'%s' is no setting: write %s=%s%s", word, setting->key,
        setting->value, strcmp(setting->value, "N") == 0 ? ", N being a number from 1 on" : "");
}

static bool read_word(CvmSession *session, const char *word, CvmAbSide *side) {
    const char *equals = strchr(word, '=');
    const char *key =
        equals ? cvm_arena_copy(session->arena, word, (size_t)(equals - word)) : "passes";
    const Setting *setting = find_setting(key);
    if (!setting)
        return refuse_key(session, word, key);
    return setting->read(session, equals ? equals + 1 : word, side) ||
           refuse_value(session, word, setting);
}

bool cvm_ab_settings(CvmSession *session, const char *text, CvmAbSide *side) {
    *side = (CvmAbSide){.text = text,
                        .compile = session->compile,
                        .threads = session->options->threads,
                        .batch = session->options->batch,
                        .training = session->train && !session->options->forward};
    while (*(text += strspn(text, " "))) {
        size_t length = strcspn(text, " ");
        const char *word = cvm_arena_copy(session->arena, text, length);
        text += length;
        if (!read_word(session, word, side))
            return false;
    }
    return true;
}

/* --- compiling --- */

static bool compile_side(CvmSession *session, CvmAbSide *side) {
    if (!side->batch)
        side->batch = side->training ? cvm_train_part(session->train) : 1;
    side->graph = side->training ? cvm_training_graph(session->train, side->batch, session->arena,
                                                      &session->diag)
                                 : cvm_inference_graph(session->model, side->batch, false,
                                                       session->arena, &session->diag);
    if (!side->graph)
        return cvm_session_fail_compile(session);
    side->source = cvm_graph_copy(side->graph, session->arena);
    side->executable = cvm_compile(side->graph, &side->compile, &session->diag);
    if (!side->executable)
        return cvm_session_fail_compile(session);
    return true;
}

bool cvm_ab_compile(CvmSession *session, CvmAbSide sides[2]) {
    for (int i = 0; i < 2; i++) {
        CvmError error;
        if (!sides[i].executable && !compile_side(session, &sides[i]))
            return false;
        if (!sides[i].pool && i && sides[0].threads == sides[1].threads)
            sides[i].pool = sides[0].pool;
        else if (!sides[i].pool &&
                 !(sides[i].pool = cvm_pool_create((int)sides[i].threads, &error)))
            return cvm_session_fail(session, &error);
    }
    return true;
}

void cvm_ab_close(CvmAbSide sides[2]) {
    if (sides[1].pool != sides[0].pool)
        cvm_pool_free(sides[1].pool);
    if (sides[0].pool)
        cvm_pool_free(sides[0].pool);
    for (int i = 0; i < 2; i++) {
        cvm_executable_free(sides[i].executable);
        sides[i].executable = NULL;
        sides[i].pool = NULL;
    }
}

static bool same_call(const CvmCall *a, const CvmCall *b) {
    bool same = strcmp(a->kernel, b->kernel) == 0 && a->buffer_count == b->buffer_count;
    for (int i = 0; i < a->buffer_count && same; i++)
        same = a->buffers[i].space == b->buffers[i].space &&
               a->buffers[i].position == b->buffers[i].position;
    return same;
}

bool cvm_ab_same_program(const CvmAbSide sides[2]) {
    const CvmPlan *a = cvm_executable_plan(sides[0].executable);
    const CvmPlan *b = cvm_executable_plan(sides[1].executable);
    bool same = a->call_count == b->call_count && a->arena_bytes == b->arena_bytes;
    for (int i = 0; i < a->call_count && same; i++)
        same = same_call(&a->calls[i], &b->calls[i]);
    return same;
}
