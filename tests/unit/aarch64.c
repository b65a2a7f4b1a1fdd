/* Code for another architecture: kernels of every form compile for AArch64 with its vectors of four
 * floats and its 32 registers. What they compute is not checked: they cannot run here. */
#include "compiler/codegen/module.h"
#include "compiler/front/program.h"
#include "compiler/passes/passes.h"
#include "compiler/training_graph.h"

#include <llvm-c/Core.h>
#include <llvm-c/Target.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum { FORMS = CVM_KERNEL_PROBE, EACH = 3 }; /* a probe is made by hand, apart from any graph */

static const CvmTarget target = {.cpu = "generic",
                                 .features = "+neon",
                                 .triple = "aarch64-linux-gnu",
                                 .shape = {.lanes = 4, .registers = 32, .blas = true}};

static void compile(const CvmKernel *kernel) {
    char *error = NULL;
    LLVMMemoryBufferRef text = cvm_compile_kernel(kernel, &target, CVM_CODE_ASSEMBLY, &error);
    if (!text)
        fail_msg("%s for %s: %s", kernel->symbol, kernel->layer, error);
    assert_non_null(strstr(LLVMGetBufferStart(text), "ret\n"));
    if (kernel->form == CVM_KERNEL_WINOGRAD || kernel->form == CVM_KERNEL_LINEAR)
        assert_non_null(strstr(LLVMGetBufferStart(text), "fmla\tv")); /* vectors, fused */
    LLVMDisposeMemoryBuffer(text);
}

/* The first EACH kernels of every form; counts[form] says how many there were so far. */
static void compile_graph(CvmGraph *graph, CvmArena *arena, CvmDiag *diag, int *counts) {
    CvmPassContext context = {.diag = diag, .vector_lanes = target.shape.lanes};
    CvmPassChoice choice;
    CvmKernelList kernels;
    assert_non_null(graph);
    assert_true(cvm_pass_choice(NULL, &choice, diag));
    assert_true(cvm_run_passes(&choice, &context, graph));
    assert_true(cvm_lower_graph(graph, target.shape, arena, &kernels, diag));
    for (int i = 0; i < kernels.count; i++)
        if (counts[kernels.kernels[i]->form]++ < EACH)
            compile(kernels.kernels[i]);
}

static void test_every_form_compiles(void **state) {
    (void)state;
    static const char *const files[] = {"lenet5", "alexnet", "vgg16_cifar", "squeezenet"};
    int counts[FORMS + 1] = {0};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        CvmDiag diag;
        CvmArena *arena = cvm_arena_create();
        cvm_diag_init(&diag, arena);
        const char *path =
            cvm_arena_format(arena, "%s/models/%s.cvm", getenv("CVM_SOURCE_DIR"), files[i]);
        CvmProgram *program = cvm_program_load(arena, path, NULL, &diag);
        assert_non_null(program);
        for (int64_t batch = 3; batch <= 4 && cvm_program_train_count(program); batch++)
            compile_graph(cvm_training_graph(cvm_program_train(program, 0), batch, arena, &diag),
                          arena, &diag, counts); /* 4 pictures fill a vector */
        for (int64_t batch = 4; batch <= 64; batch += 60)
            compile_graph(
                cvm_inference_graph(cvm_program_model(program, 0), batch, true, arena, &diag),
                arena, &diag, counts);
        cvm_arena_free(arena);
    }
    for (int form = 0; form < FORMS; form++)
        if (!counts[form])
            fail_msg("no model of the test has a kernel of form %d", form);
}

static int set_up(void **state) {
    (void)state;
    LLVMInitializeAArch64TargetInfo();
    LLVMInitializeAArch64Target();
    LLVMInitializeAArch64TargetMC();
    LLVMInitializeAArch64AsmPrinter();
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_every_form_compiles)};
    return cmocka_run_group_tests(tests, set_up, NULL);
}
