/* An ONNX model as a .cvm text and the tensors of its weights file: what `cvmc import` writes. */
#ifndef CVM_ONNX_CONVERT_H
#define CVM_ONNX_CONVERT_H

#include "compiler/onnx/net.h"

typedef struct CvmOnnxConverted {
    char *text;
    size_t length;
    CvmFileTensor
        *tensors; /* f32, named as the text's parameters; elements lie in the model or arena */
    int tensor_count;
    int layer_count; /* that the text applies */
    CvmOnnxNet net;
} CvmOnnxConverted;

/* Reads the model's graph, writes the text, and checks that the text holds and has the parameters
 * that the graph has. False when there are errors, all of them in diag (17xx, 12xx). The result
 * lies in the arena and the model. */
bool cvm_onnx_convert(CvmOnnxModel *model, const CvmOnnxNames *names, CvmArena *arena,
                      CvmOnnxConverted *converted, CvmDiag *diag);

#endif
