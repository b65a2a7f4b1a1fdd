/* See object.h: a model's description as constant data, written through LLVM, so that no C compiler
 * is needed. Each struct of runtime/net/description.h and runtime/plan.h has a function here that
 * lists its members; that the list has the struct's size and offsets is checked as it is written.
 */
#include "compiler/codegen/module.h"
#include "compiler/object/internal.h"

#include <llvm-c/Analysis.h>
#include <llvm-c/Core.h>
#include <llvm-c/IRReader.h>
#include <llvm-c/Linker.h>

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_MEMBERS = 32 };

typedef struct Writer {
    const CvmObject *object;
    CvmArena *arena;
    CvmDiag *diag;
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMTargetDataRef layout;
    LLVMTypeRef i8, i32, i64, f64, pointer;
} Writer;

/* A struct while its members are listed. */
typedef struct Record {
    Writer *writer;
    LLVMValueRef members[MAX_MEMBERS];
    size_t offsets[MAX_MEMBERS];
    int count;
} Record;

/* --- values --- */

static LLVMValueRef null_pointer(const Writer *writer) {
    return LLVMConstNull(writer->pointer);
}

static LLVMValueRef constant(Writer *writer, LLVMValueRef value, const char *name) {
    LLVMValueRef global = LLVMAddGlobal(writer->module, LLVMTypeOf(value), name);
    LLVMSetInitializer(global, value);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMInternalLinkage);
    return global;
}

static LLVMValueRef text(Writer *writer, const char *string) {
    if (!string)
        return null_pointer(writer);
    LLVMValueRef bytes = LLVMConstStringInContext2(writer->context, string, strlen(string), false);
    LLVMValueRef global = constant(writer, bytes, "text");
    LLVMSetUnnamedAddress(global, LLVMGlobalUnnamedAddr); /* equal ones become one */
    LLVMSetAlignment(global, 1);
    return global;
}

static LLVMValueRef whole(const Writer *writer, int64_t value) {
    return LLVMConstInt(writer->i64, (unsigned long long)value, true);
}

static LLVMValueRef number(const Writer *writer, int value) {
    return LLVMConstInt(writer->i32, (unsigned long long)(long long)value, true);
}

static LLVMValueRef real(const Writer *writer, double value) {
    return LLVMConstReal(writer->f64, value);
}

static LLVMValueRef reals(const Writer *writer, const double *values, int count) {
    LLVMValueRef elements[MAX_MEMBERS];
    for (int i = 0; i < count; i++)
        elements[i] = real(writer, values[i]);
    return LLVMConstArray2(writer->f64, elements, (uint64_t)count);
}

/* The address of an array of values of one type; NULL when there are none. */
static LLVMValueRef table(Writer *writer, LLVMValueRef *elements, int count, const char *name) {
    if (!count)
        return null_pointer(writer);
    return constant(writer, LLVMConstArray2(LLVMTypeOf(elements[0]), elements, (uint64_t)count),
                    name);
}

static LLVMValueRef *room(Writer *writer, int count) {
    return cvm_arena_array(writer->arena, (size_t)count + 1, sizeof(LLVMValueRef));
}

/* --- records --- */

static void add(Record *record, size_t offset, LLVMValueRef value) {
    if (record->count == MAX_MEMBERS)
        abort();
    record->offsets[record->count] = offset;
    record->members[record->count++] = value;
}

#define ADD(record, type, member, value) add(record, offsetof(type, member), value)

/* A member that is missing here, or of another type, is a mistake in this file. */
static LLVMValueRef finish(Record *record, size_t size) {
    const Writer *writer = record->writer;
    LLVMValueRef value =
        LLVMConstStructInContext(writer->context, record->members, (unsigned)record->count, false);
    LLVMTypeRef type = LLVMTypeOf(value);
    if (LLVMABISizeOfType(writer->layout, type) != size)
        abort();
    for (int i = 0; i < record->count; i++)
        if (LLVMOffsetOfElement(writer->layout, type, (unsigned)i) != record->offsets[i])
            abort();
    return value;
}

