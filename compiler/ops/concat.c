/* Several tensors behind one another along the channels, and a run of channels out of one, which is
 * the gradient of each part. Both copy whole runs of memory: the channels of a picture (of `lanes`
 * pictures, batch-blocked) lie in one piece. */
#include "compiler/ops/common.h"

#include <string.h>

enum { MAX_PARTS = CVM_MAX_BUFFERS - 1 }; /* of one node; more are joined step by step */

static bool fits(const CvmNode *part, const CvmNode *first) {
    const CvmShape *a = &part->type.shape, *b = &first->type.shape;
    bool alike = a->rank == b->rank && a->sizes[0] == b->sizes[0];
    return alike && (a->rank != 4 || (a->sizes[2] == b->sizes[2] && a->sizes[3] == b->sizes[3]));
}

CvmNode *concat_build(CvmLayer *layer) {
    const CvmArgument *parts = cvm_layer_argument(layer, "tensors");
    char a[96], b[96];
    if (parts->tensor_count == 0)
        return cvm_layer_refuse(layer, 1220, "declare one first: input image: [1, 28, 28]",
                                "concat has nothing to work on: no tensor flows yet");
    for (int i = 1; i < parts->tensor_count; i++)
        if (!fits(parts->tensors[i], parts->tensors[0]))
            return cvm_layer_refuse(layer, 1227, "give all the same height and width",
                                    "concat joins channels, and these are %s and %s",
                                    cvm_picture_text(parts->tensors[0], a, sizeof a),
                                    cvm_picture_text(parts->tensors[i], b, sizeof b));
    CvmNode *joined[MAX_PARTS] = {NULL};
    int count = 0;
    for (int i = 0; i < parts->tensor_count; i++) {
        if (count == MAX_PARTS) {
            joined[0] = cvm_layer_add(layer, CVM_OP_CONCAT, joined, count, NULL);
            count = 1;
            if (!joined[0])
                return NULL;
        }
        joined[count++] = parts->tensors[i];
    }
    return cvm_layer_add(layer, CVM_OP_CONCAT, joined, count, NULL);
}

bool concat_infer(CvmNode *node, CvmDiag *diag) {
    if (node->input_count < 1 || node->input_count > MAX_PARTS)
        return cvm_refuse_operands(node, diag, "takes from 1 to 15 operands");
    const CvmNode *first = node->inputs[0];
    CvmShape shape = first->type.shape;
    for (int i = 0; i < node->input_count; i++) {
        if (!cvm_check_operand(node, i, shape.rank == 4 ? 4 : 2, diag) ||
            !cvm_check_layouts(node, 0, i, diag))
            return false;
        if (!fits(node->inputs[i], first))
            return cvm_refuse_operands(node, diag, "has operands that differ beside the channels");
        if (i > 0 && __builtin_add_overflow(shape.sizes[1], node->inputs[i]->type.shape.sizes[1],
                                            &shape.sizes[1]))
            return cvm_refuse_operands(node, diag, "has too many channels");
    }
    return cvm_set_type(node, shape, &first->type, diag);
}

bool slice_infer(CvmNode *node, CvmDiag *diag) {
    CvmShape shape = node->inputs[0]->type.shape;
    int64_t first = cvm_node_int(node, "first"), channels = cvm_node_int(node, "channels");
    if (!cvm_check_operand(node, 0, shape.rank == 4 ? 4 : 2, diag))
        return false;
    if (first < 0 || channels < 1 || first >= shape.sizes[1] || channels > shape.sizes[1] - first)
        return cvm_refuse_operands(node, diag, "takes channels that its operand has not");
    const CvmType *x = &node->inputs[0]->type;
    if (x->layout == CVM_LAYOUT_CHANNEL && first % x->lanes)
        return cvm_refuse_operands(node, diag, "cuts through a block of channels");
    shape.sizes[1] = channels;
    return cvm_set_type(node, shape, &node->inputs[0]->type, diag);
}

void concat_gradient(CvmAutodiff *autodiff, CvmNode *node, CvmNode *dy) {
    CvmAttribute run[] = {{.integers = {0}}, {.integers = {0}}};
    for (int i = 0; i < node->input_count; i++) {
        CvmNode *part = node->inputs[i];
        run[1].integers[0] = part->type.shape.sizes[1];
        if (cvm_autodiff_wants(autodiff, part))
            cvm_autodiff_give(autodiff, part,
                              cvm_autodiff_add(autodiff, CVM_OP_SLICE, &dy, 1, run));
        run[0].integers[0] += run[1].integers[0];
    }
}

/* --- references --- */

static int64_t picture_size(const CvmNode *node) {
    return cvm_count(node) / node->type.shape.sizes[0];
}

void concat_reference(const CvmNode *node, const void *const *operands, void *output) {
    float *y = output;
    for (int64_t n = 0; n < node->type.shape.sizes[0]; n++)
        for (int i = 0; i < node->input_count; i++) {
            int64_t size = picture_size(node->inputs[i]);
            memcpy(y, (const float *)operands[i] + n * size, (size_t)size * sizeof *y);
            y += size;
        }
}

void slice_reference(const CvmNode *node, const void *const *operands, void *output) {
    const float *x = operands[0];
    int64_t size = picture_size(node), from = picture_size(node->inputs[0]);
    int64_t first = cvm_node_int(node, "first") * cvm_pixels(&node->type.shape);
    for (int64_t n = 0; n < node->type.shape.sizes[0]; n++)
        memcpy((float *)output + n * size, x + n * from + first, (size_t)size * sizeof *x);
}

/* --- kernels --- */

/* Blocks of pictures, and how many elements each has. */
static int64_t block_count(const CvmNode *node) {
    int64_t batch = node->type.shape.sizes[0];
    return node->type.layout == CVM_LAYOUT_BATCH ? batch / node->type.lanes : batch;
}

static int64_t block_size(const CvmNode *node) {
    return cvm_count(node) / block_count(node);
}

void concat_lower(CvmLowering *lowering, const CvmNode *node) {
    int to = cvm_lower_buffer(lowering, node, true);
    int64_t offset = 0;
    for (int i = 0; i < node->input_count; i++) {
        const CvmNode *part = node->inputs[i];
        CvmCopy copy = {.from = cvm_lower_buffer(lowering, part, false),
                        .to = to,
                        .rows = block_count(node),
                        .length = block_size(part),
                        .from_step = block_size(part),
                        .to_step = block_size(node),
                        .to_offset = offset};
        offset += copy.length;
        cvm_lower_copy(lowering, copy);
    }
}

void slice_lower(CvmLowering *lowering, const CvmNode *node) {
    const CvmNode *x = node->inputs[0];
    int64_t channel = block_size(node) / node->type.shape.sizes[1];
    CvmCopy copy = {.from = cvm_lower_buffer(lowering, x, false),
                    .to = cvm_lower_buffer(lowering, node, true),
                    .rows = block_count(node),
                    .length = block_size(node),
                    .from_step = block_size(x),
                    .from_offset = cvm_node_int(node, "first") * channel,
                    .to_step = block_size(node)};
    cvm_lower_copy(lowering, copy);
}
