/* See weights.h. Each tensor of the file is given to the parameter it is for; then each parameter
 * is checked and taken. What does not fit is collected, so that all of it is told at once. */
#include "compiler/driver/weights.h"

#include "compiler/driver/report.h"
#include "compiler/front/name_map.h"
#include "compiler/plan_builder.h"
#include "runtime/safetensors.h"
#include "runtime/text.h"

#include <string.h>

enum { MAX_LISTED = 20 };

/* A list of facts for a message. */
typedef struct Findings {
    CvmArena *arena;
    const char *text;
    int count;
} Findings;

/* A parameter of the model and the tensor of the file that is for it. */
typedef struct Parameter {
    CvmSlot slot;
    const CvmFileTensor *tensor; /* NULL: none */
    bool excepted;               /* starts as the model says */
} Parameter;

typedef struct Taking {
    CvmSession *session;
    const char *path;
    const CvmNameMap *names; /* what the file calls the tensors; NULL: as the model does */
    const CvmTrain *train;   /* whose `except` counts; NULL: nothing is excepted */
    bool in_place;           /* parameters may stay in the file's mapping */
    const CvmTensorFile *file;
    Parameter *parameters;
    int count;
    Findings findings;
} Taking;

bool cvm_weights_are_named(const char *command, const CvmOptions *options) {
    if (options->checkpoint && options->weights)
        cvm_report_error("--checkpoint and --weights both say where the weights are; give one");
    else if (!options->checkpoint && !options->weights)
        cvm_report_error("%s needs --checkpoint PATH, a file that cvmc train wrote, or --weights "
                         "PATH, any other safetensors file",
                         command);
    else if (options->names && !options->weights)
        cvm_report_error("--names tells what the file of --weights calls its tensors; give both");
    else
        return true;
    return false;
}

static void find(Findings *findings, const char *line) {
    if (findings->count++ < MAX_LISTED)
        findings->text = cvm_arena_format(findings->arena, "%s\n  %s", findings->text, line);
}

static const char *more_text(const Findings *findings) {
    return findings->count > MAX_LISTED
               ? cvm_arena_format(findings->arena, "\n  and %d more", findings->count - MAX_LISTED)
               : "";
}

static bool is_excepted(const CvmTrain *train, const char *name) {
    for (int i = 0; train && i < train->weights_except_count; i++)
        if (cvm_pattern_matches(train->weights_except[i], name))
            return true;
    return false;
}

/* --- who is for whom --- */

static bool list_parameters(Taking *taking) {
    CvmSession *session = taking->session;
    CvmGraph *graph = cvm_model_build(session->model, 1, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    taking->parameters =
        cvm_arena_array(session->arena, (size_t)graph->node_count + 1, sizeof *taking->parameters);
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i]->op != CVM_OP_PARAMETER)
            continue;
        Parameter *parameter = &taking->parameters[taking->count++];
        parameter->slot = cvm_slot_of_parameter(graph->nodes[i]);
        parameter->excepted = is_excepted(taking->train, parameter->slot.name);
    }
    return true;
}

static Parameter *find_parameter(const Taking *taking, const char *name) {
    for (int i = 0; i < taking->count; i++)
        if (!strcmp(taking->parameters[i].slot.name, name))
            return &taking->parameters[i];
    return NULL;
}

static void tell_problem(void *context, const char *problem) {
    find(context, problem);
}

/* What each tensor of the file is called in the model; NULL for those that the map ignores. */
static const char **rename_tensors(Taking *taking) {
    CvmArena *arena = taking->session->arena;
    const char **names = cvm_arena_array(arena, (size_t)taking->file->count + 1, sizeof *names);
    const char **own = cvm_arena_array(arena, (size_t)taking->count + 1, sizeof *own);
    for (int i = 0; i < taking->file->count; i++)
        names[i] = taking->file->tensors[i].name;
    for (int i = 0; i < taking->count; i++)
        own[i] = taking->parameters[i].slot.name;
    if (taking->names)
        cvm_rename_tensors(&(CvmRenaming){.map = taking->names,
                                          .parameters = own,
                                          .parameter_count = taking->count,
                                          .names = names,
                                          .count = taking->file->count,
                                          .arena = arena,
                                          .tell = tell_problem,
                                          .context = &taking->findings});
    return names;
}

/* "features.0.weight", or "features.0.weight, as body.conv1.weight," where a map renamed it. */
static const char *full_name(const Taking *taking, const CvmFileTensor *tensor, const char *name) {
    CvmArena *arena = taking->session->arena;
    if (!strcmp(tensor->name, name))
        return cvm_arena_format(arena, "%s", cvm_shown(tensor->name).text);
    return cvm_arena_format(arena, "%s, as %s,", cvm_shown(tensor->name).text,
                            cvm_shown(name).text);
}

