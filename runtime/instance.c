/* See instance.h. Every thread walks the same list of steps. A small step is done by thread 0
 * alone, any other is cut into one contiguous range of work items per thread. Between two steps all
 * threads meet at a barrier, unless thread 0 did both steps alone.
 *
 * Scratch memory has a piece for each of as many *workers* as the process has processors; where a
 * pool has more threads, the rest take no part in steps that need scratch. */
#include "runtime/instance.h"

#include "runtime/clock.h"
#include "runtime/memory.h"

#include <stdlib.h>
#include <string.h>

typedef struct Step {
    CvmKernelFunction function;
    void *const *buffers;
    int table; /* pointers from one worker's buffers to the next's; 0: all have the same */
    int64_t extent;
    bool prepares;       /* once */
    bool alone;          /* done by thread 0 */
    bool barrier_before; /* its input may come from another thread */
} Step;

struct CvmInstance {
    const CvmPlan *plan;
    char *arena, *prepared_memory;
    char *scratch;
    int64_t scratch_bytes; /* of all workers */
    int workers;
    bool owns_arena, owns_prepared;
    void **inputs, **outputs; /* where they lie now */
    void **buffers;           /* of all steps, one after the other */
    Step *steps;
    int step_count;
    int shared_end; /* after this many steps thread 0 is alone; 0: from the start */

    bool prepared; /* what calls prepare is there */

    /* of the run that is going on */
    bool only_prepares;
    CvmPool *pool;
    CvmCallTime *times; /* NULL: nobody wants them */
};

static bool check_ports(const CvmPlan *plan, const CvmPort *ports, int count, CvmError *error) {
    for (int i = 0; i < count; i++) {
        int64_t elements, end;
        if (!cvm_shape_count(&ports[i].shape, &elements) || ports[i].offset < 0 ||
            __builtin_mul_overflow(elements, (int64_t)cvm_dtype_bytes(ports[i].dtype), &end) ||
            __builtin_add_overflow(end, ports[i].offset, &end) || end > plan->arena_bytes)
            return cvm_error_set(error, CVM_ERROR_INPUT,
                                 "the plan '%s' is broken: %s lies outside of its arena",
                                 plan->name, ports[i].name);
    }
    return true;
}

static const CvmStored *find_slot(const CvmStore *store, const CvmPlan *plan, const CvmSlot *slot,
                                  CvmError *error) {
    const CvmStored *tensor = cvm_store_find(store, slot->name);
    if (!tensor) {
        cvm_error_set(error, CVM_ERROR_INPUT, "the plan '%s' needs %s, which the store lacks",
                      plan->name, slot->name);
        return NULL;
    }
    if (tensor->lanes != slot->lanes) {
        cvm_error_set(error, CVM_ERROR_INPUT,
                      "%s is kept as filters of %d lanes, and the plan '%s' needs %d (0: plain)",
                      slot->name, tensor->lanes, plan->name, slot->lanes);
        return NULL;
    }
    if (tensor->dtype != slot->dtype || !cvm_shape_equal(&tensor->shape, &slot->shape)) {
        char have[128], want[128];
        cvm_error_set(error, CVM_ERROR_INPUT, "%s is %s %s, and the plan '%s' needs %s %s",
                      slot->name, cvm_dtype_name(tensor->dtype),
                      cvm_shape_text(&tensor->shape, have, sizeof have), plan->name,
                      cvm_dtype_name(slot->dtype), cvm_shape_text(&slot->shape, want, sizeof want));
        return NULL;
    }
    return tensor;
}

/* The memory of every slot, in the plan's order. */
static bool find_slots(const CvmPlan *plan, const CvmStore *store, void **slots, CvmError *error) {
    for (int i = 0; i < plan->slot_count; i++) {
        const CvmStored *tensor = find_slot(store, plan, &plan->slots[i], error);
        if (!tensor)
            return false;
        slots[i] = tensor->data;
    }
    return true;
}

/* Pieces of memory begin at multiples of the alignment. */
static int64_t round_up(int64_t bytes) {
    return (bytes + CVM_ALIGNMENT - 1) / CVM_ALIGNMENT * CVM_ALIGNMENT;
}

