/* The syntax tree as indented text, one node a line. */
#include "compiler/front/ast.h"

#include <inttypes.h>

static void begin_line(int depth, const CvmSpan *span, FILE *stream) {
    fprintf(stream, "%*s%d:%d ", depth * 2, "", span->first_line, span->first_column);
}

static void print_comments(const CvmAstComment *comment, const char *where, int depth,
                           FILE *stream) {
    for (; comment; comment = comment->next) {
        begin_line(depth, &comment->span, stream);
        fprintf(stream, "comment %s %s\n", where, comment->text);
    }
}

static void print_expr(const CvmAstExpr *expr, int depth, FILE *stream);

static void print_arguments(const CvmAstArgument *argument, int depth, FILE *stream) {
    for (; argument; argument = argument->next) {
        if (argument->name.text) {
            begin_line(depth, &argument->name.span, stream);
            fprintf(stream, "argument %s\n", argument->name.text);
        }
        print_expr(argument->value, depth + (argument->name.text != NULL), stream);
    }
}

static void print_expr(const CvmAstExpr *expr, int depth, FILE *stream) {
    static const char *const operators[] = {
        [CVM_AST_IT] = "it",
        [CVM_AST_LIST] = "list",
        [CVM_AST_TUPLE] = "tuple",
        [CVM_AST_NEGATE] = "negate",
        [CVM_AST_ADD] = "add",
        [CVM_AST_SUBTRACT] = "subtract",
        [CVM_AST_MULTIPLY] = "multiply",
        [CVM_AST_DIVIDE] = "divide",
        [CVM_AST_REMAINDER] = "remainder",
    };
    begin_line(depth, &expr->span, stream);
    switch (expr->kind) {
    case CVM_AST_INTEGER:
        fprintf(stream, "integer %" PRId64 "\n", expr->integer);
        return;
    case CVM_AST_REAL:
        fprintf(stream, "real %.17g\n", expr->real);
        return;
    case CVM_AST_MULTIPLIER:
        fprintf(stream, "multiplier %.17g\n", expr->real);
        return;
    case CVM_AST_BOOL:
        fprintf(stream, "%s\n", expr->integer ? "true" : "false");
        return;
    case CVM_AST_STRING:
        fprintf(stream, "string \"%s\"\n", expr->text);
        return;
    case CVM_AST_NAME:
        fprintf(stream, "name %s\n", expr->text);
        return;
    case CVM_AST_CALL:
        fprintf(stream, "call %s\n", expr->text);
        break;
    default:
        fprintf(stream, "%s\n", operators[expr->kind]);
        break;
    }
    print_arguments(expr->arguments, depth + 1, stream);
    if (expr->left)
        print_expr(expr->left, depth + 1, stream);
    if (expr->right)
        print_expr(expr->right, depth + 1, stream);
}

static void print_parameters(const CvmAstParameter *parameter, int depth, FILE *stream) {
    for (; parameter; parameter = parameter->next) {
        begin_line(depth, &parameter->name.span, stream);
        fprintf(stream, "parameter %s\n", parameter->name.text);
        if (parameter->otherwise)
            print_expr(parameter->otherwise, depth + 1, stream);
    }
}

static void print_statements(const CvmAstStatement *one, int depth, FILE *stream) {
    static const char *const kinds[] = {
        [CVM_AST_INPUT] = "input",   [CVM_AST_USE] = "use", [CVM_AST_SECTION] = "section",
        [CVM_AST_REPEAT] = "repeat", [CVM_AST_FOR] = "for", [CVM_AST_LET] = "let",
    };
    for (; one; one = one->next) {
        print_comments(one->comments.before, "before", depth, stream);
        begin_line(depth, &one->span, stream);
        bool named = one->kind != CVM_AST_REPEAT && one->kind != CVM_AST_FOR;
        fprintf(stream, "%s%s%s\n", kinds[one->kind], named ? " " : "",
                named ? one->name.text : "");
        print_parameters(one->names, depth + 1, stream);
        if (one->value)
            print_expr(one->value, depth + 1, stream);
        print_arguments(one->arguments, depth + 1, stream);
        print_statements(one->body, depth + 1, stream);
        print_comments(one->last_comments, "last", depth + 1, stream);
        print_comments(one->comments.after, "after", depth, stream);
    }
}

static void print_settings(const CvmAstSetting *one, int depth, FILE *stream) {
    for (; one; one = one->next) {
        print_comments(one->comments.before, "before", depth, stream);
        begin_line(depth, &one->span, stream);
        fprintf(stream, "setting %s\n", one->key.text);
        if (one->value)
            print_expr(one->value, depth + 1, stream);
        if (one->amount)
            print_expr(one->amount, depth + 1, stream);
        print_settings(one->settings, depth + 1, stream);
        print_comments(one->last_comments, "last", depth + 1, stream);
        for (const CvmAstPattern *pattern = one->patterns; pattern; pattern = pattern->next) {
            begin_line(depth + 1, &pattern->name.span, stream);
            fprintf(stream, "pattern %s\n", pattern->name.text);
        }
        if (one->target.text) {
            begin_line(depth + 1, &one->target.span, stream);
            fprintf(stream, "target %s\n", one->target.text);
        }
        if (one->per_layer) {
            begin_line(depth + 1, &one->value->span, stream);
            fputs("per layer\n", stream);
        }
        if (one->epoch) {
            begin_line(depth + 1, &one->epoch->span, stream);
            fputs("at epoch\n", stream);
            print_expr(one->epoch, depth + 2, stream);
        }
        print_comments(one->comments.after, "after", depth, stream);
    }
}

static void print_item(const CvmAstItem *item, FILE *stream) {
    static const char *const kinds[] = {"import", "model",   "block", "data",
                                        "names",  "predict", "train"};
    print_comments(item->comments.before, "before", 0, stream);
    begin_line(0, &item->span, stream);
    if (item->kind == CVM_AST_TRAIN)
        fprintf(stream, "train %s on %s%s%s\n", item->model.text, item->data.text,
                item->name.text ? " as " : "", item->name.text ? item->name.text : "");
    else
        fprintf(stream, "%s %s\n", kinds[item->kind], item->name.text);
    print_parameters(item->parameters, 1, stream);
    print_arguments(item->arguments, 1, stream);
    print_statements(item->body, 1, stream);
    print_settings(item->settings, 1, stream);
    print_comments(item->last_comments, "last", 1, stream);
    print_comments(item->comments.after, "after", 0, stream);
}

void cvm_ast_print(const CvmAstFile *file, FILE *stream) {
    for (const CvmAstItem *item = file->items; item; item = item->next)
        print_item(item, stream);
    print_comments(file->last_comments, "last", 0, stream);
}
