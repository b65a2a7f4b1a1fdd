/* The training and evaluation loops, over plans made by hand whose one kernel is the network. */
#include "runtime/train.h"

#include <math.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Rates */

static void test_constant_rate(void **state) {
    (void)state;
    const CvmRate rate = {.schedule = CVM_RATE_CONSTANT, .base = 0.05, .epochs = 5};
    assert_true(cvm_rate_at(&rate, NULL, 0, 0, 10) == 0.05 &&
                cvm_rate_at(&rate, NULL, 4, 9, 10) == 0.05);
}

static void test_step_rate(void **state) {
    (void)state;
    const CvmRate rate = {
        .schedule = CVM_RATE_STEP, .base = 1, .step_epochs = 2, .factor = 0.5, .epochs = 6};
    static const double EXPECTED[] = {1, 1, 0.5, 0.5, 0.25, 0.25};
    for (int epoch = 0; epoch < 6; epoch++)
        assert_true(cvm_rate_at(&rate, NULL, epoch, 7, 10) == EXPECTED[epoch]);
    const CvmRate never = {.schedule = CVM_RATE_STEP, .base = 1, .factor = 0.5};
    assert_true(cvm_rate_at(&never, NULL, 5, 0, 10) == 1);
}

static void test_cosine_rate(void **state) {
    (void)state;
    const CvmRate rate = {.schedule = CVM_RATE_COSINE, .base = 0.2, .epochs = 4};
    assert_true(cvm_rate_at(&rate, NULL, 0, 0, 10) == 0.2);
    assert_true(fabs(cvm_rate_at(&rate, NULL, 2, 0, 10) - 0.1) < 1e-15);
    assert_true(fabs(cvm_rate_at(&rate, NULL, 1, 0, 10) - 0.2 * (1 + sqrt(0.5)) / 2) < 1e-15);
    assert_true(cvm_rate_at(&rate, NULL, 4, 0, 10) == 0);
    double before = 1;
    for (int step = 0; step < 40; step++) {
        double now = cvm_rate_at(&rate, NULL, step / 10, step % 10, 10);
        assert_true(now < before && now > 0);
        before = now;
    }
}

static void test_warmup_rises_to_the_base(void **state) {
    (void)state;
    const CvmRate rate = {.schedule = CVM_RATE_COSINE, .base = 0.4, .epochs = 3, .warmup = 0.75};
    static const double RISE[] = {0.1, 0.2, 0.3};
    for (int step = 0; step < 3; step++)
        assert_true(fabs(cvm_rate_at(&rate, NULL, 0, step, 4) - RISE[step]) < 1e-15);
    assert_true(cvm_rate_at(&rate, NULL, 0, 3, 4) == 0.4);
    assert_true(cvm_rate_at(&rate, NULL, 3, 0, 4) == 0);
}

static void test_cosine_stops_at_the_least(void **state) {
    (void)state;
    const CvmRate rate = {.schedule = CVM_RATE_COSINE, .base = 0.4, .least = 0.1, .epochs = 2};
    assert_true(cvm_rate_at(&rate, NULL, 0, 0, 4) == 0.4);
    assert_true(fabs(cvm_rate_at(&rate, NULL, 1, 0, 4) - 0.25) < 1e-15);
    assert_true(cvm_rate_at(&rate, NULL, 2, 0, 4) == 0.1);
}

/* PyTorch's values: tests/reference/optimizers.py. */
static void test_one_cycle(void **state) {
    (void)state;
    static const struct {
        int step;
        double rate;
    } EXPECTED[] = {{0, 0.016},       {3, 0.267331263}, {5, 0.4},
                    {6, 0.394985602}, {12, 0.2000008},  {19, 1.6e-06}};
    const CvmRate rate = {.schedule = CVM_RATE_ONE_CYCLE,
                          .base = 0.4,
                          .epochs = 4,
                          .rise = 0.3,
                          .start = 25,
                          .end = 1e4};
    for (size_t i = 0; i < sizeof EXPECTED / sizeof *EXPECTED; i++) {
        int step = EXPECTED[i].step;
        assert_true(fabs(cvm_rate_at(&rate, NULL, step / 5, step % 5, 5) - EXPECTED[i].rate) <
                    1e-9);
    }
    for (int steps = 1; steps < 4; steps++) { /* too few for any phase: still a number */
        double value = cvm_rate_at(&rate, NULL, 3, steps - 1, steps);
        assert_true(value > 0 && value <= 0.4);
    }
}

