/* The messages of an ONNX file that is written, piece by piece: nodes with their attributes and
 * operands, and initializers. Everything lies in the arena; room for nodes and initializers is the
 * caller's. */
#ifndef CVM_ONNX_EXPORT_MESSAGE_H
#define CVM_ONNX_EXPORT_MESSAGE_H

#include "compiler/graph/graph.h"
#include "compiler/onnx/model.h"
#include "runtime/store.h"

typedef struct CvmOnnxExporter {
    CvmArena *arena;
    const CvmGraph *graph;
    const CvmStore *store;
    CvmDiag *diag;
    const char **names; /* of values, by node id */
    Onnx__GraphProto message;
} CvmOnnxExporter;

/* A message of that type, as its INIT macro has it. */
#define CVM_ONNX_NEW(exporter, type, INIT)                                                         \
    cvm_onnx_new((exporter)->arena, sizeof(type), &(type)INIT)
void *cvm_onnx_new(CvmArena *arena, size_t size, const void *initial);

char *cvm_onnx_copy(CvmOnnxExporter *exporter, const char *text);

/* A node of that operator, which is called as its one output. */
Onnx__NodeProto *cvm_onnx_add_node(CvmOnnxExporter *exporter, const char *type, const char *output);
void cvm_onnx_add_input(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name);

/* Attributes, of which a node has eight at most. */
void cvm_onnx_add_int(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                      int64_t value);
void cvm_onnx_add_float(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                        double value);
void cvm_onnx_add_ints(CvmOnnxExporter *exporter, Onnx__NodeProto *node, const char *name,
                       const int64_t *values, size_t count);

/* Initializers: floats, which stay where they are, and whole numbers, which are copied. */
void cvm_onnx_add_floats(CvmOnnxExporter *exporter, const char *name, const CvmShape *shape,
                         const void *elements);
void cvm_onnx_add_integers(CvmOnnxExporter *exporter, const char *name, const int64_t *values,
                           int64_t count);

#endif
