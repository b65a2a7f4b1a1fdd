/* See random_graph.h. */
#include "tests/support/random_graph.h"

#include "compiler/graph/autodiff.h"
#include "compiler/graph/op.h"
#include "compiler/graph/optimizer.h"

#include <limits.h>
#include <string.h>

int64_t cvm_test_pick(CvmTestRandom *random, int64_t low, int64_t high) {
    random->state += 0x9e3779b97f4a7c15u; /* splitmix64 */
    uint64_t bits = random->state;
    bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
    bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
    return low + (int64_t)((bits ^ bits >> 31) % (uint64_t)(high - low + 1));
}

enum { MAX_KEPT = 64, MAX_PARAMETERS = 32 };

typedef struct Builder {
    CvmTestRandom *random;
    CvmGraph *graph;
    CvmDiag *diag;
    CvmNode *value;          /* the tensor that flows */
    CvmNode *kept[MAX_KEPT]; /* earlier ones, for sums and to be joined */
    int kept_count;
    CvmNode *parameters[MAX_PARAMETERS];
    int parameter_count, layer_count;
} Builder;

static int64_t pick(Builder *builder, int64_t low, int64_t high) {
    return cvm_test_pick(builder->random, low, high);
}

static CvmOrigin origin(Builder *builder, const char *what) {
    return (CvmOrigin){
        .name = cvm_arena_format(builder->graph->arena, "layer%d.%s", builder->layer_count, what)};
}

static void flow(Builder *builder, CvmNode *value) {
    builder->value = value;
    if (value && builder->kept_count < MAX_KEPT)
        builder->kept[builder->kept_count++] = value;
}

static void add(Builder *builder, CvmOp op, CvmNode *other, const CvmAttribute *attributes) {
    CvmNode *inputs[] = {builder->value, other};
    flow(builder, cvm_graph_add(builder->graph, op, inputs, other ? 2 : 1, attributes,
                                origin(builder, cvm_op_info(op)->name), builder->diag));
}

static CvmNode *parameter(Builder *builder, const char *name, CvmShape shape) {
    CvmNode *node =
        cvm_graph_parameter(builder->graph, "weight", shape, 0.5, 0, origin(builder, name));
    if (builder->parameter_count < MAX_PARAMETERS)
        builder->parameters[builder->parameter_count++] = node;
    return node;
}

static void add_bias(Builder *builder) {
    if (pick(builder, 0, 3) == 0)
        return;
    CvmShape shape = {.rank = 1, .sizes = {builder->value->type.shape.sizes[1]}};
    add(builder, CVM_OP_BIAS, parameter(builder, "bias", shape), NULL);
}

/* --- layers --- */

static void add_conv(Builder *builder) {
    const int64_t *x = builder->value->type.shape.sizes;
    int64_t size = pick(builder, 1, 3), pad = pick(builder, 0, 1), stride = pick(builder, 1, 2);
    int64_t dilation = pick(builder, 0, 3) ? 1 : 2, reach = (size - 1) * dilation + 1;
    if (x[2] + 2 * pad < reach || x[3] + pad < reach)
        return;
    int64_t groups = x[1] % 2 == 0 ? pick(builder, 1, 2) : 1;
    CvmShape shape = {.rank = 4,
                      .sizes = {groups * pick(builder, 1, 3), x[1] / groups, size, size}};
    CvmAttribute attributes[] = {{.integers = {stride, stride}},
                                 {.integers = {pad, pad, pad, pick(builder, 0, pad)}},
                                 {.integers = {dilation, dilation}},
                                 {.integers = {groups}}};
    add(builder, CVM_OP_CONV, parameter(builder, "weight", shape), attributes);
    add_bias(builder);
}

static void add_pool(Builder *builder) {
    const int64_t *x = builder->value->type.shape.sizes;
    int64_t size = pick(builder, 1, 3), stride = pick(builder, 1, 3);
    int64_t pad = size > 1 ? pick(builder, 0, 1) : 0;
    if (x[2] < size || x[3] < size)
        return;
    CvmAttribute attributes[] = {{.integers = {size, size}},
                                 {.integers = {stride, stride}},
                                 {.integers = {pad, pick(builder, 0, pad), pad, pad}},
                                 {.integers = {pick(builder, 0, 1)}},
                                 {.integers = {pick(builder, 0, 1)}}};
    add(builder, pick(builder, 0, 1) ? CVM_OP_MAXPOOL : CVM_OP_AVGPOOL, NULL, attributes);
}

