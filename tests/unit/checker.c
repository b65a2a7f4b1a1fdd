/* The language's mistakes, each with the code and the place it must be told at, and that several
 * are told in one go; and what a program that holds is made of. */
#include "compiler/front/program.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Checked {
    CvmArena *arena;
    CvmDiag diag;
    CvmSource source;
    CvmProgram *program;
} Checked;

static void check(Checked *checked, const char *text) {
    checked->arena = cvm_arena_create();
    cvm_diag_init(&checked->diag, checked->arena);
    checked->source = (CvmSource){.path = "test.cvm", .text = text, .length = strlen(text)};
    checked->program =
        cvm_program_from_source(checked->arena, &checked->source, NULL, false, &checked->diag);
}

typedef struct Mistake {
    const char *text;
    int code, line, column;
    const char *mend; /* part of it, or NULL */
} Mistake;

#define DATA "data d { image [1, 8, 8] classes 2 train idx(\"a\", \"b\") test idx(\"c\", \"d\") }\n"
#define MODEL "model M { input image: [1, 8, 8] body { flatten linear(2) } }\n"
#define TRAIN                                                                                      \
    DATA MODEL "train M on d { loss cross_entropy optimizer sgd(rate=0.1) epochs 1 batch 2 "

static const Mistake mistakes[] = {
    /* text and syntax */
    {"model M {\n  input image: [1, 8, 8\n}\n", 1001, 3, 1, NULL},
    {"model M { input image: [1, 8, 8] flatten", 1001, 1, 41, "close the '{' of line 1"},
    {"modl M { }\n", 1001, 1, 1, NULL},
    {"model M { input image: [1, 8, 8] flatten ; }\n", 1002, 1, 42, NULL},
    {"model M { input image: [1, 8, 99999999999999999999] }\n", 1004, 1, 31, NULL},
    {"import \"std\n", 1005, 1, 8, NULL},
    {"import \"a\\q\"\n", 1006, 1, 8, NULL},
    /* names */
    {"import \"x.cvm\"\n", 1101, 1, 8, NULL},
    {DATA DATA, 1104, 2, 6, NULL},
    {"model M { input image: [1, 8, 8] let x = it\n conv(2, kernel=3) }\n", 1111, 1, 38, NULL},
    {"block b(n: int) { relu }\n", 1111, 1, 9, NULL},
    {"block b(relu: int) { conv(relu, kernel=1) }\n", 1110, 1, 9, NULL},
    {"block b(n: real) { conv(n, kernel=1) }\n", 1112, 1, 12, NULL},
    {"model M { input image: [1, 8, 8] cnov(2, kernel=3) }\n", 1201, 1, 34, "'conv'"},
    {"model M { input image: [1, 8, 8] conv(2, kernal=3) }\n", 1203, 1, 42, "'kernel'"},
    {"model M { input image: [1, 8, 8] conv(2, 3, kernel=3) }\n", 1204, 1, 45, NULL},
    {"model M { input image: [1, 8, 8] conv(2) }\n", 1205, 1, 34, "kernel="},
    {"model M { input image: [1, 8, 8] relu(2) }\n", 1206, 1, 39, NULL},
    {"model M { input image: [1, 8, 8] conv(2, kernel=true) }\n", 1211, 1, 49, NULL},
    {"model M { input image: [1, 8, 8] conv(2, kernel=[1, 2, 3]) }\n", 1207, 1, 49, NULL},
    {"model M { input image: [1, 8, 8] conv(n, kernel=1) }\n", 1210, 1, 39, NULL},
    {"model M { input image: [1, 8, 8] conv(1 / 0, kernel=1) }\n", 1212, 1, 39, NULL},
    {"model M { input image: [1, 8, 8] conv(9223372036854775807 + 1, kernel=1) }\n", 1213, 1, 39,
     NULL},
    {"model M { input image: [1, 8, 8] conv(2 - 3, kernel=1) }\n", 1214, 1, 39, NULL},
    {"model M { input image: [8, 8] }\n", 1215, 1, 24, NULL},
    /* shapes and structure */
    {"model M { input image: [1, 8, 8]\n linear(2) }\n", 1222, 2, 2, "flatten"},
    {"model M { relu input image: [1, 8, 8] }\n", 1220, 1, 11, NULL},
    {"block b { input image: [1, 8, 8] }\n", 1230, 1, 11, NULL},
    {"model M { relu }\n", 1231, 1, 7, NULL},
    {"model M { input image: [1, 8, 8] a { relu } a { relu } }\n", 1232, 1, 45, NULL},
    {"model M { input image: [1, 8, 8] for (a, b) in [(1, 2), 3] { conv(a * b, kernel=1) } }\n",
     1233, 1, 57, NULL},
    {"block b { b }\nmodel M { input image: [1, 8, 8] b }\n", 1241, 1, 11, NULL},
    {"block b { repeat 100000 { relu } }\n"
     "model M { input image: [1, 8, 8] repeat 100000 { b } }\n",
     1240, 1, 27, NULL},
    /* data */
    {"data d { image [1, 8, 8] classes 2 train idx(\"a\", \"b\") test idx(\"c\") }\n", 1310, 1, 61,
     NULL},
    {"data d { folder 3 image [1, 8, 8] classes 2 train idx(\"a\", \"b\") test idx(\"c\", \"d\") "
     "}\n",
     1311, 1, 17, NULL},
    {"data d { image [1, 8, 8] classes [\"a\"] train idx(\"a\", \"b\") test idx(\"c\", \"d\") }\n",
     1312, 1, 34, NULL},
    {"data d { folder \"f\" image [3, 8, 8] split 1.5 }\n", 1316, 1, 43, NULL},
    {"data d { folder \"f\" image [3, 8, 8] split 0.5 train folder(\"g\") }\n", 1316, 1, 47, NULL},
    {"data d { folder \"f\" image [2, 8, 8] split 0.5 }\n", 1316, 1, 6, NULL},
    {"data d { image [5, 8, 8] classes 10 train idx(\"a\", \"b\") test idx(\"c\", \"d\") }\n", 1316,
     1, 16, "channels, height"},
    {"data d { folder \"f\" image [3, 8, 8] split 0.5 resize 4 }\n", 1347, 1, 47, NULL},
    {"data d { image [3, 32, 32] classes 10 train cifar10(\"a\") test idx(\"a\", \"b\") }\n", 1316,
     1, 63, NULL},
    {"data d { image [3, 28, 28] classes 10 train cifar10(\"a\") test cifar10(\"b\") }\n", 1316, 1,
     6, NULL},
    {"data d { image [3, 32, 32] classes 20 train cifar100(\"a\", labels=rough) test "
     "cifar100(\"b\") }\n",
     1310, 1, 45, NULL},
    {"data d { imag [1, 8, 8] }\n", 1313, 1, 10, "'image'"},
    {"data d { classes 2 classes 2 }\n", 1314, 1, 20, NULL},
    /* training */
    {TRAIN "}\ntrain N on d { }\n", 1300, 4, 7, "'M'"},
    {MODEL "train M on e { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n", 1301, 2,
     12, "import"},
    {"model M { input image: [1, 9, 8] body { flatten linear(2) } }\n" DATA
     "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n",
     1302, 3, 12, NULL},
    {"model M { input image: [1, 8, 8] relu }\n" DATA
     "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n",
     1303, 3, 7, NULL},
    {"model M { input image: [1, 8, 8] flatten linear(2) softmax }\n" DATA
     "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n",
     1306, 3, 7, "leave the last layer out"},
    {"model M { input image: [1, 8, 8] flatten linear(3) }\n" DATA
     "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n",
     1304, 3, 7, "linear(2)"},
    {"data d { folder \"f\" image [1, 8, 8] split 0.5 }\n"
     "model M { input image: [1, 8, 8] flatten linear(1) }\n"
     "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n",
     1304, 3, 7, "two classes"},
    {TRAIN "}\ntrain M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 batch 1 }\n", 1305,
     4, 7, "as NAME"},
    {DATA MODEL "train M on d { loss cross_entropy(smoothing=2) optimizer sgd(rate=1) epochs 1 "
                "batch 1 }\n",
     1322, 3, 35, NULL},
    {DATA MODEL "train M on d { loss cross_entropy(smooth=0.1) optimizer sgd(rate=1) epochs 1 "
                "batch 1 }\n",
     1203, 3, 35, "smoothing"},
    {TRAIN "schedule cosin }\n", 1320, 3, 85, "'cosine'"},
    {TRAIN "schedule cosine(rise=3) }\n", 1203, 3, 92, NULL},
    {TRAIN "schedule step(epochs=0, factor=0.5) }\n", 1322, 3, 90, NULL},
    {TRAIN "schedule cosine(warmup=1) }\n", 1328, 3, 7, NULL},
    {TRAIN "schedule cosine(least=0.2) }\n", 1328, 3, 7, NULL},
    {TRAIN "clip 0 }\n", 1322, 3, 81, NULL},
    {TRAIN "average 1 }\n", 1322, 3, 84, NULL},
    {TRAIN "accumulate 3 }\n", 1329, 3, 87, "divisor"},
    {TRAIN "accumulate 0 }\n", 1214, 3, 87, NULL},
    {DATA MODEL "train M on d { loss cross_entropy optimizer adamm(rate=1) epochs 1 batch 1 }\n",
     1320, 3, 45, "'adam'"},
    {DATA MODEL "train M on d { loss cross_entropy optimizer adam(rate=1, momentum=0.9) epochs 1 "
                "batch 1 }\n",
     1203, 3, 58, NULL},
    {DATA MODEL "train M on d { loss cross_entropy optimizer sgd(rate=1, nesterov=1) epochs 1 "
                "batch 1 }\n",
     1207, 3, 66, NULL},
    {DATA MODEL "train M on d { loss cross_entropy optimizer sgd(rate=1, nesterov=true) epochs 1 "
                "batch 1 }\n",
     1327, 3, 45, "momentum"},
    {TRAIN "weights body }\n", 1323, 3, 84, NULL},
    {TRAIN "epoch 3 }\n", 1324, 3, 76, "'epochs'"},
    {TRAIN "batch 3 }\n", 1325, 3, 76, NULL},
    {DATA MODEL "train M on d { loss cross_entropy optimizer sgd(rate=1) epochs 1 }\n", 1326, 3, 7,
     NULL},
    {TRAIN "freeze boddy }\n", 1330, 3, 83, "'body'"},
    {TRAIN "freeze body at epoch 2 }\n", 1332, 3, 83, "earlier epoch"},
    {TRAIN "freeze body unfreeze body at epoch 2 }\n", 1332, 3, 97, NULL},
    {TRAIN "freeze body at epoch 0 }\n", 1214, 3, 97, NULL},
    {TRAIN "unfreeze body at epoch 1 }\n", 1333, 3, 85, "freeze it"},
    {TRAIN "unfreeze body }\n", 1001, 3, 90, NULL},
    {TRAIN "freeze * }\n", 1334, 3, 83, "last layer"},
    {TRAIN "rate bod 0.5x per layer }\n", 1330, 3, 81, "'body'"},
    {TRAIN "rate body 0.5x per }\n", 1001, 3, 95, NULL},
    /* name maps */
    {"names m { \"a\" -> b \"a\" }\n", 1001, 1, 24, NULL},
    {"names m { ignor \"a\" }\n", 1341, 1, 11, "ignore"},
    {"names m { in turn \"a\" }\n", 1341, 1, 14, "in order"},
    {"names m { \"a..b\" -> c }\n", 1341, 1, 11, NULL},
    {"names m { \"*.a\" -> b }\n", 1342, 1, 11, "as many '*'"},
    {"names m { }\nnames m { }\n", 1104, 2, 7, NULL},
    {TRAIN "weights \"w\" names torch }\n", 1343, 3, 94, "std/torchvision.cvm"},
    {"names touch { }\n" TRAIN "weights \"w\" names torch }\n", 1343, 4, 94, "'touch'"},
    /* predict blocks */
    {MODEL "predict N { }\n", 1344, 2, 9, "'M'"},
    {"model P(n: int) { input image: [1, 8, 8] flatten linear(n) }\npredict P { }\n", 1344, 2, 9,
     NULL},
    {MODEL "predict M { resise 8 }\n", 1345, 2, 13, "'resize'"},
    {MODEL "predict M { resize 8 resize 8 }\n", 1345, 2, 22, NULL},
    {MODEL "predict M { resize [8, 8, 8] }\n", 1346, 2, 20, "[height, width]"},
    {MODEL "predict M { resize 0 }\n", 1214, 2, 20, NULL},
    {MODEL "predict M { labels names }\n", 1001, 2, 20, NULL},
    {MODEL "predict M { labels 3 }\n", 1346, 2, 20, "classes.txt"},
    {MODEL "predict M { names \"x\" }\n", 1346, 2, 19, NULL},
    {MODEL "predict M { names x }\n", 1343, 2, 19, NULL},
    {MODEL "predict M { resize 9 crop 7 }\n", 1347, 2, 22, "8 high and 8 wide"},
    {MODEL "predict M { resize 7 }\n", 1347, 2, 13, NULL},
    {MODEL "predict M { resize [8, 9] }\n", 1347, 2, 13, NULL},
    {MODEL "predict M { resize [7, 9] crop 8 }\n", 1347, 2, 27, NULL},
    {MODEL "predict M { normalize imagenet }\n", 1348, 2, 23, "each channel"},
    {MODEL "predict M { normalize mean(1, 2) }\n", 1348, 2, 23, NULL},
    {"model M { input image: [5, 8, 8] flatten linear(3) }\npredict M { normalize unit }\n", 1348,
     2, 23, NULL},
    {MODEL "predict M { normalize mean(1, deviation=[1, 2]) }\n", 1346, 2, 31, NULL},
    {MODEL "predict M { normalize mean(1, deviation=[0]) }\n", 1346, 2, 42, NULL},
    {MODEL "predict M { normalize mean(256) }\n", 1346, 2, 28, NULL},
    {MODEL "predict M { normalize mean }\n", 1346, 2, 23, NULL},
    {MODEL "predict M { normalize mean_of_train }\n", 1346, 2, 23, "mean("},
    {MODEL "predict M { normalize imagnet }\n", 1320, 2, 23, "'imagenet'"},
    {MODEL "predict M { }\npredict M { }\n", 1349, 3, 9, NULL},
    {TRAIN "normalize imagenet }\n", 1348, 3, 86, NULL},
};

