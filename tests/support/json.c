/* See json.h. */
#include "tests/support/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

double cvm_test_number(const cJSON *object, const char *name) {
    const cJSON *member = cJSON_GetObjectItem(object, name);
    if (!cJSON_IsNumber(member))
        fail_msg("there is no number %s", name);
    return cJSON_GetNumberValue(member);
}

const char *cvm_test_text(const cJSON *object, const char *name) {
    const cJSON *member = cJSON_GetObjectItem(object, name);
    if (!cJSON_IsString(member))
        fail_msg("there is no text %s", name);
    return cJSON_GetStringValue(member);
}
