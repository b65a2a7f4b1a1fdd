/* The type rules of operators: what goes together, what layout comes out, and that operands and
 * attributes from a hostile graph text are refused, each with an error, before anything overflows.
 */
#include "compiler/graph/layout.h"
#include "compiler/graph/op.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { MAX_OPERANDS = 5 };
#define HUGE_SIZE ((int64_t)1 << 48)

/* A node made by hand, as the parser would hand it to its rule. */
typedef struct Subject {
    CvmArena *arena;
    CvmDiag diag;
    CvmNode node, operands[MAX_OPERANDS];
    CvmNode *inputs[MAX_OPERANDS];
    CvmAttribute attributes[CVM_MAX_ATTRIBUTES];
} Subject;

static void subject_open(Subject *subject, CvmOp op) {
    *subject = (Subject){.arena = cvm_arena_create()};
    cvm_diag_init(&subject->diag, subject->arena);
    subject->node = (CvmNode){.op = op,
                              .group = CVM_NO_GROUP,
                              .inputs = subject->inputs,
                              .input_count = cvm_op_info(op)->operand_count < 0
                                                 ? MAX_OPERANDS
                                                 : cvm_op_info(op)->operand_count,
                              .attributes = subject->attributes,
                              .origin = {.name = "subject"}};
    for (int i = 0; i < MAX_OPERANDS; i++) {
        subject->operands[i] = (CvmNode){.op = CVM_OP_INPUT, .origin = {.name = "operand"}};
        subject->inputs[i] = &subject->operands[i];
    }
    const CvmAttributeInfo *rows = cvm_op_info(op)->attributes;
    for (int i = 0; rows[i].kind != CVM_ATTRIBUTE_END; i++)
        for (int k = 0; k < 4; k++) {
            if (rows[i].kind == CVM_ATTRIBUTE_REAL)
                subject->attributes[i].real = rows[i].otherwise;
            else if (rows[i].kind == CVM_ATTRIBUTE_TEXT)
                subject->attributes[i].text = "";
            else
                subject->attributes[i].integers[k] = (int64_t)rows[i].otherwise;
        }
}

static void shape(Subject *subject, int operand, int rank, int64_t a, int64_t b, int64_t c,
                  int64_t d) {
    subject->operands[operand].type.shape = (CvmShape){rank, {a, b, c, d}};
}

static void attribute(Subject *subject, const char *name, int64_t a, int64_t b) {
    const CvmAttribute *value = cvm_node_attribute(&subject->node, name);
    for (int k = 0; k < 4; k++)
        subject->attributes[value - subject->attributes].integers[k] = k % 2 ? b : a;
}

static void blocked(Subject *subject, int operand, int lanes) {
    subject->operands[operand].type.layout = lanes ? CVM_LAYOUT_BATCH : CVM_LAYOUT_PLAIN;
    subject->operands[operand].type.lanes = lanes;
}

/* Whether the rule takes it; if not, it must have said so exactly once. */
static bool accepts(Subject *subject) {
    bool taken = cvm_op_info(subject->node.op)->infer(&subject->node, &subject->diag);
    assert_int_equal(subject->diag.error_count, taken ? 0 : 1);
    cvm_diag_init(&subject->diag, subject->arena);
    return taken;
}

static void subject_close(Subject *subject) {
    cvm_arena_free(subject->arena);
}

static void assert_shape(const Subject *subject, int rank, int64_t a, int64_t b, int64_t c,
                         int64_t d) {
    CvmShape expected = {rank, {a, b, c, d}};
    char got[96], wanted[96];
    assert_string_equal(cvm_shape_text(&subject->node.type.shape, got, sizeof got),
                        cvm_shape_text(&expected, wanted, sizeof wanted));
}

/* --- shapes --- */

static void open_conv(Subject *subject) {
    subject_open(subject, CVM_OP_CONV);
    shape(subject, 0, 4, 16, 6, 11, 9);
    shape(subject, 1, 4, 8, 3, 3, 2);
    attribute(subject, "stride", 2, 3);
    attribute(subject, "pad", 1, 0);
    attribute(subject, "dilation", 2, 1);
    attribute(subject, "groups", 2, 2);
}

static void test_conv_counts_windows(void **state) {
    (void)state;
    Subject subject;
    open_conv(&subject);
    assert_true(accepts(&subject));
    assert_shape(&subject, 4, 16, 8, 5, 3); /* (11 + 2 - 5) / 2 + 1, (9 - 2) / 3 + 1 */
    subject_close(&subject);
}

