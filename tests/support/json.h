/* Members of JSON objects that a test reads: one that is missing or of another kind fails it. */
#ifndef CVM_TESTS_JSON_H
#define CVM_TESTS_JSON_H

#include <cjson/cJSON.h>

double cvm_test_number(const cJSON *object, const char *name);

/* Belongs to the object. */
const char *cvm_test_text(const cJSON *object, const char *name);

#endif
