/* See golden.h: from a file of reference values to graphs. A file is an operator, a loss or a
 * model, as its metadata says by the keys op, loss and layers. */
#include "tests/support/golden.h"

#include "compiler/graph/autodiff.h"
#include "compiler/graph/op.h"
#include "compiler/graph/optimizer.h"
#include "tests/support/golden_layers.h"
#include "tests/support/golden_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_RUNS = 3 };
static const double single_op_tolerance = 1e-4, model_tolerance = 1e-3;

typedef struct Builder {
    CvmArena *arena;
    CvmDiag diag;
    CvmGoldenInput input;
    const char *missing;
    CvmGoldenRun *runs;
    int run_count;

    /* of the run being built */
    CvmGraph *graph;
    CvmNode **sources; /* the node of each run source */
    bool training;     /* batch norm takes the batch's statistics */
    CvmGoldenTensor *bound, *expected;
    int bound_count, expected_count;
} Builder;

/* --- runs --- */

static void begin_run(Builder *builder) {
    size_t most = (size_t)builder->input.tensor_count + 2;
    builder->graph = cvm_graph_create(builder->arena, builder->input.name);
    builder->sources = cvm_arena_array(builder->arena, most, sizeof *builder->sources);
    builder->bound = cvm_arena_array(builder->arena, most, sizeof *builder->bound);
    builder->expected = cvm_arena_array(builder->arena, most, sizeof *builder->expected);
    builder->bound_count = builder->expected_count = 0;
}

static CvmGoldenRun *end_run(Builder *builder, const char *what, double tolerance) {
    CvmGoldenRun *run = &builder->runs[builder->run_count++];
    *run = (CvmGoldenRun){
        .name = cvm_arena_format(builder->arena, "%s: %s", builder->input.name, what),
        .graph = builder->graph,
        .sources = builder->bound,
        .source_count = builder->bound_count,
        .expected = builder->expected,
        .expected_count = builder->expected_count,
        .steps = 1,
        .tolerance = tolerance,
    };
    return run;
}

static void fail_with_diag(Builder *builder) {
    cvm_diag_print(&builder->diag, stderr);
    fail_msg("%s: its graph cannot be built", builder->input.name);
}

static const CvmGoldenTensor *need_tensor(const Builder *builder, const char *name) {
    const CvmGoldenTensor *tensor = cvm_golden_tensor(&builder->input, name);
    if (!tensor)
        fail_msg("%s: it holds no tensor '%s'", builder->input.name, name);
    return tensor;
}

/* A source called `name`, filled from the tensor. */
static CvmNode *bind(Builder *builder, const char *name, const CvmGoldenTensor *tensor,
                     bool parameter) {
    CvmGoldenTensor *bound = &builder->bound[builder->bound_count];
    CvmOrigin origin = {.name = cvm_arena_format(builder->arena, "%s", name)};
    *bound = *tensor;
    bound->name = origin.name;
    CvmNode *node =
        parameter
            ? cvm_graph_parameter(builder->graph, "weight", tensor->shape, 0, 0, origin)
            : cvm_graph_input(builder->graph, origin.name, tensor->dtype, tensor->shape, origin);
    return builder->sources[builder->bound_count++] = node;
}

static CvmNode *add(Builder *builder, CvmOp op, CvmNode **inputs, int count,
                    const CvmAttribute *attributes, const char *name) {
    CvmNode *node = cvm_graph_add(builder->graph, op, inputs, count, attributes,
                                  (CvmOrigin){.name = name}, &builder->diag);
    if (!node)
        fail_with_diag(builder);
    return node;
}

