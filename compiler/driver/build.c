/* cvmc build: a model as a shared object with a C header, or as the pieces of one. */
#include "compiler/driver/class_names.h"
#include "compiler/driver/classify.h"
#include "compiler/driver/command.h"
#include "compiler/driver/labels.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"
#include "compiler/object/net.h"
#include "compiler/plan_builder.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Not the name that `cvmc train` has for a checkpoint. */
#define WEIGHTS_BESIDE "%s-weights.safetensors"

/* A model on its way into files. */
typedef struct Building {
    CvmSession session;
    CvmNetSettings settings;
    CvmNet net;
    CvmObject object;
    CvmObjectForm form;
    char path[CVM_PATH_SIZE]; /* of the result, without ending */
} Building;

static bool check_options(const CvmOptions *options) {
    if (options->checkpoint && !options->embed && !options->weights) {
        cvm_report_error("a checkpoint is opened when the object is used; --embed-weights puts it "
                         "into the object");
        return false;
    }
    if (options->embed && options->packed) {
        cvm_report_error("--packed keeps packed weights beside the file that is opened, and with "
                         "--embed-weights there is none");
        return false;
    }
    return (!options->embed && !options->weights && !options->names) ||
           cvm_weights_are_named("build", options);
}

typedef struct Form {
    const char *name, *ending; /* of the file that is written */
} Form;

static const Form forms[] = {
    [CVM_OBJECT_SHARED] = {"so", ".so"}, [CVM_OBJECT_STATIC] = {"static", ".a"},
    [CVM_OBJECT_OBJECT] = {"obj", ".o"}, [CVM_OBJECT_ASM] = {"asm", ".s"},
    [CVM_OBJECT_LLVM] = {"llvm", ".ll"},
};
enum { FORM_COUNT = sizeof forms / sizeof *forms };

static bool choose_form(const char *name, CvmObjectForm *form) {
    *form = CVM_OBJECT_SHARED;
    for (int i = 0; name && i < FORM_COUNT; i++)
        if (strcmp(forms[i].name, name) == 0) {
            *form = (CvmObjectForm)i;
            return true;
        }
    if (!name)
        return true;
    cvm_report_error("--emit takes so, static, obj, asm or llvm, and '%s' is none of them", name);
    return false;
}

static bool choose_path(Building *building) {
    const char *output = building->session.options->output;
    if (!output) {
        cvm_session_stem(&building->session, "", building->path);
        return true;
    }
    size_t length = strlen(output);
    if (length > 3 && strcmp(output + length - 3, ".so") == 0)
        length -= 3;
    if (length == 0 || output[length - 1] == '/' || length >= CVM_PATH_SIZE)
        return cvm_session_refuse(&building->session, CVM_EXIT_USAGE,
                                  "-o needs a name for the object, as lenet5 or out/lenet5");
    snprintf(building->path, CVM_PATH_SIZE, "%.*s", (int)length, output);
    return true;
}

static bool add_cpu(Building *building, const char *name) {
    CvmSession *session = &building->session;
    CvmNetSettings *settings = &building->settings;
    if (!cvm_cpu_known(name, &session->diag)) {
        cvm_session_fail_compile(session);
        session->status = CVM_EXIT_USAGE;
        return false;
    }
    for (int i = 0; i < settings->cpu_count; i++)
        if (cvm_cpu_rank(settings->cpus[i]) == cvm_cpu_rank(name))
            return cvm_session_refuse(session, CVM_EXIT_USAGE, "--cpu names %s twice", name);
    settings->cpus[settings->cpu_count++] = name;
    return true;
}

/* "x86-64-v4,x86-64-v3" */
static bool choose_cpus(Building *building) {
    CvmSession *session = &building->session;
    const char *text = session->options->cpu ? session->options->cpu : "native";
    while (true) {
        size_t length = strcspn(text, ",");
        if (!add_cpu(building, cvm_arena_copy(session->arena, text, length)))
            return false;
        if (!text[length])
            return true;
        text += length + 1;
    }
}

static int best_first(const void *a, const void *b) {
    return cvm_cpu_rank(*(const char *const *)b) - cvm_cpu_rank(*(const char *const *)a);
}

static bool choose_settings(Building *building) {
    CvmSession *session = &building->session;
    CvmNetSettings *settings = &building->settings;
    const char *slash = strrchr(session->file, '/');
    settings->model = session->model;
    settings->batch = session->options->batch ? session->options->batch : 1;
    settings->compile = session->compile;
    settings->compile.lines = session->options->debug;
    settings->compile.blas = session->options->blas;
    settings->packed = session->options->packed;
    settings->source = slash ? slash + 1 : session->file;
    settings->preparation = cvm_session_preparation(session);
    if (session->options->given & CVM_OPTION_TRAINABLE && !session->options->forward) {
        if (!cvm_session_need_train(session))
            return false;
        if (session->options->batch && session->options->batch % session->train->accumulate)
            return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                      "a batch of %lld images cannot be split into the %d equal "
                                      "parts of the train's 'accumulate'",
                                      (long long)session->options->batch,
                                      session->train->accumulate);
        if (session->options->batch)
            session->settings.batch = (int)session->options->batch;
        settings->train = session->train;
        settings->batch = cvm_train_part(session->train); /* to evaluate with */
    }
    if (!choose_cpus(building))
        return false;
    qsort(settings->cpus, (size_t)settings->cpu_count, sizeof *settings->cpus, best_first);
    return true;
}

