/* See net.h: the net as text. Statements become lines, a line for each layer that has weights with
 * what follows it; equal runs become `repeat`; what the classes hang on is the section `head`, the
 * rest `body`, which is how trainings speak of them. */
#include "compiler/front/signature.h"
#include "compiler/onnx/arrange.h"

#include <stdlib.h>
#include <string.h>

enum { WIDTH = 100, INDENT = 4, LONGEST_RUN = 64 };

typedef struct Writer {
    const CvmOnnxNet *net;
    CvmArena *arena;
    CvmOnnxStatements statements;
    int *last_use;              /* by statement that binds a name: the last one that reads it */
    const char **names;         /* by value */
    int skips, branches, forks; /* names of each kind that are taken in this scope */
    int classes_layer;          /* whose channels are the model's parameter; -1: none */
    char **lines;
    int line_count, line_capacity;
    const char *line; /* the one that is being put together; "" */
    int depth;
} Writer;

/* --- layers --- */

static void write_size(const int64_t size[2], FILE *stream) {
    if (size[0] == size[1])
        fprintf(stream, "%lld", (long long)size[0]);
    else
        fprintf(stream, "[%lld, %lld]", (long long)size[0], (long long)size[1]);
}

static void write_pad(const CvmArgument *pad, FILE *stream) {
    const int64_t *p = pad->integers;
    if (pad->same)
        fputs("same", stream);
    else if (p[0] == p[2] && p[1] == p[3])
        write_size(p, stream);
    else
        fprintf(stream, "[%lld, %lld, %lld, %lld]", (long long)p[0], (long long)p[1],
                (long long)p[2], (long long)p[3]);
}

/* As few digits as give the same float. */
static void write_real(double value, FILE *stream) {
    char text[32];
    for (int digits = 1; digits <= 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        if (strtof(text, NULL) == (float)value)
            break;
    }
    fputs(text, stream);
}

static void write_value(const CvmParameterInfo *parameter, const CvmArgument *argument,
                        FILE *stream) {
    switch (parameter->kind) {
    case CVM_PARAMETER_REAL:
        write_real(argument->real, stream);
        break;
    case CVM_PARAMETER_BOOL:
        fputs(argument->integers[0] ? "true" : "false", stream);
        break;
    case CVM_PARAMETER_SIZE:
        write_size(argument->integers, stream);
        break;
    case CVM_PARAMETER_PAD:
        write_pad(argument, stream);
        break;
    default:
        fprintf(stream, "%lld", (long long)argument->integers[0]);
        break;
    }
}

static bool is_default(const CvmParameterInfo *parameter, const CvmArgument *argument) {
    if (!argument->given)
        return true;
    if (!parameter->optional || argument->same)
        return false;
    if (parameter->kind == CVM_PARAMETER_REAL)
        return (float)argument->real == (float)parameter->otherwise;
    int numbers = parameter->kind == CVM_PARAMETER_SIZE  ? 2
                  : parameter->kind == CVM_PARAMETER_PAD ? 4
                                                         : 1;
    for (int i = 0; i < numbers; i++)
        if (argument->integers[i] != (int64_t)parameter->otherwise)
            return false;
    return true;
}

/* "conv(64, kernel=3, pad=1)"; a tensor without a name is the one that flows. */
static char *layer_text(const Writer *writer, int index) {
    const CvmOnnxLayer *layer = &writer->net->layers[index];
    CvmSignature signature = cvm_signature(layer->op, writer->arena);
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    int written = 0;
    fputs(cvm_op_info(layer->op)->name, stream);
    for (int i = 0; layer->takes_tensors && i < layer->input_count; i++) {
        const char *name = writer->names[layer->inputs[i]];
        fprintf(stream, "%s%s", written++ ? ", " : "(", name ? name : "it");
    }
    for (int i = 0; i < signature.count; i++) {
        const CvmParameterInfo *parameter = &signature.parameters[i];
        const CvmArgument *argument = &layer->arguments[i];
        if (parameter->kind == CVM_PARAMETER_TENSOR || is_default(parameter, argument))
            continue;
        fputs(written ? ", " : "(", stream);
        if (written++ || parameter->optional)
            fprintf(stream, "%s=", parameter->name);
        if (index == writer->classes_layer && i == 0)
            fputs("classes", stream);
        else
            write_value(parameter, argument, stream);
    }
    fputs(written ? ")" : "", stream);
    fclose(stream);
    char *kept = cvm_arena_copy(writer->arena, text, size);
    free(text);
    return kept;
}

