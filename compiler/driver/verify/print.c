/* See print.h. */
#include "compiler/driver/verify/print.h"

#include "compiler/driver/table.h"
#include "compiler/graph/layout.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NEAREST = 6 };

bool cvm_verify_case_holds(const CvmVerifyCase *found) {
    return !found->done || (!found->walk.different && found->bits.same);
}

/* --- parts of lines --- */

static const char *layer_of(const CvmNode *node) {
    return node->origin.name ? node->origin.name : "unnamed";
}

/* Where the user wrote it, "lenet5.cvm:8:9": of a layer in a block, the line that uses the block;
 * "" where the text has no such place. */
static const char *place_of(const CvmNode *node, CvmArena *arena) {
    const CvmSpan *span = &node->origin.span;
    for (const CvmUse *use = node->origin.uses; use; use = use->outer)
        span = &use->span;
    return span->source ? cvm_arena_format(arena, "%s:%d:%d", span->source->path, span->first_line,
                                           span->first_column)
                        : "";
}

/* Element number `index` as "[0, 3, 4, 5]". */
static const char *position_text(const CvmShape *shape, int64_t index, CvmArena *arena) {
    int64_t at[CVM_MAX_RANK];
    const char *text = "";
    for (int d = shape->rank - 1; d >= 0; d--) {
        at[d] = index % shape->sizes[d];
        index /= shape->sizes[d];
    }
    for (int d = 0; d < shape->rank; d++)
        text = cvm_arena_format(arena, "%s%s%lld", text, d ? ", " : "", (long long)at[d]);
    return cvm_arena_format(arena, "[%s]", text);
}

/* "conv", or what stands for it after the passes: "conv as winograd". */
static const char *operator_text(const CvmVerifyRow *row, CvmArena *arena) {
    const char *name = cvm_op_info(row->node->op)->name, *as = cvm_op_info(row->as->op)->name;
    return strcmp(name, as) ? cvm_arena_format(arena, "%s as %s", name, as) : name;
}

/* The operators of the kernel: "conv+bias+relu". */
static const char *kernel_text(const CvmVerifyCase *found, const CvmVerifyRow *row) {
    const CvmKernel *kernel = cvm_executable_kernels(found->trial.executable)->kernels[row->call];
    const char *text = "";
    for (int i = 0; i < kernel->node_count; i++)
        text = cvm_arena_format(found->trial.arena, "%s%s%s", text, i ? "+" : "",
                                cvm_op_info(kernel->nodes[i]->op)->name);
    return text;
}

/* --- a case --- */

static void print_first(const CvmVerifyCase *found) {
    CvmArena *arena = found->trial.arena;
    const CvmVerifyRow *row = cvm_verify_first(&found->walk);
    if (!row)
        return;
    const CvmDeviation *deviation = &row->deviation;
    const CvmShape *shape = &row->node->type.shape;
    char size[128], layout[CVM_LAYOUT_TEXT];
    const char *place = place_of(row->node, arena);
    printf("  the first tensor of the graph that differs: %s (%s), %s%s%s\n", layer_of(row->node),
           operator_text(row, arena), cvm_shape_text(shape, size, sizeof size), *place ? ", " : "",
           place);
    printf("    element %s: the reference gives %.9g, compiled code %.9g\n",
           position_text(shape, deviation->worst, arena), deviation->expected, deviation->actual);
    printf("    they are %.3g of the tensor's norm (%.3g) apart, and may be %.3g\n",
           deviation->error, deviation->norm, deviation->allowed);
    const CvmSpan *span = &row->node->origin.span;
    for (const CvmUse *use = row->node->origin.uses; use; span = &use->span, use = use->outer)
        printf("    in block %s, %s:%d:%d\n", use->block, span->source->path, span->first_line,
               span->first_column);
    const char *in = cvm_layout_text(&row->as->type, layout);
    printf("    kernel %d, %s%s%s, for %s\n", row->call, kernel_text(found, row), *in ? " in " : "",
           in, cvm_executable_kernels(found->trial.executable)->kernels[row->call]->symbol);
    const char *others = "";
    for (int i = 0; i < found->walk.count; i++) {
        const CvmVerifyRow *other = &found->walk.rows[i];
        if (other != row && other->checked && !other->deviation.agrees)
            others = cvm_arena_format(arena, "%s%s%s (%s)", others, *others ? ", " : "",
                                      layer_of(other->node), operator_text(other, arena));
    }
    if (*others)
        printf("    of %d others that differ: %s\n", found->walk.different - 1, others);
}

