/* One training three ways: by the command, through a shared object and through libcvm. The same
 * pictures at the same rates give the same bits, also where the program evaluates, reads and writes
 * weights, saves and resumes on the way, and where the command is interrupted and goes on. The
 * network's convolutions keep their weights packed. */
#include "compiler/front/program.h"
#include "libcvm/cvm.h"
#include "runtime/checkpoint.h"
#include "runtime/dataset.h"
#include "runtime/safetensors.h"
#include "tests/support/net.h"
#include "tests/support/patterns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 12, BATCH = 6, EPOCHS = 2, ELEMENTS = 28 * 28, LARGEST = 1 << 14 };

static const char MODEL[] =
    "data patterns { folder \"patterns\" image [1, 28, 28] "
    "classes [\"rows\", \"columns\", \"square\", \"ring\"] "
    "train idx(\"train-images\", \"train-labels\") test idx(\"test-images\", \"test-labels\") }\n"
    "model Wide(classes: int = 4) { input image: [1, 28, 28]\n"
    "    body { conv(16, kernel=5, stride=4) relu\n"
    "           conv(32, kernel=3, pad=1, bias=false) batchnorm relu\n"
    "           conv(32, kernel=3, stride=2, groups=2) dropout(0.2) relu flatten }\n"
    "    head { linear(classes) } }\n"
    "train Wide on patterns { normalize mean_of_train loss cross_entropy epochs 2 batch 6 seed 3\n"
    "    ";

static CvmTestPlace place;

/* A training with what its steps take, in their order. */
typedef struct Lesson {
    CvmArena *arena;
    const char *text; /* of the .cvm file */
    const CvmTrain *train;
    float images[COUNT * ELEMENTS]; /* of the data set */
    int32_t labels[COUNT];
    float batch[BATCH * ELEMENTS]; /* of a step */
    int32_t targets[BATCH];
    CvmTensorFile expected; /* the command's checkpoint */
} Lesson;

static const char *path_of(const char *name, char path[512]) {
    snprintf(path, 512, "%s/%s", place.folder, name);
    return path;
}

static void read_pictures(Lesson *lesson) {
    char images[512], labels[512], checkpoint[512];
    CvmDataset data;
    CvmCheckpointInfo info;
    CvmError error;
    int32_t samples[COUNT];
    const CvmShape image = {3, {1, 28, 28}};
    assert_true(cvm_dataset_read_idx(path_of("data/patterns/train-images", images),
                                     path_of("data/patterns/train-labels", labels), image, 4, &data,
                                     &error));
    assert_true(cvm_checkpoint_read_info(path_of("whole.safetensors", checkpoint), &info, &error));
    for (int i = 0; i < COUNT; i++)
        samples[i] = i;
    const CvmBatch batch = {.data = &data,
                            .normalization = &info.normalization,
                            .samples = samples,
                            .count = COUNT,
                            .images = lesson->images,
                            .labels = lesson->labels};
    assert_true(cvm_dataset_fill(&batch, &error));
    cvm_dataset_free(&data);
    free(info.classes);
    free(info.history);
}

/* Trains with the command, in one go and with a break. */
static void open_lesson(const char *rules, Lesson *lesson) {
    char path[512];
    CvmDiag diag;
    CvmError error;
    *lesson = (Lesson){.arena = cvm_arena_create()};
    lesson->text = cvm_arena_format(lesson->arena, "%s%s }\n", MODEL, rules);
    cvm_test_write_text(&place, "wide.cvm", lesson->text);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "wide.cvm", "-o", "whole.safetensors", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "wide.cvm", "-o", "part.safetensors",
                    "--stop-after", "1", NULL);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "wide.cvm", "-o", "part.safetensors",
                    "--resume", NULL);
    assert_true(
        cvm_tensor_file_open(path_of("whole.safetensors", path), &lesson->expected, &error));
    cvm_diag_init(&diag, lesson->arena);
    CvmProgram *program = cvm_program_load(lesson->arena, path_of("wide.cvm", path), NULL, &diag);
    assert_non_null(program);
    lesson->train = cvm_program_train(program, 0);
    read_pictures(lesson);
}

static void close_lesson(Lesson *lesson) {
    cvm_tensor_file_close(&lesson->expected);
    cvm_arena_free(lesson->arena);
}