/* --- lines --- */

static void add_line(Writer *writer, const char *text) {
    if (writer->line_count == writer->line_capacity) {
        int capacity = writer->line_capacity ? 2 * writer->line_capacity : 64;
        char **grown = cvm_arena_array(writer->arena, (size_t)capacity, sizeof *grown);
        if (writer->line_count)
            memcpy(grown, writer->lines, (size_t)writer->line_count * sizeof *grown);
        writer->lines = grown;
        writer->line_capacity = capacity;
    }
    writer->lines[writer->line_count++] =
        cvm_arena_format(writer->arena, "%*s%s", *text ? writer->depth * INDENT : 0, "", text);
}

static void end_line(Writer *writer) {
    if (writer->line[0])
        add_line(writer, writer->line);
    writer->line = "";
}

/* Puts a word at the line's end, or on the next one. */
static void put(Writer *writer, const char *text, bool on_new_line) {
    size_t width = (size_t)(writer->depth * INDENT) + strlen(writer->line) + strlen(text) + 1;
    if (on_new_line || width > WIDTH)
        end_line(writer);
    writer->line =
        cvm_arena_format(writer->arena, "%s%s%s", writer->line, *writer->line ? " " : "", text);
}

/* Begins "name {"; returns its line. */
static int open_section(Writer *writer, const char *name) {
    end_line(writer);
    add_line(writer, cvm_arena_format(writer->arena, "%s {", name));
    writer->depth++;
    return writer->line_count - 1;
}

/* Ends what begins on that line; what has a single line inside becomes one line where it fits. */
static void close_section(Writer *writer, int opened) {
    end_line(writer);
    writer->depth--;
    if (writer->line_count == opened + 2) {
        char *text = cvm_arena_format(writer->arena, "%s %s }",
                                      writer->lines[opened] + writer->depth * INDENT,
                                      writer->lines[opened + 1] + (writer->depth + 1) * INDENT);
        if (strlen(text) + (size_t)(writer->depth * INDENT) <= WIDTH) {
            writer->line_count = opened;
            add_line(writer, text);
            return;
        }
    }
    add_line(writer, "}");
}

/* --- statements --- */

static const CvmOnnxStatement *statement(const Writer *writer, int i) {
    return &writer->statements.list[i];
}

/* skip, skip2, … */
static const char *new_name(Writer *writer, const char *kind) {
    int *taken = kind[0] == 's'   ? &writer->skips
                 : kind[0] == 'b' ? &writer->branches
                                  : &writer->forks;
    return ++*taken == 1 ? kind : cvm_arena_format(writer->arena, "%s%d", kind, *taken);
}

/* A let ends with its line, however long that is. */
static void write_let(Writer *writer, const CvmOnnxStatement *let) {
    const char *name = new_name(writer, let->name);
    char *text = cvm_arena_format(writer->arena, "let %s = it", name);
    for (int i = 0, layer = let->layer; i < let->layer_count;
         i++, layer = writer->statements.next[layer])
        text = cvm_arena_format(writer->arena, "%s %s", text, layer_text(writer, layer));
    end_line(writer);
    add_line(writer, text);
    writer->names[let->value] = name;
}

static bool starts_line(const Writer *writer, int i) {
    const CvmOnnxStatement *one = statement(writer, i);
    if (one->kind != CVM_ONNX_APPLY)
        return true;
    const CvmOnnxLayer *layer = &writer->net->layers[one->layer];
    return layer->takes_tensors || cvm_op_info(layer->op)->class == CVM_CLASS_CONTRACTION;
}

