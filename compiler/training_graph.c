/* From a checked program to the graphs that are compiled: the joint graph of a training step, and
 * the forward graph that classifies. */
#include "compiler/training_graph.h"

#include "compiler/graph/autodiff.h"

#include <string.h>

/* What a training graph is built of; arrays have one place per learning parameter. */
typedef struct Training {
    const CvmTrain *train;
    CvmGraph *graph;
    CvmDiag *diag;
    CvmNode *rate, *loss;
    CvmNode *scale; /* of the gradients, when they are applied; NULL: 1 */
    double share;   /* of the batch whose mean the gradients are of */
    CvmNode **parameters;
    CvmNode **gradients;
    int count;
} Training;

static const char input_names[][8] = {"target", "rate"};

/* The step's own inputs share a space of names with the model's. */
static bool check_names(const Training *training) {
    for (size_t i = 0; i < sizeof input_names / sizeof *input_names; i++) {
        const CvmNode *taken = cvm_graph_find_source(training->graph, input_names[i]);
        if (taken)
            return cvm_diag_error(training->diag, 1340, taken->origin.span, taken->origin.uses,
                                  "give the model's input another name",
                                  "training needs the name '%s' for an input of its own",
                                  input_names[i]);
    }
    return true;
}

static CvmOrigin loss_origin(const Training *training) {
    return (CvmOrigin){.name = "loss", .span = training->train->span};
}

static CvmNode *add_scalar(Training *training, const char *name) {
    const CvmShape scalar = {0};
    return cvm_graph_input(training->graph, name, CVM_F32, scalar, loss_origin(training));
}

static CvmNode *add_node(Training *training, CvmOp op, CvmNode *a, CvmNode *b,
                         const CvmAttribute *attribute) {
    CvmNode *operands[] = {a, b};
    if (!a || (b == NULL && op == CVM_OP_ADD))
        return NULL;
    return cvm_graph_add(training->graph, op, operands, b ? 2 : 1, attribute, loss_origin(training),
                         training->diag);
}

static CvmNode *scale(Training *training, CvmNode *x, double factor) {
    return factor == 1 ? x
                       : add_node(training, CVM_OP_SCALE, x, NULL, &(CvmAttribute){.real = factor});
}

static bool add_loss(Training *training, int64_t batch) {
    CvmGraph *graph = training->graph;
    CvmOrigin origin = loss_origin(training);
    CvmShape labels = {.rank = 1, .sizes = {batch}};
    CvmNode *logits = cvm_graph_find_output(graph, "logits");
    CvmNode *target = cvm_graph_input(graph, input_names[0], CVM_I32, labels, origin);
    const CvmLoss loss = {training->train->loss, training->train->smoothing};
    training->loss = cvm_loss_build(graph, &loss, logits, target, origin, training->diag);
    if (!training->loss)
        return false;
    graph->output_count = 0; /* a step's only output is its loss */
    cvm_graph_output(graph, "loss", training->loss);
    return true;
}

static double multiplier_of(const Training *training, const CvmNode *parameter) {
    return cvm_train_multiplier(training->train, parameter->origin.name);
}

static bool learns(const Training *training, const CvmNode *node) {
    return node->op == CVM_OP_PARAMETER &&
           !strcmp(cvm_node_attribute(node, "kind")->text, "weight") &&
           multiplier_of(training, node) != 0;
}

static void find_learning(Training *training, CvmArena *arena) {
    const CvmGraph *graph = training->graph;
    size_t room = (size_t)graph->node_count + 1;
    training->parameters = cvm_arena_array(arena, room, sizeof *training->parameters);
    training->gradients = cvm_arena_array(arena, room, sizeof *training->gradients);
    for (int i = 0; i < graph->node_count; i++)
        if (learns(training, graph->nodes[i]))
            training->parameters[training->count++] = graph->nodes[i];
}

static bool add_updates(Training *training) {
    const CvmTrain *train = training->train;
    CvmGraph *graph = training->graph;
    CvmNode **gradients = training->gradients;
    bool done = train->clip > 0 ? cvm_clip_gradients(graph, gradients, training->count,
                                                     training->scale, train->clip, training->diag)
                                : cvm_scale_gradients(graph, gradients, training->count,
                                                      training->scale, training->diag);
    if (!done)
        return false;
    for (int i = 0; i < training->count; i++) {
        CvmNode *parameter = training->parameters[i];
        if (training->gradients[i] &&
            !cvm_add_update(training->graph, &train->optimizer, parameter, training->gradients[i],
                            training->rate, multiplier_of(training, parameter), training->diag))
            return false;
    }
    return true;
}

