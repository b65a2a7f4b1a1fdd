/* The losses that a train block can name: a table of name and how its nodes are built. */
#include "compiler/graph/autodiff.h"

#include <string.h>

typedef struct Loss {
    const char *name;
    CvmNode *(*build)(CvmGraph *graph, const CvmLoss *loss, CvmNode *logits, CvmNode *target,
                      CvmOrigin origin, CvmDiag *diag);
} Loss;

/* The mean over the batch of -log softmax(logits)[target], or of what smoothing makes of it. */
static CvmNode *build_cross_entropy(CvmGraph *graph, const CvmLoss *loss, CvmNode *logits,
                                    CvmNode *target, CvmOrigin origin, CvmDiag *diag) {
    CvmAttribute smoothing = {.real = loss->smoothing};
    CvmNode *log = cvm_graph_add(graph, CVM_OP_LOG_SOFTMAX, &logits, 1, NULL, origin, diag);
    CvmNode *operands[] = {log, target};
    CvmNode *rows =
        log ? cvm_graph_add(graph, CVM_OP_NLL, operands, 2, &smoothing, origin, diag) : NULL;
    return rows ? cvm_graph_add(graph, CVM_OP_MEAN, &rows, 1, NULL, origin, diag) : NULL;
}

static const Loss losses[] = {{"cross_entropy", build_cross_entropy}};
static const char *const names[] = {"cross_entropy"};
enum { LOSS_COUNT = sizeof losses / sizeof losses[0] };
_Static_assert(sizeof names / sizeof names[0] == LOSS_COUNT, "a name for every loss");

CvmNode *cvm_loss_build(CvmGraph *graph, const CvmLoss *loss, CvmNode *logits, CvmNode *target,
                        CvmOrigin origin, CvmDiag *diag) {
    for (int i = 0; i < LOSS_COUNT; i++)
        if (!strcmp(losses[i].name, loss->name))
            return losses[i].build(graph, loss, logits, target, origin, diag);
    cvm_diag_error(diag, 1502, origin.span, origin.uses, NULL, "unknown loss '%s'", loss->name);
    return NULL;
}

const char *const *cvm_loss_names(int *count) {
    *count = LOSS_COUNT;
    return names;
}
