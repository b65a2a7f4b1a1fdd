/* Window tables as constant arrays beside the code. */
#include "compiler/codegen/emitter.h"

#include <stdlib.h>

static LLVMValueRef add_constant(CvmEmitter *emitter, LLVMValueRef array, const char *name) {
    LLVMValueRef global = LLVMAddGlobal(emitter->module, LLVMTypeOf(array), name);
    LLVMSetInitializer(global, array);
    LLVMSetGlobalConstant(global, true);
    LLVMSetLinkage(global, LLVMPrivateLinkage);
    return global;
}

static LLVMValueRef *new_values(int64_t count) {
    LLVMValueRef *values = malloc((size_t)count * sizeof *values);
    if (!values)
        abort();
    return values;
}

static LLVMValueRef add_integers(CvmEmitter *emitter, const int64_t *numbers, int64_t count) {
    LLVMValueRef *values = new_values(count);
    for (int64_t i = 0; i < count; i++)
        values[i] = cvm_i64(emitter, numbers[i]);
    LLVMValueRef global = add_constant(
        emitter, LLVMConstArray(emitter->i64, values, (unsigned)count), "window_bounds");
    free(values);
    return global;
}

LLVMValueRef cvm_table_shares(CvmEmitter *emitter, int axis) {
    LLVMValueRef *shares = &emitter->tables[axis].shares;
    if (*shares)
        return *shares;
    const CvmWindowTable *table = emitter->kernel->tables[axis];
    LLVMValueRef *values = new_values(table->count);
    for (int64_t i = 0; i < table->count; i++)
        values[i] = cvm_float(emitter, 1, (double)table->shares[i]);
    *shares = add_constant(emitter, LLVMConstArray(emitter->f32, values, (unsigned)table->count),
                           "window_shares");
    free(values);
    return *shares;
}

static LLVMValueRef load_bound(CvmEmitter *emitter, LLVMValueRef *array, const int64_t *numbers,
                               int64_t count, LLVMValueRef position) {
    if (!*array)
        *array = add_integers(emitter, numbers, count);
    LLVMValueRef at =
        LLVMBuildInBoundsGEP2(emitter->builder, emitter->i64, *array, &position, 1, "");
    return LLVMBuildLoad2(emitter->builder, emitter->i64, at, "");
}

LLVMValueRef cvm_table_first(CvmEmitter *emitter, int axis, LLVMValueRef position) {
    const CvmWindowTable *table = emitter->kernel->tables[axis];
    return load_bound(emitter, &emitter->tables[axis].first, table->first, table->count, position);
}

LLVMValueRef cvm_table_last(CvmEmitter *emitter, int axis, LLVMValueRef position) {
    const CvmWindowTable *table = emitter->kernel->tables[axis];
    return load_bound(emitter, &emitter->tables[axis].last, table->last, table->count, position);
}