static void test_conv_refuses_what_does_not_fit(void **state) {
    (void)state;
    static const struct {
        const char *name;
        int64_t a, b;
    } wrong[] = {{"stride", 0, 1},     {"stride", -1, 1},        {"stride", 1, HUGE_SIZE},
                 {"pad", -1, 0},       {"pad", HUGE_SIZE, 0},    {"pad", INT64_MAX, INT64_MAX},
                 {"dilation", 0, 1},   {"dilation", 1, -3},      {"dilation", INT64_MAX, 1},
                 {"dilation", 100, 1}, {"groups", 0, 0},         {"groups", -1, 0},
                 {"groups", 3, 0},     {"groups", INT64_MIN, 0}, {"groups", INT64_MAX, 0}};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        Subject subject;
        open_conv(&subject);
        attribute(&subject, wrong[i].name, wrong[i].a, wrong[i].b);
        if (accepts(&subject))
            fail_msg("conv takes %s=[%lld, %lld]", wrong[i].name, (long long)wrong[i].a,
                     (long long)wrong[i].b);
        subject_close(&subject);
    }
}

static void test_conv_gradients_need_the_results_shape(void **state) {
    (void)state;
    static const CvmOp ops[] = {CVM_OP_CONV_GRAD_INPUT, CVM_OP_CONV_GRAD_WEIGHT};
    for (int i = 0; i < 2; i++) {
        Subject subject;
        bool for_input = ops[i] == CVM_OP_CONV_GRAD_INPUT;
        subject_open(&subject, ops[i]);
        shape(&subject, for_input ? 0 : 1, 4, 16, 8, 4, 9);
        shape(&subject, for_input ? 1 : 0, 4, for_input ? 8 : 16, 6, for_input ? 3 : 9,
              for_input ? 3 : 11);
        attribute(&subject, "stride", 2, 1);
        attribute(&subject, for_input ? "size" : "kernel", for_input ? 9 : 3, for_input ? 11 : 3);
        assert_true(accepts(&subject));
        if (for_input)
            assert_shape(&subject, 4, 16, 6, 9, 11);
        else
            assert_shape(&subject, 4, 8, 6, 3, 3);
        attribute(&subject, for_input ? "size" : "kernel", for_input ? 12 : 2, for_input ? 11 : 3);
        subject.operands[for_input ? 0 : 1].type.shape.sizes[2] = 3;
        assert_false(accepts(&subject));
        subject_close(&subject);
    }
}

static void test_pools_refuse_windows_of_padding(void **state) {
    (void)state;
    Subject subject;
    subject_open(&subject, CVM_OP_MAXPOOL);
    shape(&subject, 0, 4, 2, 3, 7, 8);
    attribute(&subject, "kernel", 3, 2);
    attribute(&subject, "stride", 2, 2);
    attribute(&subject, "pad", 1, 1);
    assert_true(accepts(&subject));
    assert_shape(&subject, 4, 2, 3, 4, 5);
    attribute(&subject, "pad", 3, 0);
    assert_false(accepts(&subject));
    attribute(&subject, "pad", 0, 0);
    attribute(&subject, "kernel", 8, 2);
    assert_false(accepts(&subject));
    subject_close(&subject);
}

static void test_shapes_that_do_not_go_together_are_refused(void **state) {
    (void)state;
    static const struct {
        CvmOp op;
        CvmShape a, b;
    } pairs[] = {
        {CVM_OP_LINEAR, {2, {4, 5}}, {2, {3, 6}}},
        {CVM_OP_LINEAR, {4, {4, 5, 1, 1}}, {2, {3, 5}}},
        {CVM_OP_LINEAR_GRAD_INPUT, {2, {4, 5}}, {2, {3, 5}}},
        {CVM_OP_LINEAR_GRAD_WEIGHT, {2, {4, 5}}, {2, {3, 5}}},
        {CVM_OP_ADD, {2, {4, 5}}, {2, {4, 6}}},
        {CVM_OP_ADD, {2, {4, 5}}, {1, {5}}},
        {CVM_OP_BIAS, {2, {4, 5}}, {1, {4}}},
        {CVM_OP_BIAS, {3, {4, 5, 6}}, {1, {5}}},
        {CVM_OP_BIAS, {0, {0}}, {1, {5}}},
        {CVM_OP_SOFTMAX_GRAD, {2, {4, 5}}, {2, {5, 4}}},
        {CVM_OP_LRN_GRAD, {4, {2, 3, 4, 4}}, {4, {2, 4, 4, 3}}},
        {CVM_OP_NLL, {2, {4, 5}}, {1, {4}}}, /* the target must be i32 */
        {CVM_OP_MAXPOOL_GRAD, {4, {1, 2, 3, 3}}, {4, {1, 2, 6, 6}}},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        Subject subject;
        subject_open(&subject, pairs[i].op);
        subject.operands[0].type.shape = pairs[i].a;
        subject.operands[1].type.shape = pairs[i].b;
        if (accepts(&subject))
            fail_msg("case %d: %s takes it", (int)i, cvm_op_info(pairs[i].op)->name);
        subject_close(&subject);
    }
}