static bool resolve(const CvmInstance *instance, const CvmBuffer *buffer, int worker,
                    void *const *slots, void **pointer) {
    const CvmPlan *plan = instance->plan;
    char *scratch = instance->scratch + worker * round_up(plan->scratch_bytes);
    const struct {
        char *block;        /* which `position` is an offset into; or … */
        void *const *table; /* … an index into */
        int64_t end;        /* an empty tensor may stand at the very end of a block */
    } spaces[] = {
        [CVM_SPACE_ARENA] = {instance->arena, NULL, plan->arena_bytes + 1},
        [CVM_SPACE_PREPARED] = {instance->prepared_memory, NULL, plan->prepared_bytes + 1},
        [CVM_SPACE_SCRATCH] = {scratch, NULL, plan->scratch_bytes},
        [CVM_SPACE_SLOT] = {NULL, slots, plan->slot_count},
        [CVM_SPACE_INPUT] = {NULL, instance->inputs, plan->input_count},
        [CVM_SPACE_OUTPUT] = {NULL, instance->outputs, plan->output_count},
    };
    if ((size_t)buffer->space >= sizeof spaces / sizeof *spaces || buffer->position < 0 ||
        buffer->position >= spaces[buffer->space].end)
        return false;
    *pointer = spaces[buffer->space].block ? spaces[buffer->space].block + buffer->position
                                           : spaces[buffer->space].table[buffer->position];
    return true;
}

static bool uses_scratch(const CvmCall *call) {
    for (int i = 0; i < call->buffer_count; i++)
        if (call->buffers[i].space == CVM_SPACE_SCRATCH)
            return true;
    return false;
}

/* How many tables of its buffers a call has: one for all threads, or one for each worker. */
static int count_tables(const CvmInstance *instance, const CvmCall *call) {
    return uses_scratch(call) ? instance->workers : 1;
}

static bool bind_buffers(CvmInstance *instance, void *const *slots, CvmError *error) {
    void **next = instance->buffers;
    for (int i = 0; i < instance->step_count; i++) {
        const CvmCall *call = &instance->plan->calls[i];
        instance->steps[i].buffers = next;
        instance->steps[i].table = uses_scratch(call) ? call->buffer_count : 0;
        for (int k = 0; k < count_tables(instance, call) * call->buffer_count; k++) {
            int worker = k / call->buffer_count, b = k % call->buffer_count;
            if (!resolve(instance, &call->buffers[b], worker, slots, next++))
                return cvm_error_set(error, CVM_ERROR_INPUT,
                                     "the plan '%s' is broken: buffer %d of %s (%s) lies outside "
                                     "of its memory",
                                     instance->plan->name, b, call->kernel, call->layer);
        }
    }
    return true;
}

/* Whether threads meet before the step: not where thread 0 does it and did the one before alone.
 * The one before may be left out, and then the one before that counts; a step that prepares may
 * also run among its like alone. */
static bool meets_before(const CvmInstance *instance, int index) {
    const Step *steps = instance->steps, *step = &steps[index];
    bool found_any = false, found_like = !step->prepares;
    for (int i = index - 1; i >= 0 && !(found_any && found_like); i--) {
        bool counts = !found_any || (!found_like && steps[i].prepares);
        if (counts && (!step->alone || !steps[i].alone))
            return true;
        found_any |= !steps[i].prepares;
        found_like |= steps[i].prepares;
    }
    return false;
}

static bool costs(const CvmPlan *plan, int index, double least) {
    if (index < 0 || index >= plan->call_count)
        return false;
    const CvmCall *call = &plan->calls[index];
    return call->extent > 1 && call->flops + call->bytes >= least;
}

static bool is_split(const CvmPlan *plan, int index) {
    return costs(plan, index, CVM_SMALL_COST) ||
           (costs(plan, index, CVM_TINY_COST) &&
            (costs(plan, index - 1, CVM_SMALL_COST) || costs(plan, index + 1, CVM_SMALL_COST)));
}

static void schedule(CvmInstance *instance) {
    for (int i = 0; i < instance->step_count; i++) {
        const CvmCall *call = &instance->plan->calls[i];
        Step *step = &instance->steps[i];
        step->function = call->function;
        step->extent = call->extent;
        step->alone = !is_split(instance->plan, i);
        step->prepares = call->prepares;
        step->barrier_before = meets_before(instance, i);
        if (!step->alone)
            instance->shared_end = i + 1;
    }
}

