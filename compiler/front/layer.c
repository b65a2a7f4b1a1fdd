/* What build functions of ops ask of the layer they are handed; see compiler/graph/layer.h. */
#include "compiler/graph/layer.h"

#include "compiler/front/program.h"

#include <stdlib.h>
#include <string.h>

const CvmArgument *cvm_layer_argument(const CvmLayer *layer, const char *name) {
    for (int i = 0; i < layer->argument_count; i++)
        if (!strcmp(layer->arguments[i].name, name))
            return &layer->arguments[i];
    abort(); /* the signature in ops.def has no such argument: a bug in the op's file */
}

static const char *path_of(const CvmLayer *layer, const char *name) {
    return cvm_arena_format(layer->graph->arena, "%s.%s", layer->origin.name, name);
}

static CvmNode *add_parameter(CvmLayer *layer, const char *kind, const char *name, CvmShape shape,
                              double bound, double fill) {
    int64_t count;
    if (!cvm_shape_count(&shape, &count) || count > (int64_t)1 << 40) {
        cvm_diag_error(layer->diag, 1249, layer->origin.span, layer->origin.uses, NULL,
                       "the %s of %s would have more than 2^40 elements", name, layer->origin.name);
        return NULL;
    }
    CvmOrigin origin = layer->origin;
    origin.name = path_of(layer, name);
    return cvm_graph_parameter(layer->graph, kind, shape, bound, fill, origin);
}

CvmNode *cvm_layer_parameter(CvmLayer *layer, const char *name, CvmShape shape, double bound,
                             double fill) {
    return add_parameter(layer, "weight", name, shape, bound, fill);
}

CvmNode *cvm_layer_statistic(CvmLayer *layer, const char *name, CvmShape shape, double fill) {
    return add_parameter(layer, "statistic", name, shape, 0, fill);
}

bool cvm_layer_learns(const CvmLayer *layer, const char *name) {
    const char *path = name ? path_of(layer, name) : layer->origin.name;
    return layer->train && cvm_train_multiplier(layer->train, path) != 0;
}

CvmNode *cvm_layer_add(CvmLayer *layer, CvmOp op, CvmNode *const *inputs, int input_count,
                       const CvmAttribute *attributes) {
    return cvm_graph_add(layer->graph, op, inputs, input_count, attributes, layer->origin,
                         layer->diag);
}
