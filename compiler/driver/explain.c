/* cvmc explain: the layers of a model as a table. */
#include "compiler/driver/command.h"
#include "compiler/driver/fusion_remarks.h"
#include "compiler/driver/kernel_table.h"
#include "compiler/driver/layers.h"
#include "compiler/driver/learning.h"
#include "compiler/driver/picture_steps.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"
#include "compiler/driver/table.h"
#include "compiler/training_graph.h"

enum { LAYER, KIND, OUTPUT, PARAMETERS, FLOPS, BYTES, SEES, LEARNS, COLUMNS };

static const CvmColumn columns[COLUMNS] = {
    {"layer", false}, {"kind", false}, {"output", false}, {"parameters", true},
    {"FLOPs", true},  {"bytes", true}, {"sees", true},    {"learns", false},
};

static void add_row(const CvmSession *session, CvmTable *cells, const CvmLayerRow *row) {
    char text[128];
    cvm_table_add_row(cells);
    cvm_table_set(cells, LAYER, "%s", row->name);
    cvm_table_set(cells, KIND, "%s", row->op);
    cvm_table_set(cells, OUTPUT, "%s", cvm_shape_text(&row->output, text, sizeof text));
    if (row->parameters)
        cvm_table_set(cells, PARAMETERS, "%s", cvm_count_text(row->parameters, text));
    if (row->flops > 0)
        cvm_table_set(cells, FLOPS, "%s", cvm_amount_text(row->flops, text));
    if (row->bytes > 0)
        cvm_table_set(cells, BYTES, "%s", cvm_amount_text(row->bytes, text));
    if (row->field_is_whole)
        cvm_table_set(cells, SEES, "all");
    else
        cvm_table_set(cells, SEES, "%lldx%lld", (long long)row->field[0], (long long)row->field[1]);
    if (row->learner && session->train)
        cvm_table_set(cells, LEARNS, "%s",
                      cvm_learning_text(session->train, row->learner, session->arena));
}

static void print_table(CvmSession *session, const CvmLayerTable *table) {
    char text[128];
    CvmTable *cells = cvm_table_create(session->arena, columns, COLUMNS);
    for (int i = 0; i < table->count; i++)
        add_row(session, cells, &table->rows[i]);
    cvm_table_add_row(cells);
    cvm_table_set(cells, LAYER, "total");
    cvm_table_set(cells, PARAMETERS, "%s", cvm_count_text(table->parameters, text));
    cvm_table_set(cells, FLOPS, "%s", cvm_amount_text(table->flops, text));
    cvm_table_set(cells, BYTES, "%s", cvm_amount_text(table->bytes, text));
    cvm_table_print(cells);
}

static void print_text(CvmSession *session, const CvmLayerTable *table) {
    char shape[128], parameters[32], frozen[32];
    CvmShape input = cvm_model_input(session->model);
    printf("%s, pictures of %s, one at a time\n\n", cvm_model_name(session->model),
           cvm_shape_text(&input, shape, sizeof shape));
    print_table(session, table);
    printf("\n%s parameters", cvm_count_text(table->parameters, parameters));
    if (table->frozen_parameters)
        printf(", of which %s are frozen", cvm_count_text(table->frozen_parameters, frozen));
    putchar('\n');
}

static cJSON *row_json(const CvmSession *session, const CvmLayerRow *row) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", row->name);
    cJSON_AddStringToObject(object, "kind", row->op);
    cJSON *shape = cJSON_AddArrayToObject(object, "output");
    for (int i = 0; i < row->output.rank; i++)
        cJSON_AddItemToArray(shape, cJSON_CreateNumber((double)row->output.sizes[i]));
    cJSON_AddNumberToObject(object, "parameters", (double)row->parameters);
    cJSON_AddNumberToObject(object, "flops", row->flops);
    cJSON_AddNumberToObject(object, "bytes", row->bytes);
    if (row->field_is_whole) {
        cJSON_AddNullToObject(object, "receptive_field");
    } else {
        cJSON *field = cJSON_AddArrayToObject(object, "receptive_field");
        for (int axis = 0; axis < 2; axis++)
            cJSON_AddItemToArray(field, cJSON_CreateNumber((double)row->field[axis]));
    }
    if (row->parameters)
        cJSON_AddNumberToObject(object, "rate", row->rate);
    if (row->learner && session->train)
        cJSON_AddStringToObject(object, "learns",
                                cvm_learning_text(session->train, row->learner, session->arena));
    return object;
}

