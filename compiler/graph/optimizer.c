/* See optimizer.h. The pointwise nodes of an update fuse into one kernel per parameter, which
 * writes in place. */
#include "compiler/graph/optimizer.h"

/* One parameter's update while it is built; a step that failed leaves NULL behind, and what is
 * built from NULL is NULL. */
typedef struct Update {
    CvmGraph *graph;
    const CvmOptimizer *optimizer;
    CvmNode *parameter;
    CvmDiag *diag;
} Update;

static CvmNode *add(const Update *update, CvmOp op, CvmNode *const *operands, int count,
                    const CvmAttribute *attributes) {
    for (int i = 0; i < count; i++)
        if (!operands[i])
            return NULL;
    return cvm_graph_add(update->graph, op, operands, count, attributes, update->parameter->origin,
                         update->diag);
}

/* A tensor that the optimizer keeps from step to step, as "optimizer.NAME.what". */
static CvmNode *state(const Update *update, const char *what, CvmShape shape) {
    CvmOrigin origin = update->parameter->origin;
    origin.name = cvm_arena_format(update->graph->arena, "optimizer.%s.%s",
                                   update->parameter->origin.name, what);
    return cvm_graph_parameter(update->graph, "optimizer", shape, 0, 0, origin);
}

static CvmNode *store(const Update *update, const CvmNode *old, CvmNode *next) {
    if (next)
        cvm_graph_update(update->graph, old->origin.name, next);
    return next;
}

/* momentum * velocity + (gradient + decay * weight) */
static CvmNode *accelerate(const Update *update, CvmNode *velocity, CvmNode *gradient,
                           double momentum, double decay) {
    CvmNode *operands[] = {velocity, gradient, update->parameter};
    const CvmAttribute attributes[] = {{.real = momentum}, {.real = decay}};
    return add(update, CVM_OP_SGD_MOMENTUM, operands, 3, attributes);
}

static CvmNode *decay(const Update *update, CvmNode *gradient, double factor) {
    return factor == 0 ? gradient : accelerate(update, gradient, gradient, 0, factor);
}

/* --- the directions --- */

/* The decay that belongs to the gradient goes in where momentum reads it. */
static CvmNode *sgd(const Update *update, CvmNode *gradient, double factor) {
    const CvmOptimizer *optimizer = update->optimizer;
    double momentum = optimizer->momentum;
    if (momentum == 0)
        return decay(update, gradient, factor);
    CvmNode *velocity = state(update, "momentum", update->parameter->type.shape);
    CvmNode *next =
        store(update, velocity, accelerate(update, velocity, gradient, momentum, factor));
    return optimizer->nesterov ? accelerate(update, next, gradient, momentum, factor) : next;
}

/* The next value of the moving average called `what`, of `value`. */
static CvmNode *average(const Update *update, const char *what, CvmNode *value, double keep) {
    const CvmAttribute attribute = {.real = keep};
    if (!value)
        return NULL;
    CvmNode *operands[] = {state(update, what, value->type.shape), value};
    return store(update, operands[0], add(update, CVM_OP_MOVING_AVERAGE, operands, 2, &attribute));
}

static CvmNode *adam(const Update *update, CvmNode *gradient) {
    const CvmOptimizer *optimizer = update->optimizer;
    const CvmAttribute epsilon = {.real = optimizer->epsilon};
    CvmNode *both[] = {gradient, gradient};
    CvmNode *square = add(update, CVM_OP_MUL, both, 2, NULL);
    CvmNode *one = cvm_graph_constant(update->graph, (CvmShape){0}, 1, update->parameter->origin);
    CvmNode *operands[] = {
        average(update, "mean", gradient, optimizer->mean_keep),
        average(update, "square", square, optimizer->square_keep),
        average(update, "mean_weight", one, optimizer->mean_keep),
        average(update, "square_weight", one, optimizer->square_keep),
    };
    return add(update, CVM_OP_ADAM_DIRECTION, operands, 4, &epsilon);
}

static CvmNode *square_sum(const Update *update, CvmNode *x) {
    CvmNode *rows = add(update, CVM_OP_SQUARE_SUM, &x, 1, NULL);
    return add(update, CVM_OP_SUM, &rows, 1, NULL);
}

