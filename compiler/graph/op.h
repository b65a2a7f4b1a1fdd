/* The table of operators (compiler/ops.def) as data, and what an op's functions are handed. */
#ifndef CVM_GRAPH_OP_H
#define CVM_GRAPH_OP_H

#include "compiler/graph/graph.h"

/* What kind of kernel an op makes, and so what may be fused with it. */
typedef enum CvmOpClass {
    CVM_CLASS_SOURCE,      /* input, parameter, constant: no kernel */
    CVM_CLASS_ALIAS,       /* the same memory under another shape: no kernel */
    CVM_CLASS_MOVE,        /* another layout */
    CVM_CLASS_CONTRACTION, /* sums of products: convolution, linear and their gradients */
    CVM_CLASS_POINTWISE,   /* out[i] from inputs[i] (an operand of rank 0, or [c] beside [n, c, …],
                              is broadcast): may join a chain or another kernel's epilogue */
    CVM_CLASS_WINDOW,      /* pooling and its gradients */
    CVM_CLASS_ROWS,        /* works along the channels of [n, c] or of each pixel of [n, c, h, w] */
    CVM_CLASS_REDUCE,      /* sums to a smaller shape */
} CvmOpClass;

typedef enum CvmAttributeKind {
    CVM_ATTRIBUTE_END = 0,
    CVM_ATTRIBUTE_INT,
    CVM_ATTRIBUTE_SIZE, /* [h, w] */
    CVM_ATTRIBUTE_PAD,  /* [top, left, bottom, right], pixels */
    CVM_ATTRIBUTE_REAL,
    CVM_ATTRIBUTE_TEXT,
} CvmAttributeKind;

typedef struct CvmAttributeInfo {
    const char *name;
    CvmAttributeKind kind;
    double otherwise; /* default, for every component */
} CvmAttributeInfo;

enum { CVM_MAX_ATTRIBUTES = 8 };

typedef struct CvmLayer CvmLayer;
typedef struct CvmAutodiff CvmAutodiff;
typedef struct CvmLowering CvmLowering;

/* What an execution of the op costs, in whole numbers. */
typedef struct CvmCost {
    double flops; /* floating-point operations, a multiply-add counts two */
    double bytes; /* least memory traffic: operands read once, output written once */
} CvmCost;

typedef struct CvmOpInfo {
    const char *name;
    CvmOpClass class;
    const char *operands; /* "x weight": names, for messages and docs; '*' at the end: any number */
    int operand_count;    /* -1 when any number */
    const char
        *arguments; /* of the layer in the language, NULL when users can't write it; see layer.h */
    CvmAttributeInfo attributes[CVM_MAX_ATTRIBUTES + 1];

    /* Adds the layer's nodes and parameters to the graph; returns the output or NULL (reported). */
    CvmNode *(*build)(CvmLayer *layer);
    /* Sets node->type from operands and attributes; false (reported) when they don't fit. */
    bool (*infer)(CvmNode *node, CvmDiag *diag);
    /* Adds gradient nodes for each operand that autodiff wants; NULL when the op has no gradient.
     */
    void (*gradient)(CvmAutodiff *autodiff, CvmNode *node, CvmNode *output_gradient);
    CvmCost (*cost)(const CvmNode *node);
    /* Describes the op to the kernel stage (compiler/kernels/lower.h); NULL for sources and
     * aliases. */
    void (*lower)(CvmLowering *lowering, const CvmNode *node);
    /* Slow, obvious C on plain row-major tensors (layouts ignored): the oracle of the tests.
     * operands[i], output: element arrays of the node's types. */
    void (*reference)(const CvmNode *node, const void *const *operands, void *output);
    const char *doc; /* one line */
} CvmOpInfo;

const CvmOpInfo *cvm_op_info(CvmOp op);

/* Whether it computes a gradient: its name says so (conv_grad_weight, relu_grad). */
bool cvm_op_is_gradient(CvmOp op);

/* Whether a node on [n, c, …] has an operand [c]: it has to know the channel of each element. */
bool cvm_reads_channels(const CvmNode *node);

/* The op of that name; CVM_OP_COUNT when there is none. */
CvmOp cvm_op_find(const char *name);

/* --- for gradient functions (autodiff.c) --- */

/* Whether anything that learns depends on this value: if not, build no gradient for it. */
bool cvm_autodiff_wants(const CvmAutodiff *autodiff, const CvmNode *value);

/* Adds `gradient` (same shape as value) to value's gradient. */
void cvm_autodiff_give(CvmAutodiff *autodiff, CvmNode *value, CvmNode *gradient);

/* cvm_graph_add with the origin of the forward node and autodiff's graph and diag. */
CvmNode *cvm_autodiff_add(CvmAutodiff *autodiff, CvmOp op, CvmNode *const *inputs, int input_count,
                          const CvmAttribute *attributes);

/* The same for what the gradient needs kept of the forward part: it stands right behind the forward
 * node, so that what it is made of need not live until the gradient is computed. */
CvmNode *cvm_autodiff_keep(CvmAutodiff *autodiff, CvmOp op, CvmNode *const *inputs, int input_count,
                           const CvmAttribute *attributes);

/* Forward and backward of the reference functions over a whole graph; see evaluate.h. */

#endif