/* The value becomes an output that must agree with the file's tensor. */
static void expect(Builder *builder, const char *name, CvmNode *value,
                   const CvmGoldenTensor *tensor) {
    int64_t count;
    if (!cvm_shape_count(&value->type.shape, &count) || count != tensor->count) {
        char ours[96], theirs[96];
        fail_msg("%s: %s has the shape %s here and %s in the file", builder->input.name, name,
                 cvm_shape_text(&value->type.shape, ours, sizeof ours),
                 cvm_shape_text(&tensor->shape, theirs, sizeof theirs));
    }
    CvmGoldenTensor *expected = &builder->expected[builder->expected_count++];
    *expected = *tensor;
    expected->name = cvm_arena_format(builder->arena, "%s", name);
    cvm_graph_output(builder->graph, expected->name, value);
}

/* For every tensor grad.NAME, the gradient of the bound source NAME; `cotangent` NULL for a loss.
 */
static void expect_gradients(Builder *builder, CvmNode *value, CvmNode *cotangent) {
    size_t most = (size_t)builder->bound_count;
    CvmNode **wanted = cvm_arena_array(builder->arena, most, sizeof *wanted);
    CvmNode **gradients = cvm_arena_array(builder->arena, most, sizeof *gradients);
    const CvmGoldenTensor **tensors = cvm_arena_array(builder->arena, most, sizeof *tensors);
    int count = 0;
    for (int i = 0; i < builder->bound_count; i++) {
        const char *name = cvm_arena_format(builder->arena, "grad.%s", builder->bound[i].name);
        const CvmGoldenTensor *tensor = cvm_golden_tensor(&builder->input, name);
        if (tensor) {
            tensors[count] = tensor;
            wanted[count++] = builder->sources[i];
        }
    }
    bool done = cotangent
                    ? cvm_autodiff_from(builder->graph, value, cotangent, wanted, count, gradients,
                                        &builder->diag)
                    : cvm_autodiff(builder->graph, value, wanted, count, gradients, &builder->diag);
    if (!done)
        fail_with_diag(builder);
    for (int i = 0; i < count; i++) {
        if (!gradients[i])
            fail_msg("%s: nothing depends on %s", builder->input.name, tensors[i]->name + 5);
        expect(builder, tensors[i]->name, gradients[i], tensors[i]);
    }
}

/* A tensor of the file that no run has used would be a value nobody checks. */
static void refuse_unused(const Builder *builder, const char *const *also_used) {
    for (int i = 0; i < builder->input.tensor_count; i++) {
        const char *name = builder->input.tensors[i].name;
        bool used = false;
        for (int k = 0; also_used[k]; k++)
            used |= !strcmp(also_used[k], name);
        for (int k = 0; k < builder->bound_count; k++)
            used |= !strcmp(builder->bound[k].name, name) ||
                    (!strncmp(name, "param.", 6) && !strcmp(builder->bound[k].name, name + 6));
        for (int k = 0; k < builder->expected_count; k++)
            used |= !strcmp(builder->expected[k].name, name);
        if (!used)
            fail_msg("%s: nothing checks its tensor '%s'", builder->input.name, name);
    }
}

/* --- an operator: its row of the table says everything --- */

static bool set_attribute(const CvmAttributeInfo *row, const char *text, CvmAttribute *attribute) {
    if (row->kind == CVM_ATTRIBUTE_REAL) {
        char *end;
        attribute->real = strtod(text, &end);
        return end != text && !*end;
    }
    int64_t numbers[4];
    int count = cvm_golden_integers(text, numbers);
    int size = row->kind == CVM_ATTRIBUTE_INT ? 1 : row->kind == CVM_ATTRIBUTE_SIZE ? 2 : 4;
    bool repeats = count > 0 && size % count == 0;
    for (int i = 0; repeats && i < size; i++)
        attribute->integers[i] = numbers[i % count];
    return repeats;
}

/* A convolution's kernel is its weights' shape, so it only has to agree. */
static bool is_kernel_of_weight(const Builder *builder, const char *key, const char *text) {
    const CvmGoldenTensor *weight = cvm_golden_tensor(&builder->input, "weight");
    int64_t size[4];
    int count = cvm_golden_integers(text, size);
    return !strcmp(key, "kernel") && weight && weight->shape.rank == 4 && count >= 1 &&
           count <= 2 && weight->shape.sizes[2] == size[0] &&
           weight->shape.sizes[3] == size[count - 1];
}

