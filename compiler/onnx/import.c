/* See net.h: from an ONNX graph to a list of layers. Every name of the graph gets a place in one
 * sorted table; the nodes that the output needs are read in an order where operands come first.
 * Errors are collected: what a refused node gives is unknown, and what reads it is passed over in
 * silence, so that each error told is one of its own. */
#include "compiler/onnx/import.h"

#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_OPSET = 7, MOST_OPSET = 21 };

typedef enum Source { INITIALIZER, NODE, INPUT } Source; /* in the order they hide one another */

typedef struct Name {
    const char *text;
    Source source;
    int index; /* of the initializer, node or input */
    bool first_output;
    CvmOnnxValue value;
} Name;

typedef struct Names {
    Name *names;
    int count;
} Names;

static bool refuse(CvmOnnxImport *import, int code, const char *mend, const char *message,
                   const char *name) {
    CvmSpan file = {.source = import->model->nodes};
    return cvm_diag_error(import->diag, code, file, NULL, mend, message, cvm_shown(name).text);
}

/* --- names --- */

static int by_text(const void *left, const void *right) {
    const Name *a = left, *b = right;
    int order = strcmp(a->text, b->text);
    return order ? order : (int)a->source - (int)b->source;
}

static void add_name(Names *names, const char *text, Source source, size_t index, bool first) {
    if (text && *text)
        names->names[names->count++] =
            (Name){.text = text, .source = source, .index = (int)index, .first_output = first};
}

/* An initializer may be listed among the inputs too, as its default; any other name has one source.
 */
static bool drop_doubles(CvmOnnxImport *import, Names *names) {
    int kept = 0;
    bool sound = true;
    for (int i = 0; i < names->count; i++) {
        const Name *name = &names->names[i], *before = kept ? &names->names[kept - 1] : NULL;
        if (!before || strcmp(before->text, name->text))
            names->names[kept++] = *name;
        else if (before->source != INITIALIZER || name->source != INPUT)
            sound = refuse(import, 1706, NULL, "two tensors are called '%s'", name->text);
    }
    names->count = kept;
    return sound;
}

static bool list_names(CvmOnnxImport *import, Names *names) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    size_t count = graph->n_initializer + graph->n_input;
    for (size_t i = 0; i < graph->n_node; i++)
        count += graph->node[i]->n_output;
    names->names = cvm_arena_array(import->arena, count + 1, sizeof *names->names);
    for (size_t i = 0; i < graph->n_initializer; i++)
        add_name(names, graph->initializer[i]->name, INITIALIZER, i, true);
    for (size_t i = 0; i < graph->n_input; i++)
        add_name(names, graph->input[i]->name, INPUT, i, true);
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_output; k++)
            add_name(names, graph->node[i]->output[k], NODE, i, k == 0);
    qsort(names->names, (size_t)names->count, sizeof *names->names, by_text);
    return drop_doubles(import, names);
}

