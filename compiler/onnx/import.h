/* The inside of reading an ONNX graph, shared by the files import*.c. A node is read once all that
 * it reads is known; what it gives is a value: a tensor of the net, a constant, some numbers about
 * a shape, or a part of a formula that only as a whole is a layer. */
#ifndef CVM_ONNX_IMPORT_H
#define CVM_ONNX_IMPORT_H

#include "compiler/onnx/net.h"

enum { CVM_ONNX_MAX_NUMBERS = 8 };

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

/* factor x^power e, where e is 1, erf(x / sqrt 2), or 1 + erf(x / sqrt 2): what GELU is made of. */
typedef enum CvmOnnxErf { CVM_ONNX_NO_ERF, CVM_ONNX_ERF, CVM_ONNX_ONE_PLUS_ERF } CvmOnnxErf;
typedef struct CvmOnnxPart {
    double factor;
    int power; /* 0 or 1 */
    CvmOnnxErf erf;
} CvmOnnxPart;

typedef struct CvmOnnxValue {
    CvmOnnxKind kind;
    int tensor;             /* TENSOR: the net's value; PART: that of x */
    CvmFileTensor constant; /* CONSTANT */
    int64_t numbers[CVM_ONNX_MAX_NUMBERS];
    int count;   /* of numbers */
    bool scalar; /* they are one number without an axis */
    CvmOnnxPart part;
    int node; /* PART: that gives it */
    int uses; /* operands that are it, and graph outputs */
} CvmOnnxValue;

typedef struct CvmOnnxImport CvmOnnxImport;

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

    /* the node that is being read */
    int node;
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

/* Builds the layer's nodes, so that its type is known; false when it does not hold (reported). */
bool cvm_onnx_build_layer(CvmOnnxImport *import, CvmOnnxLayer *layer);

/* Builds it, adds it to the net and makes it the node's result. */
bool cvm_onnx_finish_layer(CvmOnnxImport *import, CvmOnnxLayer *layer);

/* The node's result is a tensor there is already. */
bool cvm_onnx_give_tensor(CvmOnnxImport *import, int tensor);

/* --- parts of GELU (import_gelu.c) --- */

/* Whether one operand of the node is a part or becomes one, and then its result is given; for Add,
 * Mul and Div. *failed: it was refused. */
bool cvm_onnx_join_parts(CvmOnnxImport *import, bool *failed);

/* The same for whole numbers about shapes, for Add, Sub, Mul and Div (import_numbers.c). */
bool cvm_onnx_join_numbers(CvmOnnxImport *import, bool *failed);

#define OPERATOR(name, least, most, function, attributes, layer)                                   \
    bool cvm_onnx_read_##function(CvmOnnxImport *import);
#include "compiler/onnx/operators.def"
#undef OPERATOR

#endif
