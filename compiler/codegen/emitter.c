/* See emitter.h. */
#include "compiler/codegen/emitter.h"

#include <string.h>

CvmLanes cvm_lanes_first(int lanes, int64_t count) {
    CvmLanes mask = {.lanes = lanes};
    for (int i = 0; i < lanes; i++)
        mask.on[i] = i < count;
    return mask;
}

bool cvm_lanes_all(const CvmLanes *lanes) {
    for (int i = 0; i < lanes->lanes; i++)
        if (!lanes->on[i])
            return false;
    return true;
}

bool cvm_lanes_none(const CvmLanes *lanes) {
    for (int i = 0; i < lanes->lanes; i++)
        if (lanes->on[i])
            return false;
    return true;
}

static LLVMBasicBlockRef new_block(CvmEmitter *emitter, const char *name) {
    return LLVMAppendBasicBlockInContext(emitter->context, emitter->function, name);
}

static bool runs_once(LLVMValueRef first, LLVMValueRef last, int64_t step) {
    if (!LLVMIsAConstantInt(first) || !LLVMIsAConstantInt(last))
        return false;
    int64_t distance = LLVMConstIntGetSExtValue(last) - LLVMConstIntGetSExtValue(first);
    return distance > 0 && distance <= step;
}

CvmLoop cvm_loop_begin(CvmEmitter *emitter, LLVMValueRef first, LLVMValueRef last, int64_t step) {
    CvmLoop loop = {.index = first, .step = cvm_i64(emitter, step)};
    if (runs_once(first, last, step))
        return loop;
    LLVMBuilderRef builder = emitter->builder;
    LLVMBasicBlockRef before = LLVMGetInsertBlock(builder);
    LLVMBasicBlockRef body = new_block(emitter, "body");
    loop.header = new_block(emitter, "loop");
    loop.exit = new_block(emitter, "exit");
    LLVMBuildBr(builder, loop.header);
    LLVMPositionBuilderAtEnd(builder, loop.header);
    loop.index = LLVMBuildPhi(builder, emitter->i64, "index");
    LLVMAddIncoming(loop.index, &first, &before, 1);
    LLVMValueRef more = LLVMBuildICmp(builder, LLVMIntSLT, loop.index, last, "more");
    LLVMBuildCondBr(builder, more, body, loop.exit);
    LLVMPositionBuilderAtEnd(builder, body);
    return loop;
}

void cvm_loop_end(CvmEmitter *emitter, CvmLoop *loop) {
    if (!loop->header)
        return;
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef next = LLVMBuildNSWAdd(builder, loop->index, loop->step, "next");
    LLVMBasicBlockRef latch = LLVMGetInsertBlock(builder);
    LLVMBuildBr(builder, loop->header);
    LLVMAddIncoming(loop->index, &next, &latch, 1);
    LLVMPositionBuilderAtEnd(builder, loop->exit);
}

CvmBranch cvm_branch_begin(CvmEmitter *emitter, LLVMValueRef condition) {
    CvmBranch branch = {new_block(emitter, "else"), new_block(emitter, "join")};
    LLVMBasicBlockRef then = new_block(emitter, "then");
    LLVMBuildCondBr(emitter->builder, condition, then, branch.otherwise);
    LLVMPositionBuilderAtEnd(emitter->builder, then);
    return branch;
}

void cvm_branch_else(CvmEmitter *emitter, CvmBranch *branch) {
    LLVMBuildBr(emitter->builder, branch->exit);
    LLVMPositionBuilderAtEnd(emitter->builder, branch->otherwise);
    branch->otherwise = NULL;
}

void cvm_branch_end(CvmEmitter *emitter, CvmBranch *branch) {
    if (branch->otherwise)
        cvm_branch_else(emitter, branch);
    LLVMBuildBr(emitter->builder, branch->exit);
    LLVMPositionBuilderAtEnd(emitter->builder, branch->exit);
}

LLVMValueRef cvm_i64(const CvmEmitter *emitter, int64_t value) {
    return LLVMConstInt(emitter->i64, (unsigned long long)value, true);
}

