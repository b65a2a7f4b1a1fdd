/* Memory of a kernel's buffers by their element type. bf16 is the upper half of f32: it is widened
 * by a shift behind the load and rounded to nearest even before the store, so that kernels compute
 * in f32 throughout; but sums of products of pairs of bf16 have an instruction of their own where
 * the processor has AVX512_BF16. */
#include "compiler/codegen/emitter.h"

static bool is_bf16(const CvmEmitter *emitter, int buffer) {
    return emitter->kernel->buffers[buffer].dtype == CVM_BF16;
}

static LLVMTypeRef integers(LLVMTypeRef element, int lanes) {
    return lanes == 1 ? element : LLVMVectorType(element, (unsigned)lanes);
}

static LLVMTypeRef i16_type(const CvmEmitter *emitter) {
    return LLVMInt16TypeInContext(emitter->context);
}

static LLVMValueRef all_bits(const CvmEmitter *emitter, int lanes, unsigned value) {
    LLVMValueRef scalar = LLVMConstInt(emitter->i32, value, false), all[64];
    for (int i = 0; i < lanes; i++)
        all[i] = scalar;
    return lanes == 1 ? scalar : LLVMConstVector(all, (unsigned)lanes);
}

static LLVMValueRef advance_halves(CvmEmitter *emitter, LLVMValueRef pointer,
                                   LLVMValueRef elements) {
    if (LLVMIsNull(elements))
        return pointer;
    return LLVMBuildInBoundsGEP2(emitter->builder, i16_type(emitter), pointer, &elements, 1, "");
}

LLVMValueRef cvm_advance_in(CvmEmitter *emitter, int buffer, LLVMValueRef pointer,
                            LLVMValueRef elements) {
    return is_bf16(emitter, buffer) ? advance_halves(emitter, pointer, elements)
                                    : cvm_advance(emitter, pointer, elements);
}

/* --- loads --- */

static LLVMValueRef load_halves(CvmEmitter *emitter, LLVMValueRef pointer, LLVMTypeRef type) {
    LLVMValueRef value = LLVMBuildLoad2(emitter->builder, type, pointer, "");
    LLVMSetAlignment(value, 2);
    return value;
}

static LLVMValueRef widen(CvmEmitter *emitter, LLVMValueRef halves, int lanes) {
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef wide = LLVMBuildZExt(builder, halves, integers(emitter->i32, lanes), "");
    wide = LLVMBuildShl(builder, wide, all_bits(emitter, lanes, 16), "");
    return LLVMBuildBitCast(builder, wide, cvm_float_type(emitter, lanes), "");
}

/* One element in every lane: broadcast as pairs of itself, of which the lower one is cleared, it
 * never leaves the vector registers. */
static LLVMValueRef load_splat(CvmEmitter *emitter, LLVMValueRef pointer, int lanes) {
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef half = load_halves(emitter, pointer, i16_type(emitter));
    if (lanes == 1)
        return widen(emitter, half, 1);
    LLVMValueRef pairs = LLVMBuildBitCast(builder, cvm_splat(emitter, half, 2 * lanes),
                                          integers(emitter->i32, lanes), "");
    pairs = LLVMBuildAnd(builder, pairs, all_bits(emitter, lanes, 0xFFFF0000), "");
    return LLVMBuildBitCast(builder, pairs, cvm_float_type(emitter, lanes), "");
}

/* Elements that are apart, or a vector that is cut short: one by one, zeros where lanes are off. */
static LLVMValueRef insert_halves(CvmEmitter *emitter, LLVMValueRef pointer, int64_t stride,
                                  const CvmLanes *lanes) {
    LLVMTypeRef half = i16_type(emitter);
    LLVMValueRef halves = LLVMConstNull(integers(half, lanes->lanes));
    for (int i = 0; i < lanes->lanes; i++) {
        if (!lanes->on[i])
            continue;
        LLVMValueRef at = advance_halves(emitter, pointer, cvm_i64(emitter, i * stride));
        halves = LLVMBuildInsertElement(emitter->builder, halves, load_halves(emitter, at, half),
                                        LLVMConstInt(emitter->i32, (unsigned)i, false), "");
    }
    return halves;
}

