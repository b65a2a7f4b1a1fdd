/* Train blocks: that model and data fit, and every setting. */
#include "compiler/front/settings.h"
#include "compiler/graph/autodiff.h"

#include <string.h>

enum { MAX_EPOCHS = 1000000, MAX_BATCH = 65536 };

typedef struct TrainChecker {
    CvmProgram *program;
    const CvmAstItem *item;
    CvmTrain *train;
    const CvmGraph *graph; /* the model's, to match patterns with; NULL when it does not hold */
    CvmEval eval;
    CvmSpan accumulate; /* where it is written */
    double average;     /* of the weights; 0: none */
    bool sound;
} TrainChecker;

static void breach(TrainChecker *checker, int code, CvmSpan span, const char *mend,
                   const char *message) {
    checker->sound = cvm_diag_error(checker->program->diag, code, span, NULL, mend, "%s", message);
}

/* --- the settings --- */

static void read_normalize(TrainChecker *checker, const CvmAstSetting *setting) {
    const CvmData *data = checker->train->data;
    checker->sound &=
        cvm_read_normalize(checker->program, setting->value, data ? (int)data->image.sizes[0] : 0,
                           true, &checker->train->normalize);
}

static void read_loss(TrainChecker *checker, const CvmAstSetting *setting) {
    int count;
    const char *const *names = cvm_loss_names(&count);
    const CvmNamedNumber smoothing = {"smoothing", &checker->train->smoothing, 0, 1, false, false,
                                      NULL};
    int chosen = cvm_choose_word(checker->program, setting->value, names, count, "loss");
    checker->sound &=
        chosen >= 0 && cvm_read_numbers(checker->program, setting->value, &smoothing, 1);
    checker->train->loss = chosen >= 0 ? names[chosen] : NULL;
}

static void read_optimizer(TrainChecker *checker, const CvmAstSetting *setting) {
    CvmTrain *train = checker->train;
    checker->sound &=
        cvm_read_optimizer(checker->program, setting->value, &train->optimizer, &train->rate.base);
}

static void read_schedule(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->sound &= cvm_read_schedule(checker->program, setting->value, &checker->train->rate);
}

/* clip 1.0 */
static void read_clip(TrainChecker *checker, const CvmAstSetting *setting) {
    double *clip = &checker->train->clip;
    if (!cvm_eval_real(&checker->eval, setting->value, clip))
        checker->sound = false;
    else if (!(*clip > 0 && *clip <= 1e30))
        breach(checker, 1322, setting->value->span, NULL,
               "clip is the largest norm that the gradients may have, a number above 0");
}

/* average 0.999; kept apart until all settings are read: `optimizer` begins its struct anew. */
static void read_average(TrainChecker *checker, const CvmAstSetting *setting) {
    if (!cvm_eval_real(&checker->eval, setting->value, &checker->average))
        checker->sound = false;
    else if (!(checker->average > 0 && checker->average < 1))
        breach(checker, 1322, setting->value->span, NULL,
               "average is the share that the moving average keeps at each step, between 0 and 1");
}

static int64_t read_count(TrainChecker *checker, const CvmAstSetting *setting, int64_t least,
                          int64_t most) {
    int64_t value = least;
    checker->sound &=
        cvm_eval_in_range(&checker->eval, setting->value, setting->key.text, least, most, &value);
    return value;
}

static void read_epochs(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->epochs = (int)read_count(checker, setting, 1, MAX_EPOCHS);
}

static void read_batch(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->batch = (int)read_count(checker, setting, 1, MAX_BATCH);
}

static void read_accumulate(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->accumulate = (int)read_count(checker, setting, 1, MAX_BATCH);
    checker->accumulate = setting->value->span;
}

static void read_patience(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->patience = (int)read_count(checker, setting, 1, MAX_EPOCHS);
}

static void read_take(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->take = (int)read_count(checker, setting, 1, INT32_MAX);
}

static void read_seed(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->train->seed = (uint64_t)read_count(checker, setting, 0, INT64_MAX);
}

static void read_augment(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->sound &= cvm_read_augment(checker->program, setting, checker->train);
}

/* --- patterns --- */

static void read_rules(TrainChecker *checker, const CvmAstSetting *setting) {
    checker->sound &= cvm_read_rules(checker->program, setting, checker->graph, checker->train);
}

static void check_pattern(TrainChecker *checker, const CvmAstPattern *pattern) {
    if (checker->graph)
        checker->sound &= cvm_check_pattern(checker->program, pattern, checker->graph);
}

