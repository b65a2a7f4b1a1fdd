/* Dropout (Srivastava et al., "Dropout: a simple way to prevent neural networks from overfitting",
 * JMLR 15, 2014), inverted: in training, an element is 0 with probability `rate`, else divided by
 * 1 - rate, so that evaluation has nothing to do.
 *
 * The mask is stored nowhere. Element e of the plain order is dropped when its random number, drawn
 * by Philox from the seed, the step and the layer's `stream`, is below the rate: any layout and any
 * number of threads give the same mask, and the gradient, which is the same op on dy, draws it
 * again. */
#include "compiler/ops/common.h"

#include "runtime/random.h"

static const char input_name[] = "random"; /* i32 [4]: seed and step, low and high halves */

/* The step's random input, which the first dropout adds. */
static CvmNode *find_input(CvmLayer *layer) {
    CvmNode *found = cvm_graph_find_source(layer->graph, input_name);
    CvmOrigin origin = {.name = input_name, .span = layer->origin.span};
    if (!found)
        return cvm_graph_input(layer->graph, input_name, CVM_I32, (CvmShape){1, {4}}, origin);
    if (found->type.dtype == CVM_I32)
        return found;
    return cvm_layer_refuse(layer, 1340, "give the model's input another name",
                            "dropout needs the name '%s' for an input of its own", input_name);
}

/* Where nothing learns, and at rate 0, there is nothing to do. */
CvmNode *dropout_build(CvmLayer *layer) {
    double rate = cvm_layer_argument(layer, "rate")->real;
    if (!cvm_layer_has_input(layer))
        return NULL;
    if (!(rate >= 0 && rate < 1))
        return cvm_layer_refuse(layer, 1228, "0.5 drops every second one",
                                "dropout's rate must be from 0 to below 1");
    if (rate == 0 || !cvm_layer_learns(layer, NULL))
        return layer->input;
    uint64_t stream = cvm_random_stream(layer->origin.name) >> 32;
    CvmAttribute attributes[] = {{.real = rate}, {.integers = {(int64_t)stream}}};
    CvmNode *operands[] = {layer->input, find_input(layer)};
    return operands[1] ? cvm_layer_add(layer, CVM_OP_DROPOUT, operands, 2, attributes) : NULL;
}

bool dropout_infer(CvmNode *node, CvmDiag *diag) {
    const CvmType *x = &node->inputs[0]->type, *random = &node->inputs[1]->type;
    double rate = cvm_node_attribute(node, "rate")->real;
    if (!cvm_check_operand(node, 0, -1, diag) || !cvm_check_plain(node, 1, diag))
        return false;
    if (random->dtype != CVM_I32 || random->shape.rank != 1 || random->shape.sizes[0] != 4)
        return cvm_refuse_operands(node, diag, "needs its seed and step as i32[4]");
    int64_t stream = cvm_node_int(node, "stream");
    if (!(rate >= 0 && rate < 1) || stream < 0 || stream > UINT32_MAX)
        return cvm_refuse_operands(node, diag,
                                   "needs a rate from 0 to below 1, and a stream of 32 bits");
    return cvm_set_type(node, x->shape, x, diag);
}

void dropout_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmNode *operands[] = {dy, node->inputs[1]};
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_DROPOUT, operands, 2, node->attributes));
}

/* Ten rounds of some ten operations. */
CvmCost dropout_cost(const CvmNode *node) {
    return (CvmCost){100.0 * (double)cvm_count(node), cvm_traffic(node)};
}

void dropout_reference(const CvmNode *node, const void *const *operands, void *output) {
    float rate = (float)cvm_node_attribute(node, "rate")->real, *y = output;
    const float *x = operands[0];
    const uint32_t *random = operands[1];
    uint64_t step = random[2] | (uint64_t)random[3] << 32;
    uint64_t key = random[0] | (random[1] ^ (uint64_t)cvm_node_int(node, "stream")) << 32;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = cvm_random_uniform(key, step, (uint64_t)i) < rate ? 0 : x[i] * (1 / (1 - rate));
}

void dropout_lower(CvmLowering *lowering, const CvmNode *node) {
    double rate = (float)cvm_node_attribute(node, "rate")->real;
    const CvmExpr *x = cvm_lower_operand(lowering, node, 0);
    const CvmExpr *uniform = cvm_expr_uniform(lowering, node, 1, cvm_node_int(node, "stream"));
    const CvmExpr *below =
        cvm_expr(lowering, CVM_EXPR_SUBTRACT, cvm_expr_constant(lowering, rate), uniform, NULL);
    const CvmExpr *kept =
        cvm_expr(lowering, CVM_EXPR_MULTIPLY, x, cvm_expr_constant(lowering, 1 / (1 - rate)), NULL);
    cvm_lower_value(
        lowering, node,
        cvm_expr(lowering, CVM_EXPR_WHERE_POSITIVE, below, cvm_expr_constant(lowering, 0), kept));
}
