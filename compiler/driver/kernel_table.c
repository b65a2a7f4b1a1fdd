/* See kernel_table.h. Equal kernels that follow one another share a line. */
#include "compiler/driver/kernel_table.h"

#include "compiler/driver/report.h"
#include "compiler/driver/table.h"
#include "compiler/kernels/describe.h"
#include "compiler/pipeline.h"
#include "runtime/pool.h"

#include <string.h>

enum { LAYER, ALGORITHM, NUMBERS, CUT, TIME, BOUND, REASON, COLUMNS };

static const CvmColumn columns[COLUMNS] = {
    {"layer", false},   {"algorithm", false}, {"numbers", false}, {"in registers", false},
    {"expected", true}, {"bound by", false},  {"why", false},
};

typedef struct Entry {
    const CvmKernel *kernel;
    CvmKernelSummary summary;
    const char *reason; /* NULL: there was no choice */
} Entry;

/* Why a convolution's pictures are not in channel blocks, where others are. */
static const char *find_refusal(const CvmPassLog *log, const CvmKernel *kernel) {
    for (const CvmRemark *remark = log->first; remark; remark = remark->next)
        if (strcmp(remark->pass, "layout") == 0 && remark->refused &&
            strcmp(remark->action, "channel-blocked") == 0 && kernel->node_count > 0 &&
            remark->node == kernel->nodes[0])
            return remark->reason;
    return NULL;
}

/* What the pass that chooses algorithms said of the layer. */
static const CvmRemark *find_remark(const CvmPassLog *log, const CvmKernel *kernel) {
    bool convolves = kernel->form == CVM_KERNEL_WINOGRAD ||
                     kernel->form == CVM_KERNEL_WINOGRAD_ROWS ||
                     kernel->form == CVM_KERNEL_WINOGRAD_ROWS_GRAD ||
                     (kernel->form == CVM_KERNEL_REDUCE && kernel->window_count &&
                      kernel->combine == CVM_COMBINE_PRODUCTS);
    for (const CvmRemark *remark = convolves ? log->first : NULL; remark; remark = remark->next)
        if (strcmp(remark->pass, "winograd") == 0 && remark->reason && remark->node &&
            remark->node->origin.name && strcmp(remark->node->origin.name, kernel->layer) == 0)
            return remark;
    return NULL;
}

/* Where there was more than one way: what the model or measurements say of the way that was taken,
 * and measurements of how it is cut. */
static const char *find_reason(const CvmPassLog *log, const CvmKernel *kernel, CvmArena *arena) {
    const CvmRemark *remark = find_remark(log, kernel);
    const char *cut = kernel->measured;
    const char *refusal = find_refusal(log, kernel);
    if (refusal)
        return cvm_arena_format(arena, "plain pictures: %s", refusal);
    bool products = kernel->form == CVM_KERNEL_LINEAR || kernel->form == CVM_KERNEL_WINOGRAD ||
                    (kernel->form == CVM_KERNEL_REDUCE && kernel->combine == CVM_COMBINE_PRODUCTS);
    if (!remark)
        return cut ? cut : products ? "model: the least cost" : NULL;
    const char *way = remark->reason;
    if (strncmp(way, "measured: ", 10) != 0)
        way = cvm_arena_format(arena, "model: %s%s", remark->refused ? "no Winograd, " : "", way);
    return cut ? cvm_arena_format(arena, "%s; cut %s", way, cut) : way;
}

static const char *time_text(CvmArena *arena, double seconds) {
    return seconds < 1e-3 ? cvm_arena_format(arena, "%.0f us", seconds * 1e6)
                          : cvm_arena_format(arena, "%.2f ms", seconds * 1e3);
}

static void print_text(CvmSession *session, const Entry *entries, int count, int threads) {
    CvmArena *arena = session->arena;
    CvmTable *table = cvm_table_create(arena, columns, COLUMNS);
    double total = 0;
    for (int i = 0; i < count; i++) {
        const CvmKernelSummary *summary = &entries[i].summary;
        total += summary->seconds;
        cvm_table_add_row(table);
        cvm_table_set(table, LAYER, "%s", entries[i].kernel->layer);
        cvm_table_set(table, ALGORITHM, "%s", summary->algorithm);
        cvm_table_set(table, NUMBERS, "%s", summary->numbers);
        cvm_table_set(table, CUT, "%s", summary->cut);
        cvm_table_set(table, TIME, "%s", time_text(arena, summary->seconds));
        cvm_table_set(table, BOUND, "%s", summary->bound);
        if (entries[i].reason)
            cvm_table_set(table, REASON, "%s", entries[i].reason);
    }
    cvm_table_print(table);
    printf("\n%d kernels, expected to take %s with %d thread%s of a nominal machine; cvmc bench "
           "measures this one\n",
           count, time_text(arena, total), threads, threads == 1 ? "" : "s");
    if (session->compile.precision != CVM_PRECISION_F32)
        puts(
            "--precision is about linear layers: convolutions compute in float32, since their time "
            "is arithmetic and their weights lie in a cache");
}

static void print_json(const Entry *entries, int count) {
    cJSON *array = cJSON_CreateArray();
    for (int i = 0; i < count; i++) {
        const CvmKernelSummary *summary = &entries[i].summary;
        cJSON *object = cJSON_CreateObject();
        cJSON_AddItemToArray(array, object);
        cJSON_AddStringToObject(object, "layer", entries[i].kernel->layer);
        cJSON_AddStringToObject(object, "kernel", entries[i].kernel->symbol);
        cJSON_AddStringToObject(object, "algorithm", summary->algorithm);
        cJSON_AddStringToObject(object, "numbers", summary->numbers);
        cJSON_AddStringToObject(object, "cut", summary->cut);
        cJSON_AddNumberToObject(object, "items", (double)entries[i].kernel->extent);
        cJSON_AddNumberToObject(object, "flops", summary->flops);
        cJSON_AddNumberToObject(object, "bytes", entries[i].kernel->bytes);
        cJSON_AddNumberToObject(object, "expected_seconds", summary->seconds);
        cJSON_AddStringToObject(object, "bound", summary->bound);
        if (entries[i].reason)
            cJSON_AddStringToObject(object, "reason", entries[i].reason);
    }
    cvm_report_json(array);
}

bool cvm_explain_kernels(CvmSession *session) {
    session->compile.blas = session->options->blas;
    CvmGraph *graph = cvm_session_graph(session);
    CvmPassLog log = cvm_pass_log(session->arena);
    CvmKernelList kernels;
    CvmTargetShape shape;
    if (!graph || !cvm_session_run_passes(session, graph, &log))
        return false;
    if (!cvm_lower_for(&session->compile, graph, session->arena, &kernels, &shape, &session->diag))
        return cvm_session_fail_compile(session);
    int threads =
        session->options->threads ? (int)session->options->threads : cvm_pool_processors();
    Entry *entries = cvm_arena_array(session->arena, (size_t)kernels.count + 1, sizeof *entries);
    for (int i = 0; i < kernels.count; i++) {
        const CvmKernel *kernel = kernels.kernels[i];
        entries[i] = (Entry){kernel, cvm_kernel_describe(kernel, shape, threads, session->arena),
                             find_reason(&log, kernel, session->arena)};
    }
    if (session->options->json)
        print_json(entries, kernels.count);
    else
        print_text(session, entries, kernels.count, threads);
    return true;
}