static void write_statement(Writer *writer, int i) {
    const CvmOnnxStatement *one = statement(writer, i);
    if (one->kind == CVM_ONNX_LET)
        write_let(writer, one);
    else if (one->kind == CVM_ONNX_GO_ON)
        put(writer, writer->names[one->value], true);
    else
        put(writer, layer_text(writer, one->layer), starts_line(writer, i));
}

/* --- runs that repeat --- */

static bool same_arguments(const Writer *writer, int a, int b) {
    const CvmOnnxLayer *left = &writer->net->layers[a], *right = &writer->net->layers[b];
    if (left->op != right->op || left->input_count != right->input_count ||
        (a != b && (a == writer->classes_layer || b == writer->classes_layer)))
        return false;
    for (int i = 0; i < left->argument_count; i++) {
        const CvmArgument *x = &left->arguments[i], *y = &right->arguments[i];
        if (x->given != y->given || x->same != y->same || x->real != y->real ||
            memcmp(x->integers, y->integers, sizeof x->integers) != 0)
            return false;
    }
    return true;
}

/* Whether a name is bound as far before statement i as another is before statement k. */
static bool same_reference(const Writer *writer, int i, int value, int k, int other) {
    int a = writer->statements.binding[value], b = writer->statements.binding[other];
    return (a < 0 && b < 0) || (a >= 0 && b >= 0 && a - i == b - k);
}

static bool same_statement(const Writer *writer, int i, int k) {
    const CvmOnnxStatement *a = statement(writer, i), *b = statement(writer, k);
    if (a->kind != b->kind || a->layer_count != b->layer_count)
        return false;
    if (a->kind == CVM_ONNX_GO_ON)
        return same_reference(writer, i, a->value, k, b->value);
    if (a->kind == CVM_ONNX_LET) {
        int x = a->layer, y = b->layer;
        for (int n = 0; n < a->layer_count;
             n++, x = writer->statements.next[x], y = writer->statements.next[y])
            if (!same_arguments(writer, x, y))
                return false;
        return !strcmp(a->name, b->name);
    }
    if (!same_arguments(writer, a->layer, b->layer))
        return false;
    const CvmOnnxLayer *x = &writer->net->layers[a->layer], *y = &writer->net->layers[b->layer];
    for (int n = 0; x->takes_tensors && n < x->input_count; n++)
        if (!same_reference(writer, i, x->inputs[n], k, y->inputs[n]))
            return false;
    return true;
}

/* The first statement that a statement's names come from, itself when it reads none. */
static int first_reference(const Writer *writer, int i) {
    const CvmOnnxStatement *one = statement(writer, i);
    const int *binding = writer->statements.binding;
    if (one->kind == CVM_ONNX_LET)
        return i;
    if (one->kind == CVM_ONNX_GO_ON)
        return binding[one->value];
    const CvmOnnxLayer *layer = &writer->net->layers[one->layer];
    int first = i;
    for (int n = 0; layer->takes_tensors && n < layer->input_count; n++) {
        int at = binding[layer->inputs[n]];
        first = at >= 0 && at < first ? at : first;
    }
    return first;
}

/* Whether no name crosses the ends of the statements [first, last). */
static bool is_closed(const Writer *writer, int first, int last) {
    for (int i = first; i < last; i++)
        if (first_reference(writer, i) < first || writer->last_use[i] >= last)
            return false;
    return true;
}

/* The length of a run that stands at least twice from statement i on, and how often; 0: none. The
 * one that covers most is taken, the shortest of equal ones. */