static void test_labels_go_to_the_loss_alone(void **state) {
    (void)state;
    Subject subject;
    subject_open(&subject, CVM_OP_RELU);
    shape(&subject, 0, 1, 4, 0, 0, 0);
    subject.operands[0].type.dtype = CVM_I32;
    assert_false(accepts(&subject));
    subject_close(&subject);
    subject_open(&subject, CVM_OP_NLL);
    shape(&subject, 0, 2, 4, 5, 0, 0);
    shape(&subject, 1, 1, 4, 0, 0, 0);
    subject.operands[1].type.dtype = CVM_I32;
    assert_true(accepts(&subject));
    assert_shape(&subject, 1, 4, 0, 0, 0);
    subject_close(&subject);
}

static void test_shapes_flatten_and_come_back(void **state) {
    (void)state;
    Subject subject;
    subject_open(&subject, CVM_OP_FLATTEN);
    shape(&subject, 0, 4, 2, 3, 4, 5);
    assert_true(accepts(&subject));
    assert_shape(&subject, 2, 2, 60, 0, 0);
    subject_close(&subject);
    subject_open(&subject, CVM_OP_UNFLATTEN);
    shape(&subject, 0, 2, 2, 60, 0, 0);
    attribute(&subject, "channels", 3, 0);
    attribute(&subject, "size", 4, 5);
    assert_true(accepts(&subject));
    assert_shape(&subject, 4, 2, 3, 4, 5);
    attribute(&subject, "size", 4, 6);
    assert_false(accepts(&subject));
    attribute(&subject, "size", -4, -5); /* the product is right */
    assert_false(accepts(&subject));
    subject_close(&subject);
}

static void test_results_have_at_most_2_to_the_40_elements(void **state) {
    (void)state;
    Subject subject;
    subject_open(&subject, CVM_OP_LINEAR);
    shape(&subject, 0, 2, (int64_t)1 << 20, 1, 0, 0);
    shape(&subject, 1, 2, (int64_t)1 << 20, 1, 0, 0);
    assert_true(accepts(&subject));
    subject.operands[0].type.shape.sizes[0]++;
    assert_false(cvm_op_info(CVM_OP_LINEAR)->infer(&subject.node, &subject.diag));
    assert_int_equal(subject.diag.first->code, 1249);
    subject_close(&subject);
}

/* --- layouts --- */

static void test_layouts_follow_the_batch(void **state) {
    (void)state;
    Subject subject;
    open_conv(&subject);
    blocked(&subject, 0, 16);
    assert_true(accepts(&subject));
    assert_int_equal(subject.node.type.layout, CVM_LAYOUT_BATCH);
    assert_int_equal(subject.node.type.lanes, 16);
    blocked(&subject, 1, 8); /* weights are plain */
    assert_false(accepts(&subject));
    subject_close(&subject);

    subject_open(&subject, CVM_OP_BIAS_GRAD);
    shape(&subject, 0, 4, 16, 3, 2, 2);
    blocked(&subject, 0, 8);
    assert_true(accepts(&subject));
    assert_int_equal(subject.node.type.layout, CVM_LAYOUT_PLAIN);
    subject_close(&subject);
}

static void test_layouts_do_not_mix(void **state) {
    (void)state;
    Subject subject;
    subject_open(&subject, CVM_OP_ADD);
    shape(&subject, 0, 4, 16, 3, 2, 2);
    shape(&subject, 1, 4, 16, 3, 2, 2);
    blocked(&subject, 0, 16);
    assert_false(accepts(&subject));
    blocked(&subject, 1, 8);
    assert_false(accepts(&subject));
    blocked(&subject, 1, 16);
    assert_true(accepts(&subject));
    subject_close(&subject);
    subject_open(&subject, CVM_OP_SOFTMAX);
    shape(&subject, 0, 2, 16, 10, 0, 0);
    blocked(&subject, 0, 16);
    assert_false(accepts(&subject));
    subject_close(&subject);
}

