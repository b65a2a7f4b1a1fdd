/* Runs a graph through the reference functions of ops.def: slow, plain, the oracle that compiled
 * code, fusion and gradients are compared with. Never part of run, train or build. */
#ifndef CVM_GRAPH_EVALUATE_H
#define CVM_GRAPH_EVALUATE_H

#include "compiler/graph/graph.h"

/* Values by node id, plain row-major; allocated in the arena given to cvm_evaluate. */
typedef struct CvmValues {
    void **data; /* indexed by node id; NULL where the graph has no such node */
    int count;
} CvmValues;

/* sources(context, node) gives the elements of an input or parameter (not constants), or NULL: then
 * zeros. Reads every node once in order. Updates are not applied; read their values by id. */
CvmValues cvm_evaluate(const CvmGraph *graph, CvmArena *arena,
                       const void *(*sources)(void *context, const CvmNode *node), void *context);

#endif
