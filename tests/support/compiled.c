/* See compiled.h. */
#include "tests/support/compiled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void fail_with(const CvmDiag *diag) {
    cvm_diag_print(diag, stderr);
    fail_msg("%s", "the graph does not compile");
}

Compiled compiled_open(CvmGraph *graph, const char *passes, const char *cpu, int threads) {
    CvmDiag diag;
    CvmError error;
    Compiled compiled = {.arena = cvm_arena_create()};
    cvm_diag_init(&diag, compiled.arena);
    CvmCompileOptions options = {.cpu = cpu};
    if (!cvm_pass_choice(passes, &options.passes, &diag) ||
        !(compiled.executable = cvm_compile(graph, &options, &diag)))
        fail_with(&diag);
    cvm_store_init(&compiled.store);
    const CvmPlan *plan = cvm_executable_plan(compiled.executable);
    if (!cvm_store_add_slots(&compiled.store, plan, 1, &error) ||
        !(compiled.pool = cvm_pool_create(threads, &error)) ||
        !(compiled.instance = cvm_instance_create(plan, &compiled.store, &error)))
        fail_msg("%s", error.message);
    return compiled;
}

void compiled_close(Compiled *compiled) {
    cvm_instance_free(compiled->instance);
    cvm_pool_free(compiled->pool);
    cvm_store_free(&compiled->store);
    cvm_executable_free(compiled->executable);
    cvm_arena_free(compiled->arena);
}

void compiled_set(Compiled *compiled, const char *name, const void *elements, int64_t count) {
    void *to = cvm_instance_input(compiled->instance, name);
    if (!to) {
        CvmStored *stored = cvm_store_find(&compiled->store, name);
        if (!stored)
            fail_msg("the plan has no input or parameter %s", name);
        cvm_stored_write(stored, elements);
        return;
    }
    memcpy(to, elements, (size_t)count * 4);
}

void compiled_run(Compiled *compiled) {
    cvm_instance_run(compiled->instance, compiled->pool);
}

const float *compiled_output(const Compiled *compiled, const char *name) {
    const float *elements = cvm_instance_output(compiled->instance, name);
    if (!elements)
        fail_msg("the plan has no output %s", name);
    return elements;
}

const float *compiled_parameter(const Compiled *compiled, const char *name) {
    const CvmStored *stored = cvm_store_find(&compiled->store, name);
    if (!stored)
        fail_msg("the store has no %s", name);
    float *plain = cvm_arena_array(compiled->arena, (size_t)cvm_stored_bytes(stored), 1);
    cvm_stored_read(stored, plain);
    return plain;
}

const char *const *compiled_cpus(void) {
    static const char *const with_bf16[] = {"host", "x86-64-v3", "x86-64-v2", "x86-64", NULL};
    static const char *const names[] = {"x86-64-v4", "x86-64-v3", "x86-64-v2", "x86-64", NULL};
    int lanes = cvm_target_lanes("host");
    if (__builtin_cpu_supports("avx512bf16"))
        return with_bf16;
    return lanes == 16 ? names : lanes == 8 ? names + 1 : names + 2;
}
