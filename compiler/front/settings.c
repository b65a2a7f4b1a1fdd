/* See settings.h. Each optimizer and each schedule is a row: its name, the numbers it takes, and
 * what they are unless given. */
#include "compiler/front/settings.h"

#include <math.h>
#include <string.h>

enum { MAX_EPOCHS = 1000000 };

static const char *word_of(const CvmAstExpr *expr) {
    return expr->kind == CVM_AST_NAME || expr->kind == CVM_AST_CALL ? expr->text : "";
}

int cvm_choose_word(CvmProgram *program, const CvmAstExpr *expr, const char *const *names,
                    int count, const char *what) {
    CvmArena *arena = program->arena;
    for (int i = 0; i < count; i++)
        if (!strcmp(word_of(expr), names[i]))
            return i;
    char *all = cvm_arena_format(arena, "there is %s", names[0]);
    for (int i = 1; i < count; i++)
        all = cvm_arena_format(arena, "%s, %s", all, names[i]);
    const char *near = cvm_nearest_name(word_of(expr), names, count);
    cvm_diag_error(program->diag, 1320, expr->span, NULL, cvm_did_you_mean(arena, near, all), "%s",
                   *word_of(expr) ? cvm_arena_format(arena, "unknown %s '%s'", what, word_of(expr))
                                  : cvm_arena_format(arena, "a %s is a name", what));
    return -1;
}

static bool read_flag(const CvmEval *eval, const CvmNamedNumber *number,
                      const CvmAstArgument *written) {
    const CvmParameterInfo info = {.name = number->name, .kind = CVM_PARAMETER_BOOL};
    CvmArgument argument = {0};
    if (!cvm_eval_argument(eval, &info, written, &argument))
        return false;
    *number->flag = argument.integers[0] != 0;
    return true;
}

static bool read_number(const CvmEval *eval, const CvmNamedNumber *number,
                        const CvmAstArgument *written) {
    double value;
    if (number->flag)
        return read_flag(eval, number, written);
    if (!cvm_eval_real(eval, written->value, &value))
        return false;
    if (!(value >= number->least && value <= number->most) ||
        (number->whole && value != floor(value)))
        return cvm_diag_error(eval->diag, 1322, written->span, NULL, NULL,
                              "'%s' must be %sfrom %g to %g", number->name,
                              number->whole ? "a whole number " : "", number->least, number->most);
    *number->value = value;
    return true;
}

bool cvm_read_numbers(CvmProgram *program, const CvmAstExpr *call, const CvmNamedNumber *numbers,
                      int count) {
    const CvmEval eval = {.diag = program->diag};
    const CvmAstArgument *matched[CVM_MAX_ARGUMENTS];
    CvmSignature signature = {.count = count};
    for (int i = 0; i < count; i++)
        signature.parameters[i] =
            (CvmParameterInfo){.name = numbers[i].name, .optional = !numbers[i].needed};
    if (!cvm_match_arguments(&signature, call->text, call->arguments, call->span, NULL, matched,
                             program->diag))
        return false;
    bool sound = true;
    for (int i = 0; i < count; i++)
        if (matched[i])
            sound &= read_number(&eval, &numbers[i], matched[i]);
    return sound;
}

/* --- optimizers --- */

