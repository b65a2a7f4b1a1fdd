/* What `augment` says: how the pictures to learn from are varied. Each operation is a row: its
 * name, how it is written, and what reads it. */
#include "compiler/front/settings.h"

#include <string.h>

typedef struct AugmentReader {
    CvmProgram *program;
    const CvmTrain *train; /* its data is NULL where it does not hold */
    CvmAugmentation *augmentation;
} AugmentReader;

static bool breach(const AugmentReader *reader, int code, CvmSpan span, const char *mend,
                   const char *message) {
    return cvm_diag_error(reader->program->diag, code, span, NULL, mend, "%s", message);
}

typedef struct Form {
    const char *name, *written;
    /* False when it does not hold (reported). */
    bool (*read)(const AugmentReader *reader, const struct Form *form, const CvmAstSetting *setting,
                 CvmAugmentStep *step);
    CvmAugmentKind kind; /* where the word behind it does not tell */
} Form;

static bool misshapen(const AugmentReader *reader, const Form *form, const CvmAstSetting *setting) {
    return breach(
        reader, 1351, setting->span,
        cvm_arena_format(reader->program->arena, "write %s", form->written),
        cvm_arena_format(reader->program->arena, "this is not what %s takes", form->name));
}

/* A number above 0, at most 1. */
static bool read_share(const AugmentReader *reader, const Form *form, const CvmAstExpr *expr,
                       double *share) {
    CvmEval eval = {.diag = reader->program->diag};
    if (!cvm_eval_real(&eval, expr, share))
        return false;
    return (*share > 0 && *share <= 1) ||
           breach(reader, 1351, expr->span, NULL,
                  cvm_arena_format(reader->program->arena,
                                   "the number of %s must be above 0 and at most 1", form->name));
}

static bool read_amount(const AugmentReader *reader, const Form *form, const CvmAstSetting *setting,
                        CvmAugmentStep *step) {
    step->kind = form->kind;
    if (setting->amount || setting->value->kind == CVM_AST_NAME)
        return misshapen(reader, form, setting);
    return read_share(reader, form, setting->value, &step->amount);
}

static bool is_word(const CvmAstExpr *expr, const char *word) {
    return expr->kind == CVM_AST_NAME && !strcmp(expr->text, word);
}

static bool read_flip(const AugmentReader *reader, const Form *form, const CvmAstSetting *setting,
                      CvmAugmentStep *step) {
    bool vertical = is_word(setting->value, "vertical");
    if (!vertical && !is_word(setting->value, "horizontal"))
        return misshapen(reader, form, setting);
    step->kind = vertical ? CVM_AUGMENT_FLIP_VERTICAL : CVM_AUGMENT_FLIP_HORIZONTAL;
    step->amount = 0.5;
    return !setting->amount || read_share(reader, form, setting->amount, &step->amount);
}

static bool read_pixels(const AugmentReader *reader, const CvmAstExpr *expr, int *pixels) {
    CvmEval eval = {.diag = reader->program->diag};
    int64_t value = 0;
    bool read = cvm_eval_in_range(&eval, expr, "shift", 0, INT32_MAX, &value);
    *pixels = (int)value;
    return read;
}

/* shift 4, shift [2, 4] */
static bool read_shift(const AugmentReader *reader, const Form *form, const CvmAstSetting *setting,
                       CvmAugmentStep *step) {
    const CvmAstExpr *value = setting->value, *rows = value, *columns = value;
    const CvmAugmentation *all = reader->augmentation;
    step->kind = form->kind;
    if (value->kind == CVM_AST_LIST) {
        const CvmAstArgument *first = value->arguments, *second = first ? first->next : NULL;
        if (!second || second->next || first->name.text || second->name.text)
            return misshapen(reader, form, setting);
        rows = first->value;
        columns = second->value;
    }
    if (setting->amount || value->kind == CVM_AST_NAME)
        return misshapen(reader, form, setting);
    if (!read_pixels(reader, rows, &step->rows) || !read_pixels(reader, columns, &step->columns))
        return false;
    return !reader->train->data || (step->rows < all->height && step->columns < all->width) ||
           breach(reader, 1352, value->span, "shift by fewer pixels",
                  cvm_arena_format(reader->program->arena,
                                   "pictures %d high and %d wide would be shifted out of sight",
                                   all->height, all->width));
}

/* Whether the pictures are larger than what is cropped of them. */
static bool has_room(const AugmentReader *reader, const CvmAstSetting *setting) {
    const CvmData *data = reader->train->data;
    const CvmAugmentation *all = reader->augmentation;
    CvmPreparation larger;
    if (!data)
        return true;
    larger = cvm_preparation_uncropped(&data->preparation);
    if (data->kind == CVM_DATA_FOLDER && (larger.height > all->height || larger.width > all->width))
        return true;
    return breach(
        reader, 1352, setting->span,
        data->kind == CVM_DATA_FOLDER
            ? cvm_arena_format(reader->program->arena,
                               "let %s be larger before it is cropped, such as resize "
                               "%d  crop [%d, %d]; or take parts of its pictures: crop "
                               "random(0.5)",
                               data->name,
                               (all->height > all->width ? all->height : all->width) * 8 / 7,
                               all->height, all->width)
            : "move them instead: shift 4; or take parts of them: crop random(0.5)",
        cvm_arena_format(reader->program->arena,
                         "the pictures of %s are %d high and %d wide, as the model "
                         "takes them: there is only one place to crop",
                         data->name, all->height, all->width));
}

