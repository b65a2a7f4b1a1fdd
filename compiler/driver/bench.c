/* cvmc bench: how fast a model runs on this machine, kernel by kernel, and how near that is to what
 * the machine can do. Weights are as a training would start, pictures are noise: neither changes
 * the time. */
#include "compiler/driver/command.h"
#include "compiler/driver/counters.h"
#include "compiler/driver/inputs.h"
#include "compiler/driver/profile.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"
#include "compiler/driver/table.h"
#include "compiler/driver/trace.h"
#include "compiler/driver/tune.h"
#include "compiler/driver/waiting.h"
#include "compiler/roof.h"

#include <stdlib.h>

enum { SECONDS = 3 };

typedef struct Bench {
    CvmSession *session;
    const char *what; /* "inference", "training step" */
    int64_t batch;
    int threads;
    CvmRoof roof;
    CvmProfile profile;
    CvmCounters counters; /* of the counted runs */
    int counted_runs;
    CvmWaiting waiting; /* of a training step; else its `data` is NULL */
} Bench;

/* --- measuring --- */

CvmInstance *cvm_bench_instance(CvmSession *session, const char **what, int64_t *batch) {
    const CvmOptions *options = session->options;
    if (options->given & CVM_OPTION_TRAINING) {
        if (!cvm_session_need_train(session))
            return NULL;
        *what = session->train->accumulate > 1 ? "micro-batch" : "training step";
        *batch = options->batch ? options->batch : cvm_train_part(session->train);
        return cvm_session_training(session, *batch);
    }
    if (!cvm_session_need_model(session))
        return NULL;
    *what = "inference";
    *batch = options->batch ? options->batch : 1;
    return cvm_session_inference(session, *batch, false);
}

static bool measure_roof(Bench *bench, CvmPool *pool) {
    CvmSession *session = bench->session;
    CvmError error = {0};
    if (cvm_measure_roof(&session->compile, pool, &bench->roof, &session->diag, &error))
        return true;
    return error.kind == CVM_ERROR_NONE ? cvm_session_fail_compile(session)
                                        : cvm_session_fail(session, &error);
}

/* Runs of their own, as many as take a tenth of the time that was measured. */
static void count_runs(Bench *bench, CvmInstance *instance, CvmPool *pool) {
    bench->counted_runs = bench->profile.runs / 10 + 1;
    if (bench->counters.refusal)
        return;
    cvm_counters_start(&bench->counters);
    for (int i = 0; i < bench->counted_runs; i++)
        cvm_instance_run(instance, pool);
    cvm_counters_stop(&bench->counters);
}

static bool measure(Bench *bench) {
    CvmSession *session = bench->session;
    const CvmOptions *options = session->options;
    if (options->trace && !cvm_session_check_writable(session, "trace", options->trace))
        return false;
    bench->counters = cvm_counters_open(session->arena); /* before there are other threads */
    CvmInstance *instance = cvm_bench_instance(session, &bench->what, &bench->batch);
    CvmPool *pool = instance ? cvm_session_pool(session) : NULL;
    if (!pool || !measure_roof(bench, pool))
        return false;
    bench->threads = cvm_pool_threads(pool);
    cvm_fill_inputs(session, instance, 0);
    double seconds = options->seconds ? (double)options->seconds : SECONDS;
    bench->profile = cvm_profile(instance, pool, options->repeat, seconds, session->arena);
    count_runs(bench, instance, pool);
    cvm_counters_close(&bench->counters);
    CvmError error;
    if (options->trace && !cvm_trace_write(options->trace, cvm_instance_plan(instance),
                                           bench->profile.last, bench->threads, &error))
        return cvm_session_fail(session, &error);
    return !(options->given & CVM_OPTION_TRAINING) ||
           cvm_measure_waiting(session, instance, bench->batch, options->repeat, seconds,
                               &bench->waiting);
}

/* --- judging --- */

/* What a kernel's time is made of, at the best speed of as many threads as it used. */
typedef struct Verdict {
    double share; /* of the time that is explained by the roof */
    const char *bound;
} Verdict;

static Verdict judge(const Bench *bench, const CvmProfileRow *row) {
    const CvmPeak *peak = row->threads > 1 ? &bench->roof.all : &bench->roof.one;
    double compute = row->flops / peak->flops, memory = row->bytes / peak->bytes;
    double needed = compute > memory ? compute : memory;
    Verdict verdict = {row->median > 0 ? needed / row->median : 0, NULL};
    verdict.bound = verdict.share < 0.2 ? "overhead" : compute > memory ? "compute" : "memory";
    return verdict;
}

static double rate(double amount, double seconds) {
    return seconds > 0 ? amount / seconds : 0;
}

static double kernel_seconds(const CvmProfile *profile) {
    double sum = 0;
    for (int i = 0; i < profile->count; i++)
        sum += profile->rows[i].median;
    return sum;
}

