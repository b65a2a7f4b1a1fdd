/* Small ONNX models for tests, node by node. Weights are counted up from a start, so that each
 * differs. */
#ifndef CVM_TEST_ONNX_MODEL_H
#define CVM_TEST_ONNX_MODEL_H

#include "compiler/onnx/model.h"

typedef struct OnnxTest {
    CvmArena *arena;
    Onnx__ModelProto model;
    Onnx__GraphProto graph;
} OnnxTest;

/* A model of that opset with the input "x" [n, channels, height, width], n left open. */
void onnx_test_begin(OnnxTest *test, CvmArena *arena, int opset, int channels, int height,
                     int width);

/* A node of those inputs (separated by spaces, "-" for one left out) and that one output, by which
 * it is called, too. */
Onnx__NodeProto *onnx_test_node(OnnxTest *test, const char *type, const char *inputs,
                                const char *output);

/* Attributes of the node. */
void onnx_test_int(OnnxTest *test, Onnx__NodeProto *node, const char *name, int64_t value);
void onnx_test_float(OnnxTest *test, Onnx__NodeProto *node, const char *name, float value);
void onnx_test_text(OnnxTest *test, Onnx__NodeProto *node, const char *name, const char *value);
void onnx_test_tensor(OnnxTest *test, Onnx__NodeProto *node, const char *name,
                      Onnx__TensorProto *value);
void onnx_test_ints(OnnxTest *test, Onnx__NodeProto *node, const char *name, int count, ...);

/* Initializers: floats of a shape, one float, whole numbers. The tensor may be changed afterwards.
 */
Onnx__TensorProto *onnx_test_weights(OnnxTest *test, const char *name, CvmShape shape);
Onnx__TensorProto *onnx_test_number(OnnxTest *test, const char *name, float value);
Onnx__TensorProto *onnx_test_integers(OnnxTest *test, const char *name, int count, ...);

/* Takes the nodes from number `first` on out of the graph and makes a branch of them, which gives
 * `output`: an attribute of the If `node`, which is added afterwards. */
typedef struct OnnxBranch {
    ProtobufCBinaryData bytes;
} OnnxBranch;
OnnxBranch onnx_test_take_branch(OnnxTest *test, size_t first, const char *output);
void onnx_test_branch(OnnxTest *test, Onnx__NodeProto *node, const char *name, OnnxBranch branch);

/* The output; it ends the model. Its bytes, in the arena. */
const uint8_t *onnx_test_end(OnnxTest *test, const char *output, size_t *size);

#endif
