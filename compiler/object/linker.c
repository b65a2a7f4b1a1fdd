/* See internal.h: the machine's own linker, reached through its C compiler where there is one,
 * which knows where the C library lies, and by its own name otherwise. */
#include "compiler/object/internal.h"

#include <errno.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

typedef struct Program {
    const char *name;
    bool compiler; /* takes what is meant for the linker after -Wl */
} Program;

static const Program programs[] = {
    {"cc", true}, {"gcc", true}, {"clang", true}, {"ld", false}, {"ld.lld", false}};

/* A command line while it is written. */
typedef struct Words {
    const char **list;
    int count;
} Words;

static void add(Words *words, const char *word) {
    words->list[words->count++] = word;
    words->list[words->count] = NULL;
}

/* "{global: lenet5_open; ... local: *;};" */
static const char *write_exports(const CvmLinking *linking, CvmArena *arena, CvmDiag *diag) {
    char *text = cvm_arena_format(arena, "{\nglobal:\n");
    for (int i = 0; i < linking->function_count; i++)
        text =
            cvm_arena_format(arena, "%s  %s_%s;\n", text, linking->prefix, linking->functions[i]);
    text = cvm_arena_format(arena, "%slocal:\n  *;\n};\n", text);
    return cvm_object_put(linking->folder, "exports", text, strlen(text), arena, diag);
}

/* For the linker itself: alone, or in the compiler's words. */
static void add_option(Words *words, bool compiler, CvmArena *arena, const char *option) {
    add(words, compiler ? cvm_arena_format(arena, "-Wl,%s", option) : option);
}

static Words write_command(const CvmLinking *linking, const Program *program, const char *exports,
                           CvmArena *arena) {
    static const char *const options[] = {"--gc-sections", "--build-id=none", "--hash-style=gnu",
                                          "--as-needed"};
    Words words = {.list =
                       cvm_arena_array(arena, (size_t)linking->input_count + 32, sizeof(char *))};
    add(&words, program->name);
    add(&words, "-shared");
    for (size_t i = 0; i < sizeof options / sizeof *options; i++)
        add_option(&words, program->compiler, arena, options[i]);
    add_option(&words, program->compiler, arena,
               cvm_arena_format(arena, "--version-script=%s", exports));
    add_option(&words, program->compiler, arena,
               cvm_arena_format(arena, "-soname=%s", linking->name));
    if (!linking->symbols)
        add_option(&words, program->compiler, arena, "--strip-all");
    static const char *const keywords[] = {"relro", "now", "noexecstack",
#ifndef CVM_SANITIZED /* whose runtime is found in the program */
                                           "defs"
#endif
    };
    for (size_t i = 0; i < sizeof keywords / sizeof *keywords; i++) {
        add(&words, program->compiler ? "-Wl,-z" : "-z");
        add_option(&words, program->compiler, arena, keywords[i]);
    }
    for (int i = 0; i < linking->input_count; i++)
        add(&words, linking->inputs[i]);
    if (linking->blas)
        add(&words, "-lopenblas");
    add(&words, "-lm");
    add(&words, "-lpthread");
    if (!program->compiler)
        add(&words, "-lc");
    add(&words, "-o");
    add(&words, linking->output);
    return words;
}

typedef enum Outcome { LINKED, FAILED, NO_SUCH_PROGRAM } Outcome;

static Outcome run(const Words *words, const char *hint, CvmDiag *diag) {
    pid_t child;
    int status = 0;
    int failed =
        posix_spawnp(&child, words->list[0], NULL, NULL, (char *const *)words->list, environ);
    if (failed == ENOENT || failed == EACCES || failed == ENOTDIR)
        return NO_SUCH_PROGRAM;
    if (failed) {
        cvm_object_fail(diag, 1803, NULL, "cannot start %s: %s", words->list[0], strerror(failed));
        return FAILED;
    }
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return LINKED;
    cvm_object_fail(diag, 1803, hint, "%s could not link the object: its own words are above",
                    words->list[0]);
    return FAILED;
}

bool cvm_object_link(const CvmLinking *linking, CvmArena *arena, CvmDiag *diag) {
    const char *exports = write_exports(linking, arena, diag);
    const char *hint =
        linking->blas ? "--blas needs OpenBLAS to link with (apt install libopenblas-dev)" : NULL;
    if (!exports)
        return false;
    for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
        Words words = write_command(linking, &programs[i], exports, arena);
        Outcome outcome = run(&words, hint, diag);
        if (outcome != NO_SUCH_PROGRAM)
            return outcome == LINKED;
    }
    return cvm_object_fail(diag, 1802,
                           "install a C compiler (apt install gcc) or binutils; --emit obj writes "
                           "what a linker elsewhere needs",
                           "there is no linker on this machine: neither cc, gcc, clang, ld nor "
                           "ld.lld is in the PATH");
}

/* --- archives --- */

/* Runs one of binutils' programs. */
static bool run_tool(Words words, CvmDiag *diag) {
    Outcome outcome = run(&words, NULL, diag);
    return outcome == LINKED ||
           (outcome == NO_SUCH_PROGRAM &&
            cvm_object_fail(diag, 1802,
                            "install binutils; --emit obj writes what is needed elsewhere",
                            "%s is not in the PATH", words.list[0]));
}

bool cvm_object_archive(const CvmLinking *linking, CvmArena *arena, CvmDiag *diag) {
    const char *joined = cvm_arena_format(arena, "%s/%s.o", linking->folder, linking->prefix);
    Words ld = {.list = cvm_arena_array(arena, (size_t)linking->input_count + 8, sizeof(char *))};
    Words objcopy = {
        .list = cvm_arena_array(arena, (size_t)linking->function_count + 8, sizeof(char *))};
    Words ar = {.list = cvm_arena_array(arena, 8, sizeof(char *))};
    add(&ld, "ld");
    add(&ld, "-r");
    for (int i = 0; i < linking->input_count; i++)
        add(&ld, linking->inputs[i]);
    add(&ld, "-o");
    add(&ld, joined);
    add(&objcopy, "objcopy");
    if (!linking->symbols)
        add(&objcopy, "--strip-unneeded");
    for (int i = 0; i < linking->function_count; i++)
        add(&objcopy, cvm_arena_format(arena, "--keep-global-symbol=%s_%s", linking->prefix,
                                       linking->functions[i]));
    add(&objcopy, joined);
    add(&ar, "ar");
    add(&ar, "rcsD"); /* D: no times */
    add(&ar, linking->output);
    add(&ar, joined);
    return run_tool(ld, diag) && run_tool(objcopy, diag) && run_tool(ar, diag);
}
