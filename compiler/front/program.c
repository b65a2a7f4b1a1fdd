/* A program from its text: load, declare, check names, expand every model once, check every train.
 * See program.h. */
#include "compiler/front/check.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool is_folder_of_library(const char *path) {
    char probe[PATH_MAX];
    return snprintf(probe, sizeof probe, "%s/data.cvm", path) < PATH_MAX &&
           access(probe, R_OK) == 0;
}

/* $CVM_STDLIB, else ../share/cvm/stdlib or ../stdlib from the command, else the source tree's. */
static const char *find_stdlib(CvmArena *arena) {
    const char *given = getenv("CVM_STDLIB");
    if (given && *given)
        return given;
    static const char *const beside[] = {"../share/cvm/stdlib", "../stdlib"};
    char command[PATH_MAX];
    ssize_t length = readlink("/proc/self/exe", command, sizeof command - 1);
    command[length > 0 ? length : 0] = 0;
    char *slash = strrchr(command, '/');
    for (int i = 0; slash && i < 2; i++) {
        const char *path =
            cvm_arena_format(arena, "%.*s/%s", (int)(slash - command), command, beside[i]);
        if (is_folder_of_library(path))
            return path;
    }
    return is_folder_of_library(CVM_STDLIB_BUILD) ? CVM_STDLIB_BUILD : NULL;
}

static bool all_have_defaults(const CvmAstParameter *parameters) {
    for (; parameters; parameters = parameters->next)
        if (!parameters->otherwise)
            return false;
    return true;
}

static void check_declarations(CvmProgram *program) {
    for (CvmDeclaration *one = program->declarations; one; one = one->next)
        switch (one->item->kind) {
        case CVM_AST_DATA:
            one->data = cvm_check_data(program, one->item);
            break;
        case CVM_AST_NAMES:
            one->names = cvm_check_name_map(program, one->item);
            break;
        default:
            one->sound = cvm_check_names(program, one->item);
            break;
        }
}

/* Models with their default arguments, each expanded once so that its shapes are checked. */
static void check_models(CvmProgram *program) {
    for (CvmDeclaration *one = program->declarations; one; one = one->next) {
        if (one->item->kind != CVM_AST_MODEL || !one->sound ||
            !all_have_defaults(one->item->parameters))
            continue;
        CvmModelUse *use = CVM_NEW(program->arena, CvmModelUse);
        *use = (CvmModelUse){.program = program, .item = one->item};
        CvmEval eval = {.diag = program->diag};
        if (!cvm_bind_parameters(&eval, one->item, NULL, one->item->name.span, use->values) ||
            !cvm_expand_model(use, NULL, 2, program->arena, program->diag) || !one->in_main)
            continue;
        program->models[program->model_count++] = use;
    }
}

static void check_trains(CvmProgram *program) {
    for (const CvmAstItem *item = program->main->items; item; item = item->next) {
        if (item->kind != CVM_AST_TRAIN)
            continue;
        CvmTrain *train = cvm_check_train(program, item);
        for (int i = 0; train && i < program->train_count; i++)
            if (!strcmp(program->trains[i]->name, train->name)) {
                cvm_diag_error(program->diag, 1305, item->model.span, NULL,
                               "name it: train … on … as NAME", "two trains are called '%s'",
                               train->name);
                train = NULL;
            }
        if (train)
            program->trains[program->train_count++] = train;
    }
}

static void check_predicts(CvmProgram *program) {
    for (const CvmAstItem *item = program->main->items; item; item = item->next) {
        CvmPredict *predict =
            item->kind == CVM_AST_PREDICT ? cvm_check_predict(program, item) : NULL;
        if (predict)
            program->predicts[program->predict_count++] = predict;
    }
}

static int count_items(const CvmProgram *program) {
    int count = 0;
    for (const CvmDeclaration *one = program->declarations; one; one = one->next)
        count++;
    for (const CvmAstItem *item = program->main->items; item; item = item->next)
        count++;
    return count;
}

CvmProgram *cvm_program_from_source(CvmArena *arena, const CvmSource *source, const char *stdlib,
                                    bool read, CvmDiag *diag) {
    CvmProgram *program = CVM_NEW(arena, CvmProgram);
    program->arena = arena;
    program->diag = diag;
    program->read = read;
    program->stdlib = stdlib || !read ? stdlib : find_stdlib(arena);
    program->main = cvm_ast_parse(arena, source, diag);
    cvm_program_declare(program, program->main);
    size_t count = (size_t)count_items(program) + 1;
    program->models = cvm_arena_array(arena, count, sizeof *program->models);
    program->trains = cvm_arena_array(arena, count, sizeof *program->trains);
    program->predicts = cvm_arena_array(arena, count, sizeof *program->predicts);
    check_declarations(program);
    check_models(program);
    check_predicts(program);
    check_trains(program);
    return diag->error_count ? NULL : program;
}

CvmProgram *cvm_program_load(CvmArena *arena, const char *path, const char *stdlib, CvmDiag *diag) {
    CvmSource *source = cvm_source_read(arena, path, (CvmSpan){0}, diag);
    return source ? cvm_program_from_source(arena, source, stdlib, true, diag) : NULL;
}

const CvmAstFile *cvm_program_ast(const CvmProgram *program) {
    return program->main;
}

int cvm_program_train_count(const CvmProgram *program) {
    return program->train_count;
}

const CvmTrain *cvm_program_train(const CvmProgram *program, int index) {
    return program->trains[index];
}

int cvm_program_model_count(const CvmProgram *program) {
    return program->model_count;
}

const CvmModelUse *cvm_program_model(const CvmProgram *program, int index) {
    return program->models[index];
}

int cvm_program_predict_count(const CvmProgram *program) {
    return program->predict_count;
}

const CvmPredict *cvm_program_predict(const CvmProgram *program, int index) {
    return program->predicts[index];
}

const CvmPredict *cvm_program_predict_of(const CvmProgram *program, const CvmModelUse *model) {
    for (int i = 0; i < program->predict_count; i++)
        if (program->predicts[i]->model->item == model->item)
            return program->predicts[i];
    return NULL;
}

int cvm_train_part(const CvmTrain *train) {
    return train->batch / train->accumulate;
}

const char *cvm_model_name(const CvmModelUse *model) {
    return model->item->name.text;
}

const char *cvm_model_input_name(const CvmModelUse *model) {
    return cvm_model_input_statement(model->item)->name.text;
}

CvmShape cvm_model_input(const CvmModelUse *model) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    CvmShape shape = {.rank = 0};
    CvmBinding bindings[CVM_MAX_ARGUMENTS];
    const CvmBinding *scope = NULL;
    int i = 0;
    cvm_diag_init(&diag, arena);
    for (const CvmAstParameter *one = model->item->parameters; one; one = one->next, i++) {
        bindings[i] = (CvmBinding){one->name.text, model->values[i], NULL, scope};
        scope = &bindings[i];
    }
    CvmEval eval = {.scope = scope, .diag = &diag};
    cvm_eval_picture(&eval, cvm_model_input_statement(model->item)->value, &shape);
    cvm_arena_free(arena);
    return shape;
}

CvmGraph *cvm_model_build(const CvmModelUse *model, int64_t batch, CvmArena *arena, CvmDiag *diag) {
    return cvm_expand_model(model, NULL, batch, arena, diag);
}

CvmGraph *cvm_model_build_training(const CvmTrain *train, int64_t batch, CvmArena *arena,
                                   CvmDiag *diag) {
    return cvm_expand_model(train->model, train, batch, arena, diag);
}
