/* Local response normalization across channels (Krizhevsky, Sutskever and Hinton, "ImageNet
 * classification with deep convolutional neural networks", 2012, section 3.3), at every pixel:
 *
 *   s[c] = k + alpha / size * sum of x[j]^2,    |j - c| <= (size - 1) / 2,    y[c] = x[c]
 * s[c]^-beta dx[c] = dy[c] s[c]^-beta - 2 alpha beta / size * x[c] * sum of dy[j] x[j] s[j]^(-beta
 * - 1)
 *
 * The sum is divided by `size`, as PyTorch, ONNX and Caffe do and the paper does not: its alpha of
 * 1e-4 over 5 channels is 5e-4 here. */
#include "compiler/ops/common.h"

#include <math.h>

enum { MAX_SIZE = 255 };

typedef struct Lrn {
    int64_t reach; /* channels on each side */
    double share;  /* alpha / size */
    double beta, k;
} Lrn;

static Lrn lrn_of(const CvmNode *node) {
    int64_t size = cvm_node_int(node, "size");
    return (Lrn){.reach = size / 2,
                 .share = cvm_node_attribute(node, "alpha")->real / (double)size,
                 .beta = cvm_node_attribute(node, "beta")->real,
                 .k = cvm_node_attribute(node, "k")->real};
}

/* Why these numbers cannot be; NULL when they can. s must be a positive number. */
static const char *refusal(int64_t size, double alpha, double beta, double k) {
    if (size < 1 || size > MAX_SIZE || size % 2 == 0)
        return "size must be an odd number of channels, at most 255";
    if (!(alpha >= 0 && alpha <= 1e6))
        return "alpha must be from 0 to 1e6";
    if (!(beta >= 0 && beta <= 100))
        return "beta must be from 0 to 100";
    return k >= 1e-6 && k <= 1e6 ? NULL : "k must be from 1e-6 to 1e6";
}

CvmNode *lrn_build(CvmLayer *layer) {
    if (!cvm_layer_needs_picture(layer))
        return NULL;
    const CvmAttribute attributes[] = {
        {.integers = {cvm_layer_argument(layer, "size")->integers[0]}},
        {.real = cvm_layer_argument(layer, "alpha")->real},
        {.real = cvm_layer_argument(layer, "beta")->real},
        {.real = cvm_layer_argument(layer, "k")->real},
    };
    const char *why = refusal(attributes[0].integers[0], attributes[1].real, attributes[2].real,
                              attributes[3].real);
    if (why)
        return cvm_layer_refuse(
            layer, 1228, "the usual ones are size=5, alpha=1e-4, beta=0.75, k=2", "lrn's %s", why);
    return cvm_layer_add(layer, CVM_OP_LRN, &layer->input, 1, attributes);
}

bool lrn_infer(CvmNode *node, CvmDiag *diag) {
    const char *why =
        refusal(cvm_node_int(node, "size"), cvm_node_attribute(node, "alpha")->real,
                cvm_node_attribute(node, "beta")->real, cvm_node_attribute(node, "k")->real);
    return why ? cvm_refuse_operands(node, diag,
                                     "has numbers that do not fit: its size, alpha, beta "
                                     "or k")
               : rows_infer(node, diag);
}

void lrn_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *operands[] = {dy, node->inputs[0]};
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_LRN_GRAD, operands, 2, node->attributes));
}

/* Per element a sum over the window, and a power that counts as ten operations or so; the gradient
 * has two of each. */
CvmCost lrn_cost(const CvmNode *node) {
    double passes = node->op == CVM_OP_LRN_GRAD ? 2 : 1;
    double each = passes * ((double)cvm_node_int(node, "size") + 12);
    return (CvmCost){each * (double)cvm_count(node), cvm_traffic(node)};
}

/* --- references --- */

/* s at element i of the row. */
static double scale_at(const Lrn *lrn, const CvmRow *row, const float *x, int64_t i) {
    double sum = 0;
    for (int64_t j = i - lrn->reach * row->step; j <= i + lrn->reach * row->step; j += row->step)
        if (j >= row->first && j < row->end)
            sum += (double)x[j] * x[j];
    return lrn->k + lrn->share * sum;
}

void lrn_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *x = operands[0];
    float *y = output;
    Lrn lrn = lrn_of(node);
    for (CvmRow row = cvm_first_row(node); cvm_row_exists(&row); cvm_next_row(&row))
        for (int64_t i = row.first; i < row.end; i += row.step)
            y[i] = (float)(x[i] * pow(scale_at(&lrn, &row, x, i), -lrn.beta));
}

