/* Random training graphs, compiled under random choices of passes and run as a step is run: outputs
 * and updated parameters are those of the reference functions on the graph as it was before any
 * pass. So fusion, layouts, kernels and the memory plan hold together. */
#include "tests/support/random_graph.h"
#include "tests/support/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { GRAPHS = 40 };

static void compiled_steps_give_what_the_references_give(void **state) {
    (void)state;
    const char *const *cpus = compiled_cpus();
    int cpu_count = 0;
    while (cpus[cpu_count])
        cpu_count++;
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 32452843};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        assert_non_null(graph);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        CvmTestSources sources = {arena, seed};
        cvm_test_compiled(graph, cvm_pass_choice_text(&choice, arena), cpus[(int)seed % cpu_count],
                          &sources, 1e-4);
        cvm_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(compiled_steps_give_what_the_references_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
