/* What the kernel generators share: a module under construction, loops, vector loads and stores
 * with compile-time masks, and arithmetic on vectors or scalars alike. */
#ifndef CVM_CODEGEN_EMITTER_H
#define CVM_CODEGEN_EMITTER_H

#include "compiler/kernels/kernel.h"

#include <llvm-c/Core.h>
#include <llvm-c/Types.h>

/* A kernel's window table as constant arrays of the module; NULL: not made yet. */
typedef struct CvmEmittedTable {
    LLVMValueRef shares, first, last;
} CvmEmittedTable;

typedef struct CvmEmitter {
    LLVMContextRef context;
    LLVMModuleRef module;
    LLVMBuilderRef builder;
    LLVMDIBuilderRef lines; /* NULL: no line information */
    LLVMValueRef function;
    const CvmKernel *kernel;
    LLVMTypeRef f32, i32, i64, i1, pointer;
    LLVMValueRef buffers[CVM_MAX_BUFFERS];   /* base pointers */
    LLVMBasicBlockRef entry;                 /* where stack slots are made */
    CvmEmittedTable tables[CVM_MAX_WINDOWS]; /* the kernel's, once used */
} CvmEmitter;

/* Which lanes of a vector take part, known when code is made. lanes 1: a scalar. */
typedef struct CvmLanes {
    int lanes;
    bool on[64];
} CvmLanes;

CvmLanes cvm_lanes_first(int lanes, int64_t count); /* the first `count` of them */
bool cvm_lanes_all(const CvmLanes *lanes);
bool cvm_lanes_none(const CvmLanes *lanes);
/* They as a vector of i1. */
LLVMValueRef cvm_lanes_mask(const CvmEmitter *emitter, const CvmLanes *lanes);

/* A counted loop. Between begin and end the builder stands in the body; `index` is i64. */
typedef struct CvmLoop {
    LLVMValueRef index;
    LLVMBasicBlockRef header, exit;
    LLVMValueRef step;
} CvmLoop;

/* for (index = first; index < last; index += step). A loop known to run once makes no branches. */
CvmLoop cvm_loop_begin(CvmEmitter *emitter, LLVMValueRef first, LLVMValueRef last, int64_t step);
void cvm_loop_end(CvmEmitter *emitter, CvmLoop *loop);

/* if (condition) { … }; between begin and end the builder stands in the branch. */
typedef struct CvmBranch {
    LLVMBasicBlockRef otherwise, exit;
} CvmBranch;
CvmBranch cvm_branch_begin(CvmEmitter *emitter, LLVMValueRef condition);
void cvm_branch_else(CvmEmitter *emitter, CvmBranch *branch);
void cvm_branch_end(CvmEmitter *emitter, CvmBranch *branch);

LLVMValueRef cvm_i64(const CvmEmitter *emitter, int64_t value);
LLVMTypeRef cvm_float_type(const CvmEmitter *emitter, int lanes);
LLVMValueRef cvm_float(const CvmEmitter *emitter, int lanes, double value);
LLVMValueRef cvm_splat(CvmEmitter *emitter, LLVMValueRef scalar, int lanes);

/* index * factor and a + b on i64, folding the trivial cases. */
LLVMValueRef cvm_scale(CvmEmitter *emitter, LLVMValueRef index, int64_t factor);
LLVMValueRef cvm_sum(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b);

/* pointer + elements * 4 bytes. */
LLVMValueRef cvm_advance(CvmEmitter *emitter, LLVMValueRef pointer, LLVMValueRef elements);

/* Elements at pointer, pointer + stride, …; lanes that are off hold `otherwise`. stride 0 splats
 * one element. */
LLVMValueRef cvm_load(CvmEmitter *emitter, LLVMValueRef pointer, int64_t stride,
                      const CvmLanes *lanes, double otherwise);
void cvm_store(CvmEmitter *emitter, LLVMValueRef value, LLVMValueRef pointer, int64_t stride,
               const CvmLanes *lanes);

/* --- buffers of the kernel, whose elements may be bf16 (emit_bfloat.c) --- */
/* As cvm_advance, cvm_load and cvm_store, in the buffer's elements: bf16 is widened when loaded and
 * rounded to nearest even when stored. */
LLVMValueRef cvm_advance_in(CvmEmitter *emitter, int buffer, LLVMValueRef pointer,
                            LLVMValueRef elements);
LLVMValueRef cvm_load_from(CvmEmitter *emitter, int buffer, LLVMValueRef pointer, int64_t stride,
                           const CvmLanes *lanes, double otherwise);
void cvm_store_to(CvmEmitter *emitter, int buffer, LLVMValueRef value, LLVMValueRef pointer,
                  int64_t stride, const CvmLanes *lanes);

/* The first `count` of 2 lanes elements of bf16, a pair in each lane, with zeros behind; and sum +
 * the products of both halves of each pair, by vdpbf16ps: of 16 lanes, in f32, denormal numbers
 * taken for zeros. */
LLVMValueRef cvm_load_pairs(CvmEmitter *emitter, LLVMValueRef pointer, int lanes, int64_t count);
LLVMValueRef cvm_emit_dot(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b, LLVMValueRef sum);

/* Transposes `lanes` vectors of as many lanes, a power of two, by exchanging off-diagonal halves at
 * every power of two (J. O. Eklundh, "A fast computer method for matrix transposing", IEEE Trans.
 * Computers, 1972). */
