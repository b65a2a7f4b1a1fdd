/* The graph IR: nodes in SSA form, one output value each, kept in an order where every node comes
 * after its inputs. Forward, backward and optimizer are all nodes of one graph; passes rewrite it;
 * fusion puts nodes into groups, and each group becomes one kernel.
 *
 * Text form (print.c writes it, parse.c reads it back; docs/graph.md describes it):
 *
 *   graph LeNet5 {
 *     %0 = input image : f32[64, 1, 28, 28]
 *     %1 = parameter body.conv1.weight {kind="weight", bound=0.2, fill=0} : f32[6, 1, 5, 5]
 *     group 0 {
 *       %2 = conv body.conv1 (%0, %1) {stride=[1, 1], pad=[2, 2, 2, 2], dilation=[1, 1], groups=1}
 * : f32[64, 6, 28, 28] @ "models/lenet5.cvm":8:9 %3 = relu body.relu1 (%2) : f32[64, 6, 28, 28]
 *     }
 *     output logits = %3
 *     update body.conv1.weight = %40
 *   }
 *
 * A value in another layout than plain says so after its shape: f32[64, 6, 28, 28] batch16. */
#ifndef CVM_GRAPH_GRAPH_H
#define CVM_GRAPH_GRAPH_H

#include "compiler/front/diag.h"
#include "runtime/tensor.h"

/* How a value lies in memory; see layout.h. The shape is always the logical [n, c, h, w]. */
typedef enum CvmLayoutKind {
    CVM_LAYOUT_PLAIN,   /* row-major */
    CVM_LAYOUT_BATCH,   /* vectors across pictures */
    CVM_LAYOUT_CHANNEL, /* vectors across channels */
    CVM_LAYOUT_FILTER,  /* a convolution's weights, for results in CHANNEL */
} CvmLayoutKind;

typedef struct CvmType {
    CvmDtype dtype;
    CvmShape shape;
    CvmLayoutKind layout;
    int lanes; /* of a blocked layout; 0 when plain */
} CvmType;

typedef enum CvmOp {
#define OP(id, ...) CVM_OP_##id,
#include "compiler/ops.def"
#undef OP
    CVM_OP_COUNT
} CvmOp;

/* An attribute's value; which member is used follows from the op's table row. */
typedef union CvmAttribute {
    int64_t
        integers[4]; /* INT uses [0], SIZE [0..1] = h, w; PAD [0..3] = top, left, bottom, right */
    double real;
    const char *text;
} CvmAttribute;

/* Where a node comes from: its name path and its place in the text. */
typedef struct CvmOrigin {
    const char *name; /* "body.conv1"; gradient nodes have their layer's */
    CvmSpan span;
    const CvmUse *uses;
} CvmOrigin;

enum { CVM_NO_GROUP = -1 };

typedef struct CvmNode {
    CvmOp op;
    int id;    /* unique within the graph, stable through passes; printed as %id */
    int group; /* fused group it belongs to, or CVM_NO_GROUP; nodes of a group are adjacent */
    CvmType type;
    struct CvmNode **inputs;
    int input_count;
    CvmAttribute *attributes; /* one per row of the op's attribute table; NULL when it has none */
    CvmOrigin origin;
} CvmNode;

typedef struct CvmNamedValue {
    const char *name;
    CvmNode *value;
} CvmNamedValue;

/* Of the values that a pass replaced: who read `from` reads `to`. */
typedef struct CvmReplacement {
    int from, to; /* ids; to -1: the node of id `from` computes something else now */
} CvmReplacement;

typedef struct CvmGraph {
    CvmArena *arena; /* owns everything the graph points to */
    const char *name;
    CvmNode **nodes;
    int node_count, node_capacity;
    int next_id;
    int next_group;
    CvmNamedValue *outputs; /* what the caller reads: "logits", "loss" */
    int output_count;
    CvmNamedValue *updates; /* parameter name <- value to store there at the step's end, in place */
    int update_count;
    CvmReplacement *replacements; /* in order */
    int replacement_count, replacement_capacity;
} CvmGraph;

CvmGraph *cvm_graph_create(CvmArena *arena, const char *name);

