/* The generator of BLAS kernels: y[n, f] = sum over i of x[n, i] w[f, i] for a large batch, by
 * OpenBLAS. A work item is a block of features for the whole batch: one call of cblas_sgemm into
 * scratch memory, then the epilogue from there, by vectors along the features.
 *
 * Items are what threads share, so OpenBLAS is told to use one thread: results do not depend on the
 * number of threads, and no two sets of threads stand in each other's way. */
#include "compiler/codegen/emitter.h"

/* of cblas.h */
enum { ROW_MAJOR = 101, NO_TRANSPOSE = 111, TRANSPOSE = 112, GEMM_ARGUMENTS = 14 };

typedef struct Blas {
    CvmEmitter *emitter;
    const CvmLinear *shape;
    LLVMValueRef first; /* feature of the work item */
    LLVMValueRef sums;  /* scratch memory: [batch][features of the item] */
    int64_t features;   /* of the item */
} Blas;

/* Where a vector of results lies: some features of a picture. */
typedef struct Place {
    LLVMValueRef picture, feature;
    CvmLanes lanes;
} Place;

static LLVMValueRef integer(const Blas *blas, int64_t value) {
    return LLVMConstInt(blas->emitter->i32, (unsigned long long)value, true);
}

static void call(const Blas *blas, const char *name, LLVMTypeRef *types, LLVMValueRef *arguments,
                 unsigned count) {
    CvmEmitter *emitter = blas->emitter;
    LLVMTypeRef type =
        LLVMFunctionType(LLVMVoidTypeInContext(emitter->context), types, count, false);
    LLVMValueRef function = LLVMGetNamedFunction(emitter->module, name);
    if (!function)
        function = LLVMAddFunction(emitter->module, name, type);
    LLVMBuildCall2(emitter->builder, type, function, arguments, count, "");
}

static void emit_product(const Blas *blas) {
    CvmEmitter *emitter = blas->emitter;
    const CvmKernel *kernel = emitter->kernel;
    int64_t inputs = blas->shape->inputs;
    LLVMTypeRef i32 = emitter->i32, f32 = emitter->f32, pointer = emitter->pointer;
    LLVMValueRef one_thread = integer(blas, 1);
    LLVMValueRef weights =
        cvm_advance(emitter, emitter->buffers[kernel->b], cvm_scale(emitter, blas->first, inputs));
    LLVMTypeRef types[GEMM_ARGUMENTS] = {i32,     i32, i32,     i32, i32, i32,     f32,
                                         pointer, i32, pointer, i32, f32, pointer, i32};
    LLVMValueRef arguments[GEMM_ARGUMENTS] = {integer(blas, ROW_MAJOR),
                                              integer(blas, NO_TRANSPOSE),
                                              integer(blas, TRANSPOSE),
                                              integer(blas, blas->shape->batch),
                                              integer(blas, blas->features),
                                              integer(blas, inputs),
                                              LLVMConstReal(f32, 1),
                                              emitter->buffers[kernel->a],
                                              integer(blas, inputs),
                                              weights,
                                              integer(blas, inputs),
                                              LLVMConstReal(f32, 0),
                                              blas->sums,
                                              integer(blas, blas->features)};
    call(blas, "openblas_set_num_threads", &i32, &one_thread, 1);
    call(blas, "cblas_sgemm", types, arguments, GEMM_ARGUMENTS);
}

static LLVMValueRef address_of(CvmEmitter *emitter, const Place *place, int buffer) {
    return cvm_linear_address(emitter, buffer, place->picture, place->feature);
}

static LLVMValueRef leaf(CvmEmitter *emitter, const CvmExpr *expr, void *state) {
    const Place *place = state;
    return cvm_load(emitter, address_of(emitter, place, expr->index),
                    emitter->kernel->buffers[expr->index].strides[1], &place->lanes, 0);
}

/* Of the features from `feature` of the item on, as many as lanes are on. */
static void emit_results(const Blas *blas, LLVMValueRef picture, LLVMValueRef feature,
                         int64_t count) {
    CvmEmitter *emitter = blas->emitter;
    const CvmKernel *kernel = emitter->kernel;
    Place place = {picture, cvm_sum(emitter, blas->first, feature),
                   cvm_lanes_first(kernel->schedule.lanes, count)};
    LLVMValueRef at = cvm_sum(emitter, cvm_scale(emitter, picture, blas->features), feature);
    LLVMValueRef sum = cvm_load(emitter, cvm_advance(emitter, blas->sums, at), 1, &place.lanes, 0);
    CvmExprContext context = {sum, place.lanes.lanes, leaf, &place};
    for (int i = 0; i < kernel->result_count; i++) {
        int buffer = kernel->results[i].buffer;
        cvm_store(emitter, cvm_emit_expr(emitter, kernel->results[i].value, &context),
                  address_of(emitter, &place, buffer), kernel->buffers[buffer].strides[1],
                  &place.lanes);
    }
}

static void emit_item(Blas *blas, int64_t features) {
    CvmEmitter *emitter = blas->emitter;
    int64_t lanes = emitter->kernel->schedule.lanes, whole = features / lanes * lanes;
    LLVMValueRef zero = cvm_i64(emitter, 0);
    blas->features = features;
    emit_product(blas);
    CvmLoop pictures = cvm_loop_begin(emitter, zero, cvm_i64(emitter, blas->shape->batch), 1);
    if (whole) {
        CvmLoop loop = cvm_loop_begin(emitter, zero, cvm_i64(emitter, whole), lanes);
        emit_results(blas, pictures.index, loop.index, lanes);
        cvm_loop_end(emitter, &loop);
    }
    if (whole < features)
        emit_results(blas, pictures.index, cvm_i64(emitter, whole), features - whole);
    cvm_loop_end(emitter, &pictures);
}

void cvm_emit_blas(CvmEmitter *emitter, LLVMValueRef item) {
    const CvmLinear *shape = &emitter->kernel->linear;
    int64_t rest = shape->features % shape->block;
    Blas blas = {.emitter = emitter,
                 .shape = shape,
                 .first = cvm_scale(emitter, item, shape->block),
                 .sums = emitter->buffers[shape->scratch]};
    if (!rest) {
        emit_item(&blas, shape->block);
        return;
    }
    LLVMValueRef full = LLVMBuildICmp(emitter->builder, LLVMIntULT, item,
                                      cvm_i64(emitter, emitter->kernel->extent - 1), "");
    CvmBranch branch = cvm_branch_begin(emitter, full);
    emit_item(&blas, shape->block);
    cvm_branch_else(emitter, &branch);
    emit_item(&blas, rest);
    cvm_branch_end(emitter, &branch);
}