LLVMTypeRef cvm_float_type(const CvmEmitter *emitter, int lanes) {
    return lanes == 1 ? emitter->f32 : LLVMVectorType(emitter->f32, (unsigned)lanes);
}

LLVMValueRef cvm_float(const CvmEmitter *emitter, int lanes, double value) {
    LLVMValueRef scalar = LLVMConstReal(emitter->f32, value);
    if (lanes == 1)
        return scalar;
    LLVMValueRef all[64];
    for (int i = 0; i < lanes; i++)
        all[i] = scalar;
    return LLVMConstVector(all, (unsigned)lanes);
}

LLVMValueRef cvm_splat(CvmEmitter *emitter, LLVMValueRef scalar, int lanes) {
    if (lanes == 1)
        return scalar;
    LLVMTypeRef type = LLVMVectorType(LLVMTypeOf(scalar), (unsigned)lanes);
    LLVMValueRef poison = LLVMGetPoison(type);
    LLVMValueRef first = LLVMBuildInsertElement(emitter->builder, poison, scalar,
                                                LLVMConstInt(emitter->i32, 0, false), "");
    LLVMValueRef zeros = LLVMConstNull(LLVMVectorType(emitter->i32, (unsigned)lanes));
    return LLVMBuildShuffleVector(emitter->builder, first, poison, zeros, "splat");
}

LLVMValueRef cvm_scale(CvmEmitter *emitter, LLVMValueRef index, int64_t factor) {
    if (factor == 0 || LLVMIsNull(index))
        return cvm_i64(emitter, 0);
    if (factor == 1)
        return index;
    return LLVMBuildNSWMul(emitter->builder, index, cvm_i64(emitter, factor), "");
}

LLVMValueRef cvm_sum(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b) {
    if (LLVMIsNull(a))
        return b;
    if (LLVMIsNull(b))
        return a;
    return LLVMBuildNSWAdd(emitter->builder, a, b, "");
}

LLVMValueRef cvm_advance(CvmEmitter *emitter, LLVMValueRef pointer, LLVMValueRef elements) {
    if (LLVMIsNull(elements))
        return pointer;
    return LLVMBuildInBoundsGEP2(emitter->builder, emitter->f32, pointer, &elements, 1, "");
}

LLVMValueRef cvm_stack_slot(CvmEmitter *emitter, LLVMTypeRef type, const char *name) {
    LLVMBasicBlockRef here = LLVMGetInsertBlock(emitter->builder);
    LLVMValueRef first = LLVMGetFirstInstruction(emitter->entry);
    if (first)
        LLVMPositionBuilderBefore(emitter->builder, first);
    else
        LLVMPositionBuilderAtEnd(emitter->builder, emitter->entry);
    LLVMValueRef slot = LLVMBuildAlloca(emitter->builder, type, name);
    LLVMPositionBuilderAtEnd(emitter->builder, here);
    return slot;
}

void cvm_emit_load_barrier(CvmEmitter *emitter) {
    LLVMTypeRef type = LLVMFunctionType(LLVMVoidTypeInContext(emitter->context), NULL, 0, false);
    static const char clobbers[] = "~{memory}";
    LLVMValueRef nothing = LLVMGetInlineAsm(type, "", 0, clobbers, sizeof clobbers - 1, true, false,
                                            LLVMInlineAsmDialectATT, false);
    LLVMBuildCall2(emitter->builder, type, nothing, NULL, 0, "");
}

LLVMValueRef cvm_intrinsic(CvmEmitter *emitter, const char *name, LLVMTypeRef overload,
                           LLVMValueRef *arguments, unsigned count) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(emitter->module, id, &overload, 1);
    LLVMTypeRef type = LLVMIntrinsicGetType(emitter->context, id, &overload, 1);
    return LLVMBuildCall2(emitter->builder, type, function, arguments, count, "");
}

void cvm_emit_prefetch(CvmEmitter *emitter, LLVMValueRef pointer) {
    enum { READ = 0, INTO_EVERY_CACHE = 3, DATA = 1 };
    LLVMValueRef arguments[] = {pointer, LLVMConstInt(emitter->i32, READ, false),
                                LLVMConstInt(emitter->i32, INTO_EVERY_CACHE, false),
                                LLVMConstInt(emitter->i32, DATA, false)};
    cvm_intrinsic(emitter, "llvm.prefetch", emitter->pointer, arguments, 4);
}

