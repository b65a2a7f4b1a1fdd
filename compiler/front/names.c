/* The names in a model or block, checked before anything is expanded, so that all that are wrong
 * are told at once and expansion meets none. */
#include "compiler/front/check.h"

#include <string.h>

enum { MAX_CANDIDATES = 256 };

/* A name in scope: a parameter, a loop's variable, or bound by let. */
typedef struct Known {
    const char *name;
    CvmSpan span;
    bool is_tensor;
    bool used;
    struct Known *outer;
} Known;

typedef struct Names {
    CvmProgram *program;
    Known *scope;
    int input_count;
    bool in_model; /* else in a block */
    bool sound;
} Names;

static void check_statements(Names *names, const CvmAstStatement *one);

static Known *find(const Names *names, const char *name) {
    for (Known *known = names->scope; known; known = known->outer)
        if (!strcmp(known->name, name))
            return known;
    return NULL;
}

static void breach(Names *names, int code, CvmSpan span, const char *mend, const char *message,
                   const char *name) {
    names->sound = cvm_diag_error(names->program->diag, code, span, NULL, mend, message, name);
}

static bool is_layer(const char *name) {
    CvmOp op = cvm_op_find(name);
    return op != CVM_OP_COUNT && cvm_op_info(op)->arguments;
}

/* Brings a name into scope; `known` lives in the caller's frame or the arena. */
static void enter(Names *names, Known *known) {
    if (find(names, known->name))
        breach(names, 1110, known->span, "choose another name", "'%s' stands for something already",
               known->name);
    else if (is_layer(known->name) ||
             cvm_find_declaration(names->program, CVM_AST_BLOCK, known->name))
        breach(names, 1110, known->span, "choose another name", "'%s' is a layer or block",
               known->name);
    known->outer = names->scope;
    names->scope = known;
}

/* Leaves the scope down to `outer`; what was never used is reported. */
static void leave(Names *names, Known *outer) {
    for (; names->scope != outer; names->scope = names->scope->outer)
        if (!names->scope->used)
            breach(names, 1111, names->scope->span, "remove it, or use it", "'%s' is never used",
                   names->scope->name);
}

static void check_expr(Names *names, const CvmAstExpr *expr) {
    if (!expr)
        return;
    if (expr->kind == CVM_AST_NAME) {
        Known *known = find(names, expr->text);
        if (known)
            known->used = true; /* unknown ones are told by the evaluation, which knows `same` */
    }
    check_expr(names, expr->left);
    check_expr(names, expr->right);
    for (const CvmAstArgument *one = expr->arguments; one; one = one->next)
        check_expr(names, one->value);
}

static void unknown_layer(Names *names, const CvmAstStatement *use) {
    const char *candidates[MAX_CANDIDATES];
    int count = 0;
    for (int op = 0; op < CVM_OP_COUNT; op++)
        if (cvm_op_info((CvmOp)op)->arguments)
            candidates[count++] = cvm_op_info((CvmOp)op)->name;
    for (const CvmDeclaration *one = names->program->declarations; one && count < MAX_CANDIDATES;
         one = one->next)
        if (one->item->kind == CVM_AST_BLOCK)
            candidates[count++] = one->item->name.text;
    for (const Known *known = names->scope; known && count < MAX_CANDIDATES; known = known->outer)
        if (known->is_tensor)
            candidates[count++] = known->name;
    const char *near = cvm_nearest_name(use->name.text, candidates, count);
    breach(names, 1201, use->name.span,
           cvm_did_you_mean(names->program->arena, near,
                            "see docs/language.md for the layers there are"),
           "unknown layer or block '%s'", use->name.text);
}

