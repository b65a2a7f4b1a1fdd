/* See page.h. Drawings are SVG within the page; there is no script and nothing is loaded. */
#include "compiler/driver/page.h"

#include "compiler/driver/class_names.h"
#include "compiler/driver/confusion.h"
#include "compiler/driver/evaluation.h"
#include "compiler/driver/report.h"
#include "runtime/atomic_file.h"

#include <string.h>

enum { WIDTH = 520, HEIGHT = 260, LEFT = 50, TOP = 16, RIGHT = 12, BOTTOM = 30, WORST = 10 };

static const char style[] =
    "body{font:15px/1.45 sans-serif;margin:2em auto;max-width:1120px;padding:0 1em;color:#222}"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}table{border-collapse:collapse}"
    "td,th{padding:.15em .8em .15em 0;text-align:left}td.n{text-align:right}"
    ".bar{background:#1f5fa8;height:.8em;display:inline-block}"
    "pre{background:#f4f4f4;padding:1em;overflow:auto}figure{display:inline-block;margin:0 1em 1em "
    "0}"
    "figcaption{font-size:.9em;color:#555}";

/* --- curves --- */

typedef struct Curve {
    const char *name, *color;
    size_t member; /* offset in CvmEpochRecord */
} Curve;

static double value_of(const CvmHistory *history, const Curve *curve, int epoch) {
    return *(const double *)((const char *)&history->epochs[epoch] + curve->member);
}

/* A round number that is not below the value: 1, 2 or 5 times a power of ten. */
static double round_up(double value) {
    double unit = 1e-6;
    while (unit * 10 < value && unit < 1e12)
        unit *= 10;
    return value <= unit       ? unit
           : value <= 2 * unit ? 2 * unit
           : value <= 5 * unit ? 5 * unit
                               : 10 * unit;
}

static double highest(const CvmHistory *history, const Curve *curves, int count) {
    double most = 0;
    for (int i = 0; i < history->count; i++)
        for (int k = 0; k < count; k++)
            if (value_of(history, &curves[k], i) > most)
                most = value_of(history, &curves[k], i);
    return round_up(most);
}

static double x_of(const CvmHistory *history, int epoch) {
    double span = WIDTH - LEFT - RIGHT;
    return history->count > 1 ? LEFT + span * epoch / (history->count - 1) : LEFT + span / 2;
}

static double y_of(double value, double most) {
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / most);
}

static void draw_grid(const CvmHistory *history, double most, FILE *stream) {
    for (int i = 0; i <= 4; i++) {
        double value = most * i / 4, y = y_of(value, most);
        fprintf(stream,
                "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>"
                "<text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.4g</text>\n",
                LEFT, WIDTH - RIGHT, y, y, LEFT - 6, y + 4, value);
    }
    int last = history->count - 1, step = last / 10 + 1;
    for (int i = 0; i <= last; i += step)
        fprintf(stream, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%d</text>\n",
                x_of(history, i), HEIGHT - BOTTOM + 16, i + 1);
}

static void draw_curve(const CvmHistory *history, const Curve *curve, double most, FILE *stream) {
    fprintf(stream, "<polyline fill=\"none\" stroke=\"%s\" stroke-width=\"2\" points=\"",
            curve->color);
    for (int i = 0; i < history->count; i++)
        fprintf(stream, "%.1f,%.1f ", x_of(history, i), y_of(value_of(history, curve, i), most));
    fputs("\"/>\n", stream);
    if (history->count <= 60)
        for (int i = 0; i < history->count; i++)
            fprintf(stream,
                    "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3\" fill=\"%s\"><title>epoch %d: %s "
                    "%.4f</title></circle>\n",
                    x_of(history, i), y_of(value_of(history, curve, i), most), curve->color, i + 1,
                    curve->name, value_of(history, curve, i));
}

static void draw_chart(const CvmHistory *history, const Curve *curves, int count, double most,
                       FILE *stream) {
    fprintf(stream,
            "<figure><svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
            "viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"11\">\n",
            WIDTH, HEIGHT, WIDTH, HEIGHT);
    draw_grid(history, most, stream);
    for (int k = 0; k < count; k++)
        draw_curve(history, &curves[k], most, stream);
    fputs("</svg><figcaption>", stream);
    for (int k = 0; k < count; k++)
        fprintf(stream, "%s<span style=\"color:%s\">&#9632;</span> %s", k ? " &nbsp; " : "",
                curves[k].color, curves[k].name);
    fputs(", by epoch</figcaption></figure>\n", stream);
}

static void print_curves(const CvmHistory *history, FILE *stream) {
    static const Curve losses[] = {
        {"loss while training", "#1f5fa8", offsetof(CvmEpochRecord, loss)},
        {"test loss", "#c0392b", offsetof(CvmEpochRecord, test_loss)},
    };
    static const Curve accuracy[] = {
        {"test accuracy", "#2e8b57", offsetof(CvmEpochRecord, accuracy)}};
    if (!history->count)
        return;
    fputs("<h2>Learning curves</h2>\n", stream);
    draw_chart(history, losses, 2, highest(history, losses, 2), stream);
    draw_chart(history, accuracy, 1, 1, stream);
}

/* --- tables --- */