/* What no parameter takes: momentum of an earlier training is no concern, nor what `except` names;
 * the rest is a mistake. */
static void leave_over(Taking *taking, const CvmFileTensor *tensor, const char *name) {
    static const char optimizer[] = "optimizer.";
    char shape[128];
    if (strncmp(name, optimizer, sizeof optimizer - 1) == 0 || is_excepted(taking->train, name))
        return;
    find(&taking->findings, cvm_arena_format(taking->session->arena,
                                             "%s %s is left over: the model has no such tensor",
                                             full_name(taking, tensor, name),
                                             cvm_shape_text(&tensor->shape, shape, sizeof shape)));
}

static void give_tensor(Taking *taking, const CvmFileTensor *tensor, const char *name) {
    Parameter *parameter = find_parameter(taking, name);
    if (!parameter) {
        leave_over(taking, tensor, name);
    } else if (parameter->tensor) {
        find(&taking->findings,
             cvm_arena_format(taking->session->arena, "%s and %s are both for %s",
                              cvm_shown(parameter->tensor->name).text, cvm_shown(tensor->name).text,
                              parameter->slot.name));
    } else {
        parameter->tensor = tensor;
    }
}

static void give_tensors(Taking *taking) {
    const char **names = rename_tensors(taking);
    for (int i = 0; i < taking->file->count; i++)
        if (names[i])
            give_tensor(taking, &taking->file->tensors[i], names[i]);
}

static bool is_floating(CvmFileDtype dtype) {
    return dtype == CVM_FILE_F32 || dtype == CVM_FILE_F16 || dtype == CVM_FILE_BF16 ||
           dtype == CVM_FILE_F64;
}

static void check_parameter(Taking *taking, const Parameter *parameter) {
    CvmArena *arena = taking->session->arena;
    const CvmFileTensor *tensor = parameter->tensor;
    const char *name = parameter->slot.name;
    char there[128], here[128];
    cvm_shape_text(&parameter->slot.shape, here, sizeof here);
    if (!tensor)
        find(&taking->findings,
             cvm_arena_format(arena, "%s %s is missing in the file", name, here));
    else if (!cvm_shape_equal(&tensor->shape, &parameter->slot.shape))
        find(&taking->findings,
             cvm_arena_format(arena, "%s is %s in the file, %s in the model",
                              full_name(taking, tensor, name),
                              cvm_shape_text(&tensor->shape, there, sizeof there), here));
    else if (!is_floating(tensor->dtype))
        find(&taking->findings,
             cvm_arena_format(arena, "%s is %s in the file, which holds whole numbers",
                              full_name(taking, tensor, name), cvm_file_dtype_name(tensor->dtype)));
}

/* --- taking --- */

/* The file's data may lie anywhere, and kernels ask for no more than an element's alignment. */
static bool can_be_read_in_place(const Taking *taking, const Parameter *parameter) {
    return taking->in_place && parameter->tensor->dtype == CVM_FILE_F32 &&
           (uintptr_t)parameter->tensor->data % sizeof(float) == 0;
}

/* In pieces, whose pages are given back, so that file and copy are never both in memory whole. */
static bool copy_tensor(const CvmTensorFile *file, const CvmFileTensor *tensor, float *out,
                        CvmError *error) {
    enum { PIECE = 1 << 20 };
    int64_t size = cvm_file_dtype_bytes(tensor->dtype);
    for (int64_t done = 0; done < tensor->bytes; done += PIECE * size) {
        CvmFileTensor piece = *tensor;
        int64_t rest = tensor->bytes - done;
        piece.data = (const char *)tensor->data + done;
        piece.bytes = rest < PIECE * size ? rest : PIECE * size;
        if (!cvm_file_tensor_read_f32(&piece, out + done / size, error))
            return false;
        cvm_tensor_file_release(file, &piece);
    }
    return true;
}

static bool take_parameter(Taking *taking, const Parameter *parameter) {
    CvmSession *session = taking->session;
    CvmError error;
    CvmSlot slot = parameter->slot;
    slot.bound = 0; /* every element is overwritten: draw none */
    slot.fill = 0;
    const void *place = can_be_read_in_place(taking, parameter) ? parameter->tensor->data : NULL;
    CvmStored *stored = cvm_store_add(&session->store, &slot, 0, place, &error);
    if (!stored || (!place && !copy_tensor(taking->file, parameter->tensor, stored->data, &error)))
        return cvm_session_fail(session, &error);
    return true;
}

