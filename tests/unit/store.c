/* Starting values: uniform within the bound, keyed by seed and name alone. */
#include "runtime/store.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { COUNT = 10001 };

static CvmSlot slot_named(const char *name, double bound, double fill) {
    return (CvmSlot){name, CVM_SLOT_PARAMETER, CVM_F32, {1, {COUNT}}, bound, fill, 0};
}

static void add(CvmStore *store, const CvmSlot *slots, int count, uint64_t seed) {
    CvmError error = {0};
    const CvmPlan plan = {.name = "test", .slots = slots, .slot_count = count};
    assert_true(cvm_store_add_slots(store, &plan, seed, &error));
}

static void test_uniform_values_fill_the_bound(void **state) {
    (void)state;
    const CvmSlot slot = slot_named("weight", 0.1, 0);
    CvmStore store;
    cvm_store_init(&store);
    add(&store, &slot, 1, 1);
    const float *values = cvm_store_find(&store, "weight")->data;
    double sum = 0, squares = 0;
    float least = 1, most = -1;
    for (int i = 0; i < COUNT; i++) {
        assert_true(values[i] >= -0.1f && values[i] < 0.1f);
        sum += values[i];
        squares += (double)values[i] * values[i];
        least = values[i] < least ? values[i] : least;
        most = values[i] > most ? values[i] : most;
    }
    assert_true(least < -0.0999f && most > 0.0999f);
    assert_true(sum / COUNT < 0.003 && sum / COUNT > -0.003);
    assert_true(squares / COUNT > 0.0032 && squares / COUNT < 0.0035); /* bound^2 / 3 */
    cvm_store_free(&store);
}

static void test_values_do_not_depend_on_other_slots(void **state) {
    (void)state;
    const CvmSlot both[] = {slot_named("a", 1, 0), slot_named("b", 1, 0)};
    const CvmSlot turned[] = {both[1], both[0]};
    CvmStore one, other, reseeded;
    cvm_store_init(&one);
    cvm_store_init(&other);
    cvm_store_init(&reseeded);
    add(&one, both, 2, 7);
    add(&other, turned, 2, 7);
    add(&reseeded, both, 2, 8);
    for (int i = 0; i < 2; i++)
        assert_memory_equal(cvm_store_find(&one, both[i].name)->data,
                            cvm_store_find(&other, both[i].name)->data, COUNT * 4);
    assert_memory_not_equal(cvm_store_find(&one, "a")->data, cvm_store_find(&one, "b")->data,
                            COUNT * 4);
    assert_memory_not_equal(cvm_store_find(&one, "a")->data, cvm_store_find(&reseeded, "a")->data,
                            COUNT * 4);
    cvm_store_free(&one);
    cvm_store_free(&other);
    cvm_store_free(&reseeded);
}

static void test_present_slots_are_kept(void **state) {
    (void)state;
    const CvmSlot both[] = {slot_named("a", 0, 1), slot_named("b", 0, 3)};
    CvmStore store;
    cvm_store_init(&store);
    add(&store, both, 1, 1);
    float *a = cvm_store_find(&store, "a")->data;
    assert_true(a[0] == 1 && a[COUNT - 1] == 1);
    a[0] = 5;
    add(&store, both, 2, 1);
    assert_int_equal(store.count, 2);
    assert_ptr_equal(cvm_store_find(&store, "a")->data, a);
    assert_true(a[0] == 5);
    assert_true(((float *)cvm_store_find(&store, "b")->data)[0] == 3);
    assert_null(cvm_store_find(&store, "c"));
    cvm_store_free(&store);
}

