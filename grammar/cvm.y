/* The grammar of the cvm language: text to syntax tree, nothing else. docs/language.md tells it to
 * readers. Several statements may share a line; after an error, reading goes on at the next line. */
%code requires {
#include "compiler/front/parse_state.h"

#define YYLTYPE CvmSpan
#define YYLLOC_DEFAULT(Current, Rhs, N)                                                            \
    do {                                                                                           \
        if (N) {                                                                                   \
            (Current) = YYRHSLOC(Rhs, 1);                                                          \
            (Current).last_line = YYRHSLOC(Rhs, N).last_line;                                      \
            (Current).last_column = YYRHSLOC(Rhs, N).last_column;                                  \
        } else {                                                                                   \
            (Current) = YYRHSLOC(Rhs, 0);                                                          \
        }                                                                                          \
    } while (0)
}

%code {
#include "grammar/lexer.h"

#include <string.h>

static void yyerror(CvmSpan *span, CvmParseState *state, void *scanner, const char *message);

/* Appends to a list that knows its end. */
#define APPEND(list, added)                                                                        \
    do {                                                                                           \
        if ((list).last)                                                                           \
            (list).last->next = (added);                                                           \
        else                                                                                       \
            (list).first = (added);                                                                \
        (list).last = (added);                                                                     \
    } while (0)

enum { MAX_OPERATORS = 200 };

static CvmAstExpr *new_expr(CvmParseState *state, CvmAstExprKind kind, CvmSpan span) {
    CvmAstExpr *expr = CVM_NEW(state->arena, CvmAstExpr);
    expr->kind = kind;
    expr->span = span;
    return expr;
}

static CvmAstExpr *new_binary(CvmParseState *state, CvmAstExprKind kind, CvmAstExpr *left,
                              CvmAstExpr *right, CvmSpan span) {
    CvmAstExpr *expr = new_expr(state, kind, span);
    expr->left = left;
    expr->right = right;
    expr->depth = 1 + (right && right->depth > left->depth ? right->depth : left->depth);
    if (expr->depth == MAX_OPERATORS) {
        cvm_diag_error(state->diag, 1003, span, NULL, NULL, "more than %d operators in a row",
                       MAX_OPERATORS);
        state->stopped = true;
    }
    return expr;
}

static CvmAstExpr *new_group(CvmParseState *state, CvmAstExprKind kind, CvmAstArgument *arguments,
                             CvmSpan span) {
    CvmAstExpr *expr = new_expr(state, kind, span);
    expr->arguments = arguments;
    return expr;
}

static CvmAstArgument *new_argument(CvmParseState *state, CvmAstName name, CvmAstExpr *value,
                                    CvmSpan span) {
    CvmAstArgument *argument = CVM_NEW(state->arena, CvmAstArgument);
    *argument = (CvmAstArgument){.name = name, .span = span, .value = value};
    return argument;
}

static CvmAstStatement *new_statement(CvmParseState *state, CvmAstStatementKind kind,
                                      CvmAstName name, CvmSpan span) {
    CvmAstStatement *statement = CVM_NEW(state->arena, CvmAstStatement);
    *statement = (CvmAstStatement){.kind = kind, .span = span, .name = name};
    return statement;
}

static CvmAstStatement *new_use(CvmParseState *state, CvmAstName name, CvmAstArgument *arguments,
                                bool has_arguments, CvmSpan span) {
    CvmAstStatement *use = new_statement(state, CVM_AST_USE, name, span);
    use->arguments = arguments;
    use->has_arguments = has_arguments;
    return use;
}

static CvmAstSetting *new_setting(CvmParseState *state, CvmAstSettingKind kind, CvmAstName key,
                                  CvmAstExpr *value, CvmAstPattern *patterns, CvmSpan span) {
    CvmAstSetting *setting = CVM_NEW(state->arena, CvmAstSetting);
    *setting = (CvmAstSetting){
        .kind = kind, .span = span, .key = key, .value = value, .patterns = patterns};
    return setting;
}

static CvmAstSetting *new_group_setting(CvmParseState *state, CvmAstName key,
                                        CvmAstSetting *settings, CvmSpan span) {
    CvmAstSetting *group = new_setting(state, CVM_AST_GROUP, key, NULL, NULL, span);
    group->settings = settings;
    return group;
}

static CvmAstItem *new_item(CvmParseState *state, CvmAstItemKind kind, CvmAstName name,
                            CvmSpan span) {
    CvmAstItem *item = CVM_NEW(state->arena, CvmAstItem);
    *item = (CvmAstItem){.kind = kind, .span = span, .name = name};
    return item;
}

static CvmAstParameter *new_parameter(CvmParseState *state, CvmAstName name, CvmAstName kind,
                                      CvmAstExpr *otherwise) {
    CvmAstParameter *parameter = CVM_NEW(state->arena, CvmAstParameter);
    *parameter = (CvmAstParameter){.name = name, .kind = kind, .otherwise = otherwise};
    return parameter;
}
}

