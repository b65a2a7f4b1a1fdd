/* See session.h. */
#include "compiler/driver/session.h"

#include "compiler/codegen/cache.h"
#include "compiler/driver/class_names.h"
#include "compiler/driver/report.h"
#include "compiler/plan_builder.h"
#include "compiler/training_graph.h"
#include "runtime/averages.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool cvm_session_fail(CvmSession *session, const CvmError *error) {
    cvm_report_error("%s", error->message);
    session->status = cvm_exit_code(error->kind);
    return false;
}

bool cvm_session_refuse(CvmSession *session, int status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    char *message = cvm_arena_format_list(session->arena, format, arguments);
    va_end(arguments);
    cvm_report_error("%s", message);
    session->status = status;
    return false;
}

bool cvm_session_fail_compile(CvmSession *session) {
    cvm_report_progress_end();
    cvm_diag_print(&session->diag, stderr);
    session->status = session->diag.machine_at_fault ? CVM_EXIT_MACHINE : CVM_EXIT_INPUT;
    return false;
}

/* --- choosing what the command works on --- */

/* "a, b, c" of the names. */
static char *join_names(CvmArena *arena, const char *const *names, int count) {
    char *text = cvm_arena_format(arena, "%s", count ? names[0] : "");
    for (int i = 1; i < count; i++)
        text = cvm_arena_format(arena, "%s, %s", text, names[i]);
    return text;
}

/* The index of the wanted name, of the only one when none is wanted; -1 when refused. */
static int choose(CvmSession *session, const char *kind, const char *wanted,
                  const char *const *names, int count) {
    if (!wanted && count == 1)
        return 0;
    if (!wanted) {
        cvm_session_refuse(session, CVM_EXIT_USAGE,
                           "%s has several %ss (%s); choose with --%s NAME", session->file, kind,
                           join_names(session->arena, names, count), kind);
        return -1;
    }
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], wanted) == 0)
            return i;
    if (count == 0)
        cvm_session_refuse(session, CVM_EXIT_USAGE, "%s has no %s", session->file, kind);
    else
        cvm_session_refuse(session, CVM_EXIT_USAGE, "%s has no %s '%s'; it has %s", session->file,
                           kind, wanted, join_names(session->arena, names, count));
    return -1;
}

/* Of rules that the command line's epochs leave no time for. */
static void note_late_rules(const CvmSession *session) {
    const CvmTrain *train = session->train;
    for (int i = 0; i < train->rule_count; i++)
        if (train->rules[i].epoch >= train->epochs)
            cvm_report_note("'%s' would learn otherwise from epoch %d on, and with --epochs %d the "
                            "training ends before",
                            train->rules[i].pattern, train->rules[i].epoch + 1, train->epochs);
}

static bool choose_train(CvmSession *session, int count) {
    const char **names = cvm_arena_array(session->arena, (size_t)count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = cvm_program_train(session->program, i)->name;
    int index = choose(session, "train", session->options->train, names, count);
    if (index < 0)
        return false;
    session->settings = *cvm_program_train(session->program, index);
    if (session->options->epochs)
        session->settings.epochs = (int)session->options->epochs;
    if (session->options->given & CVM_OPTION_SEED)
        session->settings.seed = session->options->seed;
    session->train = &session->settings;
    note_late_rules(session);
    session->model = session->train->model;
    if (session->train->data->class_names)
        cvm_session_name_classes(session, session->train->data->class_names,
                                 session->train->data->classes);
    return true;
}

static bool choose_model(CvmSession *session, int count) {
    const char **names = cvm_arena_array(session->arena, (size_t)count + 1, sizeof *names);
    for (int i = 0; i < count; i++)
        names[i] = cvm_model_name(cvm_program_model(session->program, i));
    int index = choose(session, "model", session->options->model, names, count);
    if (index < 0)
        return false;
    session->model = cvm_program_model(session->program, index);
    return true;
}

static bool choose_target(CvmSession *session) {
    const CvmOptions *options = session->options;
    int trains = cvm_program_train_count(session->program);
    int models = cvm_program_model_count(session->program);
    if (options->train && options->model)
        return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "choose a --train or a --model, not both");
    if (options->train || (trains > 0 && !options->model))
        return choose_train(session, trains);
    if (!options->model && models > 1 && cvm_program_predict_count(session->program) == 1) {
        session->model = cvm_program_predict(session->program, 0)->model; /* what the file is for */
        return true;
    }
    if (options->model || models > 0)
        return choose_model(session, models);
    return true;
}