static void test_each_mistake_is_told_at_its_place(void **state) {
    (void)state;
    int untold = 0;
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const Mistake *mistake = &mistakes[i];
        Checked checked;
        check(&checked, mistake->text);
        bool told = false;
        for (const CvmDiagnostic *one = checked.diag.first; one; one = one->next)
            told |= one->code == mistake->code && one->span.first_line == mistake->line &&
                    one->span.first_column == mistake->column &&
                    (!mistake->mend || (one->mend && strstr(one->mend, mistake->mend)));
        if (!told) {
            untold++;
            cvm_diag_print(&checked.diag, stderr);
            print_error("expected CVM%d at %d:%d for\n%s", mistake->code, mistake->line,
                        mistake->column, mistake->text);
        }
        assert_null(checked.program);
        cvm_arena_free(checked.arena);
    }
    assert_int_equal(untold, 0);
}

static void test_several_mistakes_are_told_in_one_go(void **state) {
    (void)state;
    Checked checked;
    check(&checked, "model A {\n input image: [1, 8, 8]\n cnov(2)\n rellu\n}\n"
                    "model B {\n input image [1]\n relu\n}\n"
                    "model C { input image: [1, 8, 8] linear(3) }\n");
    int codes[] = {1201, 1201, 1001, 1222};
    int found = 0;
    for (const CvmDiagnostic *one = checked.diag.first; one; one = one->next)
        for (size_t i = 0; i < 4; i++)
            if (one->code == codes[i]) {
                codes[i] = 0;
                found++;
                break;
            }
    assert_int_equal(found, 4);
    cvm_arena_free(checked.arena);
}

