/* What the command says and how: errors on stderr, results on stdout as text or one JSON object a
 * line, numbers for people, and the line of progress. */
#ifndef CVM_DRIVER_REPORT_H
#define CVM_DRIVER_REPORT_H

#include "compiler/front/diag.h"
#include "runtime/error.h"
#include "runtime/train.h"

#include <cjson/cJSON.h>
#include <stdint.h>

/* Exit codes. */
enum {
    CVM_EXIT_DONE = 0,
    CVM_EXIT_INPUT = 1,   /* a file or picture is at fault */
    CVM_EXIT_USAGE = 2,   /* the command line is */
    CVM_EXIT_MACHINE = 3, /* memory, disk, a missing or unwritable file */
};

int cvm_exit_code(CvmErrorKind kind);

/* "cvmc: …" on stderr, below a line of progress that may stand there. Control characters in it, of
 * file names say, are replaced. */
void cvm_report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* A line on stderr that is no error. */
void cvm_report_note(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Says so and ends the command with exit code 3. */
_Noreturn void cvm_report_out_of_memory(void);

/* Prints the object as one line of valid UTF-8 on stdout and deletes it. */
void cvm_report_json(cJSON *object);

/* The diagnostics as an array. */
cJSON *cvm_diagnostics_json(const CvmDiag *diag);

/* 61706 as "61,706"; at least 28 bytes of text. Returns text. */
char *cvm_count_text(int64_t count, char *text);
/* 833440 as "833.4 k": three or four digits and a unit; at least 16 bytes. Returns text. */
char *cvm_amount_text(double amount, char *text);

/* The line of progress: rewritten in place on a terminal, nothing elsewhere. For CvmTraining. */
void cvm_report_progress(void *context, const CvmProgress *progress);
void cvm_report_progress_end(void);

#endif
