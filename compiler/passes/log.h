/* What passes tell of their work: a remark for each candidate, done or refused, with the nodes it
 * is about, and for each pass how the graph was before and after. Kept as data, so that golden
 * tests, `cvmc explain --fusion`, `cvmc passes` and `cvmc bisect` all read the same. */
#ifndef CVM_PASSES_LOG_H
#define CVM_PASSES_LOG_H

#include "compiler/graph/graph.h"

/* Nodes are the graph's own, and stay readable when a pass has removed them from it. */
typedef struct CvmRemark {
    const char *pass;     /* "fuse-epilogue"; "settle" for what follows all passes */
    int application;      /* which of the pass's applications it was, from 1; 0 when refused */
    bool refused;         /* the action would have been … */
    const char *action;   /* "fused", "removed", "merged" */
    const CvmNode *node;  /* the candidate */
    const char *link;     /* "into", "with": stands before `other` */
    const CvmNode *other; /* NULL: nobody else takes part */
    const char *reason;   /* why it was refused, or done; NULL: goes without saying */
    const CvmNode *cause; /* whom the reason speaks of, "second use" say; NULL: nobody */
    struct CvmRemark *next;
} CvmRemark;

/* How large a graph is to the stages behind the passes. */
typedef struct CvmGraphSize {
    int nodes;            /* that compute: neither sources nor aliases */
    int groups;           /* of several nodes: fused kernels */
    int kernels;          /* groups and single nodes: each is a kernel and writes memory */
    int64_t stored_bytes; /* of the values that kernels write to the arena: not what stays in
                             registers, nor updates of parameters */
} CvmGraphSize;

CvmGraphSize cvm_graph_size(const CvmGraph *graph);

typedef struct CvmPassReport {
    const char *pass;
    int applications;
    CvmGraphSize before, after;
} CvmPassReport;

enum { CVM_MAX_PASSES = 32 };

typedef struct CvmPassLog {
    CvmArena *arena; /* holds the remarks */
    CvmRemark *first, *last;
    CvmPassReport reports[CVM_MAX_PASSES]; /* in the order in which they ran */
    int report_count;
} CvmPassLog;

/* An empty log, whose remarks will lie in the arena. */
CvmPassLog cvm_pass_log(CvmArena *arena);

/* "relu body.relu1", or "relu %7" where it serves no layer. */
typedef struct CvmNodeLabel {
    char text[160];
} CvmNodeLabel;
CvmNodeLabel cvm_node_label(const CvmNode *node);

/* Where a node comes from, "vgg16.cvm:9:5"; empty when nowhere. */
typedef struct CvmNodePlace {
    char text[512];
} CvmNodePlace;
CvmNodePlace cvm_node_place(const CvmNode *node);

/* "second use at vgg16.cvm:9:5 (tanh body.tanh1)", in the arena; NULL when there is no reason. */
const char *cvm_remark_reason(const CvmRemark *remark, CvmArena *arena);

/* One line: "fuse-epilogue: refused relu body.relu1 into linear body.linear1: second use at …". */
void cvm_remark_print(const CvmRemark *remark, FILE *stream);
void cvm_pass_log_print(const CvmPassLog *log, FILE *stream);

#endif
