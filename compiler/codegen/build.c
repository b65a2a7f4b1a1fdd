/* See build.h. */
#include "compiler/codegen/build.h"
#include "compiler/codegen/cache.h"
#include "compiler/codegen/generator_digest.h"
#include "compiler/codegen/lines.h"
#include "compiler/codegen/module.h"

#include <llvm-c/Core.h>
#include <llvm-c/Error.h>
#include <llvm-c/LLJIT.h>
#include <llvm-c/Object.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_THREADS = 64 };

/* A distinct kernel on its way to code. */
typedef struct Unit {
    const CvmKernel *kernel;
    LLVMMemoryBufferRef object;
    int64_t bytes; /* of machine code */
    bool cached;
    char *error; /* LLVM's message */
    CvmKernelFunction function;
} Unit;

struct CvmCode {
    Unit *units;
    int count;
    LLVMOrcLLJITRef jit;
};

typedef struct Job {
    CvmCode *code;
    const CvmTarget *target;
    const char *cache;
    atomic_int next;
} Job;

/* Compiler and processor: what code depends on beside the kernel. The digest is made of the
 * generators' sources. */
static void print_maker(const CvmTarget *target, FILE *stream) {
    unsigned major, minor, patch;
    LLVMGetVersion(&major, &minor, &patch);
    fprintf(stream, "generators %s\nllvm %u.%u.%u\ntarget %s %s %s\nlanes %d registers %d\n",
            CVM_GENERATOR_DIGEST, major, minor, patch, target->triple, target->cpu,
            target->features, target->shape.lanes, target->shape.registers);
}

const char *cvm_code_identity(const CvmTarget *target, CvmArena *arena) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        abort();
    print_maker(target, stream);
    fclose(stream);
    const char *copy = cvm_arena_copy(arena, text, size);
    free(text);
    return copy;
}

static char *cache_key(const CvmKernel *kernel, const CvmTarget *target) {
    char *key = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&key, &size);
    if (!stream)
        return NULL;
    print_maker(target, stream);
    fprintf(stream, "symbol %s\n", kernel->symbol);
    cvm_lines_print(kernel->place, stream);
    cvm_kernel_print(kernel, stream);
    return fclose(stream) == 0 ? key : NULL;
}

static LLVMMemoryBufferRef fetch(const char *folder, const char *key) {
    size_t size;
    char *object = cvm_cache_read(folder, key, &size);
    if (!object)
        return NULL;
    LLVMMemoryBufferRef buffer =
        LLVMCreateMemoryBufferWithMemoryRangeCopy(object, size, "cached object");
    free(object);
    return buffer;
}

/* Of the sections that hold instructions. */
static int64_t code_bytes(LLVMMemoryBufferRef object) {
    char *error = NULL;
    LLVMBinaryRef binary = LLVMCreateBinary(object, NULL, &error);
    int64_t bytes = 0;
    if (!binary) { /* the linker will say so */
        LLVMDisposeMessage(error);
        return 0;
    }
    LLVMSectionIteratorRef section = LLVMObjectFileCopySectionIterator(binary);
    for (; !LLVMObjectFileIsSectionIteratorAtEnd(binary, section); LLVMMoveToNextSection(section)) {
        const char *name = LLVMGetSectionName(section);
        if (name && strncmp(name, ".text", 5) == 0)
            bytes += (int64_t)LLVMGetSectionSize(section);
    }
    LLVMDisposeSectionIterator(section);
    LLVMDisposeBinary(binary);
    return bytes;
}

static void make_object(const Job *job, Unit *unit) {
    char *key = job->cache ? cache_key(unit->kernel, job->target) : NULL;
    if (key && (unit->object = fetch(job->cache, key)))
        unit->cached = true;
    else
        unit->object = cvm_compile_kernel(unit->kernel, job->target, CVM_CODE_OBJECT, &unit->error);
    if (key && unit->object && !unit->cached)
        cvm_cache_write(job->cache, key, LLVMGetBufferStart(unit->object),
                        LLVMGetBufferSize(unit->object));
    free(key);
    if (unit->object)
        unit->bytes = code_bytes(unit->object);
}

static void *work(void *context) {
    Job *job = context;
    for (;;) {
        int next = atomic_fetch_add(&job->next, 1);
        if (next >= job->code->count)
            return NULL;
        make_object(job, &job->code->units[next]);
    }
}

static void make_objects(Job *job, int threads) {
    pthread_t others[MAX_THREADS];
    int started = 0;
    if (threads <= 0)
        threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    if (threads > MAX_THREADS)
        threads = MAX_THREADS;
    if (threads > job->code->count)
        threads = job->code->count;
    while (started < threads - 1 && pthread_create(&others[started], NULL, work, job) == 0)
        started++;
    work(job);
    for (int i = 0; i < started; i++)
        pthread_join(others[i], NULL);
}

static bool report(CvmDiag *diag, LLVMErrorRef failure, const char *doing) {
    char *message = LLVMGetErrorMessage(failure);
    cvm_diag_error(diag, 1605, (CvmSpan){0}, NULL, NULL, "%s failed: %s", doing, message);
    LLVMDisposeErrorMessage(message);
    diag->machine_at_fault = true;
    return false;
}

/* Objects may call memset and the like. */
static bool add_process_symbols(CvmCode *code, CvmDiag *diag) {
    LLVMOrcDefinitionGeneratorRef generator;
    LLVMErrorRef failure = LLVMOrcCreateDynamicLibrarySearchGeneratorForProcess(
        &generator, LLVMOrcLLJITGetGlobalPrefix(code->jit), NULL, NULL);
    if (failure)
        return report(diag, failure, "looking up the process's own symbols");
    LLVMOrcJITDylibAddGenerator(LLVMOrcLLJITGetMainJITDylib(code->jit), generator);
    return true;
}