/* To fewer pixels, evenly or not; to one. */
static void add_adaptive_pool(Builder *builder) {
    const int64_t *x = builder->value->type.shape.sizes;
    CvmAttribute size = {.integers = {pick(builder, 1, x[2]), pick(builder, 1, x[3])}};
    bool global = pick(builder, 0, 2) == 0;
    add(builder, global ? CVM_OP_GLOBAL_AVGPOOL : CVM_OP_ADAPTIVE_AVGPOOL, NULL,
        global ? NULL : &size);
}

static void add_activation(Builder *builder) {
    static const CvmOp ops[] = {CVM_OP_RELU, CVM_OP_TANH, CVM_OP_SIGMOID, CVM_OP_LEAKY_RELU,
                                CVM_OP_GELU};
    add(builder, ops[pick(builder, 0, 4)], NULL, NULL);
}

static void add_along_channels(Builder *builder) {
    CvmAttribute lrn[] = {{.integers = {pick(builder, 0, 2) * 2 + 1}},
                          {.real = 0.5},
                          {.real = (double)pick(builder, 2, 4) / 4},
                          {.real = 1}};
    static const CvmOp ops[] = {CVM_OP_LRN, CVM_OP_SOFTMAX, CVM_OP_LOG_SOFTMAX};
    CvmOp op = ops[pick(builder, 0, 2)];
    add(builder, op, NULL, op == CVM_OP_LRN ? lrn : NULL);
}

static void add_dropout(Builder *builder) {
    CvmOrigin name = {.name = "random"};
    CvmNode *random = cvm_graph_find_source(builder->graph, "random");
    if (!random)
        random = cvm_graph_input(builder->graph, "random", CVM_I32, (CvmShape){1, {4}}, name);
    CvmAttribute attributes[] = {{.real = 0.25}, {.integers = {pick(builder, 0, 3)}}};
    add(builder, CVM_OP_DROPOUT, random, attributes);
}

static void add_scale(Builder *builder) {
    CvmAttribute factor = {.real = (double)pick(builder, 1, 4) / 2};
    add(builder, CVM_OP_SCALE, NULL, &factor);
}

/* With an earlier value of the same shape, or with itself. */
static void add_sum(Builder *builder) {
    CvmNode *other = builder->value;
    for (int i = 0; i < builder->kept_count; i++)
        if (cvm_shape_equal(&builder->kept[i]->type.shape, &builder->value->type.shape) &&
            pick(builder, 0, 1))
            other = builder->kept[i];
    add(builder, pick(builder, 0, 3) ? CVM_OP_ADD : CVM_OP_MUL, other, NULL);
}

/* Two or three of one height and width behind one another. */
static void add_concat(Builder *builder) {
    const CvmShape *shape = &builder->value->type.shape;
    CvmNode *parts[3] = {builder->value, builder->value, builder->value};
    int count = (int)pick(builder, 2, 3);
    for (int i = 0; i < builder->kept_count; i++) {
        const CvmShape *other = &builder->kept[i]->type.shape;
        CvmShape alike = *other;
        alike.sizes[1] = shape->sizes[1];
        if (cvm_shape_equal(&alike, shape) && other->sizes[1] <= 6 && pick(builder, 0, 1))
            parts[pick(builder, 0, 2)] = builder->kept[i];
    }
    if (shape->sizes[1] <= 6)
        flow(builder, cvm_graph_add(builder->graph, CVM_OP_CONCAT, parts, count, NULL,
                                    origin(builder, "concat"), builder->diag));
}

/* --- batch norm, as in training (statistics of the batch, which the running ones follow) and as
 * frozen --- */

