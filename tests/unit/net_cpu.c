/* Which code of a shared object a processor runs: the first whose features it has; else it is told
 * what it lacks. */
#include "runtime/cpu_features.h"
#include "runtime/net/internal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void features_are_known_by_name(void **state) {
    (void)state;
#if defined(__x86_64__)
    assert_true(cvm_cpu_has("sse2"));
    assert_true(cvm_cpu_feature_matters("avx512vl"));
    assert_int_equal(cvm_cpu_has("avx2"), __builtin_cpu_supports("avx2") != 0);
    assert_int_equal(cvm_cpu_has("fma"), __builtin_cpu_supports("fma") != 0);
    assert_int_equal(cvm_cpu_has("avx512f"), __builtin_cpu_supports("avx512f") != 0);
    assert_int_equal(cvm_cpu_has("avx512bw"), __builtin_cpu_supports("avx512bw") != 0);
    assert_int_equal(cvm_cpu_has("bmi2"), __builtin_cpu_supports("bmi2") != 0);
    assert_int_equal(cvm_cpu_has("sse4a"), __builtin_cpu_supports("sse4a") != 0);
#endif
    assert_false(cvm_cpu_has("warp-drive"));
    assert_false(cvm_cpu_feature_matters("sgx"));
}

static void the_first_code_that_runs_is_taken(void **state) {
    (void)state;
    static const char *const future[] = {"sse2", "warp-drive", NULL}, *const basic[] = {NULL};
    const CvmNetCode codes[] = {{.cpu = "starship", .features = future},
                                {.cpu = "x86-64", .features = basic}};
    const CvmNetDescription about = {.name = "Small", .codes = codes, .code_count = 2};
    const CvmNetCode *code = NULL;
    assert_int_equal(cvm_net_choose_code(&about, &code), CVM_NET_OK);
    assert_ptr_equal(code, &codes[1]);
}

static void what_is_missing_is_named(void **state) {
    (void)state;
    static const char *const future[] = {"warp-drive", "sse2", "shields", NULL};
    const CvmNetCode codes[] = {{.cpu = "starship", .features = future}};
    const CvmNetDescription about = {.name = "Small", .codes = codes, .code_count = 1};
    const CvmNetCode *code = NULL;
    assert_int_equal(cvm_net_choose_code(&about, &code), CVM_NET_BAD_CPU);
    assert_null(code);
    if (!strstr(cvm_net_message(), "this processor lacks warp-drive, shields, which the code of "
                                   "Small for starship needs"))
        fail_msg("%s", cvm_net_message());
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(features_are_known_by_name),
        cmocka_unit_test(the_first_code_that_runs_is_taken),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
