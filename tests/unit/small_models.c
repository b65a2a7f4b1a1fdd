/* Scaled-down forms of the networks in models/, of the same blocks: whatever passes are chosen, in
 * whatever order and with whatever limits, the evaluation's results and those of a training step
 * are what the reference functions give. */
#include "compiler/front/program.h"
#include "compiler/training_graph.h"
#include "tests/support/random_graph.h"
#include "tests/support/sources.h"

#include <stdlib.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { LISTS = 3, LISTS_SANITIZED = 2 };

#define DATA                                                                                       \
    "data d { image [3, 16, 16] classes 4 train idx(\"a\", \"b\") test idx(\"c\", \"d\") }\n"
#define TRAIN                                                                                      \
    "train M on d { loss cross_entropy optimizer sgd(rate=0.1, momentum=0.9, decay=1e-3)\n"        \
    "    epochs 1 batch 8 }\n"
#define MODEL(layers) DATA "model M { input image: [3, 16, 16]\n" layers " }\n" TRAIN

/* Where a batch fills no vectors, pictures are blocked by channels, and 3x3 convolutions and their
 * gradients are Winograd's. */
static const struct {
    const char *name;
    int64_t batch;
    const char *text;
} models[] = {
    {"linear", 8, MODEL("head { flatten linear(4) }")},
    {"lenet5", 8,
     MODEL("body { conv(6, kernel=5, pad=2) relu maxpool(2) conv(16, kernel=5) relu "
           "maxpool(2) flatten linear(20) relu } head { linear(4) }")},
    {"alexnet", 8,
     MODEL("body { conv(16, kernel=5, stride=2, pad=2) relu lrn maxpool(3, stride=2) "
           "conv(32, kernel=3, pad=1, groups=2) relu flatten linear(16) relu dropout } "
           "head { linear(4) }")},
    {"vgg of many channels", 3,
     "import \"std/vgg.cvm\"\n" MODEL("body { vgg_stage(32, 2) flatten } head { linear(4) }")},
    {"vgg", 8,
     "import \"std/vgg.cvm\"\n" MODEL("body { vgg_stage(16, 2) vgg_stage_bn(16, 1) flatten "
                                      "linear(16) relu } head { linear(4) }")},
    {"resnet", 8,
     "import \"std/residual.cvm\"\n" MODEL(
         "body { conv(16, kernel=3, pad=1, bias=false) batchnorm relu residual(16) "
         "residual_down(32) global_avgpool flatten } head { linear(4) }")},
    {"squeezenet", 8,
     "import \"std/fire.cvm\"\n" MODEL(
         "body { conv(16, kernel=3, stride=2) relu maxpool(3, stride=2, ceil=true) "
         "fire(8, 16) dropout } head { conv(4, kernel=1) relu global_avgpool flatten "
         "}")},
};

static const CvmTrain *load(const char *text, CvmArena *arena, CvmDiag *diag) {
    CvmSource *source = CVM_NEW(arena, CvmSource);
    *source = (CvmSource){.path = "small.cvm", .text = text, .length = strlen(text)};
    const char *stdlib = cvm_arena_format(arena, "%s/stdlib", getenv("CVM_SOURCE_DIR"));
    CvmProgram *program = cvm_program_from_source(arena, source, stdlib, true, diag);
    if (!program)
        cvm_diag_print(diag, stderr);
    assert_non_null(program);
    return cvm_program_train(program, 0);
}

/* All passes, in the table's order. */
static CvmPassChoice every_pass(void) {
    CvmPassChoice choice = {.count = 0};
    cvm_passes(&choice.count);
    for (int i = 0; i < choice.count; i++) {
        choice.order[i] = i;
        choice.limits[i] = INT32_MAX;
    }
    return choice;
}

static void any_passes_give_the_same(void **state) {
    (void)state;
    const char *const *cpus = compiled_cpus();
    int lists = getenv("CVM_SANITIZED") ? LISTS_SANITIZED : LISTS;
    for (uint64_t i = 0; i < sizeof models / sizeof *models; i++) {
        CvmArena *arena = cvm_arena_create();
        CvmDiag diag;
        cvm_diag_init(&diag, arena);
        const CvmTrain *train = load(models[i].text, arena, &diag);
        CvmGraph *step = cvm_training_graph(train, models[i].batch, arena, &diag);
        CvmGraph *evaluation = cvm_inference_graph(train->model, 2, true, arena, &diag);
        assert_non_null(step);
        assert_non_null(evaluation);
        CvmTestRandom random = {i * 7919 + 3};
        CvmTestSources sources = {arena, i + 1};
        for (int list = 0; list < lists; list++) {
            CvmPassChoice choice = list ? cvm_test_random_passes(&random) : every_pass();
            const char *passes = cvm_pass_choice_text(&choice, arena);
            const char *cpu = cpus[list && cpus[1] ? 1 : 0];
            cvm_test_compiled(step, passes, cpu, &sources, 1e-3);
            if (list)
                cvm_test_compiled(evaluation, passes, cpu, &sources, 1e-4);
        }
        cvm_arena_free(arena);
    }
}

/* Adds up how often each pass applies to the step of a model, and the gradients by Winograd. */
static void count_applications(uint64_t model, int lanes, int *applied, int *gradients) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    const CvmTrain *train = load(models[model].text, arena, &diag);
    CvmGraph *step = cvm_training_graph(train, models[model].batch, arena, &diag);
    CvmPassLog log = cvm_pass_log(arena);
    CvmPassContext context = {.diag = &diag, .vector_lanes = lanes, .log = &log};
    CvmPassChoice choice = every_pass();
    assert_true(cvm_run_passes(&choice, &context, step));
    for (int pass = 0; pass < log.report_count; pass++)
        applied[pass] += log.reports[pass].applications;
    for (int k = 0; k < step->node_count; k++)
        *gradients += step->nodes[k]->op == CVM_OP_WINOGRAD_GRAD_WEIGHT;
    cvm_arena_free(arena);
}

/* So that the test above is one of all of them, whatever vectors the machine has. */
static void every_pass_has_something_to_do(void **state) {
    (void)state;
    for (int lanes = 4; lanes <= 16; lanes *= 2) {
        int applied[CVM_MAX_PASSES] = {0}, gradients = 0, count;
        const CvmPass *passes = cvm_passes(&count);
        for (uint64_t i = 0; i < sizeof models / sizeof *models; i++)
            count_applications(i, lanes, applied, &gradients);
        for (int pass = 0; pass < count; pass++)
            if (!applied[pass])
                fail_msg("%s applies to none of the models with %d lanes", passes[pass].name,
                         lanes);
        assert_true(gradients > 0);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_passes_give_the_same),
        cmocka_unit_test(every_pass_has_something_to_do),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
