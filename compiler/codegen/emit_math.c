/* Arithmetic and elementary functions on f32 vectors, as generated code: no calls, so that they
 * vectorise, and the same bits whichever library the machine has.
 *
 * exp and tanh follow the usual scheme (Muller, "Elementary Functions", 2nd ed., ch. 9 to 11):
 * reduce the range, then a polynomial. Coefficients are the Taylor ones where the reduced range is
 * small enough for f32, and S. Moshier's for tanh and log near their zeros (Cephes Mathematical
 * Library). */
#include "compiler/codegen/emitter.h"

#include <math.h>

static int lanes_of(LLVMValueRef value) {
    LLVMTypeRef type = LLVMTypeOf(value);
    return LLVMGetTypeKind(type) == LLVMVectorTypeKind ? (int)LLVMGetVectorSize(type) : 1;
}

static LLVMValueRef constant_like(CvmEmitter *emitter, LLVMValueRef x, double value) {
    return cvm_float(emitter, lanes_of(x), value);
}

static LLVMTypeRef int_type_like(CvmEmitter *emitter, LLVMValueRef x) {
    int lanes = lanes_of(x);
    return lanes == 1 ? emitter->i32 : LLVMVectorType(emitter->i32, (unsigned)lanes);
}

static LLVMValueRef int_like(CvmEmitter *emitter, LLVMValueRef x, int64_t value) {
    LLVMValueRef scalar = LLVMConstInt(emitter->i32, (unsigned long long)value, true);
    int lanes = lanes_of(x);
    LLVMValueRef all[64];
    for (int i = 0; i < lanes; i++)
        all[i] = scalar;
    return lanes == 1 ? scalar : LLVMConstVector(all, (unsigned)lanes);
}

LLVMValueRef cvm_emit_multiply_add(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b,
                                   LLVMValueRef c) {
    LLVMValueRef arguments[] = {a, b, c};
    return cvm_intrinsic(emitter, "llvm.fmuladd", LLVMTypeOf(a), arguments, 3);
}

LLVMValueRef cvm_emit_maximum(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b) {
    LLVMValueRef greater = LLVMBuildFCmp(emitter->builder, LLVMRealOGT, a, b, "");
    return LLVMBuildSelect(emitter->builder, greater, a, b, "");
}

static LLVMValueRef minimum(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b) {
    LLVMValueRef less = LLVMBuildFCmp(emitter->builder, LLVMRealOLT, a, b, "");
    return LLVMBuildSelect(emitter->builder, less, a, b, "");
}

/* coefficients[0] x^(count-1) + … + coefficients[count-1], by Horner's rule. */
static LLVMValueRef polynomial(CvmEmitter *emitter, LLVMValueRef x, const double *coefficients,
                               int count) {
    LLVMValueRef sum = constant_like(emitter, x, coefficients[0]);
    for (int i = 1; i < count; i++)
        sum = cvm_emit_multiply_add(emitter, sum, x, constant_like(emitter, x, coefficients[i]));
    return sum;
}

/* exp(x) = 2^n exp(r), n = round(x / ln 2), |r| <= ln 2 / 2: a Taylor polynomial of degree 7 leaves
 * a relative error below 1e-8. NaN stays NaN. */
