/* See learning.h. What was left out is told by comparison: the step's graph as the rules make it,
 * and the same where everything learns. */
#include "compiler/driver/learning.h"

#include "compiler/driver/report.h"
#include "compiler/graph/op.h"
#include "compiler/training_graph.h"

#include <string.h>

/* --- in words --- */

static const char *multiplier_text(double multiplier, CvmArena *arena) {
    return multiplier == 0 ? "frozen" : cvm_arena_format(arena, "%gx", multiplier);
}

const char *cvm_learning_text(const CvmTrain *train, const char *parameter, CvmArena *arena) {
    CvmTrain then = *train;
    then.epoch = 0;
    double before = cvm_train_multiplier(&then, parameter);
    const char *text = before == 1 ? "" : multiplier_text(before, arena);
    for (;;) {
        then.epoch = cvm_train_phase_end(train, then.epoch);
        if (then.epoch >= train->epochs)
            return text;
        double now = cvm_train_multiplier(&then, parameter);
        if (now != before)
            text = cvm_arena_format(arena, "%s%s from epoch %d",
                                    *text ? cvm_arena_format(arena, "%s, then ", text) : "",
                                    multiplier_text(now, arena), then.epoch + 1);
        before = now;
    }
}

/* --- sizes --- */

static double bytes_of(const CvmNode *node) {
    int64_t count = 0;
    cvm_shape_count(&node->type.shape, &count);
    return (double)count * (double)cvm_dtype_bytes(node->type.dtype);
}

static bool is_kind(const CvmNode *node, const char *kind) {
    return node->op == CVM_OP_PARAMETER && !strcmp(cvm_node_attribute(node, "kind")->text, kind);
}

static bool learns(const CvmTrain *train, const CvmNode *node) {
    return is_kind(node, "weight") && cvm_train_multiplier(train, node->origin.name) != 0;
}

static double optimizer_bytes(const CvmGraph *graph) {
    double bytes = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (is_kind(graph->nodes[i], "optimizer"))
            bytes += bytes_of(graph->nodes[i]);
    return bytes;
}

/* The forward part is what stands up to the loss; a result counts once, however often it is read.
 */
/* What a gradient needs kept of the forward part is made there, though it is younger. */
static bool is_backward(const CvmNode *node, int loss) {
    return node->id > loss && node->op != CVM_OP_MAXPOOL_INDEX;
}

static void measure_backward(const CvmGraph *graph, CvmArena *arena, CvmStepSize *size) {
    int loss = cvm_graph_find_output(graph, "loss")->id;
    bool *counted = cvm_arena_array(arena, (size_t)graph->next_id, sizeof *counted);
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (!is_backward(node, loss) || cvm_op_info(node->op)->class == CVM_CLASS_SOURCE)
            continue;
        size->nodes++;
        for (int k = 0; k < node->input_count; k++) {
            const CvmNode *input = node->inputs[k];
            if (is_backward(input, loss) || counted[input->id] ||
                cvm_op_info(input->op)->class == CVM_CLASS_SOURCE)
                continue;
            counted[input->id] = true;
            size->activations += bytes_of(input);
        }
    }
}

