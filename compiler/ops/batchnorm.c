/* Batch normalisation (Ioffe and Szegedy 2015), for each channel:
 *
 *   y = (x - mean) r scale + shift,  r = 1 / sqrt(variance + epsilon)
 *
 * In training mean and variance are those of the batch, nodes of their own (statistics.c) that the
 * gradient goes on through; else they are the running ones, and the gradient is that of an affine
 * map:
 *
 *   dx = dy scale r,  dshift = sum of dy,  dscale = r s,  s = sum of dy (x - mean),
 *   dmean = -scale r dshift,  dvariance = -scale r^3 s / 2
 *
 * What is computed once per channel is nodes on [c], so that the work per element is a
 * multiply-add. */
#include "compiler/ops/common.h"

#include <math.h>

/* PyTorch's rule (torch.nn.BatchNorm2d): running = (1 - momentum) running + momentum value, and the
 * running variance takes the unbiased one. `factor`: what makes it that. */
static bool add_running(CvmLayer *layer, CvmNode *running, CvmNode *value, double factor) {
    double momentum = cvm_layer_argument(layer, "momentum")->real;
    CvmAttribute kept = {.real = 1 - momentum}, taken = {.real = momentum * factor};
    CvmNode *parts[] = {cvm_layer_add(layer, CVM_OP_SCALE, &running, 1, &kept),
                        cvm_layer_add(layer, CVM_OP_SCALE, &value, 1, &taken)};
    CvmNode *next = parts[0] && parts[1] ? cvm_layer_add(layer, CVM_OP_ADD, parts, 2, NULL) : NULL;
    if (next)
        cvm_graph_update(layer->graph, running->origin.name, next);
    return next != NULL;
}

/* Puts the batch's statistics into the place of the running ones, which follow them. */
static bool use_batch_statistics(CvmLayer *layer, CvmNode **mean, CvmNode **variance) {
    CvmNode *operands[] = {layer->input, NULL};
    CvmNode *running_mean = *mean, *running_variance = *variance;
    double count = (double)cvm_count(layer->input) / (double)layer->input->type.shape.sizes[1];
    *mean = operands[1] = cvm_layer_add(layer, CVM_OP_BATCH_MEAN, operands, 1, NULL);
    *variance = *mean ? cvm_layer_add(layer, CVM_OP_BATCH_VARIANCE, operands, 2, NULL) : NULL;
    double unbiased = count > 1 ? count / (count - 1) : 1;
    return *variance && add_running(layer, running_mean, *mean, 1) &&
           add_running(layer, running_variance, *variance, unbiased);
}

CvmNode *batchnorm_build(CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return NULL;
    double momentum = cvm_layer_argument(layer, "momentum")->real;
    CvmAttribute epsilon = {.real = cvm_layer_argument(layer, "epsilon")->real};
    if (!(momentum >= 0 && momentum <= 1))
        return cvm_layer_refuse(layer, 1228, "give a small number such as 0.1",
                                "batchnorm's momentum is a share from 0 to 1");
    if (!(epsilon.real > 0))
        return cvm_layer_refuse(layer, 1228, "give a small number such as 1e-5",
                                "batchnorm's epsilon must be above 0");
    CvmShape channels = {1, {layer->input->type.shape.sizes[1]}};
    CvmNode *operands[] = {layer->input, cvm_layer_parameter(layer, "scale", channels, 0, 1),
                           cvm_layer_parameter(layer, "shift", channels, 0, 0),
                           cvm_layer_statistic(layer, "running_mean", channels, 0),
                           cvm_layer_statistic(layer, "running_variance", channels, 1)};
    for (int i = 1; i < 5; i++)
        if (!operands[i])
            return NULL;
    bool learns =
        cvm_layer_learns(layer, "running_mean") && cvm_layer_learns(layer, "running_variance");
    if (learns && !use_batch_statistics(layer, &operands[3], &operands[4]))
        return NULL;
    return cvm_layer_add(layer, CVM_OP_BATCHNORM, operands, 5, &epsilon);
}

bool batchnorm_infer(CvmNode *node, CvmDiag *diag) {
    for (int i = 1; i < 5; i++)
        if (!cvm_check_channels(node, 0, i, diag))
            return false;
    return cvm_set_type(node, node->inputs[0]->type.shape, &node->inputs[0]->type, diag);
}

/* --- gradient --- */

static CvmNode *product(CvmAutodiff *autodiff, CvmNode *a, CvmNode *b) {
    CvmNode *both[] = {a, b};
    return cvm_autodiff_add(autodiff, CVM_OP_MUL, both, 2, NULL);
}

