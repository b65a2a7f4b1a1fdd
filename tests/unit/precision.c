/* bf16 in generated code: how numbers are rounded, linear layers whose operands are bf16 against
 * their reference, and the processor's instruction for pairs of products where there is one. */
#include "compiler/codegen/module.h"
#include "compiler/graph/op.h"
#include "compiler/passes/passes.h"
#include "tests/support/checked.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const CvmOrigin nowhere = {.name = "y"};

static CvmNode *add(CvmGraph *graph, CvmOp op, CvmNode *a, CvmNode *b) {
    CvmNode *inputs[] = {a, b};
    CvmNode *node = cvm_graph_add(graph, op, inputs, b ? 2 : 1, NULL, nowhere, &checked_diag);
    if (!node)
        cvm_diag_print(&checked_diag, stderr);
    assert_non_null(node);
    return node;
}

static CvmNode *input(CvmGraph *graph, const char *name, int64_t rows, int64_t columns) {
    return cvm_graph_input(graph, name, CVM_F32, (CvmShape){2, {rows, columns}},
                           (CvmOrigin){.name = name});
}

/* Products with one are what was rounded. */
static void numbers_are_rounded_to_nearest_even(void **state) {
    (void)state;
    static const float tie = 0x1p-8f, above = 0x1.02p-8f;
    static const float from[] = {0,         -0.0f, 1,         1 + tie,   1 + above, 1 + 3 * tie,
                                 -1 - tie,  3,     0x1p-130f, FLT_MAX,   -FLT_MAX,  INFINITY,
                                 -INFINITY, 0.1f,  NAN,       0x1.FFp0f, 1e-3f};
    static const float to[] = {0,         -0.0f,      1,         1,        1 + 2 * tie, 1 + 4 * tie,
                               -1,        3,          0x1p-130f, INFINITY, -INFINITY,   INFINITY,
                               -INFINITY, 0x1.9Ap-4f, NAN,       2,        0x1.06p-10f};
    enum { COUNT = sizeof from / sizeof *from };
    for (const char *const *cpu = compiled_cpus(); *cpu; cpu++) {
        CvmGraph *graph = cvm_graph_create(checked_arena, "narrow");
        CvmNode *x = add(graph, CVM_OP_NARROW, input(graph, "x", COUNT, 1), NULL);
        CvmNode *one = add(graph, CVM_OP_NARROW, input(graph, "one", 1, 1), NULL);
        cvm_graph_output(graph, "y", add(graph, CVM_OP_LINEAR, x, one));
        Compiled compiled = compiled_open(graph, "none", *cpu, 1);
        compiled_set(&compiled, "x", from, COUNT);
        compiled_set(&compiled, "one", &(float){1}, 1);
        compiled_run(&compiled);
        const float *y = compiled_output(&compiled, "y");
        for (int i = 0; i < COUNT; i++)
            if (isnan(to[i]) ? !isnan(y[i]) : y[i] != to[i])
                fail_msg("%a becomes %a for %s, and not %a", (double)from[i], (double)y[i], *cpu,
                         (double)to[i]);
        compiled_close(&compiled);
    }
}

/* With and without a tile, a chunk, a vector or a pair cut short; the last ones are so large that a
 * batch shares them. */
