/* See report.h. */
#include "compiler/driver/report.h"

#include "runtime/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char clear_line[] = "\r\033[K";

int cvm_exit_code(CvmErrorKind kind) {
    switch (kind) {
    case CVM_ERROR_NONE:
        return CVM_EXIT_DONE;
    case CVM_ERROR_INPUT:
        return CVM_EXIT_INPUT;
    case CVM_ERROR_MACHINE:
        return CVM_EXIT_MACHINE;
    }
    return CVM_EXIT_MACHINE;
}

static void print_line(const char *prefix, const char *format, va_list arguments) {
    char *message = NULL;
    cvm_report_progress_end();
    if (vasprintf(&message, format, arguments) < 0)
        cvm_report_out_of_memory();
    char *clean = cvm_clean_text(message, CVM_TEXT_LINES); /* names of files are in it */
    fprintf(stderr, "%s%s\n", prefix, clean ? clean : "out of memory");
    free(message);
    free(clean);
}

void cvm_report_out_of_memory(void) {
    fputs("cvmc: out of memory\n", stderr);
    exit(CVM_EXIT_MACHINE);
}

void cvm_report_error(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line("cvmc: ", format, arguments);
    va_end(arguments);
}

void cvm_report_note(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    print_line("", format, arguments);
    va_end(arguments);
}

void cvm_report_json(cJSON *object) {
    char *text = cJSON_PrintUnformatted(object);
    char *clean = text ? cvm_clean_text(text, CVM_TEXT_DATA) : NULL;
    cJSON_Delete(object);
    if (!clean)
        cvm_report_out_of_memory();
    puts(clean);
    fflush(stdout); /* a reader follows a training line by line */
    cJSON_free(text);
    free(clean);
}

cJSON *cvm_diagnostics_json(const CvmDiag *diag) {
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (!stream)
        return cJSON_CreateArray();
    cvm_diag_print_json(diag, stream);
    fclose(stream);
    cJSON *array = cJSON_ParseWithLength(text, size);
    free(text);
    return array ? array : cJSON_CreateArray();
}

char *cvm_count_text(int64_t count, char *text) {
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%lld", (long long)count);
    char *to = text;
    for (int i = 0; i < length; i++) {
        if (i > 0 && (length - i) % 3 == 0 && digits[i - 1] != '-')
            *to++ = ',';
        *to++ = digits[i];
    }
    *to = 0;
    return text;
}

char *cvm_amount_text(double amount, char *text) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    while (amount >= 999.95 && unit + 1 < sizeof units / sizeof *units) {
        amount /= 1000;
        unit++;
    }
    snprintf(text, 16, unit ? "%.1f%s" : "%.0f%s", amount, units[unit]);
    return text;
}

static void seconds_text(double seconds, char *text, size_t size) {
    if (!(seconds >= 0 && seconds < 1e7))
        snprintf(text, size, "?");
    else if (seconds < 100)
        snprintf(text, size, "%.0f s", seconds);
    else if (seconds < 6000)
        snprintf(text, size, "%.0f min", seconds / 60);
    else
        snprintf(text, size, "%.1f h", seconds / 3600);
}

void cvm_report_progress(void *context, const CvmProgress *progress) {
    (void)context;
    if (!isatty(STDERR_FILENO))
        return;
    char left[32];
    seconds_text(progress->seconds_left, left, sizeof left);
    fprintf(stderr, "%sepoch %d/%d  step %lld/%lld  %.0f images/s  loss %.4f  %s left", clear_line,
            progress->epoch + 1, progress->epochs, (long long)progress->step,
            (long long)progress->steps, progress->images_per_second, progress->loss, left);
    fflush(stderr);
}

void cvm_report_progress_end(void) {
    if (isatty(STDERR_FILENO))
        fputs(clear_line, stderr);
}
