/* See cvm.h. A network is a trainer (runtime/net/train.h) over plans that were compiled into this
 * process: what a shared object of cvmc does, without the file. */
#include "libcvm/cvm.h"

#include "compiler/object/net.h"
#include "runtime/net/internal.h"
#include "runtime/net/train.h"

#include <stdlib.h>
#include <string.h>

#define SAME(name) _Static_assert((int)CVM_##name == (int)CVM_NET_##name, "one numbering")
SAME(OK);
SAME(BAD_ARGUMENT);
SAME(BAD_ORDER);
SAME(NO_MEMORY);
SAME(NO_FILE);
SAME(BAD_WEIGHTS);
SAME(NO_THREADS);
SAME(NOT_A_NUMBER);

struct cvm_network {
    CvmArena *arena;
    CvmNet net;
    cvm_net_trainer *trainer;
};

/* A text while it is compiled. */
typedef struct Compiling {
    const cvm_options *options;
    CvmArena *arena;
    CvmDiag diag;
    CvmProgram *program;
    CvmTrain train;
    CvmNetSettings settings;
} Compiling;

/* The status, with the sentence kept for cvm_message. */
#define FAIL(status, ...) ((cvm_status)cvm_net_fail((cvm_net_status)(status), __VA_ARGS__))

static cvm_status fail_with_diagnostics(const Compiling *compiling, cvm_status status) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return FAIL(CVM_NO_MEMORY, "no memory for messages");
    cvm_diag_print(&compiling->diag, stream);
    fclose(stream);
    FAIL(status, "%s", text);
    free(text);
    return status;
}

/* --- what is compiled --- */

static cvm_status choose_train(Compiling *compiling) {
    const char *wanted = compiling->options->train;
    int count = cvm_program_train_count(compiling->program), index = wanted ? -1 : 0;
    for (int i = 0; wanted && i < count; i++)
        if (strcmp(cvm_program_train(compiling->program, i)->name, wanted) == 0)
            index = i;
    if (index < 0 || (!wanted && count > 1))
        return FAIL(CVM_BAD_ARGUMENT,
                    wanted ? "the text has no train '%s'"
                           : "the text has several trains: options.train chooses",
                    wanted);
    compiling->train = *cvm_program_train(compiling->program, index);
    return CVM_OK;
}

static cvm_status choose_model(Compiling *compiling) {
    const char *wanted = compiling->options->model;
    int count = cvm_program_model_count(compiling->program), index = wanted ? -1 : 0;
    for (int i = 0; wanted && i < count; i++)
        if (strcmp(cvm_model_name(cvm_program_model(compiling->program, i)), wanted) == 0)
            index = i;
    if (count == 0)
        return FAIL(CVM_BAD_ARGUMENT, "the text has no model whose parameters all have defaults");
    if (index < 0 || (!wanted && count > 1))
        return FAIL(CVM_BAD_ARGUMENT,
                    wanted ? "the text has no model '%s'"
                           : "the text has several models: options.model chooses",
                    wanted);
    const CvmModelUse *model = cvm_program_model(compiling->program, index);
    compiling->train = (CvmTrain){.name = cvm_model_name(model),
                                  .model = model,
                                  .loss = "cross_entropy",
                                  .optimizer.kind = CVM_OPTIMIZER_SGD,
                                  .rate.base = 0.01,
                                  .batch = 1,
                                  .accumulate = 1};
    return CVM_OK;
}

static cvm_status choose(Compiling *compiling) {
    const cvm_options *options = compiling->options;
    bool trains = cvm_program_train_count(compiling->program) > 0;
    if (options->model && options->train)
        return FAIL(CVM_BAD_ARGUMENT, "choose a model or a train, not both");
    cvm_status status = options->train || (trains && !options->model) ? choose_train(compiling)
                                                                      : choose_model(compiling);
    if (status)
        return status;
    if (options->batch % compiling->train.accumulate != 0)
        return FAIL(CVM_BAD_ARGUMENT,
                    "options.batch must be a multiple of the train's 'accumulate'");
    if (options->batch)
        compiling->train.batch = (int)options->batch;
    CvmShape input = cvm_model_input(compiling->train.model);
    compiling->settings = (CvmNetSettings){
        .model = compiling->train.model,
        .train = &compiling->train,
        .batch = cvm_train_part(&compiling->train),
        .preparation = {(int)input.sizes[0], (int)input.sizes[1], (int)input.sizes[2], 0, 0, 0, 0,
                        0},
        .cpus = {"native"},
        .cpu_count = 1,
        .compile.cache = options->cache,
        .source = options->name ? options->name : "text",
        .load = true,
    };
    return cvm_pass_choice(options->passes, &compiling->settings.compile.passes, &compiling->diag)
               ? CVM_OK
               : fail_with_diagnostics(compiling, CVM_BAD_ARGUMENT);
}

