/* See trial.h. Timed runs share one store of parameters, unless they keep some in different orders,
 * and train at rate 0, so that they stay what they are. Each block of pairs has instances of its
 * own, so that code and memory lie anew, and its kernels are timed in runs of their own, since
 * reading the clock between them takes time. Where runs are long that is nothing, and the same runs
 * serve both; where there is time for one pair a block only, all blocks have the same instances,
 * for warming up would take most of it. */
#include "compiler/driver/ab/trial.h"

#include "compiler/driver/inputs.h"
#include "runtime/clock.h"
#include "runtime/random.h"

#include <math.h>
#include <string.h>

/* A sample takes at least so long: shorter runs are made several times. */
static const double sample_seconds = 2e-4;
/* From here on a run is long. */
static const double long_seconds = 2e-2;

/* Calls of one side, timed. */
typedef struct Clocks {
    CvmCallTime *now; /* [call][thread] of one run */
    double *seconds;  /* by call, summed over runs */
    int runs;
} Clocks;

typedef struct Race {
    CvmSession *session;
    CvmAbSide *sides;
    CvmStore stores[2]; /* the second is empty where both share the first */
    CvmInstance *instances[2];
    Clocks clocks[2];
    int repeats;       /* runs of one sample */
    bool long_runs;    /* whose kernels can be timed in passing */
    bool stays;        /* all blocks have the same instances */
    double seconds[2]; /* of the last warming run */
} Race;

/* --- runs --- */

static const CvmPlan *plan_of(const Race *race, int side) {
    return cvm_executable_plan(race->sides[side].executable);
}

/* From the first thread's start to the last one's end. */
static double call_seconds(const CvmCallTime *times, int threads) {
    double begin = 0, end = 0;
    for (int i = 0; i < threads; i++) {
        if (times[i].end == 0)
            continue;
        begin = end == 0 || times[i].begin < begin ? times[i].begin : begin;
        end = times[i].end > end ? times[i].end : end;
    }
    return end - begin;
}

static double run(Race *race, int side, bool with_clocks) {
    CvmInstance *instance = race->instances[side];
    CvmPool *pool = race->sides[side].pool;
    Clocks *clocks = &race->clocks[side];
    cvm_fill_inputs(race->session, instance, 0);
    double start = cvm_seconds();
    if (!with_clocks) {
        cvm_instance_run(instance, pool);
        return cvm_seconds() - start;
    }
    cvm_instance_run_timed(instance, pool, clocks->now);
    double seconds = cvm_seconds() - start;
    int threads = cvm_pool_threads(pool);
    for (int i = 0; i < plan_of(race, side)->call_count; i++)
        clocks->seconds[i] += call_seconds(&clocks->now[i * threads], threads);
    clocks->runs++;
    return seconds;
}

static double sample(Race *race, int side) {
    double sum = 0;
    for (int i = 0; i < race->repeats; i++)
        sum += run(race, side, race->long_runs);
    return sum / race->repeats;
}

/* --- blocks --- */

static void close_instances(Race *race) {
    for (int i = 0; i < 2; i++) {
        cvm_instance_free(race->instances[i]);
        race->instances[i] = NULL;
    }
}

/* Both sides' code and memory are laid out anew, in the order the bit says, and warmed up. */
static bool open_instances(Race *race, bool swap, CvmError *error) {
    for (int i = 0; i < 2; i++)
        if (!cvm_executable_relink(race->sides[i ^ swap].executable, &race->session->diag))
            return cvm_error_set(error, CVM_ERROR_MACHINE, "the kernels could not be linked again");
    for (int i = 0; i < 2; i++) {
        int side = i ^ swap;
        const CvmStore *store = &race->stores[race->stores[1].count ? side : 0];
        race->instances[side] = cvm_instance_create(plan_of(race, side), store, error);
        if (!race->instances[side])
            return false;
    }
    for (int side = 0; side < 2; side++) {
        race->seconds[side] = run(race, side, false);
        if (race->seconds[side] < long_seconds)
            race->seconds[side] = run(race, side, false);
    }
    return true;
}

/* How samples and blocks are made, once the first instances have run: as many pairs as let
 * CVM_AB_MIN_BLOCKS blocks end in time. */
static void decide(Race *race, const CvmAbOptions *options, CvmAbResult *result) {
    double shortest = fmin(race->seconds[0], race->seconds[1]);
    race->long_runs = shortest >= long_seconds;
    race->repeats = shortest < sample_seconds ? (int)ceil(sample_seconds / (shortest + 1e-9)) : 1;
    double pair = (race->seconds[0] + race->seconds[1]) * race->repeats;
    double pairs = options->seconds / CVM_AB_MIN_BLOCKS / (pair + 1e-9);
    result->pairs = pairs >= CVM_AB_PAIRS ? CVM_AB_PAIRS : pairs >= 1 ? (int)pairs : 1;
    race->stays = result->pairs == 1;
}

static void reset(Race *race) {
    for (int side = 0; side < 2; side++) {
        Clocks *clocks = &race->clocks[side];
        clocks->runs = 0;
        memset(clocks->seconds, 0, (size_t)plan_of(race, side)->call_count * sizeof(double));
    }
}

/* A B B A, or B A A B: the one in the middle finds its memory in the caches, so chance says which.
 */
