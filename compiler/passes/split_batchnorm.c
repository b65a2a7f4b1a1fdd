/* Batch norm in two steps: what it computes once per channel becomes nodes on [c], and each element
 * is left with a multiply-add,
 *
 *   y = x factor + offset
 *   factor = scale / sqrt(variance + epsilon),  offset = shift - mean factor
 *
 * which goes into the epilogue of the convolution before it as any pointwise node does. At
 * inference factor and offset depend on parameters alone. */
#include "compiler/passes/pass.h"

typedef struct Splitting {
    CvmPassContext *context;
    CvmGraph *graph;
    CvmOrigin origin; /* of the node being split */
    bool failed;
} Splitting;

static CvmNode *add(Splitting *splitting, CvmOp op, CvmNode *a, CvmNode *b,
                    const CvmAttribute *attributes) {
    CvmNode *operands[] = {a, b};
    if (splitting->failed)
        return NULL;
    CvmNode *node = cvm_graph_add(splitting->graph, op, operands, b ? 2 : 1, attributes,
                                  splitting->origin, splitting->context->diag);
    splitting->failed |= !node;
    return node;
}

static void split(Splitting *splitting, CvmNode *node) {
    CvmNode *scale = node->inputs[1], *shift = node->inputs[2];
    CvmNode *mean = node->inputs[3], *variance = node->inputs[4];
    CvmAttribute minus = {.real = -1};
    splitting->origin = node->origin;
    CvmNode *r = add(splitting, CVM_OP_INVERSE_DEVIATION, variance, NULL, node->attributes);
    CvmNode *factor = add(splitting, CVM_OP_MUL, scale, r, NULL);
    CvmNode *product = add(splitting, CVM_OP_MUL, factor, mean, NULL);
    CvmNode *offset = add(splitting, CVM_OP_ADD, shift,
                          add(splitting, CVM_OP_SCALE, product, NULL, &minus), NULL);
    CvmNode *scaled = add(splitting, CVM_OP_CHANNEL_SCALE, node->inputs[0], factor, NULL);
    CvmNode *y = add(splitting, CVM_OP_BIAS, scaled, offset, NULL);
    if (splitting->failed)
        return;
    cvm_graph_replace(splitting->graph, node, y);
    cvm_remark(splitting->context, (CvmRemark){.action = "split", .node = node});
}

bool cvm_split_batchnorm(CvmPassContext *context, CvmGraph *graph) {
    Splitting splitting = {.context = context, .graph = graph};
    int count = graph->node_count;
    for (int i = 0; i < count && !splitting.failed; i++) {
        CvmNode *node = graph->nodes[i];
        if (node->op == CVM_OP_BATCHNORM && node->group == CVM_NO_GROUP && cvm_may_apply(context))
            split(&splitting, node);
    }
    return !splitting.failed;
}
