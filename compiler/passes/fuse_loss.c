/* The loss works on short rows: log_softmax, the negative log likelihood and the gradients of both
 * read and write the same few numbers, so one kernel does them row by row, and stores the loss of
 * each row and the gradient of the logits. */
#include "compiler/passes/fusion.h"

enum { MAX_MEMBERS = 6 };

typedef struct Loss {
    CvmFusion *fusion;
    CvmNode *members[MAX_MEMBERS]; /* members[0] is the log_softmax */
    int count;
} Loss;

static bool is_free(const CvmNode *node, CvmOp op) {
    return node->op == op && node->group == CVM_NO_GROUP;
}

/* The nll_grad that alone feeds a log_softmax_grad. */
static bool is_own_gradient(const CvmFusion *fusion, const CvmNode *gradient) {
    return is_free(gradient, CVM_OP_NLL_GRAD) && fusion->uses.user_counts[gradient->id] == 1 &&
           !fusion->uses.kept[gradient->id];
}

static void add(Loss *loss, CvmNode *node) {
    for (int i = 0; i < loss->count; i++)
        if (loss->members[i] == node)
            return;
    if (loss->count < MAX_MEMBERS)
        loss->members[loss->count++] = node;
}

/* What belongs to the log_softmax's rows: forward only, or with the way back. */
static void collect(Loss *loss, CvmNode *log_softmax, bool with_gradients) {
    const CvmUses *uses = &loss->fusion->uses;
    loss->count = 0;
    add(loss, log_softmax);
    for (int i = 0; i < uses->user_counts[log_softmax->id]; i++) {
        CvmNode *user = uses->users[log_softmax->id][i];
        if (is_free(user, CVM_OP_NLL) && user->inputs[0] == log_softmax)
            add(loss, user);
        if (!with_gradients || !is_free(user, CVM_OP_LOG_SOFTMAX_GRAD) ||
            user->inputs[1] != log_softmax || user->inputs[0] == log_softmax)
            continue;
        if (is_own_gradient(loss->fusion, user->inputs[0]))
            add(loss, user->inputs[0]);
        add(loss, user);
    }
}

static bool fuse(Loss *loss, CvmNode *log_softmax, bool with_gradients) {
    CvmFusion *fusion = loss->fusion;
    collect(loss, log_softmax, with_gradients);
    if (loss->count < 2)
        return false;
    const char *why = cvm_fusion_try(fusion, loss->members, loss->count);
    for (int i = 1; i < loss->count; i++)
        cvm_fusion_remark(fusion, loss->members[i], "with", log_softmax, why);
    return !why;
}

bool cvm_fuse_losses(CvmPassContext *context, CvmGraph *graph) {
    CvmFusion fusion;
    cvm_fusion_begin(&fusion, context, graph);
    Loss loss = {.fusion = &fusion};
    for (int i = 0; i < graph->node_count; i++) {
        CvmNode *node = graph->nodes[i];
        if (!is_free(node, CVM_OP_LOG_SOFTMAX) || fuse(&loss, node, true))
            continue;
        fuse(&loss, node, false);
    }
    cvm_fusion_end(&fusion);
    return true;
}
