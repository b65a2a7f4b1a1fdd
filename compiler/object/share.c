/* See share.h. A prepared value is known by a hash of how it is made: the kernel's name, which
 * tells its code, and the values that it reads, down to names of slots. The calls that make it are
 * followed in order; some of what they make lies in the arena only until the next one has read it.
 */
#include "compiler/object/share.h"

#include "runtime/hash.h"

#include <string.h>

/* What calls have put somewhere, and where in the common memory it lies then (-1: nowhere). */
typedef struct Value {
    CvmBuffer at;
    uint64_t hash;
    int64_t position;
} Value;

typedef struct Values {
    Value *list;
    int count;
} Values;

/* A plan on its way to sharing. */
typedef struct Sharer {
    const CvmPlan *plan;
    const CvmKernelList *kernels; /* of its calls, in their order */
    Values values;
    bool *kept; /* by call */
} Sharer;

static bool same_place(const CvmBuffer *a, const CvmBuffer *b) {
    return a->space == b->space && a->position == b->position;
}

static Value *find_place(const Values *values, const CvmBuffer *at) {
    for (int i = 0; i < values->count; i++)
        if (same_place(&values->list[i].at, at))
            return &values->list[i];
    return NULL;
}

static const Value *find_hash(const Values *values, uint64_t hash) {
    for (int i = 0; i < values->count; i++)
        if (values->list[i].hash == hash)
            return &values->list[i];
    return NULL;
}

static bool writes(const Sharer *sharer, int call, int buffer) {
    return sharer->kernels->kernels[call]->buffers[buffer].written;
}

static uint64_t hash_call(const Sharer *sharer, int index) {
    const CvmCall *call = &sharer->plan->calls[index];
    uint64_t hash = cvm_hash_text(0, call->kernel);
    for (int i = 0; i < call->buffer_count; i++) {
        const CvmBuffer *buffer = &call->buffers[i];
        const Value *value = find_place(&sharer->values, buffer);
        if (buffer->space == CVM_SPACE_SLOT)
            hash = cvm_hash_text(hash, sharer->plan->slots[buffer->position].name);
        else if (value && !writes(sharer, index, i))
            hash = cvm_hash_whole(hash, (int64_t)value->hash);
    }
    return hash;
}

/* Prepared values lie one behind the other. */
static int64_t bytes_at(const CvmPlan *plan, int64_t position) {
    int64_t next = plan->prepared_bytes;
    for (int i = 0; i < plan->call_count; i++)
        for (int b = 0; b < plan->calls[i].buffer_count; b++) {
            const CvmBuffer *buffer = &plan->calls[i].buffers[b];
            if (buffer->space == CVM_SPACE_PREPARED && buffer->position > position &&
                buffer->position < next)
                next = buffer->position;
        }
    return next - position;
}

/* Names what a call makes, and places what of it is not there yet. */
static void place_results(Sharer *sharer, int index, Values *common, int64_t *bytes) {
    const CvmCall *call = &sharer->plan->calls[index];
    uint64_t hash = hash_call(sharer, index);
    for (int i = 0; i < call->buffer_count; i++) {
        if (!writes(sharer, index, i))
            continue;
        Value value = {call->buffers[i], cvm_hash_whole(hash, i), -1};
        if (value.at.space == CVM_SPACE_PREPARED) {
            const Value *known = find_hash(common, value.hash);
            value.position = known ? known->position : *bytes;
            if (!known) {
                *bytes += bytes_at(sharer->plan, value.at.position);
                common->list[common->count++] = value;
                sharer->kept[index] = true;
            }
        }
        Value *before = find_place(&sharer->values, &value.at);
        *(before ? before : &sharer->values.list[sharer->values.count++]) = value;
    }
}

/* Whether a call that is kept, from the one at `index` on, reads what lies there before another one
 * overwrites it. */
static bool is_read(const Sharer *sharer, int index, const CvmBuffer *at) {
    bool overwritten = false;
    for (int i = index; i < sharer->plan->call_count && !overwritten; i++) {
        const CvmCall *call = &sharer->plan->calls[i];
        for (int b = 0; call->prepares && b < call->buffer_count; b++) {
            if (!same_place(&call->buffers[b], at))
                continue;
            if (!writes(sharer, i, b) && sharer->kept[i])
                return true;
            overwritten |= writes(sharer, i, b);
        }
    }
    return false;
}

/* From the last to the first, so that what reads is decided before what it reads. */
static void keep_what_is_read(Sharer *sharer) {
    for (int i = sharer->plan->call_count - 1; i >= 0; i--) {
        const CvmCall *call = &sharer->plan->calls[i];
        sharer->kept[i] |= !call->prepares;
        for (int b = 0; b < call->buffer_count && !sharer->kept[i]; b++)
            sharer->kept[i] = writes(sharer, i, b) && is_read(sharer, i + 1, &call->buffers[b]);
    }
}

static CvmCall move_call(const Sharer *sharer, const CvmCall *call, CvmArena *arena) {
    CvmCall moved = *call;
    CvmBuffer *buffers = cvm_arena_array(arena, (size_t)call->buffer_count + 1, sizeof *buffers);
    for (int i = 0; i < call->buffer_count; i++) {
        buffers[i] = call->buffers[i];
        if (buffers[i].space == CVM_SPACE_PREPARED)
            buffers[i].position = find_place(&sharer->values, &call->buffers[i])->position;
    }
    moved.buffers = buffers;
    return moved;
}

static CvmPlan *move_plan(const Sharer *sharer, CvmArena *arena) {
    CvmPlan *plan = CVM_NEW(arena, CvmPlan);
    *plan = *sharer->plan;
    CvmCall *calls = cvm_arena_array(arena, (size_t)plan->call_count + 1, sizeof *calls);
    plan->calls = calls;
    plan->call_count = 0;
    for (int i = 0; i < sharer->plan->call_count; i++)
        if (sharer->kept[i])
            calls[plan->call_count++] = move_call(sharer, &sharer->plan->calls[i], arena);
    return plan;
}

/* As many as the plans' calls have buffers. */
static Values make_values(const CvmPlan *const *plans, int count, CvmArena *arena) {
    size_t room = 1;
    for (int i = 0; i < count; i++)
        for (int k = 0; k < plans[i]->call_count; k++)
            room += (size_t)plans[i]->calls[k].buffer_count;
    return (Values){.list = cvm_arena_array(arena, room, sizeof(Value))};
}

void cvm_share_prepared(CvmExecutable *const *executables, int count, const CvmPlan **plans,
                        CvmArena *arena) {
    int64_t bytes = 0;
    Values common = make_values(plans, count, arena);
    CvmPlan **moved = cvm_arena_array(arena, (size_t)count, sizeof *moved);
    for (int i = 0; i < count; i++) {
        Sharer sharer = {
            .plan = plans[i],
            .kernels = cvm_executable_kernels(executables[i]),
            .values = make_values(&plans[i], 1, arena),
            .kept = cvm_arena_array(arena, (size_t)plans[i]->call_count + 1, sizeof(bool))};
        for (int k = 0; k < sharer.plan->call_count; k++)
            if (sharer.plan->calls[k].prepares)
                place_results(&sharer, k, &common, &bytes);
        keep_what_is_read(&sharer);
        moved[i] = move_plan(&sharer, arena);
        plans[i] = moved[i];
    }
    for (int i = 0; i < count; i++)
        moved[i]->prepared_bytes = bytes;
}
