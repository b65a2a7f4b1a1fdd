/* A graph compiled and ready to run, for tests that compare generated code with references. */
#ifndef CVM_TESTS_COMPILED_H
#define CVM_TESTS_COMPILED_H

#include "compiler/pipeline.h"
#include "runtime/instance.h"

typedef struct Compiled {
    CvmExecutable *executable;
    CvmStore store;
    CvmInstance *instance;
    CvmPool *pool;
    CvmArena *arena; /* of what compiled_parameter gives */
} Compiled;

/* Compiles `graph` (which is rewritten) with the named passes for the named CPU, without a cache.
 * Fails the test with the diagnostics where that is not possible. */
Compiled compiled_open(CvmGraph *graph, const char *passes, const char *cpu, int threads);
void compiled_close(Compiled *compiled);

/* Fills an input or a parameter; fails the test when there is none of that name. */
void compiled_set(Compiled *compiled, const char *name, const void *elements, int64_t count);

void compiled_run(Compiled *compiled);

/* Elements of an output, or of a parameter as it is now, in plain order. */
const float *compiled_output(const Compiled *compiled, const char *name);
const float *compiled_parameter(const Compiled *compiled, const char *name);

/* CPU names that this machine can run, the widest first; NULL at the end. It is "host" that has
 * AVX512_BF16. */
const char *const *compiled_cpus(void);

#endif