/* crop random, crop random(0.08) */
static bool read_crop(const AugmentReader *reader, const Form *form, const CvmAstSetting *setting,
                      CvmAugmentStep *step) {
    const CvmNamedNumber area = {"area", &step->amount, 0.001, 0.999, true, false, NULL};
    const CvmAstExpr *value = setting->value;
    step->kind = form->kind;
    step->amount = 1;
    if (is_word(value, "random") && !setting->amount)
        return has_room(reader, setting);
    if (value->kind != CVM_AST_CALL || strcmp(value->text, "random"))
        return misshapen(reader, form, setting);
    return cvm_read_numbers(reader->program, value, &area, 1);
}

static const Form forms[] = {
    {"flip", "flip horizontal or flip vertical, with a probability: flip horizontal 0.3", read_flip,
     CVM_AUGMENT_FLIP_HORIZONTAL},
    {"shift", "shift 4, or shift [rows, columns]", read_shift, CVM_AUGMENT_SHIFT},
    {"crop", "crop random, or with the least share of the area crop random(0.08)", read_crop,
     CVM_AUGMENT_CROP},
    {"brightness", "brightness 0.2", read_amount, CVM_AUGMENT_BRIGHTNESS},
    {"contrast", "contrast 0.2", read_amount, CVM_AUGMENT_CONTRAST},
    {"erase", "erase 0.5", read_amount, CVM_AUGMENT_ERASE},
};
enum { FORM_COUNT = sizeof forms / sizeof *forms };

static const Form *find_form(const AugmentReader *reader, CvmAstName name) {
    CvmArena *arena = reader->program->arena;
    const char *names[FORM_COUNT];
    for (int i = 0; i < FORM_COUNT; i++) {
        names[i] = forms[i].name;
        if (!strcmp(name.text, names[i]))
            return &forms[i];
    }
    breach(reader, 1350, name.span,
           cvm_did_you_mean(arena, cvm_nearest_name(name.text, names, FORM_COUNT),
                            "there are flip, shift, crop, brightness, contrast and erase"),
           cvm_arena_format(arena, "augment has no operation '%s'", name.text));
    return NULL;
}

static bool read_operation(const AugmentReader *reader, const CvmAstSetting *setting) {
    CvmAugmentation *all = reader->augmentation;
    const Form *form = find_form(reader, setting->key);
    CvmAugmentStep step = {0};
    if (!form || !form->read(reader, form, setting, &step))
        return false;
    for (int i = 0; i < all->count; i++)
        if (all->steps[i].kind == step.kind)
            return breach(
                reader, 1351, setting->span, "keep one",
                cvm_arena_format(reader->program->arena, "'%s' is given twice", form->name));
    all->steps[all->count++] = step;
    return true;
}

bool cvm_read_augment(CvmProgram *program, const CvmAstSetting *setting, CvmTrain *train) {
    const AugmentReader reader = {program, train, &train->augment};
    bool sound = true;
    if (setting->kind != CVM_AST_GROUP)
        return breach(&reader, 1353, setting->span, "write augment { flip horizontal  shift 4 }",
                      "augment is a group of operations in braces");
    train->augment.height = train->data ? (int)train->data->image.sizes[1] : 0;
    train->augment.width = train->data ? (int)train->data->image.sizes[2] : 0;
    for (const CvmAstSetting *one = setting->settings; one; one = one->next)
        sound &= read_operation(&reader, one);
    return sound;
}

bool cvm_refuse_group(CvmProgram *program, const CvmAstSetting *setting) {
    if (!strcmp(setting->key.text, "augment"))
        return cvm_diag_error(program->diag, 1353, setting->key.span, NULL,
                              "move it into the train",
                              "pictures are augmented where a network learns from them");
    return cvm_diag_error(program->diag, 1353, setting->key.span, NULL, NULL,
                          "'%s' takes a value, and this is a group in braces", setting->key.text);
}

const CvmAugmentation *cvm_train_augmentation(const CvmTrain *train) {
    return train->augment.count ? &train->augment : NULL;
}

CvmPreparation cvm_train_preparation(const CvmTrain *train) {
    for (int i = 0; i < train->augment.count; i++)
        if (train->augment.steps[i].kind == CVM_AUGMENT_CROP)
            return cvm_preparation_uncropped(&train->data->preparation);
    return train->data->preparation;
}