%define api.pure full
%define parse.error custom
%define parse.lac full
%locations
%parse-param { CvmParseState *state } { void *scanner }
%lex-param { void *scanner }
%expect 0

%union {
    int64_t integer;
    double real;
    const char *text;
    CvmAstName name;
    CvmAstExpr *expr;
    CvmAstArguments arguments;
    CvmAstParameter *parameter;
    CvmAstParameters parameters;
    CvmAstPatterns patterns;
    CvmAstStatement *statement;
    CvmAstStatements statements;
    CvmAstSetting *setting;
    CvmAstSettings settings;
    CvmAstItem *item;
    CvmAstItems items;
}

%token NEWLINE "the line's end" YYEOF 0 "the file's end"
%token IMPORT "import" MODEL "model" BLOCK "block" DATA "data" TRAIN "train" ON "on" AS "as"
%token INPUT "input" REPEAT "repeat" FOR "for" IN "in" LET "let" IT "it"
%token WEIGHTS "weights" EXCEPT "except" FREEZE "freeze" UNFREEZE "unfreeze" RATE "rate"
%token AT_EPOCH "'at epoch'" PER_LAYER "'per layer'"
%token NAMES "names" PREDICT "predict" ARROW "'->'"
%token <integer> INTEGER "a number" BOOL "true or false"
%token <real> REAL "a decimal number" MULTIPLIER "a multiplier such as 0.01x"
%token <text> NAME "a name" PATH "a path" STRING "a quoted text"

%type <name> name word key pattern_name optional_names
%type <expr> expr default optional_epoch
%type <integer> optional_per_layer
%type <arguments> arguments some_arguments elements
%type <parameter> parameter
%type <parameters> parameters some_parameters optional_parameters names
%type <patterns> patterns optional_except
%type <statement> statement use let nested
%type <statements> statements body pipeline
%type <setting> setting data_setting name_setting operation
%type <settings> settings data_settings name_settings operations group
%type <expr> amount
%type <item> item
%type <items> items

%left '+' '-'
%left '*' '/' '%'
%precedence NEGATION

%%

file:
    items { state->file->items = $1.first; }
;

items:
    %empty { $$ = (CvmAstItems){0}; }
|   items NEWLINE { $$ = $1; }
|   items item { $$ = $1; APPEND($$, $2); }
|   items error NEWLINE { $$ = $1; yyerrok; }
;

item:
    IMPORT STRING { $$ = new_item(state, CVM_AST_IMPORT, (CvmAstName){$2, @2}, @$); }
|   MODEL name optional_parameters body {
        $$ = new_item(state, CVM_AST_MODEL, $2, @$);
        $$->parameters = $3.first;
        $$->body = $4.first;
    }
|   BLOCK name optional_parameters body {
        $$ = new_item(state, CVM_AST_BLOCK, $2, @$);
        $$->parameters = $3.first;
        $$->body = $4.first;
    }
|   DATA name '{' data_settings '}' {
        $$ = new_item(state, CVM_AST_DATA, $2, @$);
        $$->settings = $4.first;
    }
|   NAMES name '{' name_settings '}' {
        $$ = new_item(state, CVM_AST_NAMES, $2, @$);
        $$->settings = $4.first;
    }
