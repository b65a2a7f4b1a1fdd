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
    bool sound;
} DataChecker;

static void breach(DataChecker *checker, int code, CvmSpan span, const char *mend,
                   const char *message) {
    checker->sound = cvm_diag_error(checker->program->diag, code, span, NULL, mend, "%s", message);
}

static bool is_text(const CvmAstArgument *argument) {
    return argument && !argument->name.text && argument->value->kind == CVM_AST_STRING;
}

/* idx("images", "labels") */
static void read_idx(DataChecker *checker, const CvmAstSetting *setting, const char **images,
                     const char **labels) {
    const CvmAstExpr *call = setting->value;
    const CvmAstArgument *first = call->arguments, *second = first ? first->next : NULL;
    if (call->kind != CVM_AST_CALL || strcmp(call->text, "idx") || !is_text(first) ||
        !is_text(second) || second->next) {
        breach(checker, 1310, call->span, "write idx(\"images-file\", \"labels-file\")",
               "data is read from a pair of IDX files");
        return;
    }
    *images = first->value->text;
    *labels = second->value->text;
}

static void read_train(DataChecker *checker, const CvmAstSetting *setting) {
    read_idx(checker, setting, &checker->data->train_images, &checker->data->train_labels);
}

static void read_test(DataChecker *checker, const CvmAstSetting *setting) {
    read_idx(checker, setting, &checker->data->test_images, &checker->data->test_labels);
}

static void read_folder(DataChecker *checker, const CvmAstSetting *setting) {
    if (setting->value->kind == CVM_AST_STRING)
        checker->data->folder = setting->value->text;
    else
        breach(checker, 1311, setting->value->span, "write folder \"fashion-mnist\"",
               "a folder is a quoted text");
}

static void read_image(DataChecker *checker, const CvmAstSetting *setting) {
    checker->sound &= cvm_eval_picture(&checker->eval, setting->value, &checker->data->image);
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
    bool needed;
    void (*read)(DataChecker *checker, const CvmAstSetting *setting);
} Key;

static const Key keys[] = {
    {"folder", false, read_folder}, {"image", true, read_image}, {"classes", true, read_classes},
    {"train", true, read_train},    {"test", true, read_test},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static int find_key(const char *name) {
    int i = 0;
    while (i < KEY_COUNT && strcmp(keys[i].name, name))
        i++;
    return i;
}

static void read_setting(DataChecker *checker, const CvmAstSetting *setting, bool seen[KEY_COUNT]) {
    CvmArena *arena = checker->program->arena;
    int key = find_key(setting->key.text);
    if (key == KEY_COUNT) {
        const char *names[KEY_COUNT];
        for (int i = 0; i < KEY_COUNT; i++)
            names[i] = keys[i].name;
        const char *near = cvm_nearest_name(setting->key.text, names, KEY_COUNT);
        breach(checker, 1313, setting->key.span,
               cvm_did_you_mean(arena, near, "there are folder, image, classes, train and test"),
               cvm_arena_format(arena, "data has no '%s'", setting->key.text));
    } else if (seen[key]) {
        breach(checker, 1314, setting->key.span, "keep one",
               cvm_arena_format(arena, "'%s' is given twice", setting->key.text));
    } else {
        seen[key] = true;
        keys[key].read(checker, setting);
    }
}

const CvmData *cvm_check_data(CvmProgram *program, const CvmAstItem *item) {
    CvmData *data = CVM_NEW(program->arena, CvmData);
    *data = (CvmData){.name = item->name.text, .span = item->name.span, .kind = CVM_DATA_IDX};
    DataChecker checker = {.program = program,
                           .item = item,
                           .data = data,
                           .eval = {.diag = program->diag},
                           .sound = true};
    bool seen[KEY_COUNT] = {false};
    for (const CvmAstSetting *one = item->settings; one; one = one->next)
        read_setting(&checker, one, seen);
    for (int i = 0; i < KEY_COUNT; i++)
        if (keys[i].needed && !seen[i])
            breach(&checker, 1315, item->name.span, NULL,
                   cvm_arena_format(program->arena, "data '%s' does not say its '%s'",
                                    item->name.text, keys[i].name));
    return checker.sound ? data : NULL;
}