/* Appends a node, infers its type from its op's rule, and returns it. `attributes`: values in the
 * order of the op's table (copied), NULL for all defaults. NULL on error (reported to diag at
 * origin). Not for the source ops input, parameter and constant, which have their own functions. */
CvmNode *cvm_graph_add(CvmGraph *graph, CvmOp op, CvmNode *const *inputs, int input_count,
                       const CvmAttribute *attributes, CvmOrigin origin, CvmDiag *diag);

/* A tensor the caller fills before each step. */
CvmNode *cvm_graph_input(CvmGraph *graph, const char *name, CvmDtype dtype, CvmShape shape,
                         CvmOrigin origin);

/* A tensor that outlives the step. kind: "weight", "statistic", "optimizer" or
 * "gradient". Starts uniform in
 * [-bound, bound) when bound > 0, else filled with `fill`. origin.name is its unique name. */
CvmNode *cvm_graph_parameter(CvmGraph *graph, const char *kind, CvmShape shape, double bound,
                             double fill, CvmOrigin origin);

/* A tensor whose elements all equal `value`; takes no memory, kernels hold it as an immediate. */
CvmNode *cvm_graph_constant(CvmGraph *graph, CvmShape shape, double value, CvmOrigin origin);

void cvm_graph_output(CvmGraph *graph, const char *name, CvmNode *value);
void cvm_graph_update(CvmGraph *graph, const char *parameter, CvmNode *value);

/* The value of a named output / the parameter or input node of that name; NULL when there is none.
 */
CvmNode *cvm_graph_find_output(const CvmGraph *graph, const char *name);
CvmNode *cvm_graph_find_source(const CvmGraph *graph, const char *name);

/* The attribute called `name` of the node; aborts when its op has none of that name (a bug). */
const CvmAttribute *cvm_node_attribute(const CvmNode *node, const char *name);
int64_t cvm_node_int(const CvmNode *node, const char *name);

/* How many attributes nodes of this op have. */
int cvm_attribute_count(CvmOp op);

/* Number of nodes' operands, outputs and updates that read `node`. */
int cvm_graph_use_count(const CvmGraph *graph, const CvmNode *node);

/* Makes every reader of `from` read `to` instead (operands, outputs, updates), which computes the
 * same. */
void cvm_graph_replace(CvmGraph *graph, CvmNode *from, CvmNode *to);

/* Says that a pass has made the node compute something else, though its id stays. */
void cvm_graph_changed(CvmGraph *graph, const CvmNode *node);

/* For each id below `count`, those of a graph before passes, the id of the value that computes the
 * same now, -1 where there may be none. In the arena. */
int *cvm_graph_successors(const CvmGraph *graph, int count, CvmArena *arena);

/* Puts nodes in an order where inputs come first and each group's nodes are adjacent, keeping the
 * present order as far as possible; false when groups depend on each other in a circle. Update
 * values come after all other readers of the parameter they overwrite. */
bool cvm_graph_sort(CvmGraph *graph);

/* A copy in `arena` with the same ids. */
CvmGraph *cvm_graph_copy(const CvmGraph *graph, CvmArena *arena);

/* Text form. with_places: also "@ file:line:column". */
void cvm_graph_print(const CvmGraph *graph, bool with_places, FILE *stream);
char *cvm_graph_text(const CvmGraph *graph, bool with_places, CvmArena *arena);

/* Reads the text form; NULL on errors (reported with line and column of `source`). Safe on hostile
 * text. */
CvmGraph *cvm_graph_parse(CvmArena *arena, const CvmSource *source, CvmDiag *diag);

/* Graphviz form; fused groups are boxes. */
void cvm_graph_print_dot(const CvmGraph *graph, FILE *stream);
/* Two graphs side by side: what passes were given, and what they made of it. */
void cvm_graph_print_dot_pair(const CvmGraph *before, const CvmGraph *after, FILE *stream);

/* Checks every rule of the IR: order, operand counts, types as inferred, attributes in range,
 * unique ids and source names, groups adjacent, updates name parameters of the same type. Reports
 * each breach (14xx). */
bool cvm_graph_verify(const CvmGraph *graph, CvmDiag *diag);

/* FNV-1a 64 of the text form without places: names the model in checkpoints. */
uint64_t cvm_graph_hash(const CvmGraph *graph);

#endif