static double total_flops(const CvmProfile *profile) {
    double sum = 0;
    for (int i = 0; i < profile->count; i++)
        sum += profile->rows[i].flops;
    return sum;
}

static double step_seconds(const CvmWaiting *waiting) {
    return rate(waiting->seconds, (double)waiting->steps);
}

/* --- for people --- */

enum { KERNEL, LAYER, CALLS, THREADS, MEDIAN, LEAST, SHARE, FLOPS, BYTES, OF_BEST, BOUND, COLUMNS };

static const CvmColumn columns[COLUMNS] = {
    {"kernel", false}, {"layer", false},  {"calls", true},     {"threads", true},
    {"median", true},  {"least", true},   {"of all", true},    {"GFLOP/s", true},
    {"GB/s", true},    {"of best", true}, {"bound by", false},
};

static const char *time_text(CvmArena *arena, double seconds) {
    if (seconds < 1e-3)
        return cvm_arena_format(arena, "%.1f us", seconds * 1e6);
    return cvm_arena_format(arena, seconds < 0.1 ? "%.2f ms" : "%.0f ms", seconds * 1e3);
}

static void add_row(const Bench *bench, const CvmProfileRow *row, CvmTable *table) {
    CvmArena *arena = bench->session->arena;
    Verdict verdict = judge(bench, row);
    cvm_table_add_row(table);
    cvm_table_set(table, KERNEL, "%s", row->kernel);
    cvm_table_set(table, LAYER, row->calls > 1 ? "%s ..." : "%s", row->layer);
    cvm_table_set(table, CALLS, "%d", row->calls);
    cvm_table_set(table, THREADS, "%d", row->threads);
    cvm_table_set(table, MEDIAN, "%s", time_text(arena, row->median));
    cvm_table_set(table, LEAST, "%s", time_text(arena, row->least));
    cvm_table_set(table, SHARE, "%.1f%%", 100 * rate(row->median, kernel_seconds(&bench->profile)));
    cvm_table_set(table, FLOPS, "%.1f", rate(row->flops, row->median) * 1e-9);
    cvm_table_set(table, BYTES, "%.1f", rate(row->bytes, row->median) * 1e-9);
    cvm_table_set(table, OF_BEST, "%.0f%%", 100 * verdict.share);
    cvm_table_set(table, BOUND, "%s", verdict.bound);
}

/* Of a counter, in one run; -1 where it is not known. */
static double counted(const Bench *bench, int counter) {
    double value = bench->counters.values[counter];
    return value < 0 ? -1 : value / bench->counted_runs;
}

static void print_counters(const Bench *bench) {
    if (bench->counters.refusal) {
        printf("hardware counters: %s\n", bench->counters.refusal);
        return;
    }
    printf("hardware counters, a run:");
    for (int i = 0, shown = 0; i < CVM_COUNTERS; i++) {
        char amount[16];
        if (counted(bench, i) >= 0)
            printf("%s %s %s", shown++ ? "," : "", cvm_amount_text(counted(bench, i), amount),
                   cvm_counter_name(i));
    }
    double cycles = counted(bench, 0), instructions = counted(bench, 1);
    if (cycles > 0 && instructions >= 0)
        printf("; %.2f instructions a cycle", instructions / cycles);
    puts("");
}

static void print_waiting(const Bench *bench) {
    const CvmWaiting *waiting = &bench->waiting;
    if (waiting->refusal)
        printf("on %s: not measured, since %s\n", waiting->data, waiting->refusal);
    else
        printf("on %s: %s a step (mean of %lld), of which %.1f%% waiting for pictures that %s\n",
               waiting->data, time_text(bench->session->arena, step_seconds(waiting)),
               (long long)waiting->steps, 100 * rate(waiting->waited, waiting->seconds),
               waiting->ahead ? "a thread of its own reads ahead"
                              : "all threads read between the steps");
}

static void print_text(const Bench *bench) {
    const CvmSession *session = bench->session;
    const CvmProfile *profile = &bench->profile;
    CvmArena *arena = session->arena;
    const CvmRoof *roof = &bench->roof;
    printf("%s, %s of %lld picture%s, %d thread%s\n", cvm_model_name(session->model), bench->what,
           (long long)bench->batch, bench->batch == 1 ? "" : "s", bench->threads,
           bench->threads == 1 ? "" : "s");
    printf("best of this machine: %.1f GFLOP/s and %.1f GB/s read with one thread",
           roof->one.flops * 1e-9, roof->one.bytes * 1e-9);
    if (bench->threads > 1)
        printf(", %.1f and %.1f with %d", roof->all.flops * 1e-9, roof->all.bytes * 1e-9,
               bench->threads);
    printf("\n\n");
    CvmTable *table = cvm_table_create(arena, columns, COLUMNS);
    for (int i = 0; i < profile->count; i++)
        add_row(bench, &profile->rows[i], table);
    cvm_table_print(table);
    printf("\n%s a run (least %s, %d runs), of which %s in kernels; %.1f GFLOP/s; %.0f images/s\n",
           time_text(arena, profile->median), time_text(arena, profile->least), profile->runs,
           time_text(arena, kernel_seconds(profile)),
           rate(total_flops(profile), profile->median) * 1e-9,
           rate((double)bench->batch, profile->median));
    print_counters(bench);
    if (bench->waiting.data)
        print_waiting(bench);
}

