/* Converting one small ONNX model after another, for tests of import. With CVM_ONNX_SEEDS=FOLDER
 * each model is written there, too: the first inputs of tests/fuzz/fuzz_onnx.c. */
#ifndef CVM_TEST_ONNX_CONVERT_H
#define CVM_TEST_ONNX_CONVERT_H

#include "compiler/onnx/convert.h"
#include "tests/support/onnx_model.h"

typedef struct OnnxFixture {
    CvmArena *arena;
    OnnxTest test; /* the model as it is made */
    CvmOnnxModel model;
    CvmOnnxConverted converted;
    CvmDiag diag;
} OnnxFixture;

extern OnnxFixture onnx;

int onnx_set_up(void **state);
int onnx_tear_down(void **state);

/* Begins the model; adds a node, a convolution with weights of its own; the node added last. */
void onnx_begin(int opset, int channels, int height, int width);
Onnx__NodeProto *onnx_node(const char *type, const char *inputs, const char *output);
void onnx_conv(const char *input, const char *output, int64_t channels, int64_t inputs,
               int64_t kernel);
Onnx__NodeProto *onnx_last(void);

/* Ends a picture of c x h x w as ten classes, "y". */
void onnx_classify(const char *input, int64_t features);

/* Ends the model and converts it; false with the diagnostics as onnx_diagnostics has them. */
bool onnx_convert(const char *output);
char *onnx_diagnostics(void);

/* That the model's text has these layers: what stands between the input and the predict block. */
void onnx_expect_layers(const char *output, const char *layers);

/* That it is refused with these messages, and no others. */
void onnx_expect_errors(const char *output, int count, ...);

/* A tensor of the weights file, and one of its elements. */
const CvmFileTensor *onnx_tensor(const char *name);
float onnx_element(const char *name, int64_t i);

#endif
