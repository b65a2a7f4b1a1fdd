/* See small_place.h. */
#include "tests/support/small_place.h"

#include "tests/support/programs.h"

CvmTestPlace place;

int small_place_set_up(void **state) {
    (void)state;
    cvm_test_place_create(&place);
    cvm_test_write_text(&place, "small.cvm", CVM_TEST_PROGRAM);
    return 0;
}

int small_place_tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    return 0;
}