static bool link_objects(CvmCode *code, CvmDiag *diag) {
    LLVMErrorRef failure = LLVMOrcCreateLLJIT(&code->jit, NULL);
    if (failure)
        return report(diag, failure, "starting the just-in-time linker");
    if (!add_process_symbols(code, diag))
        return false;
    for (int i = 0; i < code->count; i++) {
        Unit *unit = &code->units[i];
        /* the JIT owns its copy from here on, failed or not */
        LLVMMemoryBufferRef object = LLVMCreateMemoryBufferWithMemoryRangeCopy(
            LLVMGetBufferStart(unit->object), LLVMGetBufferSize(unit->object), "object");
        failure =
            LLVMOrcLLJITAddObjectFile(code->jit, LLVMOrcLLJITGetMainJITDylib(code->jit), object);
        if (failure)
            return report(diag, failure, "linking a kernel");
    }
    for (int i = 0; i < code->count; i++) {
        LLVMOrcExecutorAddress address = 0;
        failure = LLVMOrcLLJITLookup(code->jit, &address, code->units[i].kernel->symbol);
        if (failure)
            return report(diag, failure, "linking a kernel");
        code->units[i].function = (CvmKernelFunction)(uintptr_t)address;
    }
    return true;
}

static Unit *find_unit(const CvmCode *code, const char *symbol) {
    for (int i = 0; i < code->count; i++)
        if (!strcmp(code->units[i].kernel->symbol, symbol))
            return &code->units[i];
    return NULL;
}

static bool check_objects(const CvmCode *code, CvmDiag *diag) {
    bool complete = true;
    for (int i = 0; i < code->count; i++)
        if (!code->units[i].object)
            complete = cvm_diag_error(
                diag, 1604, (CvmSpan){0}, NULL, NULL, "generating code for %s (%s) failed: %s",
                code->units[i].kernel->layer, code->units[i].kernel->symbol,
                code->units[i].error ? code->units[i].error : "unknown reason");
    return complete;
}

CvmCode *cvm_code_compile(const CvmKernelList *kernels, const CvmTarget *target,
                          const CvmBuildOptions *options, CvmDiag *diag) {
    CvmCode *code = calloc(1, sizeof *code);
    if (code)
        code->units = calloc((size_t)kernels->count + 1, sizeof *code->units);
    if (!code || !code->units) {
        free(code);
        diag->machine_at_fault = true;
        cvm_diag_error(diag, 1605, (CvmSpan){0}, NULL, NULL, "not enough memory for the kernels");
        return NULL;
    }
    for (int i = 0; i < kernels->count; i++)
        if (!find_unit(code, kernels->kernels[i]->symbol))
            code->units[code->count++].kernel = kernels->kernels[i];
    Job job = {.code = code, .target = target, .cache = options->cache};
    make_objects(&job, options->threads);
    if (!check_objects(code, diag)) {
        cvm_code_free(code);
        return NULL;
    }
    if (options->cache && cvm_code_cached(code) < code->count)
        cvm_cache_trim(options->cache, CVM_CACHE_LIMIT);
    return code;
}

static void unlink_objects(CvmCode *code) {
    LLVMErrorRef failure = code->jit ? LLVMOrcDisposeLLJIT(code->jit) : NULL;
    if (failure)
        LLVMConsumeError(failure);
    code->jit = NULL;
}

bool cvm_code_relink(CvmCode *code, CvmDiag *diag) {
    unlink_objects(code);
    return link_objects(code, diag);
}

bool cvm_code_load(CvmCode *code, CvmDiag *diag) {
    return link_objects(code, diag);
}

CvmCode *cvm_code_build(const CvmKernelList *kernels, const CvmTarget *target,
                        const CvmBuildOptions *options, CvmDiag *diag) {
    CvmCode *code = cvm_code_compile(kernels, target, options, diag);
    if (code && cvm_code_load(code, diag))
        return code;
    cvm_code_free(code);
    return NULL;
}

const char *cvm_code_symbol(const CvmCode *code, int index) {
    return code->units[index].kernel->symbol;
}

const void *cvm_code_object(const CvmCode *code, int index, size_t *size) {
    *size = LLVMGetBufferSize(code->units[index].object);
    return LLVMGetBufferStart(code->units[index].object);
}

void cvm_code_free(CvmCode *code) {
    if (!code)
        return;
    for (int i = 0; i < code->count; i++) {
        if (code->units[i].object)
            LLVMDisposeMemoryBuffer(code->units[i].object);
        if (code->units[i].error)
            LLVMDisposeMessage(code->units[i].error);
    }
    unlink_objects(code);
    free(code->units);
    free(code);
}

CvmKernelFunction cvm_code_function(const CvmCode *code, const CvmKernel *kernel) {
    return find_unit(code, kernel->symbol)->function;
}

int cvm_code_kernels(const CvmCode *code) {
    return code->count;
}

int cvm_code_cached(const CvmCode *code) {
    int cached = 0;
    for (int i = 0; i < code->count; i++)
        cached += code->units[i].cached;
    return cached;
}

int64_t cvm_code_bytes(const CvmCode *code) {
    int64_t bytes = 0;
    for (int i = 0; i < code->count; i++)
        bytes += code->units[i].bytes;
    return bytes;
}
