/* The inside of reading an ONNX graph, shared by the files import*.c. A node is read once all that
 * it reads is known; what it gives is a value: a tensor of the net, a constant, some numbers about
 * a shape, or a part of a formula that only as a whole is a layer. */
#ifndef CVM_ONNX_IMPORT_H
#define CVM_ONNX_IMPORT_H

#include "compiler/onnx/net.h"

enum { CVM_ONNX_MAX_NUMBERS = 16 };

/* The number of pictures at once, among the numbers of a shape. */
#define CVM_ONNX_BATCH INT64_MIN

typedef enum CvmOnnxKind {
    CVM_ONNX_UNREAD,
    CVM_ONNX_UNKNOWN, /* its node was refused: what reads it is passed over */
    CVM_ONNX_TENSOR,
    CVM_ONNX_CONSTANT,
    CVM_ONNX_NUMBERS,
    CVM_ONNX_PART,
} CvmOnnxKind;

/* Formulas that as a whole are a layer. */
typedef enum CvmOnnxFormula {
    CVM_ONNX_GELU,    /* factor x^power e, where e is 1, erf(x / sqrt 2), or 1 + erf(x / sqrt 2) */
    CVM_ONNX_LRN,     /* (k + alpha * mean of neighbouring channels' x^2)^beta, as far as it got */
    CVM_ONNX_PADDED,  /* x with zeros around its pixels */
    CVM_ONNX_ADAPTIVE /* x with the means of uneven windows along its rows */
} CvmOnnxFormula;

typedef enum CvmOnnxErf { CVM_ONNX_NO_ERF, CVM_ONNX_ERF, CVM_ONNX_ONE_PLUS_ERF } CvmOnnxErf;

/* What there is of LRN. Up to the means the channels are an axis that pooling can move along:
 * [n, 1, c, h, w]. */
typedef enum CvmOnnxLrnStage {
    CVM_ONNX_LRN_SQUARES,
    CVM_ONNX_LRN_PADDED,
    CVM_ONNX_LRN_MEANS,
    CVM_ONNX_LRN_FLAT_MEANS, /* [n, c, h, w] again */
    CVM_ONNX_LRN_SUM,        /* k added */
    CVM_ONNX_LRN_POWER
} CvmOnnxLrnStage;

typedef struct CvmOnnxPart {
    CvmOnnxFormula formula;
    /* GELU */
    double factor;
    int power; /* 0 or 1 */
    CvmOnnxErf erf;
    /* LRN */
    CvmOnnxLrnStage stage;
    int64_t size;
    double alpha, beta, k;
    /* PADDED: top, left, bottom, right */
    int64_t pads[4];
    /* ADAPTIVE */
    int64_t windows;
} CvmOnnxPart;

typedef struct CvmOnnxValue {
    CvmOnnxKind kind;
    int tensor;             /* TENSOR: the net's value; PART: that of x */
    CvmFileTensor constant; /* CONSTANT */
    int64_t numbers[CVM_ONNX_MAX_NUMBERS];
    int count; /* of numbers */
    int rank;  /* of them: 0 (one number), 1, or 2, rows of `columns` */
    int columns;
    CvmOnnxPart part;
    int node; /* PART: that gives it */
    int uses; /* operands that are it, and graph outputs */
} CvmOnnxValue;

typedef struct CvmOnnxImport CvmOnnxImport;
struct CvmOnnxScope;

typedef struct CvmOnnxBranches {
    const Onnx__GraphProto *then, *otherwise;
} CvmOnnxBranches;

typedef struct CvmOnnxOperator {
    const char *name;
    int least, most;
    bool (*read)(CvmOnnxImport *import);
    const char *attributes, *layer;
} CvmOnnxOperator;

struct CvmOnnxImport {
    CvmOnnxModel *model;
    CvmArena *arena;
    CvmDiag *diag;
    CvmOnnxNet *net;
    CvmGraph *graph; /* of the layers' build functions */
    CvmNode *picture;
    int opset;
    int64_t batch; /* as the model states it; CVM_ONNX_BATCH when it leaves it open */

    CvmOnnxBranches *branches; /* by node: those of an If */

    /* the node that is being read */
    int node;                         /* in a branch: the If */
    const struct CvmOnnxScope *scope; /* the names around it */
    const Onnx__NodeProto *proto;
    const CvmOnnxOperator *operator;
    CvmOnnxValue **inputs; /* NULL where an optional one is left out */
    int input_count;
    CvmOnnxValue result;
};

/* The row of that name; NULL when there is none. */
const CvmOnnxOperator *cvm_onnx_operator(const char *name);