/* The pictures of a step; its rate. */
static float next_batch(Lesson *lesson, int epoch, int step) {
    int32_t order[COUNT];
    const CvmPlateau plateau = cvm_plateau_begin();
    CvmRate rate = lesson->train->rate;
    rate.epochs = EPOCHS;
    cvm_shuffle(order, COUNT, lesson->train->seed, (uint64_t)epoch);
    for (int i = 0; i < BATCH; i++) {
        int sample = order[step * BATCH + i];
        memcpy(lesson->batch + i * ELEMENTS, lesson->images + sample * ELEMENTS,
               ELEMENTS * sizeof(float));
        lesson->targets[i] = lesson->labels[sample];
    }
    return (float)cvm_rate_at(&rate, &plateau, epoch, step, COUNT / BATCH);
}

/* Of the command's checkpoint: the weights that training goes on with. */
static void expect_bits(const Lesson *lesson, const char *name, const float *values,
                        int64_t elements) {
    const char *raw = cvm_arena_format(lesson->arena, "optimizer.%s.raw", name);
    const CvmFileTensor *tensor = cvm_tensor_file_find(&lesson->expected, raw);
    if (!tensor)
        tensor = cvm_tensor_file_find(&lesson->expected, name);
    assert_non_null(tensor);
    assert_int_equal(tensor->bytes, 4 * elements);
    for (int64_t i = 0; i < elements; i++)
        if (memcmp(values + i, (const char *)tensor->data + 4 * i, 4) != 0)
            fail_msg("%s[%lld] is %.9g and not %.9g", name, (long long)i, (double)values[i],
                     (double)((const float *)tensor->data)[i]);
}

/* --- through a shared object --- */

/* Weights that are got and set again are the same, and stop nothing. */
static void get_and_set(const CvmTestNet *net, cvm_net_trainer *trainer, bool set) {
    static float values[LARGEST], again[LARGEST];
    for (int i = 0; i < net->parameter_count(); i++) {
        cvm_net_parameter parameter = {.size = sizeof parameter};
        assert_int_equal(net->parameter_at(i, &parameter), CVM_NET_OK);
        size_t elements = (size_t)parameter.elements;
        assert_int_equal(net->trainer_get_parameter(trainer, parameter.name, values, elements),
                         CVM_NET_OK);
        if (!set)
            continue;
        assert_int_equal(net->trainer_set_parameter(trainer, parameter.name, values, elements),
                         CVM_NET_OK);
        assert_int_equal(net->trainer_get_parameter(trainer, parameter.name, again, elements),
                         CVM_NET_OK);
        assert_memory_equal(values, again, elements * sizeof *values);
    }
}

/* What lies between two steps of a program that looks at what it trains. */
static void interrupt(const CvmTestNet *net, cvm_net_trainer **trainer, Lesson *lesson, bool set) {
    char path[512];
    float logits[BATCH * 4], again[BATCH * 4];
    cvm_net_evaluation evaluation = {.size = sizeof evaluation};
    cvm_net_trainer *resumed;
    const cvm_net_options options = {.size = sizeof options, .threads = 2};
    get_and_set(net, *trainer, set);
    assert_int_equal(net->evaluate(*trainer, lesson->images, lesson->labels, COUNT, &evaluation),
                     CVM_NET_OK);
    assert_int_equal(net->predict(*trainer, lesson->images, BATCH, logits, NULL), CVM_NET_OK);
    assert_int_equal(net->save_checkpoint(*trainer, path_of("middle.safetensors", path)),
                     CVM_NET_OK);
    assert_int_equal(net->trainer_create(NULL, &options, &resumed), CVM_NET_OK);
    assert_int_equal(net->resume(resumed, path), CVM_NET_OK);
    assert_int_equal(net->predict(resumed, lesson->images, BATCH, again, NULL), CVM_NET_OK);
    assert_memory_equal(logits, again, sizeof again);
    net->trainer_destroy(*trainer);
    *trainer = resumed;
}

