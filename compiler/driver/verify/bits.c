/* See bits.h. */
#include "compiler/driver/verify/bits.h"

#include <string.h>

static const char *differing_output(const CvmInstance *a, const CvmInstance *b) {
    const CvmPlan *plan = cvm_instance_plan(a);
    for (int i = 0; i < plan->output_count; i++) {
        const CvmPort *port = &plan->outputs[i];
        int64_t count = 0;
        cvm_shape_count(&port->shape, &count);
        if (memcmp(cvm_instance_output(a, port->name), cvm_instance_output(b, port->name),
                   (size_t)count * cvm_dtype_bytes(port->dtype)) != 0)
            return port->name;
    }
    return NULL;
}

static const char *differing_tensor(const CvmStore *a, const CvmStore *b) {
    for (int i = 0; i < a->count; i++) {
        const CvmStored *other = cvm_store_find(b, a->tensors[i].name);
        if (memcmp(a->tensors[i].data, other->data, (size_t)cvm_stored_bytes(other)) != 0)
            return a->tensors[i].name;
    }
    return NULL;
}

static bool run(CvmVerifyTrial *trial, const CvmInstance *ran, const CvmStore *store, CvmPool *pool,
                const char *name, CvmVerifyBits *bits) {
    CvmStore own;
    CvmInstance *instance = cvm_verify_instance(trial, &own);
    if (instance)
        cvm_instance_run(instance, pool);
    const char *tensor = instance ? differing_output(ran, instance) : NULL;
    if (instance && !tensor)
        tensor = differing_tensor(store, &own);
    if (tensor && bits->same) {
        bits->same = false;
        bits->run = name;
        bits->tensor = cvm_arena_format(trial->arena, "%s", tensor);
    }
    cvm_instance_free(instance);
    cvm_store_free(&own);
    return instance;
}

bool cvm_verify_bits(CvmVerifyTrial *trial, const CvmInstance *ran, const CvmStore *store,
                     CvmVerifyBits *bits) {
    CvmError error;
    CvmPool *one = cvm_pool_create(1, &error), *several = cvm_session_pool(trial->session);
    CvmPool *two = NULL; /* where the session has one thread only */
    if (several && cvm_pool_threads(several) == 1)
        several = two = cvm_pool_create(2, &error);
    bool done = one && several;
    if (done) {
        *bits = (CvmVerifyBits){.threads = cvm_pool_threads(several), .same = true};
        const char *name = cvm_arena_format(trial->arena, "%d threads", bits->threads);
        const char *again = cvm_arena_format(trial->arena, "%s, again", name);
        done = run(trial, ran, store, one, "1 thread", bits) &&
               run(trial, ran, store, several, name, bits) &&
               run(trial, ran, store, several, again, bits);
    } else {
        cvm_session_fail(trial->session, &error);
    }
    if (two)
        cvm_pool_free(two);
    if (one)
        cvm_pool_free(one);
    return done;
}