static bool choose_compile_options(CvmSession *session) {
    const CvmOptions *options = session->options;
    const char *passes = options->passes ? options->passes : getenv("CVM_PASSES");
    const char *limits = options->pass_limit ? options->pass_limit : getenv("CVM_PASS_LIMIT");
    if (options->memory)
        passes = cvm_arena_format(session->arena, "%s,+recompute", passes ? passes : "default");
    if ((options->given & CVM_OPTION_CPU && !cvm_cpu_known(options->cpu, &session->diag)) ||
        !cvm_pass_choice(passes, &session->compile.passes, &session->diag) ||
        !cvm_pass_limits(limits, &session->compile.passes, &session->diag) ||
        !cvm_convolution_parse(options->conv, &session->compile.convolution, &session->diag) ||
        !cvm_precision_parse(options->precision, &session->compile.precision, &session->diag)) {
        cvm_session_fail_compile(session);
        session->status = CVM_EXIT_USAGE; /* all these came from the command line */
        return false;
    }
    session->compile.memory_limit = options->memory;
    session->compile.cpu = options->cpu;
    session->compile.verbose = options->verbose;
    if (!options->no_cache && cvm_cache_folder(session->cache, sizeof session->cache))
        session->compile.cache = session->cache;
    if (!options->no_tuning)
        session->compile.tuning_folder = session->compile.cache;
    const char *ignored;
    cvm_find_tuning(&session->compile, session->arena, &ignored);
    if (ignored && !options->tune)
        cvm_report_note("warning: %s is damaged, or was measured elsewhere: it is ignored; cvmc "
                        "bench --tune writes a new one",
                        ignored);
    return true;
}

static void begin(CvmSession *session, const CvmOptions *options) {
    *session = (CvmSession){.options = options, .file = options->arguments[0]};
    session->arena = cvm_arena_create();
    cvm_diag_init(&session->diag, session->arena);
    cvm_store_init(&session->store);
}

bool cvm_session_open_graph(CvmSession *session, const CvmOptions *options) {
    const char *ending = strrchr(options->arguments[0], '.');
    if (!ending || strcmp(ending, ".graph") != 0)
        return cvm_session_open(session, options);
    begin(session, options);
    if (options->train || options->model || options->forward || options->batch)
        return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "%s is a graph already: --train, --model, --forward and --batch "
                                  "choose among those of a program",
                                  session->file);
    CvmSource *source =
        cvm_source_read(session->arena, session->file, (CvmSpan){0}, &session->diag);
    session->graph = source ? cvm_graph_parse(session->arena, source, &session->diag) : NULL;
    return session->graph ? choose_compile_options(session) : cvm_session_fail_compile(session);
}

bool cvm_session_open(CvmSession *session, const CvmOptions *options) {
    begin(session, options);
    if (options->raw && !options->checkpoint)
        return cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "--raw is about a checkpoint's weights: give --checkpoint PATH");
    session->program = cvm_program_load(session->arena, session->file, NULL, &session->diag);
    if (!session->program)
        return cvm_session_fail_compile(session);
    cvm_diag_print(&session->diag, stderr); /* warnings */
    cvm_diag_init(&session->diag, session->arena);
    if (!choose_target(session))
        return false;
    if (session->model)
        session->predict = cvm_program_predict_of(session->program, session->model);
    return choose_compile_options(session);
}

void cvm_session_discard_plans(CvmSession *session, int count) {
    while (session->plan_count > count) {
        int last = --session->plan_count;
        cvm_instance_free(session->instances[last]);
        cvm_executable_free(session->executables[last]);
        session->instances[last] = NULL;
    }
}

int cvm_session_close(CvmSession *session) {
    cvm_session_discard_plans(session, 0);
    if (session->pool)
        cvm_pool_free(session->pool);
    cvm_store_free(&session->store);
    cvm_tensor_file_close(&session->weights);
    cvm_arena_free(session->arena);
    return session->status;
}

bool cvm_session_need_train(CvmSession *session) {
    if (session->train)
        return true;
    return cvm_session_refuse(session, CVM_EXIT_INPUT,
                              "%s has no train, which says what data to learn from; see "
                              "docs/language.md",
                              session->file);
}

bool cvm_session_need_model(CvmSession *session) {
    if (session->model)
        return true;
    return cvm_session_refuse(session, CVM_EXIT_INPUT,
                              "%s has no train, and no model whose parameters all have defaults",
                              session->file);
}

/* --- graphs --- */

CvmGraph *cvm_session_graph(CvmSession *session) {
    const CvmOptions *options = session->options;
    if (session->graph)
        return session->graph;
    if (!cvm_session_need_model(session))
        return NULL;
    bool training = session->train && !options->forward;
    int64_t batch = options->batch ? options->batch : training ? cvm_train_part(session->train) : 1;
    CvmGraph *graph =
        training
            ? cvm_training_graph(session->train, batch, session->arena, &session->diag)
            : cvm_inference_graph(session->model, batch, false, session->arena, &session->diag);
    if (!graph)
        cvm_session_fail_compile(session);
    return graph;
}

