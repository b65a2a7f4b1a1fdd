/* The place of a test program whose tests all work on the small network of programs.h: its
 * set-up and tear-down for cmocka_run_group_tests. */
#ifndef CVM_TEST_SMALL_PLACE_H
#define CVM_TEST_SMALL_PLACE_H

#include "tests/support/command.h"

extern CvmTestPlace place; /* with small.cvm, a model, its data and its train; no data files */

int small_place_set_up(void **state);
int small_place_tear_down(void **state);

#endif
