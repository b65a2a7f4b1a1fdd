/* The same values in another memory layout. References know no layouts, so to them it is a copy. */
#include "compiler/graph/layout.h"
#include "compiler/ops/common.h"

#include <string.h>

bool relayout_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag))
        return false;
    const char *to = cvm_node_attribute(node, "to")->text;
    CvmType type;
    if (!to || !cvm_layout_parse(to, strlen(to), &type))
        return cvm_refuse_operands(node, diag,
                                   "needs a layout of 2 to 64 lanes, a power of two, or plain");
    return cvm_set_type(node, node->inputs[0]->type.shape, &type, diag);
}

CvmCost relayout_cost(const CvmNode *node) {
    return (CvmCost){0, cvm_traffic(node)};
}

/* Every blocked layout is the transpose of rows, each the elements behind one index of the blocked
 * dimension (and of those before it), cut into blocks of rows; filters have their elements in
 * another order as well. */
static CvmRelayout relayout_of(const CvmType *blocked) {
    CvmRelayout relayout = {.rows = 1, .inner = 1, .lanes = blocked->lanes, .taps = 1, .run = 1};
    int dimension = blocked->layout == CVM_LAYOUT_CHANNEL ? 1 : 0;
    const int64_t *sizes = blocked->shape.sizes;
    for (int i = 0; i < blocked->shape.rank; i++)
        *(i <= dimension ? &relayout.rows : &relayout.inner) *= sizes[i];
    if (blocked->layout == CVM_LAYOUT_FILTER) {
        relayout.taps = sizes[2] * sizes[3];
        relayout.run = cvm_layout_block(blocked, 1);
    }
    return relayout;
}

void relayout_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *from = &node->inputs[0]->type, *to = &node->type;
    bool to_plain = to->layout == CVM_LAYOUT_PLAIN;
    if (node != lowering->nodes[0]) { /* the kernel of a filter's gradient unpacks it itself */
        cvm_lower_value(lowering, node, cvm_lower_operand(lowering, node, 0));
        return;
    }
    if (to_plain == (from->layout == CVM_LAYOUT_PLAIN)) {
        cvm_lower_refuse(lowering, node, "one of the layouts must be plain, the other not");
        return;
    }
    kernel->relayout = relayout_of(to_plain ? from : to);
    kernel->relayout.to_plain = to_plain;
    int64_t lanes = kernel->relayout.lanes;
    kernel->extent = kernel->relayout.rows / lanes * ((kernel->relayout.inner + lanes - 1) / lanes);
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node, true);
}
