/* The cache of compiled kernels: what is stored comes back, what is damaged does not, the folder
 * stays within its limit, and a second compilation takes everything from it. */
#include "compiler/codegen/cache.h"
#include "compiler/pipeline.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[4096];

static int set_up(void **state) {
    (void)state;
    snprintf(folder, sizeof folder, "%s/cvm-cache-XXXXXX", P_tmpdir);
    return mkdtemp(folder) ? 0 : -1;
}

/* Calls visit(path) for every file of the folder; returns how many there are. */
static int for_files(void (*visit)(const char *path)) {
    DIR *dir = opendir(folder);
    struct dirent *entry;
    int count = 0;
    while (dir && (entry = readdir(dir))) {
        char path[4096 + 300];
        snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        if (entry->d_name[0] == '.')
            continue;
        count++;
        if (visit)
            visit(path);
    }
    if (dir)
        closedir(dir);
    return count;
}

static void delete(const char *path) {
    assert_int_equal(remove(path), 0);
}

static int tear_down(void **state) {
    (void)state;
    for_files(delete);
    return remove(folder);
}

static bool holds(const char *key, const char *object) {
    size_t size;
    char *read = cvm_cache_read(folder, key, &size);
    bool same = read && size == strlen(object) && !memcmp(read, object, size);
    free(read);
    return same;
}

static void flip_last_byte(const char *path) {
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    fseek(file, -1, SEEK_END);
    int byte = fgetc(file);
    fseek(file, -1, SEEK_END);
    fputc(byte ^ 1, file);
    fclose(file);
}

static void cut_short(const char *path) {
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(truncate(path, status.st_size / 2), 0);
}

static void test_entries_come_back(void **state) {
    (void)state;
    cvm_cache_write(folder, "key", "object", 6);
    assert_true(holds("key", "object"));
    assert_false(holds("another key", "object"));
    cvm_cache_write(folder, "key", "newer", 5);
    assert_true(holds("key", "newer"));
    assert_int_equal(for_files(NULL), 1);
}

static void test_damaged_entries_are_ignored(void **state) {
    (void)state;
    cvm_cache_write(folder, "key", "object", 6);
    for_files(flip_last_byte);
    assert_false(holds("key", "object"));
    cvm_cache_write(folder, "key", "object", 6);
    for_files(cut_short);
    assert_false(holds("key", "object"));
    cvm_cache_write(folder, "key", "object", 6);
    assert_true(holds("key", "object"));
}

static void test_a_folder_that_cannot_be_is_no_error(void **state) {
    (void)state;
    size_t size;
    cvm_cache_write("/dev/null/cache", "key", "object", 6);
    assert_null(cvm_cache_read("/dev/null/cache", "key", &size));
    cvm_cache_trim("/dev/null/cache", 0);
}

static void test_trimming_keeps_to_the_limit(void **state) {
    (void)state;
    char object[1000];
    memset(object, 'x', sizeof object);
    for (char key[] = "a"; key[0] <= 'h'; key[0]++)
        cvm_cache_write(folder, key, object, sizeof object);
    assert_int_equal(for_files(NULL), 8);
    cvm_cache_trim(folder, 1 << 20);
    assert_int_equal(for_files(NULL), 8);
    cvm_cache_trim(folder, 3500);
    assert_int_equal(for_files(NULL), 3);
}

/* Kernels compiled, and how many of them were found in the folder. */
static CvmCompileStats compile(void) {
    CvmArena *arena = cvm_arena_create();
    CvmDiag diag;
    cvm_diag_init(&diag, arena);
    CvmOrigin origin = {.name = "x"};
    CvmGraph *graph = cvm_graph_create(arena, "g");
    CvmNode *x = cvm_graph_input(graph, "x", CVM_F32, (CvmShape){2, {3, 20}}, origin);
    CvmNode *y = cvm_graph_add(graph, CVM_OP_TANH, &x, 1, NULL, origin, &diag);
    cvm_graph_output(graph, "y", cvm_graph_add(graph, CVM_OP_SOFTMAX, &y, 1, NULL, origin, &diag));
    CvmCompileOptions options = {.cache = folder};
    assert_true(cvm_pass_choice("default", &options.passes, &diag));
    CvmExecutable *executable = cvm_compile(graph, &options, &diag);
    assert_non_null(executable);
    CvmCompileStats stats = cvm_executable_stats(executable);
    cvm_executable_free(executable);
    cvm_arena_free(arena);
    return stats;
}

static void test_a_second_compilation_is_all_from_the_cache(void **state) {
    (void)state;
    CvmCompileStats first = compile(), second = compile();
    assert_int_equal(first.cached, 0);
    assert_int_equal(second.kernels, first.kernels);
    assert_int_equal(second.cached, second.kernels);
    for_files(flip_last_byte);
    assert_int_equal(compile().cached, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_entries_come_back, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_damaged_entries_are_ignored, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_folder_that_cannot_be_is_no_error, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(test_trimming_keeps_to_the_limit, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_a_second_compilation_is_all_from_the_cache, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