/* --- memory --- */

LLVMValueRef cvm_lanes_mask(const CvmEmitter *emitter, const CvmLanes *lanes) {
    LLVMValueRef bits[64];
    for (int i = 0; i < lanes->lanes; i++)
        bits[i] = LLVMConstInt(emitter->i1, lanes->on[i], false);
    return LLVMConstVector(bits, (unsigned)lanes->lanes);
}

static LLVMValueRef load_scalar(CvmEmitter *emitter, LLVMValueRef pointer) {
    LLVMValueRef value = LLVMBuildLoad2(emitter->builder, emitter->f32, pointer, "");
    LLVMSetAlignment(value, 4);
    return value;
}

static LLVMValueRef masked_call(CvmEmitter *emitter, const char *name, LLVMTypeRef vector,
                                LLVMValueRef *arguments) {
    unsigned id = LLVMLookupIntrinsicID(name, strlen(name));
    LLVMTypeRef overloads[] = {vector, emitter->pointer};
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(emitter->module, id, overloads, 2);
    LLVMTypeRef type = LLVMIntrinsicGetType(emitter->context, id, overloads, 2);
    return LLVMBuildCall2(emitter->builder, type, function, arguments, 4, "");
}

/* Elements that do not lie side by side are read one by one. */
static LLVMValueRef load_apart(CvmEmitter *emitter, LLVMValueRef pointer, int64_t stride,
                               const CvmLanes *lanes, double otherwise) {
    LLVMValueRef value = cvm_float(emitter, lanes->lanes, otherwise);
    for (int i = 0; i < lanes->lanes; i++) {
        if (!lanes->on[i])
            continue;
        LLVMValueRef at = cvm_advance(emitter, pointer, cvm_i64(emitter, i * stride));
        value = LLVMBuildInsertElement(emitter->builder, value, load_scalar(emitter, at),
                                       LLVMConstInt(emitter->i32, (unsigned)i, false), "");
    }
    return value;
}

static LLVMValueRef load_vector(CvmEmitter *emitter, LLVMValueRef pointer, int lanes) {
    LLVMValueRef value =
        LLVMBuildLoad2(emitter->builder, cvm_float_type(emitter, lanes), pointer, "");
    LLVMSetAlignment(value, 4);
    return value;
}

/* Every second element, out of two vectors that overlap in one, so that none behind the last is
 * read. */
static LLVMValueRef load_every_second(CvmEmitter *emitter, LLVMValueRef pointer, int lanes) {
    LLVMValueRef first = load_vector(emitter, pointer, lanes), from[64];
    LLVMValueRef second =
        load_vector(emitter, cvm_advance(emitter, pointer, cvm_i64(emitter, lanes - 1)), lanes);
    for (int i = 0; i < lanes; i++)
        from[i] = LLVMConstInt(emitter->i32, (unsigned)(2 * i < lanes ? 2 * i : 2 * i + 1), false);
    return LLVMBuildShuffleVector(emitter->builder, first, second,
                                  LLVMConstVector(from, (unsigned)lanes), "");
}

LLVMValueRef cvm_load(CvmEmitter *emitter, LLVMValueRef pointer, int64_t stride,
                      const CvmLanes *lanes, double otherwise) {
    if (lanes->lanes == 1 || stride == 0)
        return cvm_splat(emitter, load_scalar(emitter, pointer), lanes->lanes);
    if (stride == 2 && cvm_lanes_all(lanes))
        return load_every_second(emitter, pointer, lanes->lanes);
    if (stride != 1)
        return load_apart(emitter, pointer, stride, lanes, otherwise);
    LLVMTypeRef type = cvm_float_type(emitter, lanes->lanes);
    if (cvm_lanes_all(lanes))
        return load_vector(emitter, pointer, lanes->lanes);
    LLVMValueRef arguments[] = {pointer, LLVMConstInt(emitter->i32, 4, false),
                                cvm_lanes_mask(emitter, lanes),
                                cvm_float(emitter, lanes->lanes, otherwise)};
    return masked_call(emitter, "llvm.masked.load", type, arguments);
}