/* PyTorch's values: tests/reference/optimizers.py. */
static void test_plateau(void **state) {
    (void)state;
    static const double LOSSES[] = {1, 0.5, 0.6, 0.7, 0.8, 0.4, 0.4, 0.4, 0.4};
    static const double EXPECTED[] = {0.4, 0.4, 0.4, 0.4, 0.2, 0.2, 0.2, 0.2, 0.1};
    const CvmRate rate = {
        .schedule = CVM_RATE_PLATEAU, .base = 0.4, .factor = 0.5, .patience = 1, .epochs = 9};
    CvmPlateau plateau = cvm_plateau_begin();
    for (int epoch = 0; epoch < 9; epoch++) {
        assert_true(cvm_rate_at(&rate, &plateau, epoch, 0, 10) == EXPECTED[epoch]);
        cvm_plateau_observe(&rate, &plateau, LOSSES[epoch]);
    }
    const CvmRate stopped = {
        .schedule = CVM_RATE_PLATEAU, .base = 0.4, .factor = 0.5, .least = 0.3};
    assert_true(cvm_rate_at(&stopped, &plateau, 0, 0, 10) == 0.3);
}

/* A network of one weight: loss = mean((w x - target)^2), x the picture's first pixel. The slots
 * are w, the count of pictures, and the targets in the order they came. */
enum { COUNT = 22, BATCH = 4, LAST = COUNT % BATCH, PICTURE = 16 * 16 };
enum {
    AT_TARGET = 64 * 1024,
    AT_RATE = AT_TARGET + 64,
    AT_LOSS = AT_RATE + 64,
    AT_END = AT_LOSS + 64
};

static void descend(void *const *buffers, int batch) {
    const float *image = buffers[0], *rate = buffers[2];
    const int32_t *target = buffers[1];
    float *loss = buffers[3], *weight = buffers[4], *pictures = buffers[5], *seen = buffers[6];
    float sum = 0, slope = 0;
    for (int i = 0; i < batch; i++) {
        float error = *weight * image[i * PICTURE] - (float)target[i];
        sum += error * error / (float)batch;
        slope += 2 * error * image[i * PICTURE] / (float)batch;
        seen[(int)*pictures] = (float)target[i];
        *pictures += 1;
    }
    *loss = sum;
    *weight -= *rate * slope;
}

static void descend_full(void *const *buffers, int64_t begin, int64_t end) {
    (void)begin;
    (void)end;
    descend(buffers, BATCH);
}

static void descend_last(void *const *buffers, int64_t begin, int64_t end) {
    (void)begin;
    (void)end;
    descend(buffers, LAST);
}

static const CvmBuffer BUFFERS[] = {{CVM_SPACE_INPUT, 0},       {CVM_SPACE_ARENA, AT_TARGET},
                                    {CVM_SPACE_ARENA, AT_RATE}, {CVM_SPACE_ARENA, AT_LOSS},
                                    {CVM_SPACE_SLOT, 0},        {CVM_SPACE_SLOT, 1},
                                    {CVM_SPACE_SLOT, 2}};
static const CvmSlot SLOTS[] = {{"w", CVM_SLOT_PARAMETER, CVM_F32, {0, {0}}, 0, 0.5, 0},
                                {"pictures", CVM_SLOT_STATISTIC, CVM_F32, {0, {0}}, 0, 0, 0},
                                {"seen", CVM_SLOT_STATISTIC, CVM_F32, {1, {1000}}, 0, 0, 0}};

/* A plan with everything it points at. */
typedef struct Made {
    CvmCall call;
    CvmPort inputs[3], output;
    CvmPlan plan;
} Made;

static void make_plan(Made *made, int batch, CvmKernelFunction function) {
    made->call = (CvmCall){"descend", "all", function, BUFFERS, 7, 1, 1, 0, false};
    made->inputs[0] = (CvmPort){"image", CVM_F32, {4, {batch, 1, 16, 16}}, 0};
    made->inputs[1] = (CvmPort){"target", CVM_I32, {1, {batch}}, AT_TARGET};
    made->inputs[2] = (CvmPort){"rate", CVM_F32, {0, {0}}, AT_RATE};
    made->output = (CvmPort){"loss", CVM_F32, {0, {0}}, AT_LOSS};
    made->plan = (CvmPlan){.name = "train",
                           .calls = &made->call,
                           .call_count = 1,
                           .inputs = made->inputs,
                           .input_count = 3,
                           .outputs = &made->output,
                           .output_count = 1,
                           .slots = SLOTS,
                           .slot_count = 3,
                           .arena_bytes = AT_END};
}