/* The table's name of what the files name as torch does. */
static const char *attribute_name(const char *key) {
    static const char *const names[][2] = {{"out", "size"}, {"eps", "epsilon"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i][0], key))
            return names[i][1];
    return key;
}

/* The file's metadata as attributes; what the table has no attribute for is missing from it. */
static void read_attributes(Builder *builder, const CvmOpInfo *info, CvmAttribute *attributes) {
    for (int i = 0; info->attributes[i].kind != CVM_ATTRIBUTE_END; i++)
        for (int k = 0; k < 4; k++) {
            if (info->attributes[i].kind == CVM_ATTRIBUTE_REAL)
                attributes[i].real = info->attributes[i].otherwise;
            else
                attributes[i].integers[k] = (int64_t)info->attributes[i].otherwise;
        }
    for (int m = 0; m < builder->input.metadata_count; m++) {
        const CvmFileText *text = &builder->input.metadata[m];
        const CvmAttributeInfo *row = info->attributes;
        const char *name = attribute_name(text->key);
        while (row->kind != CVM_ATTRIBUTE_END && strcmp(row->name, name))
            row++;
        bool known = row->kind == CVM_ATTRIBUTE_END
                         ? !strcmp(text->key, "op") || !strcmp(text->key, "note") ||
                               (!strcmp(text->key, "mode") && !strcmp(text->value, "train")) ||
                               is_kernel_of_weight(builder, text->key, text->value)
                         : set_attribute(row, text->value, &attributes[row - info->attributes]);
        if (!known)
            builder->missing = cvm_arena_format(builder->arena, "%s with %s=%s", info->name,
                                                text->key, text->value);
    }
}

