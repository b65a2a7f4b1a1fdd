/* See ab_trial.h. Timed runs share one store of parameters and train at rate 0, so that they stay
 * what they are; each block of pairs has instances of its own, so that their memory lies anew. */
#include "compiler/driver/ab_trial.h"

#include "compiler/driver/report.h"
#include "compiler/training_graph.h"
#include "runtime/clock.h"
#include "runtime/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { WARM_UP_RUNS = 2 };

/* A sample takes at least so long: short runs are made several times. */
static const double sample_seconds = 2e-4;

/* --- settings --- */

static bool read_count(const char *text, int64_t *count) {
    char *end;
    long value = strtol(text, &end, 10);
    *count = value;
    return *text >= '0' && *text <= '9' && !*end && value > 0 && value < 1 << 30;
}

static bool read_mode(CvmSession *session, const char *text, CvmAbSide *side) {
    side->training = strcmp(text, "train") == 0;
    return (side->training && session->train) || strcmp(text, "forward") == 0;
}

static bool read_word(CvmSession *session, const char *key, const char *value, CvmAbSide *side) {
    if (strcmp(key, "passes") == 0)
        return cvm_pass_choice(value, &side->compile.passes, &session->diag);
    if (strcmp(key, "limit") == 0)
        return cvm_pass_limits(value, &side->compile.passes, &session->diag);
    if (strcmp(key, "threads") == 0)
        return read_count(value, &side->threads);
    if (strcmp(key, "batch") == 0)
        return read_count(value, &side->batch);
    if (strcmp(key, "mode") == 0)
        return read_mode(session, value, side);
    side->compile.cpu = value;
    return strcmp(key, "cpu") == 0;
}

bool cvm_ab_settings(CvmSession *session, const char *text, CvmAbSide *side) {
    *side = (CvmAbSide){.text = text,
                        .compile = session->compile,
                        .threads = session->options->threads,
                        .batch = session->options->batch,
                        .training = session->train && !session->options->forward};
    while (*text) {
        size_t length = strcspn(text, " ");
        char *word = cvm_arena_copy(session->arena, text, length);
        text += length + (text[length] == ' ');
        if (!length)
            continue;
        char *equals = strchr(word, '=');
        if (equals)
            *equals = 0;
        const char *key = equals ? word : "passes", *value = equals ? equals + 1 : word;
        if (read_word(session, key, value, side))
            continue;
        if (session->diag.error_count)
            cvm_session_fail_compile(session);
        return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "'%s%s%s' is no setting; settings are passes=LIST, limit=NAME=N, "
                                  "threads=N, cpu=NAME, batch=N and mode=forward or, where the "
                                  "file has a train, mode=train",
                                  equals ? key : "", equals ? "=" : "", value);
    }
    return true;
}

/* --- a side --- */

static bool compile_side(CvmSession *session, CvmAbSide *side) {
    if (!side->batch)
        side->batch = side->training ? session->train->batch : 1;
    CvmGraph *graph = side->training ? cvm_training_graph(session->train, side->batch,
                                                          session->arena, &session->diag)
                                     : cvm_inference_graph(session->model, side->batch, false,
                                                           session->arena, &session->diag);
    if (!graph || !(side->executable = cvm_compile(graph, &side->compile, &session->diag)))
        return cvm_session_fail_compile(session);
    CvmError error;
    side->pool = cvm_pool_create((int)side->threads, &error);
    return side->pool || cvm_session_fail(session, &error);
}

void cvm_ab_side_close(CvmAbSide *side) {
    cvm_executable_free(side->executable);
    if (side->pool)
        cvm_pool_free(side->pool);
    side->executable = NULL;
    side->pool = NULL;
}

/* Pictures in [-1, 1), labels in turn. */
static void fill_inputs(const CvmSession *session, CvmInstance *instance, float rate) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    int classes = session->train ? session->train->classes : 1;
    for (int i = 0; i < plan->input_count; i++) {
        const CvmPort *port = &plan->inputs[i];
        void *to = cvm_instance_input(instance, port->name);
        int64_t count = 0;
        cvm_shape_count(&port->shape, &count);
        uint32_t bits[4];
        for (int64_t k = 0; k < count; k++) {
            if (k % 4 == 0)
                cvm_philox(1, 0, (uint64_t)k / 4, bits);
            if (port->dtype == CVM_I32)
                ((int32_t *)to)[k] = (int32_t)(k % classes);
            else
                ((float *)to)[k] =
                    port->shape.rank == 0 ? rate : (float)bits[k % 4] / 2147483648.0f - 1;
        }
    }
}

