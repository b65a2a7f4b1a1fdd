/* From a model's statements to its forward graph: blocks and loops are unrolled, arguments
 * evaluated, and each layer's build function adds its nodes.
 *
 * Names of layers: the section path, the layer's name and its number among layers of that name in
 * that section: body.conv1, body.conv2, body.relu1. A block's use is a section of its own, numbered
 * in the same way (body.vgg_stage1.conv1), so a change elsewhere renames nothing here. */
#include "compiler/front/check.h"

#include <string.h>

enum { MAX_NODES = 100000, MAX_DEPTH = 64, MAX_REPEAT = 100000 };

/* How often a name was given within a section. */
typedef struct Counter {
    const char *name;
    int count;
    bool is_section;
    struct Counter *next;
} Counter;

typedef struct Section {
    const char *path; /* "" at the top */
    Counter *counters;
} Section;

typedef struct Expander {
    const CvmProgram *program;
    const CvmTrain *train; /* NULL: to evaluate */
    CvmArena *arena;
    CvmGraph *graph;
    CvmDiag *diag;
    CvmEval eval;
    Section *section;
    int64_t batch;
    int depth; /* of blocks and loops */
    bool failed;
} Expander;

static void expand_statements(Expander *expander, const CvmAstStatement *one);

static void fail(Expander *expander, int code, CvmSpan span, const char *mend,
                 const char *message) {
    expander->failed = true;
    cvm_diag_error(expander->diag, code, span, expander->eval.uses, mend, "%s", message);
}

static Counter *counter_of(Expander *expander, const char *name) {
    Counter **at = &expander->section->counters;
    while (*at && strcmp((*at)->name, name))
        at = &(*at)->next;
    if (!*at) {
        *at = CVM_NEW(expander->arena, Counter);
        (*at)->name = name;
    }
    return *at;
}

static const char *join(Expander *expander, const char *name) {
    const char *path = expander->section->path;
    return *path ? cvm_arena_format(expander->arena, "%s.%s", path, name) : name;
}

static const char *numbered(Expander *expander, const char *name) {
    int count = ++counter_of(expander, name)->count;
    return join(expander, cvm_arena_format(expander->arena, "%s%d", name, count));
}

static void bind(Expander *expander, CvmBinding *binding, const char *name, int64_t value,
                 CvmNode *tensor) {
    *binding = (CvmBinding){name, value, tensor, expander->eval.scope};
    expander->eval.scope = binding;
}

static bool enter(Expander *expander, CvmSpan span) {
    if (++expander->depth <= MAX_DEPTH)
        return true;
    fail(expander, 1241, span, "a block cannot use itself, not even through others",
         "blocks and loops are nested more than 64 deep");
    return false;
}

/* --- layers and blocks --- */

static void expand_layer(Expander *expander, const CvmAstStatement *use, CvmOp op) {
    const CvmAstArgument *matched[CVM_MAX_ARGUMENTS];
    CvmSignature signature = cvm_signature(op, expander->arena);
    if (!cvm_match_arguments(&signature, use->name.text, use->arguments, use->span,
                             expander->eval.uses, matched, expander->diag)) {
        expander->failed = true;
        return;
    }
    CvmLayer layer = {
        .graph = expander->graph,
        .diag = expander->diag,
        .train = expander->train,
        .input = expander->eval.it,
        .op = op,
        .origin = {numbered(expander, use->name.text), use->span, expander->eval.uses},
        .argument_count = signature.count};
    for (int i = 0; i < signature.count; i++) {
        layer.arguments[i].span = use->span;
        if (!cvm_eval_argument(&expander->eval, &signature.parameters[i], matched[i],
                               &layer.arguments[i]))
            expander->failed = true;
    }
    if (expander->failed)
        return;
    expander->eval.it = cvm_op_info(op)->build(&layer);
    expander->failed |= !expander->eval.it;
    if (!expander->failed && expander->graph->node_count > MAX_NODES)
        fail(expander, 1240, use->span, NULL, "the network has more than 100000 nodes");
}

/* A block sees its own parameters alone, not the names of the place that uses it. */
static void expand_block(Expander *expander, const CvmAstStatement *use, const CvmAstItem *block) {
    int64_t values[CVM_MAX_ARGUMENTS];
    if (!cvm_bind_parameters(&expander->eval, block, use->arguments, use->span, values) ||
        !enter(expander, use->span)) {
        expander->failed = true;
        return;
    }
    CvmUse *chain = CVM_NEW(expander->arena, CvmUse);
    *chain = (CvmUse){block->name.text, use->span, expander->eval.uses};
    Section inner = {numbered(expander, block->name.text), NULL}, *outer = expander->section;
    CvmEval kept = expander->eval;
    CvmBinding bindings[CVM_MAX_ARGUMENTS];
    expander->section = &inner;
    expander->eval.uses = chain;
    expander->eval.scope = NULL;
    int i = 0;
    for (const CvmAstParameter *one = block->parameters; one; one = one->next, i++)
        bind(expander, &bindings[i], one->name.text, values[i], NULL);
    expand_statements(expander, block->body);
    kept.it = expander->eval.it;
    expander->eval = kept;
    expander->section = outer;
    expander->depth--;
}

