/* Numbers rounded to bfloat16: what linear layers read half the bytes of (passes/precision.c). */
#include "compiler/ops/common.h"

#include "runtime/bfloat16.h"

bool narrow_infer(CvmNode *node, CvmDiag *diag) {
    if (!pointwise_infer(node, diag))
        return false;
    node->type.dtype = CVM_BF16;
    return true;
}

void narrow_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *x = operands[0];
    uint16_t *y = output;
    for (int64_t i = 0; i < cvm_count(node); i++)
        y[i] = cvm_bfloat16_round(x[i]);
}

/* Whatever is stored to a buffer of bf16 is rounded. */
void narrow_lower(CvmLowering *lowering, const CvmNode *node) {
    cvm_lower_value(lowering, node, cvm_lower_operand(lowering, node, 0));
}
