/* cvmc import: an ONNX model as a .cvm file and a weights file beside it. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/onnx/convert.h"
#include "runtime/atomic_file.h"
#include "runtime/text.h"

#include <ctype.h>
#include <limits.h>
#include <string.h>

typedef struct Paths {
    char text[PATH_MAX], weights[PATH_MAX];
} Paths;

/* The length of a path without its ending. */
static size_t stem_length(const char *path, const char *ending) {
    size_t length = strlen(path), short_by = strlen(ending);
    bool has = length > short_by && strcmp(path + length - short_by, ending) == 0;
    return has ? length - short_by : length;
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* The output's path, by default that of the input in the current folder; the weights go beside it.
 */
static bool choose_paths(const CvmOptions *options, Paths *paths) {
    const char *input = base_name(options->arguments[0]);
    int length = options->output ? snprintf(paths->text, PATH_MAX, "%s", options->output)
                                 : snprintf(paths->text, PATH_MAX, "%.*s.cvm",
                                            (int)stem_length(input, ".onnx"), input);
    if (length < PATH_MAX)
        length = snprintf(paths->weights, PATH_MAX, "%.*s.safetensors",
                          (int)stem_length(paths->text, ".cvm"), paths->text);
    if (length < PATH_MAX)
        return true;
    cvm_report_error("the output's name is too long");
    return false;
}

/* "vgg16_bn" as "Vgg16Bn": letters and digits, a capital first. */
static const char *model_name(const char *path, CvmArena *arena) {
    const char *base = base_name(path);
    size_t length = stem_length(base, ".cvm"), used = 0;
    char *name = cvm_arena_alloc(arena, length + 4);
    bool capital = true;
    if (!isalpha((unsigned char)base[0]))
        used = (size_t)sprintf(name, "Net");
    for (size_t i = 0; i < length && used < 64; i++) {
        unsigned char letter = (unsigned char)base[i];
        if (letter < 128 && isalnum(letter))
            name[used++] = (char)(capital ? toupper(letter) : letter);
        capital = letter >= 128 || !isalnum(letter);
    }
    return name;
}

static const char *origin(const char *path, const CvmOnnxModel *model, CvmArena *arena) {
    const Onnx__ModelProto *message = model->message;
    const char *producer = message->producer_name ? message->producer_name : "";
    const char *version = message->producer_version ? message->producer_version : "";
    const char *shown = cvm_arena_format(arena, "%s", cvm_shown(base_name(path)).text);
    if (!*producer)
        return shown;
    return cvm_arena_format(arena, "%s (%s%s%s)", shown, cvm_shown(producer).text,
                            *version ? " " : "", cvm_shown(version).text);
}

static bool write_files(const Paths *paths, const CvmOnnxConverted *converted, CvmError *error) {
    CvmAtomicFile file;
    if (!cvm_tensor_file_write(paths->weights, converted->tensors, converted->tensor_count, NULL, 0,
                               error) ||
        !cvm_atomic_file_open(paths->text, &file, error))
        return false;
    cvm_atomic_file_write(&file, converted->text, converted->length);
    return cvm_atomic_file_commit(&file, error);
}

static void report_files(const Paths *paths, const char *model, const CvmOnnxConverted *converted) {
    char count[32];
    int64_t parameters = 0;
    for (int i = 0; i < converted->tensor_count; i++)
        parameters += converted->tensors[i].bytes / 4;
    printf("%s: model %s, %d layers\n", paths->text, model, converted->layer_count);
    printf("%s: %d tensors, %s numbers\n", paths->weights, converted->tensor_count,
           cvm_count_text(parameters, count));
    if (converted->net.softmax)
        cvm_report_note("the %s at its end is left out: a model's output are the logits",
                        converted->net.softmax);
}

static int fail(const CvmError *error) {
    cvm_report_error("%s", error->message);
    return cvm_exit_code(error->kind);
}

static int import(CvmOnnxModel *model, const char *input, const Paths *paths, CvmArena *arena) {
    CvmDiag diag;
    CvmError error;
    CvmOnnxConverted converted;
    CvmOnnxNames names = {
        .model = model_name(paths->text, arena),
        .origin = origin(input, model, arena),
        .file = cvm_arena_format(arena, "%s", cvm_shown(base_name(paths->text)).text),
        .weights = cvm_arena_format(arena, "%s", cvm_shown(base_name(paths->weights)).text),
    };
    cvm_diag_init(&diag, arena);
    if (!cvm_onnx_convert(model, &names, arena, &converted, &diag)) {
        cvm_diag_print(&diag, stderr);
        return diag.machine_at_fault ? CVM_EXIT_MACHINE : CVM_EXIT_INPUT;
    }
    if (!write_files(paths, &converted, &error))
        return fail(&error);
    report_files(paths, names.model, &converted);
    return CVM_EXIT_DONE;
}

int cvm_command_import(const CvmOptions *options) {
    Paths paths;
    CvmError error;
    CvmOnnxModel model;
    const char *input = options->arguments[0];
    if (!choose_paths(options, &paths))
        return CVM_EXIT_USAGE;
    CvmArena *arena = cvm_arena_create();
    int code = CVM_EXIT_DONE;
    if (!cvm_onnx_model_open(input, arena, &model, &error))
        code = fail(&error);
    else
        code = import(&model, input, &paths, arena);
    cvm_onnx_model_close(&model);
    cvm_arena_free(arena);
    return code;
}