void lrn_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *dy = operands[0], *x = operands[1];
    float *dx = output;
    Lrn lrn = lrn_of(node);
    for (CvmRow row = cvm_first_row(node); cvm_row_exists(&row); cvm_next_row(&row))
        for (int64_t i = row.first; i < row.end; i += row.step) {
            double sum = 0;
            int64_t reach = lrn.reach * row.step;
            for (int64_t j = i - reach; j <= i + reach; j += row.step)
                if (j >= row.first && j < row.end)
                    sum += (double)dy[j] * x[j] * pow(scale_at(&lrn, &row, x, j), -lrn.beta - 1);
            dx[i] = (float)(dy[i] * pow(scale_at(&lrn, &row, x, i), -lrn.beta) -
                            2 * lrn.share * lrn.beta * x[i] * sum);
        }
}

/* --- kernels: statements over the channels of a pixel --- */

static const CvmExpr *times(CvmLowering *lowering, const CvmExpr *a, const CvmExpr *b) {
    return cvm_expr(lowering, CVM_EXPR_MULTIPLY, a, b, NULL);
}

/* Keeps an expression for later statements to read. */
static const CvmExpr *kept(CvmLowering *lowering, const CvmExpr *value) {
    return cvm_expr_row(lowering, CVM_EXPR_ROW_VALUE,
                        cvm_lower_statement(lowering, CVM_STATEMENT_VALUE, value));
}

static const CvmExpr *window_sum(CvmLowering *lowering, const Lrn *lrn, const CvmExpr *value) {
    return cvm_expr_window_sum(lowering, kept(lowering, value), lrn->reach);
}

static const CvmExpr *scale(CvmLowering *lowering, const Lrn *lrn, const CvmExpr *x) {
    const CvmExpr *sum = window_sum(lowering, lrn, times(lowering, x, x));
    return cvm_expr(lowering, CVM_EXPR_ADD, cvm_expr_constant(lowering, lrn->k),
                    times(lowering, cvm_expr_constant(lowering, lrn->share), sum), NULL);
}

/* Powers of s with exponents -beta and -1. Where beta is a small number of quarters, as the usual
 * 3/4 is, both are products of s^(-1/4), and no logarithm is needed. */
typedef struct Powers {
    const CvmExpr *beta, *one;
} Powers;

static Powers powers_of(CvmLowering *lowering, double beta, const CvmExpr *s) {
    enum { MOST_QUARTERS = 8 };
    const CvmExpr *one = cvm_expr_constant(lowering, 1);
    double quarters = 4 * beta;
    if (quarters > MOST_QUARTERS || quarters != floor(quarters)) {
        const CvmExpr *log = cvm_expr(lowering, CVM_EXPR_LOG, s, NULL, NULL);
        const CvmExpr *exponent = times(lowering, cvm_expr_constant(lowering, -beta), log);
        return (Powers){cvm_expr(lowering, CVM_EXPR_EXP, exponent, NULL, NULL),
                        cvm_expr(lowering, CVM_EXPR_DIVIDE, one, s, NULL)};
    }
    const CvmExpr *root = cvm_expr(lowering, CVM_EXPR_INVERSE_FOURTH_ROOT, s, NULL, NULL);
    const CvmExpr *square = times(lowering, root, root), *fourth = times(lowering, square, square);
    const CvmExpr *power = one;
    int count = (int)quarters;
    if (count & 1)
        power = root;
    if (count & 2)
        power = count & 1 ? times(lowering, power, square) : square;
    for (int i = 4; i <= count; i += 4)
        power = times(lowering, power, fourth);
    return (Powers){power, fourth};
}

void lrn_lower(CvmLowering *lowering, const CvmNode *node) {
    Lrn lrn = lrn_of(node);
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *x = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *s = scale(lowering, &lrn, x);
    cvm_lower_value(lowering, node, times(lowering, x, powers_of(lowering, lrn.beta, s).beta));
}

void lrn_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    Lrn lrn = lrn_of(node);
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *x = cvm_lower_operand(lowering, node, 1);
    Powers powers = powers_of(lowering, lrn.beta, scale(lowering, &lrn, x));
    const CvmExpr *direct = kept(lowering, times(lowering, dy, powers.beta));
    const CvmExpr *share = times(lowering, times(lowering, direct, x), powers.one);
    const CvmExpr *sum = window_sum(lowering, &lrn, share);
    const CvmExpr *factor = cvm_expr_constant(lowering, 2 * lrn.share * lrn.beta);
    const CvmExpr *through = times(lowering, times(lowering, factor, x), sum);
    cvm_lower_value(lowering, node, cvm_expr(lowering, CVM_EXPR_SUBTRACT, direct, through, NULL));
}
