/* Data declarations: what kind of files, where, of what pictures and classes. Nothing is read here.
 */
#include "compiler/front/check.h"

#include <string.h>

enum { MAX_CLASSES = 65536 };

typedef struct DataChecker {
    CvmProgram *program;
    const CvmAstItem *item;
    CvmData *data;
    CvmEval eval;
    bool has_kind; /* data->kind is set */
    CvmSpan size;  /* of resize or crop */
    bool sound;
} DataChecker;

static void breach(DataChecker *checker, int code, CvmSpan span, const char *mend,
                   const char *message) {
    checker->sound = cvm_diag_error(checker->program->diag, code, span, NULL, mend, "%s", message);
}

static bool is_text(const CvmAstArgument *argument) {
    return argument && !argument->name.text && argument->value->kind == CVM_AST_STRING;
}

/* What train and test may be read from. */
typedef struct Source {
    const char *name;
    CvmDataKind kind;
    int least, most; /* of files */
    bool chooses;    /* takes labels=… */
    const char *form;
} Source;

static const Source sources[] = {
    {"idx", CVM_DATA_IDX, 2, 2, false, "write idx(\"images-file\", \"labels-file\")"},
    {"cifar10", CVM_DATA_CIFAR10, 1, CVM_MAX_DATA_FILES, false,
     "write cifar10(\"data_batch_1.bin\", …)"},
    {"cifar100", CVM_DATA_CIFAR100_FINE, 1, CVM_MAX_DATA_FILES, true,
     "write cifar100(\"train.bin\"), or cifar100(\"train.bin\", labels=coarse)"},
    {"folder", CVM_DATA_FOLDER, 1, 1, false, "write folder(\"train\")"},
};
enum { SOURCE_COUNT = sizeof sources / sizeof sources[0] };

static const Source *find_source(DataChecker *checker, const CvmAstExpr *call) {
    const char *names[SOURCE_COUNT];
    for (int i = 0; i < SOURCE_COUNT; i++) {
        names[i] = sources[i].name;
        if (call->kind == CVM_AST_CALL && !strcmp(call->text, names[i]))
            return &sources[i];
    }
    const char *near =
        call->kind == CVM_AST_CALL ? cvm_nearest_name(call->text, names, SOURCE_COUNT) : NULL;
    breach(checker, 1310, call->span,
           cvm_did_you_mean(checker->program->arena, near,
                            "there are idx(…), cifar10(…), cifar100(…) and folder(…)"),
           "this is no kind of files that data is read from");
    return NULL;
}

/* labels=fine or labels=coarse. */
static bool read_choice(const CvmAstArgument *argument, CvmDataKind *kind) {
    const CvmAstExpr *value = argument->value;
    if (!argument->name.text || strcmp(argument->name.text, "labels") ||
        value->kind != CVM_AST_NAME)
        return false;
    *kind = strcmp(value->text, "coarse") ? CVM_DATA_CIFAR100_FINE : CVM_DATA_CIFAR100_COARSE;
    return *kind == CVM_DATA_CIFAR100_COARSE || !strcmp(value->text, "fine");
}

static bool read_files(const Source *source, const CvmAstArgument *one, CvmDataFiles *files,
                       CvmDataKind *kind) {
    *kind = source->kind;
    for (; is_text(one); one = one->next) {
        if (files->count == source->most)
            return false;
        files->names[files->count++] = one->value->text;
    }
    if (one && source->chooses && read_choice(one, kind))
        one = one->next;
    return !one && files->count >= source->least;
}

static void read_part(DataChecker *checker, const CvmAstSetting *setting, CvmDataPart part) {
    CvmDataKind kind;
    const CvmAstExpr *call = setting->value;
    const Source *source = find_source(checker, call);
    if (!source)
        return;
    if (!read_files(source, call->arguments, &checker->data->parts[part], &kind))
        breach(
            checker, 1310, call->span, source->form,
            cvm_arena_format(checker->program->arena, "this is not what %s takes", source->name));
    else if (checker->has_kind && kind != checker->data->kind)
        breach(checker, 1316, call->span, "read both in one way",
               "train and test are read in different ways");
    checker->data->kind = kind;
    checker->has_kind = true;
}

static void read_train(DataChecker *checker, const CvmAstSetting *setting) {
    read_part(checker, setting, CVM_DATA_TRAIN);
}

