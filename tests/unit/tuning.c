/* Measured choices: which candidate is taken, and the record on disk, whole, damaged or another's.
 */
#include "compiler/tuning.h"
#include "tests/support/command.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static CvmTestPlace place;
static CvmArena *arena;
static char path[1024];

static CvmTuningChoice choice_of(const char *first, const char *second, const char *third) {
    CvmTuningChoice choice = {.layer = "a"};
    cvm_tuning_offer(&choice, "%s", first);
    cvm_tuning_offer(&choice, "%s", second);
    cvm_tuning_offer(&choice, "%s", third);
    return choice;
}

static CvmTuningEntry *answer(CvmTuning *tuning, const char *question, const char *best) {
    CvmTuningEntry *entry = cvm_tuning_add(tuning, question);
    entry->answer = best;
    entry->model = "direct";
    entry->seconds = 1e-3;
    entry->model_seconds = 2e-3;
    return entry;
}

static void what_is_recorded_is_taken_if_it_is_a_candidate(void **state) {
    (void)state;
    CvmTuning tuning = {.arena = arena};
    CvmTuningChoice choice = choice_of("direct", "F(2)", "F(4)");
    assert_int_equal(cvm_tuning_choose(NULL, "q", &choice), 0);
    assert_int_equal(cvm_tuning_choose(&tuning, "q", &choice), 0);
    answer(&tuning, "q", "F(4)");
    answer(&tuning, "r", "F(8)");
    assert_int_equal(cvm_tuning_choose(&tuning, "q", &choice), 2);
    assert_string_equal(cvm_tuning_reason(&tuning, "q", &choice, 2),
                        "measured: 1.00 ms, direct has 2.00 ms");
    assert_null(cvm_tuning_reason(&tuning, "q", &choice, 0));
    assert_int_equal(cvm_tuning_choose(&tuning, "r", &choice), 0);
    assert_null(cvm_tuning_find(&tuning, "s"));
}

static void candidates_are_offered_once_and_layers_noted(void **state) {
    (void)state;
    CvmTuning tuning = {.arena = arena, .collects = true};
    CvmTuningChoice choice = choice_of("direct", "F(2)", "direct"), single = {.layer = "b"};
    assert_int_equal(choice.count, 2);
    cvm_tuning_offer(&single, "direct");
    cvm_tuning_choose(&tuning, "q", &choice);
    choice.layer = "b";
    cvm_tuning_choose(&tuning, "q", &choice);
    cvm_tuning_choose(&tuning, "nothing to choose", &single);
    assert_ptr_equal(tuning.first, tuning.last);
    assert_int_equal(tuning.first->layer_count, 2);
    for (int i = 0; i < 20; i++)
        cvm_tuning_offer(&choice, "%d", i);
    assert_int_equal(choice.count, CVM_TUNING_CANDIDATES);
}

static void save(const char *question, const char *best) {
    CvmTuning tuning = {.arena = arena};
    const char *where;
    CvmError error;
    answer(&tuning, question, best);
    cvm_tuning_add(&tuning, "not measured");
    if (!cvm_tuning_save(&tuning, place.folder, "this processor", &where, &error))
        fail_msg("%s", error.message);
    snprintf(path, sizeof path, "%s", where);
}

static CvmTuning *load(const char *identity, bool ignored) {
    const char *which;
    CvmTuning *tuning = cvm_tuning_load(place.folder, identity, arena, &which);
    assert_true((which != NULL) == ignored);
    return tuning;
}

static void a_record_is_read_back_and_added_to(void **state) {
    (void)state;
    save("q", "F(2)");
    save("r", "F(4)");
    save("q", "F(6)");
    CvmTuning *tuning = load("this processor", false);
    assert_string_equal(cvm_tuning_find(tuning, "q")->answer, "F(6)");
    assert_string_equal(cvm_tuning_find(tuning, "r")->answer, "F(4)");
    assert_float_equal(cvm_tuning_find(tuning, "r")->model_seconds, 2e-3, 1e-6);
    assert_null(cvm_tuning_find(tuning, "not measured"));
    assert_null(load("another processor", false));
}

/* Any byte changed, any part missing, and what is another processor's under this one's name. */
static void damaged_and_foreign_records_are_ignored(void **state) {
    (void)state;
    save("q", "F(2)");
    char text[4096], name[1024];
    FILE *file = fopen(path, "rb");
    size_t size = fread(text, 1, sizeof text, file);
    fclose(file);
    for (size_t i = 0; i <= size; i++)
        for (int cut = 0; cut < 2; cut++) {
            char other[4096];
            memcpy(other, text, size);
            if (!cut && i < size)
                other[i] ^= 4;
            file = fopen(path, "wb");
            fwrite(other, 1, cut ? i : size, file);
            fclose(file);
            bool whole = i == size;
            assert_true((load("this processor", !whole) != NULL) == whole);
        }
    CvmTuning tuning = {.arena = arena};
    const char *where;
    CvmError error;
    assert_true(cvm_tuning_save(&tuning, place.folder, "another processor", &where, &error));
    snprintf(name, sizeof name, "%s", where);
    assert_int_equal(rename(name, path), 0);
    assert_null(load("this processor", true));
    save("q", "F(2)"); /* a new one takes its place */
    assert_non_null(load("this processor", false));
}

static int set_up(void **state) {
    (void)state;
    arena = cvm_arena_create();
    cvm_test_place_create(&place);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    cvm_test_place_remove(&place);
    cvm_arena_free(arena);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_recorded_is_taken_if_it_is_a_candidate),
        cmocka_unit_test(candidates_are_offered_once_and_layers_noted),
        cmocka_unit_test(a_record_is_read_back_and_added_to),
        cmocka_unit_test(damaged_and_foreign_records_are_ignored),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
