/* See net.h: from an ONNX graph to a list of layers. The nodes that the output needs are read in an
 * order where operands come first. Errors are collected: what a refused node gives is unknown, and
 * what reads it is passed over in silence, so that each error told is one of its own. */
#include "compiler/onnx/scope.h"

#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_OPSET = 7, MOST_OPSET = 21 };

static bool refuse(CvmOnnxImport *import, int code, const char *mend, const char *message,
                   const char *name) {
    CvmSpan file = {.source = import->model->nodes};
    return cvm_diag_error(import->diag, code, file, NULL, mend, message, cvm_shown(name).text);
}

/* --- the model as a whole --- */

static bool check_opset(CvmOnnxImport *import) {
    const Onnx__ModelProto *message = import->model->message;
    for (size_t i = 0; i < message->n_opset_import; i++) {
        const Onnx__OperatorSetIdProto *set = message->opset_import[i];
        bool own = !set->domain || !*set->domain || !strcmp(set->domain, "ai.onnx");
        if (own && set->version >= LEAST_OPSET && set->version <= MOST_OPSET) {
            import->opset = (int)set->version;
            return true;
        }
    }
    return refuse(import, 1700, "export it with opset 17, say",
                  "the operators are of none of the versions 7 to 21%s", "");
}

/* The input's shape: [n, c, h, w], of which n may be left open. */
static bool read_picture(CvmOnnxImport *import, const Onnx__ValueInfoProto *input) {
    const Onnx__TypeProto__Tensor *type = input->type ? input->type->tensor_type : NULL;
    const Onnx__TensorShapeProto *shape = type ? type->shape : NULL;
    if (!shape || shape->n_dim != 4)
        return refuse(import, 1700, NULL,
                      "the input '%s' is no batch of pictures [n, channels, height, width]",
                      input->name);
    import->batch = shape->dim[0]->has_dim_value ? shape->dim[0]->dim_value : CVM_ONNX_BATCH;
    import->net->picture.rank = 3;
    CvmShape full = {4, {2}};
    for (int i = 0; i < 3; i++) {
        int64_t size = shape->dim[i + 1]->has_dim_value ? shape->dim[i + 1]->dim_value : 0;
        if (size < 1 || size > 1 << 20)
            return refuse(import, 1700, "export it with the size of its pictures fixed",
                          "the input '%s' leaves its channels, height or width open", input->name);
        import->net->picture.sizes[i] = full.sizes[i + 1] = size;
    }
    int64_t count;
    if (!cvm_shape_count(&full, &count) || count > (int64_t)1 << 40)
        return refuse(import, 1700, NULL, "the input '%s' is too large", input->name);
    import->picture =
        cvm_graph_input(import->graph, "image", CVM_F32, full, (CvmOrigin){.name = "image"});
    return true;
}

static bool read_inputs(CvmOnnxImport *import, const CvmOnnxScope *scope) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    const Onnx__ValueInfoProto *input = NULL;
    bool sound = true;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *text = graph->input[i]->name;
        CvmOnnxName *name = text ? cvm_onnx_scope_find(scope, text) : NULL;
        if (!name || name->source != CVM_ONNX_FROM_INPUT)
            continue;
        if (input)
            sound = refuse(import, 1700, NULL, "there is a second input, '%s'", text);
        input = graph->input[i];
        name->value.kind = CVM_ONNX_TENSOR;
    }
    if (!input)
        return refuse(import, 1700, NULL, "the graph has no input%s", "");
    return sound && read_picture(import, input);
}

/* The name of the one output; NULL (reported). */
static CvmOnnxName *find_output(CvmOnnxImport *import, const CvmOnnxScope *scope) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    if (graph->n_output != 1 || !graph->output[0]->name) {
        refuse(import, 1700, "export the net without its further outputs",
               "the graph has no output, or several%s", "");
        return NULL;
    }
    CvmOnnxName *name = cvm_onnx_scope_find(scope, graph->output[0]->name);
    if (!name)
        refuse(import, 1707, NULL, "nothing gives the output '%s'", graph->output[0]->name);
    return name;
}

/* --- nodes, from the output to what it needs --- */

/* A node on the way. An If needs what the taken branch reads, too, once it is known which that is.
 */
typedef struct Visit {
    int node;
    size_t next; /* operand to look at */
    const Onnx__GraphProto *branch;
    size_t branch_node, branch_next; /* its node and operand to look at */
} Visit;

typedef enum Mark { NEW, OPEN, READ } Mark;

typedef struct Search {
    CvmOnnxImport *import;
    const CvmOnnxScope *scope;
    Mark *marks;
    Visit *stack;
    int depth;
} Search;

/* The next operand's name; NULL when all have been looked at. */
static const char *next_operand(const Search *search, Visit *visit) {
    const Onnx__NodeProto *node = search->scope->graph->node[visit->node];
    if (visit->next < node->n_input)
        return node->input[visit->next++];
    if (!visit->branch)
        visit->branch = cvm_onnx_taken_branch(search->import, search->scope, visit->node);
    const Onnx__GraphProto *branch = visit->branch;
    while (branch && visit->branch_node < branch->n_node) {
        if (visit->branch_next < branch->node[visit->branch_node]->n_input)
            return branch->node[visit->branch_node]->input[visit->branch_next++];
        visit->branch_node++;
        visit->branch_next = 0;
    }
    if (branch && visit->branch_node == branch->n_node && branch->n_output > 0) {
        visit->branch_node++;
        return branch->output[0]->name ? branch->output[0]->name : "";
    }
    return NULL;
}

static void push(Search *search, int node) {
    search->marks[node] = OPEN;
    search->stack[search->depth++] = (Visit){.node = node};
}

