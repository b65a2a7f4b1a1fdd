/* See weights.h. */
#include "compiler/driver/weights.h"

#include "compiler/driver/report.h"
#include "runtime/safetensors.h"

#include <string.h>
#include <unistd.h>

enum { MAX_LISTED = 20 };

/* What does not fit, collected so that all of it is reported at once. */
typedef struct Findings {
    CvmArena *arena;
    const char *text;
    int count;
} Findings;

static void find(Findings *findings, const char *format, const char *name, const char *detail) {
    if (findings->count++ < MAX_LISTED) {
        const char *line = cvm_arena_format(findings->arena, format, name, detail);
        findings->text = cvm_arena_format(findings->arena, "%s\n  %s", findings->text, line);
    }
}

static bool is_excepted(const CvmTrain *train, const char *name) {
    for (int i = 0; i < train->weights_except_count; i++)
        if (cvm_pattern_matches(train->weights_except[i], name))
            return true;
    return false;
}

static bool find_file(CvmSession *session, char path[CVM_PATH_SIZE]) {
    const char *name = session->train->weights;
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
    return cvm_session_refuse(session, CVM_EXIT_MACHINE,
                              "the weights file %s is neither in %s nor in the current folder",
                              name, name[0] == '/' ? "its place" : folder);
}

static void take_tensor(const CvmTensorFile *file, const CvmStored *stored, Findings *findings) {
    const CvmFileTensor *tensor = cvm_tensor_file_find(file, stored->name);
    if (!tensor) {
        find(findings, "%s is missing in the file%s", stored->name, "");
        return;
    }
    if (!cvm_shape_equal(&tensor->shape, &stored->shape)) {
        char there[96], here[96], detail[256];
        snprintf(detail, sizeof detail, "%s in the file, %s in the model",
                 cvm_shape_text(&tensor->shape, there, sizeof there),
                 cvm_shape_text(&stored->shape, here, sizeof here));
        find(findings, "%s is %s", stored->name, detail);
        return;
    }
    CvmError error;
    if (!cvm_file_tensor_read_f32(tensor, stored->data, &error))
        find(findings, "%s: %s", stored->name, error.message);
}

/* What the file has and the model takes nothing from: momentum of an earlier training is no
 * concern, nor what `except` names; the rest is a mistake. */
static void find_left_over(const CvmSession *session, const CvmTensorFile *file,
                           Findings *findings) {
    static const char optimizer[] = "optimizer.";
    for (int i = 0; i < file->count; i++) {
        const char *name = file->tensors[i].name;
        if (strncmp(name, optimizer, sizeof optimizer - 1) != 0 &&
            !is_excepted(session->train, name) && !cvm_store_find(&session->store, name))
            find(findings, "%s is left over: the model has no such tensor%s", name, "");
    }
}

static bool take_tensors(CvmSession *session, const char *path, const CvmTensorFile *file) {
    Findings findings = {.arena = session->arena, .text = ""};
    Findings own = {.arena = session->arena, .text = ""};
    int taken = 0;
    for (int i = 0; i < session->store.count; i++) {
        const CvmStored *stored = &session->store.tensors[i];
        if (stored->kind == CVM_SLOT_OPTIMIZER)
            continue;
        if (is_excepted(session->train, stored->name)) {
            find(&own, "%s%s", stored->name, "");
            continue;
        }
        take_tensor(file, stored, &findings);
        taken++;
    }
    find_left_over(session, file, &findings);
    if (findings.count)
        return cvm_session_refuse(session, CVM_EXIT_INPUT, "the weights of %s do not fit %s:%s%s",
                                  path, cvm_model_name(session->model), findings.text,
                                  findings.count > MAX_LISTED ? "\n  and more" : "");
    cvm_report_note("weights: %d tensors from %s%s%s%s", taken, path,
                    own.count ? "; these start anew:" : "", own.text,
                    own.count > MAX_LISTED ? "\n  and more" : "");
    return true;
}

bool cvm_session_load_weights(CvmSession *session) {
    char path[CVM_PATH_SIZE];
    CvmTensorFile file;
    CvmError error;
    if (!session->train->weights)
        return true;
    if (!find_file(session, path))
        return false;
    if (!cvm_tensor_file_open(path, &file, &error))
        return cvm_session_fail(session, &error);
    bool done = take_tensors(session, path, &file);
    cvm_tensor_file_close(&file);
    return done;
}

/* --- frozen parameters --- */

static size_t bytes_of(const CvmStored *stored) {
    int64_t count = 0;
    cvm_shape_count(&stored->shape, &count);
    return (size_t)count * cvm_dtype_bytes(stored->dtype);
}

CvmFrozen cvm_frozen_copy(const CvmSession *session) {
    const CvmStore *store = &session->store;
    size_t most = (size_t)store->count;
    CvmFrozen frozen = {
        .tensors = cvm_arena_array(session->arena, most, sizeof *frozen.tensors),
        .copies = cvm_arena_array(session->arena, most, sizeof *frozen.copies),
    };
    for (int i = 0; i < store->count; i++) {
        const CvmStored *stored = &store->tensors[i];
        if (stored->kind == CVM_SLOT_OPTIMIZER ||
            cvm_train_multiplier(session->train, stored->name) != 0)
            continue;
        frozen.tensors[frozen.count] = stored;
        frozen.copies[frozen.count] = cvm_arena_alloc(session->arena, bytes_of(stored));
        memcpy(frozen.copies[frozen.count++], stored->data, bytes_of(stored));
    }
    return frozen;
}

int cvm_frozen_changed(const CvmFrozen *frozen) {
    int changed = 0;
    for (int i = 0; i < frozen->count; i++)
        changed +=
            memcmp(frozen->copies[i], frozen->tensors[i]->data, bytes_of(frozen->tensors[i])) != 0;
    return changed;
}
