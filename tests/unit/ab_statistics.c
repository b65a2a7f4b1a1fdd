/* The statistics of `cvmc ab` by simulation: of runs of one program against itself, on a machine
 * with drift, bursts and unlucky addresses, at most one in twenty may come out as a difference; a
 * real difference is found, on the right side. Seeds are fixed, so that the counts are too. */
#include "compiler/driver/ab_statistics.h"
#include "tests/support/random_graph.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* So many that a share of 97% is told from 95%: at 200 chance alone spreads it by 1.5%. */
enum { TRIALS = 1000 };

static double uniform(CvmTestRandom *random) {
    return ((double)cvm_test_pick(random, 0, (1 << 30) - 1) + 0.5) / (1 << 30);
}

static double normal(CvmTestRandom *random) {
    return sqrt(-2 * log(uniform(random))) * cos(6.283185307179586 * uniform(random));
}

/* What disturbs runs, as parts of a run's time. */
typedef struct Machine {
    double jitter;    /* of each run */
    double bursts;    /* how often a run is interrupted, for up to its own time again */
    double drift;     /* of the clock's frequency, from pair to pair */
    double placement; /* of each program's memory, from block to block */
} Machine;

static double run(const Machine *machine, CvmTestRandom *random, double time) {
    time *= 1 + fabs(machine->jitter * normal(random));
    return uniform(random) < machine->bursts ? time * (1 + uniform(random)) : time;
}

/* One trial as the command makes it: until the interval is as narrow as asked, or time is over. */
static CvmAbVerdict trial(const Machine *machine, double ratio, double precision, int most,
                          uint64_t seed) {
    CvmTestRandom random = {seed};
    double blocks[CVM_AB_MAX_BLOCKS], clock = 1;
    for (int count = 0, look = cvm_ab_next_look(0);;) {
        double a[CVM_AB_PAIRS], b[CVM_AB_PAIRS];
        double place_a = 1 + fabs(machine->placement * normal(&random));
        double place_b = ratio * (1 + fabs(machine->placement * normal(&random)));
        for (int i = 0; i < CVM_AB_PAIRS; i++) {
            clock *= 1 + machine->drift * normal(&random);
            a[i] = run(machine, &random, clock * place_a);
            b[i] = run(machine, &random, clock * place_b);
        }
        blocks[count++] = cvm_ab_block(a, b, CVM_AB_PAIRS);
        if (count < look && count < most)
            continue;
        CvmAbRatio found = cvm_ab_ratio(blocks, count, seed);
        if (count >= most || found.high - found.low < precision)
            return cvm_ab_verdict(&found);
        look = cvm_ab_next_look(count);
    }
}

static int count_verdicts(const Machine *machine, double ratio, double precision, int most,
                          CvmAbVerdict wanted) {
    int found = 0;
    for (int i = 0; i < TRIALS; i++)
        found += trial(machine, ratio, precision, most, (uint64_t)i * 7919 + 1) == wanted;
    return found;
}

static const Machine machines[] = {
    {.jitter = 0.01},
    {.jitter = 0.02, .bursts = 0.1, .drift = 0.005},
    {.jitter = 0.01, .bursts = 0.02, .drift = 0.002, .placement = 0.01},
    {.jitter = 0.1, .bursts = 0.3, .drift = 0.02, .placement = 0.05},
};
enum { MACHINES = sizeof machines / sizeof *machines };

static void a_program_is_no_different_from_itself_in_95_percent_of_trials(void **state) {
    (void)state;
    for (int i = 0; i < MACHINES; i++) {
        int same = count_verdicts(&machines[i], 1, 0.01, 40, CVM_AB_NO_DIFFERENCE);
        if (same < TRIALS * 95 / 100)
            fail_msg("machine %d: only %d of %d trials", i, same, TRIALS);
    }
}

static void differences_are_found_on_their_side(void **state) {
    (void)state;
    for (int i = 0; i < MACHINES - 1; i++) {
        assert_true(count_verdicts(&machines[i], 1.05, 0.01, 40, CVM_AB_A_FASTER) >
                    TRIALS * 9 / 10);
        assert_true(count_verdicts(&machines[i], 0.95, 0.01, 40, CVM_AB_B_FASTER) >
                    TRIALS * 9 / 10);
    }
}

static void the_interval_holds_the_estimate_and_depends_on_the_seed_alone(void **state) {
    (void)state;
    CvmTestRandom random = {5};
    double blocks[30];
    for (int i = 0; i < 30; i++)
        blocks[i] = 0.01 * normal(&random);
    CvmAbRatio one = cvm_ab_ratio(blocks, 30, 1), again = cvm_ab_ratio(blocks, 30, 1);
    assert_true(one.low <= one.ratio && one.ratio <= one.high);
    assert_memory_equal(&one, &again, sizeof one);
}

static void a_block_is_the_median_of_its_pairs(void **state) {
    (void)state;
    const double a[] = {1, 1, 1, 1}, b[] = {1, 2, 4, 100};
    assert_true(fabs(exp(cvm_ab_block(a, b, 3)) - 2) < 1e-12);
    assert_true(fabs(exp(cvm_ab_block(a, b, 4)) - sqrt(8)) < 1e-12);
    const double zeros[12] = {0};
    CvmAbRatio even = cvm_ab_ratio(zeros, 12, 1);
    assert_int_equal(cvm_ab_verdict(&even), CVM_AB_NO_DIFFERENCE);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_program_is_no_different_from_itself_in_95_percent_of_trials),
        cmocka_unit_test(differences_are_found_on_their_side),
        cmocka_unit_test(the_interval_holds_the_estimate_and_depends_on_the_seed_alone),
        cmocka_unit_test(a_block_is_the_median_of_its_pairs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