static void time_kernels(Race *race, int first, CvmAbResult *result) {
    for (int i = 0; !race->long_runs && i < race->repeats * 4; i++)
        run(race, first ^ ((i ^ i >> 1) & 1), true);
    for (int side = 0; side < 2; side++) {
        Clocks *clocks = &race->clocks[side];
        for (int i = 0; i < plan_of(race, side)->call_count; i++)
            clocks->seconds[i] /= clocks->runs;
        cvm_ab_rows_add(&result->rows, side, result->blocks, clocks->seconds);
    }
}

static bool run_block(Race *race, const CvmAbOptions *options, CvmAbResult *result,
                      CvmError *error) {
    uint32_t bits[4];
    cvm_philox(options->seed, 1, (uint64_t)result->blocks, bits);
    bool opened = race->instances[0] || open_instances(race, bits[0] & 1, error);
    if (!result->pairs)
        decide(race, options, result);
    reset(race);
    for (int i = 0; i < result->pairs && opened; i++) {
        int first = bits[1] >> i & 1, at = result->blocks * result->pairs + i;
        result->times[first][at] = sample(race, first);
        result->times[!first][at] = sample(race, !first);
    }
    if (opened)
        time_kernels(race, (int)(bits[2] & 1), result);
    if (!opened || !race->stays)
        close_instances(race);
    return opened;
}

/* --- the trial --- */

/* Blocks until the interval is narrow or time is over. */
static bool race_to_the_end(Race *race, const CvmAbOptions *options, CvmAbResult *result,
                            CvmError *error) {
    double values[CVM_AB_MAX_BLOCKS], medians[2][CVM_AB_MAX_BLOCKS];
    double start = cvm_seconds();
    int look = cvm_ab_next_look(0);
    while (result->blocks < CVM_AB_MAX_BLOCKS) {
        if (!run_block(race, options, result, error))
            return false;
        int from = result->blocks * result->pairs;
        const double *a = &result->times[0][from], *b = &result->times[1][from];
        values[result->blocks] = cvm_ab_block(a, b, result->pairs);
        medians[0][result->blocks] = cvm_ab_median(a, result->pairs);
        medians[1][result->blocks] = cvm_ab_median(b, result->pairs);
        result->blocks++;
        bool over =
            cvm_seconds() - start >= options->seconds && result->blocks >= CVM_AB_LEAST_BLOCKS;
        if (result->blocks < look && !over && result->blocks < CVM_AB_MAX_BLOCKS)
            continue;
        look = cvm_ab_next_look(result->blocks);
        result->ratio = cvm_ab_ratio(values, result->blocks, 1, options->seed);
        if (over || result->ratio.high - result->ratio.low < options->interval)
            break;
    }
    result->verdict = cvm_ab_verdict(&result->ratio);
    for (int side = 0; side < 2; side++)
        result->median[side] = cvm_ab_median(medians[side], result->blocks);
    cvm_ab_rows_judge(&result->rows, result->blocks, options->seed);
    return true;
}

static void make_room(Race *race, CvmAbResult *result) {
    CvmArena *arena = race->session->arena;
    for (int side = 0; side < 2; side++) {
        size_t calls = (size_t)plan_of(race, side)->call_count;
        size_t threads = (size_t)cvm_pool_threads(race->sides[side].pool);
        race->clocks[side].now = cvm_arena_array(arena, calls * threads + 1, sizeof(CvmCallTime));
        race->clocks[side].seconds = cvm_arena_array(arena, calls + 1, sizeof(double));
        result->times[side] =
            cvm_arena_array(arena, (size_t)CVM_AB_MAX_BLOCKS * CVM_AB_PAIRS, sizeof(double));
    }
}

/* Whether both plans keep what they both have in one order. */
static bool same_orders(const CvmPlan *a, const CvmPlan *b) {
    for (int i = 0; i < a->slot_count; i++)
        for (int k = 0; k < b->slot_count; k++)
            if (a->slots[i].lanes != b->slots[k].lanes &&
                strcmp(a->slots[i].name, b->slots[k].name) == 0)
                return false;
    return true;
}

static bool measure(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                    CvmAbResult *result) {
    Race race = {.session = session, .sides = sides};
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    make_room(&race, result);
    bool done = true, apart = !same_orders(plan_of(&race, 0), plan_of(&race, 1));
    for (int i = 0; i < 2; i++)
        cvm_store_init(&race.stores[i]);
    for (int i = 0; i < 2 && done; i++)
        done = cvm_store_add_slots(&race.stores[apart ? i : 0], plan_of(&race, i), seed, &error);
    done = done && race_to_the_end(&race, options, result, &error);
    close_instances(&race);
    for (int i = 0; i < 2; i++)
        cvm_store_free(&race.stores[i]);
    return done || cvm_session_fail(session, &error);
}

bool cvm_ab_run(CvmSession *session, CvmAbSide sides[2], const CvmAbOptions *options,
                CvmAbResult *result) {
    *result = (CvmAbResult){.blocks = 0};
    if (!cvm_ab_compile(session, sides) ||
        !cvm_ab_compare(session, sides, options->tolerance, &result->agreement))
        return false;
    result->rows = cvm_ab_line_up(sides, session->arena);
    return measure(session, sides, options, result);
}