/* Torch's names of the operands, where they are not the table's. */
static const char *operand_name(const char *name) {
    static const char *const names[][2] = {{"scale", "weight"}, {"shift", "bias"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(names[i][0], name))
            return names[i][1];
    return name;
}

/* A statistic of the batch x, computed in the graph as training does it; NULL: it is no such. */
static CvmNode *add_statistic(Builder *builder, const char *name, CvmNode **before, int count) {
    CvmNode *operands[] = {before[0], count ? before[count - 1] : NULL};
    if (!strcmp(name, "mean"))
        return add(builder, CVM_OP_BATCH_MEAN, operands, 1, NULL, name);
    if (!strcmp(name, "variance"))
        return add(builder, CVM_OP_BATCH_VARIANCE, operands, 2, NULL, name);
    return NULL;
}

/* A source for each operand that the table names. */
static int bind_operands(Builder *builder, const CvmOpInfo *info, CvmNode **operands) {
    int count = 0;
    char *rest = NULL, *names = cvm_arena_format(builder->arena, "%s", info->operands);
    for (char *name = strtok_r(names, " ", &rest); name; name = strtok_r(NULL, " ", &rest)) {
        CvmNode *statistic = add_statistic(builder, name, operands, count);
        if (statistic) {
            operands[count++] = statistic;
            continue;
        }
        const CvmGoldenTensor *tensor = need_tensor(builder, operand_name(name));
        bool parameter = count > 0 && tensor->dtype == CVM_F32;
        operands[count++] = bind(builder, operand_name(name), tensor, parameter);
    }
    return count;
}

static void build_op(Builder *builder) {
    const char *name = cvm_golden_text(&builder->input, "op");
    CvmOp op = cvm_op_find(name);
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    CvmNode *operands[8];
    if (op == CVM_OP_COUNT)
        builder->missing = name;
    else
        read_attributes(builder, cvm_op_info(op), attributes);
    if (builder->missing)
        return;
    begin_run(builder);
    int count = bind_operands(builder, cvm_op_info(op), operands);
    CvmNode *value = add(builder, op, operands, count, attributes, name);
    const CvmGoldenTensor *bias = cvm_golden_tensor(&builder->input, "bias");
    if (bias && !strstr(cvm_op_info(op)->operands, "bias") && op != CVM_OP_BATCHNORM) {
        CvmNode *both[] = {value, bind(builder, "bias", bias, true)};
        value = add(builder, CVM_OP_BIAS, both, 2, NULL, name);
    }
    CvmNode *cotangent = bind(builder, "cotangent", need_tensor(builder, "cotangent"), false);
    expect(builder, "out", value, need_tensor(builder, "out"));
    expect_gradients(builder, value, cotangent);
    refuse_unused(builder, (const char *const[]){NULL});
    end_run(builder, "forward and gradients", single_op_tolerance);
}

/* --- a loss --- */

static bool is_known_loss(const char *name) {
    int count;
    const char *const *names = cvm_loss_names(&count);
    for (int i = 0; i < count; i++)
        if (!strcmp(names[i], name))
            return true;
    return false;
}

static CvmNode *add_loss(Builder *builder, const CvmLoss *chosen, CvmNode *logits,
                         CvmNode *target) {
    CvmNode *loss = cvm_loss_build(builder->graph, chosen, logits, target,
                                   (CvmOrigin){.name = "loss"}, &builder->diag);
    if (!loss)
        fail_with_diag(builder);
    return loss;
}

static void build_loss(Builder *builder) {
    const char *name = cvm_golden_text(&builder->input, "loss");
    if (!is_known_loss(name))
        builder->missing = name;
    for (int i = 0; i < builder->input.metadata_count && !builder->missing; i++) {
        const CvmFileText *text = &builder->input.metadata[i];
        bool known = !strcmp(text->key, "loss") || !strcmp(text->key, "smoothing") ||
                     !strcmp(text->key, "note") ||
                     (!strcmp(text->key, "reduction") && !strcmp(text->value, "mean"));
        if (!known)
            builder->missing =
                cvm_arena_format(builder->arena, "%s with %s=%s", name, text->key, text->value);
    }
    if (builder->missing)
        return;
    begin_run(builder);
    CvmNode *x = bind(builder, "x", need_tensor(builder, "x"), false);
    CvmNode *target = bind(builder, "target", need_tensor(builder, "target"), false);
    CvmLoss chosen = {.name = name};
    if (cvm_golden_text(&builder->input, "smoothing"))
        chosen.smoothing = cvm_golden_number(&builder->input, "smoothing");
    CvmNode *loss = add_loss(builder, &chosen, x, target);
    expect(builder, "loss", loss, need_tensor(builder, "loss"));
    expect_gradients(builder, loss, NULL);
    refuse_unused(builder, (const char *const[]){NULL});
    end_run(builder, "loss and gradient", single_op_tolerance);
}

/* --- a model --- */

typedef struct Model {
    CvmGoldenLayer layers[CVM_GOLDEN_MAX_LAYERS];
    int layer_count;
    const char **places; /* "0.3" of every layer with weights, in order */
    int place_count;
} Model;

/* Sections and layers by their numbers: 0.9 before 0.11. */
static int by_place(const void *a, const void *b) {
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    while (*left && *right) {
        char *left_end, *right_end;
        long x = strtol(left, &left_end, 10), y = strtol(right, &right_end, 10);
        if (x != y || left_end == left || right_end == right)
            return x < y ? -1 : x > y;
        left = left_end + (*left_end == '.');
        right = right_end + (*right_end == '.');
    }
    return *left ? 1 : *right ? -1 : 0;
}

/* Torch names layers by position, those without weights too, so the k-th layer with weights takes
 * the k-th place among the file's parameters. */
static void find_places(const Builder *builder, Model *model) {
    size_t most = (size_t)builder->input.tensor_count + 1;
    model->places = cvm_arena_array(builder->arena, most, sizeof *model->places);
    for (int i = 0; i < builder->input.tensor_count; i++) {
        const char *name = builder->input.tensors[i].name, *end = strrchr(name, '.');
        if (!strncmp(name, "param.", 6) && end > name + 6 && !strcmp(end, ".weight"))
            model->places[model->place_count++] =
                cvm_arena_copy(builder->arena, name + 6, (size_t)(end - name - 6));
    }
    qsort(model->places, (size_t)model->place_count, sizeof *model->places, by_place);
}

static CvmNode *bind_parameter(Builder *builder, const char *place, const char *what) {
    const char *name = cvm_arena_format(builder->arena, "%s.%s", place, what);
    const char *tensor = cvm_arena_format(builder->arena, "param.%s", name);
    return bind(builder, name, need_tensor(builder, tensor), true);
}

static CvmNode *bind_statistic(Builder *builder, const char *place, const char *what) {
    CvmNode *node = bind_parameter(builder, place, what);
    node->attributes[0].text = "statistic";
    return node;
}

static void fill_attributes(const CvmGoldenLayer *layer, CvmAttribute *attributes) {
    CvmAttribute stride = {.integers = {layer->stride, layer->stride}};
    CvmAttribute pad = {.integers = {layer->pad, layer->pad, layer->pad, layer->pad}};
    if (layer->op == CVM_OP_CONV) {
        attributes[0] = stride;
        attributes[1] = pad;
        attributes[2] = (CvmAttribute){.integers = {layer->dilation, layer->dilation}};
        attributes[3] = (CvmAttribute){.integers = {layer->groups}};
    } else {
        attributes[0] = (CvmAttribute){.integers = {layer->kernel[0], layer->kernel[1]}};
        attributes[1] = stride;
        attributes[2] = pad;
        attributes[4] = (CvmAttribute){.integers = {1}}; /* avgpool: padding counts */
    }
}

/* A contraction with the weights of its place; their shapes must be what the text says. */
static CvmNode *add_contraction(Builder *builder, const CvmGoldenLayer *layer, CvmNode *x,
                                const char *place, const CvmAttribute *attributes) {
    CvmNode *both[] = {x, bind_parameter(builder, place, "weight")};
    const CvmShape *weight = &both[1]->type.shape;
    if (weight->sizes[0] != layer->channels ||
        (layer->op == CVM_OP_CONV &&
         (weight->sizes[2] != layer->kernel[0] || weight->sizes[3] != layer->kernel[1])))
        fail_msg("%s: the weights %s are not those of a %s in 'layers'", builder->input.name, place,
                 layer->name);
    CvmNode *y = add(builder, layer->op, both, 2, attributes, place);
    CvmNode *with_bias[] = {y, bind_parameter(builder, place, "bias")};
    return add(builder, CVM_OP_BIAS, with_bias, 2, NULL, place);
}

/* The running statistic follows the batch's by torch's rule, with its default momentum 0.1. */
static void follow(Builder *builder, CvmNode *running, CvmNode *value, double factor) {
    CvmAttribute kept = {.real = 0.9}, taken = {.real = 0.1 * factor};
    CvmNode *parts[] = {add(builder, CVM_OP_SCALE, &running, 1, &kept, "running"),
                        add(builder, CVM_OP_SCALE, &value, 1, &taken, "running")};
    cvm_graph_update(builder->graph, running->origin.name,
                     add(builder, CVM_OP_ADD, parts, 2, NULL, "running"));
}

static CvmNode *add_batchnorm(Builder *builder, CvmNode *x, const char *place) {
    CvmNode *operands[] = {x, bind_parameter(builder, place, "weight"),
                           bind_parameter(builder, place, "bias"),
                           bind_statistic(builder, place, "running_mean"),
                           bind_statistic(builder, place, "running_var")};
    CvmAttribute epsilon = {.real = 1e-5};
    if (builder->training) {
        const int64_t *sizes = x->type.shape.sizes;
        double count = (double)(sizes[0] * sizes[2] * sizes[3]);
        CvmNode *mean = add_statistic(builder, "mean", operands, 1);
        CvmNode *both[] = {x, mean};
        CvmNode *variance = add_statistic(builder, "variance", both, 2);
        follow(builder, operands[3], mean, 1);
        follow(builder, operands[4], variance, count / (count - 1));
        operands[3] = mean;
        operands[4] = variance;
    }
    return add(builder, CVM_OP_BATCHNORM, operands, 5, &epsilon, place);
}

static CvmNode *add_layer(Builder *builder, const CvmGoldenLayer *layer, CvmNode *x,
                          const Model *model, int *place) {
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES] = {{{0}}};
    bool has_weights =
        layer->op == CVM_OP_CONV || layer->op == CVM_OP_LINEAR || layer->op == CVM_OP_BATCHNORM;
    if (has_weights && *place == model->place_count)
        fail_msg("%s: it has fewer weights than layers", builder->input.name);
    switch (layer->op) {
    case CVM_OP_BATCHNORM:
        return add_batchnorm(builder, x, model->places[(*place)++]);
    case CVM_OP_CONV:
    case CVM_OP_LINEAR:
        fill_attributes(layer, attributes);
        return add_contraction(builder, layer, x, model->places[(*place)++], attributes);
    case CVM_OP_MAXPOOL:
    case CVM_OP_AVGPOOL:
        fill_attributes(layer, attributes);
        return add(builder, layer->op, &x, 1, attributes, layer->name);
    case CVM_OP_LRN: /* PyTorch's usual numbers */
        attributes[0] = (CvmAttribute){.integers = {layer->channels}};
        attributes[1] = (CvmAttribute){.real = 1e-4};
        attributes[2] = (CvmAttribute){.real = 0.75};
        attributes[3] = (CvmAttribute){.real = 2};
        return add(builder, layer->op, &x, 1, attributes, layer->name);
    case CVM_OP_RELU:
    case CVM_OP_TANH:
    case CVM_OP_SIGMOID:
    case CVM_OP_FLATTEN:
        return add(builder, layer->op, &x, 1, NULL, layer->name);
    default:
        fail_msg("%s: tests/support/golden.c does not build %s in models yet", builder->input.name,
                 layer->name);
        return NULL;
    }
}