static int find_run(const Writer *writer, int i, int last, int *times) {
    int best = 0;
    *times = 1;
    for (int length = 1; length <= LONGEST_RUN && i + 2 * length <= last; length++) {
        int matched = 0;
        while (i + length + matched < last &&
               same_statement(writer, i + matched, i + length + matched))
            matched++;
        int count = 1 + matched / length;
        if (count > 1 && count * length > best * *times && is_closed(writer, i, i + length)) {
            best = length;
            *times = count;
        }
    }
    return best;
}

static void write_range(Writer *writer, int first, int last);

/* What is named within a section or loop is not known after it. */
static void write_section(Writer *writer, const char *name, int first, int last) {
    int skips = writer->skips, branches = writer->branches, forks = writer->forks;
    int opened = open_section(writer, name);
    write_range(writer, first, last);
    close_section(writer, opened);
    writer->skips = skips;
    writer->branches = branches;
    writer->forks = forks;
}

static void write_range(Writer *writer, int first, int last) {
    int times;
    for (int i = first; i < last;) {
        int length = starts_line(writer, i) ? find_run(writer, i, last, &times) : 0;
        if (length)
            write_section(writer, cvm_arena_format(writer->arena, "repeat %d", times), i,
                          i + length);
        else
            write_statement(writer, i);
        i += length ? length * times : 1;
    }
}

/* --- the whole --- */

static void find_last_uses(Writer *writer) {
    for (int i = 0; i < writer->statements.count; i++) {
        const CvmOnnxStatement *one = statement(writer, i);
        const CvmOnnxLayer *layer =
            one->kind == CVM_ONNX_APPLY ? &writer->net->layers[one->layer] : NULL;
        for (int n = 0; layer && layer->takes_tensors && n < layer->input_count; n++)
            if (writer->statements.binding[layer->inputs[n]] >= 0)
                writer->last_use[writer->statements.binding[layer->inputs[n]]] = i;
        if (one->kind == CVM_ONNX_GO_ON)
            writer->last_use[writer->statements.binding[one->value]] = i;
    }
}

static int64_t class_count(const CvmOnnxNet *net) {
    return net->output ? net->layers[net->output - 1].output->type.shape.sizes[1] : 0;
}

/* The statement with the last weights of the pipeline, at which `head` begins; -1: none. */
static int find_head(const Writer *writer) {
    for (int i = writer->statements.count - 1; i >= 0; i--) {
        const CvmOnnxStatement *one = statement(writer, i);
        if (one->kind == CVM_ONNX_APPLY &&
            cvm_op_info(writer->net->layers[one->layer].op)->class == CVM_CLASS_CONTRACTION)
            return i;
    }
    return -1;
}

static bool has_weights(const Writer *writer, int first, int last) {
    for (int i = first; i < last; i++)
        if (statement(writer, i)->kind == CVM_ONNX_APPLY &&
            writer->net->layers[statement(writer, i)->layer].parameter_count)
            return true;
    return false;
}

static void write_layers(Writer *writer) {
    int head = find_head(writer), count = writer->statements.count;
    const CvmOnnxLayer *layer =
        head < 0 ? NULL : &writer->net->layers[statement(writer, head)->layer];
    if (layer && layer->arguments[0].integers[0] == class_count(writer->net))
        writer->classes_layer = statement(writer, head)->layer;
    int first = head >= 0 && has_weights(writer, 0, head) ? head : 0;
    bool closed = head >= 0 && is_closed(writer, first, count) && is_closed(writer, 0, first);
    if (!closed) {
        write_range(writer, 0, count);
        end_line(writer);
        return;
    }
    if (first > 0)
        write_section(writer, "body", 0, first);
    write_section(writer, "head", first, count);
}

/* In levels from 0 to 255, as the language has them; as few digits as give the same number again.
 */
static void write_levels(const double *levels, int count, FILE *stream) {
    for (int i = 0; i < count; i++) {
        char text[40];
        for (int digits = 1; digits <= 17; digits++) {
            snprintf(text, sizeof text, "%.*g", digits, levels[i] * 255);
            if (strtod(text, NULL) / 255 == levels[i])
                break;
        }
        fprintf(stream, "%s%s", i ? ", " : "", text);
    }
}

