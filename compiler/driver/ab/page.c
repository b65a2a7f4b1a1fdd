/* See print.h: the page. Everything is in the one file, drawings and style too; nothing is fetched
 * when it is looked at. Without Graphviz it is a page without the graphs. */
#include "compiler/driver/ab/plot.h"
#include "compiler/driver/ab/print.h"
#include "compiler/driver/graphviz.h"
#include "compiler/driver/report.h"
#include "runtime/atomic_file.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct Page {
    CvmSession *session;
    const CvmAbSide *sides;
    const CvmAbResult *result;
    FILE *out;
} Page;

static const char style[] =
    "body{font:15px/1.45 system-ui,sans-serif;max-width:1100px;margin:2em auto;padding:0 1em;"
    "color:#222;background:#fff}\n"
    "h1{font-size:1.5em}h2{font-size:1.15em;margin-top:2em}\n"
    ".verdict{font-size:1.3em;padding:.6em .8em;border-radius:6px;background:#f1f5f9}\n"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.25em .6em;"
    "border-bottom:1px solid #e5e7eb;vertical-align:top}\n"
    "th{font-weight:600}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums;"
    "white-space:nowrap}\n"
    "code,pre{font:13px/1.4 ui-monospace,monospace}pre{background:#f1f5f9;padding:.8em;"
    "overflow:auto}\n"
    ".a{color:" CVM_AB_COLOR_A "}.b{color:" CVM_AB_COLOR_B "}\n"
    ".bar{height:5px;border-radius:2px;margin:2px 0;min-width:1px}\n"
    ".differs{color:#b91c1c;font-weight:600}\n"
    ".plot{width:100%;height:auto}.plot text{font:12px system-ui,sans-serif;fill:#444}\n"
    ".tick{text-anchor:end}.label{text-anchor:middle}.frame{fill:#fafafa;stroke:#d1d5db}\n"
    ".grid{stroke:#e5e7eb}.interval{fill:#15803d;fill-opacity:.15}\n"
    ".graphs{display:flex;gap:1em}.graphs>div{flex:1;min-width:0;border:1px solid #d1d5db;"
    "overflow:auto;max-height:85vh}\n";

static void print_escaped(const char *text, FILE *out) {
    for (; *text; text++)
        switch (*text) {
        case '<':
            fputs("&lt;", out);
            break;
        case '>':
            fputs("&gt;", out);
            break;
        case '&':
            fputs("&amp;", out);
            break;
        case '"':
            fputs("&quot;", out);
            break;
        default:
            fputc(*text, out);
        }
}

static void print_cell(const Page *page, const char *text) {
    fputs("<td>", page->out);
    print_escaped(text, page->out);
    fputs("</td>", page->out);
}

/* --- the sides --- */

static void print_count_row(const Page *page, const char *what, int64_t a, int64_t b) {
    char text[2][32];
    fprintf(page->out, "<tr><td>%s</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n", what,
            cvm_count_text(a, text[0]), cvm_count_text(b, text[1]));
}

static int prepared_calls(const CvmPlan *plan) {
    int count = 0;
    for (int i = 0; i < plan->call_count; i++)
        count += plan->calls[i].prepares;
    return count;
}

static void print_sides(const Page *page) {
    const CvmAbSide *sides = page->sides;
    CvmCompileStats stats[2];
    const CvmPlan *plans[2];
    int prepared[2];
    for (int i = 0; i < 2; i++) {
        stats[i] = cvm_executable_stats(sides[i].executable);
        plans[i] = cvm_executable_plan(sides[i].executable);
        prepared[i] = prepared_calls(plans[i]);
    }
    fputs("<h2>The two sides</h2>\n<table><tr><th></th><th class=\"n a\">A</th>"
          "<th class=\"n b\">B</th></tr>\n<tr><td>settings</td>",
          page->out);
    for (int i = 0; i < 2; i++) {
        fputs("<td class=\"n\"><code>", page->out);
        print_escaped(sides[i].text, page->out);
        fputs("</code></td>", page->out);
    }
    fputs("</tr>\n", page->out);
    char time[2][32];
    fprintf(
        page->out,
        "<tr><td>median time of a run</td><td class=\"n\">%s</td><td class=\"n\">%s</td></tr>\n",
        cvm_ab_time_text(page->result->median[0], time[0]),
        cvm_ab_time_text(page->result->median[1], time[1]));
    print_count_row(page, "pictures at once", sides[0].batch, sides[1].batch);
    print_count_row(page, "threads", cvm_pool_threads(sides[0].pool),
                    cvm_pool_threads(sides[1].pool));
    print_count_row(page, "kernels of a run", plans[0]->call_count - prepared[0],
                    plans[1]->call_count - prepared[1]);
    print_count_row(page, "kernels that prepare parameters once", prepared[0], prepared[1]);
    print_count_row(page, "arena, bytes", plans[0]->arena_bytes, plans[1]->arena_bytes);
    print_count_row(page, "memory traffic of a run, estimated, bytes", (int64_t)stats[0].bytes,
                    (int64_t)stats[1].bytes);
    print_count_row(page, "machine code, bytes", stats[0].code_bytes, stats[1].code_bytes);
    fprintf(page->out,
            "<tr><td>compile time (kernels from the cache)</td><td class=\"n\">%.0f ms (%d of "
            "%d)</td><td class=\"n\">%.0f ms (%d of %d)</td></tr>\n</table>\n",
            stats[0].seconds * 1e3, stats[0].cached, stats[0].kernels, stats[1].seconds * 1e3,
            stats[1].cached, stats[1].kernels);
}