static void expand_use(Expander *expander, const CvmAstStatement *use) {
    const char *name = use->name.text;
    if (!strcmp(name, "it"))
        return;
    const CvmBinding *binding = cvm_binding_find(expander->eval.scope, name);
    if (binding) { /* a name bound by let: its tensor flows on */
        expander->eval.it = binding->tensor;
        return;
    }
    CvmOp op = cvm_op_find(name);
    if (op != CVM_OP_COUNT && cvm_op_info(op)->arguments) {
        expand_layer(expander, use, op);
        return;
    }
    const CvmDeclaration *block = cvm_find_declaration(expander->program, CVM_AST_BLOCK, name);
    if (!block->sound)
        expander->failed = true; /* told when its names were checked */
    else
        expand_block(expander, use, block->item);
}

/* --- sections and loops --- */

static void expand_section(Expander *expander, const CvmAstStatement *section) {
    Counter *counter = counter_of(expander, section->name.text);
    if (counter->is_section || counter->count++) {
        fail(expander, 1232, section->name.span,
             "give it another name, or make it a block, whose uses are numbered",
             "two sections of one name stand in the same place");
        return;
    }
    counter->is_section = true;
    Section inner = {join(expander, section->name.text), NULL}, *outer = expander->section;
    const CvmBinding *scope = expander->eval.scope;
    expander->section = &inner;
    expand_statements(expander, section->body);
    expander->section = outer;
    expander->eval.scope = scope;
}

static void expand_turn(Expander *expander, const CvmAstStatement *loop) {
    const CvmBinding *scope = expander->eval.scope;
    expand_statements(expander, loop->body);
    expander->eval.scope = scope;
}

static void expand_repeat(Expander *expander, const CvmAstStatement *loop) {
    int64_t count;
    if (!cvm_eval_in_range(&expander->eval, loop->value, "repeat's count", 0, MAX_REPEAT, &count) ||
        !enter(expander, loop->span)) {
        expander->failed = true;
        return;
    }
    for (int64_t i = 0; i < count && !expander->failed; i++)
        expand_turn(expander, loop);
    expander->depth--;
}

static int count_names(const CvmAstParameter *names) {
    int count = 0;
    for (; names; names = names->next)
        count++;
    return count;
}

/* Binds the loop's names to one element: a number, or a tuple of as many as there are names. */
static bool bind_element(Expander *expander, const CvmAstStatement *loop, const CvmAstExpr *element,
                         CvmBinding *bindings) {
    int names = count_names(loop->names);
    CvmAstArgument alone = {.value = (CvmAstExpr *)element};
    const CvmAstArgument *value = element->kind == CVM_AST_TUPLE ? element->arguments : &alone;
    int64_t values[CVM_MAX_ARGUMENTS];
    int count = 0;
    for (; value; value = value->next, count++)
        if (count < names && count < CVM_MAX_ARGUMENTS &&
            !cvm_eval_integer(&expander->eval, value->value, &values[count]))
            return false;
    if (count != names || names > CVM_MAX_ARGUMENTS)
        return cvm_diag_error(expander->diag, 1233, element->span, expander->eval.uses, NULL,
                              "this element has %d number%s, and for names %d", count,
                              count == 1 ? "" : "s", names);
    int i = 0;
    for (const CvmAstParameter *name = loop->names; name; name = name->next, i++)
        bind(expander, &bindings[i], name->name.text, values[i], NULL);
    return true;
}

static void expand_for(Expander *expander, const CvmAstStatement *loop) {
    CvmBinding bindings[CVM_MAX_ARGUMENTS];
    if (loop->value->kind != CVM_AST_LIST) {
        fail(expander, 1233, loop->value->span, "write for x in [1, 2, 3] { … }",
             "for goes through a list");
        return;
    }
    if (!enter(expander, loop->span))
        return;
    for (const CvmAstArgument *one = loop->value->arguments; one && !expander->failed;
         one = one->next) {
        const CvmBinding *scope = expander->eval.scope;
        if (bind_element(expander, loop, one->value, bindings))
            expand_turn(expander, loop);
        else
            expander->failed = true;
        expander->eval.scope = scope;
    }
    expander->depth--;
}

