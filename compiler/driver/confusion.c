/* See confusion.h. */
#include "compiler/driver/confusion.h"
#include "compiler/driver/class_names.h"

#include "runtime/atomic_file.h"

#include <string.h>

enum { CELL = 34, SMALL_CELL = 12, LABELLED_CLASSES = 30, LABEL_WIDTH = 150 };

typedef struct Matrix {
    const CvmSession *session;
    const int64_t *counts; /* [classes, classes] */
    int classes;
} Matrix;

static Matrix matrix_of(const CvmSession *session, const CvmEvaluation *evaluation) {
    return (Matrix){session, evaluation->confusion, session->train->classes};
}

static int64_t count_at(const Matrix *matrix, int truth, int taken_for) {
    return matrix->counts[(int64_t)truth * matrix->classes + taken_for];
}

static const char *name_of(const Matrix *matrix, int label, char text[32]) {
    return cvm_session_class_name(matrix->session, label, text, 32);
}

static int64_t sum_of_row(const Matrix *matrix, int truth) {
    int64_t sum = 0;
    for (int k = 0; k < matrix->classes; k++)
        sum += count_at(matrix, truth, k);
    return sum;
}

void cvm_print_escaped(const char *text, FILE *stream) {
    for (; *text; text++) {
        const char *entity = *text == '<'    ? "&lt;"
                             : *text == '>'  ? "&gt;"
                             : *text == '&'  ? "&amp;"
                             : *text == '"'  ? "&quot;"
                             : *text == '\'' ? "&#39;"
                                             : NULL;
        if (entity)
            fputs(entity, stream);
        else if ((unsigned char)*text >= 32 || *text == '\n' || *text == '\t')
            fputc(*text, stream);
    }
}

/* --- text and CSV --- */

static void print_text(const Matrix *matrix, FILE *stream) {
    char text[32];
    fprintf(stream, "%-20s", "true \\ taken for");
    for (int k = 0; k < matrix->classes; k++)
        fprintf(stream, " %6d", k);
    fputc('\n', stream);
    for (int i = 0; i < matrix->classes; i++) {
        fprintf(stream, "%3d %-16.16s", i, name_of(matrix, i, text));
        for (int k = 0; k < matrix->classes; k++)
            fprintf(stream, " %6lld", (long long)count_at(matrix, i, k));
        fputc('\n', stream);
    }
}

static void print_cell_text(const char *text, FILE *stream) {
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '"')
            fputc('"', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static void print_csv(const Matrix *matrix, FILE *stream) {
    char text[32];
    fputs("true", stream);
    for (int k = 0; k < matrix->classes; k++) {
        fputc(',', stream);
        print_cell_text(name_of(matrix, k, text), stream);
    }
    fputc('\n', stream);
    for (int i = 0; i < matrix->classes; i++) {
        print_cell_text(name_of(matrix, i, text), stream);
        for (int k = 0; k < matrix->classes; k++)
            fprintf(stream, ",%lld", (long long)count_at(matrix, i, k));
        fputc('\n', stream);
    }
}

/* --- drawn --- */

/* Right ones are blue, wrong ones red, by their share of the row. */
static void draw_cell(const Matrix *matrix, int truth, int taken_for, int size, FILE *stream) {
    int64_t count = count_at(matrix, truth, taken_for), row = sum_of_row(matrix, truth);
    char name[2][32];
    if (!count)
        return;
    double share = (double)count / (double)row;
    int x = LABEL_WIDTH + taken_for * size, y = LABEL_WIDTH + truth * size;
    fprintf(stream,
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"%s\" "
            "fill-opacity=\"%.3f\"><title>",
            x, y, size, size, truth == taken_for ? "#1f5fa8" : "#c0392b", 0.08 + 0.92 * share);
    cvm_print_escaped(name_of(matrix, truth, name[0]), stream);
    fputs(" taken for ", stream);
    cvm_print_escaped(name_of(matrix, taken_for, name[1]), stream);
    fprintf(stream, ": %lld of %lld</title></rect>\n", (long long)count, (long long)row);
    if (size == CELL)
        fprintf(stream, "<text x=\"%d\" y=\"%d\" text-anchor=\"middle\" fill=\"%s\">%lld</text>\n",
                x + size / 2, y + size / 2 + 4, share > 0.5 ? "white" : "black", (long long)count);
}

static void draw_names(const Matrix *matrix, int classes, int size, FILE *stream) {
    char text[32];
    for (int i = 0; i < classes; i++) {
        int middle = LABEL_WIDTH + i * size + size / 2;
        fprintf(stream, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">", LABEL_WIDTH - 6,
                middle + 4);
        cvm_print_escaped(name_of(matrix, i, text), stream);
        fprintf(stream, "</text>\n<text transform=\"translate(%d %d) rotate(-60)\">", middle + 4,
                LABEL_WIDTH - 6);
        cvm_print_escaped(name_of(matrix, i, text), stream);
        fputs("</text>\n", stream);
    }
}

void cvm_draw_confusion(const CvmSession *session, const CvmEvaluation *evaluation, FILE *stream) {
    Matrix matrix = matrix_of(session, evaluation);
    int classes = matrix.classes < CVM_DRAWN_CLASSES ? matrix.classes : CVM_DRAWN_CLASSES;
    int size = classes <= LABELLED_CLASSES ? CELL : SMALL_CELL;
    int side = LABEL_WIDTH + classes * size;
    fprintf(stream,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\">\n"
            "<rect width=\"100%%\" height=\"100%%\" fill=\"white\"/>\n"
            "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#999\"/>\n",
            side + 60, side + 10, side + 60, side + 10, LABEL_WIDTH, LABEL_WIDTH, classes * size,
            classes * size);
    if (classes <= LABELLED_CLASSES)
        draw_names(&matrix, classes, size, stream);
    for (int i = 0; i < classes; i++)
        for (int k = 0; k < classes; k++)
            draw_cell(&matrix, i, k, size, stream);
    fputs("</svg>\n", stream);
}

/* --- files --- */

static bool ends_with(const char *path, const char *ending) {
    size_t length = strlen(path), end = strlen(ending);
    return length >= end && strcmp(path + length - end, ending) == 0;
}

bool cvm_write_confusion(CvmSession *session, const CvmEvaluation *evaluation) {
    const char *path = session->options->confusion;
    const Matrix matrix = matrix_of(session, evaluation);
    CvmAtomicFile file;
    CvmError error;
    if (!path)
        return true;
    if (strcmp(path, "-") == 0) {
        print_text(&matrix, stdout);
        return true;
    }
    if (!cvm_atomic_file_open(path, &file, &error))
        return cvm_session_fail(session, &error);
    if (ends_with(path, ".svg"))
        cvm_draw_confusion(session, evaluation, file.stream);
    else if (ends_with(path, ".csv"))
        print_csv(&matrix, file.stream);
    else
        print_text(&matrix, file.stream);
    return cvm_atomic_file_commit(&file, &error) || cvm_session_fail(session, &error);
}