|   PREDICT name '{' data_settings '}' {
        $$ = new_item(state, CVM_AST_PREDICT, $2, @$);
        $$->settings = $4.first;
    }
|   TRAIN name arguments ON name '{' settings '}' {
        $$ = new_item(state, CVM_AST_TRAIN, (CvmAstName){NULL, @2}, @$);
        $$->model = $2;
        $$->arguments = $3.first;
        $$->data = $5;
        $$->settings = $7.first;
    }
|   TRAIN name arguments ON name AS name '{' settings '}' {
        $$ = new_item(state, CVM_AST_TRAIN, $7, @$);
        $$->model = $2;
        $$->arguments = $3.first;
        $$->data = $5;
        $$->settings = $9.first;
    }
;

name:
    NAME { $$ = (CvmAstName){$1, @1}; }
;

/* A word where the language's own words are names too: arguments and keys. */
word:
    name
|   DATA { $$ = (CvmAstName){"data", @1}; }
|   TRAIN { $$ = (CvmAstName){"train", @1}; }
|   INPUT { $$ = (CvmAstName){"input", @1}; }
|   WEIGHTS { $$ = (CvmAstName){"weights", @1}; }
|   RATE { $$ = (CvmAstName){"rate", @1}; }
|   REPEAT { $$ = (CvmAstName){"repeat", @1}; }
|   MODEL { $$ = (CvmAstName){"model", @1}; }
|   BLOCK { $$ = (CvmAstName){"block", @1}; }
|   NAMES { $$ = (CvmAstName){"names", @1}; }
|   PREDICT { $$ = (CvmAstName){"predict", @1}; }
;

/* --- parameters --- */

optional_parameters:
    %empty { $$ = (CvmAstParameters){0}; }
|   '(' parameters ')' { $$ = $2; }
;

parameters:
    %empty { $$ = (CvmAstParameters){0}; }
|   some_parameters
|   some_parameters ','
;

some_parameters:
    parameter { $$ = (CvmAstParameters){$1, $1}; }
|   some_parameters ',' parameter { $$ = $1; APPEND($$, $3); }
;

parameter:
    name ':' name default { $$ = new_parameter(state, $1, $3, $4); }
;

default:
    %empty { $$ = NULL; }
|   '=' expr { $$ = $2; }
;

/* --- the network --- */

body:
    '{' statements '}' { $$ = $2; }
|   '{' statements let '}' { $$ = $2; APPEND($$, $3); }
;

statements:
    %empty { $$ = (CvmAstStatements){0}; }
|   statements NEWLINE { $$ = $1; }
|   statements statement { $$ = $1; APPEND($$, $2); }
|   statements let NEWLINE { $$ = $1; APPEND($$, $2); }
|   statements error NEWLINE { $$ = $1; yyerrok; }
;

statement:
    use
|   nested
|   INPUT word ':' expr {
        $$ = new_statement(state, CVM_AST_INPUT, $2, @$);
        $$->value = $4;
    }
;

nested:
    name body {
        $$ = new_statement(state, CVM_AST_SECTION, $1, @$);
        $$->body = $2.first;
    }
|   REPEAT expr body {
        $$ = new_statement(state, CVM_AST_REPEAT, (CvmAstName){"repeat", @1}, @$);
        $$->value = $2;
        $$->body = $3.first;
    }
|   FOR names IN expr body {
        $$ = new_statement(state, CVM_AST_FOR, (CvmAstName){"for", @1}, @$);
        $$->names = $2.first;
        $$->value = $4;
        $$->body = $5.first;
    }
;

names:
    name { CvmAstParameter *one = new_parameter(state, $1, $1, NULL); $$ = (CvmAstParameters){one, one}; }
|   '(' some_names ')' { $$ = $<parameters>2; }
;

some_names:
    name {
        CvmAstParameter *one = new_parameter(state, $1, $1, NULL);
        $<parameters>$ = (CvmAstParameters){one, one};
    }
