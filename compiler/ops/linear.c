/* The fully connected layer over vectors [n, i] with weights [f, i], and its gradients:
 *
 *   y[n, f] = sum over i of x[n, i] w[f, i]
 *   dx[n, i] = sum over f of dy[n, f] w[f, i]
 *   dw[f, i] = sum over n of dy[n, f] x[n, i] */
#include "compiler/graph/layout.h"
#include "compiler/ops/common.h"

#include <math.h>

static const double WORTH_MEASURING = 1e6; /* operations of a layer */

CvmNode *linear_build(CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return NULL;
    const CvmShape *in = &layer->input->type.shape;
    if (in->rank != 2)
        return cvm_layer_needs_vector(layer);
    int64_t features = cvm_layer_argument(layer, "features")->integers[0];
    if (features < 1)
        return cvm_layer_refuse(layer, 1223, "give a number of 1 or more",
                                "linear's features count from 1");
    double bound = 1 / sqrt((double)in->sizes[1]);
    CvmShape weights = {2, {features, in->sizes[1]}};
    CvmNode *operands[] = {layer->input, cvm_layer_parameter(layer, "weight", weights, bound, 0)};
    CvmNode *y = operands[1] ? cvm_layer_add(layer, CVM_OP_LINEAR, operands, 2, NULL) : NULL;
    bool bias = cvm_layer_argument(layer, "bias")->integers[0];
    return y && bias ? cvm_layer_bias(layer, y, features, bound) : y;
}

/* x or dy [n, k], and the weights [f, i] of which axis `weight_axis` must be k long. */
static bool check_product(const CvmNode *node, int weight_axis, CvmDiag *diag) {
    if (!cvm_check_plain(node, 1, diag))
        return false;
    if (node->inputs[0]->type.shape.sizes[1] != node->inputs[1]->type.shape.sizes[weight_axis])
        return cvm_refuse_operands(node, diag, "has a vector that is not as long as its weights");
    return true;
}

/* Weights may be bf16, and then x too. */
static bool check_numbers(const CvmNode *node, CvmDiag *diag) {
    bool both = node->inputs[0]->type.dtype == CVM_BF16;
    return cvm_check_numbers(node, 1, 2, both ? CVM_BF16 : CVM_F32, CVM_BF16, diag) &&
           cvm_check_numbers(node, 0, 2, CVM_F32, CVM_BF16, diag);
}

bool linear_infer(CvmNode *node, CvmDiag *diag) {
    if (!check_numbers(node, diag) || !check_product(node, 1, diag))
        return false;
    CvmShape shape = {2,
                      {node->inputs[0]->type.shape.sizes[0], node->inputs[1]->type.shape.sizes[0]}};
    return cvm_set_type(node, shape, &node->inputs[0]->type, diag);
}

bool linear_grad_input_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 2, diag) || !cvm_check_operand(node, 1, 2, diag) ||
        !check_product(node, 0, diag))
        return false;
    CvmShape shape = {2,
                      {node->inputs[0]->type.shape.sizes[0], node->inputs[1]->type.shape.sizes[1]}};
    return cvm_set_type(node, shape, &node->inputs[0]->type, diag);
}

bool linear_grad_weight_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 2, diag) || !cvm_check_operand(node, 1, 2, diag) ||
        !cvm_check_layouts(node, 0, 1, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes, *dy = node->inputs[1]->type.shape.sizes;
    if (x[0] != dy[0])
        return cvm_refuse_operands(node, diag, "has operands of two batch sizes");
    return cvm_set_type(node, (CvmShape){2, {dy[1], x[1]}}, NULL, diag);
}

void linear_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *x = node->inputs[0], *weight = node->inputs[1];
    CvmNode *for_x[] = {dy, weight}, *for_weight[] = {x, dy};
    if (cvm_autodiff_wants(autodiff, x))
        cvm_autodiff_give(autodiff, x,
                          cvm_autodiff_add(autodiff, CVM_OP_LINEAR_GRAD_INPUT, for_x, 2, NULL));
    if (cvm_autodiff_wants(autodiff, weight))
        cvm_autodiff_give(
            autodiff, weight,
            cvm_autodiff_add(autodiff, CVM_OP_LINEAR_GRAD_WEIGHT, for_weight, 2, NULL));
}