LLVMValueRef cvm_emit_exp(CvmEmitter *emitter, LLVMValueRef x) {
    static const double taylor[] = {1 / 5040.0, 1 / 720.0, 1 / 120.0, 1 / 24.0, 1 / 6.0, 0.5, 1, 1};
    LLVMBuilderRef builder = emitter->builder;
    /* operands ordered so that a NaN wins */
    LLVMValueRef clamped = cvm_emit_maximum(emitter, constant_like(emitter, x, -87.3), x);
    clamped = minimum(emitter, constant_like(emitter, x, 88.7), clamped);
    LLVMValueRef scaled = LLVMBuildFMul(builder, clamped, constant_like(emitter, x, M_LOG2E), "");
    LLVMValueRef n = cvm_intrinsic(emitter, "llvm.rint", LLVMTypeOf(x), &scaled, 1);
    /* ln 2 in two parts, the first with trailing zeros so that n times it is exact */
    LLVMValueRef r =
        cvm_emit_multiply_add(emitter, n, constant_like(emitter, x, -0.693359375), clamped);
    r = cvm_emit_multiply_add(emitter, n, constant_like(emitter, x, 2.12194440054690583e-4), r);
    LLVMValueRef power = polynomial(emitter, r, taylor, 8);
    /* 2^n in two factors, as n can be 128 */
    LLVMTypeRef ints = int_type_like(emitter, x);
    LLVMValueRef whole = LLVMBuildFPToSI(builder, n, ints, "");
    LLVMValueRef half = LLVMBuildAShr(builder, whole, int_like(emitter, x, 1), "");
    LLVMValueRef rest = LLVMBuildSub(builder, whole, half, "");
    LLVMValueRef parts[] = {half, rest};
    for (int i = 0; i < 2; i++) {
        LLVMValueRef biased = LLVMBuildAdd(builder, parts[i], int_like(emitter, x, 127), "");
        LLVMValueRef bits = LLVMBuildShl(builder, biased, int_like(emitter, x, 23), "");
        power =
            LLVMBuildFMul(builder, power, LLVMBuildBitCast(builder, bits, LLVMTypeOf(x), ""), "");
    }
    LLVMValueRef tiny =
        LLVMBuildFCmp(builder, LLVMRealOLT, x, constant_like(emitter, x, -87.3), "");
    return LLVMBuildSelect(builder, tiny, constant_like(emitter, x, 0), power, "");
}

/* log(x) = e ln 2 + log(m), sqrt(1/2) <= m < sqrt(2), for x a positive normal number, which is what
 * sums of exponentials are. */
LLVMValueRef cvm_emit_log(CvmEmitter *emitter, LLVMValueRef x) {
    static const double cephes[] = {7.0376836292e-2,  -1.1514610310e-1, 1.1676998740e-1,
                                    -1.2420140846e-1, 1.4249322787e-1,  -1.6668057665e-1,
                                    2.0000714765e-1,  -2.4999993993e-1, 3.3333331174e-1};
    LLVMBuilderRef builder = emitter->builder;
    LLVMTypeRef ints = int_type_like(emitter, x), floats = LLVMTypeOf(x);
    LLVMValueRef bits = LLVMBuildBitCast(builder, x, ints, "");
    /* shift the exponent's boundary from 1 to sqrt(1/2) */
    LLVMValueRef moved = LLVMBuildSub(builder, bits, int_like(emitter, x, 0x3f3504f3), "");
    LLVMValueRef exponent = LLVMBuildAShr(builder, moved, int_like(emitter, x, 23), "");
    LLVMValueRef mantissa = LLVMBuildSub(
        builder, bits, LLVMBuildShl(builder, exponent, int_like(emitter, x, 23), ""), "");
    LLVMValueRef m = LLVMBuildBitCast(builder, mantissa, floats, "");
    LLVMValueRef e = LLVMBuildSIToFP(builder, exponent, floats, "");
    LLVMValueRef f = LLVMBuildFSub(builder, m, constant_like(emitter, x, 1), "");
    LLVMValueRef square = LLVMBuildFMul(builder, f, f, "");
    LLVMValueRef cubed = LLVMBuildFMul(builder, square, f, "");
    LLVMValueRef tail = LLVMBuildFMul(builder, cubed, polynomial(emitter, f, cephes, 9), "");
    tail = cvm_emit_multiply_add(emitter, square, constant_like(emitter, x, -0.5), tail);
    tail =
        cvm_emit_multiply_add(emitter, e, constant_like(emitter, x, -2.12194440054690583e-4), tail);
    LLVMValueRef sum = LLVMBuildFAdd(builder, f, tail, "");
    return cvm_emit_multiply_add(emitter, e, constant_like(emitter, x, 0.693359375), sum);
}

