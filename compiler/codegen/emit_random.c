/* Philox4x32-10 (runtime/random.h) on vectors: a lane draws the number of one element. Elements 16
 * apart share a counter, so that four neighbouring vectors of 16 lanes, where their place is known,
 * share the rounds. */
#include "compiler/codegen/emitter.h"

#include "runtime/random.h"

typedef struct Philox {
    CvmEmitter *emitter;
    int lanes;
    LLVMTypeRef words, longs; /* i32 and i64, for every lane */
    LLVMValueRef counter[4];
    LLVMValueRef key[2]; /* scalars */
} Philox;

static LLVMTypeRef lanes_of(LLVMTypeRef scalar, int lanes) {
    return lanes == 1 ? scalar : LLVMVectorType(scalar, (unsigned)lanes);
}

static LLVMValueRef i64_all(const Philox *philox, uint64_t value) {
    LLVMValueRef scalar = LLVMConstInt(philox->emitter->i64, value, false), all[64];
    for (int i = 0; i < philox->lanes; i++)
        all[i] = scalar;
    return philox->lanes == 1 ? scalar : LLVMConstVector(all, (unsigned)philox->lanes);
}

static LLVMValueRef low_word(const Philox *philox, LLVMValueRef value) {
    return LLVMBuildTrunc(philox->emitter->builder, value, philox->words, "");
}

static LLVMValueRef high_word(const Philox *philox, LLVMValueRef value) {
    LLVMBuilderRef builder = philox->emitter->builder;
    return low_word(philox, LLVMBuildLShr(builder, value, i64_all(philox, 32), ""));
}

static LLVMValueRef product(const Philox *philox, LLVMValueRef word, uint32_t factor) {
    LLVMBuilderRef builder = philox->emitter->builder;
    LLVMValueRef wide = LLVMBuildZExt(builder, word, philox->longs, "");
    return LLVMBuildMul(builder, wide, i64_all(philox, factor), "");
}

static LLVMValueRef mix(const Philox *philox, LLVMValueRef a, LLVMValueRef b, LLVMValueRef key) {
    LLVMBuilderRef builder = philox->emitter->builder;
    LLVMValueRef keys = cvm_splat(philox->emitter, key, philox->lanes);
    return LLVMBuildXor(builder, LLVMBuildXor(builder, a, b, ""), keys, "");
}

static void emit_round(Philox *philox) {
    static const uint32_t weyl[] = {CVM_PHILOX_WEYL_0, CVM_PHILOX_WEYL_1};
    CvmEmitter *emitter = philox->emitter;
    LLVMValueRef *c = philox->counter;
    LLVMValueRef product_0 = product(philox, c[0], CVM_PHILOX_MULTIPLIER_0);
    LLVMValueRef product_1 = product(philox, c[2], CVM_PHILOX_MULTIPLIER_1);
    c[0] = mix(philox, high_word(philox, product_1), c[1], philox->key[0]);
    c[1] = low_word(philox, product_1);
    c[2] = mix(philox, high_word(philox, product_0), c[3], philox->key[1]);
    c[3] = low_word(philox, product_0);
    for (int i = 0; i < 2; i++)
        philox->key[i] = LLVMBuildAdd(emitter->builder, philox->key[i],
                                      LLVMConstInt(emitter->i32, weyl[i], false), "");
}

static LLVMValueRef load_word(CvmEmitter *emitter, LLVMValueRef numbers, int index) {
    LLVMValueRef at = cvm_advance(emitter, numbers, cvm_i64(emitter, index));
    return LLVMBuildLoad2(emitter->builder, emitter->i32, at, "");
}

/* first, first + step, …: an element a lane. */
static LLVMValueRef elements(const Philox *philox, LLVMValueRef first, int64_t step) {
    CvmEmitter *emitter = philox->emitter;
    LLVMValueRef steps[64];
    for (int i = 0; i < philox->lanes; i++)
        steps[i] = cvm_i64(emitter, i * step);
    if (philox->lanes == 1)
        return first;
    return LLVMBuildAdd(emitter->builder, cvm_splat(emitter, first, philox->lanes),
                        LLVMConstVector(steps, (unsigned)philox->lanes), "");
}

/* Of the four words, the one that bits 4 and 5 of the element choose. */
static LLVMValueRef choose_word(const Philox *philox, LLVMValueRef element) {
    LLVMBuilderRef builder = philox->emitter->builder;
    LLVMValueRef zero = i64_all(philox, 0), bits[2], pairs[2];
    for (int i = 0; i < 2; i++)
        bits[i] =
            LLVMBuildICmp(builder, LLVMIntNE,
                          LLVMBuildAnd(builder, element, i64_all(philox, 16u << i), ""), zero, "");
    for (int i = 0; i < 2; i++)
        pairs[i] = LLVMBuildSelect(builder, bits[0], philox->counter[2 * i + 1],
                                   philox->counter[2 * i], "");
    return LLVMBuildSelect(builder, bits[1], pairs[1], pairs[0], "");
}

LLVMValueRef cvm_emit_uniform(CvmEmitter *emitter, LLVMValueRef numbers, int64_t stream,
                              LLVMValueRef first, int64_t step, int lanes) {
    LLVMBuilderRef builder = emitter->builder;
    Philox philox = {.emitter = emitter,
                     .lanes = lanes,
                     .words = lanes_of(emitter->i32, lanes),
                     .longs = lanes_of(emitter->i64, lanes)};
    LLVMValueRef element = elements(&philox, first, step);
    LLVMValueRef block = LLVMBuildLShr(builder, element, i64_all(&philox, 6), "");
    LLVMValueRef counter =
        LLVMBuildOr(builder, LLVMBuildShl(builder, block, i64_all(&philox, 4), ""),
                    LLVMBuildAnd(builder, element, i64_all(&philox, 15), ""), "");
    philox.counter[0] = low_word(&philox, counter);
    philox.counter[1] = high_word(&philox, counter);
    for (int i = 0; i < 2; i++) {
        philox.key[i] = load_word(emitter, numbers, i);
        philox.counter[2 + i] = cvm_splat(emitter, load_word(emitter, numbers, 2 + i), lanes);
    }
    LLVMValueRef layer = LLVMConstInt(emitter->i32, (uint64_t)stream, false);
    philox.key[1] = LLVMBuildXor(builder, philox.key[1], layer, "");
    for (int round = 0; round < CVM_PHILOX_ROUNDS; round++)
        emit_round(&philox);
    LLVMValueRef word = choose_word(&philox, element);
    LLVMValueRef eight = LLVMConstInt(emitter->i32, 8, false);
    LLVMValueRef shift = lanes == 1 ? eight : cvm_splat(emitter, eight, lanes);
    LLVMValueRef whole = LLVMBuildLShr(builder, word, shift, "");
    LLVMValueRef number = LLVMBuildSIToFP(builder, whole, cvm_float_type(emitter, lanes), "");
    return LLVMBuildFMul(builder, number, cvm_float(emitter, lanes, 0x1p-24), "");
}
