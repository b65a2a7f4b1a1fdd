/* See print.h: the text. */
#include "compiler/driver/ab/print.h"

#include "compiler/driver/report.h"
#include "compiler/driver/table.h"

#include <string.h>

enum { MOST_ROWS = 20, MOST_TENSORS = 5, TEXT_WIDTH = 44 };

const char *cvm_ab_verdict_text(CvmAbVerdict verdict) {
    static const char *const texts[] = {[CVM_AB_NO_DIFFERENCE] = "no difference seen",
                                        [CVM_AB_A_FASTER] = "A faster",
                                        [CVM_AB_B_FASTER] = "B faster"};
    return texts[verdict];
}

char *cvm_ab_time_text(double seconds, char text[32]) {
    if (seconds < 1e-3)
        snprintf(text, 32, "%.1f us", seconds * 1e6);
    else if (seconds < 1)
        snprintf(text, 32, "%.2f ms", seconds * 1e3);
    else
        snprintf(text, 32, "%.2f s", seconds);
    return text;
}

const char *cvm_ab_what(const CvmAbSide sides[2]) {
    return sides[0].training != sides[1].training ? "a step of training against a forward pass"
           : sides[0].training                    ? "a step of training"
                                                  : "a forward pass";
}

/* --- the two sides --- */

static void print_sides(CvmSession *session, const CvmAbSide sides[2], const CvmAbResult *result) {
    enum { NAME, SETTINGS, BATCH, THREADS, TIME, KERNELS, ARENA, TRAFFIC, CODE, COMPILED, COLUMNS };
    static const CvmColumn columns[COLUMNS] = {
        {"", false},      {"settings", false},   {"batch", true}, {"threads", true},
        {"median", true}, {"kernels", true},     {"arena", true}, {"traffic", true},
        {"code", true},   {"compiled in", true},
    };
    CvmTable *table = cvm_table_create(session->arena, columns, COLUMNS);
    for (int i = 0; i < 2; i++) {
        const CvmAbSide *side = &sides[i];
        CvmCompileStats stats = cvm_executable_stats(side->executable);
        const CvmPlan *plan = cvm_executable_plan(side->executable);
        int prepared = 0;
        for (int k = 0; k < plan->call_count; k++)
            prepared += plan->calls[k].prepares;
        char time[32], amount[16];
        cvm_table_add_row(table);
        cvm_table_set(table, NAME, "%c", 'A' + i);
        cvm_table_set(table, SETTINGS, "%s", side->text);
        cvm_table_set(table, BATCH, "%lld", (long long)side->batch);
        cvm_table_set(table, THREADS, "%d", cvm_pool_threads(side->pool));
        cvm_table_set(table, TIME, "%s", cvm_ab_time_text(result->median[i], time));
        cvm_table_set(table, KERNELS, prepared ? "%d (and %d once)" : "%d",
                      plan->call_count - prepared, prepared);
        cvm_table_set(table, ARENA, "%sB", cvm_amount_text((double)plan->arena_bytes, amount));
        cvm_table_set(table, TRAFFIC, "%sB", cvm_amount_text(stats.bytes, amount));
        cvm_table_set(table, CODE, "%sB", cvm_amount_text((double)stats.code_bytes, amount));
        cvm_table_set(table, COMPILED, "%.0f ms (%d of %d cached)", stats.seconds * 1e3,
                      stats.cached, stats.kernels);
    }
    cvm_table_print(table);
}

/* --- the same numbers? --- */

/* The worst of those that are not yet marked; -1 when all are. */
static int next_worst(const CvmAbAgreement *agreement, const bool *shown) {
    int worst = -1;
    for (int i = 0; i < agreement->count; i++)
        if (!shown[i] && (worst < 0 || !(agreement->differences[i].relative <=
                                         agreement->differences[worst].relative)))
            worst = i;
    return worst;
}

static void print_agreement(CvmSession *session, const CvmAbAgreement *agreement) {
    enum { KIND, TENSOR, LARGEST, ABSOLUTE, RELATIVE, AGREES, COLUMNS };
    static const CvmColumn columns[COLUMNS] = {
        {"", false},          {"tensor", false},  {"largest", true},
        {"difference", true}, {"relative", true}, {"", false},
    };
    if (!agreement->compared) {
        puts("results not compared: the sides' batches or modes differ");
        return;
    }
    printf("results %s: %d tensor%s", agreement->agrees ? "agree" : "DIFFER", agreement->count,
           agreement->count == 1 ? "" : "s");
    int most = session->options->verbose ? agreement->count : MOST_TENSORS;
    puts(agreement->count > most ? ", the most different of which are" : "");
    CvmTable *table = cvm_table_create(session->arena, columns, COLUMNS);
    bool *shown = cvm_arena_array(session->arena, (size_t)agreement->count + 1, sizeof *shown);
    for (int i = 0; i < most && i < agreement->count; i++) {
        int worst = next_worst(agreement, shown);
        const CvmAbDifference *difference = &agreement->differences[worst];
        shown[worst] = true;
        cvm_table_add_row(table);
        cvm_table_set(table, KIND, "  %s", cvm_ab_kind_text(difference->kind));
        cvm_table_set(table, TENSOR, "%s", difference->name);
        cvm_table_set(table, LARGEST, "%.2g", difference->largest);
        cvm_table_set(table, ABSOLUTE, "%.2g", difference->absolute);
        cvm_table_set(table, RELATIVE, "%.2g", difference->relative);
        cvm_table_set(table, AGREES, "%s", difference->agrees ? "" : "DIFFERS");
    }
    cvm_table_print(table);
}

