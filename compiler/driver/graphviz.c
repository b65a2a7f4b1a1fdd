/* See graphviz.h. dot reads a temporary file, so that nothing waits for anything but its answer. */
#include "compiler/driver/graphviz.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NO_PROGRAM = 127 };

char *cvm_graphviz_text(const CvmGraph *graph, const CvmGraph *after, CvmArena *arena) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return "";
    if (after)
        cvm_graph_print_dot_pair(graph, after, stream);
    else
        cvm_graph_print_dot(graph, stream);
    fclose(stream);
    char *kept = cvm_arena_copy(arena, text ? text : "", size);
    free(text);
    return kept;
}

static void run_dot(FILE *input, int output) {
    if (dup2(fileno(input), STDIN_FILENO) >= 0 && dup2(output, STDOUT_FILENO) >= 0)
        execlp("dot", "dot", "-Tsvg", (char *)NULL);
    _exit(NO_PROGRAM);
}

/* All that comes out of the pipe, for free(); NULL when memory or the pipe fails. */
static char *read_all(int pipe) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    char piece[65536];
    ssize_t count = stream ? 1 : -1;
    while (count > 0 || (count < 0 && stream && errno == EINTR))
        if ((count = read(pipe, piece, sizeof piece)) > 0)
            fwrite(piece, 1, (size_t)count, stream);
    if (stream && (fclose(stream) != 0 || count < 0)) {
        free(text);
        text = NULL;
    }
    return text;
}

/* Exit code of the child, and its output. */
static int answer_of(FILE *input, char **output) {
    int ends[2], status = 0;
    *output = NULL;
    if (pipe(ends) != 0)
        return -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        close(ends[0]);
        run_dot(input, ends[1]);
    }
    close(ends[1]);
    if (child > 0)
        *output = read_all(ends[0]);
    close(ends[0]);
    while (child > 0 && waitpid(child, &status, 0) < 0)
        if (errno != EINTR)
            return -1;
    return child > 0 && WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

char *cvm_graphviz_svg(const char *text, CvmArena *arena, CvmError *error) {
    FILE *input = tmpfile();
    char *output = NULL, *kept = NULL;
    int code = -1;
    if (input && fputs(text, input) >= 0 && fflush(input) == 0 && fseek(input, 0, SEEK_SET) == 0)
        code = answer_of(input, &output);
    if (input)
        fclose(input);
    if (code == 0 && output && *output)
        kept = cvm_arena_copy(arena, output, strlen(output));
    else if (code == NO_PROGRAM)
        cvm_error_set(error, CVM_ERROR_MACHINE,
                      "drawing needs Graphviz's program dot, which is not installed "
                      "(Debian and Ubuntu: apt install graphviz)");
    else
        cvm_error_set(error, CVM_ERROR_MACHINE, "Graphviz's program dot failed");
    free(output);
    return kept;
}
