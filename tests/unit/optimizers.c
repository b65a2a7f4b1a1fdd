/* Optimizers as compiled updates, against what PyTorch computes; tests/reference/optimizers.py made
 * the numbers. */
#include "compiler/graph/optimizer.h"
#include "tests/support/compiled.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { ELEMENTS = 6, STEPS = 5 };
static const float WEIGHT[ELEMENTS] = {0.5f, -1, 2, 0.25f, 1.5f, -0.75f};

typedef struct Case {
    const char *name;
    CvmOptimizer optimizer;
    float rate;
    double clip;
    float expected[ELEMENTS];
    float average[ELEMENTS]; /* where the weight has one */
} Case;

static const Case cases[] = {
    {"sgd",
     {.momentum = 0.9, .decay = 0.01},
     0.1f,
     0,
     {0.599033007f, -0.830633133f, 1.682560167f, 0.429389463f, 1.353030723f, -0.865205080f},
     {0}},
    {"nesterov",
     {.momentum = 0.9, .nesterov = true, .decay = 0.01},
     0.1f,
     0,
     {0.573286545f, -0.755499571f, 1.618083784f, 0.421814876f, 1.335980478f, -0.912181381f},
     {0}},
    {"adam",
     {CVM_OPTIMIZER_ADAM, .mean_keep = 0.9, .square_keep = 0.999, .epsilon = 1e-8, .decay = 0.1},
     0.01f,
     0,
     {0.511620032f, -0.967374417f, 1.961481880f, 0.275135096f, 1.469688441f, -0.745919354f},
     {0}},
    {"adamw",
     {CVM_OPTIMIZER_ADAM, .mean_keep = 0.8, .square_keep = 0.99, .epsilon = 1e-8, .decay = 0.1,
      .decoupled = true},
     0.01f,
     0,
     {0.510609280f, -0.979870575f, 1.963018244f, 0.274314538f, 1.475629691f, -0.749589929f},
     {0}},
    {"lars",
     {CVM_OPTIMIZER_LARS, .momentum = 0.9, .decay = 0.01, .trust = 0.02},
     0.5f,
     0,
     {0.529632967f, -0.961994891f, 1.921731632f, 0.292807099f, 1.469345746f, -0.781497544f},
     {0}},
    {"averaged sgd",
     {.momentum = 0.9, .decay = 0.01, .average = 0.8},
     0.1f,
     0,
     {0.599033007f, -0.830633133f, 1.682560167f, 0.429389463f, 1.353030723f, -0.865205080f},
     {0.608717615f, -0.909054538f, 1.786810631f, 0.386460358f, 1.386671474f, -0.809342926f}},
    {"averaged adamw",
     {CVM_OPTIMIZER_ADAM, .mean_keep = 0.8, .square_keep = 0.99, .epsilon = 1e-8, .decay = 0.1,
      .decoupled = true, .average = 0.8},
     0.01f,
     0,
     {0.510609280f, -0.979870575f, 1.963018244f, 0.274314538f, 1.475629691f, -0.749589929f},
     {0.512352433f, -0.987030677f, 1.972012717f, 0.271532590f, 1.479469886f, -0.746335550f}},
    {"clipped sgd",
     {.momentum = 0.9},
     0.1f,
     0.75,
     {0.584862467f, -0.907257875f, 1.808876488f, 0.367659057f, 1.433839268f, -0.844088568f},
     {0}},
};

static CvmGraph *build(const Case *one, CvmArena *arena, CvmDiag *diag) {
    const CvmShape shape = {2, {2, 3}};
    CvmGraph *graph = cvm_graph_create(arena, "step");
    CvmNode *weight =
        cvm_graph_parameter(graph, "weight", shape, 0, 0, (CvmOrigin){.name = "weight"});
    CvmNode *gradient =
        cvm_graph_input(graph, "gradient", CVM_F32, shape, (CvmOrigin){.name = "gradient"});
    CvmNode *rate =
        cvm_graph_input(graph, "rate", CVM_F32, (CvmShape){0}, (CvmOrigin){.name = "rate"});
    if (one->clip > 0)
        assert_true(cvm_clip_gradients(graph, &gradient, 1, NULL, one->clip, diag));
    assert_true(cvm_add_update(graph, &one->optimizer, weight, gradient, rate, 1, diag));
    assert_true(cvm_graph_verify(graph, diag));
    return graph;
}

