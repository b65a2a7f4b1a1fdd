/* Predict blocks: how pictures from files become a model's input, and what its classes are called.
 * Nothing is read here. */
#include "compiler/front/check.h"

#include <string.h>

typedef struct PredictChecker {
    CvmProgram *program;
    const CvmAstItem *item;
    CvmPredict *predict;
    CvmEval eval;
    CvmShape input; /* [c, h, w] of the model */
    CvmSpan size;   /* of the setting that gives the size */
    bool sound;
} PredictChecker;

static void breach(PredictChecker *checker, int code, CvmSpan span, const char *mend,
                   const char *message) {
    checker->sound = cvm_diag_error(checker->program->diag, code, span, NULL, mend, "%s", message);
}

/* --- the settings --- */

static void read_resize(PredictChecker *checker, const CvmAstSetting *setting) {
    checker->size = setting->span;
    checker->sound &= cvm_read_resize(checker->program, setting, &checker->predict->preparation);
}

static void read_crop(PredictChecker *checker, const CvmAstSetting *setting) {
    checker->size = setting->span;
    checker->sound &= cvm_read_crop(checker->program, setting, &checker->predict->preparation);
}

static void read_normalize(PredictChecker *checker, const CvmAstSetting *setting) {
    checker->predict->normalizes = true;
    checker->sound &=
        cvm_read_normalize(checker->program, setting->value, (int)checker->input.sizes[0], false,
                           &checker->predict->normalize);
}

static void read_labels(PredictChecker *checker, const CvmAstSetting *setting) {
    if (setting->value->kind == CVM_AST_STRING)
        checker->predict->labels = setting->value->text;
    else
        breach(checker, 1346, setting->value->span, "write labels \"classes.txt\"",
               "labels names a file, as a quoted text");
}

static void read_names(PredictChecker *checker, const CvmAstSetting *setting) {
    if (setting->value->kind != CVM_AST_NAME) {
        breach(checker, 1346, setting->value->span, "write names torchvision_vgg",
               "names takes the name of a map");
        return;
    }
    checker->predict->names = cvm_use_name_map(
        checker->program, (CvmAstName){setting->value->text, setting->value->span});
    checker->sound &= checker->predict->names != NULL;
}

typedef struct Key {
    const char *name;
    void (*read)(PredictChecker *checker, const CvmAstSetting *setting);
} Key;

static const Key keys[] = {
    {"resize", read_resize}, {"crop", read_crop},   {"normalize", read_normalize},
    {"labels", read_labels}, {"names", read_names},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static void read_setting(PredictChecker *checker, const CvmAstSetting *setting,
                         bool seen[KEY_COUNT]) {
    CvmArena *arena = checker->program->arena;
    const char *names[KEY_COUNT];
    int key = -1;
    if (setting->kind == CVM_AST_GROUP) {
        checker->sound = cvm_refuse_group(checker->program, setting);
        return;
    }
    for (int i = 0; i < KEY_COUNT; i++) {
        names[i] = keys[i].name;
        if (!strcmp(names[i], setting->key.text))
            key = i;
    }
    if (key < 0) {
        const char *near = cvm_nearest_name(setting->key.text, names, KEY_COUNT);
        breach(checker, 1345, setting->key.span,
               cvm_did_you_mean(arena, near, "there are resize, crop, normalize, labels and names"),
               cvm_arena_format(arena, "predict has no setting '%s'", setting->key.text));
    } else if (seen[key]) {
        breach(checker, 1345, setting->key.span, "keep one",
               cvm_arena_format(arena, "'%s' is given twice", setting->key.text));
    } else {
        seen[key] = true;
        keys[key].read(checker, setting);
    }
}

/* --- the model --- */

static const CvmModelUse *use_model(PredictChecker *checker) {
    CvmProgram *program = checker->program;
    CvmAstName name = checker->item->name;
    CvmDeclaration *model = cvm_find_declaration(program, CVM_AST_MODEL, name.text);
    if (!model) {
        const char *near = cvm_nearest_declaration(program, CVM_AST_MODEL, name.text);
        breach(checker, 1344, name.span, cvm_did_you_mean(program->arena, near, NULL),
               cvm_arena_format(program->arena, "unknown model '%s'", name.text));
        return NULL;
    }
    for (const CvmAstParameter *one = model->item->parameters; one; one = one->next)
        if (!one->otherwise) {
            breach(checker, 1344, name.span, "give it a default value",
                   cvm_arena_format(program->arena, "parameter '%s' of %s has no default",
                                    one->name.text, name.text));
            return NULL;
        }
    CvmModelUse *use = CVM_NEW(program->arena, CvmModelUse);
    *use = (CvmModelUse){.program = program, .item = model->item};
    checker->sound &= model->sound && cvm_bind_parameters(&checker->eval, model->item, NULL,
                                                          name.span, use->values);
    return checker->sound && cvm_model_input_statement(model->item) ? use : NULL;
}

CvmPredict *cvm_check_predict(CvmProgram *program, const CvmAstItem *item) {
    CvmPredict *predict = CVM_NEW(program->arena, CvmPredict);
    PredictChecker checker = {.program = program,
                              .item = item,
                              .predict = predict,
                              .eval = {.diag = program->diag},
                              .sound = true};
    predict->span = item->span;
    predict->model = use_model(&checker);
    if (predict->model) {
        checker.input = cvm_model_input(predict->model);
        checker.sound &= checker.input.rank == 3; /* its own mistake is told already */
        if (cvm_program_predict_of(program, predict->model))
            breach(&checker, 1349, item->name.span, "keep one",
                   cvm_arena_format(program->arena, "a second predict for %s", item->name.text));
    }
    bool seen[KEY_COUNT] = {false};
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        read_setting(&checker, one, seen);
    if (checker.sound)
        checker.sound = cvm_settle_preparation(program, checker.size, &checker.input,
                                               "the model's input", &predict->preparation);
    return checker.sound ? predict : NULL;
}