/* Where the text tells it; else the checkpoint that is opened later has to. */
static bool choose_normalization(Building *building) {
    CvmSession *session = &building->session;
    bool known = session->options->weights || (session->predict && session->predict->normalizes) ||
                 !session->train || session->train->normalize.kind != CVM_NORMALIZE_MEAN_OF_TRAIN;
    return !known || cvm_session_stated_normalization(session, &building->settings.normalization);
}

/* A checkpoint is loaded into a store that has its tensors, and knows how pictures were normalized.
 */
static bool take_checkpoint(Building *building, const CvmGraph *graph) {
    CvmSession *session = &building->session;
    CvmCheckpointInfo info;
    CvmError error;
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i]->op != CVM_OP_PARAMETER)
            continue;
        CvmSlot slot = cvm_slot_of_parameter(graph->nodes[i]);
        if (!cvm_store_add(&session->store, &slot, 0, NULL, &error))
            return cvm_session_fail(session, &error);
    }
    if (!cvm_session_load_checkpoint(session, &info))
        return false;
    building->settings.normalization = info.normalization;
    return true;
}

/* What is embedded, how pixels are normalized, and what the classes are called. */
static bool take_weights(Building *building) {
    CvmSession *session = &building->session;
    CvmGraph *graph = cvm_model_build(session->model, 1, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    const CvmNode *logits = cvm_graph_find_output(graph, "logits");
    if (logits->type.shape.rank != 2)
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s is no classifier, which ends with one number for each class; "
                                  "end the model with flatten and linear(classes)",
                                  cvm_model_name(session->model));
    if (session->options->weights && !cvm_session_open_weights(session))
        return false;
    if (session->options->checkpoint ? !take_checkpoint(building, graph)
                                     : !choose_normalization(building))
        return false;
    return cvm_session_read_labels(session, (int)logits->type.shape.sizes[1]);
}

/* The weights that the options name, under the model's own names. */
static bool write_weights(Building *building, const char *path) {
    CvmSession *session = &building->session;
    const CvmNetDescription *about = &building->net.about;
    CvmError error;
    CvmFileTensor *tensors =
        cvm_arena_array(session->arena, (size_t)about->parameter_count + 1, sizeof *tensors);
    for (int i = 0; i < about->parameter_count; i++) {
        const CvmStored *stored = cvm_store_find(&session->store, about->parameters[i].name);
        int64_t count = 0;
        cvm_shape_count(&stored->shape, &count);
        tensors[i] = (CvmFileTensor){
            .name = stored->name, .shape = stored->shape, .data = stored->data, .bytes = 4 * count};
    }
    return cvm_tensor_file_write(path, tensors, about->parameter_count, NULL, 0, &error) ||
           cvm_session_fail(session, &error);
}

/* In a file for a while, which the object is made of. */
static bool embed_weights(Building *building) {
    CvmSession *session = &building->session;
    struct stat status;
    const char *path =
        cvm_arena_format(session->arena, "%s.weights.%ld", building->path, (long)getpid());
    if (!write_weights(building, path) || stat(path, &status) != 0)
        return false;
    building->object.weights = path;
    building->net.about.weights_bytes = status.st_size;
    return true;
}

static bool write_object(Building *building) {
    CvmSession *session = &building->session;
    const char *slash = strrchr(building->path, '/');
    building->object = (CvmObject){
        .prefix = cvm_object_prefix(slash ? slash + 1 : building->path, session->arena),
        .path = building->path,
        .about = &building->net.about,
        .plan_count = building->net.plan_count,
        .symbols = session->options->debug,
    };
    memcpy(building->object.plans, building->net.plans, sizeof building->object.plans);
    if (session->options->embed && !embed_weights(building))
        return false;
    if (!session->options->embed && session->options->weights &&
        !write_weights(building, cvm_arena_format(session->arena, WEIGHTS_BESIDE, building->path)))
        return false;
    bool done = cvm_object_write(&building->object, building->form, session->arena, &session->diag);
    if (building->object.weights)
        unlink(building->object.weights);
    return done || cvm_session_fail_compile(session);
}

static void report_written(const Building *building) {
    const char *path = building->path;
    const CvmOptions *options = building->session.options;
    bool blas = cvm_plans_call_blas(building->object.plans, building->object.plan_count);
    printf("wrote %s%s and %s.h\n", path, forms[building->form].ending, path);
    if (options->weights && !options->embed)
        printf("and the weights, by the names it knows, in " WEIGHTS_BESIDE "\n", path);
    if (options->blas && !blas)
        cvm_report_note("nothing calls OpenBLAS, which is for large linear layers of 64 pictures "
                        "and more (--batch); generated code is faster for fewer");
    if (building->form >= CVM_OBJECT_OBJECT)
        printf("link it with %s-runtime.o, %s-lm and -lpthread\n", path,
               blas ? "-lopenblas, " : "");
}

static bool build(Building *building) {
    CvmSession *session = &building->session;
    if (!cvm_session_need_model(session) || !choose_settings(building))
        return false;
    if (!choose_path(building) || !take_weights(building))
        return false;
    building->settings.class_names = session->class_names;
    if (!cvm_net_compile(&building->settings, session->arena, &building->net, &session->diag))
        return cvm_session_fail_compile(session);
    bool done = write_object(building);
    if (done)
        report_written(building);
    cvm_net_free(&building->net);
    return done;
}

int cvm_command_build(const CvmOptions *options) {
    Building building = {.path = ""};
    if (!check_options(options) || !choose_form(options->emit, &building.form))
        return CVM_EXIT_USAGE;
    if (cvm_session_open(&building.session, options))
        build(&building);
    return cvm_session_close(&building.session);
}
