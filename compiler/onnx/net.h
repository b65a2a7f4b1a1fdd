/* What lies between an ONNX graph and a text of the language: the net as a list of layers with
 * their arguments and parameters. import.c makes it, net_text.c writes it. */
#ifndef CVM_ONNX_NET_H
#define CVM_ONNX_NET_H

#include "compiler/graph/layer.h"
#include "compiler/onnx/model.h"
#include "runtime/dataset.h"

enum { CVM_ONNX_MAX_PARAMETERS = 4 };

/* Values are counted: 0 is the picture, i + 1 what layer i gives. */
typedef struct CvmOnnxLayer {
    CvmOp op;
    CvmArgument arguments[CVM_MAX_ARGUMENTS]; /* all of the op's, as CvmLayer has them */
    int argument_count;
    int *inputs; /* values: one that flows in, or one for each tensor argument */
    int input_count;
    bool takes_tensors;                                /* as add(a, b) does */
    CvmFileTensor parameters[CVM_ONNX_MAX_PARAMETERS]; /* f32; named "weight", "bias", … */
    int parameter_count;
    CvmNode *output; /* in a graph that was built to infer types */
    int node;        /* of the ONNX graph */
} CvmOnnxLayer;

typedef struct CvmOnnxNet {
    CvmShape picture; /* [c, h, w] */
    CvmOnnxLayer *layers;
    int count, capacity;
    CvmNormalization normalization; /* as the file states it; channels 0: it does not */
    int output;                     /* the value that is the logits */
    const char *softmax; /* the node that would make probabilities of them, which was left out;
                            NULL: there was none */
} CvmOnnxNet;

/* Reads a model's graph: every node that the output needs, with shapes inferred by the layers' own
 * rules. False when there are errors (17xx and 12xx), all of them in diag, each at its node's line.
 */
bool cvm_onnx_read_net(CvmOnnxModel *model, CvmArena *arena, CvmOnnxNet *net, CvmDiag *diag);

/* How the text calls things. */
typedef struct CvmOnnxNames {
    const char *model;   /* "Vgg16" */
    const char *origin;  /* "vgg16.onnx (pytorch 2.6.0)" */
    const char *file;    /* "vgg16.cvm" */
    const char *weights; /* "vgg16.safetensors" */
} CvmOnnxNames;

/* The net as a .cvm text, in the arena. order: the layers in the order in which the text has them,
 * as many as *written; of net->count ints. */
char *cvm_onnx_net_text(const CvmOnnxNet *net, const CvmOnnxNames *names, CvmArena *arena,
                        int *order, int *written);

#endif