bool cvm_read_optimizer(CvmProgram *program, const CvmAstExpr *expr, CvmOptimizer *optimizer,
                        double *rate) {
    static const char *const names[] = {"sgd", "adam", "adamw", "lars"};
    enum { SGD, ADAM, ADAMW, LARS };
    CvmOptimizer *one = optimizer;
    const CvmNamedNumber base = {"rate", rate, 1e-30, 1e6, true, false, NULL},
                         momentum = {"momentum", &one->momentum, 0, 0.99999, false, false, NULL},
                         decay = {"decay", &one->decay, 0, 1e3, false, false, NULL},
                         decoupled = {.name = "decoupled", .flag = &one->decoupled},
                         nesterov = {.name = "nesterov", .flag = &one->nesterov},
                         beta1 = {"beta1", &one->mean_keep, 0, 0.999999, false, false, NULL},
                         beta2 = {"beta2", &one->square_keep, 0, 0.9999999, false, false, NULL},
                         epsilon = {"epsilon", &one->epsilon, 1e-20, 1, false, false, NULL},
                         trust = {"trust", &one->trust, 1e-12, 1e3, false, false, NULL};
    const CvmNamedNumber sgd[] = {base, momentum, decay, nesterov, decoupled},
                         adam[] = {base, beta1, beta2, epsilon, decay},
                         lars[] = {base, momentum, decay, trust};
    *one = (CvmOptimizer){.mean_keep = 0.9, .square_keep = 0.999, .epsilon = 1e-8, .trust = 0.001};
    switch (cvm_choose_word(program, expr, names, 4, "optimizer")) {
    case SGD:
        if (!cvm_read_numbers(program, expr, sgd, 5))
            return false;
        return !one->nesterov || one->momentum > 0 ||
               cvm_diag_error(program->diag, 1327, expr->span, NULL, "add momentum=0.9",
                              "nesterov looks ahead along a momentum, and there is none");
    case ADAMW:
        one->decoupled = true;
        one->decay = 0.01;
        /* fall through */
    case ADAM:
        one->kind = CVM_OPTIMIZER_ADAM;
        return cvm_read_numbers(program, expr, adam, 5);
    case LARS:
        one->kind = CVM_OPTIMIZER_LARS;
        one->momentum = 0.9;
        return cvm_read_numbers(program, expr, lars, 4);
    default:
        return false;
    }
}

/* --- schedules --- */

bool cvm_read_schedule(CvmProgram *program, const CvmAstExpr *expr, CvmRate *rate) {
    static const char *const names[] = {"constant", "step", "cosine", "one_cycle", "plateau"};
    double epochs = 1, patience = 0;
    const CvmNamedNumber warmup = {"warmup", &rate->warmup, 0, MAX_EPOCHS, false, false, NULL},
                         least = {"least", &rate->least, 0, 1e6, false, false, NULL},
                         factor = {"factor", &rate->factor, 1e-12, 1e6, true, false, NULL},
                         falls = {"factor", &rate->factor, 1e-12, 0.999999, false, false, NULL};
    const CvmNamedNumber constant[] = {warmup},
                         step[] = {{"epochs", &epochs, 1, MAX_EPOCHS, true, true, NULL},
                                   factor,
                                   warmup},
                         cosine[] = {least, warmup},
                         one_cycle[] =
                             {
                                 {"rise", &rate->rise, 0.001, 0.999, false, false, NULL},
                                 {"start", &rate->start, 1, 1e9, false, false, NULL},
                                 {"end", &rate->end, 1, 1e12, false, false, NULL},
                             },
                         plateau[] = {{"patience", &patience, 0, MAX_EPOCHS, true, true, NULL},
                                      falls,
                                      least,
                                      warmup};
    const struct {
        const CvmNamedNumber *numbers;
        int count;
    } rows[] = {[CVM_RATE_CONSTANT] = {constant, 1},
                [CVM_RATE_STEP] = {step, 3},
                [CVM_RATE_COSINE] = {cosine, 2},
                [CVM_RATE_ONE_CYCLE] = {one_cycle, 3},
                [CVM_RATE_PLATEAU] = {plateau, 4}};
    *rate = (CvmRate){.base = rate->base,
                      .epochs = rate->epochs,
                      .factor = 0.1,
                      .rise = 0.3,
                      .start = 25,
                      .end = 1e4};
    int chosen = cvm_choose_word(program, expr, names, 5, "schedule");
    if (chosen < 0 || !cvm_read_numbers(program, expr, rows[chosen].numbers, rows[chosen].count))
        return false;
    rate->schedule = (CvmRateSchedule)chosen;
    rate->step_epochs = (int)epochs;
    rate->patience = (int)patience;
    return true;
}
