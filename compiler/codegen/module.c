/* See module.h. The function of a kernel loads its buffers' addresses and runs the form's generator
 * for every work item of [begin, end). */
#include "compiler/codegen/module.h"
#include "compiler/codegen/emitter.h"
#include "compiler/codegen/lines.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Transforms/PassBuilder.h>

#include <string.h>

/* Generated code is already tiled, unrolled and vectorised: what is left is to put stack slots into
 * registers, share addresses, and move what a loop does not change out of it. (Unless told
 * otherwise, instcombine ends the process where it is not done after one round.) */
static const char clean_up[] = "function(sroa,early-cse<memssa>,instcombine<no-verify-fixpoint>,"
                               "simplifycfg,loop-mssa(licm),early-cse)";

static void add_attribute(CvmEmitter *emitter, const char *name, const char *value) {
    LLVMAttributeRef attribute = LLVMCreateStringAttribute(
        emitter->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(emitter->function, LLVMAttributeFunctionIndex, attribute);
}

static void add_function(CvmEmitter *emitter, const CvmTarget *target) {
    LLVMTypeRef parameters[] = {emitter->pointer, emitter->i64, emitter->i64};
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(emitter->context), parameters, 3, false);
    emitter->function = LLVMAddFunction(emitter->module, emitter->kernel->symbol, type);
    char width[16];
    snprintf(width, sizeof width, "%d", target->shape.lanes * 32);
    add_attribute(emitter, "prefer-vector-width", width);
    add_attribute(emitter, "min-legal-vector-width", width);
    unsigned kind = LLVMGetEnumAttributeKindForName("nounwind", 8);
    LLVMAddAttributeAtIndex(emitter->function, LLVMAttributeFunctionIndex,
                            LLVMCreateEnumAttribute(emitter->context, kind, 0));
}

static void load_buffers(CvmEmitter *emitter) {
    LLVMValueRef table = LLVMGetParam(emitter->function, 0);
    for (int i = 0; i < emitter->kernel->buffer_count; i++) {
        LLVMValueRef index = cvm_i64(emitter, i);
        LLVMValueRef at =
            LLVMBuildInBoundsGEP2(emitter->builder, emitter->pointer, table, &index, 1, "");
        emitter->buffers[i] = LLVMBuildLoad2(emitter->builder, emitter->pointer, at, "buffer");
    }
}

static void emit_function(CvmEmitter *emitter) {
    static void (*const generators[])(CvmEmitter *, LLVMValueRef) = {
        [CVM_KERNEL_REDUCE] = cvm_emit_reduce,
        [CVM_KERNEL_ROWS] = cvm_emit_rows,
        [CVM_KERNEL_SCATTER] = cvm_emit_scatter,
        [CVM_KERNEL_RELAYOUT] = cvm_emit_relayout,
        [CVM_KERNEL_COPY] = cvm_emit_copy,
        [CVM_KERNEL_TURN] = cvm_emit_turn,
        [CVM_KERNEL_WEIGHTS] = cvm_emit_weights,
        [CVM_KERNEL_PROBE] = cvm_emit_probe,
        [CVM_KERNEL_WINOGRAD] = cvm_emit_winograd,
        [CVM_KERNEL_LINEAR] = cvm_emit_linear,
        [CVM_KERNEL_BLAS] = cvm_emit_blas,
        [CVM_KERNEL_WINOGRAD_WEIGHT] = cvm_emit_winograd_weight,
        [CVM_KERNEL_WINOGRAD_GRAD] = cvm_emit_winograd_grad,
        [CVM_KERNEL_WINOGRAD_ROWS] = cvm_emit_winograd_rows,
        [CVM_KERNEL_WINOGRAD_ROWS_GRAD] = cvm_emit_winograd_rows_grad,
    };
    emitter->entry = LLVMAppendBasicBlockInContext(emitter->context, emitter->function, "entry");
    LLVMPositionBuilderAtEnd(emitter->builder, emitter->entry);
    load_buffers(emitter);
    LLVMBasicBlockRef start =
        LLVMAppendBasicBlockInContext(emitter->context, emitter->function, "start");
    LLVMBuildBr(emitter->builder, start);
    LLVMPositionBuilderAtEnd(emitter->builder, start);
    CvmLoop items = cvm_loop_begin(emitter, LLVMGetParam(emitter->function, 1),
                                   LLVMGetParam(emitter->function, 2), 1);
    generators[emitter->kernel->form](emitter, items.index);
    cvm_loop_end(emitter, &items);
    LLVMBuildRetVoid(emitter->builder);
}

static CvmEmitter begin_module(const CvmKernel *kernel) {
    LLVMContextRef context = LLVMContextCreate();
    return (CvmEmitter){
        .context = context,
        .module = LLVMModuleCreateWithNameInContext(kernel->symbol, context),
        .builder = LLVMCreateBuilderInContext(context),
        .kernel = kernel,
        .f32 = LLVMFloatTypeInContext(context),
        .i32 = LLVMInt32TypeInContext(context),
        .i64 = LLVMInt64TypeInContext(context),
        .i1 = LLVMInt1TypeInContext(context),
        .pointer = LLVMPointerTypeInContext(context, 0),
    };
}

static bool clean(CvmEmitter *emitter, LLVMTargetMachineRef machine, char **error) {
    LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
    LLVMErrorRef failure = LLVMRunPasses(emitter->module, clean_up, machine, options);
    LLVMDisposePassBuilderOptions(options);
    if (!failure)
        return true;
    char *message = LLVMGetErrorMessage(failure);
    *error = LLVMCreateMessage(message);
    LLVMDisposeErrorMessage(message);
    return false;
}

static LLVMMemoryBufferRef finish(CvmEmitter *emitter, LLVMTargetMachineRef machine,
                                  CvmCodeForm form, char **error) {
    if (LLVMVerifyModule(emitter->module, LLVMReturnStatusAction, error))
        return NULL;
    LLVMDisposeMessage(*error);
    *error = NULL;
    if (!clean(emitter, machine, error))
        return NULL;
    if (form == CVM_CODE_LLVM) {
        char *text = LLVMPrintModuleToString(emitter->module);
        LLVMMemoryBufferRef buffer =
            LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "llvm");
        LLVMDisposeMessage(text);
        return buffer;
    }
    LLVMMemoryBufferRef buffer = NULL;
    LLVMCodeGenFileType type = form == CVM_CODE_OBJECT ? LLVMObjectFile : LLVMAssemblyFile;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, emitter->module, type, error, &buffer))
        return NULL;
    return buffer;
}

LLVMMemoryBufferRef cvm_compile_kernel(const CvmKernel *kernel, const CvmTarget *target,
                                       CvmCodeForm form, char **error) {
    *error = NULL;
    LLVMTargetMachineRef machine = cvm_target_machine(target);
    if (!machine) {
        *error = LLVMCreateMessage("LLVM has no such target");
        return NULL;
    }
    CvmEmitter emitter = begin_module(kernel);
    LLVMSetTarget(emitter.module, target->triple);
    LLVMTargetDataRef layout = LLVMCreateTargetDataLayout(machine);
    LLVMSetModuleDataLayout(emitter.module, layout);
    LLVMDisposeTargetData(layout);
    add_function(&emitter, target);
    cvm_lines_begin(&emitter);
    emit_function(&emitter);
    cvm_lines_end(&emitter);
    LLVMMemoryBufferRef buffer = finish(&emitter, machine, form, error);
    LLVMDisposeBuilder(emitter.builder);
    LLVMDisposeModule(emitter.module);
    LLVMContextDispose(emitter.context);
    LLVMDisposeTargetMachine(machine);
    return buffer;
}