/* Looks at an operand: what has not been read yet is read before the node that needs it. */
static void need(Search *search, int node, const char *operand) {
    CvmOnnxImport *import = search->import;
    CvmOnnxName *name = *operand ? cvm_onnx_scope_find(search->scope, operand) : NULL;
    if (name && name->source == CVM_ONNX_FROM_INITIALIZER) {
        cvm_onnx_read_initializer(import, search->scope, name);
    } else if (name && name->source == CVM_ONNX_FROM_NODE && search->marks[name->index] == NEW) {
        push(search, name->index);
    } else if (name && name->source == CVM_ONNX_FROM_NODE && search->marks[name->index] == OPEN) {
        import->node = node;
        import->proto = search->scope->graph->node[node];
        cvm_onnx_refuse(import, 1705, NULL, "depends on itself, in a circle");
        name->value.kind = CVM_ONNX_UNKNOWN;
    }
}

/* Reads every node that the output needs, operands first; without recursion, since a graph may be a
 * hundred thousand nodes deep. */
static void read_needed(CvmOnnxImport *import, const CvmOnnxScope *scope,
                        const CvmOnnxName *output) {
    size_t nodes = scope->graph->n_node;
    Search search = {.import = import,
                     .scope = scope,
                     .marks = cvm_arena_array(import->arena, nodes, sizeof(Mark)),
                     .stack = cvm_arena_array(import->arena, nodes + 1, sizeof(Visit))};
    if (output->source == CVM_ONNX_FROM_NODE)
        push(&search, output->index);
    while (search.depth > 0) {
        Visit *top = &search.stack[search.depth - 1];
        const char *operand = next_operand(&search, top);
        if (operand) {
            need(&search, top->node, operand);
            continue;
        }
        import->node = top->node;
        cvm_onnx_read_node(import, scope, scope->graph->node[top->node]);
        search.marks[top->node] = READ;
        search.depth--;
    }
}

/* The output as the logits: a softmax at the end is left out, since the language never has it
 * there, and [c, 1, 1] is made [c]. */
static bool finish_output(CvmOnnxImport *import, const CvmOnnxName *output) {
    CvmOnnxNet *net = import->net;
    import->node = output->source == CVM_ONNX_FROM_NODE ? output->index : 0;
    import->proto = import->model->message->graph->node[import->node];
    if (output->value.kind == CVM_ONNX_UNKNOWN)
        return false; /* told where it became so */
    if (output->value.kind != CVM_ONNX_TENSOR)
        return cvm_onnx_refuse(import, 1700, NULL, "gives the output without computing it");
    net->output = output->value.tensor;
    const CvmOnnxLayer *last = net->output ? &net->layers[net->output - 1] : NULL;
    const char *name = last ? cvm_op_info(last->op)->name : "";
    if (!strcmp(name, "softmax") || !strcmp(name, "log_softmax")) {
        net->softmax = name;
        net->output = last->inputs[0];
    }
    const CvmShape *shape = cvm_onnx_shape(import, net->output);
    if (shape->rank == 4 && shape->sizes[2] == 1 && shape->sizes[3] == 1) {
        CvmOnnxLayer *layer = cvm_onnx_begin_layer(import, "flatten", &net->output, 1);
        if (!layer || !cvm_onnx_finish_layer(import, layer))
            return false;
        net->output = net->count;
    } else if (shape->rank != 2) {
        return cvm_onnx_refuse(import, 1700, NULL,
                               "gives the output, which is not one number a class");
    }
    return true;
}

/* Numbers of the metadata, times 255, each from `least` to 255; how many, or 0 when they are not
 * so. */
static int read_levels(const Onnx__ModelProto *message, const char *key, double least,
                       double levels[CVM_MAX_CHANNELS]) {
    const char *text = "";
    int count = 0;
    for (size_t i = 0; i < message->n_metadata_props; i++) {
        const Onnx__StringStringEntryProto *one = message->metadata_props[i];
        if (one->key && one->value && !strcmp(one->key, key))
            text = one->value;
    }
    while (*text) {
        char *end;
        double level = strtod(text, &end);
        if (count == CVM_MAX_CHANNELS || end == text || !(level * 255 >= least && level <= 1))
            return 0;
        levels[count++] = level;
        text = end + strspn(end, " ");
    }
    return count;
}

/* What an export of cvm noted; anything else is as if it were not there. */
static void read_normalization(CvmOnnxImport *import) {
    const Onnx__ModelProto *message = import->model->message;
    CvmNormalization *normalization = &import->net->normalization;
    int means = read_levels(message, CVM_ONNX_MEAN, 0, normalization->mean);
    int deviations = read_levels(message, CVM_ONNX_DEVIATION, 0.001, normalization->deviation);
    bool fits = means == deviations && means == import->net->picture.sizes[0];
    normalization->channels = fits ? means : 0;
}

bool cvm_onnx_read_net(CvmOnnxModel *model, CvmArena *arena, CvmOnnxNet *net, CvmDiag *diag) {
    CvmOnnxScope scope;
    *net = (CvmOnnxNet){0};
    CvmOnnxImport import = {.model = model,
                            .arena = arena,
                            .diag = diag,
                            .net = net,
                            .graph = cvm_graph_create(arena, "import")};
    if (!check_opset(&import) ||
        !cvm_onnx_scope_open(&import, model->message->graph, NULL, &scope) ||
        !read_inputs(&import, &scope))
        return false;
    net->capacity = 2 * (int)cvm_onnx_list_branches(&import, &scope) + 1;
    net->layers = cvm_arena_array(arena, (size_t)net->capacity, sizeof *net->layers);
    read_normalization(&import);
    CvmOnnxName *output = find_output(&import, &scope);
    if (!output)
        return false;
    read_needed(&import, &scope, output);
    return finish_output(&import, output) && diag->error_count == 0;
}
