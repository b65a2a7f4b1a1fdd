/* Diagnostics: collected while stages run, printed together at the end. A diagnostic has a stable
 * code (documented in docs/diagnostics.md), a place, one sentence, and where possible the mend.
 *
 * Printed form:
 *   lenet5.cvm:12:5: error CVM1203: linear needs a vector, and maxpool (line 9) gives [256, 6, 6]
 *      12 |     linear(120) relu
 *         |     ^~~~~~~~~~~
 *   mend: put 'flatten' between them
 *   in block vgg_stage, used at vgg16.cvm:9:5
 *
 * Code ranges: 10xx text and syntax, 11xx names and imports, 12xx arguments and shapes, 13xx train
 * and data, 14xx graph text and verification, 15xx gradients, 16xx kernels and code generation. */
#ifndef CVM_FRONT_DIAG_H
#define CVM_FRONT_DIAG_H

#include "compiler/front/source.h"

#include <stdbool.h>
#include <stdio.h>

typedef enum CvmSeverity { CVM_ERROR, CVM_WARNING, CVM_NOTE } CvmSeverity;

typedef struct CvmDiagnostic {
    CvmSeverity severity;
    int code;
    CvmSpan span;
    const CvmUse *uses;
    const char *message;
    const char *mend; /* NULL when there is none to offer */
    struct CvmDiagnostic *next;
} CvmDiagnostic;

typedef struct CvmDiag {
    CvmArena *arena; /* holds the diagnostics; must outlive them */
    CvmDiagnostic *first, *last;
    int error_count;
    bool machine_at_fault; /* a file could not be read, no memory, …: exit code 3 instead of 1 */
} CvmDiag;

void cvm_diag_init(CvmDiag *diag, CvmArena *arena);

/* Adds an error. `mend` (copied) may be NULL. Beyond 50 errors further ones are counted only.
 * Exact repeats (same code and place, no block uses in between) are dropped. Returns false, so a
 * failing function can end with it. */
bool cvm_diag_error(CvmDiag *diag, int code, CvmSpan span, const CvmUse *uses, const char *mend,
                    const char *format, ...) __attribute__((format(printf, 6, 7)));

/* Adds a warning or note. */
void cvm_diag_add(CvmDiag *diag, CvmSeverity severity, int code, CvmSpan span, const CvmUse *uses,
                  const char *mend, const char *format, ...) __attribute__((format(printf, 7, 8)));

/* Prints all, ordered by file and place, in the form above. */
void cvm_diag_print(const CvmDiag *diag, FILE *stream);

/* The same as a JSON array (for --json). */
void cvm_diag_print_json(const CvmDiag *diag, FILE *stream);

/* The one of `count` names nearest to `name` by edit distance, or NULL when none is near (more than
 * a third of its letters differ). For "did you mean". */
const char *cvm_nearest_name(const char *name, const char *const *names, int count);

#endif