static bool allocate(CvmInstance *instance, CvmError *error) {
    const CvmPlan *plan = instance->plan;
    size_t buffers = 0;
    instance->workers = cvm_pool_processors();
    for (int i = 0; i < plan->call_count; i++)
        buffers +=
            (size_t)plan->calls[i].buffer_count * (size_t)count_tables(instance, &plan->calls[i]);
    if (plan->scratch_bytes >= 0 && plan->scratch_bytes < INT32_MAX) {
        instance->scratch_bytes = round_up(plan->scratch_bytes) * instance->workers;
        instance->scratch = cvm_memory_allocate(instance->scratch_bytes);
    }
    instance->owns_arena = !instance->arena;
    instance->owns_prepared = !instance->prepared_memory;
    if (instance->owns_arena)
        instance->arena = cvm_memory_allocate(plan->arena_bytes);
    if (instance->owns_prepared)
        instance->prepared_memory = cvm_memory_allocate(plan->prepared_bytes);
    instance->inputs = calloc((size_t)plan->input_count + 1, sizeof *instance->inputs);
    instance->outputs = calloc((size_t)plan->output_count + 1, sizeof *instance->outputs);
    instance->buffers = calloc(buffers + 1, sizeof *instance->buffers);
    instance->steps = calloc((size_t)plan->call_count + 1, sizeof *instance->steps);
    instance->step_count = plan->call_count;
    if (instance->arena && instance->prepared_memory && instance->scratch && instance->inputs &&
        instance->outputs && instance->buffers && instance->steps)
        return true;
    return cvm_error_set(error, CVM_ERROR_MACHINE,
                         "no memory for the plan '%s' (an arena of %lld bytes and %lld of prepared "
                         "weights)",
                         plan->name, (long long)plan->arena_bytes, (long long)plan->prepared_bytes);
}

static bool prepare(CvmInstance *instance, const CvmStore *store, void **slots, CvmError *error) {
    const CvmPlan *plan = instance->plan;
    if (!check_ports(plan, plan->inputs, plan->input_count, error) ||
        !check_ports(plan, plan->outputs, plan->output_count, error) ||
        !find_slots(plan, store, slots, error) || !allocate(instance, error))
        return false;
    for (int i = 0; i < plan->input_count; i++)
        instance->inputs[i] = instance->arena + plan->inputs[i].offset;
    for (int i = 0; i < plan->output_count; i++)
        instance->outputs[i] = instance->arena + plan->outputs[i].offset;
    if (!bind_buffers(instance, slots, error))
        return false;
    schedule(instance);
    return true;
}

CvmInstance *cvm_instance_create(const CvmPlan *plan, const CvmStore *store, CvmError *error) {
    return cvm_instance_create_in(plan, store, &(CvmPlace){0}, error);
}

CvmInstance *cvm_instance_create_in(const CvmPlan *plan, const CvmStore *store,
                                    const CvmPlace *place, CvmError *error) {
    CvmInstance *instance = calloc(1, sizeof *instance);
    void **slots = calloc((size_t)plan->slot_count + 1, sizeof *slots);
    bool ready = instance && slots;
    if (!ready) {
        cvm_error_set(error, CVM_ERROR_MACHINE, "no memory for the plan '%s'", plan->name);
    } else {
        instance->plan = plan;
        instance->arena = place->arena;
        instance->prepared_memory = place->prepared;
        instance->prepared = place->prepared != NULL;
        ready = prepare(instance, store, slots, error);
    }
    free(slots);
    if (ready)
        return instance;
    cvm_instance_free(instance);
    return NULL;
}

void cvm_instance_free(CvmInstance *instance) {
    if (!instance)
        return;
    if (instance->owns_arena)
        cvm_memory_free(instance->arena, instance->plan->arena_bytes);
    if (instance->owns_prepared)
        cvm_memory_free(instance->prepared_memory, instance->plan->prepared_bytes);
    cvm_memory_free(instance->scratch, instance->scratch_bytes);
    free(instance->inputs);
    free(instance->outputs);
    free(instance->buffers);
    free(instance->steps);
    free(instance);
}

const CvmPlan *cvm_instance_plan(const CvmInstance *instance) {
    return instance->plan;
}

static void *find_port(const CvmPort *ports, int count, void *const *memory, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(ports[i].name, name) == 0)
            return memory[i];
    return NULL;
}

void *cvm_instance_input(CvmInstance *instance, const char *name) {
    return find_port(instance->plan->inputs, instance->plan->input_count, instance->inputs, name);
}

const void *cvm_instance_output(const CvmInstance *instance, const char *name) {
    return find_port(instance->plan->outputs, instance->plan->output_count, instance->outputs,
                     name);
}

/* Has every call see a port at its new place. */
static void rebind(CvmInstance *instance, CvmSpace space, int index, void *memory) {
    void **next = instance->buffers;
    for (int i = 0; i < instance->step_count; i++) {
        const CvmCall *call = &instance->plan->calls[i];
        for (int k = 0; k < count_tables(instance, call) * call->buffer_count; k++, next++) {
            const CvmBuffer *buffer = &call->buffers[k % call->buffer_count];
            if (buffer->space == space && buffer->position == index)
                *next = memory;
        }
    }
}