static CvmGraph *whole_step(const CvmTrain *train, int64_t batch, CvmArena *arena, CvmDiag *diag) {
    Training training = {.train = train,
                         .graph = cvm_model_build_training(train, batch, arena, diag),
                         .diag = diag,
                         .share = 1};
    if (!training.graph || !check_names(&training) || !add_loss(&training, batch))
        return NULL;
    training.rate = add_scalar(&training, input_names[1]);
    find_learning(&training, arena);
    if (!cvm_autodiff(training.graph, training.loss, training.parameters, training.count,
                      training.gradients, diag) ||
        !add_updates(&training))
        return NULL;
    return training.graph;
}

/* --- in two steps: gradients, and what the optimizer makes of them --- */

/* (1 - e) t + e / classes */
static CvmNode *smooth(Training *training, CvmNode *target) {
    double smoothing = training->train->smoothing;
    if (smoothing == 0)
        return target;
    double share = smoothing / (double)target->type.shape.sizes[1];
    CvmNode *evenly =
        cvm_graph_constant(training->graph, target->type.shape, share, loss_origin(training));
    return add_node(training, CVM_OP_ADD, scale(training, target, 1 - smoothing), evenly, NULL);
}

/* Cross-entropy with distributions t over the classes, which add up to 1, as targets: the mean over
 * the batch of -sum t log softmax(logits). Its gradient is (softmax(logits) - t) / n. */
static CvmNode *add_distribution_loss(Training *training, int64_t batch, CvmNode *logits) {
    CvmGraph *graph = training->graph;
    const CvmShape *shape = &logits->type.shape;
    CvmNode *given = cvm_graph_input(graph, input_names[0], CVM_F32, *shape, loss_origin(training));
    CvmNode *target = smooth(training, given);
    CvmNode *log = add_node(training, CVM_OP_LOG_SOFTMAX, logits, NULL, NULL);
    if (!target || !log)
        return NULL;
    CvmNode *by_class = add_node(training, CVM_OP_BIAS_GRAD,
                                 add_node(training, CVM_OP_MUL, target, log, NULL), NULL, NULL);
    CvmNode *mean = add_node(training, CVM_OP_MEAN, by_class, NULL, NULL);
    training->loss = scale(training, mean, -(double)shape->sizes[1] / (double)batch);
    CvmNode *probability = add_node(training, CVM_OP_SOFTMAX, logits, NULL, NULL);
    CvmNode *difference =
        add_node(training, CVM_OP_ADD, probability, scale(training, target, -1), NULL);
    return training->loss ? scale(training, difference, training->share / (double)batch) : NULL;
}

/* gradient.NAME += gradient */
static bool add_sums(Training *training) {
    CvmGraph *graph = training->graph;
    for (int i = 0; i < training->count; i++) {
        CvmOrigin origin = training->parameters[i]->origin;
        if (!training->gradients[i])
            continue;
        origin.name = cvm_arena_format(graph->arena, "gradient.%s", origin.name);
        CvmNode *so_far = cvm_graph_parameter(graph, "gradient",
                                              training->parameters[i]->type.shape, 0, 0, origin);
        CvmNode *operands[] = {so_far, training->gradients[i]};
        CvmNode *sum = cvm_graph_add(graph, CVM_OP_ADD, operands, 2, NULL, origin, training->diag);
        if (!sum)
            return false;
        cvm_graph_update(graph, origin.name, sum);
    }
    return true;
}

static bool differentiate(Training *training, int64_t batch, bool distributions) {
    CvmNode *logits = cvm_graph_find_output(training->graph, "logits");
    if (!distributions) {
        CvmNode *part =
            add_loss(training, batch) ? scale(training, training->loss, training->share) : NULL;
        return part && cvm_autodiff(training->graph, part, training->parameters, training->count,
                                    training->gradients, training->diag);
    }
    CvmNode *cotangent = add_distribution_loss(training, batch, logits);
    training->graph->output_count = 0;
    cvm_graph_output(training->graph, "loss", training->loss);
    return cotangent && cvm_autodiff_from(training->graph, logits, cotangent, training->parameters,
                                          training->count, training->gradients, training->diag);
}

