/* See internal.h: the last failure of each thread, in words. */
#include "runtime/net/internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static _Thread_local char message[4096]; /* libcvm tells several mistakes of a text at once */

cvm_net_status cvm_net_fail(cvm_net_status status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return status;
}

cvm_net_status cvm_net_fail_with(const CvmError *error, cvm_net_status input,
                                 cvm_net_status machine) {
    return cvm_net_fail(error->kind == CVM_ERROR_INPUT ? input : machine, "%s", error->message);
}

const char *cvm_net_message(void) {
    return message;
}

const char *cvm_net_status_name(cvm_net_status status) {
    static const char *const names[] = {
        [CVM_NET_OK] = "ok",
        [CVM_NET_BAD_ARGUMENT] = "bad argument",
        [CVM_NET_BAD_ORDER] = "bad order",
        [CVM_NET_NO_MEMORY] = "no memory",
        [CVM_NET_NO_FILE] = "no file",
        [CVM_NET_BAD_WEIGHTS] = "bad weights",
        [CVM_NET_BAD_CPU] = "bad cpu",
        [CVM_NET_NO_THREADS] = "no threads",
        [CVM_NET_NOT_A_NUMBER] = "not a number",
    };
    size_t index = (size_t)status;
    return index < sizeof names / sizeof *names ? names[index] : NULL;
}

int cvm_net_abi(void) {
    return CVM_NET_ABI;
}