static Name *find_name(const Names *names, const char *text) {
    int low = 0, high = names->count;
    while (low < high) {
        int middle = low + (high - low) / 2;
        int order = strcmp(names->names[middle].text, text);
        if (order == 0)
            return &names->names[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static void count_uses(CvmOnnxImport *import, Names *names) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    Name *name;
    for (size_t i = 0; i < graph->n_node; i++)
        for (size_t k = 0; k < graph->node[i]->n_input; k++)
            if ((name = find_name(names, graph->node[i]->input[k])))
                name->value.uses++;
    for (size_t i = 0; i < graph->n_output; i++)
        if (graph->output[i]->name && (name = find_name(names, graph->output[i]->name)))
            name->value.uses++;
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

static bool read_inputs(CvmOnnxImport *import, Names *names) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    const Onnx__ValueInfoProto *input = NULL;
    bool sound = true;
    for (size_t i = 0; i < graph->n_input; i++) {
        const char *text = graph->input[i]->name;
        Name *name = text ? find_name(names, text) : NULL;
        if (!name || name->source != INPUT)
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
static Name *find_output(CvmOnnxImport *import, const Names *names) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    if (graph->n_output != 1 || !graph->output[0]->name) {
        refuse(import, 1700, "export the net without its further outputs",
               "the graph has no output, or several%s", "");
        return NULL;
    }
    Name *name = find_name(names, graph->output[0]->name);
    if (!name)
        refuse(import, 1707, NULL, "nothing gives the output '%s'", graph->output[0]->name);
    return name;
}

/* --- nodes --- */

static bool check_attributes(CvmOnnxImport *import) {
    bool known = true;
    for (size_t i = 0; i < import->proto->n_attribute; i++) {
        const char *name = import->proto->attribute[i]->name, *list = import->operator->attributes;
        size_t length = name ? strlen(name) : 0;
        const char *found = length ? strstr(list, name) : NULL;
        while (found &&
               ((found != list && found[-1] != ' ') || (found[length] && found[length] != ' ')))
            found = strstr(found + 1, name);
        if (!found)
            known =
                cvm_onnx_refuse(import, 1702, NULL, "has the attribute '%s', which is not known",
                                cvm_shown(name ? name : "").text);
    }
    return known;
}

/* Its operands, which are all read by now; *skip: one of them is unknown. */
static bool collect_inputs(CvmOnnxImport *import, const Names *names, bool *skip) {
    const Onnx__NodeProto *proto = import->proto;
    bool sound = true;
    import->input_count = (int)proto->n_input;
    import->inputs = cvm_arena_array(import->arena, proto->n_input + 1, sizeof *import->inputs);
    for (int i = 0; i < import->input_count; i++) {
        Name *name = proto->input[i][0] ? find_name(names, proto->input[i]) : NULL;
        if (!name && proto->input[i][0])
            sound = cvm_onnx_refuse(import, 1707, NULL, "reads '%s', which nothing gives",
                                    cvm_shown(proto->input[i]).text);
        import->inputs[i] = name ? &name->value : NULL;
        *skip |= name && name->value.kind == CVM_ONNX_UNKNOWN;
    }
    return sound;
}

static bool read_operator(CvmOnnxImport *import, const Names *names) {
    const Onnx__NodeProto *proto = import->proto;
    bool skip = false,
         foreign = proto->domain && *proto->domain && strcmp(proto->domain, "ai.onnx");
    import->operator= proto->op_type && !foreign ? cvm_onnx_operator(proto->op_type) : NULL;
    if (!import->operator) {
        if (!proto->op_type)
            return refuse(import, 1701, NULL, "a node has no operator%s", "");
        return foreign
                   ? cvm_onnx_refuse(import, 1701, NULL, "is an operator of %s, not of ONNX itself",
                                     cvm_shown(proto->domain).text)
                   : cvm_onnx_refuse(import, 1701, NULL, "does what no layer does");
    }
    if (!check_attributes(import) || !collect_inputs(import, names, &skip) || skip)
        return false;
    if (import->input_count <
        import->operator->least ||(import->operator->most >= 0 &&
                                   import->input_count> import->operator->most))
        return cvm_onnx_refuse(import, 1703, NULL, "has %d inputs, which is not possible",
                               import->input_count);
    return import->operator->read(import);
}

static void read_node(CvmOnnxImport *import, const Names *names, int node) {
    import->node = node;
    import->proto = import->model->message->graph->node[node];
    import->result = (CvmOnnxValue){.kind = CVM_ONNX_UNKNOWN};
    if (!read_operator(import, names))
        import->result.kind = CVM_ONNX_UNKNOWN;
    import->proto = import->model->message->graph->node[node];
    for (size_t i = 0; i < import->proto->n_output; i++) {
        Name *name = find_name(names, import->proto->output[i]);
        if (!name)
            continue;
        int uses = name->value.uses;
        if (name->first_output)
            name->value = import->result;
        else
            name->value.kind = CVM_ONNX_UNKNOWN;
        name->value.uses = uses;
        if (!name->first_output && uses && import->result.kind != CVM_ONNX_UNKNOWN)
            cvm_onnx_refuse(import, 1701, NULL, "gives '%s' too, which no layer does",
                            cvm_shown(name->text).text);
    }
}

static void read_initializer(CvmOnnxImport *import, Name *name) {
    CvmError error;
    const Onnx__TensorProto *tensor = import->model->message->graph->initializer[name->index];
    name->value.kind = CVM_ONNX_CONSTANT;
    if (cvm_onnx_tensor(import->model, tensor, &name->value.constant, &error))
        return;
    name->value.kind = CVM_ONNX_UNKNOWN;
    import->diag->machine_at_fault |= error.kind == CVM_ERROR_MACHINE;
    cvm_diag_error(import->diag, 1704, (CvmSpan){.source = import->model->nodes}, NULL, NULL, "%s",
                   error.message);
}

/* A node on the way from the output to what it needs. */
typedef struct Visit {
    int node;
    size_t next; /* operand to look at */
} Visit;

typedef enum Mark { NEW, OPEN, READ } Mark;

/* Reads every node that the output needs, operands first; without recursion, since a graph may be a
 * hundred thousand nodes deep. */
static void read_needed(CvmOnnxImport *import, const Names *names, const Name *output) {
    const Onnx__GraphProto *graph = import->model->message->graph;
    Mark *marks = cvm_arena_array(import->arena, graph->n_node, sizeof *marks);
    Visit *stack = cvm_arena_array(import->arena, graph->n_node + 1, sizeof *stack);
    int depth = 0;
    if (output->source == NODE) {
        stack[depth++] = (Visit){output->index, 0};
        marks[output->index] = OPEN;
    }
    while (depth > 0) {
        Visit *top = &stack[depth - 1];
        const Onnx__NodeProto *node = graph->node[top->node];
        if (top->next == node->n_input) {
            read_node(import, names, top->node);
            marks[top->node] = READ;
            depth--;
            continue;
        }
        Name *name = find_name(names, node->input[top->next++]);
        if (name && name->source == INITIALIZER && name->value.kind == CVM_ONNX_UNREAD) {
            read_initializer(import, name);
        } else if (name && name->source == NODE && marks[name->index] == NEW) {
            marks[name->index] = OPEN;
            stack[depth++] = (Visit){name->index, 0};
        } else if (name && name->source == NODE && marks[name->index] == OPEN) {
            import->node = top->node;
            import->proto = node;
            cvm_onnx_refuse(import, 1705, NULL, "depends on itself, in a circle");
            name->value.kind = CVM_ONNX_UNKNOWN;
        }
    }
}

/* The output as the logits: a softmax at the end is left out, since the language never has it
 * there, and [c, 1, 1] is made [c]. */
static bool finish_output(CvmOnnxImport *import, const Name *output) {
    CvmOnnxNet *net = import->net;
    import->node = output->source == NODE ? output->index : 0;
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
    Names names = {0};
    size_t nodes = model->message->graph->n_node;
    *net = (CvmOnnxNet){.capacity = 2 * (int)nodes + 1};
    net->layers = cvm_arena_array(arena, 2 * nodes + 1, sizeof *net->layers);
    CvmOnnxImport import = {.model = model,
                            .arena = arena,
                            .diag = diag,
                            .net = net,
                            .graph = cvm_graph_create(arena, "import")};
    if (!check_opset(&import) || !list_names(&import, &names) || !read_inputs(&import, &names))
        return false;
    count_uses(&import, &names);
    read_normalization(&import);
    Name *output = find_output(&import, &names);
    if (!output)
        return false;
    read_needed(&import, &names, output);
    return finish_output(&import, output) && diag->error_count == 0;
}