static void read_weights(TrainChecker *checker, const CvmAstSetting *setting) {
    CvmTrain *train = checker->train;
    int count = 0;
    for (const CvmAstPattern *one = setting->patterns; one; one = one->next, count++)
        check_pattern(checker, one);
    const char **except =
        cvm_arena_array(checker->program->arena, (size_t)count + 1, sizeof *except);
    if (setting->value->kind != CVM_AST_STRING) {
        breach(checker, 1323, setting->value->span, "write weights \"file.safetensors\"",
               "weights names a file, as a quoted text");
        return;
    }
    train->weights = setting->value->text;
    train->weights_span = setting->span;
    if (setting->target.text) {
        train->names = cvm_use_name_map(checker->program, setting->target);
        checker->sound &= train->names != NULL;
    }
    for (const CvmAstPattern *one = setting->patterns; one; one = one->next)
        except[train->weights_except_count++] = one->name.text;
    train->weights_except = except;
}

/* --- all of them --- */

typedef struct Key {
    const char *name;
    bool needed, repeats;
    void (*read)(TrainChecker *checker, const CvmAstSetting *setting);
} Key;

static const Key keys[] = {
    {"normalize", false, false, read_normalize},
    {"loss", true, false, read_loss},
    {"optimizer", true, false, read_optimizer},
    {"schedule", false, false, read_schedule},
    {"clip", false, false, read_clip},
    {"epochs", true, false, read_epochs},
    {"batch", true, false, read_batch},
    {"seed", false, false, read_seed},
    {"weights", false, false, read_weights},
    {"freeze", false, true, read_rules},
    {"unfreeze", false, true, read_rules},
    {"rate", false, true, read_rules},
    {"take", false, false, read_take},
    {"patience", false, false, read_patience},
    {"accumulate", false, false, read_accumulate},
    {"average", false, false, read_average},
    {"augment", false, false, read_augment},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static void read_setting(TrainChecker *checker, const CvmAstSetting *setting,
                         bool seen[KEY_COUNT]) {
    CvmArena *arena = checker->program->arena;
    const char *names[KEY_COUNT];
    int key = -1;
    for (int i = 0; i < KEY_COUNT; i++) {
        names[i] = keys[i].name;
        if (!strcmp(names[i], setting->key.text))
            key = i;
    }
    if (key < 0) {
        const char *near = cvm_nearest_name(setting->key.text, names, KEY_COUNT);
        breach(checker, 1324, setting->key.span,
               cvm_did_you_mean(arena, near, "docs/language.md lists the settings"),
               cvm_arena_format(arena, "train has no setting '%s'", setting->key.text));
    } else if (seen[key] && !keys[key].repeats) {
        breach(checker, 1325, setting->key.span, "keep one",
               cvm_arena_format(arena, "'%s' is given twice", setting->key.text));
    } else {
        seen[key] = true;
        if (setting->kind == CVM_AST_GROUP && keys[key].read != read_augment)
            checker->sound = cvm_refuse_group(checker->program, setting);
        else
            keys[key].read(checker, setting);
    }
}

/* --- model and data --- */

static void check_fit(TrainChecker *checker) {
    const CvmData *data = checker->train->data;
    const CvmAstItem *item = checker->item;
    CvmArena *arena = checker->program->arena;
    CvmShape picture = cvm_model_input(checker->train->model);
    const CvmNode *last = cvm_graph_find_output(checker->graph, "logits");
    const CvmShape *out = &last->type.shape;
    char have[128], want[128];
    if (!cvm_shape_equal(&picture, &data->image))
        breach(checker, 1302, item->data.span, "change the model's input, or train on other data",
               cvm_arena_format(arena, "%s takes pictures %s, and those of %s are %s",
                                item->model.text, cvm_shape_text(&picture, want, sizeof want),
                                data->name, cvm_shape_text(&data->image, have, sizeof have)));
    if (last->op == CVM_OP_SOFTMAX || last->op == CVM_OP_LOG_SOFTMAX)
        breach(checker, 1306, item->model.span, "leave the last layer out",
               cvm_arena_format(arena, "%s ends with %s, and the loss has a softmax of its own",
                                item->model.text, cvm_op_info(last->op)->name));
    else if (out->rank != 2)
        breach(checker, 1303, item->model.span, "end the model with flatten and linear(classes)",
               cvm_arena_format(arena,
                                "%s ends with %s, and a classifier ends with one number "
                                "for each class",
                                item->model.text, cvm_shape_text(out, have, sizeof have)));
    else if (data->classes && out->sizes[1] != data->classes)
        breach(checker, 1304, item->model.span,
               cvm_arena_format(arena, "let its last layer be linear(%d)", data->classes),
               cvm_arena_format(arena, "%s tells %lld classes apart, and %s has %d",
                                item->model.text, (long long)out->sizes[1], data->name,
                                data->classes));
    else if (out->sizes[1] < 2)
        breach(checker, 1304, item->model.span, "give the model two classes or more",
               cvm_arena_format(arena, "%s knows one class, so that there is nothing to learn",
                                item->model.text));
    checker->train->classes = out->rank == 2 ? (int)out->sizes[1] : 0;
}

/* The model with the train's arguments, expanded once; NULL when it does not hold. */
static CvmModelUse *use_model(TrainChecker *checker) {
    CvmProgram *program = checker->program;
    const CvmAstItem *item = checker->item;
    CvmDeclaration *model = cvm_find_declaration(program, CVM_AST_MODEL, item->model.text);
    if (!model) {
        const char *near = cvm_nearest_declaration(program, CVM_AST_MODEL, item->model.text);
        breach(checker, 1300, item->model.span, cvm_did_you_mean(program->arena, near, NULL),
               cvm_arena_format(program->arena, "unknown model '%s'", item->model.text));
        return NULL;
    }
    CvmModelUse *use = CVM_NEW(program->arena, CvmModelUse);
    *use = (CvmModelUse){.program = program, .item = model->item};
    if (!model->sound || !cvm_bind_parameters(&checker->eval, model->item, item->arguments,
                                              item->model.span, use->values)) {
        checker->sound = false;
        return NULL;
    }
    checker->graph = cvm_expand_model(use, NULL, 2, program->arena, program->diag);
    checker->sound &= checker->graph != NULL;
    return checker->graph ? use : NULL;
}

static const CvmData *use_data(TrainChecker *checker) {
    CvmProgram *program = checker->program;
    CvmAstName name = checker->item->data;
    CvmDeclaration *data = cvm_find_declaration(program, CVM_AST_DATA, name.text);
    if (data) {
        checker->sound &= data->data != NULL;
        return data->data;
    }
    const char *near = cvm_nearest_declaration(program, CVM_AST_DATA, name.text);
    breach(checker, 1301, name.span,
           cvm_did_you_mean(program->arena, near, "import it, as in: import \"std/data.cvm\""),
           cvm_arena_format(program->arena, "unknown data '%s'", name.text));
    return NULL;
}

/* What only makes sense together. */
static void check_rate(TrainChecker *checker) {
    const CvmTrain *train = checker->train;
    CvmArena *arena = checker->program->arena;
    if (train->rate.warmup >= train->epochs && train->epochs > 0)
        breach(checker, 1328, checker->item->model.span, NULL,
               cvm_arena_format(arena, "the warm-up takes %g epochs, and the training has %d",
                                train->rate.warmup, train->epochs));
    if (train->rate.least > train->rate.base && train->rate.base > 0)
        breach(checker, 1328, checker->item->model.span, NULL,
               cvm_arena_format(arena, "the rate is %g, and its schedule's least is %g",
                                train->rate.base, train->rate.least));
}

static void check_accumulate(TrainChecker *checker) {
    const CvmTrain *train = checker->train;
    bool known = checker->sound || train->batch > 1; /* else its own value may be at fault */
    if (known && train->batch > 0 && train->accumulate > 0 && train->batch % train->accumulate != 0)
        breach(checker, 1329, checker->accumulate,
               "choose a divisor of the batch, or another batch",
               cvm_arena_format(checker->program->arena,
                                "a batch of %d pictures cannot be split into %d equal parts",
                                train->batch, train->accumulate));
}

CvmTrain *cvm_check_train(CvmProgram *program, const CvmAstItem *item) {
    CvmTrain *train = CVM_NEW(program->arena, CvmTrain);
    TrainChecker checker = {.program = program,
                            .item = item,
                            .train = train,
                            .eval = {.diag = program->diag},
                            .sound = true};
    train->name = item->name.text ? item->name.text : item->model.text;
    train->span = item->span;
    train->seed = 1;
    train->accumulate = 1;
    train->model = use_model(&checker);
    train->data = use_data(&checker);
    if (train->model && train->data)
        check_fit(&checker);
    if (train->data)
        train->normalize.stated = cvm_normalization_unit((int)train->data->image.sizes[0]);
    bool seen[KEY_COUNT] = {false};
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        read_setting(&checker, one, seen);
    train->optimizer.average = checker.average;
    check_rate(&checker);
    check_accumulate(&checker);
    for (int i = 0; i < KEY_COUNT; i++)
        if (keys[i].needed && !seen[i])
            breach(&checker, 1326, item->model.span, NULL,
                   cvm_arena_format(program->arena, "train '%s' does not say its '%s'", train->name,
                                    keys[i].name));
    if (checker.graph && checker.sound)
        checker.sound = cvm_check_rules(program, train, checker.graph);
    return checker.sound ? train : NULL;
}