/* Every weight meets every vector of the batch in one multiply-add. */
CvmCost linear_cost(const CvmNode *node) {
    double batch = (double)node->type.shape.sizes[0];
    return (CvmCost){2 * batch * (double)cvm_count(node->inputs[1]), cvm_traffic(node)};
}

CvmCost linear_grad_weight_cost(const CvmNode *node) {
    double batch = (double)node->inputs[0]->type.shape.sizes[0];
    return (CvmCost){2 * batch * (double)cvm_count(node), cvm_traffic(node)};
}

/* result[r, c] = sum over k of a[r ar + k ak] b[c bc + k bk] */
typedef struct Matrices {
    CvmNumbers a, b;
    int64_t rows, columns, depth;
    int64_t a_row, a_depth, b_column, b_depth;
} Matrices;

static void multiply(const Matrices *m, float *output) {
    for (int64_t r = 0; r < m->rows; r++)
        for (int64_t c = 0; c < m->columns; c++) {
            double sum = 0;
            for (int64_t k = 0; k < m->depth; k++)
                sum += (double)cvm_number(m->a, r * m->a_row + k * m->a_depth) *
                       cvm_number(m->b, c * m->b_column + k * m->b_depth);
            output[r * m->columns + c] = (float)sum;
        }
}

void linear_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t inputs = node->inputs[0]->type.shape.sizes[1];
    multiply(&(Matrices){cvm_numbers(node, operands, 0), cvm_numbers(node, operands, 1),
                         node->type.shape.sizes[0], node->type.shape.sizes[1], inputs, inputs, 1,
                         inputs, 1},
             output);
}

void linear_grad_input_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t features = node->inputs[0]->type.shape.sizes[1], inputs = node->type.shape.sizes[1];
    multiply(&(Matrices){cvm_numbers(node, operands, 0), cvm_numbers(node, operands, 1),
                         node->type.shape.sizes[0], inputs, features, features, 1, 1, inputs},
             output);
}

void linear_grad_weight_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t features = node->type.shape.sizes[0], inputs = node->type.shape.sizes[1];
    multiply(&(Matrices){cvm_numbers(node, operands, 1), cvm_numbers(node, operands, 0), features,
                         inputs, node->inputs[0]->type.shape.sizes[0], 1, features, 1, inputs},
             output);
}

/* --- kernels --- */

/* The batch as loops: blocks of pictures, and their lanes in the batch-blocked layout (else -1). */
typedef struct BatchAxes {
    int n, lane;
} BatchAxes;

static BatchAxes batch_axes(CvmLowering *lowering, const CvmType *type, bool reduce) {
    BatchAxes axes;
    int64_t blocks = type->shape.sizes[0] / cvm_layout_block(type, 0);
    axes.n = cvm_lower_axis(lowering, "n", blocks, reduce);
    axes.lane = cvm_lower_lane(lowering, type, reduce);
    return axes;
}

/* Steps of a [n, features] operand along the batch and along the loop over its features. */
static void vector_strides(CvmLowering *lowering, int buffer, const CvmType *type, BatchAxes batch,
                           int features) {
    CvmStrides strides = cvm_value_strides(type);
    cvm_lower_stride(lowering, buffer, batch.n, strides.dims[0]);
    cvm_lower_stride(lowering, buffer, features, strides.dims[1]);
    if (batch.lane >= 0)
        cvm_lower_stride(lowering, buffer, batch.lane, 1);
}

/* y[n, f] = sum over i of x[n, i] w[f, i], and dx[n, i] = sum over f of dy[n, f] w[f, i]: the same
 * loops with the weight's axes exchanged. */
static void lower_product(CvmLowering *lowering, const CvmNode *node, bool transposed) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0], *weight = node->inputs[1];
    int64_t columns = weight->type.shape.sizes[1];
    BatchAxes batch = batch_axes(lowering, &node->type, false);
    int output = cvm_lower_axis(lowering, "output", node->type.shape.sizes[1], false);
    int input = cvm_lower_axis(lowering, "input", x->type.shape.sizes[1], true);
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    kernel->b = cvm_lower_buffer(lowering, weight, false);
    vector_strides(lowering, kernel->a, &x->type, batch, input);
    cvm_lower_stride(lowering, kernel->b, output, transposed ? 1 : columns);
    cvm_lower_stride(lowering, kernel->b, input, transposed ? columns : 1);
    CvmStrides result = cvm_value_strides(&node->type);
    cvm_lower_output(lowering, batch.n, result.dims[0], 0);
    cvm_lower_output(lowering, output, result.dims[1], 1);
    cvm_lower_output(lowering, batch.lane, 1, 0);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}