CvmGraph *cvm_gradient_graph(const CvmTrain *train, int64_t batch, bool distributions,
                             CvmArena *arena, CvmDiag *diag) {
    Training training = {.train = train,
                         .graph = cvm_model_build_training(train, batch, arena, diag),
                         .diag = diag,
                         .share = 1};
    if (train->accumulate > 1)
        training.share = (double)batch / train->batch;
    if (!training.graph || !check_names(&training))
        return NULL;
    find_learning(&training, arena);
    return differentiate(&training, batch, distributions) && add_sums(&training) ? training.graph
                                                                                 : NULL;
}

CvmGraph *cvm_training_graph(const CvmTrain *train, int64_t batch, CvmArena *arena, CvmDiag *diag) {
    return train->accumulate > 1 ? cvm_gradient_graph(train, batch, false, arena, diag)
                                 : whole_step(train, batch, arena, diag);
}

static CvmNode *copy_parameter(CvmGraph *graph, const CvmNode *parameter) {
    return cvm_graph_parameter(graph, "weight", parameter->type.shape,
                               cvm_node_attribute(parameter, "bound")->real,
                               cvm_node_attribute(parameter, "fill")->real, parameter->origin);
}

CvmGraph *cvm_apply_graph(const CvmTrain *train, CvmArena *arena, CvmDiag *diag) {
    Training learning = {
        .train = train, .graph = cvm_model_build_training(train, 1, arena, diag), .diag = diag};
    if (!learning.graph)
        return NULL;
    find_learning(&learning, arena);
    Training training = learning;
    training.graph = cvm_graph_create(arena, learning.graph->name);
    training.rate = add_scalar(&training, input_names[1]);
    training.scale = add_scalar(&training, "scale");
    for (int i = 0; i < learning.count; i++) {
        CvmOrigin origin = learning.parameters[i]->origin;
        origin.name = cvm_arena_format(arena, "gradient.%s", origin.name);
        training.parameters[i] = copy_parameter(training.graph, learning.parameters[i]);
        training.gradients[i] = cvm_graph_parameter(
            training.graph, "gradient", training.parameters[i]->type.shape, 0, 0, origin);
    }
    return add_updates(&training) ? training.graph : NULL;
}

/* The numbers that a model's closing softmax makes probabilities of, as a vector; NULL where it
 * ends otherwise. A softmax of a picture of one pixel may be flattened behind it. */
static CvmNode *numbers_before_softmax(CvmGraph *graph, CvmNode *last, CvmDiag *diag) {
    bool flattened = last->op == CVM_OP_FLATTEN;
    const CvmNode *softmax = flattened ? last->inputs[0] : last;
    if (softmax->op != CVM_OP_SOFTMAX || last->type.shape.rank != 2 ||
        softmax->type.shape.sizes[1] != last->type.shape.sizes[1])
        return NULL;
    CvmNode *before = softmax->inputs[0];
    return flattened ? cvm_graph_add(graph, CVM_OP_FLATTEN, &before, 1, NULL,
                                     (CvmOrigin){.name = "logits"}, diag)
                     : before;
}

CvmGraph *cvm_inference_graph(const CvmModelUse *model, int64_t batch, bool with_softmax,
                              CvmArena *arena, CvmDiag *diag) {
    CvmGraph *graph = cvm_model_build(model, batch, arena, diag);
    if (!graph || !with_softmax)
        return graph;
    CvmNode *last = cvm_graph_find_output(graph, "logits"), *probabilities = last;
    CvmNode *logits = numbers_before_softmax(graph, last, diag);
    if (!logits) {
        logits = last;
        probabilities = cvm_graph_add(graph, CVM_OP_SOFTMAX, &logits, 1, NULL,
                                      (CvmOrigin){.name = "probabilities"}, diag);
    }
    if (!probabilities)
        return NULL;
    graph->output_count = 0;
    cvm_graph_output(graph, "logits", logits);
    cvm_graph_output(graph, "probabilities", probabilities);
    return graph;
}