/* --- kernels --- */

static double slowest_part(const CvmAbRows *rows) {
    double slowest = 1e-12;
    for (int i = 0; i < rows->count; i++)
        for (int side = 0; side < 2; side++)
            slowest = fmax(slowest, rows->rows[i].parts[side].seconds);
    return slowest;
}

/* Kernels' names, with places where a line may end. */
static void print_names(const Page *page, const char *text) {
    for (const char *plus; (plus = strchr(text, '+')); text = plus + 1)
        fprintf(page->out, "%.*s+<wbr>", (int)(plus - text), text);
    fputs(text, page->out);
}

static void print_part(const Page *page, const CvmAbPart *part, int side, double slowest) {
    char time[32];
    fputs("<td>", page->out);
    if (part->count) {
        fputs("<code>", page->out);
        print_names(page, part->text);
        fprintf(page->out,
                "</code><div class=\"bar\" style=\"width:%.2f%%;background:%s\"></div></td>"
                "<td class=\"n\">%s</td>",
                100 * part->seconds / slowest, side ? CVM_AB_COLOR_B : CVM_AB_COLOR_A,
                cvm_ab_time_text(part->seconds, time));
    } else {
        fputs("</td><td class=\"n\">-</td>", page->out);
    }
}

static void print_rows(const Page *page) {
    const CvmAbRows *rows = &page->result->rows;
    if (!rows->count)
        return;
    double slowest = slowest_part(rows);
    fputs("<h2>Kernel by kernel, the largest change first</h2>\n<p>A row has the kernels of both "
          "sides that compute the same part of the network; what a <code>+</code> joins is one "
          "kernel. The intervals hold for all rows together in 95% of trials.</p>\n"
          "<table><tr><th>layer</th><th class=\"a\">A</th><th class=\"n a\">time</th>"
          "<th class=\"b\">B</th><th class=\"n b\">time</th><th class=\"n\">B / A</th>"
          "<th>verdict</th></tr>\n",
          page->out);
    for (int i = 0; i < rows->count; i++) {
        const CvmAbRow *row = &rows->rows[i];
        fputs("<tr>", page->out);
        print_cell(page, row->layer);
        for (int side = 0; side < 2; side++)
            print_part(page, &row->parts[side], side, slowest);
        if (row->ratio.ratio > 0)
            fprintf(page->out, "<td class=\"n\">%.3f<br><small>%.3f to %.3f</small></td>",
                    row->ratio.ratio, row->ratio.low, row->ratio.high);
        else
            fputs("<td></td>", page->out);
        fprintf(page->out, "<td>%s</td></tr>\n", cvm_ab_verdict_text(row->verdict));
    }
    fputs("</table>\n", page->out);
}

/* --- agreement --- */

