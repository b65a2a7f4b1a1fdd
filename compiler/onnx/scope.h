/* The names of an ONNX graph: each stands for an initializer, an input or what a node gives. The
 * branches of an If see the names around them, too. */
#ifndef CVM_ONNX_SCOPE_H
#define CVM_ONNX_SCOPE_H

#include "compiler/onnx/import.h"

/* In the order in which they hide one another. */
typedef enum CvmOnnxSource {
    CVM_ONNX_FROM_INITIALIZER,
    CVM_ONNX_FROM_NODE,
    CVM_ONNX_FROM_INPUT
} CvmOnnxSource;

typedef struct CvmOnnxName {
    const char *text;
    CvmOnnxSource source;
    int index;         /* of the initializer, node or input */
    bool first_output; /* of its node */
    CvmOnnxValue value;
} CvmOnnxName;

typedef struct CvmOnnxScope {
    const Onnx__GraphProto *graph;
    const struct CvmOnnxScope *outer; /* NULL: the model's own graph */
    CvmOnnxName *names;               /* sorted */
    int count;
} CvmOnnxScope;

/* Lists a graph's names. False when one of them stands for two things (1706). */
bool cvm_onnx_scope_open(CvmOnnxImport *import, const Onnx__GraphProto *graph,
                         const CvmOnnxScope *outer, CvmOnnxScope *scope);

/* The name in this graph or one around it; NULL when there is none. */
CvmOnnxName *cvm_onnx_scope_find(const CvmOnnxScope *scope, const char *text);

/* Counts the uses of the scope's names in a graph: its own, or one inside it. */
void cvm_onnx_count_uses(const CvmOnnxScope *scope, const Onnx__GraphProto *graph);

/* Reads the tensor of an initializer's name, unless that is done. */
void cvm_onnx_read_initializer(CvmOnnxImport *import, const CvmOnnxScope *scope, CvmOnnxName *name);

/* Reads a node whose operands are all read, and gives its outputs their values. */
void cvm_onnx_read_node(CvmOnnxImport *import, const CvmOnnxScope *scope,
                        const Onnx__NodeProto *node);

/* --- branches of If (import_branch.c) --- */

/* Reads the branches of every If of the model's graph, and counts the uses of names there and in
 * the graph itself. How many nodes there are, those of the branches included. */
size_t cvm_onnx_list_branches(CvmOnnxImport *import, const CvmOnnxScope *scope);

/* The branch that an If of the model's graph takes, once its condition is read; NULL when it cannot
 * be told. */
const Onnx__GraphProto *cvm_onnx_taken_branch(const CvmOnnxImport *import,
                                              const CvmOnnxScope *scope, int node);

#endif