|   some_names ',' name {
        $<parameters>$ = $<parameters>1;
        CvmAstParameter *one = new_parameter(state, $3, $3, NULL);
        APPEND($<parameters>$, one);
    }
;

use:
    name { $$ = new_use(state, $1, NULL, false, @$); }
|   name '(' elements ')' { $$ = new_use(state, $1, $3.first, true, @$); }
;

/* Ends with its line, so that it is clear what the name stands for. */
let:
    LET name '=' pipeline {
        $$ = new_statement(state, CVM_AST_LET, $2, @$);
        $$->body = $4.first;
    }
;

pipeline:
    IT {
        CvmAstStatement *it = new_use(state, (CvmAstName){"it", @1}, NULL, false, @1);
        $$ = (CvmAstStatements){it, it};
    }
|   use { $$ = (CvmAstStatements){$1, $1}; }
|   pipeline use { $$ = $1; APPEND($$, $2); }
;

/* --- arguments and expressions --- */

arguments:
    %empty { $$ = (CvmAstArguments){0}; }
|   '(' elements ')' { $$ = $2; }
;

elements:
    %empty { $$ = (CvmAstArguments){0}; }
|   some_arguments
|   some_arguments ','
;

some_arguments:
    expr {
        CvmAstArgument *one = new_argument(state, (CvmAstName){0}, $1, @1);
        $$ = (CvmAstArguments){one, one};
    }
|   word '=' expr {
        CvmAstArgument *one = new_argument(state, $1, $3, @$);
        $$ = (CvmAstArguments){one, one};
    }
|   some_arguments ',' expr {
        $$ = $1;
        CvmAstArgument *one = new_argument(state, (CvmAstName){0}, $3, @3);
        APPEND($$, one);
    }
|   some_arguments ',' word '=' expr {
        $$ = $1;
        CvmSpan span = @3;
        span.last_line = @5.last_line;
        span.last_column = @5.last_column;
        CvmAstArgument *one = new_argument(state, $3, $5, span);
        APPEND($$, one);
    }
;

expr:
    INTEGER { $$ = new_expr(state, CVM_AST_INTEGER, @$); $$->integer = $1; }
|   REAL { $$ = new_expr(state, CVM_AST_REAL, @$); $$->real = $1; }
|   MULTIPLIER { $$ = new_expr(state, CVM_AST_MULTIPLIER, @$); $$->real = $1; }
|   STRING { $$ = new_expr(state, CVM_AST_STRING, @$); $$->text = $1; }
|   BOOL { $$ = new_expr(state, CVM_AST_BOOL, @$); $$->integer = $1; }
|   IT { $$ = new_expr(state, CVM_AST_IT, @$); }
|   NAME { $$ = new_expr(state, CVM_AST_NAME, @$); $$->text = $1; }
|   NAME '(' elements ')' { $$ = new_group(state, CVM_AST_CALL, $3.first, @$); $$->text = $1; }
|   '[' elements ']' { $$ = new_group(state, CVM_AST_LIST, $2.first, @$); }
|   '(' expr ')' { $$ = $2; }
|   '(' expr ',' elements ')' {
        CvmAstArgument *one = new_argument(state, (CvmAstName){0}, $2, @2);
        one->next = $4.first;
        $$ = new_group(state, CVM_AST_TUPLE, one, @$);
    }
|   '-' expr %prec NEGATION { $$ = new_binary(state, CVM_AST_NEGATE, $2, NULL, @$); }
|   expr '+' expr { $$ = new_binary(state, CVM_AST_ADD, $1, $3, @$); }
|   expr '-' expr { $$ = new_binary(state, CVM_AST_SUBTRACT, $1, $3, @$); }
|   expr '*' expr { $$ = new_binary(state, CVM_AST_MULTIPLY, $1, $3, @$); }
|   expr '/' expr { $$ = new_binary(state, CVM_AST_DIVIDE, $1, $3, @$); }
|   expr '%' expr { $$ = new_binary(state, CVM_AST_REMAINDER, $1, $3, @$); }
;

/* --- data and training --- */

settings:
    %empty { $$ = (CvmAstSettings){0}; }
