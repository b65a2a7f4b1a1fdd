/* Softmax and its logarithm along the channels of [n, c] or of each pixel of [n, c, h, w], and
 * their gradients:
 *
 *   y = exp(x - m) / s,  log y = x - m - log s,  m = max x, s = sum of exp(x - m)
 *   dx = y (dy - sum of dy y)   and, for the logarithm,   dx = dy - exp(log y) sum of dy */
#include "compiler/ops/common.h"

#include <math.h>

/* Operands and result are all [n, c], or all [n, c, h, w], in one layout. */
bool rows_infer(CvmNode *node, CvmDiag *diag) {
    const CvmType *type = &node->inputs[0]->type;
    for (int i = 0; i < node->input_count; i++) {
        if (!cvm_check_operand(node, i, type->shape.rank == 4 ? 4 : 2, diag) ||
            !cvm_check_layouts(node, 0, i, diag))
            return false;
        if (!cvm_shape_equal(&node->inputs[i]->type.shape, &type->shape))
            return cvm_refuse_operands(node, diag, "has operands of different shapes");
    }
    return (type->shape.rank == 4 || cvm_check_plain(node, 0, diag)) &&
           cvm_set_type(node, type->shape, type, diag);
}

/* An exponential counts as ten operations or so, a sum and a maximum as one each. */
CvmCost rows_cost(const CvmNode *node) {
    return (CvmCost){12.0 * (double)cvm_count(node), cvm_traffic(node)};
}

static void give_rows_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy, CvmOp op) {
    CvmNode *operands[] = {dy, node};
    cvm_autodiff_give(autodiff, node->inputs[0], cvm_autodiff_add(autodiff, op, operands, 2, NULL));
}

void softmax_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    give_rows_gradient(autodiff, node, dy, CVM_OP_SOFTMAX_GRAD);
}

void log_softmax_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    give_rows_gradient(autodiff, node, dy, CVM_OP_LOG_SOFTMAX_GRAD);
}

/* --- references: rows whose channels lie `step` elements apart --- */

/* m + log s of a row. */
static double log_sum_exp(const float *x, const CvmRow *row) {
    double largest = x[row->first], sum = 0;
    for (int64_t i = row->first; i < row->end; i += row->step)
        largest = x[i] > largest ? x[i] : largest;
    for (int64_t i = row->first; i < row->end; i += row->step)
        sum += exp(x[i] - largest);
    return largest + log(sum);
}

static void forward(const CvmNode *node, const float *x, float *y, bool logarithm) {
    for (CvmRow row = cvm_first_row(node); cvm_row_exists(&row); cvm_next_row(&row)) {
        double all = log_sum_exp(x, &row);
        for (int64_t i = row.first; i < row.end; i += row.step)
            y[i] = (float)(logarithm ? x[i] - all : exp(x[i] - all));
    }
}

void softmax_reference(const CvmNode *node, const void *const *operands, void *output) {
    forward(node, operands[0], output, false);
}

void log_softmax_reference(const CvmNode *node, const void *const *operands, void *output) {
    forward(node, operands[0], output, true);
}

static void backward(const CvmNode *node, const float *dy, const float *y, float *dx,
                     bool logarithm) {
    for (CvmRow row = cvm_first_row(node); cvm_row_exists(&row); cvm_next_row(&row)) {
        double sum = 0;
        for (int64_t i = row.first; i < row.end; i += row.step)
            sum += logarithm ? dy[i] : (double)dy[i] * y[i];
        for (int64_t i = row.first; i < row.end; i += row.step)
            dx[i] = (float)(logarithm ? dy[i] - exp(y[i]) * sum : y[i] * (dy[i] - sum));
    }
}

void softmax_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    backward(node, operands[0], operands[1], output, false);
}

void log_softmax_grad_reference(const CvmNode *node, const void *const *operands, void *output) {
    backward(node, operands[0], operands[1], output, true);
}

/* --- kernels: statements over one row --- */

static const CvmExpr *row_scalar(CvmLowering *lowering, CvmStatementKind kind,
                                 const CvmExpr *value) {
    return cvm_expr_row(lowering, CVM_EXPR_ROW_SCALAR, cvm_lower_statement(lowering, kind, value));
}

/* Keeps the result per column, for the group's later nodes. */
static void row_value(CvmLowering *lowering, const CvmNode *node, const CvmExpr *value) {
    int statement = cvm_lower_statement(lowering, CVM_STATEMENT_VALUE, value);
    cvm_lower_value(lowering, node, cvm_expr_row(lowering, CVM_EXPR_ROW_VALUE, statement));
}

/* x - max(x), so that no exponential overflows. */
static const CvmExpr *shifted(CvmLowering *lowering, const CvmExpr *x) {
    const CvmExpr *largest = row_scalar(lowering, CVM_STATEMENT_MAXIMUM, x);
    return cvm_expr(lowering, CVM_EXPR_SUBTRACT, x, largest, NULL);
}

void softmax_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *x = shifted(lowering, cvm_lower_operand(lowering, node, 0));
    int power = cvm_lower_statement(lowering, CVM_STATEMENT_VALUE,
                                    cvm_expr(lowering, CVM_EXPR_EXP, x, NULL, NULL));
    const CvmExpr *powers = cvm_expr_row(lowering, CVM_EXPR_ROW_VALUE, power);
    const CvmExpr *sum = row_scalar(lowering, CVM_STATEMENT_SUM, powers);
    row_value(lowering, node, cvm_expr(lowering, CVM_EXPR_DIVIDE, powers, sum, NULL));
}

void softmax_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *y = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *sum =
        row_scalar(lowering, CVM_STATEMENT_SUM, cvm_expr(lowering, CVM_EXPR_MULTIPLY, dy, y, NULL));
    const CvmExpr *rest = cvm_expr(lowering, CVM_EXPR_SUBTRACT, dy, sum, NULL);
    row_value(lowering, node, cvm_expr(lowering, CVM_EXPR_MULTIPLY, y, rest, NULL));
}

void log_softmax_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *x = shifted(lowering, cvm_lower_operand(lowering, node, 0));
    const CvmExpr *sum =
        row_scalar(lowering, CVM_STATEMENT_SUM, cvm_expr(lowering, CVM_EXPR_EXP, x, NULL, NULL));
    const CvmExpr *log = cvm_expr(lowering, CVM_EXPR_LOG, sum, NULL, NULL);
    row_value(lowering, node, cvm_expr(lowering, CVM_EXPR_SUBTRACT, x, log, NULL));
}

void log_softmax_grad_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_rows(lowering, &node->type);
    const CvmExpr *dy = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *y = cvm_lower_operand(lowering, node, 1);
    const CvmExpr *sum = row_scalar(lowering, CVM_STATEMENT_SUM, dy);
    const CvmExpr *share = cvm_expr(lowering, CVM_EXPR_MULTIPLY,
                                    cvm_expr(lowering, CVM_EXPR_EXP, y, NULL, NULL), sum, NULL);
    row_value(lowering, node, cvm_expr(lowering, CVM_EXPR_SUBTRACT, dy, share, NULL));
}
