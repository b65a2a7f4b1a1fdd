/* For end-to-end tests: a temporary folder to work in, and the real command run in it with a time
 * limit, its exit code and everything it printed caught. */
#ifndef CVM_TEST_COMMAND_H
#define CVM_TEST_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* A folder of its own. The command runs in it, with CVM_DATA=<folder>/data and the cache of
 * compiled kernels in <folder>/cache; where the folder has a file "stdin", that is its input. */
typedef struct CvmTestPlace {
    char folder[256];
} CvmTestPlace;

void cvm_test_place_create(CvmTestPlace *place);
void cvm_test_place_remove(CvmTestPlace *place);

typedef struct CvmTestResult {
    int code;        /* exit code; 128 + signal when killed, 124 when out of time */
    char *out, *err; /* stdout and stderr, NUL-terminated */
    double seconds;
} CvmTestResult;

/* Runs $CVMC with the arguments, which end with NULL. */
CvmTestResult cvm_test_cvmc(const CvmTestPlace *place, ...);
void cvm_test_result_free(CvmTestResult *result);

/* Runs it and kills it (SIGKILL) after so many seconds, unless it has ended; its exit code, 137
 * when killed. */
int cvm_test_cvmc_killed(const CvmTestPlace *place, double seconds, ...);

/* Runs it and asserts the exit code, and that stdout and stderr hold the texts (NULL: any). Shows
 * what was printed when they don't. */
void cvm_test_expect(const CvmTestPlace *place, int code, const char *out, const char *err, ...);

/* What commands of the shell, run in the place, print to both streams; asserts that they succeed.
 */
char *cvm_test_shell(const CvmTestPlace *place, const char *commands);

/* Files in the place. Paths are relative to it, and the functions assert success. */
void cvm_test_write(const CvmTestPlace *place, const char *path, const void *bytes, size_t size);
void cvm_test_write_text(const CvmTestPlace *place, const char *path, const char *text);
char *cvm_test_read(const CvmTestPlace *place, const char *path, size_t *size);
bool cvm_test_exists(const CvmTestPlace *place, const char *path);
bool cvm_test_same_bytes(const CvmTestPlace *place, const char *one, const char *other);
void cvm_test_remove(const CvmTestPlace *place, const char *path);

/* Overwrites the second half of every file in and below the folder. */
void cvm_test_damage_files(const CvmTestPlace *place, const char *path);

/* How many entries the folder (relative; "." the place) has: to see that nothing was left behind.
 */
int cvm_test_entry_count(const CvmTestPlace *place, const char *path);

#endif
