/* JSON texts (RFC 8259) as a tree in one block of memory: what file headers of strangers need, and
 * no more, so that a compiled model can read its weights without another library. Zero characters
 * are refused, since C strings cannot hold them. */
#ifndef CVM_RUNTIME_JSON_H
#define CVM_RUNTIME_JSON_H

#include "runtime/error.h"

#include <stdint.h>

typedef enum CvmJsonKind {
    CVM_JSON_OBJECT,
    CVM_JSON_ARRAY,
    CVM_JSON_STRING,
    CVM_JSON_NUMBER,
    CVM_JSON_WORD, /* true, false, null */
} CvmJsonKind;

typedef struct CvmJson {
    CvmJsonKind kind;
    int count;             /* of children */
    const char *key;       /* its name in the object it belongs to; NULL elsewhere */
    const char *text;      /* STRING: unescaped, UTF-8 */
    int64_t whole;         /* NUMBER: when it is written as a whole number from 0 to 2^53 - 1, that;
                              else -1 */
    struct CvmJson *child; /* OBJECT, ARRAY: the first one */
    struct CvmJson *next;  /* of the same parent */
} CvmJson;

/* Parses a text of `size` bytes that is one value. The root is the start of the memory, which the
 * caller frees with free(). NULL on error: no valid JSON, nested deeper than `depth`, or of more
 * than `values` values (input); no memory (machine). `what` names the text in the message: "the
 * header". */
CvmJson *cvm_json_parse(const char *text, int64_t size, int depth, int64_t values, const char *what,
                        CvmError *error);

#endif