static void test_impossible_sizes_are_refused(void **state) {
    (void)state;
    CvmSlot slots[] = {slot_named("a", 0, 1), slot_named("b", 0, 0)};
    slots[1].shape = (CvmShape){3, {INT32_MAX, INT32_MAX, INT32_MAX}};
    const CvmPlan plan = {.name = "test", .slots = slots, .slot_count = 2};
    CvmStore store;
    CvmError error = {0};
    cvm_store_init(&store);
    assert_false(cvm_store_add_slots(&store, &plan, 1, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    assert_int_equal(store.count, 0); /* nothing half done */
    slots[1].shape = (CvmShape){2, {INT32_MAX, 1 << 28}};
    assert_false(cvm_store_add_slots(&store, &plan, 1, &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    assert_int_equal(store.count, 0);
    cvm_store_free(&store);
}

static void test_borrowed_memory_is_used_where_it_lies(void **state) {
    (void)state;
    static const float elsewhere[COUNT] = {1, 2, 3};
    const CvmSlot slots[] = {slot_named("own", 1, 0), slot_named("borrowed", 1, 0)};
    CvmStore store;
    CvmError error;
    cvm_store_init(&store);
    assert_non_null(cvm_store_add(&store, &slots[1], 1, elsewhere, &error));
    add(&store, slots, 2, 1); /* finds it there */
    assert_int_equal(store.count, 2);
    const CvmStored *borrowed = cvm_store_find(&store, "borrowed");
    assert_ptr_equal(borrowed->data, elsewhere);
    assert_true(borrowed->borrowed);
    assert_false(cvm_store_find(&store, "own")->borrowed);
    cvm_store_free(&store); /* and leaves it alone */
}

static void test_many_tensors_are_kept(void **state) {
    (void)state;
    enum { MANY = 100 };
    CvmStore store;
    CvmError error;
    char name[16];
    cvm_store_init(&store);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "w%d", i);
        const CvmSlot slot = {name, CVM_SLOT_PARAMETER, CVM_F32, {1, {4}}, 0, i, 0};
        assert_non_null(cvm_store_add(&store, &slot, 1, NULL, &error));
    }
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "w%d", i);
        assert_true(((const float *)cvm_store_find(&store, name)->data)[3] == (float)i);
    }
    cvm_store_free(&store);
}

/* [16, 3, 1, 2] as filters of 8 lanes: [2][3][1][2][8]. */
static void test_the_order_of_elements_changes_no_value(void **state) {
    (void)state;
    enum { ELEMENTS = 16 * 3 * 2 };
    const CvmSlot packed = {"w", CVM_SLOT_PARAMETER, CVM_F32, {4, {16, 3, 1, 2}}, 0.5,
                            0,   .lanes = 8};
    CvmSlot plain = packed;
    plain.lanes = 0;
    CvmStore stores[2];
    float read[ELEMENTS];
    for (int i = 0; i < 2; i++) {
        cvm_store_init(&stores[i]);
        add(&stores[i], i ? &packed : &plain, 1, 7);
    }
    const CvmStored *a = &stores[0].tensors[0], *b = &stores[1].tensors[0];
    const float *elements = a->data, *filters = b->data;
    assert_int_equal(b->lanes, 8);
    for (int o = 0; o < 16; o++)
        for (int c = 0; c < 3; c++)
            for (int t = 0; t < 2; t++)
                assert_true(elements[(o * 3 + c) * 2 + t] ==
                            filters[((o / 8 * 2 + t) * 3 + c) * 8 + o % 8]);
    cvm_stored_read(b, read);
    assert_memory_equal(read, elements, sizeof read);
    add(&stores[0], &packed, 1, 1); /* brought into that order, and back */
    assert_memory_equal(a->data, filters, sizeof read);
    add(&stores[0], &plain, 1, 1);
    assert_memory_equal(a->data, read, sizeof read);
    cvm_stored_copy(a, &stores[1].tensors[0]);
    cvm_stored_read(b, read);
    assert_memory_equal(read, a->data, sizeof read);
    for (int i = 0; i < 2; i++)
        cvm_store_free(&stores[i]);
}

static void test_what_is_borrowed_keeps_its_order(void **state) {
    (void)state;
    static const float elsewhere[8];
    CvmSlot slot = {"w", CVM_SLOT_PARAMETER, CVM_F32, {4, {8, 1, 1, 1}}, 0, 0, 0};
    const CvmPlan plan = {.name = "p", .slots = &slot, .slot_count = 1};
    CvmStore store;
    CvmError error;
    cvm_store_init(&store);
    assert_non_null(cvm_store_add(&store, &slot, 1, elsewhere, &error));
    slot.lanes = 8;
    assert_false(cvm_store_add_slots(&store, &plan, 1, &error));
    assert_int_equal(error.kind, CVM_ERROR_INPUT);
    cvm_store_free(&store);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uniform_values_fill_the_bound),
        cmocka_unit_test(test_values_do_not_depend_on_other_slots),
        cmocka_unit_test(test_present_slots_are_kept),
        cmocka_unit_test(test_borrowed_memory_is_used_where_it_lies),
        cmocka_unit_test(test_many_tensors_are_kept),
        cmocka_unit_test(test_the_order_of_elements_changes_no_value),
        cmocka_unit_test(test_what_is_borrowed_keeps_its_order),
        cmocka_unit_test(test_impossible_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