static LLVMValueRef shape_value(Writer *writer, const CvmShape *shape) {
    Record record = {.writer = writer};
    LLVMValueRef sizes[CVM_MAX_RANK];
    for (int i = 0; i < CVM_MAX_RANK; i++)
        sizes[i] = whole(writer, i < shape->rank ? shape->sizes[i] : 0);
    ADD(&record, CvmShape, rank, number(writer, shape->rank));
    ADD(&record, CvmShape, sizes, LLVMConstArray2(writer->i64, sizes, CVM_MAX_RANK));
    return finish(&record, sizeof(CvmShape));
}

static LLVMValueRef slots_value(Writer *writer, const CvmSlot *slots, int count) {
    LLVMValueRef *elements = room(writer, count);
    for (int i = 0; i < count; i++) {
        Record record = {.writer = writer};
        ADD(&record, CvmSlot, name, text(writer, slots[i].name));
        ADD(&record, CvmSlot, kind, number(writer, (int)slots[i].kind));
        ADD(&record, CvmSlot, dtype, number(writer, (int)slots[i].dtype));
        ADD(&record, CvmSlot, shape, shape_value(writer, &slots[i].shape));
        ADD(&record, CvmSlot, bound, real(writer, slots[i].bound));
        ADD(&record, CvmSlot, fill, real(writer, slots[i].fill));
        ADD(&record, CvmSlot, lanes, number(writer, slots[i].lanes));
        elements[i] = finish(&record, sizeof(CvmSlot));
    }
    return table(writer, elements, count, "slots");
}

static LLVMValueRef ports_value(Writer *writer, const CvmPort *ports, int count) {
    LLVMValueRef *elements = room(writer, count);
    for (int i = 0; i < count; i++) {
        Record record = {.writer = writer};
        ADD(&record, CvmPort, name, text(writer, ports[i].name));
        ADD(&record, CvmPort, dtype, number(writer, (int)ports[i].dtype));
        ADD(&record, CvmPort, shape, shape_value(writer, &ports[i].shape));
        ADD(&record, CvmPort, offset, whole(writer, ports[i].offset));
        elements[i] = finish(&record, sizeof(CvmPort));
    }
    return table(writer, elements, count, "ports");
}

/* --- plans --- */

static LLVMValueRef kernel_function(Writer *writer, const char *symbol) {
    LLVMValueRef function = LLVMGetNamedFunction(writer->module, symbol);
    if (function)
        return function;
    LLVMTypeRef parameters[] = {writer->pointer, writer->i64, writer->i64};
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(writer->context), parameters, 3, false);
    function = LLVMAddFunction(writer->module, symbol, type);
    LLVMSetVisibility(function, LLVMHiddenVisibility);
    return function;
}

static LLVMValueRef buffers_value(Writer *writer, const CvmBuffer *buffers, int count) {
    LLVMValueRef *elements = room(writer, count);
    for (int i = 0; i < count; i++) {
        Record record = {.writer = writer};
        ADD(&record, CvmBuffer, space, number(writer, (int)buffers[i].space));
        ADD(&record, CvmBuffer, position, whole(writer, buffers[i].position));
        elements[i] = finish(&record, sizeof(CvmBuffer));
    }
    return table(writer, elements, count, "buffers");
}

static LLVMValueRef calls_value(Writer *writer, const CvmCall *calls, int count) {
    LLVMValueRef *elements = room(writer, count);
    for (int i = 0; i < count; i++) {
        const CvmCall *call = &calls[i];
        Record record = {.writer = writer};
        ADD(&record, CvmCall, kernel, text(writer, call->kernel));
        ADD(&record, CvmCall, layer, text(writer, call->layer));
        ADD(&record, CvmCall, function, kernel_function(writer, call->kernel));
        ADD(&record, CvmCall, buffers, buffers_value(writer, call->buffers, call->buffer_count));
        ADD(&record, CvmCall, buffer_count, number(writer, call->buffer_count));
        ADD(&record, CvmCall, extent, whole(writer, call->extent));
        ADD(&record, CvmCall, flops, real(writer, call->flops));
        ADD(&record, CvmCall, bytes, real(writer, call->bytes));
        ADD(&record, CvmCall, prepares, LLVMConstInt(writer->i8, call->prepares, false));
        elements[i] = finish(&record, sizeof(CvmCall));
    }
    return table(writer, elements, count, "calls");
}

