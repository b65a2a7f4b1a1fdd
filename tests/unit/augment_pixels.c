/* Augmentation: what each operation does to pixels, and what its chance depends on. */
#include "runtime/batch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { SIDE = 12, PLANE = SIDE * SIDE, CHANNELS = 3, PICTURE = CHANNELS * PLANE, MANY = 4000 };

static uint8_t memory[2 * PICTURE], picture[PICTURE];

/* No two pixels of a channel are alike, and none is 0. */
static int set_up(void **state) {
    (void)state;
    for (int i = 0; i < PICTURE; i++)
        picture[i] = (uint8_t)(1 + i % PLANE + i / PLANE * 20);
    return 0;
}

static CvmAugmentation one_step(CvmAugmentKind kind, double amount) {
    return (CvmAugmentation){.steps = {{.kind = kind, .amount = amount}},
                             .count = 1,
                             .height = SIDE,
                             .width = SIDE,
                             .seed = 7};
}

static const uint8_t *augment_pixels(const CvmAugmentation *augmentation, uint8_t *pixels,
                                     uint32_t sample) {
    CvmError error;
    const CvmImage image = {CHANNELS, SIDE, SIDE, pixels};
    assert_true(cvm_augment_bytes(augmentation, CHANNELS, SIDE, SIDE) <= sizeof memory);
    const uint8_t *result = cvm_augment(augmentation, &image, sample, memory, &error);
    assert_non_null(result);
    return result;
}

static const uint8_t *augment(const CvmAugmentation *augmentation, uint32_t sample) {
    return augment_pixels(augmentation, picture, sample);
}

static int at(const uint8_t *pixels, int channel, int y, int x) {
    return pixels[(channel * SIDE + y) * SIDE + x];
}

static void flips_mirror_every_row_or_column(void **state) {
    (void)state;
    CvmAugmentation across = one_step(CVM_AUGMENT_FLIP_HORIZONTAL, 1);
    const uint8_t *result = augment(&across, 0);
    for (int i = 0; i < PICTURE; i++)
        assert_int_equal(result[i], at(picture, i / PLANE, i / SIDE % SIDE, SIDE - 1 - i % SIDE));
    CvmAugmentation over = one_step(CVM_AUGMENT_FLIP_VERTICAL, 1);
    result = augment(&over, 0);
    for (int i = 0; i < PICTURE; i++)
        assert_int_equal(result[i], at(picture, i / PLANE, SIDE - 1 - i / SIDE % SIDE, i % SIDE));
}

static void a_probability_is_kept(void **state) {
    (void)state;
    static const double probabilities[] = {0, 0.3, 0.5, 1};
    for (int p = 0; p < 4; p++) {
        CvmAugmentation flip = one_step(CVM_AUGMENT_FLIP_HORIZONTAL, probabilities[p]);
        int flipped = 0;
        for (uint32_t i = 0; i < MANY; i++)
            flipped += memcmp(augment(&flip, i), picture, PICTURE) != 0;
        double wanted = probabilities[p] * MANY;
        assert_true(flipped >= wanted - 120 && flipped <= wanted + 120);
        assert_true((probabilities[p] != 0 || flipped == 0) &&
                    (probabilities[p] != 1 || flipped == MANY));
    }
}

/* All 5 x 3 places come about equally often, and what comes in is black. */
static void a_shift_goes_everywhere_within_its_range(void **state) {
    (void)state;
    CvmAugmentation shift = one_step(CVM_AUGMENT_SHIFT, 0);
    shift.steps[0].rows = 2;
    shift.steps[0].columns = 1;
    int counts[5][3] = {{0}};
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *result = augment(&shift, i);
        int middle = at(result, 0, 6, 6) - 1, down = 6 - middle / SIDE, right = 6 - middle % SIDE;
        assert_true(down >= -2 && down <= 2 && right >= -1 && right <= 1);
        counts[down + 2][right + 1]++;
        for (int k = 0; k < PICTURE; k++) {
            int y = k / SIDE % SIDE - down, x = k % SIDE - right;
            bool inside = y >= 0 && y < SIDE && x >= 0 && x < SIDE;
            assert_int_equal(result[k], inside ? at(picture, k / PLANE, y, x) : 0);
        }
    }
    for (int i = 0; i < 15; i++)
        assert_in_range(counts[i / 3][i % 3], MANY / 15 - 70, MANY / 15 + 70);
}