static void print_agreement(const Page *page) {
    const CvmAbAgreement *agreement = &page->result->agreement;
    fputs("<h2>Do they compute the same?</h2>\n", page->out);
    if (!agreement->compared) {
        fputs("<p>Not compared: the sides' batches or modes differ.</p>\n", page->out);
        return;
    }
    fprintf(page->out,
            "<p>%s</p>\n<table><tr><th></th><th>tensor</th><th class=\"n\">largest value</th>"
            "<th class=\"n\">largest difference</th><th class=\"n\">relative</th><th></th></tr>\n",
            agreement->agrees ? "Yes, within rounding." : "<b class=\"differs\">No.</b>");
    for (int i = 0; i < agreement->count; i++) {
        const CvmAbDifference *difference = &agreement->differences[i];
        fprintf(page->out, "<tr><td>%s</td>", cvm_ab_kind_text(difference->kind));
        print_cell(page, difference->name);
        fprintf(page->out,
                "<td class=\"n\">%.3g</td><td class=\"n\">%.2g</td><td class=\"n\">%.2g</td>"
                "<td>%s</td></tr>\n",
                difference->largest, difference->absolute, difference->relative,
                difference->agrees ? "agrees" : "<span class=\"differs\">differs</span>");
    }
    fputs("</table>\n", page->out);
}

/* --- graphs --- */

static void print_graphs(const Page *page) {
    fputs("<h2>The graphs</h2>\n", page->out);
    CvmError error;
    char *drawings[2];
    for (int i = 0; i < 2; i++) {
        char *text = cvm_graphviz_text(page->sides[i].graph, NULL, page->session->arena);
        drawings[i] = cvm_graphviz_svg(text, page->session->arena, &error);
        if (!drawings[i]) {
            cvm_report_note("the page has no graphs: %s", error.message);
            fputs("<p>Not drawn: ", page->out);
            print_escaped(error.message, page->out);
            fputs(".</p>\n", page->out);
            return;
        }
    }
    fputs("<p>After the passes: a grey box is one kernel.</p>\n<div class=\"graphs\">\n",
          page->out);
    for (int i = 0; i < 2; i++) {
        const char *svg = strstr(drawings[i], "<svg"); /* behind the document's own heading */
        fprintf(page->out, "<div><b class=\"%c\">%c</b>%s</div>\n", 'a' + i, 'A' + i,
                svg ? svg : "");
    }
    fputs("</div>\n", page->out);
}

/* --- all of it --- */

static void print_heading(const Page *page) {
    const CvmAbResult *result = page->result;
    const char *name = cvm_model_name(page->session->model);
    fputs("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>", page->out);
    print_escaped(name, page->out);
    fprintf(page->out, ": A against B</title><style>\n%s</style></head><body>\n<h1>", style);
    print_escaped(name, page->out);
    fprintf(page->out,
            ", %s: <span class=\"a\">A</span> against <span class=\"b\">B</span></h1>\n"
            "<p class=\"verdict\"><b>%s</b>: B takes %.4f times as long as A (95%%: %.4f to %.4f; "
            "%d pairs of runs)",
            cvm_ab_what(page->sides), cvm_ab_verdict_text(result->verdict), result->ratio.ratio,
            result->ratio.low, result->ratio.high, result->blocks * result->pairs);
    CvmAbRatio each = cvm_ab_per_picture(page->sides, &result->ratio);
    if (page->sides[0].batch != page->sides[1].batch)
        fprintf(page->out, "; for each picture %.4f times (95%%: %.4f to %.4f)", each.ratio,
                each.low, each.high);
    fputs("</p>\n", page->out);
}

static void print_page(const Page *page, const CvmAbOptions *options) {
    print_heading(page);
    print_sides(page);
    fputs("<h2>The samples</h2>\n", page->out);
    cvm_ab_plot_times(page->result, page->out);
    cvm_ab_plot_ratios(page->result, page->out);
    print_rows(page);
    print_agreement(page);
    print_graphs(page);
    fputs("<h2>Once more</h2>\n<pre>", page->out);
    print_escaped(cvm_ab_command_text(page->session, page->sides, options), page->out);
    fputs("</pre>\n</body></html>\n", page->out);
}

bool cvm_ab_page(CvmSession *session, const char *path, const CvmAbSide sides[2],
                 const CvmAbOptions *options, const CvmAbResult *result) {
    char *text = NULL;
    size_t size = 0;
    CvmError error;
    Page page = {session, sides, result, open_memstream(&text, &size)};
    if (page.out)
        print_page(&page, options);
    bool done = page.out && fclose(page.out) == 0;
    if (!done)
        cvm_error_set(&error, CVM_ERROR_MACHINE, "no memory for the page");
    CvmAtomicFile file;
    if (done && (done = cvm_atomic_file_open(path, &file, &error))) {
        cvm_atomic_file_write(&file, text, size);
        done = cvm_atomic_file_commit(&file, &error);
    }
    free(text);
    return done || cvm_session_fail(session, &error);
}