void cvm_emit_transpose(CvmEmitter *emitter, LLVMValueRef *rows, int lanes);

/* In lane l element number from[l] of the vectors of `lanes` lanes, as if they were one; -1: any.
 */
LLVMValueRef cvm_emit_pick(CvmEmitter *emitter, const LLVMValueRef *vectors, int count, int lanes,
                           const int *from);

/* For vectors of outputs of groups that share them (emit_mix.c): in each of `lanes` lanes, the
 * first of which is output channel number `output` of the run, channel number input + inside of the
 * lane's group. `input` (i64) and `inside` together do not leave a block of the pictures, unless
 * both are known. base: of the run's first channel. */
LLVMValueRef cvm_emit_mixed(CvmEmitter *emitter, const CvmMix *mix, LLVMValueRef base,
                            int64_t output, int lanes, LLVMValueRef input, int64_t inside);

/* Keeps LLVM from sharing or moving loads across this point: they would need registers that sums
 * have. The processor looks ahead by itself. */
void cvm_emit_load_barrier(CvmEmitter *emitter);

/* A stack slot in the entry block. */
LLVMValueRef cvm_stack_slot(CvmEmitter *emitter, LLVMTypeRef type, const char *name);

/* Has the cache line at the address fetched into the nearest cache; any address will do. */
void cvm_emit_prefetch(CvmEmitter *emitter, LLVMValueRef pointer);

/* Calls an LLVM intrinsic overloaded on one type. */
LLVMValueRef cvm_intrinsic(CvmEmitter *emitter, const char *name, LLVMTypeRef overload,
                           LLVMValueRef *arguments, unsigned count);

/* --- window tables (emit_table.c) --- */
/* Where table `axis` of the kernel has its shares, f32 each. */
LLVMValueRef cvm_table_shares(CvmEmitter *emitter, int axis);
/* The bounds of the window at `position` (i64), from a table that has them. */
LLVMValueRef cvm_table_first(CvmEmitter *emitter, int axis, LLVMValueRef position);
LLVMValueRef cvm_table_last(CvmEmitter *emitter, int axis, LLVMValueRef position);

/* --- arithmetic on f32 scalars or vectors (emit_math.c) --- */
LLVMValueRef cvm_emit_multiply_add(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b,
                                   LLVMValueRef c); /* a * b + c */
LLVMValueRef cvm_emit_maximum(CvmEmitter *emitter, LLVMValueRef a, LLVMValueRef b);
LLVMValueRef cvm_emit_exp(CvmEmitter *emitter, LLVMValueRef x);
LLVMValueRef cvm_emit_log(CvmEmitter *emitter, LLVMValueRef x);
LLVMValueRef cvm_emit_tanh(CvmEmitter *emitter, LLVMValueRef x);
LLVMValueRef cvm_emit_sigmoid(CvmEmitter *emitter, LLVMValueRef x);
LLVMValueRef cvm_emit_erf(CvmEmitter *emitter, LLVMValueRef x);
LLVMValueRef cvm_emit_inverse_fourth_root(CvmEmitter *emitter, LLVMValueRef x);
/* Sum or largest of a vector's lanes, in one fixed order. */
LLVMValueRef cvm_emit_lane_sum(CvmEmitter *emitter, LLVMValueRef vector);
LLVMValueRef cvm_emit_lane_maximum(CvmEmitter *emitter, LLVMValueRef vector);

/* --- random numbers (emit_random.c) --- */
/* cvm_random_uniform for the elements first (i64), first + step, … of the plain order. numbers:
 * address of i32 [4], the halves of the seed and of the step; stream: of the layer. */
LLVMValueRef cvm_emit_uniform(CvmEmitter *emitter, LLVMValueRef numbers, int64_t stream,
                              LLVMValueRef first, int64_t step, int lanes);

/* --- expressions (emit_expression.c) --- */
typedef struct CvmExprContext {
    LLVMValueRef accumulator;
    int lanes; /* of every value */
    /* The value of a leaf that is not a constant or the accumulator. */
    LLVMValueRef (*leaf)(CvmEmitter *emitter, const CvmExpr *expr, void *state);
    void *state;
} CvmExprContext;
LLVMValueRef cvm_emit_expr(CvmEmitter *emitter, const CvmExpr *expr, const CvmExprContext *context);

/* The results of a kernel all of whose tensors lie in one order (strides[0] is 1) or are scalars
 * (0), for the `lanes` elements from `offset` on: made of `value`, then stored. */
void cvm_emit_flat_results(CvmEmitter *emitter, LLVMValueRef value, LLVMValueRef offset, int lanes);

/* --- generators: each emits the body for the work item `item` (i64) --- */
void cvm_emit_reduce(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_strip(CvmEmitter *emitter, LLVMValueRef item); /* a REDUCE kernel's way, at times */
void cvm_emit_rows(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_scatter(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_linear(CvmEmitter *emitter, LLVMValueRef item);
/* Of a linear layer: where a buffer has the element of a picture and a feature. */
LLVMValueRef cvm_linear_address(CvmEmitter *emitter, int buffer, LLVMValueRef picture,
                                LLVMValueRef feature);
void cvm_emit_blas(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_winograd(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_winograd_weight(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_winograd_grad(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_winograd_rows(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_winograd_rows_grad(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_relayout(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_copy(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_turn(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_weights(CvmEmitter *emitter, LLVMValueRef item);
void cvm_emit_probe(CvmEmitter *emitter, LLVMValueRef item);

#endif
