/* A net's layers as statements of the language: one pipeline, with `let` where the graph branches.
 */
#ifndef CVM_ONNX_ARRANGE_H
#define CVM_ONNX_ARRANGE_H

#include "compiler/onnx/net.h"

typedef enum CvmOnnxStatementKind {
    CVM_ONNX_APPLY, /* a layer, on the tensor that flows or on named ones */
    CVM_ONNX_LET,   /* let name = it, and layers after it: a side branch */
    CVM_ONNX_GO_ON, /* a name: its tensor flows on */
} CvmOnnxStatementKind;

typedef struct CvmOnnxStatement {
    CvmOnnxStatementKind kind;
    int layer;        /* APPLY: it; LET: the first of the branch */
    int layer_count;  /* LET: of the branch, 0: the tensor itself */
    int value;        /* LET: that is bound; GO_ON: that flows on */
    int flowing;      /* APPLY: the value that `it` is before it */
    const char *name; /* LET: of what kind the name is: "skip", "branch" */
} CvmOnnxStatement;

typedef struct CvmOnnxStatements {
    CvmOnnxStatement *list;
    int count;
    int *next;    /* by layer: the one after it in a branch of LET */
    int *binding; /* by value: the statement that binds it; -1 */
} CvmOnnxStatements;

/* Statements that compute net->output last, in the arena. Layers that it does not need are left
 * out. */
CvmOnnxStatements cvm_onnx_arrange(const CvmOnnxNet *net, CvmArena *arena);

#endif