void cvm_store(CvmEmitter *emitter, LLVMValueRef value, LLVMValueRef pointer, int64_t stride,
               const CvmLanes *lanes) {
    LLVMBuilderRef builder = emitter->builder;
    if (lanes->lanes == 1 || (stride == 1 && cvm_lanes_all(lanes))) {
        LLVMSetAlignment(LLVMBuildStore(builder, value, pointer), 4);
        return;
    }
    if (stride == 1) {
        LLVMValueRef arguments[] = {value, pointer, LLVMConstInt(emitter->i32, 4, false),
                                    cvm_lanes_mask(emitter, lanes)};
        masked_call(emitter, "llvm.masked.store", LLVMTypeOf(value), arguments);
        return;
    }
    for (int i = 0; i < lanes->lanes; i++) {
        if (!lanes->on[i])
            continue;
        LLVMValueRef lane = LLVMBuildExtractElement(
            builder, value, LLVMConstInt(emitter->i32, (unsigned)i, false), "");
        LLVMValueRef at = cvm_advance(emitter, pointer, cvm_i64(emitter, i * stride));
        LLVMSetAlignment(LLVMBuildStore(builder, lane, at), 4);
    }
}

/* --- transposing --- */

static void exchange(CvmEmitter *emitter, LLVMValueRef *a, LLVMValueRef *b, int lanes, int half) {
    LLVMValueRef first[64], second[64];
    for (int i = 0; i < lanes; i++) {
        bool upper = i & half;
        first[i] = LLVMConstInt(emitter->i32, (unsigned)(upper ? lanes + i - half : i), false);
        second[i] = LLVMConstInt(emitter->i32, (unsigned)(upper ? lanes + i : i + half), false);
    }
    LLVMValueRef new_a = LLVMBuildShuffleVector(emitter->builder, *a, *b,
                                                LLVMConstVector(first, (unsigned)lanes), "");
    LLVMValueRef new_b = LLVMBuildShuffleVector(emitter->builder, *a, *b,
                                                LLVMConstVector(second, (unsigned)lanes), "");
    *a = new_a;
    *b = new_b;
}

void cvm_emit_transpose(CvmEmitter *emitter, LLVMValueRef *rows, int lanes) {
    for (int half = lanes / 2; half > 0; half /= 2)
        for (int i = 0; i < lanes; i++)
            if (!(i & half))
                exchange(emitter, &rows[i], &rows[i + half], lanes, half);
}

/* --- choosing lanes --- */

/* `so_far` with the lanes that come from `vector`, number `k` of them; NULL: there are none yet. */
static LLVMValueRef merge(CvmEmitter *emitter, LLVMValueRef so_far, LLVMValueRef vector, int k,
                          int lanes, const int *from) {
    LLVMValueRef mask[64];
    for (int i = 0; i < lanes; i++) {
        bool here = from[i] >= 0 && from[i] / lanes == k,
             before = from[i] >= 0 && from[i] / lanes < k;
        mask[i] = here     ? LLVMConstInt(emitter->i32,
                                          (unsigned)(from[i] % lanes + (so_far ? lanes : 0)), false)
                  : before ? LLVMConstInt(emitter->i32, (unsigned)i, false)
                           : LLVMGetPoison(emitter->i32);
    }
    return LLVMBuildShuffleVector(emitter->builder, so_far ? so_far : vector,
                                  so_far ? vector : LLVMGetPoison(LLVMTypeOf(vector)),
                                  LLVMConstVector(mask, (unsigned)lanes), "");
}

LLVMValueRef cvm_emit_pick(CvmEmitter *emitter, const LLVMValueRef *vectors, int count, int lanes,
                           const int *from) {
    LLVMValueRef picked = NULL;
    for (int k = 0; k < count; k++) {
        bool used = false;
        for (int i = 0; i < lanes; i++)
            used |= from[i] >= 0 && from[i] / lanes == k;
        if (used)
            picked = merge(emitter, picked, vectors[k], k, lanes, from);
    }
    return picked;
}
