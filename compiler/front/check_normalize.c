/* What `normalize` says: how bytes become numbers. Trains and predict blocks share it. */
#include "compiler/front/check.h"

#include <string.h>

/* The mean and deviation of ImageNet's training pictures that torchvision's models are trained
 * with, of pixels between 0 and 1. */
static const CvmNormalization imagenet = {
    .channels = 3, .mean = {0.485, 0.456, 0.406}, .deviation = {0.229, 0.224, 0.225}};

typedef struct NormalizeReader {
    CvmProgram *program;
    const CvmAstExpr *expr;
    int channels;
    bool in_train;
    CvmNormalize *normalize;
} NormalizeReader;

static bool breach(const NormalizeReader *reader, int code, CvmSpan span, const char *mend,
                   const char *message) {
    return cvm_diag_error(reader->program->diag, code, span, NULL, mend, "%s", message);
}

static bool read_unit(const NormalizeReader *reader) {
    if (reader->channels > CVM_MAX_CHANNELS)
        return breach(reader, 1348, reader->expr->span,
                      "classify with a built object instead, which takes numbers",
                      "pictures have at most 4 channels, and this model takes more");
    *reader->normalize =
        (CvmNormalize){CVM_NORMALIZE_UNIT, cvm_normalization_unit(reader->channels)};
    return true;
}

static bool read_mean_of_train(const NormalizeReader *reader) {
    if (!reader->in_train)
        return breach(reader, 1346, reader->expr->span,
                      "state the numbers: normalize mean(123.68, 116.779, 103.939)",
                      "mean_of_train needs training pictures, and predict has none");
    reader->normalize->kind = CVM_NORMALIZE_MEAN_OF_TRAIN;
    return true;
}

static bool fits_channels(const NormalizeReader *reader, int stated) {
    if (!reader->channels || stated == reader->channels)
        return true;
    return breach(reader, 1348, reader->expr->span, "give one number for each channel",
                  cvm_arena_format(reader->program->arena,
                                   "this normalizes %d channels, and the pictures have %d", stated,
                                   reader->channels));
}

static bool read_imagenet(const NormalizeReader *reader) {
    *reader->normalize = (CvmNormalize){CVM_NORMALIZE_STATED, imagenet};
    return fits_channels(reader, imagenet.channels);
}

/* A channel's number, written for pixels of 0 to 255. */
static bool read_level(const NormalizeReader *reader, const CvmAstArgument *argument, double least,
                       double *level) {
    CvmEval eval = {.diag = reader->program->diag};
    if (!cvm_eval_real(&eval, argument->value, level))
        return false;
    if (!(*level >= least && *level <= 255))
        return breach(reader, 1346, argument->span, NULL,
                      cvm_arena_format(reader->program->arena,
                                       "pixels go from 0 to 255, so that this is a number from %g "
                                       "to 255",
                                       least));
    *level /= 255;
    return true;
}

static bool is_deviation(const CvmAstArgument *argument) {
    return argument->name.text && !strcmp(argument->name.text, "deviation") &&
           argument->value->kind == CVM_AST_LIST;
}

/* One number for each channel; their count, or -1 (reported). */
static int read_levels(const NormalizeReader *reader, const CvmAstArgument *one, double least,
                       double levels[CVM_MAX_CHANNELS]) {
    int count = 0;
    for (; one && !is_deviation(one); one = one->next, count++) {
        if (one->name.text || count == CVM_MAX_CHANNELS) {
            breach(reader, 1346, one->span,
                   "write mean(123.68, 116.779, 103.939), or add deviation=[58.4, 57.1, 57.4]",
                   "a number for each channel is expected here");
            return -1;
        }
        if (!read_level(reader, one, least, &levels[count]))
            return -1;
    }
    return count;
}

/* mean(M, …) or mean(M, …, deviation=[D, …]), of pixels from 0 to 255. Without a deviation they are
 * not scaled at all. */
static bool read_mean(const NormalizeReader *reader) {
    CvmNormalization *stated = &reader->normalize->stated;
    const CvmAstArgument *first = reader->expr->arguments, *deviation = first;
    *reader->normalize = (CvmNormalize){.kind = CVM_NORMALIZE_STATED};
    stated->channels = read_levels(reader, first, 0, stated->mean);
    if (stated->channels < 0)
        return false;
    if (stated->channels == 0)
        return breach(reader, 1346, reader->expr->span, "write mean(123.68, 116.779, 103.939)",
                      "mean needs a number for each channel");
    while (deviation && !is_deviation(deviation))
        deviation = deviation->next;
    for (int c = 0; c < stated->channels; c++)
        stated->deviation[c] = 1.0 / 255;
    if (deviation) {
        int count = read_levels(reader, deviation->value->arguments, 0.001, stated->deviation);
        if (count < 0)
            return false;
        if (count != stated->channels || deviation->next)
            return breach(reader, 1346, deviation->span, "give as many numbers as mean has, last",
                          "deviation has a number for each channel");
    }
    return fits_channels(reader, stated->channels);
}

typedef struct Form {
    const char *name;
    bool takes_arguments;
    bool (*read)(const NormalizeReader *reader);
} Form;

static const Form forms[] = {
    {"unit", false, read_unit},
    {"mean_of_train", false, read_mean_of_train},
    {"imagenet", false, read_imagenet},
    {"mean", true, read_mean},
};
enum { FORM_COUNT = sizeof forms / sizeof *forms };

bool cvm_read_normalize(CvmProgram *program, const CvmAstExpr *expr, int channels, bool in_train,
                        CvmNormalize *normalize) {
    NormalizeReader reader = {program, expr, channels, in_train, normalize};
    bool named = expr->kind == CVM_AST_NAME || expr->kind == CVM_AST_CALL;
    const char *names[FORM_COUNT], *word = named ? expr->text : "";
    for (int i = 0; i < FORM_COUNT; i++) {
        names[i] = forms[i].name;
        if (strcmp(names[i], word))
            continue;
        if (expr->arguments && !forms[i].takes_arguments)
            return breach(&reader, 1321, expr->span, "leave the parentheses out",
                          cvm_arena_format(program->arena, "'%s' takes no arguments", word));
        return forms[i].read(&reader);
    }
    const char *near = cvm_nearest_name(word, names, FORM_COUNT);
    return breach(&reader, 1320, expr->span,
                  cvm_did_you_mean(program->arena, near,
                                   "there is unit, mean_of_train, imagenet and mean(…)"),
                  *word ? cvm_arena_format(program->arena, "unknown normalization '%s'", word)
                        : "a normalization is a name");
}