static void a_crop_takes_any_place(void **state) {
    (void)state;
    CvmAugmentation crop = one_step(CVM_AUGMENT_CROP, 1);
    crop.height = 10;
    crop.width = 11;
    int counts[3][2] = {{0}};
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *result = augment(&crop, i);
        int top = (result[0] - 1) / SIDE, left = (result[0] - 1) % SIDE;
        counts[top][left]++;
        for (int k = 0; k < CHANNELS * 110; k++)
            assert_int_equal(result[k],
                             at(picture, k / 110, top + k % 110 / 11, left + k % 110 % 11));
    }
    for (int i = 0; i < 6; i++)
        assert_in_range(counts[i / 2][i % 2], MANY / 6 - 100, MANY / 6 + 100);
}

/* Rows that get brighter by 20 each tell how high the part was that fills the result. */
static void a_scaled_crop_has_shares_within_its_range(void **state) {
    (void)state;
    CvmAugmentation crop = one_step(CVM_AUGMENT_CROP, 0.25);
    uint8_t ramp[PICTURE], flat[PICTURE];
    for (int i = 0; i < PICTURE; i++)
        ramp[i] = (uint8_t)(20 * (i / SIDE % SIDE));
    memset(flat, 99, sizeof flat);
    int small = 0, large = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        assert_memory_equal(augment_pixels(&crop, flat, i), flat, PICTURE);
        const uint8_t *result = augment_pixels(&crop, ramp, i);
        int rise = at(result, 0, SIDE - 1, 5) - at(result, 0, 0, 5); /* about 20 a row */
        assert_true(rise >= 60 && rise <= 220); /* of 12 · sqrt(1/4 · 3/4) rows or more */
        small += rise < 120;
        large += rise > 180;
    }
    assert_true(small > MANY / 20 && large > MANY / 10);
}

static void brightness_and_contrast_stretch_pixels(void **state) {
    (void)state;
    CvmAugmentation brightness = one_step(CVM_AUGMENT_BRIGHTNESS, 0.5);
    CvmAugmentation contrast = one_step(CVM_AUGMENT_CONTRAST, 0.5);
    uint8_t two[PICTURE]; /* their mean is 100, in every channel */
    for (int i = 0; i < PICTURE; i++)
        two[i] = i % 2 ? 140 : 60;
    int darker = 0, weaker = 0, least = 255, most = 0;
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *result = augment_pixels(&brightness, two, i);
        darker += result[0] < 60;
        least = result[0] < least ? result[0] : least;
        most = result[0] > most ? result[0] : most;
        assert_true(abs(3 * result[1] - 7 * result[0]) <= 5); /* one factor for both */
        result = augment_pixels(&contrast, two, i);
        weaker += result[1] < 140;
        assert_true(abs(result[0] + result[1] - 200) <= 1 && result[1] >= 120 && result[1] <= 160);
    }
    assert_true(least == 30 && most == 90);
    assert_in_range(darker, MANY / 2 - 150, MANY / 2 + 150);
    assert_in_range(weaker, MANY / 2 - 150, MANY / 2 + 150);
    memset(two, 250, sizeof two);
    for (uint32_t i = 0; i < 100; i++) /* not beyond white */
        assert_true(augment_pixels(&brightness, two, i)[0] >= 125);
}

/* What is erased is one rectangle, the same in all channels, of up to 0.4 of the area. */
static void erasing_covers_a_rectangle_with_noise(void **state) {
    (void)state;
    CvmAugmentation erase = one_step(CVM_AUGMENT_ERASE, 1);
    uint8_t flat[PICTURE];
    double sum = 0;
    int64_t changed = 0;
    memset(flat, 0, sizeof flat);
    for (uint32_t i = 0; i < MANY; i++) {
        const uint8_t *result = augment_pixels(&erase, flat, i);
        int top = SIDE, bottom = -1, left = SIDE, right = -1, inside = 0;
        for (int k = 0; k < PICTURE; k++) {
            int y = k / SIDE % SIDE, x = k % SIDE;
            if (!result[k])
                continue;
            top = y < top ? y : top, bottom = y > bottom ? y : bottom;
            left = x < left ? x : left, right = x > right ? x : right;
            inside++;
            sum += result[k];
        }
        int area = (bottom - top + 1) * (right - left + 1);
        assert_true(bottom >= 0 && area <= 0.45 * PLANE); /* sides are rounded */
        assert_true(inside >= CHANNELS * area - 8);       /* a 256th of the noise is 0 */
        changed += inside;
    }
    assert_true(sum / (double)changed > 126 && sum / (double)changed < 130);
}