static void expand_let(Expander *expander, const CvmAstStatement *let) {
    CvmNode *flowing = expander->eval.it;
    for (const CvmAstStatement *use = let->body; use && !expander->failed; use = use->next)
        expand_use(expander, use);
    CvmBinding *binding = CVM_NEW(expander->arena, CvmBinding);
    if (!expander->eval.it && !expander->failed)
        fail(expander, 1220, let->span, "declare one first: input image: [1, 28, 28]",
             "no tensor flows here yet");
    bind(expander, binding, let->name.text, 0, expander->eval.it);
    expander->eval.it = flowing;
}

static void expand_input(Expander *expander, const CvmAstStatement *input) {
    CvmShape picture;
    if (expander->eval.it)
        fail(expander, 1230, input->span, "put it first", "the input stands after layers");
    else if (!cvm_eval_picture(&expander->eval, input->value, &picture))
        expander->failed = true;
    if (expander->failed)
        return;
    CvmShape shape = {4, {expander->batch, picture.sizes[0], picture.sizes[1], picture.sizes[2]}};
    CvmOrigin origin = {input->name.text, input->span, NULL};
    expander->eval.it = cvm_graph_input(expander->graph, input->name.text, CVM_F32, shape, origin);
}

static void expand_statements(Expander *expander, const CvmAstStatement *one) {
    static void (*const expand[])(Expander *, const CvmAstStatement *) = {
        [CVM_AST_INPUT] = expand_input,     [CVM_AST_USE] = expand_use,
        [CVM_AST_SECTION] = expand_section, [CVM_AST_REPEAT] = expand_repeat,
        [CVM_AST_FOR] = expand_for,         [CVM_AST_LET] = expand_let,
    };
    for (; one && !expander->failed; one = one->next)
        expand[one->kind](expander, one);
}

/* --- models --- */

bool cvm_bind_parameters(const CvmEval *eval, const CvmAstItem *callee,
                         const CvmAstArgument *arguments, CvmSpan span,
                         int64_t values[CVM_MAX_ARGUMENTS]) {
    const CvmAstArgument *matched[CVM_MAX_ARGUMENTS];
    CvmSignature signature = cvm_signature_of_parameters(callee->parameters);
    if (!cvm_match_arguments(&signature, callee->name.text, arguments, span, eval->uses, matched,
                             eval->diag))
        return false;
    int i = 0;
    for (const CvmAstParameter *one = callee->parameters; one; one = one->next, i++) {
        CvmEval alone = {.uses = eval->uses, .diag = eval->diag}; /* a default sees no names */
        const CvmAstExpr *value = matched[i] ? matched[i]->value : one->otherwise;
        if (!cvm_eval_in_range(matched[i] ? eval : &alone, value, one->name.text, 0, INT32_MAX,
                               &values[i]))
            return false;
    }
    return true;
}

const CvmAstStatement *cvm_model_input_statement(const CvmAstItem *model) {
    const CvmAstStatement *one = model->body;
    while (one && one->kind != CVM_AST_INPUT)
        one = one->next;
    return one;
}

bool cvm_eval_picture(const CvmEval *eval, const CvmAstExpr *list, CvmShape *shape) {
    *shape = (CvmShape){.rank = 0};
    bool is_list = list->kind == CVM_AST_LIST;
    for (const CvmAstArgument *one = is_list ? list->arguments : NULL; one; one = one->next) {
        if (shape->rank == 3 || one->name.text) {
            shape->rank = 0;
            break;
        }
        if (!cvm_eval_in_range(eval, one->value, "a picture's size", 1, 1 << 20,
                               &shape->sizes[shape->rank++]))
            return false;
    }
    int64_t count;
    if (shape->rank == 3 && cvm_shape_count(shape, &count) && count <= (int64_t)1 << 40)
        return true;
    return cvm_diag_error(eval->diag, 1215, list->span, eval->uses, "write [1, 28, 28]",
                          "a picture's shape is [channels, height, width]");
}

CvmGraph *cvm_expand_model(const CvmModelUse *model, const CvmTrain *train, int64_t batch,
                           CvmArena *arena, CvmDiag *diag) {
    Section top = {"", NULL};
    CvmBinding bindings[CVM_MAX_ARGUMENTS];
    Expander expander = {.program = model->program,
                         .train = train,
                         .arena = arena,
                         .graph = cvm_graph_create(arena, model->item->name.text),
                         .diag = diag,
                         .eval = {.diag = diag},
                         .section = &top,
                         .batch = batch};
    int i = 0;
    for (const CvmAstParameter *one = model->item->parameters; one; one = one->next, i++)
        bind(&expander, &bindings[i], one->name.text, model->values[i], NULL);
    expand_statements(&expander, model->item->body);
    if (expander.failed)
        return NULL;
    cvm_graph_output(expander.graph, "logits", expander.eval.it);
    return expander.graph;
}