/* Near zero an odd polynomial, since 1 - 2 / (exp(2x) + 1) would lose its digits there. */
LLVMValueRef cvm_emit_tanh(CvmEmitter *emitter, LLVMValueRef x) {
    static const double cephes[] = {-5.70498872745e-3, 2.06390887954e-2, -5.37397155531e-2,
                                    1.33314422036e-1, -3.33332819422e-1};
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef size = cvm_intrinsic(emitter, "llvm.fabs", LLVMTypeOf(x), &x, 1);
    LLVMValueRef square = LLVMBuildFMul(builder, x, x, "");
    LLVMValueRef cubed = LLVMBuildFMul(builder, square, x, "");
    LLVMValueRef near =
        cvm_emit_multiply_add(emitter, polynomial(emitter, square, cephes, 5), cubed, x);
    LLVMValueRef power = cvm_emit_exp(emitter, LLVMBuildFAdd(builder, size, size, ""));
    LLVMValueRef one = constant_like(emitter, x, 1);
    LLVMValueRef quotient = LLVMBuildFDiv(builder, constant_like(emitter, x, 2),
                                          LLVMBuildFAdd(builder, power, one, ""), "");
    LLVMValueRef far = LLVMBuildFSub(builder, one, quotient, "");
    LLVMValueRef arguments[] = {far, x};
    far = cvm_intrinsic(emitter, "llvm.copysign", LLVMTypeOf(x), arguments, 2);
    LLVMValueRef small =
        LLVMBuildFCmp(builder, LLVMRealOLT, size, constant_like(emitter, x, 0.625), "");
    return LLVMBuildSelect(builder, small, near, far, "");
}

LLVMValueRef cvm_emit_sigmoid(CvmEmitter *emitter, LLVMValueRef x) {
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef one = constant_like(emitter, x, 1);
    LLVMValueRef power = cvm_emit_exp(emitter, LLVMBuildFNeg(builder, x, ""));
    return LLVMBuildFDiv(builder, one, LLVMBuildFAdd(builder, one, power, ""), "");
}

/* Error function: its series near zero (Abramowitz and Stegun 7.1.5), 1 minus a
 * polynomial times exp(-x^2) elsewhere (7.1.26, error below 1.5e-7). */
LLVMValueRef cvm_emit_erf(CvmEmitter *emitter, LLVMValueRef x) {
    static const double series[] = {-1 / 1320.0, 1 / 216.0, -1 / 42.0, 0.1, -1 / 3.0, 1};
    static const double tail[] = {1.061405429, -1.453152027, 1.421413741, -0.284496736,
                                  0.254829592};
    LLVMBuilderRef builder = emitter->builder;
    LLVMTypeRef type = LLVMTypeOf(x);
    LLVMValueRef one = constant_like(emitter, x, 1);
    LLVMValueRef size = cvm_intrinsic(emitter, "llvm.fabs", type, &x, 1);
    LLVMValueRef square = LLVMBuildFMul(builder, x, x, "");
    LLVMValueRef scaled = LLVMBuildFMul(builder, x, constant_like(emitter, x, M_2_SQRTPI), "");
    LLVMValueRef near = LLVMBuildFMul(builder, scaled, polynomial(emitter, square, series, 6), "");
    LLVMValueRef t = LLVMBuildFDiv(
        builder, one,
        cvm_emit_multiply_add(emitter, size, constant_like(emitter, x, 0.3275911), one), "");
    LLVMValueRef sum = LLVMBuildFMul(builder, t, polynomial(emitter, t, tail, 5), "");
    LLVMValueRef rest =
        LLVMBuildFMul(builder, sum, cvm_emit_exp(emitter, LLVMBuildFNeg(builder, square, "")), "");
    LLVMValueRef arguments[] = {LLVMBuildFSub(builder, one, rest, ""), x};
    LLVMValueRef far = cvm_intrinsic(emitter, "llvm.copysign", type, arguments, 2);
    LLVMValueRef small =
        LLVMBuildFCmp(builder, LLVMRealOLT, size, constant_like(emitter, x, 0.5), "");
    return LLVMBuildSelect(builder, small, near, far, "");
}

