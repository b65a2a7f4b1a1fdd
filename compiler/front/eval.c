/* Evaluation of expressions; see scope.h. */
#include "compiler/front/scope.h"

#include <string.h>

static const int64_t LARGEST = INT32_MAX;

const CvmBinding *cvm_binding_find(const CvmBinding *scope, const char *name) {
    for (; scope; scope = scope->outer)
        if (!strcmp(scope->name, name))
            return scope;
    return NULL;
}

static bool refuse(const CvmEval *eval, int code, const CvmAstExpr *expr, const char *mend,
                   const char *message) {
    return cvm_diag_error(eval->diag, code, expr->span, eval->uses, mend, "%s", message);
}

static bool eval_name(const CvmEval *eval, const CvmAstExpr *expr, int64_t *value) {
    const CvmBinding *binding = cvm_binding_find(eval->scope, expr->text);
    enum { MAX_NAMES = 64 };
    const char *names[MAX_NAMES];
    int count = 0;
    if (binding && !binding->tensor) {
        *value = binding->value;
        return true;
    }
    if (binding)
        return refuse(eval, 1211, expr, NULL, "a tensor stands where a number is needed");
    for (const CvmBinding *b = eval->scope; b && count < MAX_NAMES; b = b->outer)
        if (!b->tensor)
            names[count++] = b->name;
    const char *near = cvm_nearest_name(expr->text, names, count);
    char mend[128] = "declare it as a parameter: (NAME: int)";
    if (near)
        snprintf(mend, sizeof mend, "did you mean '%s'?", near);
    return cvm_diag_error(eval->diag, 1210, expr->span, eval->uses, mend, "unknown name '%s'",
                          expr->text);
}

static bool eval_binary(const CvmEval *eval, const CvmAstExpr *expr, int64_t *value) {
    int64_t a, b;
    if (!cvm_eval_integer(eval, expr->left, &a) || !cvm_eval_integer(eval, expr->right, &b))
        return false;
    bool divides = expr->kind == CVM_AST_DIVIDE || expr->kind == CVM_AST_REMAINDER;
    if (divides && b == 0)
        return refuse(eval, 1212, expr, NULL, "division by zero");
    bool overflow = false;
    switch (expr->kind) {
    case CVM_AST_ADD:
        overflow = __builtin_add_overflow(a, b, value);
        break;
    case CVM_AST_SUBTRACT:
        overflow = __builtin_sub_overflow(a, b, value);
        break;
    case CVM_AST_MULTIPLY:
        overflow = __builtin_mul_overflow(a, b, value);
        break;
    default:
        overflow = a == INT64_MIN && b == -1;
        if (!overflow)
            *value = expr->kind == CVM_AST_DIVIDE ? a / b : a % b;
        break;
    }
    return !overflow || refuse(eval, 1213, expr, NULL, "the number is too large");
}

bool cvm_eval_integer(const CvmEval *eval, const CvmAstExpr *expr, int64_t *value) {
    switch (expr->kind) {
    case CVM_AST_INTEGER:
        *value = expr->integer;
        return true;
    case CVM_AST_NAME:
        return eval_name(eval, expr, value);
    case CVM_AST_NEGATE:
        if (!cvm_eval_integer(eval, expr->left, value))
            return false;
        return !__builtin_sub_overflow(0, *value, value) ||
               refuse(eval, 1213, expr, NULL, "the number is too large");
    case CVM_AST_ADD:
    case CVM_AST_SUBTRACT:
    case CVM_AST_MULTIPLY:
    case CVM_AST_DIVIDE:
    case CVM_AST_REMAINDER:
        return eval_binary(eval, expr, value);
    default:
        return refuse(eval, 1211, expr, NULL, "a whole number is needed here");
    }
}

bool cvm_eval_in_range(const CvmEval *eval, const CvmAstExpr *expr, const char *what, int64_t least,
                       int64_t most, int64_t *value) {
    if (!cvm_eval_integer(eval, expr, value))
        return false;
    if (*value >= least && *value <= most)
        return true;
    return cvm_diag_error(eval->diag, 1214, expr->span, eval->uses, NULL,
                          "%s must be from %lld to %lld, and this is %lld", what, (long long)least,
                          (long long)most, (long long)*value);
}

bool cvm_eval_real(const CvmEval *eval, const CvmAstExpr *expr, double *value) {
    if (expr->kind == CVM_AST_REAL) {
        *value = expr->real;
        return true;
    }
    if (expr->kind == CVM_AST_NEGATE && cvm_eval_real(eval, expr->left, value)) {
        *value = -*value;
        return true;
    }
    if (expr->kind == CVM_AST_MULTIPLIER || expr->kind == CVM_AST_NEGATE)
        return refuse(eval, 1211, expr, NULL, "a plain number is needed here");
    int64_t integer;
    if (!cvm_eval_integer(eval, expr, &integer))
        return false;
    *value = (double)integer;
    return true;
}

/* --- arguments --- */