static CvmNode *node(Builder *builder, CvmOp op, CvmNode *a, CvmNode *b,
                     const CvmAttribute *attributes) {
    CvmNode *inputs[] = {a, b};
    return a ? cvm_graph_add(builder->graph, op, inputs, b ? 2 : 1, attributes,
                             origin(builder, cvm_op_info(op)->name), builder->diag)
             : NULL;
}

static CvmNode *running(Builder *builder, const char *name, CvmNode *value) {
    CvmShape channels = {1, {builder->value->type.shape.sizes[1]}};
    CvmNode *old =
        cvm_graph_parameter(builder->graph, "statistic", channels, 0, 1, origin(builder, name));
    const CvmAttribute kept = {.real = 0.75}, taken = {.real = 0.25};
    if (!value)
        return old;
    CvmNode *next = node(builder, CVM_OP_ADD, node(builder, CVM_OP_SCALE, old, NULL, &kept),
                         node(builder, CVM_OP_SCALE, value, NULL, &taken), NULL);
    cvm_graph_update(builder->graph, old->origin.name, next);
    return value;
}

/* The sources' elements are above -1, and so may a running variance be: epsilon keeps it positive.
 */
static void add_batchnorm(Builder *builder) {
    bool learns = pick(builder, 0, 2) > 0;
    CvmNode *x = builder->value, *mean = NULL, *variance = NULL;
    CvmShape channels = {1, {x->type.shape.sizes[1]}};
    if (learns) {
        mean = node(builder, CVM_OP_BATCH_MEAN, x, NULL, NULL);
        variance = node(builder, CVM_OP_BATCH_VARIANCE, x, mean, NULL);
    }
    CvmNode *operands[] = {
        x, parameter(builder, "scale", channels), parameter(builder, "shift", channels),
        running(builder, "running_mean", mean), running(builder, "running_variance", variance)};
    const CvmAttribute epsilon = {.real = 1.5};
    flow(builder, cvm_graph_add(builder->graph, CVM_OP_BATCHNORM, operands, 5, &epsilon,
                                origin(builder, "batchnorm"), builder->diag));
}

static void add_zero(Builder *builder) {
    CvmNode *zero =
        cvm_graph_constant(builder->graph, builder->value->type.shape, 0, origin(builder, "zero"));
    add(builder, CVM_OP_ADD, zero, NULL);
}

static void add_linear(Builder *builder) {
    CvmShape shape = {.rank = 2,
                      .sizes = {pick(builder, 2, 5), builder->value->type.shape.sizes[1]}};
    add(builder, CVM_OP_LINEAR, parameter(builder, "weight", shape), NULL);
    add_bias(builder);
}

typedef void (*Layer)(Builder *builder);

static void add_layers(Builder *builder, const Layer *layers, int count, int64_t wanted) {
    for (int64_t i = 0; i < wanted && builder->value; i++) {
        builder->layer_count++;
        layers[pick(builder, 0, count - 1)](builder);
    }
}

/* --- the way back --- */

static bool add_loss(Builder *builder, CvmNode **loss) {
    CvmGraph *graph = builder->graph;
    builder->layer_count++;
    add_linear(builder);
    if (!builder->value)
        return false;
    CvmShape labels = {.rank = 1, .sizes = {builder->value->type.shape.sizes[0]}};
    CvmNode *target =
        cvm_graph_input(graph, "target", CVM_I32, labels, (CvmOrigin){.name = "target"});
    const CvmLoss chosen = {"cross_entropy", pick(builder, 0, 1) ? 0.1 : 0};
    *loss = cvm_loss_build(graph, &chosen, builder->value, target, (CvmOrigin){.name = "loss"},
                           builder->diag);
    if (!*loss)
        return false;
    cvm_graph_output(graph, "loss", *loss);
    if (pick(builder, 0, 2) == 0)
        cvm_graph_output(graph, "logits", builder->value);
    if (pick(builder, 0, 2) == 0)
        cvm_graph_output(graph, "inner", builder->kept[pick(builder, 0, builder->kept_count - 1)]);
    return true;
}