/* A mistake inside a block shows the chain of uses that led there. */
static void test_mistakes_in_blocks_show_their_uses(void **state) {
    (void)state;
    Checked checked;
    check(&checked, "block inner(n: int) { conv(n, kernel=9) }\nblock outer { inner(2) }\n"
                    "model M { input image: [1, 8, 8]\n outer }\n");
    const CvmDiagnostic *one = checked.diag.first;
    assert_non_null(one);
    assert_int_equal(one->code, 1225);
    assert_string_equal(one->uses->block, "inner");
    assert_int_equal(one->uses->span.first_line, 2);
    assert_string_equal(one->uses->outer->block, "outer");
    assert_int_equal(one->uses->outer->span.first_line, 4);
    assert_null(one->uses->outer->outer);
    cvm_arena_free(checked.arena);
}

static void test_layers_are_named_by_section_and_count(void **state) {
    (void)state;
    Checked checked;
    check(&checked, "block pair(n: int) { repeat 2 { conv(n, kernel=3, pad=1) relu } }\n"
                    "model M(classes: int = 3) {\n input image: [1, 8, 8]\n"
                    " body { stem { conv(2, kernel=1) } pair(4) pair(n=6) maxpool(2) }\n"
                    " head { flatten linear(classes * 2, bias=false) }\n}\n");
    assert_non_null(checked.program);
    static const char *const names[] = {
        "body.stem.conv1.weight",  "body.stem.conv1.bias",    "body.pair1.conv1.weight",
        "body.pair1.conv1.bias",   "body.pair1.conv2.weight", "body.pair1.conv2.bias",
        "body.pair2.conv1.weight", "body.pair2.conv1.bias",   "body.pair2.conv2.weight",
        "body.pair2.conv2.bias",   "head.linear1.weight",
    };
    const CvmModelUse *model = cvm_program_model(checked.program, 0);
    CvmGraph *graph = cvm_model_build(model, 5, checked.arena, &checked.diag);
    size_t found = 0;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_PARAMETER) {
            assert_true(found < sizeof names / sizeof names[0]);
            assert_string_equal(graph->nodes[i]->origin.name, names[found++]);
        }
    assert_int_equal(found, sizeof names / sizeof names[0]);
    const CvmShape *out = &cvm_graph_find_output(graph, "logits")->type.shape;
    assert_true(out->rank == 2 && out->sizes[0] == 5 && out->sizes[1] == 6);
    cvm_arena_free(checked.arena);
}