/* Whether a batch should share each reading of the weights: where those do not fit the nearest
 * cache, unless it was measured otherwise; not so many pictures that it matters no more. */
static bool shares_weights(CvmLowering *lowering, const CvmNode *node) {
    enum { CACHED = 1 << 13, MOST_PICTURES = 1024 }; /* CACHED: floats, 32 KiB */
    int64_t batch = node->type.shape.sizes[0];
    const CvmType *x = &node->inputs[0]->type, *weight = &node->inputs[1]->type;
    if (node->type.layout != CVM_LAYOUT_PLAIN || x->layout != CVM_LAYOUT_PLAIN ||
        batch > MOST_PICTURES)
        return false;
    bool shares = batch > 1 && cvm_count(node->inputs[1]) > CACHED;
    if (!lowering->tuning || linear_cost(node).flops < WORTH_MEASURING)
        return shares;
    static const char *const names[] = {"product", "shared weights"};
    CvmTuningChoice choice = {.level = CVM_TUNING_WAY, .layer = lowering->kernel->layer};
    cvm_tuning_offer(&choice, "%s", names[shares]);
    cvm_tuning_offer(&choice, "%s", names[!shares]);
    const char *question = cvm_arena_format(
        lowering->arena, "linear %lld pictures, %lld inputs in %s, %lld features in %s",
        (long long)batch, (long long)x->shape.sizes[1], cvm_dtype_name(x->dtype),
        (long long)weight->shape.sizes[0], cvm_dtype_name(weight->dtype));
    int chosen = cvm_tuning_choose(lowering->tuning, question, &choice);
    lowering->kernel->measured = cvm_tuning_reason(lowering->tuning, question, &choice, chosen);
    return (chosen == 0) == shares;
}

/* Where OpenBLAS may be called and is faster: for many pictures, whose products outweigh that it
 * copies the weights first. */
static bool is_for_blas(const CvmLowering *lowering, const CvmNode *node) {
    enum { LEAST_PICTURES = 64, LEAST_WEIGHTS = 1 << 16 };
    const CvmType *x = &node->inputs[0]->type, *weight = &node->inputs[1]->type;
    return lowering->blas && node->type.layout == CVM_LAYOUT_PLAIN &&
           x->layout == CVM_LAYOUT_PLAIN && x->dtype == CVM_F32 && weight->dtype == CVM_F32 &&
           node->type.shape.sizes[0] >= LEAST_PICTURES &&
           cvm_count(node->inputs[1]) >= LEAST_WEIGHTS;
}

void linear_lower(CvmLowering *lowering, const CvmNode *node) {
    bool blas = is_for_blas(lowering, node);
    lower_product(lowering, node, false);
    if (!blas && !shares_weights(lowering, node))
        return;
    lowering->kernel->form = blas ? CVM_KERNEL_BLAS : CVM_KERNEL_LINEAR;
    lowering->kernel->linear = (CvmLinear){.batch = node->type.shape.sizes[0],
                                           .inputs = node->inputs[0]->type.shape.sizes[1],
                                           .features = node->type.shape.sizes[1],
                                           .scratch = cvm_lower_scratch(lowering)};
}

void linear_grad_input_lower(CvmLowering *lowering, const CvmNode *node) {
    lower_product(lowering, node, true);
}

/* dw[f, i] = sum over n of dy[n, f] x[n, i] */
void linear_grad_weight_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmNode *x = node->inputs[0], *dy = node->inputs[1];
    int output = cvm_lower_axis(lowering, "output", node->type.shape.sizes[0], false);
    int input = cvm_lower_axis(lowering, "input", node->type.shape.sizes[1], false);
    BatchAxes batch = batch_axes(lowering, &x->type, true);
    kernel->combine = CVM_COMBINE_PRODUCTS;
    kernel->a = cvm_lower_buffer(lowering, x, false);
    kernel->b = cvm_lower_buffer(lowering, dy, false);
    vector_strides(lowering, kernel->a, &x->type, batch, input);
    vector_strides(lowering, kernel->b, &dy->type, batch, output);
    cvm_lower_output(lowering, output, node->type.shape.sizes[1], 0);
    cvm_lower_output(lowering, input, 1, 0);
    lowering->side_steps[output] = 1;
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_ACCUMULATOR, NULL, NULL, NULL));
}
