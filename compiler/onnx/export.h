/* A model's graph as an ONNX file (opset 13), its parameters inside. */
#ifndef CVM_ONNX_EXPORT_H
#define CVM_ONNX_EXPORT_H

#include "compiler/graph/graph.h"
#include "runtime/dataset.h"
#include "runtime/store.h"

/* Writes the forward graph of a model, built for evaluation and not rewritten by passes, with the
 * values that the store has for its parameters. The batch is left open. normalization: how pictures
 * become the input, noted in the file's metadata; NULL: not known. The file appears whole or not at
 * all. False: an operator that ONNX does not have, a file beyond protobuf's 2 GiB, or one that
 * cannot be written; the first two are in diag, the last in *error. */
bool cvm_onnx_export(const char *path, const CvmGraph *graph, const CvmStore *store,
                     const CvmNormalization *normalization, CvmArena *arena, CvmDiag *diag,
                     CvmError *error);

#endif