static CvmNode *lars(const Update *update, CvmNode *gradient) {
    const CvmOptimizer *optimizer = update->optimizer;
    if (update->parameter->type.shape.rank < 2)
        return sgd(update, gradient, optimizer->decay);
    const CvmAttribute attributes[] = {{.real = optimizer->trust}, {.real = optimizer->decay}};
    CvmNode *squares[] = {square_sum(update, update->parameter), square_sum(update, gradient)};
    CvmNode *scaled[] = {decay(update, gradient, optimizer->decay),
                         add(update, CVM_OP_LARS_FACTOR, squares, 2, attributes)};
    return sgd(update, add(update, CVM_OP_SCALE_BY, scaled, 2, NULL), 0);
}

static CvmNode *direction(const Update *update, CvmNode *gradient) {
    const CvmOptimizer *optimizer = update->optimizer;
    double decoupled = optimizer->decoupled ? optimizer->decay : 0;
    double coupled = optimizer->decay - decoupled;
    CvmNode *way = NULL;
    switch (optimizer->kind) {
    case CVM_OPTIMIZER_SGD:
        way = sgd(update, gradient, coupled);
        break;
    case CVM_OPTIMIZER_ADAM:
        way = adam(update, decay(update, gradient, coupled));
        break;
    case CVM_OPTIMIZER_LARS:
        return lars(update, gradient);
    }
    return decay(update, way, decoupled);
}

/* Takes the weight's next value into its average. */
static bool keep_average(const Update *update, CvmNode *next) {
    const CvmAttribute keep = {.real = update->optimizer->average};
    if (keep.real == 0 || !next)
        return next != NULL;
    CvmNode *one = cvm_graph_constant(update->graph, (CvmShape){0}, 1, update->parameter->origin);
    CvmNode *operands[] = {state(update, "average", next->type.shape), next,
                           average(update, "average_weight", one, keep.real)};
    return store(update, operands[0], add(update, CVM_OP_AVERAGE_STEP, operands, 3, &keep)) != NULL;
}

bool cvm_add_update(CvmGraph *graph, const CvmOptimizer *optimizer, CvmNode *parameter,
                    CvmNode *gradient, CvmNode *rate, double multiplier, CvmDiag *diag) {
    const Update update = {graph, optimizer, parameter, diag};
    CvmNode *operands[] = {parameter, direction(&update, gradient), rate};
    const CvmAttribute attribute = {.real = multiplier};
    return keep_average(
        &update, store(&update, parameter, add(&update, CVM_OP_SGD_STEP, operands, 3, &attribute)));
}

bool cvm_scale_gradients(CvmGraph *graph, CvmNode **gradients, int count, CvmNode *scale,
                         CvmDiag *diag) {
    for (int i = 0; i < count && scale; i++) {
        if (!gradients[i])
            continue;
        const Update update = {graph, NULL, gradients[i], diag};
        CvmNode *operands[] = {gradients[i], scale};
        gradients[i] = add(&update, CVM_OP_SCALE_BY, operands, 2, NULL);
        if (!gradients[i])
            return false;
    }
    return true;
}

/* Both scales at once, so that no scaled gradient has to be kept for its norm. */
bool cvm_clip_gradients(CvmGraph *graph, CvmNode **gradients, int count, CvmNode *scale,
                        double norm, CvmDiag *diag) {
    CvmNode *total = NULL;
    const CvmAttribute attribute = {.real = norm};
    for (int i = 0; i < count; i++) {
        if (!gradients[i])
            continue;
        const Update update = {graph, NULL, gradients[i], diag};
        CvmNode *both[] = {total, square_sum(&update, gradients[i])};
        total = total ? add(&update, CVM_OP_ADD, both, 2, NULL) : both[1];
        if (!total)
            return false;
    }
    if (!total)
        return true;
    const Update whole = {graph, NULL, total, diag};
    if (scale) {
        CvmNode *square = add(&whole, CVM_OP_MUL, (CvmNode *[]){scale, scale}, 2, NULL);
        total = add(&whole, CVM_OP_MUL, (CvmNode *[]){total, square}, 2, NULL);
    }
    CvmNode *factor = add(&whole, CVM_OP_CLIP_FACTOR, &total, 1, &attribute);
    if (scale)
        factor = add(&whole, CVM_OP_MUL, (CvmNode *[]){factor, scale}, 2, NULL);
    return factor && cvm_scale_gradients(graph, gradients, count, factor, diag);
}
