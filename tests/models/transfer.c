/* Transfer learning with the real command: what is frozen, what thaws later, and that a training
 * may be broken off and go on anywhere. */
#include "tests/support/command.h"
#include "tests/support/patterns.h"
#include "tests/support/programs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static CvmTestPlace place;

/* Trained weights to start from, small.safetensors. */
static int set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_patterns(&place, 330, 90);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    cvm_test_expect(&place, 0, NULL, NULL, "train", "small.cvm", "--epochs", "2", NULL);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}

#define TRANSFER(lines)                                                                            \
    CVM_TEST_DATA CVM_TEST_MODEL CVM_TEST_TRAIN(                                                   \
        "    weights \"small.safetensors\" except head\n" lines)

/* Broken off after each epoch, within and between phases. */
static void a_gradual_training_goes_on_to_the_same_bits(void **state) {
    (void)state;
    cvm_test_write_text(&place, "gradual.cvm",
                        TRANSFER("    rate body 0.5x per layer\n    freeze body\n"
                                 "    unfreeze body.linear1 at epoch 2\n"
                                 "    unfreeze body.conv2 at epoch 3\n"
                                 "    freeze body.linear1 at epoch 3\n"));
    cvm_test_expect(&place, 0, "frozen: 4 tensors, bits unchanged", "from epoch 3 on", "train",
                    "gradual.cvm", NULL);
    static const char *const stops[] = {"1", "2", "3"};
    for (int i = 0; i < 3; i++) {
        cvm_test_expect(&place, 0, NULL, NULL, "train", "gradual.cvm", "--stop-after", stops[i],
                        "-o", "broken.safetensors", NULL);
        assert_false(cvm_test_same_bytes(&place, "gradual.safetensors", "broken.safetensors"));
        cvm_test_expect(&place, 0, NULL, NULL, "train", "gradual.cvm", "--resume", "-o",
                        "broken.safetensors", NULL);
        assert_true(cvm_test_same_bytes(&place, "gradual.safetensors", "broken.safetensors"));
    }
    cvm_test_expect(&place, 0, "frozen, then 0.25x from epoch 3", NULL, "explain", "gradual.cvm",
                    NULL);
    cvm_test_expect(&place, 0, "\"first_epoch\":3", NULL, "explain", "gradual.cvm", "--json", NULL);
}

/* What the command line's epochs leave no time for is told, and is no error. */
static void an_epoch_beyond_the_end_is_an_error_of_the_file_alone(void **state) {
    (void)state;
    cvm_test_write_text(&place, "late.cvm",
                        TRANSFER("    freeze body\n    unfreeze body at epoch 5\n"));
    cvm_test_expect(&place, 1, NULL, "CVM1332", "train", "late.cvm", NULL);
    cvm_test_write_text(&place, "late.cvm",
                        TRANSFER("    freeze body\n    unfreeze body at epoch 4\n"));
    cvm_test_expect(&place, 0, NULL, "'body' would learn otherwise from epoch 4 on", "train",
                    "late.cvm", "--epochs", "1", NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_gradual_training_goes_on_to_the_same_bits),
        cmocka_unit_test(an_epoch_beyond_the_end_is_an_error_of_the_file_alone),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
