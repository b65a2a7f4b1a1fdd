/* See pool_window.h. */
#include "compiler/ops/pool_window.h"

#include "compiler/ops/common.h"

static int64_t least(int64_t a, int64_t b) {
    return a < b ? a : b;
}

/* Bounds of PyTorch's AdaptiveAvgPool2d: floor(i h / n) to ceil((i+1) h / n). */
static CvmPoolSpan adaptive_span(const CvmPoolAxis *axis, int64_t window) {
    CvmPoolSpan span = {.first = window * axis->input / axis->outputs,
                        .last = ((window + 1) * axis->input + axis->outputs - 1) / axis->outputs};
    span.count = span.last - span.first;
    return span;
}

CvmPoolSpan cvm_pool_span(const CvmPoolAxis *axis, int64_t window) {
    if (axis->adaptive)
        return adaptive_span(axis, window);
    int64_t first = window * axis->stride - axis->before;
    int64_t last = least(first + axis->kernel, axis->input + axis->after);
    CvmPoolSpan span = {.first = first < 0 ? 0 : first, .last = least(last, axis->input)};
    span.count = axis->count_pad ? last - first : span.last - span.first;
    return span;
}

static int64_t greatest_common_divisor(int64_t a, int64_t b) {
    while (b) {
        int64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

/* The largest span: with input = q outputs + r, window i has q + ceil((m + r) / outputs) pixels, m
 * the rest of i r / outputs, which is at most outputs minus their common divisor. */
static CvmPoolAxis adaptive_axis(int64_t input, int64_t outputs) {
    int64_t rest = input % outputs;
    int64_t more = rest == 0 ? 0 : rest > greatest_common_divisor(outputs, rest) ? 2 : 1;
    return (CvmPoolAxis){
        .kernel = input / outputs + more, .input = input, .outputs = outputs, .adaptive = true};
}

CvmPoolAxis cvm_pool_axis(const CvmNode *node, int axis, const CvmShape *x, const CvmShape *y) {
    int64_t input = x->sizes[2 + axis], outputs = y->sizes[2 + axis];
    if (node->op == CVM_OP_GLOBAL_AVGPOOL)
        return (CvmPoolAxis){.kernel = input, .stride = input, .input = input, .outputs = 1};
    if (node->op == CVM_OP_ADAPTIVE_AVGPOOL || node->op == CVM_OP_ADAPTIVE_AVGPOOL_GRAD)
        return adaptive_axis(input, outputs);
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    bool mean = node->op == CVM_OP_AVGPOOL || node->op == CVM_OP_AVGPOOL_GRAD;
    return (CvmPoolAxis){.kernel = cvm_node_attribute(node, "kernel")->integers[axis],
                         .stride = cvm_node_attribute(node, "stride")->integers[axis],
                         .before = pad[axis],
                         .after = pad[2 + axis],
                         .input = input,
                         .outputs = outputs,
                         .count_pad = mean && cvm_node_int(node, "count_pad")};
}

int64_t cvm_pool_count(int64_t input, int64_t kernel, int64_t stride, int64_t before, int64_t after,
                       bool ceil) {
    int64_t count = cvm_window_count(input, kernel, stride, before, after, 1);
    if (!ceil || count < 1)
        return count;
    int64_t padded = input + before + after;
    bool rest = (count - 1) * stride + kernel < padded;
    return rest && count * stride < input + before ? count + 1 : count;
}

bool cvm_pool_is_separate(const CvmNode *node) {
    if (node->op != CVM_OP_MAXPOOL && node->op != CVM_OP_MAXPOOL_INDEX &&
        node->op != CVM_OP_AVGPOOL)
        return false;
    const int64_t *kernel = cvm_node_attribute(node, "kernel")->integers;
    const int64_t *stride = cvm_node_attribute(node, "stride")->integers;
    const int64_t *pad = cvm_node_attribute(node, "pad")->integers;
    return !cvm_node_int(node, "ceil") && stride[0] == kernel[0] && stride[1] == kernel[1] &&
           !pad[0] && !pad[1] && !pad[2] && !pad[3];
}

const CvmWindowTable *cvm_pool_table(const CvmPoolAxis *axis, bool maximum, CvmArena *arena) {
    bool uniform = true;
    for (int64_t i = 0; i < axis->outputs; i++)
        uniform &= cvm_pool_span(axis, i).count == axis->kernel;
    if (!axis->adaptive && (uniform || maximum))
        return NULL;
    size_t count = (size_t)axis->outputs;
    CvmWindowTable *table = CVM_NEW(arena, CvmWindowTable);
    float *shares = cvm_arena_array(arena, count, sizeof *shares);
    int64_t *first = cvm_arena_array(arena, count, sizeof *first);
    int64_t *last = cvm_arena_array(arena, count, sizeof *last);
    for (int64_t i = 0; i < axis->outputs; i++) {
        CvmPoolSpan span = cvm_pool_span(axis, i);
        shares[i] = (float)(1.0 / (double)span.count);
        first[i] = span.first;
        last[i] = span.last;
    }
    *table = (CvmWindowTable){.count = axis->outputs, .shares = shares};
    if (axis->adaptive) {
        table->first = first;
        table->last = last;
    }
    return table;
}
