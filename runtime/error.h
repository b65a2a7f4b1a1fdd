/* What went wrong, for functions of the runtime. The runtime knows nothing of source text, so an
 * error is a kind (which the command turns into its exit code) and one sentence a person can act
 * on.
 *
 * A function that can fail takes a `CvmError *error` last, returns false (or NULL), and leaves
 * nothing half done. `error` must not be NULL; it is written only on failure. */
#ifndef CVM_RUNTIME_ERROR_H
#define CVM_RUNTIME_ERROR_H

#include <stdbool.h>

typedef enum CvmErrorKind {
    CVM_ERROR_NONE = 0,
    CVM_ERROR_INPUT,   /* a file or value handed to us is wrong: exit code 1 */
    CVM_ERROR_MACHINE, /* memory, disk, permissions, threads: exit code 3 */
} CvmErrorKind;

typedef struct CvmError {
    CvmErrorKind kind;
    char message[1024];
} CvmError;

/* Fills *error with `kind` and a printf-style sentence. Always returns false, so that a failing
 * function can end with `return cvm_error_set(...)`. */
bool cvm_error_set(CvmError *error, CvmErrorKind kind, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