static LLVMValueRef plan_value(Writer *writer, const CvmPlan *plan) {
    Record record = {.writer = writer};
    if (!plan)
        return null_pointer(writer);
    ADD(&record, CvmPlan, name, text(writer, plan->name));
    ADD(&record, CvmPlan, calls, calls_value(writer, plan->calls, plan->call_count));
    ADD(&record, CvmPlan, call_count, number(writer, plan->call_count));
    ADD(&record, CvmPlan, inputs, ports_value(writer, plan->inputs, plan->input_count));
    ADD(&record, CvmPlan, input_count, number(writer, plan->input_count));
    ADD(&record, CvmPlan, outputs, ports_value(writer, plan->outputs, plan->output_count));
    ADD(&record, CvmPlan, output_count, number(writer, plan->output_count));
    ADD(&record, CvmPlan, slots, slots_value(writer, plan->slots, plan->slot_count));
    ADD(&record, CvmPlan, slot_count, number(writer, plan->slot_count));
    ADD(&record, CvmPlan, arena_bytes, whole(writer, plan->arena_bytes));
    ADD(&record, CvmPlan, prepared_bytes, whole(writer, plan->prepared_bytes));
    ADD(&record, CvmPlan, scratch_bytes, whole(writer, plan->scratch_bytes));
    ADD(&record, CvmPlan, live_bytes, whole(writer, plan->live_bytes));
    return constant(writer, finish(&record, sizeof(CvmPlan)), "plan");
}

/* --- the description --- */

/* `count` texts, or with a count of -1 those before a NULL, which then is the last. */
static LLVMValueRef texts_value(Writer *writer, const char *const *texts, int count) {
    if (!texts)
        return null_pointer(writer);
    bool ends = count < 0;
    for (count = ends ? 0 : count; ends && texts[count]; count++)
        ;
    LLVMValueRef *elements = room(writer, count + 1);
    for (int i = 0; i < count; i++)
        elements[i] = text(writer, texts[i]);
    if (ends)
        elements[count] = null_pointer(writer);
    return table(writer, elements, count + ends, "texts");
}

static LLVMValueRef plans_value(Writer *writer,
                                const CvmPlan *const plans[CVM_NET_MAX_INFERENCES]) {
    LLVMValueRef elements[CVM_NET_MAX_INFERENCES];
    for (int i = 0; i < CVM_NET_MAX_INFERENCES; i++)
        elements[i] = plan_value(writer, plans[i]);
    return LLVMConstArray2(writer->pointer, elements, CVM_NET_MAX_INFERENCES);
}

static LLVMValueRef codes_value(Writer *writer, const CvmNetCode *codes, int count) {
    LLVMValueRef *elements = room(writer, count);
    for (int i = 0; i < count; i++) {
        Record record = {.writer = writer};
        ADD(&record, CvmNetCode, cpu, text(writer, codes[i].cpu));
        ADD(&record, CvmNetCode, features, texts_value(writer, codes[i].features, -1));
        ADD(&record, CvmNetCode, inferences, plans_value(writer, codes[i].inferences));
        ADD(&record, CvmNetCode, inference_count, number(writer, codes[i].inference_count));
        ADD(&record, CvmNetCode, evaluations, plans_value(writer, codes[i].evaluations));
        ADD(&record, CvmNetCode, step, plan_value(writer, codes[i].step));
        ADD(&record, CvmNetCode, gradients, plan_value(writer, codes[i].gradients));
        ADD(&record, CvmNetCode, distributions, plan_value(writer, codes[i].distributions));
        ADD(&record, CvmNetCode, apply, plan_value(writer, codes[i].apply));
        elements[i] = finish(&record, sizeof(CvmNetCode));
    }
    return table(writer, elements, count, "codes");
}