static void read_test(DataChecker *checker, const CvmAstSetting *setting) {
    read_part(checker, setting, CVM_DATA_TEST);
}

static void read_split(DataChecker *checker, const CvmAstSetting *setting) {
    double *split = &checker->data->split;
    if (!cvm_eval_real(&checker->eval, setting->value, split))
        checker->sound = false;
    else if (!(*split >= 0.001 && *split <= 0.999))
        breach(checker, 1316, setting->value->span, "a fifth is written 0.2",
               "split is the part of the pictures to test with, from 0.001 to 0.999");
}

static void read_seed(DataChecker *checker, const CvmAstSetting *setting) {
    int64_t seed = 0;
    checker->sound &=
        cvm_eval_in_range(&checker->eval, setting->value, "seed", 0, INT64_MAX, &seed);
    checker->data->seed = (uint64_t)seed;
}

static void read_resize(DataChecker *checker, const CvmAstSetting *setting) {
    checker->size = setting->span;
    checker->sound &= cvm_read_resize(checker->program, setting, &checker->data->preparation);
}

static void read_crop(DataChecker *checker, const CvmAstSetting *setting) {
    checker->size = setting->span;
    checker->sound &= cvm_read_crop(checker->program, setting, &checker->data->preparation);
}

static void read_folder(DataChecker *checker, const CvmAstSetting *setting) {
    if (setting->value->kind == CVM_AST_STRING)
        checker->data->folder = setting->value->text;
    else
        breach(checker, 1311, setting->value->span, "write folder \"fashion-mnist\"",
               "a folder is a quoted text");
}

static void read_image(DataChecker *checker, const CvmAstSetting *setting) {
    CvmShape *image = &checker->data->image;
    checker->sound &= cvm_eval_picture(&checker->eval, setting->value, image);
    if (image->rank && image->sizes[0] > CVM_MAX_CHANNELS)
        breach(checker, 1316, setting->value->span, "write [channels, height, width]",
               "pictures have at most 4 channels");
}

static void read_classes(DataChecker *checker, const CvmAstSetting *setting) {
    const CvmAstExpr *value = setting->value;
    int64_t count = 0;
    if (value->kind != CVM_AST_LIST) {
        checker->sound &=
            cvm_eval_in_range(&checker->eval, value, "classes", 2, MAX_CLASSES, &count);
        checker->data->classes = (int)count;
        return;
    }
    for (const CvmAstArgument *one = value->arguments; one; one = one->next, count++)
        if (!is_text(one)) {
            breach(checker, 1312, one->span, "write [\"cat\", \"dog\"]",
                   "the name of a class is a quoted text");
            return;
        }
    if (count < 2) {
        breach(checker, 1312, value->span, NULL, "there must be two classes or more");
        return;
    }
    const char **names = cvm_arena_array(checker->program->arena, (size_t)count, sizeof *names);
    int i = 0;
    for (const CvmAstArgument *one = value->arguments; one; one = one->next)
        names[i++] = one->value->text;
    checker->data->classes = (int)count;
    checker->data->class_names = names;
}

typedef struct Key {
    const char *name;
    void (*read)(DataChecker *checker, const CvmAstSetting *setting);
} Key;

enum { FOLDER, IMAGE, CLASSES, TRAIN, TEST, SPLIT, SEED, RESIZE, CROP, KEY_COUNT };

static const Key keys[KEY_COUNT] = {
    [FOLDER] = {"folder", read_folder},    [IMAGE] = {"image", read_image},
    [CLASSES] = {"classes", read_classes}, [TRAIN] = {"train", read_train},
    [TEST] = {"test", read_test},          [SPLIT] = {"split", read_split},
    [SEED] = {"seed", read_seed},          [RESIZE] = {"resize", read_resize},
    [CROP] = {"crop", read_crop},
};

static int find_key(const char *name) {
    int i = 0;
    while (i < KEY_COUNT && strcmp(keys[i].name, name))
        i++;
    return i;
}