static CvmOptimizer draw_optimizer(Builder *builder) {
    return (CvmOptimizer){
        .kind = pick(builder, 0, 2) ? CVM_OPTIMIZER_SGD : (CvmOptimizerKind)pick(builder, 0, 2),
        .momentum = pick(builder, 0, 1) ? 0.9 : 0,
        .nesterov = pick(builder, 0, 3) == 0,
        .mean_keep = 0.9,
        .square_keep = 0.99,
        .epsilon = 1e-3,
        .trust = 0.1,
        .decay = pick(builder, 0, 1) ? 0.01 : 0,
        .decoupled = pick(builder, 0, 3) == 0,
    };
}

static bool add_updates(Builder *builder, CvmNode *loss) {
    CvmNode *wanted[MAX_PARAMETERS], *gradients[MAX_PARAMETERS];
    int count = 0;
    for (int i = 0; i < builder->parameter_count; i++)
        if (pick(builder, 0, 5) > 0) /* else frozen */
            wanted[count++] = builder->parameters[i];
    CvmNode *rate = cvm_graph_input(builder->graph, "rate", CVM_F32, (CvmShape){0},
                                    (CvmOrigin){.name = "rate"});
    CvmOptimizer optimizer = draw_optimizer(builder);
    if (!cvm_autodiff(builder->graph, loss, wanted, count, gradients, builder->diag))
        return false;
    if (pick(builder, 0, 4) == 0 &&
        !cvm_clip_gradients(builder->graph, gradients, count, NULL, 0.5, builder->diag))
        return false;
    for (int i = 0; i < count; i++)
        if (gradients[i] && !cvm_add_update(builder->graph, &optimizer, wanted[i], gradients[i],
                                            rate, pick(builder, 0, 1) ? 1 : 0.1, builder->diag))
            return false;
    return true;
}

CvmGraph *cvm_test_random_graph(CvmTestRandom *random, CvmArena *arena, CvmDiag *diag) {
    static const Layer on_pictures[] = {
        add_conv,          add_conv,           add_conv,    add_pool,      add_pool,
        add_adaptive_pool, add_activation,     add_scale,   add_sum,       add_zero,
        add_concat,        add_along_channels, add_dropout, add_batchnorm, add_batchnorm};
    static const Layer on_vectors[] = {add_linear, add_activation,     add_sum,     add_scale,
                                       add_concat, add_along_channels, add_dropout, add_batchnorm};
    CvmGraph *graph = cvm_graph_create(arena, "random");
    Builder builder = {.random = random, .graph = graph, .diag = diag};
    CvmShape image = {.rank = 4,
                      .sizes = {pick(&builder, 0, 3) ? pick(&builder, 1, 4) * 2 : 16,
                                pick(&builder, 1, 3), pick(&builder, 3, 9), pick(&builder, 3, 9)}};
    flow(&builder, cvm_graph_input(graph, "image", CVM_F32, image, (CvmOrigin){.name = "image"}));
    add_layers(&builder, on_pictures, sizeof on_pictures / sizeof *on_pictures,
               pick(&builder, 1, 8));
    if (builder.value)
        add(&builder, CVM_OP_FLATTEN, NULL, NULL);
    add_layers(&builder, on_vectors, sizeof on_vectors / sizeof *on_vectors, pick(&builder, 0, 4));
    CvmNode *loss;
    if (!builder.value || !add_loss(&builder, &loss) || !add_updates(&builder, loss))
        return NULL;
    return graph;
}

CvmPassChoice cvm_test_random_passes(CvmTestRandom *random) {
    CvmPassChoice choice = {.count = 0};
    int count;
    cvm_passes(&count);
    int64_t kind = cvm_test_pick(random, 0, 7);
    for (int i = 0; i < count; i++) {
        if (kind == 0 || (kind > 1 && cvm_test_pick(random, 0, 3) > 0))
            choice.order[choice.count++] = i;
        choice.limits[i] =
            kind > 5 && cvm_test_pick(random, 0, 1) ? (int)cvm_test_pick(random, 0, 6) : INT_MAX;
    }
    if (kind > 4) /* any order */
        for (int i = choice.count - 1; i > 0; i--) {
            int other = (int)cvm_test_pick(random, 0, i), row = choice.order[i];
            choice.order[i] = choice.order[other];
            choice.order[other] = row;
        }
    return choice;
}