/* --- compiling --- */

static cvm_status compile(Compiling *compiling, const char *text, cvm_network *network) {
    const cvm_options *options = compiling->options;
    const CvmSource source = {
        .path = options->name ? options->name : "text", .text = text, .length = strlen(text)};
    cvm_diag_init(&compiling->diag, compiling->arena);
    compiling->program = cvm_program_from_source(compiling->arena, &source, NULL,
                                                 options->imports != 0, &compiling->diag);
    if (!compiling->program)
        return fail_with_diagnostics(compiling, CVM_BAD_TEXT);
    cvm_status status = choose(compiling);
    if (status)
        return status;
    if (!cvm_net_compile(&compiling->settings, compiling->arena, &network->net, &compiling->diag))
        return fail_with_diagnostics(compiling, CVM_NO_CODE);
    const cvm_net_options working = {.size = sizeof working, .threads = options->threads};
    return (cvm_status)cvm_net_make_trainer(&network->net.about, NULL, &working, &network->trainer);
}

cvm_status cvm_network_compile(const char *text, const cvm_options *options,
                               cvm_network **compiled) {
    const cvm_options otherwise = {.size = sizeof otherwise};
    options = options ? options : &otherwise;
    if (!text || !compiled)
        return FAIL(CVM_BAD_ARGUMENT, "text and network must not be null");
    if (options->size < sizeof *options || options->batch < 0 || options->batch > INT32_MAX)
        return FAIL(CVM_BAD_ARGUMENT,
                    "options.size must be set to sizeof(options), and batch be a number of images");
    cvm_network *network = calloc(1, sizeof *network);
    if (!network)
        return FAIL(CVM_NO_MEMORY, "no memory for a network");
    network->arena = cvm_arena_create();
    Compiling compiling = {.options = options, .arena = network->arena};
    cvm_status status = compile(&compiling, text, network);
    if (status)
        cvm_network_free(network);
    else
        *compiled = network;
    return status;
}

void cvm_network_free(cvm_network *network) {
    if (!network)
        return;
    cvm_net_trainer_destroy(network->trainer);
    cvm_net_free(&network->net);
    cvm_arena_free(network->arena);
    free(network);
}

/* --- what it is --- */

int cvm_api(void) {
    return CVM_API;
}

const char *cvm_version(void) {
    return CVM_VERSION;
}

const char *cvm_message(void) {
    return cvm_net_message();
}

const char *cvm_network_facts(const cvm_network *network) {
    return network ? network->net.about.facts : NULL;
}

static cvm_status null_network(void) {
    return FAIL(CVM_BAD_ARGUMENT, "network must not be null");
}

cvm_status cvm_network_shape(const cvm_network *network, cvm_shape *shape) {
    if (!network)
        return null_network();
    if (!shape || shape->size < sizeof *shape)
        return FAIL(CVM_BAD_ARGUMENT, "shape must not be null, and its size be set");
    const CvmNetDescription *about = &network->net.about;
    const int64_t *sizes = about->input.sizes;
    *shape =
        (cvm_shape){shape->size, sizes[0], sizes[1], sizes[2], about->classes, about->train_batch};
    return CVM_OK;
}

int cvm_network_parameter_count(const cvm_network *network) {
    return network ? network->net.about.parameter_count : 0;
}

cvm_status cvm_network_parameter_at(const cvm_network *network, int index,
                                    cvm_parameter *parameter) {
    cvm_net_parameter found = {.size = sizeof found};
    if (!network)
        return null_network();
    if (!parameter || parameter->size < sizeof *parameter)
        return FAIL(CVM_BAD_ARGUMENT, "parameter must not be null, and its size be set");
    cvm_net_status status = cvm_net_describe_parameter(&network->net.about, index, &found);
    if (status)
        return (cvm_status)status;
    *parameter = (cvm_parameter){.size = parameter->size,
                                 .name = found.name,
                                 .rank = found.rank,
                                 .elements = found.elements,
                                 .multiplier = found.multiplier};
    memcpy(parameter->shape, found.shape, sizeof parameter->shape);
    return CVM_OK;
}