static void read_setting(DataChecker *checker, const CvmAstSetting *setting, bool seen[KEY_COUNT]) {
    CvmArena *arena = checker->program->arena;
    int key = find_key(setting->key.text);
    if (setting->kind == CVM_AST_GROUP) {
        checker->sound = cvm_refuse_group(checker->program, setting);
        seen[key < KEY_COUNT ? key : 0] |= key < KEY_COUNT;
    } else if (key == KEY_COUNT) {
        const char *names[KEY_COUNT];
        for (int i = 0; i < KEY_COUNT; i++)
            names[i] = keys[i].name;
        const char *near = cvm_nearest_name(setting->key.text, names, KEY_COUNT);
        breach(
            checker, 1313, setting->key.span,
            cvm_did_you_mean(arena, near,
                             "there are folder, image, classes, train, test, split, seed, resize "
                             "and crop"),
            cvm_arena_format(arena, "data has no '%s'", setting->key.text));
    } else if (seen[key]) {
        breach(checker, 1314, setting->key.span, "keep one",
               cvm_arena_format(arena, "'%s' is given twice", setting->key.text));
    } else {
        seen[key] = true;
        keys[key].read(checker, setting);
    }
}

/* --- what goes together --- */

static void need(DataChecker *checker, const bool seen[KEY_COUNT], int key) {
    CvmAstName name = checker->item->name;
    if (!seen[key])
        breach(checker, 1315, name.span, NULL,
               cvm_arena_format(checker->program->arena, "data '%s' does not say its '%s'",
                                name.text, keys[key].name));
}

/* `key` has no meaning beside what else is said. */
static void forbid(DataChecker *checker, const bool seen[KEY_COUNT], int key, const char *why) {
    if (!seen[key])
        return;
    CvmSpan span = checker->item->name.span;
    for (const CvmAstSetting *one = checker->item->settings; one; one = one->next)
        if (!strcmp(one->key.text, keys[key].name))
            span = one->span;
    breach(checker, 1316, span, "remove it",
           cvm_arena_format(checker->program->arena, "'%s' means nothing here: %s", keys[key].name,
                            why));
}

static void check_folder(DataChecker *checker, const bool seen[KEY_COUNT]) {
    CvmData *data = checker->data;
    need(checker, seen, FOLDER);
    if (seen[IMAGE] && data->image.sizes[0] != 1 && data->image.sizes[0] != 3)
        breach(checker, 1316, checker->item->name.span, "write 1 for grey, 3 for colour",
               "pictures are read as 1 or 3 channels");
    if (checker->sound)
        checker->sound = cvm_settle_preparation(checker->program, checker->size, &data->image,
                                                "the data set's image", &data->preparation);
}

static void check_files(DataChecker *checker, const bool seen[KEY_COUNT]) {
    const CvmData *data = checker->data;
    const CvmShape cifar = {3, {3, 32, 32}};
    static const char why[] = "only the pictures of a folder are scaled";
    forbid(checker, seen, RESIZE, why);
    forbid(checker, seen, CROP, why);
    need(checker, seen, CLASSES);
    if (seen[IMAGE] && data->kind != CVM_DATA_IDX && !cvm_shape_equal(&data->image, &cifar))
        breach(checker, 1316, checker->item->name.span, "write image [3, 32, 32]",
               "CIFAR's pictures are [3, 32, 32]");
}

static void check_settings(DataChecker *checker, const bool seen[KEY_COUNT]) {
    static const char divided[] = "split divides the folder's own pictures";
    need(checker, seen, IMAGE);
    if (seen[SPLIT]) {
        forbid(checker, seen, TRAIN, divided);
        forbid(checker, seen, TEST, divided);
        checker->data->kind = CVM_DATA_FOLDER;
    } else {
        forbid(checker, seen, SEED, "it is the seed of a split");
        need(checker, seen, TRAIN);
        need(checker, seen, TEST);
    }
    if (checker->data->kind == CVM_DATA_FOLDER)
        check_folder(checker, seen);
    else
        check_files(checker, seen);
}

const CvmData *cvm_check_data(CvmProgram *program, const CvmAstItem *item) {
    CvmData *data = CVM_NEW(program->arena, CvmData);
    *data = (CvmData){.name = item->name.text, .span = item->name.span, .seed = 1};
    DataChecker checker = {.program = program,
                           .item = item,
                           .data = data,
                           .eval = {.diag = program->diag},
                           .sound = true};
    bool seen[KEY_COUNT] = {false};
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        read_setting(&checker, one, seen);
    check_settings(&checker, seen);
    return checker.sound ? data : NULL;
}