static void print_row(const char *name, const char *value, FILE *stream) {
    fprintf(stream, "<tr><td>%s</td><td>", name);
    cvm_print_escaped(value, stream);
    fputs("</td></tr>\n", stream);
}

static void print_summary(CvmSession *session, const CvmPage *page, FILE *stream) {
    CvmArena *arena = session->arena;
    const CvmTrain *train = session->train;
    const CvmEvaluation *evaluation = page->evaluation;
    int best = cvm_history_best(page->history);
    fputs("<table>\n", stream);
    print_row("model", cvm_model_name(session->model), stream);
    print_row("data", train->data->name, stream);
    print_row("test accuracy",
              cvm_arena_format(arena, "%.4f (%lld of %lld pictures)", cvm_accuracy(evaluation),
                               (long long)evaluation->correct, (long long)evaluation->count),
              stream);
    print_row("test loss", cvm_arena_format(arena, "%.4f", evaluation->loss), stream);
    if (best >= 0)
        print_row("best epoch",
                  cvm_arena_format(arena, "%d of %d so far, with %.4f", best + 1,
                                   page->history->count, page->history->epochs[best].accuracy),
                  stream);
    print_row("weights", page->weights, stream);
    print_row("seed", cvm_arena_format(arena, "%llu", (unsigned long long)train->seed), stream);
    fputs("</table>\n", stream);
}

static void print_classes(const CvmSession *session, const CvmEvaluation *evaluation,
                          FILE *stream) {
    char text[32];
    fputs("<h2>Accuracy of each class</h2>\n<table>\n", stream);
    for (int label = 0; label < session->train->classes; label++) {
        const CvmClassScore *score = &evaluation->classes[label];
        if (!score->count)
            continue;
        double share = (double)score->correct / (double)score->count;
        fputs("<tr><td>", stream);
        cvm_print_escaped(cvm_session_class_name(session, label, text, sizeof text), stream);
        fprintf(stream,
                "</td><td class=\"n\">%.4f</td><td class=\"n\">of %lld</td><td><span "
                "class=\"bar\" style=\"width:%.0fpx\"></span></td></tr>\n",
                share, (long long)score->count, 300 * share);
    }
    fputs("</table>\n", stream);
}

/* The commonest mistakes, by repeated search: there are few to show. */
static void print_mistakes(const CvmSession *session, const CvmEvaluation *evaluation,
                           FILE *stream) {
    int classes = session->train->classes;
    int64_t limit = INT64_MAX;
    int shown = 0;
    char text[2][32];
    fputs("<h2>Commonest mistakes</h2>\n<table>\n", stream);
    while (shown < WORST) {
        int64_t most = 0;
        for (int64_t i = 0; i < (int64_t)classes * classes; i++)
            if (i / classes != i % classes && evaluation->confusion[i] < limit &&
                evaluation->confusion[i] > most)
                most = evaluation->confusion[i];
        if (!most)
            break;
        for (int64_t i = 0; i < (int64_t)classes * classes && shown < WORST; i++) {
            if (i / classes == i % classes || evaluation->confusion[i] != most)
                continue;
            shown++;
            fputs("<tr><td>", stream);
            cvm_print_escaped(
                cvm_session_class_name(session, (int)(i / classes), text[0], sizeof text[0]),
                stream);
            fputs("</td><td>taken for</td><td>", stream);
            cvm_print_escaped(
                cvm_session_class_name(session, (int)(i % classes), text[1], sizeof text[1]),
                stream);
            fprintf(stream, "</td><td class=\"n\">%lld times</td></tr>\n", (long long)most);
        }
        limit = most;
    }
    fputs("</table>\n", stream);
}

static void print_page(CvmSession *session, const CvmPage *page, FILE *stream) {
    const CvmEvaluation *evaluation = page->evaluation;
    fputs("<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", stream);
    cvm_print_escaped(session->train->name, stream);
    fprintf(stream, "</title><style>%s</style></head><body>\n<h1>", style);
    cvm_print_escaped(session->train->name, stream);
    fputs("</h1>\n", stream);
    print_summary(session, page, stream);
    print_curves(page->history, stream);
    print_classes(session, evaluation, stream);
    fputs("<h2>Confusion matrix</h2>\n<p>Rows: the true class; columns: what it was taken "
          "for.</p>\n",
          stream);
    cvm_draw_confusion(session, evaluation, stream);
    if (session->train->classes > CVM_DRAWN_CLASSES)
        fprintf(stream, "<p>The first %d of %d classes; --confusion PATH.csv has all.</p>\n",
                CVM_DRAWN_CLASSES, session->train->classes);
    print_mistakes(session, evaluation, stream);
    fputs("<h2>The file</h2>\n<pre>", stream);
    cvm_print_escaped(cvm_program_ast(session->program)->source->text, stream);
    fputs("</pre>\n</body></html>\n", stream);
}

bool cvm_write_page(CvmSession *session, const CvmPage *page) {
    CvmAtomicFile file;
    CvmError error;
    if (!session->options->report)
        return true;
    if (!cvm_atomic_file_open(session->options->report, &file, &error))
        return cvm_session_fail(session, &error);
    print_page(session, page, file.stream);
    return cvm_atomic_file_commit(&file, &error) || cvm_session_fail(session, &error);
}