/* A graph with the image, the parameters and the layers; returns the logits. */
static CvmNode *begin_model(Builder *builder, const Model *model, bool training) {
    int place = 0;
    begin_run(builder);
    builder->training = training;
    CvmNode *value = bind(builder, "x", need_tensor(builder, "x"), false);
    for (int i = 0; i < model->layer_count; i++)
        value = add_layer(builder, &model->layers[i], value, model, &place);
    if (place != model->place_count)
        fail_msg("%s: it has more weights than layers", builder->input.name);
    return value;
}

static CvmNode *add_target_and_loss(Builder *builder, CvmNode *logits) {
    CvmNode *target = bind(builder, "target", need_tensor(builder, "target"), false);
    return add_loss(builder, &(CvmLoss){"cross_entropy", 0}, logits, target);
}

static void build_steps(Builder *builder, const Model *model) {
    static const char *const keys[] = {"lr", "momentum", "weight_decay"};
    double numbers[3];
    for (int i = 0; i < 3; i++)
        numbers[i] = cvm_golden_number(&builder->input, keys[i]);
    CvmNode *loss = add_target_and_loss(builder, begin_model(builder, model, true));
    int learning = 0, count = builder->bound_count;
    CvmNode **parameters = cvm_arena_array(builder->arena, (size_t)count, sizeof(CvmNode *));
    CvmNode **gradients = cvm_arena_array(builder->arena, (size_t)count, sizeof(CvmNode *));
    for (int i = 0; i < count; i++)
        if (builder->sources[i]->op == CVM_OP_PARAMETER &&
            strcmp(cvm_node_attribute(builder->sources[i], "kind")->text, "statistic"))
            parameters[learning++] = builder->sources[i];
    float *rate = CVM_NEW(builder->arena, float);
    *rate = (float)numbers[0];
    CvmGoldenTensor scalar = {.dtype = CVM_F32, .count = 1, .elements = rate};
    CvmNode *rate_input = bind(builder, "rate", &scalar, false);
    const CvmOptimizer sgd = {.momentum = numbers[1], .decay = numbers[2]};
    bool done = cvm_autodiff(builder->graph, loss, parameters, learning, gradients, &builder->diag);
    for (int i = 0; done && i < learning; i++)
        done = cvm_add_update(builder->graph, &sgd, parameters[i], gradients[i], rate_input, 1,
                              &builder->diag);
    if (!done)
        fail_with_diag(builder);
    cvm_graph_output(builder->graph, "loss", loss);
    const CvmGoldenTensor *losses = need_tensor(builder, "sgd_losses");
    CvmGoldenRun *run = end_run(builder, "steps of SGD", model_tolerance);
    run->steps = (int)losses->count;
    run->losses = losses->elements;
}