/* Everything one training needs. */
typedef struct Setting {
    Made full, last;
    CvmStore store;
    uint8_t pixels[COUNT * PICTURE];
    int32_t labels[COUNT];
    CvmDataset data;
    CvmNormalization normalization;
    CvmTraining training;
} Setting;

static Setting *make_setting(int threads) {
    CvmError error = {0};
    Setting *setting = calloc(1, sizeof *setting);
    assert_non_null(setting);
    make_plan(&setting->full, BATCH, descend_full);
    make_plan(&setting->last, LAST, descend_last);
    cvm_store_init(&setting->store);
    assert_true(cvm_store_add_slots(&setting->store, &setting->full.plan, 1, &error));
    for (int i = 0; i < COUNT; i++) {
        setting->labels[i] = i;
        setting->pixels[i * PICTURE] = (uint8_t)(10 * i);
    }
    setting->data = (CvmDataset){.count = COUNT,
                                 .channels = 1,
                                 .height = 16,
                                 .width = 16,
                                 .classes = COUNT,
                                 .pixels = setting->pixels,
                                 .labels = setting->labels};
    setting->normalization = cvm_normalization_unit(1);
    setting->training =
        (CvmTraining){.step = cvm_instance_create(&setting->full.plan, &setting->store, &error),
                      .last = cvm_instance_create(&setting->last.plan, &setting->store, &error),
                      .batch = BATCH,
                      .part = BATCH,
                      .image_input = "image",
                      .data = &setting->data,
                      .normalization = &setting->normalization,
                      .rate = {.schedule = CVM_RATE_CONSTANT, .base = 0.25},
                      .epochs = 3,
                      .seed = 1,
                      .pool = cvm_pool_create(threads, &error)};
    assert_true(setting->training.step && setting->training.last && setting->training.pool);
    return setting;
}

static void drop_setting(Setting *setting) {
    cvm_instance_free(setting->training.step);
    cvm_instance_free(setting->training.last);
    cvm_pool_free(setting->training.pool);
    cvm_store_free(&setting->store);
    free(setting);
}

static float *slot(const Setting *setting, const char *name) {
    return cvm_store_find(&setting->store, name)->data;
}

static void test_an_epoch_sees_every_picture_once_in_its_order(void **state) {
    (void)state;
    CvmError error = {0};
    CvmEpochResult result;
    int32_t order[COUNT];
    Setting *setting = make_setting(2);
    for (int epoch = 0; epoch < 2; epoch++) {
        setting->training.ahead = epoch == 1;
        assert_true(cvm_train_epoch(&setting->training, epoch, &result, &error));
        assert_true(result.waited > 0 && result.waited <= result.seconds);
        cvm_shuffle(order, COUNT, 1, (uint64_t)epoch);
        for (int i = 0; i < COUNT; i++)
            assert_true(slot(setting, "seen")[epoch * COUNT + i] == (float)order[i]);
    }
    assert_true(*slot(setting, "pictures") == 2 * COUNT);
    assert_true(result.seconds > 0);
    drop_setting(setting);
}

static void test_the_loss_is_the_mean_over_pictures(void **state) {
    (void)state;
    CvmError error = {0};
    CvmEpochResult result;
    Setting *setting = make_setting(1);
    setting->training.rate.base = 0; /* w stays 0.5 */
    double expected = 0;
    for (int i = 0; i < COUNT; i++)
        expected += pow(0.5 * (10 * i / 255.0) - i, 2) / COUNT;
    assert_true(cvm_train_epoch(&setting->training, 0, &result, &error));
    assert_true(fabs(result.loss - expected) < 1e-5 * expected);
    drop_setting(setting);
}

static void test_threads_do_not_change_the_bits(void **state) {
    (void)state;
    CvmError error = {0};
    CvmEpochResult one, many;
    for (int threads = 2; threads <= 5; threads++) {
        Setting *a = make_setting(1), *b = make_setting(threads);
        b->training.ahead = threads % 2 == 0;
        for (int epoch = 0; epoch < 3; epoch++) {
            assert_true(cvm_train_epoch(&a->training, epoch, &one, &error));
            assert_true(cvm_train_epoch(&b->training, epoch, &many, &error));
            assert_true(one.loss == many.loss);
        }
        assert_true(*slot(a, "w") == *slot(b, "w") && *slot(a, "w") != 0.5f);
        drop_setting(a);
        drop_setting(b);
    }
}