bool cvm_session_run_passes(CvmSession *session, CvmGraph *graph, CvmPassLog *log) {
    const char *ignored;
    CvmPassContext context = {.diag = &session->diag,
                              .vector_lanes = cvm_target_lanes(session->compile.cpu),
                              .convolution = session->compile.convolution,
                              .precision = session->compile.precision,
                              .tuning =
                                  cvm_find_tuning(&session->compile, session->arena, &ignored),
                              .memory_limit = session->compile.memory_limit,
                              .log = log};
    return cvm_run_passes(&session->compile.passes, &context, graph) ||
           cvm_session_fail_compile(session);
}

bool cvm_session_plan_memory(CvmSession *session, const CvmGraph *graph, CvmMemoryPlan *memory) {
    return cvm_plan_memory(graph, session->arena, memory, &session->diag) ||
           cvm_session_fail_compile(session);
}

/* --- compiling --- */

static void report_compiled(const CvmSession *session, const CvmExecutable *executable,
                            const char *what) {
    if (!session->options->verbose)
        return;
    CvmCompileStats stats = cvm_executable_stats(executable);
    const CvmPlan *plan = cvm_executable_plan(executable);
    char bytes[16];
    cvm_report_note("%s: %d kernels (%d from the cache), %d calls, %sB of memory, %.1f ms", what,
                    stats.kernels, stats.cached, plan->call_count,
                    cvm_amount_text((double)plan->arena_bytes, bytes), stats.seconds * 1e3);
}

/* An instance on the store's tensors, or on their averages where they have some. */
static CvmInstance *instantiate(CvmSession *session, const CvmPlan *plan, bool averages,
                                CvmError *error) {
    CvmStore view;
    cvm_store_init(&view);
    bool done = !averages || cvm_averages_view(&session->store, &view, error);
    CvmInstance *instance =
        done ? cvm_instance_create(plan, averages ? &view : &session->store, error) : NULL;
    cvm_store_free(&view);
    return instance;
}

static CvmInstance *compile(CvmSession *session, CvmGraph *graph, const char *what, bool averages) {
    if (session->plan_count == CVM_SESSION_PLANS)
        abort();
    CvmCompileOptions options = session->compile;
    options.beside = session->executables;
    options.beside_count = session->plan_count;
    CvmExecutable *executable = cvm_compile(graph, &options, &session->diag);
    if (!executable) {
        cvm_session_fail_compile(session);
        return NULL;
    }
    int index = session->plan_count++;
    session->executables[index] = executable;
    report_compiled(session, executable, what);

    const CvmPlan *plan = cvm_executable_plan(executable);
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    if (cvm_store_add_slots(&session->store, plan, seed, &error))
        session->instances[index] = instantiate(session, plan, averages, &error);
    if (!session->instances[index])
        cvm_session_fail(session, &error);
    return session->instances[index];
}

CvmInstance *cvm_session_compile(CvmSession *session, CvmGraph *graph, const char *what) {
    return compile(session, graph, what, false);
}

CvmInstance *cvm_session_compile_averaged(CvmSession *session, CvmGraph *graph, const char *what) {
    return compile(session, graph, what, true);
}

bool cvm_session_add_slots(CvmSession *session, const CvmGraph *graph) {
    CvmArena *arena = session->arena;
    CvmSlot *slots = cvm_arena_array(arena, (size_t)graph->node_count + 1, sizeof *slots);
    CvmPlan plan = {.name = graph->name, .slots = slots};
    CvmError error;
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_PARAMETER)
            slots[plan.slot_count++] = cvm_slot_of_parameter(graph->nodes[i]);
    uint64_t seed = session->train ? session->train->seed : 0;
    return cvm_store_add_slots(&session->store, &plan, seed, &error) ||
           cvm_session_fail(session, &error);
}

CvmInstance *cvm_session_inference(CvmSession *session, int64_t batch, bool with_softmax) {
    CvmGraph *graph =
        cvm_inference_graph(session->model, batch, with_softmax, session->arena, &session->diag);
    if (!graph) {
        cvm_session_fail_compile(session);
        return NULL;
    }
    return cvm_session_compile(session, graph, "inference");
}

CvmInstance *cvm_session_training(CvmSession *session, int64_t batch) {
    CvmGraph *graph = cvm_training_graph(session->train, batch, session->arena, &session->diag);
    if (!graph) {
        cvm_session_fail_compile(session);
        return NULL;
    }
    return cvm_session_compile(session, graph, "training step");
}

CvmPool *cvm_session_pool(CvmSession *session) {
    CvmError error;
    if (!session->pool) {
        session->pool = cvm_pool_create((int)session->options->threads, &error);
        if (!session->pool)
            cvm_session_fail(session, &error);
    }
    return session->pool;
}

