/* cvmc passes: the passes one by one, and what each of those chosen did to a model's graph. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"

#include <string.h>

/* --- the table alone --- */

static cJSON *pass_json(const CvmPass *pass) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "name", pass->name);
    cJSON_AddBoolToObject(object, "default", pass->enabled);
    cJSON_AddStringToObject(object, "does", pass->doc);
    return object;
}

static int list_passes(bool json) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    cJSON *array = json ? cJSON_CreateArray() : NULL;
    for (int i = 0; i < count; i++)
        if (json)
            cJSON_AddItemToArray(array, pass_json(&passes[i]));
        else
            printf("%-15s %-4s %s\n", passes[i].name, passes[i].enabled ? "on" : "off",
                   passes[i].doc);
    if (json)
        cvm_report_json(array);
    return CVM_EXIT_DONE;
}

/* --- what they did to a graph --- */

static char *change_text(int64_t before, int64_t after, char text[48]) {
    if (before == after)
        snprintf(text, 48, "%lld", (long long)after);
    else
        snprintf(text, 48, "%lld -> %lld", (long long)before, (long long)after);
    return text;
}

/* Bytes with a sign: what is saved may be less than nothing, where a pass adds copies. */
static char *saved_text(int64_t bytes, char text[48]) {
    char amount[16];
    snprintf(text, 48, "%s%sB", bytes < 0 ? "-" : "",
             cvm_amount_text((double)(bytes < 0 ? -bytes : bytes), amount));
    return text;
}

static void print_report(const CvmPassReport *report) {
    char nodes[48], groups[48], kernels[48], saved[48];
    const CvmPass *pass = &cvm_passes(&(int){0})[cvm_pass_find(report->pass)];
    printf("%-15s %-7s %7d  %-12s %-10s %-12s %10s  %s\n", pass->name, pass->enabled ? "on" : "off",
           report->applications, change_text(report->before.nodes, report->after.nodes, nodes),
           change_text(report->before.groups, report->after.groups, groups),
           change_text(report->before.kernels, report->after.kernels, kernels),
           saved_text(report->before.stored_bytes - report->after.stored_bytes, saved), pass->doc);
}

static cJSON *size_json(const CvmGraphSize *size) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddNumberToObject(object, "nodes", size->nodes);
    cJSON_AddNumberToObject(object, "groups", size->groups);
    cJSON_AddNumberToObject(object, "kernels", size->kernels);
    cJSON_AddNumberToObject(object, "stored_bytes", (double)size->stored_bytes);
    return object;
}

static void print_json(const CvmPassLog *log, const CvmMemoryPlan *memory) {
    const CvmPass *passes = cvm_passes(&(int){0});
    cJSON *whole = cJSON_CreateObject();
    cJSON *array = cJSON_AddArrayToObject(whole, "passes");
    for (int i = 0; i < log->report_count; i++) {
        const CvmPassReport *report = &log->reports[i];
        cJSON *object = pass_json(&passes[cvm_pass_find(report->pass)]);
        cJSON_AddNumberToObject(object, "applications", report->applications);
        cJSON_AddItemToObject(object, "before", size_json(&report->before));
        cJSON_AddItemToObject(object, "after", size_json(&report->after));
        cJSON_AddItemToArray(array, object);
    }
    cJSON_AddNumberToObject(whole, "arena_bytes", (double)memory->arena_bytes);
    cJSON_AddNumberToObject(whole, "live_bytes", (double)memory->lower_bound);
    cJSON *alive = cJSON_AddArrayToObject(whole, "alive");
    for (int i = 0; i < memory->alive_count; i++) {
        cJSON *object = cJSON_CreateObject();
        cJSON_AddStringToObject(object, "value", cvm_node_label(memory->alive[i].node).text);
        cJSON_AddNumberToObject(object, "bytes", (double)memory->alive[i].bytes);
        cJSON_AddItemToArray(alive, object);
    }
    cvm_report_json(whole);
}

/* What is alive when most is, and what a limit would have to get rid of. */
static void print_alive(const CvmMemoryPlan *memory) {
    enum { SHOWN = 20 };
    char bytes[16];
    for (int i = 0; i < memory->alive_count && i < SHOWN; i++)
        printf("%11sB  %s\n", cvm_amount_text((double)memory->alive[i].bytes, bytes),
               cvm_node_label(memory->alive[i].node).text);
    if (memory->alive_count > SHOWN)
        printf("%12s  and %d smaller ones\n", "", memory->alive_count - SHOWN);
}

static void print_text(const CvmPassLog *log, const CvmGraphSize *before, const CvmGraphSize *after,
                       const CvmMemoryPlan *memory, bool verbose) {
    char stored[2][16], bytes[2][16];
    printf("%-15s %-7s %7s  %-12s %-10s %-12s %10s\n", "pass", "default", "applied", "nodes",
           "groups", "kernels", "saved");
    for (int i = 0; i < log->report_count; i++)
        print_report(&log->reports[i]);
    printf("\n%d kernels that write %sB of intermediate values became %d that write %sB\n",
           before->kernels, cvm_amount_text((double)before->stored_bytes, stored[0]),
           after->kernels, cvm_amount_text((double)after->stored_bytes, stored[1]));
    printf("in an arena of %sB, of which at most %sB are alive at once%s\n",
           cvm_amount_text((double)memory->arena_bytes, bytes[0]),
           cvm_amount_text((double)memory->lower_bound, bytes[1]), verbose ? ":" : "");
    if (verbose)
        print_alive(memory);
}

static bool show_passes(CvmSession *session) {
    CvmGraph *graph = cvm_session_graph(session);
    if (!graph)
        return false;
    CvmPassLog log = cvm_pass_log(session->arena);
    CvmGraphSize before = cvm_graph_size(graph);
    CvmMemoryPlan memory;
    if (!cvm_session_run_passes(session, graph, &log) ||
        !cvm_session_plan_memory(session, graph, &memory))
        return false;
    CvmGraphSize after = cvm_graph_size(graph);
    if (session->options->verbose)
        cvm_pass_log_print(&log, stderr);
    if (session->options->json)
        print_json(&log, &memory);
    else
        print_text(&log, &before, &after, &memory, session->options->verbose);
    return true;
}

int cvm_command_passes(const CvmOptions *options) {
    if (options->argument_count == 0)
        return list_passes(options->json);
    CvmSession session;
    if (cvm_session_open_graph(&session, options))
        show_passes(&session);
    return cvm_session_close(&session);
}
