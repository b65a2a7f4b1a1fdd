/* See answers.h. */
#include "compiler/driver/answers.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/report.h"
#include "runtime/text.h"

#include <stdlib.h>
#include <string.h>

static char *clean(const char *text, CvmTextUse use) {
    char *clean = cvm_clean_text(text, use);
    if (!clean)
        cvm_report_out_of_memory();
    return clean;
}

/* --- text --- */

static void print_text(const CvmClassifier *classifier, const char *path, int index) {
    const CvmSession *session = classifier->session;
    CvmGuesses guesses = cvm_classified(classifier, index);
    const float *logits = cvm_classified_logits(classifier, index);
    char *shown = clean(path, CVM_TEXT_LINE);
    printf("%s\n", shown);
    free(shown);
    for (int i = 0; i < guesses.count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses.best[i];
        printf("  %5.1f%%", guess->probability * 100);
        if (session->options->logits)
            printf("  %9.4f", logits[guess->label]);
        printf("  %s\n", cvm_session_class_name(session, guess->label, name, sizeof name));
    }
}

/* --- CSV --- */

/* In quotes where it needs them; they may hold line breaks, and no other control characters. */
static void print_field(const char *text) {
    char *field = clean(text, CVM_TEXT_LINES);
    bool quoted = strpbrk(field, ",\"\r\n");
    if (quoted)
        putchar('"');
    for (const char *c = field; *c; c++) {
        if (*c == '"')
            putchar('"');
        putchar(*c);
    }
    if (quoted)
        putchar('"');
    free(field);
}

static void print_csv(const CvmClassifier *classifier, const char *path, int index) {
    CvmGuesses guesses = cvm_classified(classifier, index);
    const float *logits = cvm_classified_logits(classifier, index);
    print_field(path);
    for (int i = 0; i < guesses.count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses.best[i];
        putchar(',');
        print_field(cvm_session_class_name(classifier->session, guess->label, name, sizeof name));
        printf(",%.6g", guess->probability);
        if (classifier->session->options->logits)
            printf(",%.6g", logits[guess->label]);
    }
    putchar('\n');
}

void cvm_print_answers_head(const CvmClassifier *classifier) {
    if (!classifier->session->options->csv)
        return;
    fputs("file", stdout);
    for (int i = 1; i <= classifier->top; i++) {
        printf(",class%d,probability%d", i, i);
        if (classifier->session->options->logits)
            printf(",logit%d", i);
    }
    putchar('\n');
}

/* --- JSON lines --- */

static cJSON *picture_json(const char *path) {
    cJSON *object = cJSON_CreateObject();
    cJSON_AddStringToObject(object, "event", "picture");
    cJSON_AddStringToObject(object, "file", path);
    return object;
}

static void add_guesses(const CvmClassifier *classifier, int index, cJSON *object) {
    CvmGuesses guesses = cvm_classified(classifier, index);
    cJSON *array = cJSON_AddArrayToObject(object, "classes");
    for (int i = 0; i < guesses.count; i++) {
        char name[32];
        const CvmGuess *guess = &guesses.best[i];
        cJSON *one = cJSON_CreateObject();
        cJSON_AddStringToObject(
            one, "class",
            cvm_session_class_name(classifier->session, guess->label, name, sizeof name));
        cJSON_AddNumberToObject(one, "label", guess->label);
        cJSON_AddNumberToObject(one, "probability", guess->probability);
        cJSON_AddItemToArray(array, one);
    }
}

/* Of every class. */
static void add_logits(const CvmClassifier *classifier, int index, cJSON *object) {
    const float *logits = cvm_classified_logits(classifier, index);
    cJSON *array = cJSON_AddArrayToObject(object, "logits");
    for (int label = 0; label < classifier->classes; label++)
        cJSON_AddItemToArray(array, cJSON_CreateNumber(logits[label]));
}

static void print_json(const CvmClassifier *classifier, const char *path, int index) {
    cJSON *object = picture_json(path);
    add_guesses(classifier, index, object);
    if (classifier->session->options->logits)
        add_logits(classifier, index, object);
    cvm_report_json(object);
}

/* --- whichever --- */

void cvm_print_answer(const CvmClassifier *classifier, const char *path, int index) {
    const CvmOptions *options = classifier->session->options;
    if (options->json)
        print_json(classifier, path, index);
    else if (options->csv)
        print_csv(classifier, path, index);
    else
        print_text(classifier, path, index);
}

void cvm_print_failure(const CvmClassifier *classifier, const char *path, const char *message) {
    char *line = clean(message, CVM_TEXT_LINE); /* a name with a line break is not a second line */
    cvm_report_error("%s", line);
    free(line);
    if (!classifier->session->options->json)
        return;
    cJSON *object = picture_json(path ? path : "");
    cJSON_AddStringToObject(object, "error", message);
    cvm_report_json(object);
}