/* x^(-1/4) of a positive normal number, without the unit that divides and takes roots, which is
 * slower than all of this: a number's bits, divided by -4, are nearly those of the result, to 3%
 * (as in the well-known inverse square root); with what that leaves, r = 1 - x u^4, |r| < 0.124,
 * the result is u (1 - r)^(-1/4), a polynomial in r of degree 5 with a relative error below 1e-8.
 * In all the result is off by 1.6e-7 of itself at most. */
LLVMValueRef cvm_emit_inverse_fourth_root(CvmEmitter *emitter, LLVMValueRef x) {
    static const double minimax[] = {1, 0.25, 0.15624054, 0.11717697, 0.09686005, 0.08251086};
    LLVMBuilderRef builder = emitter->builder;
    LLVMValueRef bits = LLVMBuildBitCast(builder, x, int_type_like(emitter, x), "");
    LLVMValueRef quarter = LLVMBuildLShr(builder, bits, int_like(emitter, x, 2), "");
    LLVMValueRef guess = LLVMBuildSub(builder, int_like(emitter, x, 0x4f58187e), quarter, "");
    LLVMValueRef u = LLVMBuildBitCast(builder, guess, LLVMTypeOf(x), "");
    LLVMValueRef square = LLVMBuildFMul(builder, u, u, "");
    LLVMValueRef fourth = LLVMBuildFMul(builder, square, square, "");
    LLVMValueRef r = cvm_emit_multiply_add(emitter, LLVMBuildFNeg(builder, x, ""), fourth,
                                           constant_like(emitter, x, 1));
    LLVMValueRef pairs[3];
    /* by Estrin's scheme: Horner's would wait for each coefficient in turn */
    for (int i = 0; i < 3; i++)
        pairs[i] = cvm_emit_multiply_add(emitter, r, constant_like(emitter, x, minimax[2 * i + 1]),
                                         constant_like(emitter, x, minimax[2 * i]));
    LLVMValueRef r2 = LLVMBuildFMul(builder, r, r, "");
    LLVMValueRef sum = cvm_emit_multiply_add(emitter, r2, pairs[2], pairs[1]);
    return LLVMBuildFMul(builder, u, cvm_emit_multiply_add(emitter, r2, sum, pairs[0]), "");
}

/* Folds the upper half onto the lower until one lane is left. */
static LLVMValueRef fold_lanes(CvmEmitter *emitter, LLVMValueRef vector, bool maximum) {
    LLVMBuilderRef builder = emitter->builder;
    for (int lanes = lanes_of(vector); lanes > 1; lanes /= 2) {
        LLVMValueRef low[32], high[32];
        for (int i = 0; i < lanes / 2; i++) {
            low[i] = LLVMConstInt(emitter->i32, (unsigned)i, false);
            high[i] = LLVMConstInt(emitter->i32, (unsigned)(i + lanes / 2), false);
        }
        LLVMValueRef poison = LLVMGetPoison(LLVMTypeOf(vector));
        LLVMValueRef a = LLVMBuildShuffleVector(builder, vector, poison,
                                                LLVMConstVector(low, (unsigned)lanes / 2), "");
        LLVMValueRef b = LLVMBuildShuffleVector(builder, vector, poison,
                                                LLVMConstVector(high, (unsigned)lanes / 2), "");
        vector = maximum ? cvm_emit_maximum(emitter, a, b) : LLVMBuildFAdd(builder, a, b, "");
    }
    if (LLVMGetTypeKind(LLVMTypeOf(vector)) == LLVMVectorTypeKind)
        vector = LLVMBuildExtractElement(builder, vector, LLVMConstInt(emitter->i32, 0, false), "");
    return vector;
}

LLVMValueRef cvm_emit_lane_sum(CvmEmitter *emitter, LLVMValueRef vector) {
    return fold_lanes(emitter, vector, false);
}

LLVMValueRef cvm_emit_lane_maximum(CvmEmitter *emitter, LLVMValueRef vector) {
    return fold_lanes(emitter, vector, true);
}