static void find_missing_layers(Builder *builder, const Model *model) {
    for (int i = 0; i < model->layer_count && !builder->missing; i++)
        if (model->layers[i].op == CVM_OP_COUNT)
            builder->missing = model->layers[i].name;
    static const char *const known[] = {"layers", "lr", "momentum", "weight_decay", "note"};
    for (int i = 0; i < builder->input.metadata_count && !builder->missing; i++) {
        const CvmFileText *text = &builder->input.metadata[i];
        bool found = false;
        for (size_t k = 0; k < sizeof known / sizeof *known; k++)
            found |= !strcmp(known[k], text->key);
        if (!found)
            builder->missing =
                cvm_arena_format(builder->arena, "a model with %s=%s", text->key, text->value);
    }
}

static void build_model(Builder *builder) {
    Model *model = CVM_NEW(builder->arena, Model);
    model->layer_count = cvm_golden_layers(cvm_golden_text(&builder->input, "layers"),
                                           model->layers, builder->arena);
    find_missing_layers(builder, model);
    if (builder->missing)
        return;
    find_places(builder, model);
    CvmNode *logits = begin_model(builder, model, false);
    expect(builder, "logits_eval", logits, need_tensor(builder, "logits_eval"));
    end_run(builder, "evaluation", model_tolerance);

    logits = begin_model(builder, model, true);
    expect(builder, "logits_train", logits, need_tensor(builder, "logits_train"));
    expect_gradients(builder, add_target_and_loss(builder, logits), NULL);
    refuse_unused(builder, (const char *const[]){"logits_eval", "sgd_losses", NULL});
    end_run(builder, "gradients", model_tolerance);

    build_steps(builder, model);
}

/* --- the interface --- */

CvmGoldenValues cvm_golden_values(const char *path, CvmArena *arena) {
    Builder *builder = CVM_NEW(arena, Builder);
    builder->arena = arena;
    builder->input = cvm_golden_input(path, arena);
    builder->runs = cvm_arena_array(arena, MAX_RUNS, sizeof *builder->runs);
    cvm_diag_init(&builder->diag, arena);
    if (cvm_golden_text(&builder->input, "op"))
        build_op(builder);
    else if (cvm_golden_text(&builder->input, "loss"))
        build_loss(builder);
    else if (cvm_golden_text(&builder->input, "layers"))
        build_model(builder);
    else
        fail_msg("%s: its metadata names neither op, loss nor layers", path);
    return (CvmGoldenValues){
        .name = builder->input.name,
        .missing = builder->missing,
        .runs = builder->runs,
        .run_count = builder->run_count,
    };
}