/* --- for programs --- */

static cJSON *row_json(const Bench *bench, const CvmProfileRow *row) {
    cJSON *object = cJSON_CreateObject();
    Verdict verdict = judge(bench, row);
    cJSON_AddStringToObject(object, "kernel", row->kernel);
    cJSON_AddStringToObject(object, "layer", row->layer);
    cJSON_AddNumberToObject(object, "calls", row->calls);
    cJSON_AddNumberToObject(object, "threads", row->threads);
    cJSON_AddNumberToObject(object, "median_seconds", row->median);
    cJSON_AddNumberToObject(object, "least_seconds", row->least);
    cJSON_AddNumberToObject(object, "flops", row->flops);
    cJSON_AddNumberToObject(object, "bytes", row->bytes);
    cJSON_AddNumberToObject(object, "share_of_best", verdict.share);
    cJSON_AddStringToObject(object, "bound", verdict.bound);
    return object;
}

static void add_peak(cJSON *object, const char *name, const CvmPeak *peak) {
    cJSON *member = cJSON_AddObjectToObject(object, name);
    cJSON_AddNumberToObject(member, "flops_per_second", peak->flops);
    cJSON_AddNumberToObject(member, "bytes_per_second", peak->bytes);
}

static void add_waiting(cJSON *object, const CvmWaiting *waiting) {
    cJSON *member = cJSON_AddObjectToObject(object, "data");
    cJSON_AddStringToObject(member, "name", waiting->data);
    if (waiting->refusal) {
        cJSON_AddStringToObject(member, "refused", waiting->refusal);
        return;
    }
    cJSON_AddNumberToObject(member, "steps", (double)waiting->steps);
    cJSON_AddNumberToObject(member, "step_seconds", step_seconds(waiting));
    cJSON_AddNumberToObject(member, "waited_share", rate(waiting->waited, waiting->seconds));
    cJSON_AddBoolToObject(member, "read_ahead", waiting->ahead);
}

static void print_json(const Bench *bench) {
    const CvmProfile *profile = &bench->profile;
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "model", cvm_model_name(bench->session->model));
    cJSON_AddStringToObject(object, "what", bench->what);
    cJSON_AddNumberToObject(object, "batch", (double)bench->batch);
    cJSON_AddNumberToObject(object, "threads", bench->threads);
    cJSON *best = cJSON_AddObjectToObject(object, "best");
    add_peak(best, "one_thread", &bench->roof.one);
    add_peak(best, "all_threads", &bench->roof.all);
    cJSON_AddNumberToObject(object, "runs", profile->runs);
    cJSON_AddNumberToObject(object, "median_seconds", profile->median);
    cJSON_AddNumberToObject(object, "least_seconds", profile->least);
    cJSON_AddNumberToObject(object, "kernel_seconds", kernel_seconds(profile));
    cJSON_AddNumberToObject(object, "images_per_second",
                            rate((double)bench->batch, profile->median));
    cJSON *counters = cJSON_AddObjectToObject(object, "counters");
    for (int i = 0; i < CVM_COUNTERS && !bench->counters.refusal; i++)
        if (counted(bench, i) >= 0)
            cJSON_AddNumberToObject(counters, cvm_counter_name(i), counted(bench, i));
    if (bench->counters.refusal)
        cJSON_AddStringToObject(object, "counters_refused", bench->counters.refusal);
    if (bench->waiting.data)
        add_waiting(object, &bench->waiting);
    cJSON *kernels = cJSON_AddArrayToObject(object, "kernels");
    for (int i = 0; i < profile->count; i++)
        cJSON_AddItemToArray(kernels, row_json(bench, &profile->rows[i]));
    cvm_report_json(object);
}

int cvm_command_bench(const CvmOptions *options) {
    if (options->repeat > CVM_MOST_RUNS) {
        cvm_report_error("--repeat is at most %d; --seconds says how long instead", CVM_MOST_RUNS);
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    Bench bench = {.session = &session};
    if (options->tune && !cvm_tune_options_agree(options))
        return CVM_EXIT_USAGE;
    bool opened = cvm_session_open(&session, options);
    if (opened && options->tune) {
        cvm_tune(&session);
    } else if (opened && measure(&bench)) {
        if (options->json)
            print_json(&bench);
        else
            print_text(&bench);
    }
    return cvm_session_close(&session);
}
