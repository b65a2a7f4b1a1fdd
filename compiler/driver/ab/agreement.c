/* See agreement.h. A step tells a parameter's gradient by what it takes off the parameter. At a
 * learning rate so high that the parameter's own value is small beside the step, rounding takes
 * little of the gradient away; one step alone is made, so that no harm comes of it. */
#include "compiler/driver/ab/agreement.h"

#include "compiler/driver/inputs.h"

#include <math.h>

static const float rate = 0x1p20F;

const char *cvm_ab_kind_text(CvmAbKind kind) {
    static const char *const texts[] = {"output", "gradient", "statistic"};
    return texts[kind];
}

const CvmAbDifference *cvm_ab_worst(const CvmAbAgreement *agreement) {
    const CvmAbDifference *worst = NULL;
    for (int i = 0; i < agreement->count; i++)
        if (!worst || !(agreement->differences[i].relative <= worst->relative))
            worst = &agreement->differences[i];
    return worst;
}

/* --- one tensor --- */

typedef struct Pair {
    const float *values[2];
    const float *start; /* gradients: what a step began with; else NULL */
    int64_t count;
} Pair;

static double value_of(const Pair *pair, int side, int64_t i) {
    double value = pair->values[side][i];
    return pair->start ? ((double)pair->start[i] - value) / (double)rate : value;
}

static double largest_of(const Pair *pair) {
    double largest = 0;
    for (int64_t i = 0; i < pair->count; i++)
        largest = fmax(largest, fabs(value_of(pair, 1, i)));
    return largest;
}

static void add_difference(CvmAbAgreement *agreement, const char *name, CvmAbKind kind,
                           const Pair *pair, double tolerance) {
    CvmAbDifference *difference = &agreement->differences[agreement->count++];
    *difference =
        (CvmAbDifference){.name = name, .kind = kind, .largest = largest_of(pair), .agrees = true};
    double floor = tolerance * fmin(1, difference->largest);
    for (int64_t i = 0; i < pair->count; i++) {
        double a = value_of(pair, 0, i), b = value_of(pair, 1, i), apart = fabs(a - b);
        difference->agrees &= apart <= floor + tolerance * fabs(b); /* false for NaN, too */
        if (!(apart <= difference->absolute))
            difference->absolute = apart;
    }
    double scale = difference->largest > 0 ? difference->largest : 1;
    difference->relative = difference->absolute / scale;
    agreement->agrees &= difference->agrees;
}

/* --- all of them --- */

static void compare_outputs(CvmInstance *instances[2], double tolerance,
                            CvmAbAgreement *agreement) {
    const CvmPlan *plan = cvm_instance_plan(instances[0]);
    for (int i = 0; i < plan->output_count; i++) {
        const CvmPort *port = &plan->outputs[i];
        Pair pair = {{cvm_instance_output(instances[0], port->name),
                      cvm_instance_output(instances[1], port->name)},
                     NULL,
                     0};
        cvm_shape_count(&port->shape, &pair.count);
        if (port->dtype == CVM_F32)
            add_difference(agreement, port->name, CVM_AB_OUTPUT, &pair, tolerance);
    }
}

/* A tensor's elements in plain order; in the scratch where it lies in another one. */
static const void *plain_elements(const CvmStored *stored, CvmArena *scratch) {
    if (!stored->lanes)
        return stored->data;
    void *plain = cvm_arena_array(scratch, (size_t)cvm_stored_bytes(stored), 1);
    cvm_stored_read(stored, plain);
    return plain;
}

static bool compare_slot(const CvmSlot *slot, const CvmStore stores[2], uint64_t seed,
                         double tolerance, CvmAbAgreement *agreement, CvmError *error) {
    const CvmStored *a = cvm_store_find(&stores[0], slot->name);
    const CvmStored *b = cvm_store_find(&stores[1], slot->name);
    if (slot->kind == CVM_SLOT_OPTIMIZER || slot->dtype != CVM_F32 || !a || !b)
        return true;
    CvmArena *scratch = cvm_arena_create();
    Pair pair = {{plain_elements(a, scratch), plain_elements(b, scratch)}, NULL, 0};
    cvm_shape_count(&slot->shape, &pair.count);
    CvmStore fresh;
    cvm_store_init(&fresh);
    bool done = true;
    if (slot->kind == CVM_SLOT_STATISTIC) {
        add_difference(agreement, slot->name, CVM_AB_STATISTIC, &pair, tolerance);
    } else {
        CvmSlot plain = *slot;
        plain.lanes = 0;
        const CvmStored *start = cvm_store_add(&fresh, &plain, seed, NULL, error);
        done = start != NULL;
        pair.start = done ? start->data : NULL;
        if (done)
            add_difference(agreement, slot->name, CVM_AB_GRADIENT, &pair, tolerance);
    }
    cvm_store_free(&fresh);
    cvm_arena_free(scratch);
    return done;
}

static CvmInstance *run_once(CvmSession *session, CvmAbSide *side, CvmStore *store, uint64_t seed,
                             CvmError *error) {
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    if (!cvm_store_add_slots(store, plan, seed, error))
        return NULL;
    CvmInstance *instance = cvm_instance_create(plan, store, error);
    if (!instance)
        return NULL;
    cvm_fill_inputs(session, instance, rate);
    cvm_instance_run(instance, side->pool);
    return instance;
}

double cvm_ab_tolerance(const CvmOptions *options) {
    return options->given & CVM_OPTION_TOLERANCE ? options->tolerance : 1e-3;
}

bool cvm_ab_compare(CvmSession *session, CvmAbSide sides[2], double tolerance,
                    CvmAbAgreement *agreement) {
    *agreement = (CvmAbAgreement){.agrees = true};
    agreement->compared =
        sides[0].batch == sides[1].batch && sides[0].training == sides[1].training;
    if (!agreement->compared)
        return true;
    const CvmPlan *plan = cvm_executable_plan(sides[0].executable);
    agreement->differences =
        cvm_arena_array(session->arena, (size_t)(plan->output_count + plan->slot_count) + 1,
                        sizeof(CvmAbDifference));
    CvmStore stores[2];
    CvmInstance *instances[2] = {NULL, NULL};
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    bool ran = true;
    for (int i = 0; i < 2; i++)
        cvm_store_init(&stores[i]);
    for (int i = 0; i < 2 && ran; i++)
        ran = (instances[i] = run_once(session, &sides[i], &stores[i], seed, &error)) != NULL;
    if (ran)
        compare_outputs(instances, tolerance, agreement);
    for (int i = 0; i < plan->slot_count && ran && sides[0].training; i++)
        ran = compare_slot(&plan->slots[i], stores, seed, tolerance, agreement, &error);
    for (int i = 0; i < 2; i++) {
        cvm_instance_free(instances[i]);
        cvm_store_free(&stores[i]);
    }
    return ran || cvm_session_fail(session, &error);
}