static void check_use(Names *names, const CvmAstStatement *use) {
    const CvmAstArgument *matched[CVM_MAX_ARGUMENTS];
    CvmProgram *program = names->program;
    const char *name = use->name.text;
    Known *known = find(names, name);
    for (const CvmAstArgument *one = use->arguments; one; one = one->next)
        check_expr(names, one->value);
    if (!strcmp(name, "it"))
        return;
    if (known) {
        known->used = true;
        if (!known->is_tensor)
            breach(names, 1202, use->span, NULL, "'%s' is a number, not a layer", name);
        else if (use->has_arguments)
            breach(names, 1202, use->span, NULL, "'%s' is a tensor and takes no arguments", name);
        return;
    }
    const CvmDeclaration *block = cvm_find_declaration(program, CVM_AST_BLOCK, name);
    CvmSignature signature;
    if (is_layer(name))
        signature = cvm_signature(cvm_op_find(name), program->arena);
    else if (block)
        signature = cvm_signature_of_parameters(block->item->parameters);
    else {
        unknown_layer(names, use);
        return;
    }
    if (!cvm_match_arguments(&signature, name, use->arguments, use->span, NULL, matched,
                             program->diag))
        names->sound = false;
}

static void check_input(Names *names, const CvmAstStatement *input) {
    check_expr(names, input->value);
    if (!names->in_model)
        breach(names, 1230, input->span, "a block works on the tensor that flows into it",
               "input '%s' stands in a block", input->name.text);
    else if (++names->input_count > 1)
        breach(names, 1230, input->span, "keep one", "a second input '%s'", input->name.text);
}

static void check_loop(Names *names, const CvmAstStatement *loop) {
    Known *outer = names->scope;
    check_expr(names, loop->value);
    for (const CvmAstParameter *one = loop->names; one; one = one->next) {
        Known *known = CVM_NEW(names->program->arena, Known);
        *known = (Known){.name = one->name.text, .span = one->name.span};
        enter(names, known);
    }
    check_statements(names, loop->body);
    leave(names, outer);
}

static void check_let(Names *names, const CvmAstStatement *let) {
    for (const CvmAstStatement *use = let->body; use; use = use->next)
        check_use(names, use);
    Known *known = CVM_NEW(names->program->arena, Known);
    *known = (Known){.name = let->name.text, .span = let->name.span, .is_tensor = true};
    enter(names, known);
}

static void check_statement(Names *names, const CvmAstStatement *one) {
    switch (one->kind) {
    case CVM_AST_INPUT:
        check_input(names, one);
        return;
    case CVM_AST_USE:
        check_use(names, one);
        return;
    case CVM_AST_LET:
        check_let(names, one);
        return;
    default:
        check_loop(names, one); /* a section is a loop that binds nothing */
        return;
    }
}

static void check_statements(Names *names, const CvmAstStatement *one) {
    Known *outer = names->scope;
    for (; one; one = one->next)
        check_statement(names, one);
    leave(names, outer);
}

static void check_parameters(Names *names, const CvmAstParameter *one) {
    int count = 0;
    for (; one; one = one->next) {
        check_expr(names, one->otherwise);
        if (strcmp(one->kind.text, "int"))
            breach(names, 1112, one->kind.span, "write int", "parameters are of kind int, not '%s'",
                   one->kind.text);
        if (++count > CVM_MAX_ARGUMENTS) {
            breach(names, 1113, one->name.span, NULL, "'%s' is one parameter too many",
                   one->name.text);
            return;
        }
        Known *known = CVM_NEW(names->program->arena, Known);
        *known = (Known){.name = one->name.text, .span = one->name.span};
        enter(names, known);
    }
}

bool cvm_check_names(CvmProgram *program, const CvmAstItem *item) {
    Names names = {.program = program, .in_model = item->kind == CVM_AST_MODEL, .sound = true};
    check_parameters(&names, item->parameters);
    check_statements(&names, item->body);
    leave(&names, NULL);
    if (names.in_model && names.input_count == 0)
        breach(&names, 1231, item->name.span, "begin it with: input image: [1, 28, 28]",
               "model '%s' has no input", item->name.text);
    return names.sound;
}