static const int64_t sizes[][3] = {{1, 400, 120}, {5, 77, 31},    {3, 1, 1},    {7, 333, 200},
                                   {8, 48, 16},   {2, 2300, 131}, {7, 777, 401}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static CvmGraph *linear_graph(const int64_t *size, bool both) {
    CvmGraph *graph = cvm_graph_create(checked_arena, "linear");
    CvmNode *x = input(graph, "x", size[0], size[1]);
    CvmNode *weight = add(graph, CVM_OP_NARROW, input(graph, "w", size[2], size[1]), NULL);
    CvmNode *bias =
        cvm_graph_input(graph, "b", CVM_F32, (CvmShape){1, {size[2]}}, (CvmOrigin){.name = "b"});
    CvmNode *y = add(graph, CVM_OP_LINEAR, both ? add(graph, CVM_OP_NARROW, x, NULL) : x, weight);
    cvm_graph_output(graph, "y", add(graph, CVM_OP_RELU, add(graph, CVM_OP_BIAS, y, bias), NULL));
    return graph;
}

static void linear_layers_take_them(void **state) {
    (void)state;
    for (int i = 0; i < 2 * SIZES; i++)
        checked_run(linear_graph(sizes[i / 2], i % 2), checked_arena,
                    i % 2 ? "bf16" : "bf16 weights", i % 3 ? "none,+fuse-epilogue" : "none", 1e-4f);
}

/* Vectors that hold one feature of several pictures: single weights are spread over them. */
static void linear_layers_take_them_batch_blocked(void **state) {
    (void)state;
    CvmGraph *graph = cvm_graph_create(checked_arena, "blocked");
    CvmNode *x = input(graph, "x", 8, 37);
    CvmAttribute blocked = {.text = "batch4"}, plain = {.text = "plain"};
    x = cvm_graph_add(graph, CVM_OP_RELAYOUT, &x, 1, &blocked, nowhere, &checked_diag);
    CvmNode *weight = add(graph, CVM_OP_NARROW, input(graph, "w", 21, 37), NULL);
    CvmNode *half = add(graph, CVM_OP_LINEAR, x, weight);
    CvmNode *both = add(graph, CVM_OP_LINEAR, add(graph, CVM_OP_NARROW, x, NULL), weight);
    half = cvm_graph_add(graph, CVM_OP_RELAYOUT, &half, 1, &plain, nowhere, &checked_diag);
    both = cvm_graph_add(graph, CVM_OP_RELAYOUT, &both, 1, &plain, nowhere, &checked_diag);
    cvm_graph_output(graph, "half", half);
    cvm_graph_output(graph, "both", both);
    checked_run(graph, checked_arena, "batch-blocked", "none", 1e-4f);
}

/* Only looked at: this machine need not have it. */
static void pairs_are_multiplied_by_one_instruction_where_there_is_one(void **state) {
    (void)state;
    static const CvmTarget target = {.cpu = "cooperlake",
                                     .features = "",
                                     .triple = "x86_64-linux-gnu",
                                     .shape = {.lanes = 16, .registers = 32, .dots = true}};
    LLVMInitializeX86TargetInfo();
    LLVMInitializeX86Target();
    LLVMInitializeX86TargetMC();
    LLVMInitializeX86AsmPrinter();
    CvmKernelList kernels;
    assert_true(cvm_lower_graph(linear_graph(sizes[SIZES - 1], true), target.shape, checked_arena,
                                &kernels, &checked_diag));
    bool found = false;
    for (int i = 0; i < kernels.count; i++) {
        if (kernels.kernels[i]->form != CVM_KERNEL_LINEAR)
            continue;
        char *error;
        LLVMMemoryBufferRef text =
            cvm_compile_kernel(kernels.kernels[i], &target, CVM_CODE_ASSEMBLY, &error);
        if (!text)
            fail_msg("%s", error);
        found = strstr(LLVMGetBufferStart(text), "vdpbf16ps");
        LLVMDisposeMemoryBuffer(text);
    }
    assert_true(found);
}

static void precisions_have_names(void **state) {
    (void)state;
    CvmPrecision precision;
    assert_true(cvm_precision_parse(NULL, &precision, &checked_diag));
    assert_int_equal(precision, CVM_PRECISION_F32);
    assert_true(cvm_precision_parse("bf16", &precision, &checked_diag));
    assert_int_equal(precision, CVM_PRECISION_BF16);
    assert_false(cvm_precision_parse("f16", &precision, &checked_diag));
    assert_int_equal(checked_diag.error_count, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(numbers_are_rounded_to_nearest_even, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(linear_layers_take_them, checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(linear_layers_take_them_batch_blocked, checked_set_up,
                                        checked_tear_down),
        cmocka_unit_test_setup_teardown(pairs_are_multiplied_by_one_instruction_where_there_is_one,
                                        checked_set_up, checked_tear_down),
        cmocka_unit_test_setup_teardown(precisions_have_names, checked_set_up, checked_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