bool cvm_session_reads_ahead(CvmSession *session) {
    const CvmPool *pool = cvm_session_pool(session);
    return pool && cvm_pool_processors() > cvm_pool_threads(pool);
}

bool cvm_session_model_hash(CvmSession *session, uint64_t *hash) {
    CvmGraph *graph = cvm_model_build(session->model, 1, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    *hash = cvm_graph_hash(graph);
    return true;
}

void cvm_session_take_history(CvmSession *session, CvmCheckpointInfo *info) {
    cvm_history_read(info->history ? info->history : "", session->arena, &session->history);
    free(info->history);
    info->history = NULL;
}

bool cvm_session_load_checkpoint(CvmSession *session, CvmCheckpointInfo *info) {
    uint64_t hash;
    CvmError error;
    if (!cvm_session_model_hash(session, &hash))
        return false;
    if (!cvm_checkpoint_load(
            session->options->checkpoint, &session->store, cvm_model_name(session->model), hash,
            session->options->raw ? CVM_CHECKPOINT_RAW : CVM_CHECKPOINT_WEIGHTS, info, &error))
        return cvm_session_fail(session, &error);
    bool named = cvm_session_take_class_lines(session, session->options->checkpoint, info->classes);
    free(info->classes);
    info->classes = NULL;
    cvm_session_take_history(session, info);
    if (!named)
        return false;
    if (info->normalization.channels != cvm_model_input(session->model).sizes[0])
        return cvm_session_refuse(session, CVM_EXIT_INPUT,
                                  "%s has the mean and deviation of %d channels, and %s takes "
                                  "pictures of %lld",
                                  session->options->checkpoint, info->normalization.channels,
                                  cvm_model_name(session->model),
                                  (long long)cvm_model_input(session->model).sizes[0]);
    return true;
}

/* --- names --- */

void cvm_session_stem(const CvmSession *session, const char *ending, char path[CVM_PATH_SIZE]) {
    const char *slash = strrchr(session->file, '/');
    const char *name = slash ? slash + 1 : session->file;
    size_t length = strlen(name);
    if (length > 4 && strcmp(name + length - 4, ".cvm") == 0)
        length -= 4;
    snprintf(path, CVM_PATH_SIZE, "%.*s%s", (int)length, name, ending);
}

void cvm_session_folder(const CvmSession *session, char path[CVM_PATH_SIZE]) {
    const char *slash = strrchr(session->file, '/');
    if (!slash)
        snprintf(path, CVM_PATH_SIZE, ".");
    else
        snprintf(path, CVM_PATH_SIZE, "%.*s",
                 slash == session->file ? 1 : (int)(slash - session->file), session->file);
}

bool cvm_session_has_file(const CvmSession *session, const char *name, char path[CVM_PATH_SIZE]) {
    char folder[CVM_PATH_SIZE];
    cvm_session_folder(session, folder);
    int length = name[0] == '/' ? snprintf(path, CVM_PATH_SIZE, "%s", name)
                                : snprintf(path, CVM_PATH_SIZE, "%s/%s", folder, name);
    if (length < CVM_PATH_SIZE && access(path, F_OK) == 0)
        return true;
    if (name[0] != '/' && access(name, F_OK) == 0) {
        snprintf(path, CVM_PATH_SIZE, "%s", name);
        return true;
    }
    return false;
}

bool cvm_session_find_file(CvmSession *session, const char *what, const char *name,
                           char path[CVM_PATH_SIZE]) {
    char folder[CVM_PATH_SIZE];
    if (cvm_session_has_file(session, name, path))
        return true;
    cvm_session_folder(session, folder);
    if (name[0] == '/')
        return cvm_session_refuse(session, CVM_EXIT_MACHINE, "there is no %s file %s", what, name);
    if (!strcmp(folder, "."))
        return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                  "the %s file %s is not in the current folder", what, name);
    return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                              "the %s file %s is neither in %s nor in the current folder", what,
                              name, folder);
}

/* Tries by making a file beside it: permissions alone don't tell of read-only or full disks. */
bool cvm_session_check_writable(CvmSession *session, const char *what, const char *path) {
    struct stat status;
    char probe[CVM_PATH_SIZE + 16];
    if (stat(path, &status) == 0 && !S_ISREG(status.st_mode))
        return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                  "the %s can't be written to %s: it is no plain file", what, path);
    snprintf(probe, sizeof probe, "%s.XXXXXX", path);
    int file = mkstemp(probe);
    if (file < 0)
        return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                                  "the %s can't be written to %s: %s; choose another place", what,
                                  path, strerror(errno));
    close(file);
    unlink(probe);
    return true;
}