|   settings NEWLINE { $$ = $1; }
|   settings setting { $$ = $1; APPEND($$, $2); }
|   settings error NEWLINE { $$ = $1; yyerrok; }
;

setting:
    key expr { $$ = new_setting(state, CVM_AST_KEY, $1, $2, NULL, @$); }
|   key group { $$ = new_group_setting(state, $1, $2.first, @$); }
|   WEIGHTS expr optional_names optional_except {
        $$ = new_setting(state, CVM_AST_WEIGHTS, (CvmAstName){"weights", @1}, $2, $4.first, @$);
        $$->target = $3;
    }
|   FREEZE patterns optional_epoch {
        $$ = new_setting(state, CVM_AST_FREEZE, (CvmAstName){"freeze", @1}, NULL, $2.first, @$);
        $$->epoch = $3;
    }
|   UNFREEZE patterns AT_EPOCH expr {
        $$ = new_setting(state, CVM_AST_UNFREEZE, (CvmAstName){"unfreeze", @1}, NULL, $2.first, @$);
        $$->epoch = $4;
    }
|   RATE patterns MULTIPLIER optional_per_layer optional_epoch {
        CvmAstExpr *value = new_expr(state, CVM_AST_MULTIPLIER, @3);
        value->real = $3;
        $$ = new_setting(state, CVM_AST_RATE, (CvmAstName){"rate", @1}, value, $2.first, @$);
        $$->per_layer = $4;
        $$->epoch = $5;
    }
;

/* What is done to pictures, by a name and what it needs: flip horizontal 0.5, shift 4. Only the
 * word that says which way may have a number behind it, so that lines need no ends. */
group:
    '{' operations '}' { $$ = $2; }
;

operations:
    %empty { $$ = (CvmAstSettings){0}; }
|   operations NEWLINE { $$ = $1; }
|   operations operation { $$ = $1; APPEND($$, $2); }
|   operations error NEWLINE { $$ = $1; yyerrok; }
;

operation:
    name expr { $$ = new_setting(state, CVM_AST_KEY, $1, $2, NULL, @$); }
|   name NAME amount {
        CvmAstExpr *word = new_expr(state, CVM_AST_NAME, @2);
        word->text = $2;
        $$ = new_setting(state, CVM_AST_KEY, $1, word, NULL, @$);
        $$->amount = $3;
    }
;

amount:
    INTEGER { $$ = new_expr(state, CVM_AST_INTEGER, @$); $$->integer = $1; }
|   REAL { $$ = new_expr(state, CVM_AST_REAL, @$); $$->real = $1; }
;

optional_epoch:
    %empty { $$ = NULL; }
|   AT_EPOCH expr { $$ = $2; }
;

optional_per_layer:
    %empty { $$ = false; }
|   PER_LAYER { $$ = true; }
;

optional_names:
    %empty { $$ = (CvmAstName){0}; }
|   NAMES name { $$ = $2; }
;

optional_except:
    %empty { $$ = (CvmAstPatterns){0}; }
|   EXCEPT patterns { $$ = $2; }
;

key:
    name
|   DATA { $$ = (CvmAstName){"data", @1}; }
|   INPUT { $$ = (CvmAstName){"input", @1}; }
;

patterns:
    pattern_name {
        CvmAstPattern *one = CVM_NEW(state->arena, CvmAstPattern);
        one->name = $1;
        $$ = (CvmAstPatterns){one, one};
    }
|   patterns ',' pattern_name {
        CvmAstPattern *one = CVM_NEW(state->arena, CvmAstPattern);
        one->name = $3;
        $$ = $1;
        APPEND($$, one);
    }
;

pattern_name:
    name
|   PATH { $$ = (CvmAstName){$1, @1}; }
|   STRING { $$ = (CvmAstName){$1, @1}; }
|   '*' { $$ = (CvmAstName){"*", @1}; }
;

data_settings:
    %empty { $$ = (CvmAstSettings){0}; }
|   data_settings NEWLINE { $$ = $1; }
|   data_settings data_setting { $$ = $1; APPEND($$, $2); }
|   data_settings error NEWLINE { $$ = $1; yyerrok; }
;

