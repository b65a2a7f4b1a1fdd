/* See error.h. */
#include "runtime/error.h"

#include <stdarg.h>
#include <stdio.h>

bool cvm_error_set(CvmError *error, CvmErrorKind kind, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    error->kind = kind;
    vsnprintf(error->message, sizeof error->message, format, arguments);
    va_end(arguments);
    return false;
}
