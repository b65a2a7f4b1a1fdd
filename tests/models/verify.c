/* cvmc verify, end to end: right code agrees with its references, a tolerance below rounding finds
 * the first tensor that differs, and what was left out is told. */
#include "compiler/graph/graph.h"
#include "tests/support/json.h"
#include "tests/support/programs.h"
#include "tests/support/random_graph.h"
#include "tests/support/small_place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>
#include <cmocka.h>

static void a_good_file_agrees_however_it_is_compiled(void **state) {
    (void)state;
    cvm_test_expect(&place, 0, "what was compared agrees", NULL, "verify", "small.cvm", NULL);
    cvm_test_expect(&place, 0, "training step, batch 3, x86-64, passes -fuse-epilogue", NULL,
                    "verify", "small.cvm", "--cpu", "x86-64", "--passes=-fuse-epilogue", "--batch",
                    "3", NULL);
    cvm_test_expect(&place, 0, "of 8 parameters 8 agree", NULL, "verify", "small.cvm", "--cpu",
                    "host", "--passes", "default", NULL);
}

/* No code rounds as the references do. */
static void the_first_tensor_that_differs_is_told(void **state) {
    (void)state;
    cvm_test_expect(&place, 1,
                    "the first tensor of the graph that differs: body.conv1 (conv), [1, 4, 28, 28]",
                    NULL, "verify", "small.cvm", "--forward", "--cpu", "host", "--passes", "none",
                    "--tolerance", "0", NULL);
    cvm_test_expect(&place, 1, "compiled code and references DIFFER", NULL, "verify", "small.cvm",
                    "--forward", "--cpu", "host", "--tolerance", "1e-10", NULL);
}

static void json_has_every_tensor_and_gradient(void **state) {
    (void)state;
    CvmTestResult result = cvm_test_cvmc(&place, "verify", "small.cvm", "--json", "--cpu", "host",
                                         "--passes", "default", NULL);
    assert_int_equal(result.code, 0);
    cJSON *whole = cJSON_Parse(result.out);
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(whole, "agrees")));
    const cJSON *cases = cJSON_GetObjectItem(whole, "cases");
    assert_int_equal(cJSON_GetArraySize(cases), 2);
    const cJSON *inference = cJSON_GetArrayItem(cases, 0);
    assert_string_equal(cJSON_GetStringValue(cJSON_GetObjectItem(inference, "mode")), "inference");
    assert_true(cJSON_IsNull(cJSON_GetObjectItem(inference, "first_different")));
    const cJSON *bits = cJSON_GetObjectItem(inference, "bits");
    assert_true(cJSON_IsTrue(cJSON_GetObjectItem(bits, "same")));
    const cJSON *tensor = cJSON_GetArrayItem(cJSON_GetObjectItem(inference, "tensors"), 0);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(tensor, "error")) < 1e-5);
    assert_true(cJSON_GetNumberValue(cJSON_GetObjectItem(tensor, "line")) > 1);
    const cJSON *gradients = cJSON_GetObjectItem(whole, "gradients");
    assert_int_equal(cJSON_GetArraySize(cJSON_GetObjectItem(gradients, "parameters")), 8);
    cJSON_Delete(whole);
    cvm_test_result_free(&result);
    result = cvm_test_cvmc(&place, "verify", "small.cvm", "--json", "--cpu", "host", "--passes",
                           "default", "--forward", "--tolerance", "0", NULL);
    assert_int_equal(result.code, 1);
    whole = cJSON_Parse(result.out);
    assert_true(cJSON_IsFalse(cJSON_GetObjectItem(whole, "agrees")));
    cJSON_Delete(whole);
    cvm_test_result_free(&result);
}

/* Whatever passes make of a graph, its values are those of the graph before them. */
static void random_graphs_agree_under_random_passes(void **state) {
    (void)state;
    enum { GRAPHS = 6 };
    for (uint64_t seed = 1; seed <= GRAPHS; seed++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmTestRandom random = {seed * 15485863};
        CvmGraph *graph = cvm_test_random_graph(&random, arena, &diag);
        CvmPassChoice choice = cvm_test_random_passes(&random);
        cvm_test_write_text(&place, "random.graph", cvm_graph_text(graph, false, arena));
        cvm_test_expect(&place, 0, "what was compared agrees", NULL, "verify", "random.graph",
                        "--passes", cvm_pass_choice_text(&choice, arena), "--cpu",
                        seed % 2 ? "host" : "x86-64", NULL);
        cvm_arena_free(arena);
    }
}

/* References that take longer than there is time are left out, and that is told. */
static void what_there_is_no_time_for_is_told(void **state) {
    (void)state;
    cvm_test_write_text(&place, "large.cvm",
                        "model Large {\n"
                        "    input image: [3, 160, 160]\n"
                        "    body { conv(128, kernel=3) relu conv(128, kernel=3) relu\n"
                        "           global_avgpool flatten linear(10) }\n"
                        "}\n");
    cvm_test_expect(&place, 0, " left out", NULL, "verify", "large.cvm", "--seconds", "1", "--cpu",
                    "host", "--passes", "default", "--batch", "2", NULL);
}

static void mistakes_are_told(void **state) {
    (void)state;
    cvm_test_expect(&place, 2, NULL, "not both", "verify", "small.cvm", "--checkpoint", "a",
                    "--weights", "b", NULL);
    cvm_test_expect(&place, 3, NULL, "nothing.safetensors", "verify", "small.cvm", "--checkpoint",
                    "nothing.safetensors", NULL);
    cvm_test_expect(&place, 2, NULL, "sparc", "verify", "small.cvm", "--cpu", "sparc", NULL);
    cvm_test_expect(&place, 2, NULL, "nonsense", "verify", "small.cvm", "--passes", "nonsense",
                    NULL);
    cvm_test_expect(&place, 2, NULL, "has no train", "verify", "small.cvm", "--train", "nothing",
                    NULL);
    cvm_test_write_text(&place, "broken.graph", "graph Net {\n  %0 = nothing\n}\n");
    cvm_test_expect(&place, 1, NULL, "CVM14", "verify", "broken.graph", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_file_agrees_however_it_is_compiled),
        cmocka_unit_test(the_first_tensor_that_differs_is_told),
        cmocka_unit_test(json_has_every_tensor_and_gradient),
        cmocka_unit_test(random_graphs_agree_under_random_passes),
        cmocka_unit_test(what_there_is_no_time_for_is_told),
        cmocka_unit_test(mistakes_are_told),
    };
    return cmocka_run_group_tests(tests, small_place_set_up, small_place_tear_down);
}
