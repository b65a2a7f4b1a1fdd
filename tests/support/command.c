/* See command.h. */
#include "tests/support/command.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>
#include <dirent.h>

enum { TIME_LIMIT_SECONDS = 300, MAX_ARGUMENTS = 32, PATH_SIZE = 1024 };

/* --- the folder --- */

void cvm_test_place_create(CvmTestPlace *place) {
    snprintf(place->folder, sizeof place->folder, "/tmp/cvm-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status;
    (void)kind;
    (void)walk;
    return remove(path);
}

void cvm_test_place_remove(CvmTestPlace *place) {
    nftw(place->folder, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* --- running the command --- */

typedef struct Text {
    char *bytes;
    size_t length, capacity;
} Text;

static bool read_some(int file, Text *text) {
    if (text->length + 4096 + 1 > text->capacity) {
        text->capacity = text->capacity * 2 + 8192;
        text->bytes = realloc(text->bytes, text->capacity);
        assert_non_null(text->bytes);
    }
    ssize_t count = read(file, text->bytes + text->length, 4096);
    if (count > 0)
        text->length += (size_t)count;
    text->bytes[text->length] = 0;
    return count > 0 || (count < 0 && errno == EINTR);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* In the child: never returns. */
static void become_command(const CvmTestPlace *place, const char *const *arguments, int out,
                           int err) {
    char path[PATH_SIZE];
    snprintf(path, sizeof path, "%s/data", place->folder);
    setenv("CVM_DATA", path, 1);
    snprintf(path, sizeof path, "%s/cache", place->folder);
    setenv("XDG_CACHE_HOME", path, 1);
    int in = chdir(place->folder) == 0 ? open("stdin", O_RDONLY) : -1;
    if (in < 0)
        in = open("/dev/null", O_RDONLY);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(err, 2) < 0)
        _exit(127);
    execv(arguments[0], (char *const *)arguments);
    _exit(127);
}

static int wait_for(pid_t child) {
    int status;
    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Gathers both streams until they end; false when out of time. */
static bool gather(int out, int err, Text *out_text, Text *err_text, double deadline) {
    struct pollfd streams[2] = {{.fd = out, .events = POLLIN}, {.fd = err, .events = POLLIN}};
    Text *texts[2] = {out_text, err_text};
    while (streams[0].fd >= 0 || streams[1].fd >= 0) {
        double left = deadline - now();
        if (left <= 0)
            return false;
        poll(streams, 2, (int)(left * 1000) + 1);
        for (int i = 0; i < 2; i++)
            if (streams[i].fd >= 0 && streams[i].revents && !read_some(streams[i].fd, texts[i]))
                streams[i].fd = -1;
    }
    return true;
}

static CvmTestResult run_for(const CvmTestPlace *place, double seconds,
                             const char *const *arguments) {
    int out[2], err[2];
    assert_int_equal(pipe2(out, O_CLOEXEC), 0);
    assert_int_equal(pipe2(err, O_CLOEXEC), 0);
    double start = now();
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        become_command(place, arguments, out[1], err[1]);
    close(out[1]);
    close(err[1]);
    Text out_text = {calloc(1, 1), 0, 1}, err_text = {calloc(1, 1), 0, 1};
    bool in_time = gather(out[0], err[0], &out_text, &err_text, start + seconds);
    if (!in_time)
        kill(child, SIGKILL);
    int code = wait_for(child);
    close(out[0]);
    close(err[0]);
    return (CvmTestResult){in_time ? code : 124, out_text.bytes, err_text.bytes, now() - start};
}

static CvmTestResult run(const CvmTestPlace *place, const char *const *arguments) {
    return run_for(place, TIME_LIMIT_SECONDS, arguments);
}

/* $CVMC and the arguments up to NULL. */
static void list_arguments(const char **arguments, va_list list) {
    arguments[0] = getenv("CVMC");
    if (!arguments[0])
        fail_msg("CVMC must name the command to test");
    int count = 1;
    do {
        assert_true(count < MAX_ARGUMENTS);
        arguments[count] = va_arg(list, const char *);
    } while (arguments[count++]);
}

CvmTestResult cvm_test_cvmc(const CvmTestPlace *place, ...) {
    const char *arguments[MAX_ARGUMENTS];
    va_list list;
    va_start(list, place);
    list_arguments(arguments, list);
    va_end(list);
    return run(place, arguments);
}

int cvm_test_cvmc_killed(const CvmTestPlace *place, double seconds, ...) {
    const char *arguments[MAX_ARGUMENTS];
    va_list list;
    va_start(list, seconds);
    list_arguments(arguments, list);
    va_end(list);
    CvmTestResult result = run_for(place, seconds, arguments);
    int code = result.code == 124 ? 128 + SIGKILL : result.code;
    cvm_test_result_free(&result);
    return code;
}

void cvm_test_result_free(CvmTestResult *result) {
    free(result->out);
    free(result->err);
}

void cvm_test_expect(const CvmTestPlace *place, int code, const char *out, const char *err, ...) {
    const char *arguments[MAX_ARGUMENTS];
    va_list list;
    va_start(list, err);
    list_arguments(arguments, list);
    va_end(list);
    CvmTestResult result = run(place, arguments);
    if (result.code != code || (out && !strstr(result.out, out)) ||
        (err && !strstr(result.err, err))) {
        fprintf(stderr, "cvmc");
        for (int i = 1; arguments[i]; i++)
            fprintf(stderr, " %s", arguments[i]);
        fprintf(stderr,
                "\n  exit code %d, expected %d\n  stdout, expected '%s':\n%s\n  stderr, "
                "expected '%s':\n%s\n",
                result.code, code, out ? out : "", result.out, err ? err : "", result.err);
        fail();
    }
    cvm_test_result_free(&result);
}

char *cvm_test_shell(const CvmTestPlace *place, const char *commands) {
    char line[2 * PATH_SIZE];
    int length = snprintf(line, sizeof line, "cd '%s' && { %s; } 2>&1", place->folder, commands);
    assert_true(length < (int)sizeof line);
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    Text text = {calloc(1, 1), 0, 1};
    while (read_some(fileno(pipe), &text))
        ;
    if (pclose(pipe) != 0)
        fail_msg("%s: %s", commands, text.bytes);
    return text.bytes;
}

/* --- files --- */

static void join(const CvmTestPlace *place, const char *path, char full[PATH_SIZE]) {
    int length = path[0] == '/' ? snprintf(full, PATH_SIZE, "%s", path)
                                : snprintf(full, PATH_SIZE, "%s/%s", place->folder, path);
    assert_true(length < PATH_SIZE);
}

/* Makes the folders that lead to the file. */
static void make_folders(char *full) {
    for (char *slash = strchr(full + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0777);
        *slash = '/';
    }
}

void cvm_test_write(const CvmTestPlace *place, const char *path, const void *bytes, size_t size) {
    char full[PATH_SIZE];
    join(place, path, full);
    make_folders(full);
    FILE *file = fopen(full, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

void cvm_test_write_text(const CvmTestPlace *place, const char *path, const char *text) {
    cvm_test_write(place, path, text, strlen(text));
}

char *cvm_test_read(const CvmTestPlace *place, const char *path, size_t *size) {
    char full[PATH_SIZE];
    join(place, path, full);
    int file = open(full, O_RDONLY);
    if (file < 0)
        fail_msg("%s can't be read", full);
    Text text = {calloc(1, 1), 0, 1};
    while (read_some(file, &text))
        ;
    close(file);
    *size = text.length;
    return text.bytes;
}

bool cvm_test_exists(const CvmTestPlace *place, const char *path) {
    char full[PATH_SIZE];
    join(place, path, full);
    return access(full, F_OK) == 0;
}

bool cvm_test_same_bytes(const CvmTestPlace *place, const char *one, const char *other) {
    size_t one_size, other_size;
    char *one_bytes = cvm_test_read(place, one, &one_size);
    char *other_bytes = cvm_test_read(place, other, &other_size);
    bool same = one_size == other_size && memcmp(one_bytes, other_bytes, one_size) == 0;
    free(one_bytes);
    free(other_bytes);
    return same;
}

void cvm_test_remove(const CvmTestPlace *place, const char *path) {
    char full[PATH_SIZE];
    join(place, path, full);
    assert_int_equal(remove(full), 0);
}

static int damage_entry(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)walk;
    if (kind != FTW_F)
        return 0;
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, (long)status->st_size / 2, SEEK_SET);
    for (long i = (long)status->st_size / 2; i < (long)status->st_size; i++)
        fputc((int)(i * 37 & 0xff), file);
    return fclose(file);
}

void cvm_test_damage_files(const CvmTestPlace *place, const char *path) {
    char full[PATH_SIZE];
    join(place, path, full);
    assert_int_equal(nftw(full, damage_entry, 16, FTW_PHYS), 0);
}

int cvm_test_entry_count(const CvmTestPlace *place, const char *path) {
    char full[PATH_SIZE];
    join(place, path, full);
    DIR *folder = opendir(full);
    if (!folder)
        return 0;
    int count = 0;
    for (struct dirent *entry; (entry = readdir(folder));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    closedir(folder);
    return count;
}