static void test_relayout_takes_layouts_that_fit(void **state) {
    (void)state;
    static const struct {
        const char *to;
        bool taken;
    } cases[] = {{"plain", true},
                 {"", true},
                 {"batch16", true},
                 {"batch32", true},
                 {"batch64", false},
                 {"batch48", false},
                 {"batch1", false},
                 {"batch", false},
                 {"batch128", false},
                 {"batch-2", false},
                 {"batch2 ", false},
                 {"rows8", false},
                 {"channel2", true},
                 {"channel4", false},
                 {"filter32", true},
                 {"filter64", false},
                 {"batch99999999999999999999", false},
                 {"channel", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Subject subject;
        subject_open(&subject, CVM_OP_RELAYOUT);
        shape(&subject, 0, 4, 96, 6, 2, 2);
        subject.attributes[0].text = cases[i].to;
        if (accepts(&subject) != cases[i].taken)
            fail_msg("relayout of [96, 6, 2, 2] to '%s'", cases[i].to);
        subject_close(&subject);
    }
}

/* --- anything at all --- */

static uint32_t next_random(uint32_t *seed) {
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}

static int64_t hostile_number(uint32_t *seed) {
    static const int64_t numbers[] = {1,
                                      1,
                                      2,
                                      2,
                                      3,
                                      4,
                                      16,
                                      0,
                                      -1,
                                      INT32_MAX,
                                      (int64_t)1 << 31,
                                      1 << 20,
                                      INT64_MAX,
                                      INT64_MIN,
                                      (int64_t)1 << 40};
    return numbers[next_random(seed) % (sizeof numbers / sizeof *numbers)];
}

static CvmType hostile_type(uint32_t *seed) {
    static const int ranks[] = {0, 1, 2, 2, 3, 4, 4, 4};
    CvmType type = {.dtype = next_random(seed) % 8 ? CVM_F32 : CVM_I32};
    type.shape.rank = ranks[next_random(seed) % 8];
    for (int i = 0; i < CVM_MAX_RANK; i++)
        type.shape.sizes[i] = hostile_number(seed);
    if (next_random(seed) % 4 == 0) { /* earlier nodes have no other layouts than those that fit */
        type.layout = (CvmLayoutKind)(1 + next_random(seed) % CVM_LAYOUT_FILTER);
        type.lanes = 2 << next_random(seed) % 6;
        if (!cvm_layout_fits(&type))
            type.layout = CVM_LAYOUT_PLAIN;
    }
    return type;
}

static void hostile_attribute(uint32_t *seed, CvmAttributeKind kind, CvmAttribute *attribute) {
    static const char *const texts[] = {"batch16", "channel2", "filter64", "channel0", "x"};
    if (kind == CVM_ATTRIBUTE_TEXT)
        attribute->text = texts[next_random(seed) % 5];
    for (int k = 0; k < 4 && kind != CVM_ATTRIBUTE_REAL && kind != CVM_ATTRIBUTE_TEXT; k++)
        if (next_random(seed) % 3 == 0)
            attribute->integers[k] = hostile_number(seed);
}

/* Under the sanitizers, an overflow or a bad index ends the test. */
static void test_rules_withstand_anything(void **state) {
    (void)state;
    uint32_t seed = 20261;
    int taken = 0;
    for (int round = 0; round < 60000; round++) {
        CvmOp op = (CvmOp)(next_random(&seed) % CVM_OP_COUNT);
        const CvmOpInfo *info = cvm_op_info(op);
        if (!info->infer)
            continue;
        Subject subject;
        subject_open(&subject, op);
        for (int i = 0; i < MAX_OPERANDS; i++)
            subject.operands[i].type =
                i && next_random(&seed) % 2 ? subject.operands[0].type : hostile_type(&seed);
        for (int i = 0; info->attributes[i].kind != CVM_ATTRIBUTE_END; i++)
            hostile_attribute(&seed, info->attributes[i].kind, &subject.attributes[i]);
        if (accepts(&subject)) {
            int64_t count;
            assert_true(cvm_shape_count(&subject.node.type.shape, &count));
            assert_in_range(count, 1, (int64_t)1 << 40);
            if (info->cost)
                assert_true(info->cost(&subject.node).bytes > 0);
            taken++;
        }
        subject_close(&subject);
    }
    assert_true(taken > 1000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conv_counts_windows),
        cmocka_unit_test(test_conv_refuses_what_does_not_fit),
        cmocka_unit_test(test_conv_gradients_need_the_results_shape),
        cmocka_unit_test(test_pools_refuse_windows_of_padding),
        cmocka_unit_test(test_shapes_that_do_not_go_together_are_refused),
        cmocka_unit_test(test_labels_go_to_the_loss_alone),
        cmocka_unit_test(test_shapes_flatten_and_come_back),
        cmocka_unit_test(test_results_have_at_most_2_to_the_40_elements),
        cmocka_unit_test(test_layouts_follow_the_batch),
        cmocka_unit_test(test_layouts_do_not_mix),
        cmocka_unit_test(test_relayout_takes_layouts_that_fit),
        cmocka_unit_test(test_rules_withstand_anything),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
