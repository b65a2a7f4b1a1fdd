/* See roof.h. Two kernels of the form PROBE, run as any other: split over the pool, best of several
 * runs. */
#include "compiler/roof.h"

#include "compiler/codegen/build.h"
#include "runtime/clock.h"
#include "runtime/memory.h"

enum {
    ROUNDS = 20000,         /* of the multiply-adds, per work item: some 30 microseconds */
    MULTIPLY_ITEMS = 64,    /* some 2 milliseconds */
    READ_LENGTH = 48 << 10, /* floats per work item, 192 KiB: a multiple of every loop step */
    READ_ITEMS = 1365,      /* 256 MiB in all, more than the last level caches hold */
    MOST_LANES = 16,
    REPEATS = 12,
};
#define SOURCE_BYTES ((int64_t)READ_ITEMS * READ_LENGTH * 4)
#define RESULT_BYTES ((int64_t)READ_ITEMS * MOST_LANES * 4)

typedef struct Probe {
    CvmKernelFunction function;
    float *buffers[2];
    int64_t items;
} Probe;

static void run_part(void *context, int thread, int threads) {
    const Probe *probe = context;
    int64_t begin = probe->items * thread / threads;
    int64_t end = probe->items * (thread + 1) / threads;
    probe->function((void *const *)probe->buffers, begin, end);
}

/* Pages belong to the thread that touches them first. Any number but zero: arithmetic on zeros may
 * take less power, and so run at a higher clock. */
static void fill_part(void *context, int thread, int threads) {
    const Probe *probe = context;
    int64_t begin = probe->items * thread / threads * READ_LENGTH;
    int64_t end = probe->items * (thread + 1) / threads * READ_LENGTH;
    for (int64_t i = begin; i < end; i++)
        probe->buffers[0][i] = 0.5F;
}

/* pool: NULL for the calling thread alone. */
static double least_seconds(Probe *probe, CvmPool *pool) {
    double least = 1e9;
    for (int i = 0; i < REPEATS; i++) {
        double start = cvm_seconds();
        if (pool)
            cvm_pool_run(pool, run_part, probe);
        else
            run_part(probe, 0, 1);
        double seconds = cvm_seconds() - start;
        least = seconds < least ? seconds : least;
    }
    return least;
}

static void measure(Probe *multiply, Probe *read, int lanes, CvmPool *pool, CvmRoof *roof) {
    double flops = 2.0 * MULTIPLY_ITEMS * ROUNDS * CVM_PROBE_SUMS * lanes;
    double bytes = (double)SOURCE_BYTES;
    cvm_pool_run(pool, fill_part, read);
    roof->one = (CvmPeak){flops / least_seconds(multiply, NULL), bytes / least_seconds(read, NULL)};
    roof->all = (CvmPeak){flops / least_seconds(multiply, pool), bytes / least_seconds(read, pool)};
}

static CvmKernel make_kernel(bool reads, int lanes) {
    CvmKernel kernel = {.form = CVM_KERNEL_PROBE,
                        .layer = "probe",
                        .schedule.lanes = lanes,
                        .buffers = {{.dtype = CVM_F32}, {.dtype = CVM_F32, .written = true}},
                        .buffer_count = 2,
                        .probe = {.reads = reads, .length = reads ? READ_LENGTH : ROUNDS}};
    snprintf(kernel.symbol, sizeof kernel.symbol, reads ? "probe_reads" : "probe_multiplies");
    return kernel;
}

static CvmCode *compile(const CvmCompileOptions *options, CvmKernel kernels[2], int *lanes,
                        CvmDiag *diag) {
    CvmArena *arena = cvm_arena_create();
    CvmTarget target;
    CvmCode *code = NULL;
    if (cvm_cpu_runs_here(options->cpu, diag) &&
        cvm_target_find(options->cpu, arena, &target, diag)) {
        *lanes = target.shape.lanes;
        for (int i = 0; i < 2; i++)
            kernels[i] = make_kernel(i == 1, *lanes);
        CvmKernelList list = {(CvmKernel *[]){&kernels[0], &kernels[1]}, 2};
        CvmBuildOptions build = {.cache = options->cache, .threads = options->threads};
        code = cvm_code_build(&list, &target, &build, diag);
    }
    cvm_arena_free(arena);
    return code;
}

bool cvm_measure_roof(const CvmCompileOptions *options, CvmPool *pool, CvmRoof *roof, CvmDiag *diag,
                      CvmError *error) {
    CvmKernel kernels[2];
    int lanes;
    CvmCode *code = compile(options, kernels, &lanes, diag);
    if (!code)
        return false;
    float *source = cvm_memory_allocate(SOURCE_BYTES);
    float *results = cvm_memory_allocate(RESULT_BYTES);
    bool ready = source && results;
    if (ready) {
        Probe multiply = {cvm_code_function(code, &kernels[0]), {source, results}, MULTIPLY_ITEMS};
        Probe read = {cvm_code_function(code, &kernels[1]), {source, results}, READ_ITEMS};
        measure(&multiply, &read, lanes, pool, roof);
    } else {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory to measure its speed with (%lld bytes)",
                      (long long)(SOURCE_BYTES + RESULT_BYTES));
    }
    cvm_memory_free(source, SOURCE_BYTES);
    cvm_memory_free(results, RESULT_BYTES);
    cvm_code_free(code);
    return ready;
}
