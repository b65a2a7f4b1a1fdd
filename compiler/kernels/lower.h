/* From fused groups to kernels. Each op's `lower` function describes its part through the calls
 * below: an anchor (contraction, window, reduction, rows statement, relayout) gives the loops, and
 * every pointwise op adds its expression on top. */
#ifndef CVM_KERNELS_LOWER_H
#define CVM_KERNELS_LOWER_H

#include "compiler/graph/op.h"
#include "compiler/kernels/kernel.h"
#include "compiler/tuning.h"

/* The loops over the results that lie in a picture: over blocks of pictures and of channels (where
 * `group_channels` of them lie in a group, over groups too), rows, columns and the lanes of a
 * block; -1 for loops that do not exist. */
typedef struct CvmPictureAxes {
    int n, group, c, y, x, lane;
    int64_t group_channels;
} CvmPictureAxes;

struct CvmLowering {
    CvmArena *arena;
    CvmGraph *graph;
    CvmDiag *diag;
    CvmKernel *kernel;
    CvmNode *const *nodes; /* of the group, in order */
    int node_count;
    const CvmExpr **values;                /* by position in the group: what each node computes */
    const CvmType *type;                   /* of what the loops over results lead to */
    int64_t output_strides[CVM_MAX_AXES];  /* of the group's result, along the axes */
    int64_t channel_strides[CVM_MAX_AXES]; /* what a step along an axis adds to the channel index */
    CvmPictureAxes picture;                /* where the results are pictures */
    bool blas;                             /* OpenBLAS may be called */
    CvmTuning *tuning;                     /* of the target */
    int64_t side_steps[CVM_MAX_AXES];      /* what a step along an axis adds to the channel of the
                                              gradient that weights' gradients are made of */
    bool beside;                           /* the node at hand follows from the side sum */
    bool failed;
};

/* Where the elements of a value lie: along each logical dimension, how many neighbours form a block
 * (1 where the layout does not block it), and the memory distances, in elements, of neighbouring
 * blocks and of neighbours inside a block. */
typedef struct CvmStrides {
    int64_t block[CVM_MAX_RANK];
    int64_t dims[CVM_MAX_RANK];
    int64_t inside[CVM_MAX_RANK];
} CvmStrides;
CvmStrides cvm_value_strides(const CvmType *type);

/* --- expressions --- */
const CvmExpr *cvm_expr_constant(CvmLowering *lowering, double value);
const CvmExpr *cvm_expr(CvmLowering *lowering, CvmExprKind kind, const CvmExpr *a, const CvmExpr *b,
                        const CvmExpr *c);
/* The expression of a node's operand: computed in the group, a constant, or a load. */
const CvmExpr *cvm_lower_operand(CvmLowering *lowering, const CvmNode *node, int operand);
/* A random number in [0, 1) for every element of a pointwise group: `operand` of node is i32 [4],
 * the halves of the seed and of the step, low first. */
const CvmExpr *cvm_expr_uniform(CvmLowering *lowering, const CvmNode *node, int operand,
                                int64_t stream);
/* Says what `node` computes. */
void cvm_lower_value(CvmLowering *lowering, const CvmNode *node, const CvmExpr *value);

/* --- loops of a REDUCE kernel --- */
/* Adds an axis and returns its index. Axes of extent 1 are added too: the schedule ignores them. */
int cvm_lower_axis(CvmLowering *lowering, const char *name, int64_t extent, bool reduce);
/* What a step along an output axis adds to the result's memory position (in elements) and to its
 * channel index; results, same-shaped operands and per-channel operands follow from it. Axis -1
 * does nothing. */
void cvm_lower_output(CvmLowering *lowering, int axis, int64_t stride, int64_t channel_stride);
/* How ops on pictures follow both blocked layouts with one set of loops: axes count the blocks of a
 * dimension, and one more axis counts the lanes, of pictures or of channels; cvm_lower_lane adds it
 * and returns -1 when the type is plain. cvm_lower_picture says that the loops lead over a result
 * of this type. */
int cvm_lower_lane(CvmLowering *lowering, const CvmType *type, bool reduce);
void cvm_lower_picture(CvmLowering *lowering, const CvmType *type, CvmPictureAxes axes);
/* The same for a buffer of this type; rows and columns are left to windows where they are -1. */
void cvm_lower_picture_strides(CvmLowering *lowering, int buffer, const CvmType *type,
                               CvmPictureAxes axes);
/* Says that `node` combines its operand, computed by the same kernel, over separate windows of
 * `sizes` rows and columns; what follows is read and stored where it lies. */
void cvm_lower_pooling(CvmLowering *lowering, const CvmNode *node, CvmCombine combine,
                       const int64_t sizes[2]);
/* Says that `node` sums up its operand, which the kernel's contraction reads, over everything but
 * the channels. */
void cvm_lower_side_sum(CvmLowering *lowering, const CvmNode *node);
/* Whether the node's operand is computed by the same kernel. */
bool cvm_lower_has_operand(const CvmLowering *lowering, const CvmNode *node, int operand);
/* Adds a buffer for a node's value, with no strides yet; returns its index. */
int cvm_lower_buffer(CvmLowering *lowering, const CvmNode *value, bool written);
/* Adds the buffer of scratch memory; the schedule says how many bytes it has. */
int cvm_lower_scratch(CvmLowering *lowering);
/* Sets a buffer's stride along an axis; -1 for no such buffer or axis does nothing. */
void cvm_lower_stride(CvmLowering *lowering, int buffer, int axis, int64_t stride);

/* --- statements of a ROWS kernel; each returns its index --- */
/* Every op of the group says the type of what it runs along: [n, c], or pictures [n, c, h, w] in
 * any layout; they agree. */
void cvm_lower_rows(CvmLowering *lowering, const CvmType *type);
int cvm_lower_statement(CvmLowering *lowering, CvmStatementKind kind, const CvmExpr *value);
/* The sum of a row value (what cvm_expr_row gave) over the channels at most `reach` away. */
const CvmExpr *cvm_expr_window_sum(CvmLowering *lowering, const CvmExpr *row_value, int64_t reach);
const CvmExpr *cvm_expr_row(CvmLowering *lowering, CvmExprKind kind, int index);
/* An expression that is 1 at the column given by i32 [n] operand `operand` of node, else 0. */
const CvmExpr *cvm_expr_is_target(CvmLowering *lowering, const CvmNode *node, int operand);

/* Whether the node follows from a contraction's side sum: one number for each channel, where the
 * contraction gives weights. */
bool cvm_lower_is_beside(const CvmLowering *lowering, const CvmNode *node);

/* Adds a run to a COPY kernel, and its work items. */
void cvm_lower_copy(CvmLowering *lowering, CvmCopy copy);

/* Reports that this op with this layout or shape has no kernel (code 1602). */
void cvm_lower_refuse(CvmLowering *lowering, const CvmNode *node, const char *why);

/* The kernels of a graph that passes have finished with, in order; equal ones share a symbol but
 * each has its own buffers. */
typedef struct CvmKernelList {
    CvmKernel **kernels;
    int count;
} CvmKernelList;

typedef struct CvmTargetShape {
    int lanes;         /* f32 lanes of a vector */
    int registers;     /* vector registers */
    bool dots;         /* has AVX512_BF16: sums of products of pairs of bf16 */
    bool blas;         /* OpenBLAS is there to be called */
    CvmTuning *tuning; /* what was measured on it; NULL: nothing */
} CvmTargetShape;

bool cvm_lower_graph(CvmGraph *graph, CvmTargetShape target, CvmArena *arena, CvmKernelList *list,
                     CvmDiag *diag);

#endif