/* --- kernel by kernel --- */

/* Long lists of kernels are cut; -v and the page have them whole. */
static const char *short_text(CvmArena *arena, const char *text, bool whole) {
    if (!*text)
        return "-";
    if (whole || strlen(text) <= TEXT_WIDTH)
        return text;
    return cvm_arena_format(arena, "%.*s...", TEXT_WIDTH - 3, text);
}

static void add_row(CvmSession *session, CvmTable *table, const CvmAbRow *row) {
    enum { LAYER, A, B, TIME_A, TIME_B, RATIO, INTERVAL, VERDICT };
    bool whole = session->options->verbose;
    char time[32];
    cvm_table_add_row(table);
    cvm_table_set(table, LAYER, "%s", row->layer);
    cvm_table_set(table, A, "%s", short_text(session->arena, row->parts[0].text, whole));
    cvm_table_set(table, B, "%s", short_text(session->arena, row->parts[1].text, whole));
    for (int side = 0; side < 2; side++)
        if (row->parts[side].count)
            cvm_table_set(table, TIME_A + side, "%s",
                          cvm_ab_time_text(row->parts[side].seconds, time));
    if (row->ratio.ratio > 0) {
        cvm_table_set(table, RATIO, "%.3f", row->ratio.ratio);
        cvm_table_set(table, INTERVAL, "%.3f to %.3f", row->ratio.low, row->ratio.high);
    }
    cvm_table_set(table, VERDICT, "%s", cvm_ab_verdict_text(row->verdict));
}

static void print_rows(CvmSession *session, const CvmAbRows *rows) {
    static const CvmColumn columns[] = {
        {"layer", false},        {"A", false},        {"B", false},
        {"time of A", true},     {"time of B", true}, {"B / A", true},
        {"95% of trials", true}, {"", false},
    };
    if (!rows->count)
        return;
    puts("\nkernels, the largest change first; a name with '+' is one kernel:");
    int most = session->options->verbose ? rows->count : MOST_ROWS;
    int columns_count = (int)(sizeof columns / sizeof *columns);
    CvmTable *table = cvm_table_create(session->arena, columns, columns_count);
    for (int i = 0; i < rows->count && i < most; i++)
        add_row(session, table, &rows->rows[i]);
    cvm_table_print(table);
    if (rows->count > most)
        printf("and %d more with smaller changes; -v shows them\n", rows->count - most);
    int counts[3] = {0};
    for (int i = 0; i < rows->count; i++)
        counts[rows->rows[i].verdict]++;
    printf("in %d of %d rows A is faster, in %d B, in %d no difference is seen\n",
           counts[CVM_AB_A_FASTER], rows->count, counts[CVM_AB_B_FASTER],
           counts[CVM_AB_NO_DIFFERENCE]);
}

/* --- all of it --- */

CvmAbRatio cvm_ab_per_picture(const CvmAbSide sides[2], const CvmAbRatio *ratio) {
    double pictures = (double)sides[0].batch / (double)sides[1].batch;
    return (CvmAbRatio){ratio->ratio * pictures, ratio->low * pictures, ratio->high * pictures};
}

/* Sides with other batches do other amounts of work. */
static void print_per_picture(const CvmAbSide sides[2], const CvmAbRatio *ratio) {
    if (sides[0].batch == sides[1].batch)
        return;
    CvmAbRatio each = cvm_ab_per_picture(sides, ratio);
    printf("for each picture: %.4f (95%%: %.4f to %.4f): %s\n", each.ratio, each.low, each.high,
           cvm_ab_verdict_text(cvm_ab_verdict(&each)));
}

const char *cvm_ab_command_text(const CvmSession *session, const CvmAbSide sides[2],
                                const CvmAbOptions *trial) {
    CvmArena *arena = session->arena;
    return cvm_arena_format(
        arena, "cvmc ab %s --a %s --b %s%s --interval %lld --time %.0f",
        cvm_shell_word(session->file, arena), cvm_shell_quoted(sides[0].text, arena),
        cvm_shell_quoted(sides[1].text, arena),
        cvm_options_text(session->options, CVM_OPTIONS_TRIAL | CVM_OPTION_TOLERANCE, arena),
        (long long)(trial->interval * 1000 + 0.5), trial->seconds);
}

void cvm_ab_print(CvmSession *session, const CvmAbSide sides[2], const CvmAbOptions *options,
                  const CvmAbResult *result) {
    printf("%s, %s, %d pairs of runs\n\n", cvm_model_name(session->model), cvm_ab_what(sides),
           result->blocks * result->pairs);
    print_sides(session, sides, result);
    puts("");
    print_agreement(session, &result->agreement);
    print_rows(session, &result->rows);
    printf("\ntime of B / A: %.4f (95%%: %.4f to %.4f): %s\n", result->ratio.ratio,
           result->ratio.low, result->ratio.high, cvm_ab_verdict_text(result->verdict));
    print_per_picture(sides, &result->ratio);
    printf("again: %s\n", cvm_ab_command_text(session, sides, options));
}
