/* See profile.h. */
#include "compiler/driver/profile.h"

#include "runtime/clock.h"

#include <stdlib.h>
#include <string.h>

enum { LEAST_RUNS = 3, WARM_UPS = 2, NO_ROW = -1 };

typedef struct Profiler {
    CvmInstance *instance;
    const CvmPlan *plan;
    CvmPool *pool;
    int threads;
    int *rows;        /* row of each call; NO_ROW: it is prepared, not part of a run */
    int most;         /* runs there is room for */
    double *samples;  /* [row][run] */
    double *totals;   /* [run] */
    CvmCallTime *now; /* [call][thread] */
    CvmProfile profile;
} Profiler;

static int row_of(Profiler *profiler, const CvmCall *call) {
    CvmProfile *profile = &profiler->profile;
    for (int i = 0; i < profile->count; i++)
        if (strcmp(profile->rows[i].kernel, call->kernel) == 0)
            return i;
    profile->rows[profile->count] =
        (CvmProfileRow){.kernel = call->kernel, .layer = call->layer, .threads = 1};
    return profile->count++;
}

static void add_rows(Profiler *profiler) {
    for (int i = 0; i < profiler->plan->call_count; i++) {
        const CvmCall *call = &profiler->plan->calls[i];
        profiler->rows[i] = call->prepares ? NO_ROW : row_of(profiler, call);
        if (call->prepares)
            continue;
        CvmProfileRow *row = &profiler->profile.rows[profiler->rows[i]];
        row->calls++;
        row->flops += call->flops;
        row->bytes += call->bytes;
    }
}

/* From the first thread's start to the last one's end. */
static double seconds_of(const CvmCallTime *times, int threads, int *busy) {
    double begin = 0, end = 0;
    *busy = 0;
    for (int i = 0; i < threads; i++) {
        if (times[i].end == 0)
            continue;
        begin = *busy == 0 || times[i].begin < begin ? times[i].begin : begin;
        end = times[i].end > end ? times[i].end : end;
        ++*busy;
    }
    return end - begin;
}

static void take_samples(Profiler *profiler, int run) {
    for (int i = 0; i < profiler->plan->call_count; i++) {
        int busy;
        if (profiler->rows[i] == NO_ROW)
            continue;
        double seconds = seconds_of(profiler->now + (size_t)i * (size_t)profiler->threads,
                                    profiler->threads, &busy);
        CvmProfileRow *row = &profiler->profile.rows[profiler->rows[i]];
        row->threads = busy > row->threads ? busy : row->threads;
        profiler->samples[(size_t)profiler->rows[i] * (size_t)profiler->most + (size_t)run] +=
            seconds;
    }
}

static void measure_once(Profiler *profiler, int run) {
    cvm_instance_run_timed(profiler->instance, profiler->pool, profiler->now);
    take_samples(profiler, run);
    double start = cvm_seconds();
    cvm_instance_run(profiler->instance, profiler->pool);
    profiler->totals[run] = cvm_seconds() - start;
}

static int compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void summarise(double *samples, int count, double *median, double *least) {
    qsort(samples, (size_t)count, sizeof *samples, compare);
    *least = samples[0];
    *median = (samples[(count - 1) / 2] + samples[count / 2]) / 2;
}

CvmProfile cvm_profile(CvmInstance *instance, CvmPool *pool, int64_t runs, double seconds,
                       CvmArena *arena) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    size_t calls = (size_t)plan->call_count, threads = (size_t)cvm_pool_threads(pool);
    Profiler profiler = {
        .instance = instance,
        .plan = plan,
        .pool = pool,
        .threads = (int)threads,
        .most = (int)(runs > 0 && runs < CVM_MOST_RUNS ? runs : CVM_MOST_RUNS),
        .rows = cvm_arena_array(arena, calls + 1, sizeof(int)),
        .now = cvm_arena_array(arena, calls * threads + 1, sizeof(CvmCallTime)),
        .profile.rows = cvm_arena_array(arena, calls + 1, sizeof(CvmProfileRow)),
    };
    CvmProfile *profile = &profiler.profile;
    add_rows(&profiler);
    size_t most = (size_t)profiler.most;
    profiler.samples = cvm_arena_array(arena, most * (size_t)(profile->count + 1), sizeof(double));
    profiler.totals = cvm_arena_array(arena, most, sizeof(double));
    for (int i = 0; i < WARM_UPS && runs != 1; i++)
        cvm_instance_run(instance, pool);
    double end = cvm_seconds() + seconds;
    while (profile->runs < profiler.most &&
           (runs > 0 || profile->runs < LEAST_RUNS || cvm_seconds() < end))
        measure_once(&profiler, profile->runs++);
    for (int i = 0; i < profile->count; i++)
        summarise(profiler.samples + (size_t)i * most, profile->runs, &profile->rows[i].median,
                  &profile->rows[i].least);
    summarise(profiler.totals, profile->runs, &profile->median, &profile->least);
    profile->last = profiler.now;
    return *profile;
}
