/* An ONNX file in memory: the messages of onnx.proto as protobuf-c reads them, each node as a line
 * of text, so that a diagnostic can show it, and tensors of all the ways the format stores them in.
 *
 * Format: https://github.com/onnx/onnx/blob/main/docs/IR.md, external data: ExternalData.md beside
 * it. Files come from strangers: memory is bounded by the file's size, every shape and length is
 * checked before a byte of data is used, and external data lies in the file's own folder or is
 * refused. */
#ifndef CVM_ONNX_MODEL_H
#define CVM_ONNX_MODEL_H

#include "compiler/front/source.h"
#include "compiler/onnx/onnx.pb-c.h"
#include "runtime/safetensors.h"

/* TensorProto.DataType, of those that are read or written. */
enum {
    CVM_ONNX_FLOAT = 1,
    CVM_ONNX_UINT8 = 2,
    CVM_ONNX_INT32 = 6,
    CVM_ONNX_INT64 = 7,
    CVM_ONNX_BOOL = 9,
    CVM_ONNX_FLOAT16 = 10,
    CVM_ONNX_DOUBLE = 11,
    CVM_ONNX_BFLOAT16 = 16,
};

/* AttributeProto.AttributeType. */
enum {
    CVM_ONNX_ATTRIBUTE_FLOAT = 1,
    CVM_ONNX_ATTRIBUTE_INT = 2,
    CVM_ONNX_ATTRIBUTE_STRING = 3,
    CVM_ONNX_ATTRIBUTE_TENSOR = 4,
    CVM_ONNX_ATTRIBUTE_GRAPH = 5,
    CVM_ONNX_ATTRIBUTE_FLOATS = 6,
    CVM_ONNX_ATTRIBUTE_INTS = 7,
};

/* Metadata of files that cvm wrote: how pictures become the input, a number for each channel,
 * separated by spaces: (pixel / 255 - mean) / deviation. */
#define CVM_ONNX_MEAN "cvm.picture_mean"
#define CVM_ONNX_DEVIATION "cvm.picture_deviation"

/* A file of external data. */
typedef struct CvmOnnxDataFile {
    const char *location; /* as the model calls it */
    CvmMappedFile file;
    struct CvmOnnxDataFile *next;
} CvmOnnxDataFile;

/* A graph in an attribute. */
typedef struct CvmOnnxBranch {
    Onnx__GraphProto *graph;
    struct CvmOnnxBranch *next;
} CvmOnnxBranch;

typedef struct CvmOnnxModel {
    CvmArena *arena; /* texts, and elements that had to be converted */
    const char *path;
    Onnx__ModelProto *message;
    CvmOnnxBranch *branches; /* read so far */
    size_t room;             /* bytes that messages may still take */
    const char *folder;      /* of the file: where external data lies; NULL: none may be read */
    CvmOnnxDataFile *data_files;
    CvmSource *nodes; /* line i is node i, counted from 1 */
} CvmOnnxModel;

/* Reads a file. Errors: missing or unreadable (machine); not an ONNX model, or one whose messages
 * would need far more memory than the file has bytes (input). */
bool cvm_onnx_model_open(const char *path, CvmArena *arena, CvmOnnxModel *model, CvmError *error);

/* The same for bytes in memory, which are copied (tests, fuzzing); `path` is shown in messages. No
 * external data is read. */
bool cvm_onnx_model_parse(const void *bytes, int64_t size, const char *path, CvmArena *arena,
                          CvmOnnxModel *model, CvmError *error);
void cvm_onnx_model_close(CvmOnnxModel *model);

/* The graph that an attribute holds; it lives as long as the model. NULL when it holds none, or one
 * that cannot be read or has more nodes than a model may have. */
const Onnx__GraphProto *cvm_onnx_branch(CvmOnnxModel *model, const Onnx__AttributeProto *attribute);

/* The place of a node: its line in model->nodes. */
CvmSpan cvm_onnx_node_span(const CvmOnnxModel *model, int node);

/* A tensor's name, type, shape (4 axes at most) and elements, which lie in the model or its arena.
 * Errors (input): an element type that no tensor of safetensors has here, a size that overflows,
 * data that is shorter or longer than the shape says, external data outside of the model's folder.
 */
bool cvm_onnx_tensor(CvmOnnxModel *model, const Onnx__TensorProto *tensor, CvmFileTensor *read,
                     CvmError *error);

#endif
