/* Other shapes over the same memory: a picture as one vector, and back. */
#include "compiler/ops/common.h"

#include <string.h>

/* A vector is flat already, so that a block may end with flatten whatever stands before it. */
CvmNode *flatten_build(CvmLayer *layer) {
    if (!cvm_layer_has_input(layer))
        return NULL;
    if (layer->input->type.shape.rank == 2)
        return layer->input;
    return cvm_layer_add(layer, CVM_OP_FLATTEN, &layer->input, 1, NULL);
}

bool flatten_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 4, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    CvmShape picture = {3, {x[1], x[2], x[3]}};
    int64_t features;
    if (!cvm_shape_count(&picture, &features))
        return cvm_refuse_operands(node, diag, "has too large an operand");
    return cvm_set_type(node, (CvmShape){2, {x[0], features}}, &node->inputs[0]->type, diag);
}

bool unflatten_infer(CvmNode *node, CvmDiag *diag) {
    if (!cvm_check_operand(node, 0, 2, diag))
        return false;
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    const int64_t *size = cvm_node_attribute(node, "size")->integers;
    CvmShape picture = {4, {x[0], cvm_node_int(node, "channels"), size[0], size[1]}};
    int64_t count;
    if (!cvm_shape_count(&picture, &count) || count != cvm_count(node->inputs[0]))
        return cvm_refuse_operands(node, diag, "does not give as many elements as it takes");
    return cvm_set_type(node, picture, &node->inputs[0]->type, diag);
}

void flatten_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    const int64_t *x = node->inputs[0]->type.shape.sizes;
    CvmAttribute attributes[] = {{.integers = {x[1]}}, {.integers = {x[2], x[3]}}};
    cvm_autodiff_give(autodiff, node->inputs[0],
                      cvm_autodiff_add(autodiff, CVM_OP_UNFLATTEN, &dy, 1, attributes));
}

void flatten_reference(const CvmNode *node, const void *const *operands, void *output) {
    memcpy(output, operands[0], (size_t)cvm_count(node) * cvm_dtype_bytes(node->type.dtype));
}