static void assert_near(const Case *one, const float *values, const float *expected,
                        const char *passes, const char *cpu) {
    for (int i = 0; i < ELEMENTS; i++)
        if (values[i] < expected[i] - 2e-6f || values[i] > expected[i] + 2e-6f)
            fail_msg("%s (passes %s, %s): element %d is %.9g and should be %.9g", one->name, passes,
                     cpu, i, values[i], expected[i]);
}

static void assert_steps(const Case *one, const char *passes, const char *cpu) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    Compiled compiled = compiled_open(build(one, arena, &diag), passes, cpu, 1);
    compiled_set(&compiled, "weight", WEIGHT, ELEMENTS);
    for (int step = 0; step < STEPS; step++) {
        float gradient[ELEMENTS];
        for (int i = 0; i < ELEMENTS; i++)
            gradient[i] = (float)((step * 7 + i * 5) % 11 - 5) / 8;
        compiled_set(&compiled, "gradient", gradient, ELEMENTS);
        compiled_set(&compiled, "rate", &one->rate, 1);
        compiled_run(&compiled);
    }
    assert_near(one, compiled_parameter(&compiled, "weight"), one->expected, passes, cpu);
    if (one->optimizer.average > 0)
        assert_near(one, compiled_parameter(&compiled, "optimizer.weight.average"), one->average,
                    passes, cpu);
    compiled_close(&compiled);
    cvm_arena_free(arena);
}

static void test_optimizers(void **state) {
    (void)state;
    static const char *const passes[] = {"default", "none"};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int k = 0; k < 2; k++)
            for (const char *const *cpu = compiled_cpus(); *cpu; cpu++)
                assert_steps(&cases[i], passes[k], *cpu);
}

/* Norms over several tensors together, of what the gradients are times a scale; below the limit
 * nothing changes. */
static void test_clipping_counts_all_gradients(void **state) {
    (void)state;
    static const float first[] = {3, 0}, second[] = {0, 4, 0};
    static const double limits[] = {1, 10, 5, 20};
    static const float twice = 2;
    for (int i = 0; i < 4; i++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        CvmGraph *graph = cvm_graph_create(arena, "clip");
        CvmNode *gradients[] = {
            cvm_graph_input(graph, "a", CVM_F32, (CvmShape){1, {2}}, (CvmOrigin){.name = "a"}),
            NULL,
            cvm_graph_input(graph, "b", CVM_F32, (CvmShape){1, {3}}, (CvmOrigin){.name = "b"})};
        CvmNode *scale = i < 2 ? NULL
                               : cvm_graph_input(graph, "scale", CVM_F32, (CvmShape){0},
                                                 (CvmOrigin){.name = "scale"});
        assert_true(cvm_clip_gradients(graph, gradients, 3, scale, limits[i], &diag));
        assert_null(gradients[1]);
        cvm_graph_output(graph, "x", gradients[0]);
        cvm_graph_output(graph, "y", gradients[2]);
        Compiled compiled = compiled_open(graph, "default", "x86-64", 1);
        compiled_set(&compiled, "a", first, 2);
        compiled_set(&compiled, "b", second, 3);
        if (scale)
            compiled_set(&compiled, "scale", &twice, 1);
        compiled_run(&compiled);
        static const double factors[] = {1.0 / 5, 1, 2 * 5.0 / 10, 2};
        double factor = factors[i];
        assert_float_equal(compiled_output(&compiled, "x")[0], 3 * factor, 1e-6);
        assert_float_equal(compiled_output(&compiled, "y")[1], 4 * factor, 1e-6);
        compiled_close(&compiled);
        cvm_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimizers),
        cmocka_unit_test(test_clipping_counts_all_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