/* What a step of the train takes, or the inference of one picture where the file has none. */
typedef struct Step {
    int64_t pictures;
    CvmMemoryPlan memory;
} Step;

static bool measure_step(CvmSession *session, Step *step) {
    CvmGraph *graph = cvm_session_graph(session);
    if (!graph)
        return false;
    const char *image = cvm_model_input_name(session->model);
    step->pictures = cvm_graph_find_source(graph, image)->type.shape.sizes[0];
    return cvm_session_run_passes(session, graph, NULL) &&
           cvm_session_plan_memory(session, graph, &step->memory);
}

static void print_step(const CvmSession *session, const Step *step) {
    char arena[16], live[16];
    printf(
        "\n%s of %lld picture%s takes %sB beside parameters%s, of which at most %sB are in use at "
        "once\n",
        session->train ? "a training step" : "inference", (long long)step->pictures,
        step->pictures == 1 ? "" : "s", cvm_amount_text((double)step->memory.arena_bytes, arena),
        session->train ? " and optimizer state" : "",
        cvm_amount_text((double)step->memory.lower_bound, live));
}

static cJSON *step_json(const CvmSession *session, const Step *step) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddBoolToObject(object, "training", session->train != NULL);
    cJSON_AddNumberToObject(object, "pictures", (double)step->pictures);
    cJSON_AddNumberToObject(object, "arena_bytes", (double)step->memory.arena_bytes);
    cJSON_AddNumberToObject(object, "live_bytes", (double)step->memory.lower_bound);
    return object;
}

static void print_json(CvmSession *session, const CvmLayerTable *table, const Step *step,
                       const CvmPhaseLearning *phases, int phase_count) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "model", cvm_model_name(session->model));
    cJSON *layers = cJSON_AddArrayToObject(object, "layers");
    for (int i = 0; i < table->count; i++)
        cJSON_AddItemToArray(layers, row_json(session, &table->rows[i]));
    cJSON_AddNumberToObject(object, "parameters", (double)table->parameters);
    cJSON_AddNumberToObject(object, "frozen_parameters", (double)table->frozen_parameters);
    cJSON_AddNumberToObject(object, "flops", table->flops);
    cJSON_AddNumberToObject(object, "bytes", table->bytes);
    cJSON_AddItemToObject(object, "step", step_json(session, step));
    if (session->train)
        cJSON_AddItemToObject(object, "pictures", cvm_picture_steps_json(session->train));
    if (phases)
        cJSON_AddItemToObject(object, "phases", cvm_learning_json(phases, phase_count));
    cvm_report_json(object);
}

static bool explain(CvmSession *session) {
    if (session->options->fusion)
        return cvm_explain_fusion(session);
    if (session->options->kernels)
        return cvm_explain_kernels(session);
    if (!cvm_session_need_model(session))
        return false;
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    CvmLayerTable table = cvm_layer_table(graph, session->train, session->arena);
    CvmPhaseLearning *phases = NULL;
    int phase_count = 0;
    if (session->train && session->train->rule_count) {
        phases = cvm_learning_phases(session, &phase_count);
        if (!phases)
            return false;
    }
    Step step;
    if (!measure_step(session, &step))
        return false;
    if (session->options->json) {
        print_json(session, &table, &step, phases, phase_count);
        return true;
    }
    print_text(session, &table);
    print_step(session, &step);
    if (session->train)
        cvm_picture_steps_print(session->train);
    cvm_learning_print(phases, phase_count);
    return true;
}

int cvm_command_explain(const CvmOptions *options) {
    CvmOptionSet compiling = CVM_OPTION_FORWARD | CVM_OPTION_BATCH | CVM_OPTION_THREADS |
                             CVM_OPTION_PASSES | CVM_OPTION_PASS_LIMIT | CVM_OPTION_CONV |
                             CVM_OPTION_PRECISION | CVM_OPTION_BLAS;
    if (options->fusion && options->kernels) {
        cvm_report_error("choose --fusion or --kernels, not both");
        return CVM_EXIT_USAGE;
    }
    if (!options->fusion && !options->kernels && options->given & compiling) {
        cvm_report_error("--forward, --batch, --threads, --passes, --pass-limit, --conv, "
                         "--precision and --blas go with explain --fusion or --kernels");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (cvm_session_open(&session, options))
        explain(&session);
    return cvm_session_close(&session);
}