static void test_settings_of_a_train(void **state) {
    (void)state;
    Checked checked;
    check(
        &checked, DATA MODEL
        "train M on d as low {\n normalize mean_of_train loss cross_entropy\n"
        " optimizer sgd(rate=0.01, momentum=0.9, decay=5e-4)\n"
        " schedule step(epochs=3, factor=0.1) clip 2.5 epochs 7 batch 16 accumulate 2 average 0.99 "
        "seed 9\n"
        " weights \"w.safetensors\" except body, *.bias\n freeze body rate body.linear1 0.5x\n}\n");
    assert_non_null(checked.program);
    const CvmTrain *train = cvm_program_train(checked.program, 0);
    assert_string_equal(train->name, "low");
    assert_true(train->rate.base == 0.01 && train->optimizer.momentum == 0.9 &&
                train->optimizer.decay == 5e-4);
    assert_true(train->rate.schedule == CVM_RATE_STEP && train->rate.step_epochs == 3 &&
                train->rate.factor == 0.1);
    assert_true(train->clip == 2.5);
    assert_true(train->optimizer.average == 0.99);
    assert_true(train->accumulate == 2 && cvm_train_part(train) == 8);
    assert_true(train->epochs == 7 && train->batch == 16 && train->seed == 9);
    assert_true(train->normalize.kind == CVM_NORMALIZE_MEAN_OF_TRAIN);
    assert_string_equal(train->weights, "w.safetensors");
    assert_int_equal(train->weights_except_count, 2);
    assert_true(cvm_train_multiplier(train, "body.linear1.weight") == 0.5); /* later lines win */
    assert_true(cvm_train_multiplier(train, "body.linear2.weight") == 0);
    assert_true(cvm_train_multiplier(train, "head.linear1.weight") == 1);
    cvm_arena_free(checked.arena);
}

