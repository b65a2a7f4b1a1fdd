/* Files are written whole or not at all, whatever the disk or the folder says. */
#include "runtime/atomic_file.h"

#include "tests/support/temporary.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static bool write_text(const char *path, const char *text, CvmError *error) {
    CvmAtomicFile file;
    if (!cvm_atomic_file_open(path, &file, error))
        return false;
    cvm_atomic_file_write(&file, text, strlen(text));
    return cvm_atomic_file_commit(&file, error);
}

static void expect_content(const char *path, const char *text) {
    size_t size;
    char *bytes = temporary_read(path, &size);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(bytes, text, size);
    free(bytes);
}

static void test_old_or_new_but_never_a_part(void **state) {
    CvmError error = {0};
    CvmAtomicFile file;
    const char *path = temporary_path(state, "a");
    assert_true(write_text(path, "old", &error));
    expect_content(path, "old");
    assert_true(cvm_atomic_file_open(path, &file, &error));
    cvm_atomic_file_write(&file, "ne", 2);
    expect_content(path, "old");
    cvm_atomic_file_write(&file, "w", 1);
    assert_true(cvm_atomic_file_commit(&file, &error));
    expect_content(path, "new");
    assert_int_equal(temporary_count(state), 1);
}

static void test_abandoned_leaves_no_trace(void **state) {
    CvmError error = {0};
    CvmAtomicFile file;
    assert_true(cvm_atomic_file_open(temporary_path(state, "a"), &file, &error));
    cvm_atomic_file_write(&file, "x", 1);
    cvm_atomic_file_abandon(&file);
    assert_int_equal(temporary_count(state), 0);
}

static void test_two_writers_do_not_meet(void **state) {
    CvmError error = {0};
    CvmAtomicFile one, two;
    const char *path = temporary_path(state, "a");
    assert_true(cvm_atomic_file_open(path, &one, &error));
    assert_true(cvm_atomic_file_open(path, &two, &error));
    cvm_atomic_file_write(&one, "one", 3);
    cvm_atomic_file_write(&two, "two", 3);
    assert_true(cvm_atomic_file_commit(&two, &error));
    assert_true(cvm_atomic_file_commit(&one, &error));
    expect_content(path, "one");
    assert_int_equal(temporary_count(state), 1);
}

static void test_the_umask_holds(void **state) {
    CvmError error = {0};
    struct stat status;
    mode_t before = umask(027);
    assert_true(write_text(temporary_path(state, "a"), "x", &error));
    umask(before);
    assert_int_equal(stat(temporary_path(state, "a"), &status), 0);
    assert_int_equal(status.st_mode & 0777, 0640);
}

static void test_a_replaced_file_keeps_its_permissions(void **state) {
    CvmError error = {0};
    struct stat status;
    const char *path = temporary_path(state, "a");
    assert_true(write_text(path, "old", &error));
    assert_int_equal(chmod(path, 0660), 0);
    assert_true(write_text(path, "new", &error));
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0660);
    expect_content(path, "new");
}

static void test_links_stay_and_lead_to_the_new_file(void **state) {
    CvmError error = {0};
    struct stat status;
    const char *path = temporary_path(state, "a"), *link = temporary_path(state, "b");
    assert_true(write_text(path, "old", &error));
    assert_int_equal(symlink("a", link), 0);
    assert_true(write_text(link, "new", &error));
    assert_int_equal(lstat(link, &status), 0);
    assert_true(S_ISLNK(status.st_mode));
    expect_content(path, "new");
    assert_int_equal(temporary_count(state), 2);
}

static void expect_refused(const char *path, const char *sentence) {
    CvmError error = {0};
    assert_false(write_text(path, "x", &error));
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    if (!strstr(error.message, path) || !strstr(error.message, sentence))
        fail_msg("'%s' lacks '%s'", error.message, sentence);
}

static void test_impossible_places_are_refused(void **state) {
    temporary_write(temporary_path(state, "file"), "x", 1);
    expect_refused(temporary_path(state, "missing/a"), "No such file or directory");
    expect_refused(temporary_path(state, "file/a"), "Not a directory");
    expect_refused(*state, "it is a folder");
    expect_refused("/dev/full", "not a regular file");
    expect_refused("", "No such file or directory");
    assert_int_equal(temporary_count(state), 1);
}

static void test_a_protected_file_is_not_replaced(void **state) {
    const char *path = temporary_path(state, "a");
    temporary_write(path, "old", 3);
    assert_int_equal(chmod(path, 0444), 0);
    if (access(path, W_OK) == 0)
        skip(); /* nothing is protected from this user */
    expect_refused(path, "Permission denied");
    expect_content(path, "old");
}

/* A file size limit stands for a full disk: writes fail in the same place. */
static void test_a_full_disk_leaves_the_old_file(void **state) {
    CvmError error = {0};
    struct rlimit before, tight;
    char block[5000];
    const char *path = temporary_path(state, "a");
    memset(block, 'x', sizeof block - 1);
    block[sizeof block - 1] = '\0';
    assert_true(write_text(path, "old", &error));
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    tight = before;
    tight.rlim_cur = 4000;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &tight), 0);
    bool small = write_text(path, block, &error); /* fails when the stream is flushed */
    CvmAtomicFile file;
    assert_true(cvm_atomic_file_open(path, &file, &error));
    for (int i = 0; i < 100; i++) /* fails while writing */
        cvm_atomic_file_write(&file, block, sizeof block);
    bool large = cvm_atomic_file_commit(&file, &error);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    signal(SIGXFSZ, SIG_DFL);
    assert_false(small);
    assert_false(large);
    assert_int_equal(error.kind, CVM_ERROR_MACHINE);
    assert_non_null(strstr(error.message, "File too large"));
    expect_content(path, "old");
    assert_int_equal(temporary_count(state), 1);
}

#define WITH_FOLDER(test) cmocka_unit_test_setup_teardown(test, temporary_setup, temporary_teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_FOLDER(test_old_or_new_but_never_a_part),
        WITH_FOLDER(test_abandoned_leaves_no_trace),
        WITH_FOLDER(test_two_writers_do_not_meet),
        WITH_FOLDER(test_the_umask_holds),
        WITH_FOLDER(test_a_replaced_file_keeps_its_permissions),
        WITH_FOLDER(test_links_stay_and_lead_to_the_new_file),
        WITH_FOLDER(test_impossible_places_are_refused),
        WITH_FOLDER(test_a_protected_file_is_not_replaced),
        WITH_FOLDER(test_a_full_disk_leaves_the_old_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
