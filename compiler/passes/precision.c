/* Precision: in which numbers linear layers compute. Not a choice among passes but what the command
 * line asks for, so it runs before them, whichever they are. The weights of every linear layer are
 * rounded to bfloat16, by a node of its own that is computed once since it depends on parameters
 * alone; with `bf16`, what they meet is rounded too, and pairs of products can be summed by one
 * instruction. Sums, bias and activation are float32 in any case.
 *
 * Convolutions stay float32: their time is arithmetic, and their weights are in a cache. */
#include "compiler/passes/pass.h"

#include <string.h>

static const char *const names[] = {[CVM_PRECISION_F32] = "f32",
                                    [CVM_PRECISION_BF16_WEIGHTS] = "bf16-weights",
                                    [CVM_PRECISION_BF16] = "bf16"};
enum { NAMES = sizeof names / sizeof *names };

const char *cvm_precision_name(CvmPrecision precision) {
    return names[precision];
}

bool cvm_precision_parse(const char *text, CvmPrecision *precision, CvmDiag *diag) {
    *precision = CVM_PRECISION_F32;
    for (int i = 0; text && i < NAMES; i++)
        if (strcmp(names[i], text) == 0) {
            *precision = (CvmPrecision)i;
            return true;
        }
    return !text || cvm_diag_error(diag, 1173, (CvmSpan){0}, NULL, "use f32, bf16-weights or bf16",
                                   "no precision is called '%s'", text);
}

/* The operand rounded; one node serves all that read the value. */
static bool narrow_operand(CvmPassContext *context, CvmGraph *graph, CvmNode *node, int operand) {
    CvmNode *value = node->inputs[operand], *narrow = NULL;
    for (int i = 0; i < graph->node_count && !narrow; i++)
        if (graph->nodes[i]->op == CVM_OP_NARROW && graph->nodes[i]->inputs[0] == value)
            narrow = graph->nodes[i];
    if (!narrow)
        narrow = cvm_graph_add(graph, CVM_OP_NARROW, &value, 1, NULL, node->origin, context->diag);
    if (!narrow)
        return false;
    node->inputs[operand] = narrow;
    return true;
}

bool cvm_apply_precision(CvmPassContext *context, CvmGraph *graph) {
    if (context->precision == CVM_PRECISION_F32)
        return true;
    if (graph->update_count)
        return cvm_diag_error(
            context->diag, 1608, (CvmSpan){0}, NULL,
            "leave --precision out of a training; with --forward, the inference is meant",
            "%s is a training step, and trainings compute in float32, not in %s", graph->name,
            names[context->precision]);
    bool both = context->precision == CVM_PRECISION_BF16;
    int count = graph->node_count;
    for (int i = 0; i < count; i++) {
        CvmNode *node = graph->nodes[i];
        bool linear = node->op == CVM_OP_LINEAR;
        if (linear && (!narrow_operand(context, graph, node, 1) ||
                       (both && !narrow_operand(context, graph, node, 0))))
            return false;
        if (linear || node->op == CVM_OP_CONV)
            cvm_remark(context,
                       (CvmRemark){.refused = !linear,
                                   .action = names[context->precision],
                                   .node = node,
                                   .reason = linear ? "asked for" : "convolutions stay float32"});
    }
    return true;
}