static bool wrong_kind(const CvmEval *eval, const CvmAstExpr *expr, const char *name,
                       const char *needs) {
    return cvm_diag_error(eval->diag, 1207, expr->span, eval->uses, NULL, "'%s' needs %s", name,
                          needs);
}

/* A list's numbers into `values`; their count, or -1 (reported). */
static int eval_list(const CvmEval *eval, const CvmAstExpr *list, const char *name,
                     int64_t values[4]) {
    int count = 0;
    for (const CvmAstArgument *element = list->arguments; element; element = element->next) {
        if (count == 4 || element->name.text) {
            wrong_kind(eval, list, name, "a list of two or four numbers");
            return -1;
        }
        if (!cvm_eval_in_range(eval, element->value, name, 0, LARGEST, &values[count++]))
            return -1;
    }
    return count;
}

/* One number for both axes, or [height, width]. */
static bool eval_size(const CvmEval *eval, const CvmAstExpr *expr, CvmArgument *argument) {
    if (expr->kind == CVM_AST_LIST) {
        int count = eval_list(eval, expr, argument->name, argument->integers);
        return count == 2 || (count >= 0 && wrong_kind(eval, expr, argument->name,
                                                       "a number, or [height, width]"));
    }
    if (!cvm_eval_in_range(eval, expr, argument->name, 0, LARGEST, &argument->integers[0]))
        return false;
    argument->integers[1] = argument->integers[0];
    return true;
}

/* One number for all sides, [height, width], [top, left, bottom, right], or `same`. */
static bool eval_pad(const CvmEval *eval, const CvmAstExpr *expr, CvmArgument *argument) {
    int64_t *pad = argument->integers;
    if (expr->kind == CVM_AST_NAME && !strcmp(expr->text, "same") &&
        !cvm_binding_find(eval->scope, "same")) {
        argument->same = true;
        return true;
    }
    if (expr->kind != CVM_AST_LIST) {
        if (!cvm_eval_in_range(eval, expr, argument->name, 0, LARGEST, &pad[0]))
            return false;
        pad[1] = pad[2] = pad[3] = pad[0];
        return true;
    }
    int count = eval_list(eval, expr, argument->name, pad);
    if (count == 2) {
        pad[2] = pad[0];
        pad[3] = pad[1];
    }
    return count == 2 || count == 4 ||
           (count >= 0 && wrong_kind(eval, expr, argument->name,
                                     "a number, [height, width], [top, left, bottom, right] or "
                                     "the word same"));
}

static bool eval_tensor(const CvmEval *eval, const CvmAstExpr *expr, CvmArgument *argument) {
    const CvmBinding *binding =
        expr->kind == CVM_AST_NAME ? cvm_binding_find(eval->scope, expr->text) : NULL;
    argument->tensor = expr->kind == CVM_AST_IT ? eval->it : binding ? binding->tensor : NULL;
    if (argument->tensor)
        return true;
    if (expr->kind == CVM_AST_IT)
        return refuse(eval, 1220, expr, "declare one first: input image: [1, 28, 28]",
                      "no tensor flows here yet");
    return wrong_kind(eval, expr, argument->name, "a tensor: 'it', or a name bound by let");
}

/* This argument and those behind it. */
static bool eval_tensors(const CvmEval *eval, const CvmAstArgument *written,
                         CvmArgument *argument) {
    size_t count = 0;
    for (const CvmAstArgument *one = written; one; one = one->next)
        count++;
    argument->tensors = cvm_arena_array(eval->diag->arena, count, sizeof(CvmNode *));
    for (const CvmAstArgument *one = written; one; one = one->next) {
        if (!eval_tensor(eval, one->value, argument))
            return false;
        argument->tensors[argument->tensor_count++] = argument->tensor;
    }
    return true;
}

bool cvm_eval_argument(const CvmEval *eval, const CvmParameterInfo *parameter,
                       const CvmAstArgument *written, CvmArgument *argument) {
    argument->name = parameter->name;
    argument->given = written != NULL;
    argument->real = parameter->otherwise;
    for (int i = 0; i < 4; i++)
        argument->integers[i] = (int64_t)parameter->otherwise;
    if (!written)
        return true;
    const CvmAstExpr *expr = written->value;
    argument->span = written->span;
    switch (parameter->kind) {
    case CVM_PARAMETER_REAL:
        return cvm_eval_real(eval, expr, &argument->real);
    case CVM_PARAMETER_BOOL:
        argument->integers[0] = expr->integer;
        return expr->kind == CVM_AST_BOOL ||
               wrong_kind(eval, expr, parameter->name, "true or false");
    case CVM_PARAMETER_SIZE:
        return eval_size(eval, expr, argument);
    case CVM_PARAMETER_PAD:
        return eval_pad(eval, expr, argument);
    case CVM_PARAMETER_TENSOR:
        return parameter->repeats ? eval_tensors(eval, written, argument)
                                  : eval_tensor(eval, expr, argument);
    default:
        return cvm_eval_in_range(eval, expr, parameter->name, 0, LARGEST, &argument->integers[0]);
    }
}