static bool measure_step(CvmSession *session, const CvmTrain *train, CvmStepSize *size) {
    CvmMemoryPlan memory;
    *size = (CvmStepSize){0};
    CvmGraph *graph =
        cvm_training_graph(train, cvm_train_part(train), session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    for (int i = 0; i < graph->node_count; i++)
        if (learns(train, graph->nodes[i]))
            size->gradients += bytes_of(graph->nodes[i]);
    measure_backward(graph, session->arena, size);
    CvmGraph *learner =
        train->accumulate > 1 ? cvm_apply_graph(train, session->arena, &session->diag) : graph;
    if (!learner)
        return cvm_session_fail_compile(session);
    size->optimizer = optimizer_bytes(learner);
    if (!cvm_session_run_passes(session, graph, NULL) ||
        !cvm_session_plan_memory(session, graph, &memory))
        return false;
    size->arena = (double)memory.arena_bytes;
    return true;
}

static void count_parameters(const CvmTrain *train, const CvmGraph *graph,
                             CvmPhaseLearning *phase) {
    for (int i = 0; i < graph->node_count; i++) {
        int64_t count = 0;
        if (!is_kind(graph->nodes[i], "weight"))
            continue;
        cvm_shape_count(&graph->nodes[i]->type.shape, &count);
        if (learns(train, graph->nodes[i])) {
            phase->learning++;
            phase->learning_parameters += count;
        } else {
            phase->frozen++;
            phase->frozen_parameters += count;
        }
    }
}

static bool measure_phase(CvmSession *session, CvmPhaseLearning *phase) {
    CvmTrain train = *session->train, all = train;
    train.epoch = phase->first;
    all.rule_count = 0;
    CvmGraph *step =
        cvm_training_graph(&train, cvm_train_part(&train), session->arena, &session->diag);
    if (!step)
        return cvm_session_fail_compile(session);
    phase->augmented = cvm_train_augmentation(session->train) != NULL;
    phase->has_prefix = cvm_frozen_prefix_find(step, &phase->prefix);
    CvmGraph *graph = cvm_model_build(train.model, 1, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    count_parameters(&train, graph, phase);
    return measure_step(session, &train, &phase->step) &&
           measure_step(session, &all, &phase->whole);
}

CvmPhaseLearning *cvm_learning_phases(CvmSession *session, int *count) {
    const CvmTrain *train = session->train;
    CvmPhaseLearning *phases =
        cvm_arena_array(session->arena, (size_t)train->rule_count + 1, sizeof *phases);
    *count = 0;
    for (int epoch = 0; epoch < train->epochs; epoch = phases[(*count)++].end) {
        CvmPhaseLearning *phase = &phases[*count];
        *phase = (CvmPhaseLearning){.first = epoch, .end = cvm_train_phase_end(train, epoch)};
        if (!measure_phase(session, phase))
            return NULL;
    }
    return phases;
}

/* --- telling --- */

static void print_bytes(const char *what, double bytes, double whole) {
    char text[2][16];
    printf("    %-11s %sB of %sB\n", what, cvm_amount_text(bytes, text[0]),
           cvm_amount_text(whole, text[1]));
}

static void print_prefix(const CvmFrozenPrefix *prefix, bool augmented) {
    char numbers[32], flops[16];
    printf(
        "  up to %s the same in every epoch%s: computed once a picture (%sFLOP), %s numbers kept\n",
        prefix->last,
        augmented ? " for the pictures to test with, which 'augment' leaves alone" : "",
        cvm_amount_text(prefix->flops, flops), cvm_count_text(prefix->numbers, numbers));
}

static void print_epochs(const CvmPhaseLearning *phase) {
    if (phase->end == phase->first + 1)
        printf("epoch %d: ", phase->end);
    else
        printf("epochs %d to %d: ", phase->first + 1, phase->end);
}

void cvm_learning_print(const CvmPhaseLearning *phases, int count) {
    for (int i = 0; i < count; i++) {
        const CvmPhaseLearning *phase = &phases[i];
        const CvmStepSize *step = &phase->step, *whole = &phase->whole;
        char learning[32], frozen[32];
        putchar('\n');
        print_epochs(phase);
        printf("%d tensors learn (%s parameters), %d are frozen (%s)\n", phase->learning,
               cvm_count_text(phase->learning_parameters, learning), phase->frozen,
               cvm_count_text(phase->frozen_parameters, frozen));
        if (!phase->frozen)
            continue;
        if (phase->has_prefix)
            print_prefix(&phase->prefix, phase->augmented);
        puts("  compiled into a step, of what it would have if everything learned:");
        printf("    %-11s %d of %d nodes\n", "backward", step->nodes, whole->nodes);
        print_bytes("gradients", step->gradients, whole->gradients);
        if (whole->optimizer > 0)
            print_bytes("optimizer", step->optimizer, whole->optimizer);
        print_bytes("activations", step->activations, whole->activations);
        print_bytes("memory", step->arena, whole->arena);
    }
}

static void add_size(cJSON *object, const char *name, const CvmStepSize *size) {
    cJSON *step = cJSON_AddObjectToObject(object, name);
    cJSON_AddNumberToObject(step, "backward_nodes", size->nodes);
    cJSON_AddNumberToObject(step, "gradient_bytes", size->gradients);
    cJSON_AddNumberToObject(step, "optimizer_bytes", size->optimizer);
    cJSON_AddNumberToObject(step, "activation_bytes", size->activations);
    cJSON_AddNumberToObject(step, "memory_bytes", size->arena);
}

cJSON *cvm_learning_json(const CvmPhaseLearning *phases, int count) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        const CvmPhaseLearning *phase = &phases[i];
        cJSON *object = cJSON_CreateObject();
        cJSON_AddNumberToObject(object, "first_epoch", phase->first + 1);
        cJSON_AddNumberToObject(object, "last_epoch", phase->end);
        cJSON_AddNumberToObject(object, "learning_tensors", phase->learning);
        cJSON_AddNumberToObject(object, "learning_parameters", (double)phase->learning_parameters);
        cJSON_AddNumberToObject(object, "frozen_tensors", phase->frozen);
        cJSON_AddNumberToObject(object, "frozen_parameters", (double)phase->frozen_parameters);
        if (phase->has_prefix) {
            cJSON *prefix = cJSON_AddObjectToObject(object, "frozen_prefix");
            cJSON_AddStringToObject(prefix, "last", phase->prefix.last);
            cJSON_AddNumberToObject(prefix, "flops", phase->prefix.flops);
            cJSON_AddNumberToObject(prefix, "numbers", (double)phase->prefix.numbers);
            cJSON_AddBoolToObject(prefix, "test_pictures_alone", phase->augmented);
        }
        add_size(object, "step", &phase->step);
        add_size(object, "step_if_everything_learned", &phase->whole);
        cJSON_AddItemToArray(array, object);
    }
    return array;
}
