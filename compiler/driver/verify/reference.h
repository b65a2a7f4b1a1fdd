/* What the reference functions make of the values that compiled code has stored. The graph is the
 * one before the passes; where a pass or a kernel does without one of its values, the reference
 * functions compute that, too, from the nearest ones that are stored. So no error adds up over more
 * than a kernel, and the first tensor that is wrong is the one at fault. */
#ifndef CVM_DRIVER_VERIFY_REFERENCE_H
#define CVM_DRIVER_VERIFY_REFERENCE_H

#include "compiler/graph/op.h"

#include <limits.h>

enum { CVM_VERIFY_SOURCE = -1, CVM_VERIFY_NOWHERE = INT_MAX };

/* A value of the graph before the passes, as compiled code has it. */
typedef struct CvmKnownValue {
    int call;             /* of the plan, the first that stores it; or one of the above */
    int last;             /* the last call whose references read it */
    const void *elements; /* in plain order, while some reference needs them */
    void *owned;          /* the same, to be freed; NULL: they lie elsewhere */
} CvmKnownValue;

typedef struct CvmReferences {
    const CvmGraph *graph;
    const int *places;    /* by id: the node's place in the graph's order */
    CvmKnownValue *known; /* by id */
} CvmReferences;

/* The elements of a node's value; its bytes. */
int64_t cvm_verify_count(const CvmNode *node);
size_t cvm_verify_bytes(const CvmNode *node);

/* Marks, by id, the values that have to be computed for what `call` stores at the nodes given, and
 * those that have to be known for it: `computed` includes the nodes themselves, but for those that
 * an earlier call has stored already. Both are of graph->next_id + 1 falses. */
void cvm_verify_mark(const CvmReferences *references, int call, const CvmNode *const *nodes,
                     int count, bool *computed, bool *read);

/* Computes the nodes, in order; results[i] has room for node i's elements. tolerance, if it is not
 * 0: known values are moved by up to so large a share of themselves, as trial `seed` draws. Of a
 * node that an earlier call has stored the result is that. False: no memory. */
bool cvm_verify_compute(const CvmReferences *references, int call, const CvmNode *const *nodes,
                        int count, double tolerance, uint64_t seed, void *const *results);

/* Seconds that computing what is marked may take on one thread, where the references of
 * convolutions make so many floating-point operations a second. */
double cvm_verify_seconds(const CvmReferences *references, const bool *computed, double rate);

/* That rate on this machine, measured within some milliseconds. */
double cvm_verify_rate(void);

#endif