static LLVMValueRef preparation_value(Writer *writer, const CvmPreparation *preparation) {
    Record record = {.writer = writer};
    ADD(&record, CvmPreparation, channels, number(writer, preparation->channels));
    ADD(&record, CvmPreparation, height, number(writer, preparation->height));
    ADD(&record, CvmPreparation, width, number(writer, preparation->width));
    ADD(&record, CvmPreparation, short_side, number(writer, preparation->short_side));
    ADD(&record, CvmPreparation, resize_height, number(writer, preparation->resize_height));
    ADD(&record, CvmPreparation, resize_width, number(writer, preparation->resize_width));
    ADD(&record, CvmPreparation, crop_height, number(writer, preparation->crop_height));
    ADD(&record, CvmPreparation, crop_width, number(writer, preparation->crop_width));
    return finish(&record, sizeof(CvmPreparation));
}

static LLVMValueRef normalization_value(Writer *writer, const CvmNormalization *normalization) {
    Record record = {.writer = writer};
    ADD(&record, CvmNormalization, channels, number(writer, normalization->channels));
    ADD(&record, CvmNormalization, mean, reals(writer, normalization->mean, CVM_MAX_CHANNELS));
    ADD(&record, CvmNormalization, deviation,
        reals(writer, normalization->deviation, CVM_MAX_CHANNELS));
    return finish(&record, sizeof(CvmNormalization));
}

static LLVMValueRef multipliers_value(Writer *writer, const CvmNetDescription *about) {
    LLVMValueRef *elements = room(writer, about->parameter_count);
    for (int i = 0; i < about->parameter_count; i++)
        elements[i] = real(writer, about->multipliers[i]);
    return table(writer, elements, about->parameter_count, "multipliers");
}

/* Where `cvmc inspect` finds them. */
static LLVMValueRef facts_value(Writer *writer, const char *facts) {
    LLVMValueRef bytes = LLVMConstStringInContext2(writer->context, facts, strlen(facts), false);
    LLVMValueRef global = constant(writer, bytes, "facts");
    LLVMSetAlignment(global, 1);
    LLVMSetSection(global, ".cvm.facts");
    return global;
}

/* The linker gives it an address; its bytes are put beside by add_weights. */
static LLVMValueRef weights_value(Writer *writer) {
    if (!writer->object->weights)
        return null_pointer(writer);
    LLVMValueRef global = LLVMAddGlobal(writer->module, writer->i8, "cvm_net_weights");
    LLVMSetVisibility(global, LLVMHiddenVisibility);
    return global;
}

static void add_description(Writer *writer) {
    const CvmNetDescription *about = writer->object->about;
    Record record = {.writer = writer};
    ADD(&record, CvmNetDescription, name, text(writer, about->name));
    ADD(&record, CvmNetDescription, facts, facts_value(writer, about->facts));
    ADD(&record, CvmNetDescription, model_hash, whole(writer, (int64_t)about->model_hash));
    ADD(&record, CvmNetDescription, parameters_hash,
        whole(writer, (int64_t)about->parameters_hash));
    ADD(&record, CvmNetDescription, input, shape_value(writer, &about->input));
    ADD(&record, CvmNetDescription, classes, number(writer, about->classes));
    ADD(&record, CvmNetDescription, class_names,
        texts_value(writer, about->class_names, about->classes));
    ADD(&record, CvmNetDescription, parameters,
        slots_value(writer, about->parameters, about->parameter_count));
    ADD(&record, CvmNetDescription, multipliers, multipliers_value(writer, about));
    ADD(&record, CvmNetDescription, parameter_count, number(writer, about->parameter_count));
    ADD(&record, CvmNetDescription, preparation, preparation_value(writer, &about->preparation));
    ADD(&record, CvmNetDescription, normalization,
        normalization_value(writer, &about->normalization));
    ADD(&record, CvmNetDescription, codes, codes_value(writer, about->codes, about->code_count));
    ADD(&record, CvmNetDescription, code_count, number(writer, about->code_count));
    ADD(&record, CvmNetDescription, weights, weights_value(writer));
    ADD(&record, CvmNetDescription, weights_bytes, whole(writer, about->weights_bytes));
    ADD(&record, CvmNetDescription, packed, number(writer, about->packed));
    ADD(&record, CvmNetDescription, train_batch, whole(writer, about->train_batch));
    ADD(&record, CvmNetDescription, rate, real(writer, about->rate));
    ADD(&record, CvmNetDescription, seed, whole(writer, (int64_t)about->seed));
    LLVMValueRef global =
        constant(writer, finish(&record, sizeof(CvmNetDescription)), "cvm_net_description");
    LLVMSetLinkage(global, LLVMExternalLinkage);
    LLVMSetVisibility(global, LLVMHiddenVisibility);
}

