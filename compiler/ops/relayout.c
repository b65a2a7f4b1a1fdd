/* The same values in another memory layout. References know no layouts, so to them it is a copy. */
#include "compiler/ops/common.h"

bool relayout_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, -1, diag))
        return false;
    const CvmShape *shape = &node->inputs[0]->type.shape;
    int64_t lanes = cvm_node_int(node, "lanes");
    if (lanes == 0)
        return cvm_set_type(node, *shape, NULL, diag);
    bool power_of_two = lanes >= 2 && lanes <= 64 && (lanes & (lanes - 1)) == 0;
    if (!power_of_two || shape->rank < 2 || shape->sizes[0] % lanes)
        return cvm_refuse_operands(node, diag,
                                   "needs lanes that are a power of two and divide the batch");
    CvmType blocked = {.layout = CVM_LAYOUT_BATCH, .lanes = (int)lanes};
    return cvm_set_type(node, *shape, &blocked, diag);
}

CvmCost relayout_cost(const CvmNode *node) {
    return (CvmCost){0, cvm_traffic(node)};
}

void relayout_lower(CvmLowering *lowering, const CvmNode *node) {
    CvmKernel *kernel = lowering->kernel;
    const CvmType *from = &node->inputs[0]->type, *to = &node->type;
    if (from->layout == to->layout) {
        cvm_lower_refuse(lowering, node, "the layout is the same already");
        return;
    }
    int64_t count = 1;
    cvm_shape_count(&to->shape, &count);
    kernel->relayout_to_plain = to->layout == CVM_LAYOUT_PLAIN;
    kernel->relayout_lanes = kernel->relayout_to_plain ? from->lanes : to->lanes;
    kernel->relayout_batch = to->shape.sizes[0];
    kernel->relayout_inner = count / to->shape.sizes[0];
    int64_t lanes = kernel->relayout_lanes;
    kernel->extent =
        kernel->relayout_batch / lanes * ((kernel->relayout_inner + lanes - 1) / lanes);
    cvm_lower_buffer(lowering, node->inputs[0], false);
    cvm_lower_buffer(lowering, node, true);
}