/* --- agreement --- */

static CvmAbDifference compare(const char *name, const float *a, const float *b, const float *start,
                               int64_t count) {
    CvmAbDifference difference = {.name = name, .gradient = start != NULL, .agrees = true};
    double largest = 0;
    for (int64_t i = 0; i < count; i++) {
        double from = start ? start[i] : 0, left = a[i] - from, right = b[i] - from;
        double apart = fabs(left - right);
        difference.agrees &= apart <= 1e-3 + 1e-3 * fabs(right); /* false for NaN, too */
        difference.absolute = apart > difference.absolute ? apart : difference.absolute;
        largest = fabs(left) > largest ? fabs(left) : largest;
    }
    difference.relative = largest > 0 ? difference.absolute / largest : difference.absolute;
    return difference;
}

static void add_difference(CvmAbResult *result, CvmAbDifference difference) {
    result->differences[result->difference_count++] = difference;
    result->agrees &= difference.agrees;
}

static void compare_outputs(CvmInstance *instances[2], CvmAbResult *result) {
    const CvmPlan *plan = cvm_instance_plan(instances[0]);
    for (int i = 0; i < plan->output_count; i++) {
        const CvmPort *port = &plan->outputs[i];
        int64_t count = 0;
        cvm_shape_count(&port->shape, &count);
        add_difference(result, compare(port->name, cvm_instance_output(instances[0], port->name),
                                       cvm_instance_output(instances[1], port->name), NULL, count));
    }
}

/* What the step took off each parameter. */
static bool compare_steps(uint64_t seed, const CvmPlan *plan, const CvmStore stores[2],
                          CvmAbResult *result, CvmError *error) {
    for (int i = 0; i < plan->slot_count; i++) {
        const CvmSlot *slot = &plan->slots[i];
        const CvmStored *a = cvm_store_find(&stores[0], slot->name);
        const CvmStored *b = cvm_store_find(&stores[1], slot->name);
        if (slot->kind == CVM_SLOT_OPTIMIZER || slot->dtype != CVM_F32 || !a || !b)
            continue;
        CvmStore fresh;
        cvm_store_init(&fresh);
        const CvmStored *start = cvm_store_add(&fresh, slot, seed, NULL, error);
        int64_t count = 0;
        cvm_shape_count(&slot->shape, &count);
        if (start)
            add_difference(result, compare(slot->name, a->data, b->data, start->data, count));
        cvm_store_free(&fresh);
        if (!start)
            return false;
    }
    return true;
}

static CvmInstance *run_once(CvmSession *session, CvmAbSide *side, CvmStore *store, uint64_t seed,
                             CvmError *error) {
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    if (!cvm_store_add_slots(store, plan, seed, error))
        return NULL;
    CvmInstance *instance = cvm_instance_create(plan, store, error);
    if (!instance)
        return NULL;
    fill_inputs(session, instance, 1);
    cvm_instance_run(instance, side->pool);
    return instance;
}

static bool check_agreement(CvmSession *session, CvmAbSide sides[2], CvmAbResult *result) {
    CvmStore stores[2];
    CvmInstance *instances[2] = {NULL, NULL};
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    bool ran = true;
    for (int i = 0; i < 2; i++)
        cvm_store_init(&stores[i]);
    for (int i = 0; i < 2 && ran; i++)
        ran = (instances[i] = run_once(session, &sides[i], &stores[i], seed, &error)) != NULL;
    const CvmPlan *plan = cvm_executable_plan(sides[0].executable);
    result->differences =
        cvm_arena_array(session->arena, (size_t)(plan->output_count + plan->slot_count) + 1,
                        sizeof(CvmAbDifference));
    if (ran) {
        compare_outputs(instances, result);
        ran = !sides[0].training || compare_steps(seed, plan, stores, result, &error);
    }
    for (int i = 0; i < 2; i++) {
        cvm_instance_free(instances[i]);
        cvm_store_free(&stores[i]);
    }
    return ran || cvm_session_fail(session, &error);
}

/* --- times --- */

typedef struct Race {
    CvmSession *session;
    CvmAbSide *sides;
    CvmStore store;
    CvmInstance *instances[2];
    int repeats; /* runs of one sample */
} Race;

