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

static bool add_loss(Training *training, int64_t batch) {
    CvmGraph *graph = training->graph;
    CvmOrigin origin = {.name = "loss", .span = training->train->span};
    CvmShape labels = {.rank = 1, .sizes = {batch}}, scalar = {0};
    CvmNode *logits = cvm_graph_find_output(graph, "logits");
    CvmNode *target = cvm_graph_input(graph, input_names[0], CVM_I32, labels, origin);
    training->rate = cvm_graph_input(graph, input_names[1], CVM_F32, scalar, origin);
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
    if (train->clip > 0 && !cvm_clip_gradients(training->graph, training->gradients,
                                               training->count, train->clip, training->diag))
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

CvmGraph *cvm_training_graph(const CvmTrain *train, int64_t batch, CvmArena *arena, CvmDiag *diag) {
    Training training = {
        .train = train, .graph = cvm_model_build_training(train, batch, arena, diag), .diag = diag};
    if (!training.graph || !check_names(&training) || !add_loss(&training, batch))
        return NULL;
    find_learning(&training, arena);
    if (!cvm_autodiff(training.graph, training.loss, training.parameters, training.count,
                      training.gradients, diag) ||
        !add_updates(&training))
        return NULL;
    return training.graph;
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