static double multiplier_in(const CvmTrain *train, int epoch, const char *name) {
    CvmTrain then = *train;
    then.epoch = epoch;
    return cvm_train_multiplier(&then, name);
}

/* Later lines win among those whose epoch has come; unfreezing gives back what `rate` said. */
static void test_what_learns_changes_with_the_epochs(void **state) {
    (void)state;
    Checked checked;
    check(&checked,
          DATA "model M {\n input image: [1, 8, 8]\n"
               " body { conv(2, kernel=1) batchnorm conv(2, kernel=1) flatten linear(4) }\n"
               " head { linear(2) }\n}\n"
               "train M on d {\n loss cross_entropy optimizer sgd(rate=0.1)\n"
               " epochs 9 batch 2\n rate body 0.5x per layer\n freeze body\n"
               " unfreeze body.linear1, body.conv2 at epoch 3\n"
               " rate body.conv2 0.1x at epoch 5\n freeze head at epoch 7\n}\n");
    assert_non_null(checked.program);
    const CvmTrain *train = cvm_program_train(checked.program, 0);
    static const struct {
        int epoch;
        const char *name;
        double multiplier;
    } cases[] = {
        {0, "body.conv2.weight", 0},    {1, "body.conv2.weight", 0},
        {2, "body.conv2.weight", 0.25}, {2, "body.linear1.bias", 0.5},
        {4, "body.conv2.weight", 0.1},  {8, "body.conv1.weight", 0},
        {5, "head.linear1.bias", 1},    {6, "head.linear1.bias", 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_true(multiplier_in(train, cases[i].epoch, cases[i].name) == cases[i].multiplier);
    static const int ends[] = {2, 2, 4, 4, 6, 6, 9, 9, 9};
    for (int epoch = 0; epoch < 9; epoch++)
        assert_int_equal(cvm_train_phase_end(train, epoch), ends[epoch]);
    cvm_arena_free(checked.arena);
}

/* Batch norm goes with the layer before it. */
static void test_a_rate_per_layer_falls_from_the_last_one_back(void **state) {
    (void)state;
    Checked checked;
    check(&checked,
          DATA "model M {\n input image: [1, 8, 8]\n"
               " body { conv(2, kernel=1) batchnorm conv(2, kernel=1) flatten linear(4) }\n"
               " head { linear(2) }\n}\n"
               "train M on d {\n loss cross_entropy optimizer sgd(rate=0.1)\n"
               " epochs 1 batch 2\n rate body 0.5x per layer\n}\n");
    assert_non_null(checked.program);
    const CvmTrain *train = cvm_program_train(checked.program, 0);
    assert_true(cvm_train_multiplier(train, "body.conv1.weight") == 0.125);
    assert_true(cvm_train_multiplier(train, "body.batchnorm1.scale") == 0.125);
    assert_true(cvm_train_multiplier(train, "body.conv2.bias") == 0.25);
    assert_true(cvm_train_multiplier(train, "body.linear1.weight") == 0.5);
    assert_true(cvm_train_multiplier(train, "head.linear1.weight") == 1);
    cvm_arena_free(checked.arena);
}

static void test_patterns(void **state) {
    (void)state;
    assert_true(cvm_pattern_matches("body", "body.conv1.weight"));
    assert_true(cvm_pattern_matches("body.conv1", "body.conv1.weight"));
    assert_false(cvm_pattern_matches("body.conv1", "body.conv11.weight"));
    assert_false(cvm_pattern_matches("conv1", "body.conv1.weight"));
    assert_true(cvm_pattern_matches("*.bias", "body.conv1.bias"));
    assert_true(cvm_pattern_matches("*.conv*", "body.stage2.conv3.weight"));
    assert_true(cvm_pattern_matches("*", "body.conv1.bias"));
    assert_false(cvm_pattern_matches("*.bias", "body.conv1.weight"));
}

static void test_nearest_names(void **state) {
    (void)state;
    static const char *const names[] = {"conv", "maxpool", "linear"};
    assert_string_equal(cvm_nearest_name("cnov", names, 3), "conv");
    assert_string_equal(cvm_nearest_name("max_pool", names, 3), "maxpool");
    assert_null(cvm_nearest_name("sigmoid", names, 3));
}

/* A text that nests too deep is refused, not run out of stack on. */
static void test_deep_texts_are_refused(void **state) {
    (void)state;
    static const char *const openers[] = {"(", "[", "-", "1+", "a { "};
    for (size_t i = 0; i < sizeof openers / sizeof openers[0]; i++) {
        char *text = calloc(1, 500000), *end = text;
        assert_non_null(text);
        end += sprintf(end, i == 4 ? "model M { " : "model M { input image: ");
        for (int k = 0; k < 100000; k++)
            end = stpcpy(end, openers[i]);
        Checked checked;
        check(&checked, text);
        assert_null(checked.program);
        assert_true(checked.diag.error_count > 0);
        cvm_arena_free(checked.arena);
        free(text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_mistake_is_told_at_its_place),
        cmocka_unit_test(test_several_mistakes_are_told_in_one_go),
        cmocka_unit_test(test_mistakes_in_blocks_show_their_uses),
        cmocka_unit_test(test_layers_are_named_by_section_and_count),
        cmocka_unit_test(test_settings_of_a_train),
        cmocka_unit_test(test_what_learns_changes_with_the_epochs),
        cmocka_unit_test(test_a_rate_per_layer_falls_from_the_last_one_back),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_nearest_names),
        cmocka_unit_test(test_deep_texts_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