static void print_bits(const CvmVerifyCase *found) {
    const CvmVerifyBits *bits = &found->bits;
    if (!bits->same)
        printf("  %s gives other bits than a run call by call, first in %s\n", bits->run,
               bits->tensor);
}

enum { LAYER, OPERATOR, PLACE, CASE, ERROR, ALLOWED, NOTE, COLUMNS };

static const CvmColumn columns[COLUMNS] = {
    {"tensor", false}, {"operator", false}, {"place", false}, {"compiled as", false},
    {"error", true},   {"allowed", true},   {"", false},
};

static void add_row(CvmTable *table, const CvmVerifyCase *found, const CvmVerifyRow *row,
                    bool with_case) {
    CvmArena *arena = found->trial.arena;
    cvm_table_add_row(table);
    cvm_table_set(table, LAYER, "%s", layer_of(row->node));
    cvm_table_set(table, OPERATOR, "%s", operator_text(row, arena));
    cvm_table_set(table, PLACE, "%s", place_of(row->node, arena));
    if (with_case)
        cvm_table_set(table, CASE, "%s", cvm_verify_title(&found->trial));
    if (row->checked) {
        cvm_table_set(table, ERROR, "%.2g", row->deviation.error);
        cvm_table_set(table, ALLOWED, "%.2g", row->deviation.allowed);
    }
    cvm_table_set(table, NOTE, "%s",
                  !row->checked            ? "left out"
                  : !row->deviation.agrees ? "DIFFERS"
                  : row->blurred           ? "rounding leaves no more of it"
                                           : "");
}

void cvm_verify_print_case(const CvmSession *session, const CvmVerifyCase *found) {
    const CvmVerifyWalk *walk = &found->walk;
    const char *title = cvm_verify_title(&found->trial);
    if (!found->done) {
        printf("%s: left out, for want of time\n", title);
        return;
    }
    printf("%s: %d of %d stored tensors %s", title, walk->checked - walk->different, walk->count,
           walk->different || walk->checked < walk->count ? "are as their references" : "agree");
    if (walk->different)
        printf(", %d DIFFER", walk->different);
    if (walk->checked < walk->count)
        printf(", %d left out", walk->count - walk->checked);
    if (walk->inside)
        printf("; %d more are inside of kernels", walk->inside);
    printf("; %s with 1 and %d threads\n", found->bits.same ? "same bits" : "OTHER BITS",
           found->bits.threads);
    print_first(found);
    print_bits(found);
    if (!session->options->verbose)
        return;
    CvmTable *table = cvm_table_create(found->trial.arena, columns, COLUMNS);
    for (int i = 0; i < walk->count; i++)
        add_row(table, found, &walk->rows[i], false);
    cvm_table_print(table);
    puts("");
}

/* --- the nearest to their bounds --- */

typedef struct Near {
    const CvmVerifyCase *found;
    const CvmVerifyRow *row;
} Near;

static int by_strain(const void *left, const void *right) {
    const Near *a = left, *b = right;
    double x = a->row->deviation.strain, y = b->row->deviation.strain;
    return x > y ? -1 : x < y ? 1 : 0;
}