static void chance_depends_on_seed_epoch_and_picture_alone(void **state) {
    (void)state;
    static uint8_t first[PICTURE], second[PICTURE];
    CvmAugmentation base = one_step(CVM_AUGMENT_SHIFT, 0);
    base.steps[0].rows = base.steps[0].columns = SIDE - 1;
    memcpy(first, augment(&base, 5), PICTURE);
    assert_memory_equal(augment(&base, 5), first, PICTURE);
    assert_memory_not_equal(augment(&base, 6), first, PICTURE);
    CvmAugmentation other = base;
    other.seed = 8;
    assert_memory_not_equal(augment(&other, 5), first, PICTURE);
    other = base;
    other.epoch = 1;
    assert_memory_not_equal(augment(&other, 5), first, PICTURE);
    /* another operation in front takes nothing from it */
    other = base;
    other.count = 2;
    other.steps[1] = base.steps[0];
    other.steps[0] = (CvmAugmentStep){.kind = CVM_AUGMENT_BRIGHTNESS, .amount = 0.5};
    memcpy(second, augment(&other, 5), PICTURE);
    for (int i = 0; i < PICTURE; i++)
        assert_true((first[i] == 0) == (second[i] == 0));
}

/* A change of these values would change every training that was ever run. */
static void drawn_numbers_never_change(void **state) {
    (void)state;
    static const uint8_t expected[] = {41, 39, 255, 179, 3, 3, 91,  88,  86,  83,  3, 3,
                                       64, 62, 121, 56,  3, 3, 113, 111, 109, 106, 3, 3,
                                       86, 83, 120, 255, 3, 3, 135, 134, 131, 129, 3, 3};
    CvmAugmentation all = {.steps = {{.kind = CVM_AUGMENT_CROP, .amount = 0.3},
                                     {.kind = CVM_AUGMENT_FLIP_HORIZONTAL, .amount = 0.5},
                                     {.kind = CVM_AUGMENT_SHIFT, .rows = 2, .columns = 2},
                                     {.kind = CVM_AUGMENT_BRIGHTNESS, .amount = 0.3},
                                     {.kind = CVM_AUGMENT_CONTRAST, .amount = 0.3},
                                     {.kind = CVM_AUGMENT_ERASE, .amount = 1}},
                           .count = 6,
                           .height = 2,
                           .width = 6,
                           .seed = 1,
                           .epoch = 3};
    const uint8_t *result = augment(&all, 9);
    assert_memory_equal(result, expected, sizeof expected);
}

/* Whoever fills a batch, in however many parts. */
static void batches_are_filled_alike_by_any_threads(void **state) {
    (void)state;
    enum { COUNT = 90 };
    static uint8_t pixels[COUNT * PICTURE];
    static float images[3][COUNT * PICTURE];
    int32_t labels[COUNT] = {0}, samples[COUNT], written[COUNT];
    CvmAugmentation shift = one_step(CVM_AUGMENT_SHIFT, 0);
    shift.steps[0].rows = shift.steps[0].columns = 3;
    const CvmNormalization unit = cvm_normalization_unit(CHANNELS);
    const CvmDataset data = {.count = COUNT,
                             .channels = CHANNELS,
                             .height = SIDE,
                             .width = SIDE,
                             .classes = 2,
                             .pixels = pixels,
                             .labels = labels};
    for (int i = 0; i < COUNT; i++) {
        memcpy(pixels + i * PICTURE, picture, PICTURE);
        samples[i] = COUNT - 1 - i;
    }
    for (int threads = 1; threads <= 3; threads++) {
        CvmError error;
        CvmPool *pool = cvm_pool_create(threads, &error);
        const CvmBatch batch = {&data, &unit, &shift, samples, COUNT, images[threads - 1], written};
        assert_true(cvm_batch_fill(&batch, pool, &error));
        cvm_pool_free(pool);
    }
    assert_memory_equal(images[0], images[1], sizeof images[0]);
    assert_memory_equal(images[0], images[2], sizeof images[0]);
    const uint8_t *last = augment(&shift, 0);
    for (int i = 0; i < PICTURE; i++)
        assert_true(images[0][(COUNT - 1) * PICTURE + i] == (float)(last[i] / 255.0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flips_mirror_every_row_or_column),
        cmocka_unit_test(a_probability_is_kept),
        cmocka_unit_test(a_shift_goes_everywhere_within_its_range),
        cmocka_unit_test(a_crop_takes_any_place),
        cmocka_unit_test(a_scaled_crop_has_shares_within_its_range),
        cmocka_unit_test(brightness_and_contrast_stretch_pixels),
        cmocka_unit_test(erasing_covers_a_rectangle_with_noise),
        cmocka_unit_test(chance_depends_on_seed_epoch_and_picture_alone),
        cmocka_unit_test(drawn_numbers_never_change),
        cmocka_unit_test(batches_are_filled_alike_by_any_threads),
    };
    return cmocka_run_group_tests(tests, set_up, NULL);
}