static void write_normalize(const CvmNormalization *normalization, FILE *stream) {
    bool unit = true;
    for (int i = 0; i < normalization->channels; i++)
        unit &= normalization->mean[i] == 0 && normalization->deviation[i] == 1;
    if (unit) {
        fputs("    normalize unit\n", stream);
        return;
    }
    fputs("    normalize mean(", stream);
    write_levels(normalization->mean, normalization->channels, stream);
    fputs(", deviation=[", stream);
    write_levels(normalization->deviation, normalization->channels, stream);
    fputs("])\n", stream);
}

/* What pictures must look like most files do not say. */
static void write_predict(const CvmOnnxNet *net, const CvmOnnxNames *names, FILE *stream) {
    long long height = net->picture.sizes[1], width = net->picture.sizes[2];
    bool stated = net->normalization.channels > 0;
    bool imagenet = net->picture.sizes[0] == 3 && class_count(net) == 1000 && height == width;
    if (stated)
        fputs("\n# How pictures are normalized the file tells; how they are scaled is a guess.\n",
              stream);
    else
        fputs("\n# How its pictures were prepared an ONNX file does not tell. This is a guess: "
              "change "
              "it to what the\n# net was trained with.\n",
              stream);
    fprintf(stream, "predict %s {\n", names->model);
    if (imagenet)
        fprintf(stream, "    resize %lld  crop %lld\n", height * 8 / 7, height);
    else
        fprintf(stream, "    resize [%lld, %lld]\n", height, width);
    if (imagenet && !stated)
        fputs("    normalize imagenet\n", stream);
    else
        write_normalize(&net->normalization, stream);
    fputs("}\n", stream);
}

static void list_order(const Writer *writer, int *order, int *written) {
    *written = 0;
    for (int i = 0; i < writer->statements.count; i++) {
        const CvmOnnxStatement *one = statement(writer, i);
        if (one->kind == CVM_ONNX_APPLY)
            order[(*written)++] = one->layer;
        for (int n = 0, layer = one->layer; one->kind == CVM_ONNX_LET && n < one->layer_count;
             n++, layer = writer->statements.next[layer])
            order[(*written)++] = layer;
    }
}

char *cvm_onnx_net_text(const CvmOnnxNet *net, const CvmOnnxNames *names, CvmArena *arena,
                        int *order, int *written) {
    char *text = NULL;
    size_t size = 0;
    Writer writer = {.net = net,
                     .arena = arena,
                     .statements = cvm_onnx_arrange(net, arena),
                     .names = cvm_arena_array(arena, (size_t)net->count + 1, sizeof(char *)),
                     .classes_layer = -1,
                     .line = "",
                     .depth = 1};
    writer.last_use = cvm_arena_array(arena, (size_t)writer.statements.count + 1, sizeof(int));
    find_last_uses(&writer);
    write_layers(&writer);
    list_order(&writer, order, written);
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    fprintf(stream,
            "# From %s, by cvmc import. Its parameters are in %s:\n#     cvmc run %s --weights %s "
            "picture.png\n",
            names->origin, names->weights, names->file, names->weights);
    if (net->softmax)
        fprintf(stream, "# The %s at its end is left out: a model's output are the logits.\n",
                net->softmax);
    fprintf(stream, "model %s", names->model);
    if (writer.classes_layer >= 0)
        fprintf(stream, "(classes: int = %lld)", (long long)class_count(net));
    fprintf(stream, " {\n    input image: [%lld, %lld, %lld]\n\n", (long long)net->picture.sizes[0],
            (long long)net->picture.sizes[1], (long long)net->picture.sizes[2]);
    for (int i = 0; i < writer.line_count; i++)
        fprintf(stream, "%s\n", writer.lines[i]);
    fputs("}\n", stream);
    write_predict(net, names, stream);
    fclose(stream);
    char *copy = cvm_arena_copy(arena, text, size);
    free(text);
    return copy;
}