static void train_object(Lesson *lesson) {
    static float values[LARGEST];
    CvmTestNet net;
    cvm_net_trainer *trainer;
    const cvm_net_options options = {.size = sizeof options, .threads = 1};
    const bool averages = strstr(lesson->text, "average") != NULL;
    cvm_test_expect(&place, 0, NULL, NULL, "build", "wide.cvm", "--train", "--packed", "--blas",
                    NULL);
    cvm_test_expect(&place, 0, "\"does\":\"evaluation\"", NULL, "inspect", "wide.so", "--json",
                    NULL); /* which there is where parameters are packed */
    cvm_test_net_load(&place, "wide", true, &net);
    assert_int_equal(net.trainer_create(NULL, &options, &trainer), CVM_NET_OK);
    for (int i = 0; i < EPOCHS * COUNT / BATCH; i++) {
        float rate = next_batch(lesson, i / (COUNT / BATCH), i % (COUNT / BATCH));
        assert_int_equal(net.set_rate(trainer, rate), CVM_NET_OK);
        if (i % 2) {
            assert_int_equal(net.gradients(trainer, lesson->batch, lesson->targets, BATCH, NULL),
                             CVM_NET_OK);
            assert_int_equal(net.apply(trainer, 1), CVM_NET_OK);
        } else {
            assert_int_equal(net.step(trainer, lesson->batch, lesson->targets, BATCH, NULL),
                             CVM_NET_OK);
        }
        if (i == 1)
            interrupt(&net, &trainer, lesson, !averages); /* which setting begins anew */
    }
    for (int i = 0; i < net.parameter_count(); i++) {
        cvm_net_parameter parameter = {.size = sizeof parameter};
        assert_int_equal(net.parameter_at(i, &parameter), CVM_NET_OK);
        assert_int_equal(
            net.trainer_get_parameter(trainer, parameter.name, values, (size_t)parameter.elements),
            CVM_NET_OK);
        expect_bits(lesson, parameter.name, values, parameter.elements);
    }
    net.trainer_destroy(trainer);
    cvm_test_net_unload(&net);
}

/* --- through libcvm --- */

static void ok(cvm_status status) {
    if (status)
        fail_msg("%s", cvm_message());
}

static void train_network(Lesson *lesson) {
    static float values[LARGEST];
    char cache[512], path[512];
    cvm_network *network;
    const cvm_options options = {
        .size = sizeof options, .threads = 1, .cache = path_of("cache/cvm", cache)};
    ok(cvm_network_compile(lesson->text, &options, &network));
    for (int i = 0; i < EPOCHS * COUNT / BATCH; i++) {
        float rate = next_batch(lesson, i / (COUNT / BATCH), i % (COUNT / BATCH));
        if (i % 2) {
            ok(cvm_network_differentiate(network, lesson->batch, lesson->targets, NULL));
            ok(cvm_network_step(network, rate, 1));
        } else {
            ok(cvm_network_learn(network, lesson->batch, lesson->targets, rate, NULL));
        }
        ok(cvm_network_run(network, lesson->images, BATCH + 1, values, NULL));
        if (i == 1) {
            ok(cvm_network_save_checkpoint(network, path_of("middle.safetensors", path)));
            cvm_network_free(network);
            ok(cvm_network_compile(lesson->text, &options, &network));
            ok(cvm_network_resume(network, path));
        }
    }
    for (int i = 0; i < cvm_network_parameter_count(network); i++) {
        cvm_parameter parameter = {.size = sizeof parameter};
        ok(cvm_network_parameter_at(network, i, &parameter));
        ok(cvm_network_get(network, parameter.name, values, (size_t)parameter.elements));
        expect_bits(lesson, parameter.name, values, parameter.elements);
    }
    ok(cvm_network_save(network, path_of("network.safetensors", path)));
    cvm_network_free(network);
}

/* What classifies: the weights, or their averages. */
static void expect_saved_weights(const Lesson *lesson) {
    char path[512];
    CvmTensorFile saved;
    CvmError error;
    assert_true(cvm_tensor_file_open(path_of("network.safetensors", path), &saved, &error));
    for (int i = 0; i < saved.count; i++) {
        const CvmFileTensor *mine = &saved.tensors[i],
                            *theirs = cvm_tensor_file_find(&lesson->expected, mine->name);
        assert_non_null(theirs);
        assert_memory_equal(mine->data, theirs->data, (size_t)mine->bytes);
    }
    cvm_tensor_file_close(&saved);
}

static void train_three_ways(const char *rules) {
    static Lesson lesson;
    open_lesson(rules, &lesson);
    assert_true(cvm_test_same_bytes(&place, "whole.safetensors", "part.safetensors"));
    train_object(&lesson);
    train_network(&lesson);
    expect_saved_weights(&lesson);
    close_lesson(&lesson);
}

static void momentum_with_averages(void **state) {
    (void)state;
    train_three_ways("optimizer sgd(rate=0.05, momentum=0.9, decay=1e-3) schedule cosine "
                     "average 0.9");
}

static void micro_batches_by_adam(void **state) {
    (void)state;
    train_three_ways("optimizer adam(rate=0.01) clip 1 accumulate 3 schedule one_cycle");
}

static void a_frozen_start_and_a_low_rate(void **state) {
    (void)state;
    train_three_ways("optimizer sgd(rate=0.05, momentum=0.9, nesterov=true) "
                     "rate body 0.1x freeze body.conv1");
}

static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, COUNT, 8);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(momentum_with_averages),
        cmocka_unit_test(micro_batches_by_adam),
        cmocka_unit_test(a_frozen_start_and_a_low_rate),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