LLVMValueRef cvm_load_from(CvmEmitter *emitter, int buffer, LLVMValueRef pointer, int64_t stride,
                           const CvmLanes *lanes, double otherwise) {
    if (!is_bf16(emitter, buffer))
        return cvm_load(emitter, pointer, stride, lanes, otherwise);
    if (lanes->lanes == 1 || stride == 0)
        return load_splat(emitter, pointer, lanes->lanes);
    if (stride == 1 && cvm_lanes_all(lanes))
        return widen(emitter,
                     load_halves(emitter, pointer, integers(i16_type(emitter), lanes->lanes)),
                     lanes->lanes);
    LLVMValueRef value =
        widen(emitter, insert_halves(emitter, pointer, stride, lanes), lanes->lanes);
    if (otherwise == 0)
        return value;
    return LLVMBuildSelect(emitter->builder, cvm_lanes_mask(emitter, lanes), value,
                           cvm_float(emitter, lanes->lanes, otherwise), "");
}

/* --- stores --- */

/* runtime/bfloat16.h, lane by lane. */
static LLVMValueRef narrow(CvmEmitter *emitter, LLVMValueRef value, int lanes) {
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef sixteen = all_bits(emitter, lanes, 16);
    LLVMValueRef bits = LLVMBuildBitCast(builder, value, integers(emitter->i32, lanes), "");
    LLVMValueRef upper = LLVMBuildLShr(builder, bits, sixteen, "");
    LLVMValueRef odd = LLVMBuildAnd(builder, upper, all_bits(emitter, lanes, 1), "");
    LLVMValueRef rounded = LLVMBuildAdd(builder, bits, all_bits(emitter, lanes, 0x7FFF), "");
    rounded = LLVMBuildLShr(builder, LLVMBuildAdd(builder, rounded, odd, ""), sixteen, "");
    LLVMValueRef quiet = LLVMBuildOr(builder, upper, all_bits(emitter, lanes, 0x40), "");
    LLVMValueRef is_nan = LLVMBuildFCmp(builder, LLVMRealUNO, value, value, "");
    return LLVMBuildTrunc(builder, LLVMBuildSelect(builder, is_nan, quiet, rounded, ""),
                          integers(i16_type(emitter), lanes), "");
}

void cvm_store_to(CvmEmitter *emitter, int buffer, LLVMValueRef value, LLVMValueRef pointer,
                  int64_t stride, const CvmLanes *lanes) {
    if (!is_bf16(emitter, buffer)) {
        cvm_store(emitter, value, pointer, stride, lanes);
        return;
    }
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef halves = narrow(emitter, value, lanes->lanes);
    if (lanes->lanes == 1 || (stride == 1 && cvm_lanes_all(lanes))) {
        LLVMSetAlignment(LLVMBuildStore(builder, halves, pointer), 2);
        return;
    }
    for (int i = 0; i < lanes->lanes; i++) {
        if (!lanes->on[i])
            continue;
        LLVMValueRef lane = LLVMBuildExtractElement(
            builder, halves, LLVMConstInt(emitter->i32, (unsigned)i, false), "");
        LLVMValueRef at = advance_halves(emitter, pointer, cvm_i64(emitter, i * stride));
        LLVMSetAlignment(LLVMBuildStore(builder, lane, at), 2);
    }
}

/* --- pairs --- */

LLVMValueRef cvm_load_pairs(CvmEmitter *emitter, LLVMValueRef pointer, int lanes, int64_t count) {
    LLVMTypeRef pairs = integers(emitter->i32, lanes);
    if (count >= 2 * lanes)
        return load_halves(emitter, pointer, pairs);
    CvmLanes some = cvm_lanes_first(2 * lanes, count);
    LLVMValueRef halves = insert_halves(emitter, pointer, 1, &some);
    return LLVMBuildBitCast(emitter->builder, halves, pairs, "");
}

LLVMValueRef cvm_emit_dot(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b, LLVMValueRef sum) {
    static const char name[] = "llvm.x86.avx512bf16.dpbf16ps.512";
    LLVMTypeRef halves = LLVMVectorType(LLVMBFloatTypeInContext(emitter->context), 32);
    unsigned id = LLVMLookupIntrinsicID(name, sizeof name - 1);
    LLVMValueRef function = LLVMGetIntrinsicDeclaration(emitter->module, id, NULL, 0);
    LLVMTypeRef type = LLVMIntrinsicGetType(emitter->context, id, NULL, 0);
    LLVMValueRef arguments[] = {sum, LLVMBuildBitCast(emitter->builder, a, halves, ""),
                                LLVMBuildBitCast(emitter->builder, b, halves, "")};
    return LLVMBuildCall2(emitter->builder, type, function, arguments, 3, "");
}