/* Reports an error at the node: its type and name, then the sentence. Always false. */
bool cvm_onnx_refuse(CvmOnnxImport *import, int code, const char *mend, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* --- attributes of the node; one that is stored as another type counts as 0 --- */

const Onnx__AttributeProto *cvm_onnx_attribute(const CvmOnnxImport *import, const char *name);
int64_t cvm_onnx_int(const CvmOnnxImport *import, const char *name, int64_t otherwise);
double cvm_onnx_float(const CvmOnnxImport *import, const char *name, double otherwise);

/* --- inputs of the node --- */

/* Whether input i is there. */
bool cvm_onnx_has_input(const CvmOnnxImport *import, int i);

/* Input i as a tensor of the net / as a constant of floats or whole numbers / as whole numbers
 * (1703 when it is none). */
bool cvm_onnx_take_tensor(CvmOnnxImport *import, int i, int *tensor);
bool cvm_onnx_take_constant(CvmOnnxImport *import, int i, CvmFileTensor *constant);
bool cvm_onnx_take_numbers(CvmOnnxImport *import, int i, CvmOnnxValue *numbers);

/* Whether a value is a constant of a single element, and which. */
bool cvm_onnx_single(const CvmOnnxValue *value, double *number);

/* The type of a tensor: [n, c, h, w] or [n, c]. */
const CvmShape *cvm_onnx_shape(const CvmOnnxImport *import, int tensor);

/* The constant's elements as f32, in the model's memory where they are that already. */
const float *cvm_onnx_floats(CvmOnnxImport *import, const CvmFileTensor *constant);

/* --- what the node gives --- */

/* A layer of the language on these tensors, with its default arguments; NULL when the language has
 * none of that name (reported). It joins the net with cvm_onnx_finish_layer. */
CvmOnnxLayer *cvm_onnx_begin_layer(CvmOnnxImport *import, const char *name, const int *tensors,
                                   int count);
CvmArgument *cvm_onnx_argument(CvmOnnxLayer *layer, const char *name);
void cvm_onnx_set_int(CvmOnnxLayer *layer, const char *name, int64_t value);
void cvm_onnx_set_real(CvmOnnxLayer *layer, const char *name, double value);
/* elements: in the arena or the model. */
void cvm_onnx_set_parameter(CvmOnnxLayer *layer, const char *name, CvmShape shape,
                            const float *elements);

/* Gives a layer of n channels its argument `bias`, and that parameter: input i times `factor`,
 * where there is one. */
bool cvm_onnx_set_bias(CvmOnnxImport *import, CvmOnnxLayer *layer, int64_t n, int i, double factor);

/* The node's attribute is that text. */
bool cvm_onnx_text_is(const Onnx__AttributeProto *attribute, const char *text);

/* Builds the layer's nodes, so that its type is known; false when it does not hold (reported). */
bool cvm_onnx_build_layer(CvmOnnxImport *import, CvmOnnxLayer *layer);

/* Builds it, adds it to the net and makes it the node's result. */
bool cvm_onnx_finish_layer(CvmOnnxImport *import, CvmOnnxLayer *layer);

/* The node's result is a tensor there is already. */
bool cvm_onnx_give_tensor(CvmOnnxImport *import, int tensor);

/* --- numbers and parts: whether the node computes with some, and then its result is given, or
 * *failed: it was refused --- */

/* GELU, for Add, Mul and Div (import_gelu.c). */
bool cvm_onnx_join_gelu(CvmOnnxImport *import, bool *failed);

/* LRN, for Add, Mul, Div and Pow, and for what moves axes or pools: Reshape to `target`, Unsqueeze,
 * Squeeze, Pad and AveragePool (import_lrn.c). */
bool cvm_onnx_join_lrn(CvmOnnxImport *import, bool *failed);
bool cvm_onnx_lrn_reshape(CvmOnnxImport *import, const CvmOnnxValue *target, bool *failed);
bool cvm_onnx_lrn_unsqueeze(CvmOnnxImport *import, const CvmOnnxValue *axes, bool *failed);
bool cvm_onnx_lrn_squeeze(CvmOnnxImport *import, const CvmOnnxValue *axes, bool *failed);
bool cvm_onnx_lrn_pad(CvmOnnxImport *import, const CvmOnnxValue *pads, bool *failed);
bool cvm_onnx_lrn_pool(CvmOnnxImport *import, bool *failed);

/* The shape of a part of LRN, of five axes; false where input 0 is none. */
bool cvm_onnx_lrn_shape(CvmOnnxImport *import, CvmOnnxValue *numbers);

/* adaptive_avgpool as export writes it, for MatMul (import_windows.c). */
bool cvm_onnx_join_means(CvmOnnxImport *import, bool *failed);

/* Whole numbers about shapes, for Add, Sub, Mul, Div and Equal, and those that change the shape of
 * the numbers themselves (import_numbers.c). */
bool cvm_onnx_join_numbers(CvmOnnxImport *import, bool *failed);
bool cvm_onnx_reshape_numbers(CvmOnnxImport *import);
bool cvm_onnx_concat_numbers(CvmOnnxImport *import);
bool cvm_onnx_is_numbers(const CvmOnnxImport *import, int i);
bool cvm_onnx_give_numbers(CvmOnnxImport *import, const CvmOnnxValue *numbers);

/* Input i as a part of that formula; NULL when it is none. */
const CvmOnnxValue *cvm_onnx_part(const CvmOnnxImport *import, int i, CvmOnnxFormula formula);
bool cvm_onnx_give_part(CvmOnnxImport *import, int tensor, const CvmOnnxPart *part);

/* A whole number that decides something; false when it is not known. */
bool cvm_onnx_is_true(const CvmOnnxValue *value, bool *truth);

/* The axes of an operator that has them as an attribute up to opset 12 (17 for ReduceMean), then as
 * an operand; count 0: none are given. */
bool cvm_onnx_take_axes(CvmOnnxImport *import, CvmOnnxValue *axes);

#define OPERATOR(name, least, most, function, attributes, layer)                                   \
    bool cvm_onnx_read_##function(CvmOnnxImport *import);
#include "compiler/onnx/operators.def"
#undef OPERATOR

#endif