static bool report_taken(Taking *taking) {
    Findings own = {.arena = taking->session->arena, .text = ""};
    for (int i = 0; i < taking->count; i++)
        if (taking->parameters[i].excepted)
            find(&own, taking->parameters[i].slot.name);
    if (taking->train || taking->session->options->verbose)
        cvm_report_note("weights: %d tensors from %s%s%s%s", taking->count - own.count,
                        taking->path, own.count ? "; these start anew:" : "", own.text,
                        more_text(&own));
    return true;
}

static bool take_tensors(Taking *taking) {
    CvmSession *session = taking->session;
    taking->findings = (Findings){.arena = session->arena, .text = ""};
    if (!list_parameters(taking))
        return false;
    give_tensors(taking);
    for (int i = 0; i < taking->count; i++)
        if (!taking->parameters[i].excepted)
            check_parameter(taking, &taking->parameters[i]);
    if (taking->findings.count)
        return cvm_session_refuse(session, CVM_EXIT_INPUT, "the weights of %s do not fit %s:%s%s",
                                  taking->path, cvm_model_name(session->model),
                                  taking->findings.text, more_text(&taking->findings));
    for (int i = 0; i < taking->count; i++)
        if (!taking->parameters[i].excepted && !take_parameter(taking, &taking->parameters[i]))
            return false;
    return report_taken(taking);
}

/* --- files --- */

/* The option's map, else the one that the train states for its weights, else the predict block's.
 */
static bool choose_names(CvmSession *session, const CvmNameMap **names) {
    const char *wanted = session->options->names, *near;
    *names = session->train ? session->train->names : NULL;
    if (!*names && session->predict)
        *names = session->predict->names;
    if (!wanted)
        return true;
    *names = cvm_program_name_map(session->program, wanted, &near);
    if (*names)
        return true;
    return near ? cvm_session_refuse(session, CVM_EXIT_USAGE,
                                     "%s and its imports have no names '%s'; did you mean '%s'?",
                                     session->file, wanted, near)
                : cvm_session_refuse(session, CVM_EXIT_USAGE,
                                     "%s and its imports have no names '%s'; import "
                                     "\"std/torchvision.cvm\" for torchvision's",
                                     session->file, wanted);
}

bool cvm_session_open_weights(CvmSession *session) {
    CvmError error;
    CvmTensorFile *file = &session->weights; /* closed with the session: parameters lie in it */
    if (!cvm_tensor_file_open(session->options->weights, file, &error))
        return cvm_session_fail(session, &error);
    Taking taking = {
        .session = session, .path = session->options->weights, .in_place = true, .file = file};
    return choose_names(session, &taking.names) && take_tensors(&taking);
}

bool cvm_session_start_weights(CvmSession *session) {
    char found[CVM_PATH_SIZE];
    CvmTensorFile file;
    CvmError error;
    const char *path = session->options->weights;
    if (!path && !session->train->weights)
        return !session->options->names ||
               cvm_session_refuse(session, CVM_EXIT_USAGE,
                                  "--names tells of a weights file, and neither --weights nor the "
                                  "train names one");
    if (!path && !cvm_session_find_file(session, "weights", session->train->weights, found))
        return false;
    path = path ? path : found;
    if (!cvm_tensor_file_open(path, &file, &error))
        return cvm_session_fail(session, &error);
    Taking taking = {.session = session, .path = path, .train = session->train, .file = &file};
    bool done = choose_names(session, &taking.names) && take_tensors(&taking);
    cvm_tensor_file_close(&file);
    return done;
}

/* --- what is prepared from weights --- */

/* Whether calls read the slot, and all that do prepare. */
static bool serves_preparation(const CvmPlan *plan, int slot) {
    bool read = false;
    for (int i = 0; i < plan->call_count; i++)
        for (int k = 0; k < plan->calls[i].buffer_count; k++) {
            const CvmBuffer *buffer = &plan->calls[i].buffers[k];
            if (buffer->space != CVM_SPACE_SLOT || buffer->position != slot)
                continue;
            if (!plan->calls[i].prepares)
                return false;
            read = true;
        }
    return read;
}

void cvm_session_prepare(CvmSession *session, CvmInstance *instance, CvmPool *pool) {
    const CvmPlan *plan = cvm_instance_plan(instance);
    cvm_instance_prepare(instance, pool);
    for (int i = 0; i < plan->slot_count; i++) {
        const CvmStored *stored = cvm_store_find(&session->store, plan->slots[i].name);
        if (!stored || !stored->borrowed || !serves_preparation(plan, i))
            continue;
        for (int k = 0; k < session->weights.count; k++)
            if (session->weights.tensors[k].data == stored->data)
                cvm_tensor_file_release(&session->weights, &session->weights.tensors[k]);
    }
}