void cvm_verify_print_nearest(CvmSession *session, const CvmVerifyCase *cases, int count) {
    size_t room = 1, rows = 0;
    for (int i = 0; i < count; i++)
        room += (size_t)cases[i].walk.count;
    Near *near = cvm_arena_array(session->arena, room, sizeof *near);
    for (int i = 0; i < count; i++)
        for (int k = 0; k < cases[i].walk.count; k++)
            if (cases[i].walk.rows[k].checked && cases[i].walk.rows[k].deviation.strain > 0)
                near[rows++] = (Near){&cases[i], &cases[i].walk.rows[k]};
    if (!rows)
        return;
    qsort(near, rows, sizeof *near, by_strain);
    printf("\nnearest to what they may be apart, as shares of the tensors' norms:\n");
    CvmTable *table = cvm_table_create(session->arena, columns, COLUMNS);
    for (size_t i = 0; i < rows && i < NEAREST; i++)
        add_row(table, near[i].found, near[i].row, true);
    cvm_table_print(table);
}

/* --- gradients --- */

static const char *const verdicts[] = {
    [CVM_DERIVATIVE_AGREES] = "agrees",
    [CVM_DERIVATIVE_DIFFERS] = "DIFFERS",
    [CVM_DERIVATIVE_FLAT] = "too small to tell",
    [CVM_DERIVATIVE_KINK] = "kinks: tells nothing",
};

static void add_gradient(CvmTable *table, const CvmVerifyGradient *row, CvmArena *arena) {
    cvm_table_add_row(table);
    cvm_table_set(table, 0, "%s", row->parameter->origin.name);
    cvm_table_set(table, 1, "%s", place_of(row->parameter, arena));
    if (row->checked) {
        cvm_table_set(table, 2, "%.5g", row->derivatives[0].expected);
        cvm_table_set(table, 3, "%.5g", row->derivatives[0].measured);
    }
    const char *others = "";
    for (int i = 1; i < row->count; i++)
        others = cvm_arena_format(arena, "%s%s%.3g/%.3g", others, i > 1 ? ", " : "",
                                  row->derivatives[i].expected, row->derivatives[i].measured);
    cvm_table_set(table, 4, "%s", others);
    cvm_table_set(table, 5, "%s", row->checked ? verdicts[row->verdict] : "left out");
}

void cvm_verify_print_gradients(const CvmSession *session, const CvmVerifyGradients *gradients) {
    static const CvmColumn heads[] = {
        {"parameter", false},         {"place", false},
        {"along gradient", true},     {"by differences", true},
        {"along random ones", false}, {"", false},
    };
    int counts[4] = {0};
    for (int i = 0; i < gradients->count; i++)
        if (gradients->rows[i].checked)
            counts[gradients->rows[i].verdict]++;
    printf("gradients by finite differences of the loss (%.5g): of %d parameters %d agree",
           gradients->loss, gradients->count, counts[CVM_DERIVATIVE_AGREES]);
    if (counts[CVM_DERIVATIVE_DIFFERS])
        printf(", %d DIFFER", counts[CVM_DERIVATIVE_DIFFERS]);
    if (counts[CVM_DERIVATIVE_FLAT])
        printf(", %d have gradients below the loss's rounding", counts[CVM_DERIVATIVE_FLAT]);
    if (counts[CVM_DERIVATIVE_KINK])
        printf(", of %d kinks leave nothing to tell", counts[CVM_DERIVATIVE_KINK]);
    if (gradients->checked < gradients->count)
        printf(", %d left out", gradients->count - gradients->checked);
    puts("");
    bool all = session->options->verbose;
    if (!all && !gradients->different)
        return;
    CvmTable *table = cvm_table_create(session->arena, heads, (int)(sizeof heads / sizeof *heads));
    for (int i = 0; i < gradients->count; i++)
        if (all ||
            (gradients->rows[i].checked && gradients->rows[i].verdict == CVM_DERIVATIVE_DIFFERS))
            add_gradient(table, &gradients->rows[i], session->arena);
    cvm_table_print(table);
}
