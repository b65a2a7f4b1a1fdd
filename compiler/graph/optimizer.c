/* Optimizers as graph nodes: the update of a parameter is a few pointwise nodes, which fuse into
 * one kernel per parameter and write in place. */
#include "compiler/graph/autodiff.h"

bool cvm_add_sgd(CvmGraph *graph, CvmNode *parameter, CvmNode *gradient, CvmNode *rate,
                 double multiplier, double momentum, double decay, CvmDiag *diag) {
    CvmOrigin origin = parameter->origin;
    CvmNode *velocity = gradient;
    if (momentum != 0) {
        origin.name =
            cvm_arena_format(graph->arena, "optimizer.%s.momentum", parameter->origin.name);
        velocity = cvm_graph_parameter(graph, "optimizer", parameter->type.shape, 0, 0, origin);
    }
    if (momentum != 0 || decay != 0) {
        CvmNode *operands[] = {velocity, gradient, parameter};
        CvmAttribute attributes[] = {{.real = momentum}, {.real = decay}};
        CvmNode *next = cvm_graph_add(graph, CVM_OP_SGD_MOMENTUM, operands, 3, attributes,
                                      parameter->origin, diag);
        if (!next)
            return false;
        if (momentum != 0)
            cvm_graph_update(graph, velocity->origin.name, next);
        velocity = next;
    }
    CvmNode *operands[] = {parameter, velocity, rate};
    CvmAttribute attribute = {.real = multiplier};
    CvmNode *weight =
        cvm_graph_add(graph, CVM_OP_SGD_STEP, operands, 3, &attribute, parameter->origin, diag);
    if (weight)
        cvm_graph_update(graph, parameter->origin.name, weight);
    return weight != NULL;
}