/* --- what it does --- */

cvm_status cvm_network_run(cvm_network *network, const float *images, size_t count, float *logits,
                           float *probabilities) {
    return network
               ? (cvm_status)cvm_net_predict(network->trainer, images, count, logits, probabilities)
               : null_network();
}

cvm_status cvm_network_get(const cvm_network *network, const char *name, float *values,
                           size_t elements) {
    return network
               ? (cvm_status)cvm_net_trainer_get_parameter(network->trainer, name, values, elements)
               : null_network();
}

cvm_status cvm_network_set(cvm_network *network, const char *name, const float *values,
                           size_t elements) {
    return network
               ? (cvm_status)cvm_net_trainer_set_parameter(network->trainer, name, values, elements)
               : null_network();
}

static cvm_status set_all(cvm_network *network, const CvmStore *weights) {
    cvm_status status = CVM_OK;
    for (int i = 0; !status && i < weights->count; i++) {
        const CvmStored *stored = &weights->tensors[i];
        int64_t elements = 0;
        cvm_shape_count(&stored->shape, &elements);
        status = cvm_network_set(network, stored->name, stored->data, (size_t)elements);
    }
    return status;
}

cvm_status cvm_network_load(cvm_network *network, const char *path) {
    CvmTensorFile file;
    CvmStore weights;
    CvmError error;
    CvmNormalization normalization;
    if (!network || !path)
        return FAIL(CVM_BAD_ARGUMENT, "network and path must not be null");
    if (!cvm_tensor_file_open(path, &file, &error))
        return (cvm_status)cvm_net_fail_with(&error, CVM_NET_BAD_WEIGHTS, CVM_NET_NO_FILE);
    cvm_store_init(&weights);
    cvm_status status =
        (cvm_status)cvm_net_take_weights(&network->net.about, &file, &weights, &normalization);
    if (!status)
        status = set_all(network, &weights);
    cvm_store_free(&weights);
    cvm_tensor_file_close(&file);
    return status;
}

cvm_status cvm_network_save(const cvm_network *network, const char *path) {
    return network ? (cvm_status)cvm_net_save_weights(network->trainer, path) : null_network();
}

cvm_status cvm_network_save_checkpoint(const cvm_network *network, const char *path) {
    return network ? (cvm_status)cvm_net_save_checkpoint(network->trainer, path) : null_network();
}

cvm_status cvm_network_resume(cvm_network *network, const char *path) {
    return network ? (cvm_status)cvm_net_resume(network->trainer, path) : null_network();
}

cvm_status cvm_network_differentiate(cvm_network *network, const float *images,
                                     const int32_t *labels, float *loss) {
    return network ? (cvm_status)cvm_net_gradients(network->trainer, images, labels,
                                                   (size_t)network->net.about.train_batch, loss)
                   : null_network();
}

cvm_status cvm_network_gradient(const cvm_network *network, const char *name, float *values,
                                size_t elements) {
    return network ? (cvm_status)cvm_net_get_gradient(network->trainer, name, values, elements)
                   : null_network();
}

cvm_status cvm_network_learn(cvm_network *network, const float *images, const int32_t *labels,
                             float rate, float *loss) {
    if (!network)
        return null_network();
    cvm_net_status status = cvm_net_set_rate(network->trainer, rate);
    return (cvm_status)(status ? status
                               : cvm_net_step(network->trainer, images, labels,
                                              (size_t)network->net.about.train_batch, loss));
}

cvm_status cvm_network_step(cvm_network *network, float rate, float scale) {
    if (!network)
        return null_network();
    cvm_net_status status = cvm_net_set_rate(network->trainer, rate);
    return (cvm_status)(status ? status : cvm_net_apply(network->trainer, scale));
}

cvm_status cvm_network_discard(cvm_network *network) {
    return network ? (cvm_status)cvm_net_discard(network->trainer) : null_network();
}
