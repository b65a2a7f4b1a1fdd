/* What build functions of ops ask of the layer they are handed; see compiler/graph/layer.h. */
#include "compiler/graph/layer.h"

#include <stdlib.h>
#include <string.h>

const CvmArgument *cvm_layer_argument(const CvmLayer *layer, const char *name) {
    for (int i = 0; i < layer->argument_count; i++)
        if (!strcmp(layer->arguments[i].name, name))
            return &layer->arguments[i];
    abort(); /* the signature in ops.def has no such argument: a bug in the op's file */
}

CvmNode *cvm_layer_parameter(CvmLayer *layer, const char *name, CvmShape shape, double bound,
                             double fill) {
    int64_t count;
    if (!cvm_shape_count(&shape, &count) || count > (int64_t)1 << 40) {
        cvm_diag_error(layer->diag, 1249, layer->origin.span, layer->origin.uses, NULL,
                       "the %s of %s would have more than 2^40 elements", name, layer->origin.name);
        return NULL;
    }
    CvmOrigin origin = layer->origin;
    origin.name = cvm_arena_format(layer->graph->arena, "%s.%s", layer->origin.name, name);
    return cvm_graph_parameter(layer->graph, "weight", shape, bound, fill, origin);
}

CvmNode *cvm_layer_add(CvmLayer *layer, CvmOp op, CvmNode *const *inputs, int input_count,
                       const CvmAttribute *attributes) {
    return cvm_graph_add(layer->graph, op, inputs, input_count, attributes, layer->origin,
                         layer->diag);
}
