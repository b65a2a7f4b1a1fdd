/* A network as a person tells it: one row a layer, from the nodes of its forward graph. */
#ifndef CVM_DRIVER_LAYERS_H
#define CVM_DRIVER_LAYERS_H

#include "compiler/front/program.h"

typedef struct CvmLayerRow {
    const char *name; /* "body.conv1" */
    const char *op;   /* "conv": of its first node */
    CvmShape output;  /* of one picture: [c, h, w] or [features] */
    int64_t parameters;
    double flops; /* for one picture */
    double bytes; /* least memory traffic: what it reads once, plus its output */
    /* Receptive field, in pixels: what part of the picture one output value sees. */
    int64_t field[2];    /* height, width */
    bool field_is_whole; /* everything, from the first linear layer on */
    const char *learner; /* the last of its parameters that can learn; NULL: it has none */
    double rate;         /* the train's multiplier of it: 0 frozen; 1 where there is none */
} CvmLayerRow;

typedef struct CvmLayerTable {
    CvmLayerRow *rows;
    int count;
    int64_t parameters, frozen_parameters;
    double flops, bytes;
} CvmLayerTable;

/* The table of a forward graph at batch 1, in the arena. train: whose rates to show; may be NULL.
 */
CvmLayerTable cvm_layer_table(const CvmGraph *graph, const CvmTrain *train, CvmArena *arena);

#endif