static CvmNode *multiple(CvmAutodiff *autodiff, CvmNode *x, double factor) {
    CvmAttribute attribute = {.real = factor};
    return cvm_autodiff_add(autodiff, CVM_OP_SCALE, &x, 1, &attribute);
}

void batchnorm_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *x = node->inputs[0], *scale = node->inputs[1], *shift = node->inputs[2];
    CvmNode *mean = node->inputs[3], *variance = node->inputs[4];
    bool for_mean = cvm_autodiff_wants(autodiff, mean);
    bool for_variance = cvm_autodiff_wants(autodiff, variance);
    CvmNode *r =
        cvm_autodiff_add(autodiff, CVM_OP_INVERSE_DEVIATION, &variance, 1, node->attributes);
    CvmNode *factor = product(autodiff, scale, r);
    if (cvm_autodiff_wants(autodiff, x)) {
        CvmNode *operands[] = {dy, factor};
        cvm_autodiff_give(autodiff, x,
                          cvm_autodiff_add(autodiff, CVM_OP_CHANNEL_SCALE, operands, 2, NULL));
    }
    if (for_mean || cvm_autodiff_wants(autodiff, shift)) {
        CvmNode *sum = cvm_autodiff_add(autodiff, CVM_OP_BIAS_GRAD, &dy, 1, NULL);
        cvm_autodiff_give(autodiff, shift, sum);
        if (for_mean)
            cvm_autodiff_give(autodiff, mean,
                              multiple(autodiff, product(autodiff, factor, sum), -1));
    }
    if (for_variance || cvm_autodiff_wants(autodiff, scale)) {
        CvmNode *operands[] = {dy, x, mean};
        CvmNode *sum = cvm_autodiff_add(autodiff, CVM_OP_CENTERED_PRODUCT, operands, 3, NULL);
        CvmNode *scaled = product(autodiff, r, sum);
        cvm_autodiff_give(autodiff, scale, scaled);
        if (for_variance)
            cvm_autodiff_give(
                autodiff, variance,
                multiple(autodiff, product(autodiff, product(autodiff, factor, r), scaled), -0.5));
    }
}

/* --- references --- */

static float inverse_deviation(const CvmNode *node, float variance) {
    return (float)(1 / sqrt(variance + cvm_node_attribute(node, "epsilon")->real));
}

void batchnorm_reference(const CvmNode *node, const void *const *operands, void *output) {
    int64_t channels = node->type.shape.sizes[1], inner = cvm_pixels(&node->type.shape);
    const float *x = operands[0], *scale = operands[1], *shift = operands[2];
    const float *mean = operands[3], *variance = operands[4];
    float *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++) {
        int64_t c = i / inner % channels;
        y[i] = (x[i] - mean[c]) * inverse_deviation(node, variance[c]) * scale[c] + shift[c];
    }
}

void inverse_deviation_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *variance = operands[0];
    for (int64_t i = 0; i < cvm_count(node); i++)
        ((float *)output)[i] = inverse_deviation(node, variance[i]);
}

/* --- kernels --- */

static const CvmExpr *binary(CvmLowering *lowering, CvmExprKind kind, const CvmExpr *a,
                             const CvmExpr *b) {
    return cvm_expr(lowering, kind, a, b, NULL);
}

static const CvmExpr *inverse_of(CvmLowering *lowering, const CvmNode *node,
                                 const CvmExpr *variance) {
    double epsilon = cvm_node_attribute(node, "epsilon")->real;
    const CvmExpr *sum =
        binary(lowering, CVM_EXPR_ADD, variance, cvm_expr_constant(lowering, epsilon));
    return binary(lowering, CVM_EXPR_DIVIDE, cvm_expr_constant(lowering, 1),
                  cvm_expr(lowering, CVM_EXPR_SQRT, sum, NULL, NULL));
}

void batchnorm_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmExpr *x = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *scale = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *shift = cvm_lower_operand(lowering, node, 2);
    const CvmExpr *mean = cvm_lower_operand(lowering, node, 3);
    const CvmExpr *r = inverse_of(lowering, node, cvm_lower_operand(lowering, node, 4));
    const CvmExpr *centered = binary(lowering, CVM_EXPR_SUBTRACT, x, mean);
    const CvmExpr *factor = binary(lowering, CVM_EXPR_MULTIPLY, scale, r);
    const CvmExpr *scaled = binary(lowering, CVM_EXPR_MULTIPLY, centered, factor);
    cvm_lower_value(lowering, node, binary(lowering, CVM_EXPR_ADD, scaled, shift));
}

void inverse_deviation_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node,
                    inverse_of(lowering, node, cvm_lower_operand(lowering, node, 0)));
}