data_setting:
    word expr { $$ = new_setting(state, CVM_AST_KEY, $1, $2, NULL, @$); }
|   word group { $$ = new_group_setting(state, $1, $2.first, @$); }
;

/* --- name maps --- */

name_settings:
    %empty { $$ = (CvmAstSettings){0}; }
|   name_settings NEWLINE { $$ = $1; }
|   name_settings name_setting { $$ = $1; APPEND($$, $2); }
|   name_settings error NEWLINE { $$ = $1; yyerrok; }
;

name_setting:
    STRING ARROW pattern_name {
        CvmAstPattern *source = CVM_NEW(state->arena, CvmAstPattern);
        source->name = (CvmAstName){$1, @1};
        $$ = new_setting(state, CVM_AST_RENAME, (CvmAstName){"rename", @1}, NULL, source, @$);
        $$->target = $3;
    }
|   IN name patterns {
        $$ = new_setting(state, CVM_AST_IN_ORDER, $2, NULL, $3.first, @$);
    }
|   IN name patterns ARROW pattern_name {
        $$ = new_setting(state, CVM_AST_IN_ORDER, $2, NULL, $3.first, @$);
        $$->target = $5;
    }
|   name patterns { $$ = new_setting(state, CVM_AST_IGNORE, $1, NULL, $2.first, @$); }
;

%%

/* Running out of stack is the only other thing that bison reports here. */
static void yyerror(CvmSpan *span, CvmParseState *state, void *scanner, const char *message) {
    (void)scanner;
    cvm_diag_error(state->diag, 1003, *span, NULL, NULL, "cannot read this text: %s", message);
}

/* "a name", or the word itself in quotes. */
static const char *token_text(yysymbol_kind_t token, char *text, size_t size) {
    const char *name = yysymbol_name(token);
    bool described = strchr(name, ' ') != NULL;
    if (described)
        return name;
    if (name[0] == '\'')
        return name;
    snprintf(text, size, "'%s'", name);
    return text;
}

enum { MAX_EXPECTED = 5 };

static int yyreport_syntax_error(const yypcontext_t *context, CvmParseState *state, void *scanner) {
    yysymbol_kind_t expected[MAX_EXPECTED];
    yysymbol_kind_t found = yypcontext_token(context);
    int count = yypcontext_expected_tokens(context, expected, MAX_EXPECTED);
    char message[256] = "", word[48];
    size_t used = 0;
    (void)scanner;
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(message + used, sizeof message - used, "%s%s",
                                 i == 0 ? "expected " : i + 1 < count ? ", " : " or ",
                                 token_text(expected[i], word, sizeof word));
    const char *mend = NULL;
    if (found == YYSYMBOL_YYEOF && state->open_brace_count > 0)
        mend = cvm_arena_format(state->arena, "close the '{' of line %d",
                                state->open_braces[state->open_brace_count - 1].first_line);
    if (state->stopped)
        return 0; /* told already */
    cvm_diag_error(state->diag, 1001, *yypcontext_location(context), NULL, mend,
                   count > 0 ? "%s, found %s" : "%sunexpected %s", message,
                   token_text(found, word, sizeof word));
    return 0;
}

CvmAstFile *cvm_ast_parse(CvmArena *arena, const CvmSource *source, CvmDiag *diag) {
    CvmParseState state = {.arena = arena, .source = source, .diag = diag, .line = 1, .column = 1};
    state.next_comment = &state.comments;
    state.file = CVM_NEW(arena, CvmAstFile);
    state.file->source = source;
    yyscan_t scanner;
    if (yylex_init_extra(&state, &scanner)) {
        diag->machine_at_fault = true;
        cvm_diag_error(diag, 1003, (CvmSpan){0}, NULL, NULL, "not enough memory to read the text");
        return state.file;
    }
    yy_scan_bytes(source->text, (int)source->length, scanner);
    yyparse(&state, scanner);
    yylex_destroy(scanner);
    cvm_ast_attach_comments(state.file, state.comments);
    return state.file;
}