static double run_timed(Race *race, int side) {
    CvmInstance *instance = race->instances[side];
    fill_inputs(race->session, instance, 0);
    double start = cvm_seconds();
    cvm_instance_run(instance, race->sides[side].pool);
    return cvm_seconds() - start;
}

static double sample(Race *race, int side) {
    double sum = 0;
    for (int i = 0; i < race->repeats; i++)
        sum += run_timed(race, side);
    return sum / race->repeats;
}

static void close_instances(Race *race) {
    for (int i = 0; i < 2; i++) {
        cvm_instance_free(race->instances[i]);
        race->instances[i] = NULL;
    }
}

/* Instances of both sides, in the order the bit says, warmed up; how often to repeat. */
static bool open_instances(Race *race, bool swap, CvmError *error) {
    double shortest = 1;
    for (int i = 0; i < 2; i++) {
        int side = i ^ swap;
        race->instances[side] = cvm_instance_create(
            cvm_executable_plan(race->sides[side].executable), &race->store, error);
        if (!race->instances[side])
            return false;
    }
    for (int i = 0; i < 2 * WARM_UP_RUNS; i++) {
        double seconds = run_timed(race, i % 2);
        shortest = seconds < shortest ? seconds : shortest;
    }
    race->repeats = shortest < sample_seconds ? (int)ceil(sample_seconds / (shortest + 1e-9)) : 1;
    return true;
}

static bool run_block(Race *race, uint64_t seed, int block, double times[2][CVM_AB_PAIRS],
                      CvmError *error) {
    uint32_t bits[4];
    cvm_philox(seed, 1, (uint64_t)block, bits);
    bool opened = open_instances(race, bits[0] & 1, error);
    for (int i = 0; i < CVM_AB_PAIRS && opened; i++) {
        int first = bits[1] >> i & 1;
        times[first][i] = sample(race, first);
        times[!first][i] = sample(race, !first);
    }
    close_instances(race);
    return opened;
}

static int by_value(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return values[count / 2];
}

/* Blocks until the interval is narrow or time is over; two at least, for there to be one. */
static bool race_to_the_end(Race *race, const CvmAbOptions *options, CvmAbResult *result,
                            CvmError *error) {
    double values[CVM_AB_MAX_BLOCKS], medians[2][CVM_AB_MAX_BLOCKS];
    double start = cvm_seconds();
    int look = cvm_ab_next_look(0);
    while (result->blocks < CVM_AB_MAX_BLOCKS) {
        double times[2][CVM_AB_PAIRS];
        if (!run_block(race, options->seed, result->blocks, times, error))
            return false;
        values[result->blocks] = cvm_ab_block(times[0], times[1], CVM_AB_PAIRS);
        for (int side = 0; side < 2; side++)
            medians[side][result->blocks] = median(times[side], CVM_AB_PAIRS);
        result->blocks++;
        bool over = cvm_seconds() - start >= options->seconds && result->blocks >= 2;
        if (result->blocks < look && !over && result->blocks < CVM_AB_MAX_BLOCKS)
            continue;
        look = cvm_ab_next_look(result->blocks);
        result->ratio = cvm_ab_ratio(values, result->blocks, options->seed);
        if (over || result->ratio.high - result->ratio.low < options->precision)
            break;
    }
    result->verdict = cvm_ab_verdict(&result->ratio);
    for (int side = 0; side < 2; side++)
        result->median[side] = median(medians[side], result->blocks);
    return true;
}

static bool measure(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                    CvmAbResult *result) {
    Race race = {.session = session, .sides = sides};
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    cvm_store_init(&race.store);
    bool done = true;
    for (int i = 0; i < 2 && done; i++)
        done = cvm_store_add_slots(&race.store, cvm_executable_plan(sides[i].executable), seed,
                                   &error);
    done = done && race_to_the_end(&race, options, result, &error);
    cvm_store_free(&race.store);
    return done || cvm_session_fail(session, &error);
}

bool cvm_ab_run(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                CvmAbResult *result) {
    *result = (CvmAbResult){.agrees = true};
    if (!compile_side(session, &sides[0]) || !compile_side(session, &sides[1]))
        return false;
    result->compared = sides[0].batch == sides[1].batch && sides[0].training == sides[1].training;
    if (result->compared && !check_agreement(session, sides, result))
        return false;
    return measure(session, sides, options, result);
}
