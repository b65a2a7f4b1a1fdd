/* cvmc explain: the layers of a model as a table. */
#include "compiler/driver/command.h"
#include "compiler/driver/layers.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"
#include "compiler/training_graph.h"

#include <string.h>

enum { COLUMNS = 8, CELL = 128 };

typedef struct Cells {
    char text[COLUMNS][CELL];
} Cells;

static const char *const headings[COLUMNS] = {"layer", "kind",  "output", "parameters",
                                              "FLOPs", "bytes", "sees",   "learns"};
static const bool right_aligned[COLUMNS] = {[3] = true, [4] = true, [5] = true, [6] = true};

static void fill_row(const CvmLayerRow *row, Cells *cells) {
    snprintf(cells->text[0], CELL, "%s", row->name);
    snprintf(cells->text[1], CELL, "%s", row->op);
    cvm_shape_text(&row->output, cells->text[2], CELL);
    if (row->parameters)
        cvm_count_text(row->parameters, cells->text[3]);
    if (row->flops > 0)
        cvm_amount_text(row->flops, cells->text[4]);
    if (row->bytes > 0)
        cvm_amount_text(row->bytes, cells->text[5]);
    if (row->field_is_whole)
        snprintf(cells->text[6], CELL, "all");
    else
        snprintf(cells->text[6], CELL, "%lldx%lld", (long long)row->field[0],
                 (long long)row->field[1]);
    if (row->parameters && row->rate == 0)
        snprintf(cells->text[7], CELL, "frozen");
    else if (row->parameters && row->rate != 1)
        snprintf(cells->text[7], CELL, "rate %gx", row->rate);
}

static void print_cells(const Cells *cells, const int widths[COLUMNS]) {
    char line[COLUMNS * (CELL + 2) + 1];
    size_t used = 0;
    for (int i = 0; i < COLUMNS; i++)
        if (widths[i])
            used += (size_t)snprintf(line + used, sizeof line - used, "%s%*s", used ? "  " : "",
                                     right_aligned[i] ? widths[i] : -widths[i], cells->text[i]);
    while (used && line[used - 1] == ' ')
        used--;
    printf("%.*s\n", (int)used, line);
}

static void print_table(CvmSession *session, const CvmLayerTable *table) {
    int count = table->count + 2; /* headings and totals */
    Cells *lines = cvm_arena_array(session->arena, (size_t)count, sizeof *lines);
    for (int i = 0; i < COLUMNS; i++)
        snprintf(lines[0].text[i], CELL, "%s", headings[i]);
    for (int i = 0; i < table->count; i++)
        fill_row(&table->rows[i], &lines[i + 1]);
    Cells *total = &lines[count - 1];
    snprintf(total->text[0], CELL, "total");
    cvm_count_text(table->parameters, total->text[3]);
    cvm_amount_text(table->flops, total->text[4]);
    cvm_amount_text(table->bytes, total->text[5]);

    int widths[COLUMNS] = {0};
    for (int column = 0; column < COLUMNS; column++) {
        bool used = false;
        for (int i = 0; i < count; i++) {
            int length = (int)strlen(lines[i].text[column]);
            widths[column] = length > widths[column] ? length : widths[column];
            used |= i > 0 && length > 0;
        }
        if (!used)
            widths[column] = 0;
    }
    for (int i = 0; i < count; i++)
        print_cells(&lines[i], widths);
}

static void print_text(CvmSession *session, const CvmLayerTable *table) {
    char shape[CELL], parameters[CELL], frozen[CELL];
    CvmShape input = cvm_model_input(session->model);
    printf("%s, pictures of %s, one at a time\n\n", cvm_model_name(session->model),
           cvm_shape_text(&input, shape, sizeof shape));
    print_table(session, table);
    printf("\n%s parameters", cvm_count_text(table->parameters, parameters));
    if (table->frozen_parameters)
        printf(", of which %s are frozen", cvm_count_text(table->frozen_parameters, frozen));
    putchar('\n');
}

static cJSON *row_json(const CvmLayerRow *row) {
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
    return object;
}

static void print_json(CvmSession *session, const CvmLayerTable *table) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "model", cvm_model_name(session->model));
    cJSON *layers = cJSON_AddArrayToObject(object, "layers");
    for (int i = 0; i < table->count; i++)
        cJSON_AddItemToArray(layers, row_json(&table->rows[i]));
    cJSON_AddNumberToObject(object, "parameters", (double)table->parameters);
    cJSON_AddNumberToObject(object, "frozen_parameters", (double)table->frozen_parameters);
    cJSON_AddNumberToObject(object, "flops", table->flops);
    cJSON_AddNumberToObject(object, "bytes", table->bytes);
    cvm_report_json(object);
}

static bool explain(CvmSession *session) {
    if (!cvm_session_need_model(session))
        return false;
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    CvmLayerTable table = cvm_layer_table(graph, session->train, session->arena);
    if (session->options->json)
        print_json(session, &table);
    else
        print_text(session, &table);
    return true;
}

int cvm_command_explain(const CvmOptions *options) {
    CvmSession session;
    if (cvm_session_open(&session, options))
        explain(&session);
    return cvm_session_close(&session);
}