/* --- assembly --- */

static void assemble(Writer *writer, const char *lines) {
    LLVMAppendModuleInlineAsm(writer->module, lines, strlen(lines));
}

/* The model's names for the functions: each is a jump, which keeps all arguments as they are. */
static void add_functions(Writer *writer) {
    int count;
    const char *const *functions = cvm_object_functions(writer->object, &count);
    for (int i = 0; i < count; i++) {
        const char *name =
            cvm_arena_format(writer->arena, "%s_%s", writer->object->prefix, functions[i]);
        assemble(writer, cvm_arena_format(writer->arena,
                                          ".section .text.%s,\"ax\",@progbits\n"
                                          ".globl %s\n.type %s,@function\n"
                                          "%s:\njmp cvm_net_%s\n.size %s,.-%s\n",
                                          name, name, name, name, functions[i], name, name));
    }
}

/* A path as a string of the assembler. */
static const char *quoted(const char *path, CvmArena *arena) {
    char *text = cvm_arena_alloc(arena, 4 * strlen(path) + 1), *next = text;
    for (; *path; path++)
        next +=
            sprintf(next, (unsigned char)*path < 0x20 || strchr("\"\\", *path) ? "\\%03o" : "%c",
                    (unsigned char)*path);
    *next = '\0';
    return text;
}

static void add_weights(Writer *writer) {
    if (writer->object->weights)
        assemble(writer, cvm_arena_format(writer->arena,
                                          ".section .rodata.cvm_net_weights,\"a\",@progbits\n"
                                          ".balign 64\n.globl cvm_net_weights\n"
                                          ".hidden cvm_net_weights\n.type cvm_net_weights,@object\n"
                                          "cvm_net_weights:\n.incbin \"%s\"\n"
                                          ".size cvm_net_weights,.-cvm_net_weights\n",
                                          quoted(writer->object->weights, writer->arena)));
}

/* --- kernels --- */

static void add_attribute(const Writer *writer, LLVMValueRef function, const char *name,
                          const char *value) {
    LLVMAttributeRef attribute = LLVMCreateStringAttribute(
        writer->context, name, (unsigned)strlen(name), value, (unsigned)strlen(value));
    LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex, attribute);
}

static bool fail(Writer *writer, const char *what, char *message) {
    cvm_object_fail(writer->diag, 1801, NULL, "%s of %s failed: %s", what,
                    writer->object->about->name, message ? message : "unknown reason");
    LLVMDisposeMessage(message);
    return false;
}

