/* What the files of the passes share: their entry points for the table in passes.c, remarks, and
 * the uses of values. Nothing outside of compiler/passes includes this. */
#ifndef CVM_PASSES_PASS_H
#define CVM_PASSES_PASS_H

#include "compiler/graph/op.h"
#include "compiler/passes/passes.h"

/* The passes; false on error (reported). */
bool cvm_fold_constants(CvmPassContext *context, CvmGraph *graph);
bool cvm_canonicalise(CvmPassContext *context, CvmGraph *graph);
bool cvm_split_batchnorm(CvmPassContext *context, CvmGraph *graph);
bool cvm_common_subexpressions(CvmPassContext *context, CvmGraph *graph);
bool cvm_mask_pooled(CvmPassContext *context, CvmGraph *graph);
bool cvm_dead_code(CvmPassContext *context, CvmGraph *graph);
bool cvm_assign_layouts(CvmPassContext *context, CvmGraph *graph);
bool cvm_turn_gradients(CvmPassContext *context, CvmGraph *graph); /* a part of assign_layouts */
bool cvm_pack_parameters(CvmPassContext *context, CvmGraph *graph);
bool cvm_choose_winograd(CvmPassContext *context, CvmGraph *graph);
/* A part of it, for a convolution of batch-blocked pictures or a gradient of one (winograd_rows.c).
 */
bool cvm_choose_winograd_rows(CvmPassContext *context, CvmGraph *graph, CvmNode *node);
bool cvm_fuse_epilogues(CvmPassContext *context, CvmGraph *graph);
bool cvm_fuse_bias_gradients(CvmPassContext *context, CvmGraph *graph);
bool cvm_fuse_pools(CvmPassContext *context, CvmGraph *graph);
bool cvm_fuse_pointwise(CvmPassContext *context, CvmGraph *graph);
bool cvm_fuse_losses(CvmPassContext *context, CvmGraph *graph);
bool cvm_update_early(CvmPassContext *context, CvmGraph *graph);
bool cvm_recompute(CvmPassContext *context, CvmGraph *graph);

/* Not a choice either: what context->precision asks for, see precision.c. Runs before the passes.
 */
bool cvm_apply_precision(CvmPassContext *context, CvmGraph *graph);

/* Removes nodes, sources excepted, that nothing needs: a kernel has to store something. */
void cvm_drop_unread(CvmPassContext *context, CvmGraph *graph);

/* Not a choice: makes every result of the graph one that a kernel can store where it belongs, see
 * settle.c. Runs after the chosen passes. */
bool cvm_settle_results(CvmPassContext *context, CvmGraph *graph);

/* Whether the pass may apply once more, which is then counted. A pass asks when it has found that
 * it can, right before it changes the graph: so `--pass-limit` cuts any pass off after any
 * application, and `cvmc bisect` finds the one that does harm. */
bool cvm_may_apply(CvmPassContext *context);

/* Adds a remark to the context's log, where there is one; fills in pass and application. */
void cvm_remark(const CvmPassContext *context, CvmRemark remark);

/* Who reads each value, as the graph was when asked. Arrays are indexed by node id. */
typedef struct CvmUses {
    CvmNode ***users; /* nodes that read it; one that reads it twice is there twice */
    int *user_counts;
    int *kept; /* how many outputs and updates of the graph it is */
} CvmUses;

CvmUses cvm_uses_find(const CvmGraph *graph, CvmArena *scratch);

/* Whether two values have one element type, shape and layout. */
bool cvm_type_equal(const CvmType *a, const CvmType *b);

/* Whether the graph stores this value in a parameter at the step's end. */
bool cvm_is_update(const CvmGraph *graph, const CvmNode *value);

/* Whether a parameter changes from step to step: the graph updates it, or sums up its gradients,
 * from which another graph does. */
bool cvm_learns(const CvmGraph *graph, const CvmNode *parameter);

/* The node whose memory a value is seen in: itself, or what its chain of aliases starts from. */
CvmNode *cvm_alias_root(CvmNode *value);

/* The max-pooling of which a maxpool_index says where the largest values are; NULL when the graph
 * has none. */
CvmNode *cvm_find_pooling(const CvmGraph *graph, const CvmNode *index);

bool cvm_is_pointwise(const CvmNode *node);

#endif
