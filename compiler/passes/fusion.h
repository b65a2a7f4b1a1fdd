/* What the fusing passes share: trying a group, and taking it back when it cannot be. A group
 * becomes one kernel, so it may not wait for a value that waits for it, and a kernel has room for
 * so many tensors and for expressions of such a size. */
#ifndef CVM_PASSES_FUSION_H
#define CVM_PASSES_FUSION_H

#include "compiler/passes/pass.h"

enum {
    CVM_FUSION_READS = 11,      /* tensors a group may read (a kernel takes 20 in all) … */
    CVM_FUSION_RESULTS = 6,     /* … and store */
    CVM_FUSION_EXPRESSION = 64, /* nodes of a result's expression tree: operands used several times
                                   count as often, since trees are written out */
};

typedef struct CvmFusion {
    CvmPassContext *context;
    CvmGraph *graph;
    CvmArena *scratch;
    CvmUses uses;
    const CvmNode **overwriters; /* by parameter id: the value that an update stores there */
    int first_group;             /* groups from here on were made by this pass */
} CvmFusion;

/* cvm_fusion_end frees what begin made. */
void cvm_fusion_begin(CvmFusion *fusion, CvmPassContext *context, CvmGraph *graph);
void cvm_fusion_end(CvmFusion *fusion);

/* Puts the nodes into one new group; when that cannot be, leaves them in the groups they were in
 * and returns the reason, a string constant. NULL: done. */
const char *cvm_fusion_try(CvmFusion *fusion, CvmNode *const *nodes, int count);

/* Remarks that `node` was fused with `other`, or, where `why` is not NULL, why not. */
void cvm_fusion_remark(const CvmFusion *fusion, const CvmNode *node, const char *link,
                       const CvmNode *other, const char *why);

/* Why a value between two nodes has to be stored: because of another node that reads it, NULL for
 * the graph itself. */
const char *cvm_fusion_why_kept(const CvmNode *reader);

/* Whether a node outside of the given group reads the value, or the graph itself does. */
bool cvm_fusion_is_stored(const CvmFusion *fusion, const CvmNode *value, int group);

#endif