static void expect_refused(const Setting *setting, const char *sentence) {
    CvmError error = {0};
    CvmEpochResult result;
    assert_false(cvm_train_epoch(&setting->training, 0, &result, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    if (!strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void test_a_loss_that_is_no_number_ends_the_training(void **state) {
    (void)state;
    Setting *setting = make_setting(1);
    *slot(setting, "w") = NAN;
    expect_refused(setting, "the loss is not a number any more in epoch 1, step 1 of 6");
    *slot(setting, "w") = INFINITY;
    expect_refused(setting, "try a lower rate");
    drop_setting(setting);
}

static void test_plans_must_fit_the_data(void **state) {
    (void)state;
    Setting *setting = make_setting(1);
    CvmInstance *last = setting->training.last;
    setting->training.last = NULL;
    expect_refused(setting, "22 pictures in batches of 4 leave 2");
    setting->training.last = setting->training.step;
    expect_refused(
        setting, "'image' of the plan 'train' is f32 [4, 1, 16, 16], and the data gives f32 [2, 1");
    setting->training.last = last;
    setting->training.image_input = "picture";
    expect_refused(setting, "has no 'picture'");
    setting->training.image_input = "image";
    setting->data.width = 8;
    expect_refused(setting, "'image' of the plan 'train' is f32 [4, 1, 16, 16]");
    setting->data.width = 16;
    setting->training.batch = 0;
    expect_refused(setting, "batches of 0");
    setting->training.batch = BATCH;
    setting->training.part = 0;
    expect_refused(setting, "cannot train");
    drop_setting(setting);
}

/* Pictures that are no more where they were: the step that needs them ends the training, whoever
 * reads them, and the plan's input is its own again. */
static void test_a_picture_that_cannot_be_read_ends_the_training(void **state) {
    (void)state;
    char *files[COUNT];
    for (int i = 0; i < COUNT; i++)
        files[i] = "nothing.png";
    for (int ahead = 0; ahead < 2; ahead++) {
        CvmError error = {0};
        CvmEpochResult result;
        Setting *setting = make_setting(2);
        const void *before = cvm_instance_input(setting->training.step, "image");
        setting->training.ahead = ahead;
        setting->data.pixels = NULL;
        setting->data.preparation = (CvmPreparation){.channels = 1, .height = 16, .width = 16};
        setting->data.folder = (CvmPictureFolder){.path = "/nowhere", .files = {files, COUNT}};
        assert_false(cvm_train_epoch(&setting->training, 0, &result, &error));
        assert_int_equal(error.kind, CVM_ERROR_MACHINE);
        if (!strstr(error.message, "/nowhere/nothing.png"))
            fail_msg("%s", error.message);
        assert_true(*slot(setting, "pictures") == 0);
        assert_ptr_equal(cvm_instance_input(setting->training.step, "image"), before);
        drop_setting(setting);
    }
}

static void test_fewer_pictures_than_a_batch(void **state) {
    (void)state;
    CvmError error = {0};
    CvmEpochResult result;
    Setting *setting = make_setting(1);
    setting->data.count = LAST;
    assert_true(cvm_train_epoch(&setting->training, 0, &result, &error));
    assert_true(*slot(setting, "pictures") == LAST);
    drop_setting(setting);
}

/* In parts of two: slopes are added up, each a part's share of the batch, and applied behind it. */
enum { PART = 2, AT_SCALE = AT_RATE + 64 };

static void add_slope(void *const *buffers, int64_t begin, int64_t end) {
    const float *image = buffers[0], *weight = buffers[3];
    const int32_t *target = buffers[1];
    float *loss = buffers[2], *sum = buffers[4];
    (void)begin, (void)end;
    *loss = 0;
    for (int i = 0; i < PART; i++) {
        float error = *weight * image[i * PICTURE] - (float)target[i];
        *loss += error * error / PART;
        *sum += 2 * error * image[i * PICTURE] / BATCH;
    }
}

static void apply_sum(void *const *buffers, int64_t begin, int64_t end) {
    const float *rate = buffers[0], *scale = buffers[1], *sum = buffers[3];
    float *weight = buffers[2];
    (void)begin, (void)end;
    *weight -= *rate * (*scale * *sum);
}

static void test_parts_of_a_batch_make_one_step(void **state) {
    (void)state;
    static const CvmSlot slots[] = {{"w", CVM_SLOT_PARAMETER, CVM_F32, {0, {0}}, 0, 0.5, 0},
                                    {"gradient.w", CVM_SLOT_GRADIENT, CVM_F32, {0, {0}}, 0, 0, 0}};
    static const CvmBuffer of_part[] = {{CVM_SPACE_INPUT, 0},
                                        {CVM_SPACE_ARENA, AT_TARGET},
                                        {CVM_SPACE_ARENA, AT_LOSS},
                                        {CVM_SPACE_SLOT, 0},
                                        {CVM_SPACE_SLOT, 1}},
                           of_apply[] = {{CVM_SPACE_ARENA, AT_RATE},
                                         {CVM_SPACE_ARENA, AT_SCALE},
                                         {CVM_SPACE_SLOT, 0},
                                         {CVM_SPACE_SLOT, 1}};
    CvmError error = {0};
    CvmEpochResult split, whole;
    Made part, apply;
    make_plan(&part, PART, add_slope);
    part.call.buffers = of_part;
    part.call.buffer_count = 5;
    part.plan.input_count = 2;
    part.plan.slots = slots;
    part.plan.slot_count = 2;
    apply = part;
    apply.call = (CvmCall){"apply", "all", apply_sum, of_apply, 4, 1, 1, 0, false};
    apply.inputs[0] = (CvmPort){"rate", CVM_F32, {0, {0}}, AT_RATE};
    apply.inputs[1] = (CvmPort){"scale", CVM_F32, {0, {0}}, AT_SCALE};
    apply.plan.calls = &apply.call;
    apply.plan.inputs = apply.inputs;
    apply.plan.output_count = 0;
    Setting *expected = make_setting(1), *setting = make_setting(2);
    assert_true(cvm_store_add_slots(&setting->store, &part.plan, 1, &error));
    CvmTraining training = setting->training;
    training.step = cvm_instance_create(&part.plan, &setting->store, &error);
    training.apply = cvm_instance_create(&apply.plan, &setting->store, &error);
    training.last = NULL;
    training.store = &setting->store;
    training.part = PART;
    assert_true(training.step && training.apply);
    for (int epoch = 0; epoch < 2; epoch++) {
        assert_true(cvm_train_epoch(&expected->training, epoch, &whole, &error));
        assert_true(cvm_train_epoch(&training, epoch, &split, &error));
        assert_true(fabs(split.loss - whole.loss) < 1e-5 * whole.loss);
        assert_true(fabsf(*slot(setting, "w") - *slot(expected, "w")) < 1e-5f);
        assert_true(*slot(setting, "gradient.w") == 0);
    }
    cvm_instance_free(training.step);
    cvm_instance_free(training.apply);
    drop_setting(setting);
    drop_setting(expected);
}

/* A step that takes a while. */
static void descend_slowly(void *const *buffers, int64_t begin, int64_t end) {
    usleep(60000);
    descend_full(buffers, begin, end);
}

static void count_reports(void *context, const CvmProgress *progress) {
    int *reports = context;
    ++*reports;
    assert_true(progress->epoch == 0 && progress->epochs == 3);
    assert_true(progress->step >= 1 && progress->step <= progress->steps && progress->steps == 6);
    assert_true(progress->images_per_second > 0 && progress->images_per_second < BATCH / 0.05);
    assert_true(progress->seconds_left > 0.3 && isfinite(progress->loss));
}

static void test_progress_comes_at_most_ten_times_a_second(void **state) {
    (void)state;
    CvmError error = {0};
    CvmEpochResult result;
    Setting *setting = make_setting(1);
    int reports = 0;
    setting->training.progress = count_reports;
    setting->training.context = &reports;
    cvm_instance_free(setting->training.step);
    setting->full.call.function = descend_slowly;
    setting->training.step = cvm_instance_create(&setting->full.plan, &setting->store, &error);
    assert_true(cvm_train_epoch(&setting->training, 0, &result, &error));
    assert_true(reports >= 1 && reports <= 1 + (int)(result.seconds / 0.1));
    drop_setting(setting);
}

/* Logit k is 1000 where k is the first pixel's value, and -1000 elsewhere. */
static void name_pixel(void *const *buffers, int64_t begin, int64_t end) {
    const float *image = buffers[0];
    float *logits = buffers[1];
    for (int64_t i = begin; i < end; i++)
        for (int k = 0; k < 3; k++)
            logits[i * 3 + k] = image[i * PICTURE] * 255 == (float)k ? 1000 : -1000;
}

static void test_evaluation_counts_and_averages(void **state) {
    (void)state;
    static uint8_t pixels[7 * PICTURE];
    static const uint8_t FIRST[7] = {0, 1, 2, 9, 9, 2, 0}; /* 9: all logits equal */
    int32_t labels[7] = {0, 1, 2, 0, 1, 1, 2};
    for (int i = 0; i < 7; i++)
        pixels[i * PICTURE] = FIRST[i];
    const CvmDataset data = {.count = 7,
                             .channels = 1,
                             .height = 16,
                             .width = 16,
                             .classes = 3,
                             .pixels = pixels,
                             .labels = labels};
    const CvmNormalization unit = cvm_normalization_unit(1);
    const CvmBuffer buffers[] = {{CVM_SPACE_INPUT, 0}, {CVM_SPACE_ARENA, AT_TARGET}};
    const CvmCall call = {"name_pixel", "all",          name_pixel, buffers, 2,
                          BATCH,        CVM_SMALL_COST, 0,          false};
    const CvmPort image = {"image", CVM_F32, {4, {BATCH, 1, 16, 16}}, 0};
    const CvmPort logits = {"logits", CVM_F32, {2, {BATCH, 3}}, AT_TARGET};
    const CvmPlan plan = {.name = "eval",
                          .calls = &call,
                          .call_count = 1,
                          .inputs = &image,
                          .input_count = 1,
                          .outputs = &logits,
                          .output_count = 1,
                          .arena_bytes = AT_END};
    for (int threads = 1; threads <= 3; threads++) {
        const CvmFeed feed = {
            .data = &data, .normalization = &unit, .image_input = "image", .ahead = threads == 2};
        CvmError error = {0};
        CvmStore store;
        CvmClassScore scores[3];
        CvmEvaluation result = {.classes = scores};
        CvmPool *pool = cvm_pool_create(threads, &error);
        cvm_store_init(&store);
        CvmInstance *instance = cvm_instance_create(&plan, &store, &error);
        assert_true(cvm_evaluate_dataset(instance, BATCH, &feed, pool, &result, &error));
        assert_true(result.count == 7 && result.correct == 4); /* a tie is the first class */
        assert_true(scores[0].count == 2 && scores[0].correct == 2);
        assert_true(scores[1].count == 3 && scores[1].correct == 1);
        assert_true(scores[2].count == 2 && scores[2].correct == 1);
        double expected = (2 * log(3) + 2 * 2000) / 7; /* two ties, two wrong by 2000 */
        assert_true(fabs(result.loss - expected) < 1e-9);
        assert_false(cvm_evaluate_dataset(instance, BATCH + 1, &feed, pool, &result, &error));
        assert_int_equal(error.kind, CVM_ERROR_INPUT);
        cvm_instance_free(instance);
        cvm_pool_free(pool);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_constant_rate),
        cmocka_unit_test(test_step_rate),
        cmocka_unit_test(test_cosine_rate),
        cmocka_unit_test(test_warmup_rises_to_the_base),
        cmocka_unit_test(test_cosine_stops_at_the_least),
        cmocka_unit_test(test_one_cycle),
        cmocka_unit_test(test_plateau),
        cmocka_unit_test(test_an_epoch_sees_every_picture_once_in_its_order),
        cmocka_unit_test(test_the_loss_is_the_mean_over_pictures),
        cmocka_unit_test(test_threads_do_not_change_the_bits),
        cmocka_unit_test(test_a_loss_that_is_no_number_ends_the_training),
        cmocka_unit_test(test_plans_must_fit_the_data),
        cmocka_unit_test(test_a_picture_that_cannot_be_read_ends_the_training),
        cmocka_unit_test(test_fewer_pictures_than_a_batch),
        cmocka_unit_test(test_parts_of_a_batch_make_one_step),
        cmocka_unit_test(test_progress_comes_at_most_ten_times_a_second),
        cmocka_unit_test(test_evaluation_counts_and_averages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
