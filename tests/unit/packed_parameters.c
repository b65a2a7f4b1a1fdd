/* Parameters that are kept packed while they learn: the same steps give the same bits as in plain
 * order, and whatever is compiled later over the same parameters takes them as they are kept. */
#include "compiler/front/program.h"
#include "compiler/training_graph.h"
#include "tests/support/compiled.h"
#include "tests/support/sources.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { BATCH = 2, STEPS = 2, WEIGHTS = 4 /* that are packed */ };

/* A first layer, a 1x1, a depthwise one with a stride, groups, and one whose channels fill no
 * vectors. */
#define PROGRAM                                                                                    \
    "data d { image [3, 4, 4] classes 4 train idx(\"a\", \"b\") test idx(\"c\", \"d\") }\n"        \
    "model M { input image: [3, 4, 4]\n body { conv(16, kernel=3, pad=1) relu "                    \
    "conv(32, kernel=1) relu conv(32, kernel=2, stride=2, groups=32) relu "                        \
    "conv(32, kernel=1, groups=2) relu conv(10, kernel=1) relu flatten } "                         \
    "head { linear(4) } }\n"                                                                       \
    "train M on d { loss cross_entropy epochs 1 batch 2 "

static const CvmTrain *load(const char *rules, CvmArena *arena, CvmDiag *diag) {
    CvmSource *source = CVM_NEW(arena, CvmSource);
    const char *text = cvm_arena_format(arena, "%s%s }\n", PROGRAM, rules);
    *source = (CvmSource){.path = "packed.cvm", .text = text, .length = strlen(text)};
    CvmProgram *program = cvm_program_from_source(arena, source, "stdlib", true, diag);
    if (!program)
        cvm_diag_print(diag, stderr);
    assert_non_null(program);
    return cvm_program_train(program, 0);
}

/* Some steps of training on pictures and labels that follow from their place alone. */
static Compiled run_steps(const CvmTrain *train, const char *passes, const char *cpu,
                          CvmArena *arena, CvmDiag *diag) {
    enum { PIXELS = BATCH * 3 * 4 * 4 };
    const int32_t labels[BATCH] = {1, 3};
    const float rate = 0.05f;
    float pictures[PIXELS];
    Compiled step = compiled_open(cvm_training_graph(train, BATCH, arena, diag), passes, cpu, 2);
    for (int i = 0; i < PIXELS; i++)
        pictures[i] = (float)(i * 37 % 101) / 50 - 1;
    for (int i = 0; i < STEPS; i++) {
        compiled_set(&step, "image", pictures, PIXELS);
        compiled_set(&step, "target", labels, BATCH);
        compiled_set(&step, "rate", &rate, 1);
        compiled_run(&step);
    }
    return step;
}

static int count_packed(const CvmStore *store, const char *ending) {
    int count = 0;
    for (int i = 0; i < store->count; i++) {
        const char *end = strstr(store->tensors[i].name, ending);
        count += store->tensors[i].lanes && end && !end[strlen(ending)];
    }
    return count;
}

static void compare(const char *rules, const char *state, const char *cpu) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    const CvmTrain *train = load(rules, arena, &diag);
    Compiled plain = run_steps(train, "-pack-parameters", cpu, arena, &diag);
    Compiled packed = run_steps(train, "default", cpu, arena, &diag);
    assert_int_equal(count_packed(&plain.store, ""), 0);
    assert_int_equal(count_packed(&packed.store, ".weight"), WEIGHTS);
    assert_int_equal(count_packed(&packed.store, state), WEIGHTS);
    assert_true(*compiled_output(&plain, "loss") == *compiled_output(&packed, "loss"));
    for (int i = 0; i < plain.store.count; i++) {
        const CvmStored *tensor = &plain.store.tensors[i];
        assert_memory_equal(tensor->data, compiled_parameter(&packed, tensor->name),
                            (size_t)cvm_stored_bytes(tensor));
    }
    compiled_close(&plain);
    compiled_close(&packed);
    cvm_arena_free(arena);
}

static void steps_give_the_same_bits(void **state) {
    (void)state;
    compare("optimizer sgd(rate=0.05, momentum=0.9, decay=1e-3) average 0.9", ".weight.momentum",
            "host");
    compare("optimizer adam(rate=0.001)", ".weight.square", "x86-64");
}

/* Of a plan, how many slots with this ending are packed. */
static int slots_packed(const CvmPlan *plan, const char *ending) {
    int count = 0;
    for (int i = 0; i < plan->slot_count; i++) {
        const char *end = strstr(plan->slots[i].name, ending);
        count += plan->slots[i].lanes && end && !end[strlen(ending)];
    }
    return count;
}

static CvmExecutable *compile_beside(CvmGraph *graph, CvmExecutable *const *beside, int count,
                                     CvmDiag *diag) {
    CvmCompileOptions options = {.beside = beside, .beside_count = count};
    assert_true(cvm_pass_choice("default", &options.passes, diag));
    CvmExecutable *executable = cvm_compile(graph, &options, diag);
    assert_non_null(executable);
    return executable;
}

static void later_plans_heed_earlier_ones(void **state) {
    (void)state;
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    const CvmTrain *train =
        load("optimizer sgd(rate=0.05, momentum=0.9) accumulate 2 clip 1", arena, &diag);
    CvmGraph *graphs[] = {cvm_training_graph(train, 1, arena, &diag),
                          cvm_apply_graph(train, arena, &diag),
                          cvm_inference_graph(train->model, 1, false, arena, &diag)};
    CvmExecutable *executables[4];
    const CvmPlan *plans[4];
    for (int i = 0; i < 3; i++) {
        executables[i] = compile_beside(graphs[i], executables, i, &diag);
        plans[i] = cvm_executable_plan(executables[i]);
        assert_int_equal(slots_packed(plans[i], ".weight"), i < 2 ? 2 * WEIGHTS : WEIGHTS);
    }
    assert_int_equal(slots_packed(plans[1], ".momentum"), WEIGHTS);
    /* what is plain already stays so */
    CvmGraph *alone = cvm_inference_graph(train->model, 1, false, arena, &diag);
    executables[3] = compile_beside(alone, NULL, 0, &diag);
    plans[3] = cvm_executable_plan(executables[3]);
    assert_int_equal(slots_packed(plans[3], ""), 0);
    CvmExecutable *step =
        compile_beside(cvm_training_graph(train, 1, arena, &diag), executables + 3, 1, &diag);
    assert_int_equal(slots_packed(cvm_executable_plan(step), ""), 0);
    cvm_executable_free(step);
    for (int i = 0; i < 4; i++)
        cvm_executable_free(executables[i]);
    cvm_arena_free(arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_give_the_same_bits),
        cmocka_unit_test(later_plans_heed_earlier_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
