/* cvmc fmt: the canonical layout. Files are formatted where they are, one by one and none that has
 * syntax errors; imports are not followed. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/front/format.h"
#include "runtime/atomic_file.h"

#include <errno.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

typedef struct Task {
    const CvmOptions *options;
    const char *file; /* as it is called in messages */
    bool is_stdin;
    const CvmSource *source;
    CvmFormatted formatted;
    CvmDiag diag;
} Task;

static bool read_and_format(Task *task, CvmArena *arena) {
    CvmSpan nowhere = {0};
    task->source = task->is_stdin
                       ? cvm_source_read_stream(arena, stdin, task->file, nowhere, &task->diag)
                       : cvm_source_read(arena, task->file, nowhere, &task->diag);
    return task->source && cvm_format(arena, task->source, &task->formatted, &task->diag);
}

static bool replace_file(const Task *task, CvmError *error) {
    CvmAtomicFile file;
    if (!cvm_atomic_file_open(task->file, &file, error))
        return false;
    cvm_atomic_file_write(&file, task->formatted.text, task->formatted.length);
    return cvm_atomic_file_commit(&file, error);
}

/* --- what would change --- */

/* A file without a name that holds a text, to be read from its start; NULL where the disk is full.
 */
static FILE *unnamed_file(const char *text, size_t length) {
    FILE *file = tmpfile();
    if (file && fwrite(text, 1, length, file) == length && fflush(file) == 0 &&
        fseek(file, 0, SEEK_SET) == 0)
        return file;
    if (file)
        fclose(file);
    return NULL;
}

/* The program diff, which prints to this program's stdout; its exit code, or -1. */
static int run_diff(const Task *task, FILE *before, FILE *after) {
    char before_path[32], after_path[32], label[4096];
    snprintf(before_path, sizeof before_path, "/dev/fd/%d", fileno(before));
    snprintf(after_path, sizeof after_path, "/dev/fd/%d", fileno(after));
    snprintf(label, sizeof label, "--label=%s", task->file);
    char *arguments[] = {"diff", "-u", "-a", label, label, before_path, after_path, NULL};
    pid_t child;
    int status;
    fflush(stdout);
    errno = posix_spawnp(&child, "diff", NULL, NULL, arguments, environ);
    if (errno)
        return -1;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static int print_diff(const Task *task) {
    enum { FILES_DIFFER = 1 };
    const CvmFormatted *formatted = &task->formatted;
    FILE *before = unnamed_file(task->source->text, task->source->length);
    FILE *after = unnamed_file(formatted->text, formatted->length);
    int code = before && after ? run_diff(task, before, after) : -1;
    if (before)
        fclose(before);
    if (after)
        fclose(after);
    if (code == FILES_DIFFER)
        return CVM_EXIT_DONE;
    cvm_report_error("the program diff (Debian and Ubuntu: package diffutils) failed");
    return CVM_EXIT_MACHINE;
}

/* --- one file --- */

/* Does with the formatted text what the options say; the exit code. */
static int deliver(const Task *task) {
    const CvmOptions *options = task->options;
    CvmError error;
    bool changed = task->formatted.changed;
    if (options->check || options->diff) {
        int code = changed && options->diff ? print_diff(task) : CVM_EXIT_DONE;
        if (changed && !options->diff && !options->json)
            puts(task->file);
        return changed && options->check && code == CVM_EXIT_DONE ? CVM_EXIT_INPUT : code;
    }
    if (options->to_stdout || task->is_stdin) {
        fwrite(task->formatted.text, 1, task->formatted.length, stdout);
        return CVM_EXIT_DONE;
    }
    if (changed && !replace_file(task, &error)) {
        cvm_report_error("%s", error.message);
        return cvm_exit_code(error.kind);
    }
    if (changed && !options->json)
        printf("%s: formatted\n", task->file);
    else if (!changed && options->verbose)
        cvm_report_note("%s: as it was", task->file);
    return CVM_EXIT_DONE;
}

static int format_file(const CvmOptions *options, const char *file, cJSON *results) {
    CvmArena *arena = cvm_arena_create();
    Task task = {.options = options, .is_stdin = strcmp(file, "-") == 0};
    task.file = task.is_stdin ? "<stdin>" : file;
    cvm_diag_init(&task.diag, arena);
    bool right = read_and_format(&task, arena);
    int code = right                        ? deliver(&task)
               : task.diag.machine_at_fault ? CVM_EXIT_MACHINE
                                            : CVM_EXIT_INPUT;
    if (results) {
        cJSON *result = cJSON_CreateObject();
        cJSON_AddStringToObject(result, "file", task.file);
        cJSON_AddBoolToObject(result, "ok", right && code != CVM_EXIT_MACHINE);
        cJSON_AddBoolToObject(result, "changed", task.formatted.changed);
        cJSON_AddItemToObject(result, "diagnostics", cvm_diagnostics_json(&task.diag));
        cJSON_AddItemToArray(results, result);
    } else {
        cvm_diag_print(&task.diag, stderr);
    }
    cvm_arena_free(arena);
    return code;
}

/* What goes to stdout is text, then, and no JSON. */
static bool prints_text(const CvmOptions *options) {
    bool prints = options->to_stdout;
    for (int i = 0; i < options->argument_count; i++)
        prints |= strcmp(options->arguments[i], "-") == 0;
    return options->diff || (prints && !options->check);
}

int cvm_command_fmt(const CvmOptions *options) {
    if (options->to_stdout && (options->check || options->diff)) {
        cvm_report_error("either --stdout or --check and --diff");
        return CVM_EXIT_USAGE;
    }
    if (options->json && prints_text(options)) {
        cvm_report_error("--json goes with --check and with files that are formatted in place");
        return CVM_EXIT_USAGE;
    }
    cJSON *results = options->json ? cJSON_CreateArray() : NULL;
    int worst = CVM_EXIT_DONE;
    for (int i = 0; i < options->argument_count; i++) {
        int code = format_file(options, options->arguments[i], results);
        worst = code > worst ? code : worst;
    }
    if (results)
        cvm_report_json(results);
    return worst;
}