void cvm_instance_bind_input(CvmInstance *instance, int index, const void *memory) {
    void *place = memory ? (void *)memory : instance->arena + instance->plan->inputs[index].offset;
    if (place == instance->inputs[index])
        return;
    instance->inputs[index] = place;
    rebind(instance, CVM_SPACE_INPUT, index, place);
}

void cvm_instance_bind_output(CvmInstance *instance, int index, void *memory) {
    void *place = memory ? memory : instance->arena + instance->plan->outputs[index].offset;
    if (place == instance->outputs[index])
        return;
    instance->outputs[index] = place;
    rebind(instance, CVM_SPACE_OUTPUT, index, place);
}

static int64_t smaller(int64_t a, int64_t b) {
    return a < b ? a : b;
}

static void run_range(const CvmInstance *instance, int index, int thread, int64_t begin,
                      int64_t end) {
    const Step *step = &instance->steps[index];
    void *const *buffers = step->buffers + thread * step->table;
    if (begin >= end)
        return;
    if (!instance->times) {
        step->function(buffers, begin, end);
        return;
    }
    CvmCallTime *time = &instance->times[index * cvm_pool_threads(instance->pool) + thread];
    time->begin = cvm_seconds();
    step->function(buffers, begin, end);
    time->end = cvm_seconds();
}

/* Ranges differ in length by one item at most. */
static void run_part(const CvmInstance *instance, int index, int thread, int threads) {
    int64_t extent = instance->steps[index].extent;
    if (instance->steps[index].table && threads > instance->workers)
        threads = instance->workers;
    if (thread >= threads)
        return;
    int64_t length = extent / threads, longer = extent % threads;
    int64_t begin = thread * length + smaller(thread, longer);
    run_range(instance, index, thread, begin, begin + length + (thread < longer));
}

static bool is_due(const CvmInstance *instance, const Step *step) {
    return step->prepares ? !instance->prepared : !instance->only_prepares;
}

static void walk(void *context, int thread, int threads) {
    const CvmInstance *instance = context;
    for (int i = 0; i < instance->shared_end; i++) {
        const Step *step = &instance->steps[i];
        if (!is_due(instance, step))
            continue;
        if (step->barrier_before)
            cvm_pool_barrier(instance->pool);
        if (!step->alone)
            run_part(instance, i, thread, threads);
        else if (thread == 0)
            run_range(instance, i, 0, 0, step->extent);
    }
}

static void run(CvmInstance *instance, CvmPool *pool, CvmCallTime *times) {
    instance->pool = pool;
    instance->times = times;
    if (instance->shared_end > 0)
        cvm_pool_run(pool, walk, instance);
    for (int i = instance->shared_end; i < instance->step_count; i++)
        if (is_due(instance, &instance->steps[i]))
            run_range(instance, i, 0, 0, instance->steps[i].extent);
    instance->prepared = true;
}

void cvm_instance_prepare(CvmInstance *instance, CvmPool *pool) {
    instance->only_prepares = true;
    run(instance, pool, NULL);
    instance->only_prepares = false;
}

void cvm_instance_forget(CvmInstance *instance) {
    instance->prepared = false;
}

void cvm_instance_run(CvmInstance *instance, CvmPool *pool) {
    run(instance, pool, NULL);
}

void cvm_instance_run_timed(CvmInstance *instance, CvmPool *pool, CvmCallTime *times) {
    memset(times, 0, (size_t)instance->step_count * (size_t)cvm_pool_threads(pool) * sizeof *times);
    run(instance, pool, times);
}

/* A call and the instance it is of. */
typedef struct SingleCall {
    const CvmInstance *instance;
    int index;
} SingleCall;

static void walk_one(void *context, int thread, int threads) {
    const SingleCall *call = context;
    run_part(call->instance, call->index, thread, threads);
}

void cvm_instance_run_call(CvmInstance *instance, CvmPool *pool, int call) {
    instance->pool = pool;
    instance->times = NULL;
    if (instance->steps[call].alone)
        run_range(instance, call, 0, 0, instance->steps[call].extent);
    else
        cvm_pool_run(pool, walk_one, &(SingleCall){instance, call});
}

void *cvm_instance_buffer(const CvmInstance *instance, int call, int buffer) {
    return instance->steps[call].buffers[buffer];
}