/* A kernel as LLVM's text, read into the module: other functions may be for other processors. */
static bool add_kernel(Writer *writer, const CvmKernel *kernel, const CvmTarget *target) {
    char *message = NULL;
    LLVMMemoryBufferRef text = cvm_compile_kernel(kernel, target, CVM_CODE_LLVM, &message);
    LLVMModuleRef module;
    if (!text)
        return fail(writer, "generating code", message);
    if (LLVMParseIRInContext(writer->context, text, &module, &message))
        return fail(writer, "reading code", message);
    LLVMValueRef function = LLVMGetNamedFunction(module, kernel->symbol);
    add_attribute(writer, function, "target-cpu", target->cpu);
    if (*target->features)
        add_attribute(writer, function, "target-features", target->features);
    if (LLVMLinkModules2(writer->module, module))
        return fail(writer, "joining code", NULL);
    function = LLVMGetNamedFunction(writer->module, kernel->symbol);
    LLVMSetVisibility(function, LLVMDefaultVisibility);
    LLVMSetLinkage(function, LLVMInternalLinkage);
    return true;
}

static bool add_kernels(Writer *writer) {
    for (int i = 0; i < writer->object->plan_count; i++) {
        const CvmExecutable *executable = writer->object->plans[i].executable;
        const CvmKernelList *list = cvm_executable_kernels(executable);
        for (int k = 0; k < list->count; k++) {
            LLVMValueRef known = LLVMGetNamedFunction(writer->module, list->kernels[k]->symbol);
            if (LLVMIsDeclaration(known) &&
                !add_kernel(writer, list->kernels[k], cvm_executable_target(executable)))
                return false;
        }
    }
    return true;
}

static LLVMMemoryBufferRef emit(Writer *writer, LLVMTargetMachineRef machine, CvmCodeForm form) {
    char *message = NULL;
    LLVMMemoryBufferRef buffer = NULL;
    if (LLVMVerifyModule(writer->module, LLVMReturnStatusAction, &message)) {
        fail(writer, "writing the description", message);
        return NULL;
    }
    LLVMDisposeMessage(message);
    if (form == CVM_CODE_LLVM) {
        char *text = LLVMPrintModuleToString(writer->module);
        buffer = LLVMCreateMemoryBufferWithMemoryRangeCopy(text, strlen(text), "llvm");
        LLVMDisposeMessage(text);
        return buffer;
    }
    LLVMCodeGenFileType type = form == CVM_CODE_OBJECT ? LLVMObjectFile : LLVMAssemblyFile;
    message = NULL;
    if (LLVMTargetMachineEmitToMemoryBuffer(machine, writer->module, type, &message, &buffer)) {
        fail(writer, "writing the description", message);
        return NULL;
    }
    return buffer;
}

LLVMMemoryBufferRef cvm_object_module(const CvmObject *object, bool with_kernels, CvmCodeForm form,
                                      CvmArena *arena, CvmDiag *diag) {
    const CvmTarget *target = cvm_executable_target(object->plans[0].executable);
    CvmTarget baseline = {"x86-64", "", target->triple, target->shape};
    LLVMTargetMachineRef machine = cvm_target_machine(&baseline);
    if (!machine) {
        cvm_object_fail(diag, 1801, NULL, "LLVM cannot make code for %s", target->triple);
        return NULL;
    }
    LLVMContextRef context = LLVMContextCreate();
    Writer writer = {
        .object = object,
        .arena = arena,
        .diag = diag,
        .context = context,
        .module = LLVMModuleCreateWithNameInContext(object->prefix, context),
        .layout = LLVMCreateTargetDataLayout(machine),
        .i8 = LLVMInt8TypeInContext(context),
        .i32 = LLVMInt32TypeInContext(context),
        .i64 = LLVMInt64TypeInContext(context),
        .f64 = LLVMDoubleTypeInContext(context),
        .pointer = LLVMPointerTypeInContext(context, 0),
    };
    LLVMSetTarget(writer.module, target->triple);
    LLVMSetModuleDataLayout(writer.module, writer.layout);
    add_description(&writer);
    bool done = !with_kernels || add_kernels(&writer);
    add_functions(&writer);
    add_weights(&writer);
    LLVMMemoryBufferRef buffer = done ? emit(&writer, machine, form) : NULL;
    LLVMDisposeTargetData(writer.layout);
    LLVMDisposeModule(writer.module);
    LLVMContextDispose(context);
    LLVMDisposeTargetMachine(machine);
    return buffer;
}
