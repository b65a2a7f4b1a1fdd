/* The syntax tree as indented text, one node a line. */
#include "compiler/front/ast.h"

#include <inttypes.h>

typedef struct Printer {
    FILE *stream;
    bool places;
} Printer;

static void begin_line(int depth, const CvmSpan *span, const Printer *printer) {
    fprintf(printer->stream, "%*s", depth * 2, "");
    if (printer->places)
        fprintf(printer->stream, "%d:%d ", span->first_line, span->first_column);
}

static void print_comments(const CvmAstComment *comment, const char *where, int depth,
                           const Printer *printer) {
    for (; comment; comment = comment->next) {
        begin_line(depth, &comment->span, printer);
        fprintf(printer->stream, "comment %s %s\n", where, comment->text);
    }
}

static void print_expr(const CvmAstExpr *expr, int depth, const Printer *printer);

static void print_arguments(const CvmAstArgument *argument, int depth, const Printer *printer) {
    for (; argument; argument = argument->next) {
        if (argument->name.text) {
            begin_line(depth, &argument->name.span, printer);
            fprintf(printer->stream, "argument %s\n", argument->name.text);
        }
        print_expr(argument->value, depth + (argument->name.text != NULL), printer);
    }
}

static void print_expr(const CvmAstExpr *expr, int depth, const Printer *printer) {
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
    begin_line(depth, &expr->span, printer);
    switch (expr->kind) {
    case CVM_AST_INTEGER:
        fprintf(printer->stream, "integer %" PRId64 "\n", expr->integer);
        return;
    case CVM_AST_REAL:
        fprintf(printer->stream, "real %.17g\n", expr->real);
        return;
    case CVM_AST_MULTIPLIER:
        fprintf(printer->stream, "multiplier %.17g\n", expr->real);
        return;
    case CVM_AST_BOOL:
        fprintf(printer->stream, "%s\n", expr->integer ? "true" : "false");
        return;
    case CVM_AST_STRING:
        fprintf(printer->stream, "string \"%s\"\n", expr->text);
        return;
    case CVM_AST_NAME:
        fprintf(printer->stream, "name %s\n", expr->text);
        return;
    case CVM_AST_CALL:
        fprintf(printer->stream, "call %s\n", expr->text);
        break;
    default:
        fprintf(printer->stream, "%s\n", operators[expr->kind]);
        break;
    }
    print_arguments(expr->arguments, depth + 1, printer);
    if (expr->left)
        print_expr(expr->left, depth + 1, printer);
    if (expr->right)
        print_expr(expr->right, depth + 1, printer);
}

static void print_parameters(const CvmAstParameter *parameter, int depth, const Printer *printer) {
    for (; parameter; parameter = parameter->next) {
        begin_line(depth, &parameter->name.span, printer);
        fprintf(printer->stream, "parameter %s\n", parameter->name.text);
        if (parameter->otherwise)
            print_expr(parameter->otherwise, depth + 1, printer);
    }
}

static void print_statements(const CvmAstStatement *one, int depth, const Printer *printer) {
    static const char *const kinds[] = {
        [CVM_AST_INPUT] = "input",   [CVM_AST_USE] = "use", [CVM_AST_SECTION] = "section",
        [CVM_AST_REPEAT] = "repeat", [CVM_AST_FOR] = "for", [CVM_AST_LET] = "let",
    };
    for (; one; one = one->next) {
        print_comments(one->comments.before, "before", depth, printer);
        begin_line(depth, &one->span, printer);
        bool named = one->kind != CVM_AST_REPEAT && one->kind != CVM_AST_FOR;
        fprintf(printer->stream, "%s%s%s\n", kinds[one->kind], named ? " " : "",
                named ? one->name.text : "");
        print_parameters(one->names, depth + 1, printer);
        if (one->value)
            print_expr(one->value, depth + 1, printer);
        print_arguments(one->arguments, depth + 1, printer);
        print_statements(one->body, depth + 1, printer);
        print_comments(one->last_comments, "last", depth + 1, printer);
        print_comments(one->comments.after, "after", depth, printer);
    }
}

static void print_settings(const CvmAstSetting *one, int depth, const Printer *printer) {
    for (; one; one = one->next) {
        print_comments(one->comments.before, "before", depth, printer);
        begin_line(depth, &one->span, printer);
        fprintf(printer->stream, "setting %s\n", one->key.text);
        if (one->value)
            print_expr(one->value, depth + 1, printer);
        if (one->amount)
            print_expr(one->amount, depth + 1, printer);
        print_settings(one->settings, depth + 1, printer);
        print_comments(one->last_comments, "last", depth + 1, printer);
        for (const CvmAstPattern *pattern = one->patterns; pattern; pattern = pattern->next) {
            begin_line(depth + 1, &pattern->name.span, printer);
            fprintf(printer->stream, "pattern %s\n", pattern->name.text);
        }
        if (one->target.text) {
            begin_line(depth + 1, &one->target.span, printer);
            fprintf(printer->stream, "target %s\n", one->target.text);
        }
        if (one->per_layer) {
            begin_line(depth + 1, &one->value->span, printer);
            fputs("per layer\n", printer->stream);
        }
        if (one->epoch) {
            begin_line(depth + 1, &one->epoch->span, printer);
            fputs("at epoch\n", printer->stream);
            print_expr(one->epoch, depth + 2, printer);
        }
        print_comments(one->comments.after, "after", depth, printer);
    }
}

static void print_item(const CvmAstItem *item, const Printer *printer) {
    static const char *const kinds[] = {"import", "model",   "block", "data",
                                        "names",  "predict", "train"};
    print_comments(item->comments.before, "before", 0, printer);
    begin_line(0, &item->span, printer);
    if (item->kind == CVM_AST_TRAIN)
        fprintf(printer->stream, "train %s on %s%s%s\n", item->model.text, item->data.text,
                item->name.text ? " as " : "", item->name.text ? item->name.text : "");
    else
        fprintf(printer->stream, "%s %s\n", kinds[item->kind], item->name.text);
    print_parameters(item->parameters, 1, printer);
    print_arguments(item->arguments, 1, printer);
    print_statements(item->body, 1, printer);
    print_settings(item->settings, 1, printer);
    print_comments(item->last_comments, "last", 1, printer);
    print_comments(item->comments.after, "after", 0, printer);
}

void cvm_ast_print(const CvmAstFile *file, bool places, FILE *stream) {
    Printer printer = {stream, places};
    for (const CvmAstItem *item = file->items; item; item = item->next)
        print_item(item, &printer);
    print_comments(file->last_comments, "last", 0, &printer);
}
