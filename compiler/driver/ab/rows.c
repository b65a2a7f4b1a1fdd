/* See rows.h. Passes keep the ids of the nodes they leave. A node that a pass made (the parts of a
 * batch norm) stands for the nodes of its own layer that are gone; copies into another layout stand
 * for nothing on the other side and are rows of their own. */
#include "compiler/driver/ab/rows.h"

#include "compiler/graph/op.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct LineUp {
    const CvmAbSide *sides;
    CvmArena *arena;
    int ids;      /* of the source graph: below this, both sides' mean the same */
    int *parents; /* by id, and behind them one for each call of A and of B: a forest of sets */
    int call_base[2];
} LineUp;

static int find_root(const LineUp *up, int index) {
    while (up->parents[index] != index) {
        up->parents[index] = up->parents[up->parents[index]];
        index = up->parents[index];
    }
    return index;
}

/* The smaller index stays the root: a set with nodes is known by its first one. */
static void join(const LineUp *up, int a, int b) {
    a = find_root(up, a);
    b = find_root(up, b);
    up->parents[a > b ? a : b] = a > b ? b : a;
}

static bool same_layer(const CvmNode *a, const CvmNode *b) {
    return a->origin.name && b->origin.name && strcmp(a->origin.name, b->origin.name) == 0;
}

static bool computes(const CvmNode *node) {
    CvmOpClass class = cvm_op_info(node->op)->class;
    return class != CVM_CLASS_SOURCE && class != CVM_CLASS_ALIAS;
}

/* Joins the call with the nodes that the side replaced by this new one. */
static void join_replaced(const LineUp *up, const CvmAbSide *side, const bool *present, int call,
                          const CvmNode *node) {
    for (int i = 0; i < side->source->node_count && node->op != CVM_OP_RELAYOUT; i++) {
        const CvmNode *source = side->source->nodes[i];
        if (!present[source->id] && computes(source) && same_layer(source, node))
            join(up, call, source->id);
    }
}

/* Joins calls of A and B, in order, that no source node brought together and that do the same for
 * the same layer: copies that both sides' passes added. */
static void join_copies(const LineUp *up) {
    const CvmKernelList *kernels[2];
    for (int i = 0; i < 2; i++)
        kernels[i] = cvm_executable_kernels(up->sides[i].executable);
    for (int a = 0; a < kernels[0]->count; a++)
        for (int b = 0; b < kernels[1]->count; b++) {
            int left = up->call_base[0] + a, right = up->call_base[1] + b;
            const CvmKernel *one = kernels[0]->kernels[a], *other = kernels[1]->kernels[b];
            if (up->parents[left] == left && up->parents[right] == right &&
                one->nodes[0]->op == other->nodes[0]->op &&
                same_layer(one->nodes[0], other->nodes[0])) {
                join(up, left, right);
                break;
            }
        }
}

static void join_side(const LineUp *up, int number) {
    const CvmAbSide *side = &up->sides[number];
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    const CvmKernelList *kernels = cvm_executable_kernels(side->executable);
    bool *present = cvm_arena_array(up->arena, (size_t)side->graph->next_id + 1, sizeof *present);
    for (int i = 0; i < side->graph->node_count; i++)
        present[side->graph->nodes[i]->id] = true;
    for (int i = 0; i < plan->call_count; i++) {
        const CvmKernel *kernel = kernels->kernels[i];
        int call = up->call_base[number] + i;
        for (int k = 0; k < kernel->node_count && !plan->calls[i].prepares; k++)
            if (kernel->nodes[k]->id < up->ids)
                join(up, call, kernel->nodes[k]->id);
            else
                join_replaced(up, side, present, call, kernel->nodes[k]);
    }
}

/* --- texts --- */

static const char *kernel_text(const CvmKernel *kernel, CvmArena *arena) {
    const char *text = "";
    for (int i = 0; i < kernel->node_count; i++)
        text = cvm_arena_format(arena, "%s%s%s", text, i ? "+" : "",
                                cvm_op_info(kernel->nodes[i]->op)->name);
    return text;
}

static void describe(CvmAbPart *part, const CvmAbSide *side, CvmArena *arena) {
    const CvmPlan *plan = cvm_executable_plan(side->executable);
    const CvmKernelList *kernels = cvm_executable_kernels(side->executable);
    part->text = "";
    for (int i = 0; i < part->count; i++) {
        const CvmCall *call = &plan->calls[part->calls[i]];
        part->text = cvm_arena_format(arena, "%s%s%s", part->text, i ? ", " : "",
                                      kernel_text(kernels->kernels[part->calls[i]], arena));
        part->flops += call->flops;
        part->bytes += call->bytes;
    }
}

/* --- rows --- */

static CvmAbRow *row_of(CvmAbRows *rows, int *row_of_root, int root, const char *layer,
                        CvmArena *arena) {
    if (!row_of_root[root]) {
        row_of_root[root] = ++rows->count;
        CvmAbRow *row = &rows->rows[rows->count - 1];
        row->layer = layer;
        for (int side = 0; side < 2; side++)
            row->parts[side].times = cvm_arena_array(arena, CVM_AB_MAX_BLOCKS, sizeof(double));
    }
    return &rows->rows[row_of_root[root] - 1];
}

CvmAbRows cvm_ab_line_up(const CvmAbSide sides[2], CvmArena *arena) {
    CvmAbRows rows = {NULL, 0};
    if (sides[0].training != sides[1].training)
        return rows;
    int calls[2];
    for (int i = 0; i < 2; i++)
        calls[i] = cvm_executable_plan(sides[i].executable)->call_count;
    int ids = sides[0].source->next_id, all = ids + calls[0] + calls[1];
    LineUp up = {sides,
                 arena,
                 ids,
                 cvm_arena_array(arena, (size_t)all + 1, sizeof(int)),
                 {ids, ids + calls[0]}};
    for (int i = 0; i < all; i++)
        up.parents[i] = i;
    join_side(&up, 0);
    join_side(&up, 1);
    join_copies(&up);
    rows.rows = cvm_arena_array(arena, (size_t)(calls[0] + calls[1]) + 1, sizeof *rows.rows);
    int *row_of_root = cvm_arena_array(arena, (size_t)all + 1, sizeof *row_of_root);
    for (int side = 0; side < 2; side++) {
        const CvmPlan *plan = cvm_executable_plan(sides[side].executable);
        for (int i = 0; i < plan->call_count; i++) {
            if (plan->calls[i].prepares)
                continue;
            int root = find_root(&up, up.call_base[side] + i);
            CvmAbPart *part =
                &row_of(&rows, row_of_root, root, plan->calls[i].layer, arena)->parts[side];
            if (!part->calls)
                part->calls = cvm_arena_array(arena, (size_t)calls[side] + 1, sizeof(int));
            part->calls[part->count++] = i;
        }
    }
    for (int i = 0; i < rows.count; i++)
        for (int side = 0; side < 2; side++)
            describe(&rows.rows[i].parts[side], &sides[side], arena);
    return rows;
}

void cvm_ab_rows_add(CvmAbRows *rows, int side, int block, const double *call_seconds) {
    for (int i = 0; i < rows->count; i++) {
        CvmAbPart *part = &rows->rows[i].parts[side];
        for (int k = 0; k < part->count; k++)
            part->times[block] += call_seconds[part->calls[k]];
    }
}

static void judge(CvmAbRow *row, int blocks, int comparisons, uint64_t seed) {
    double ratios[CVM_AB_MAX_BLOCKS];
    for (int side = 0; side < 2; side++)
        row->parts[side].seconds = cvm_ab_median(row->parts[side].times, blocks);
    if (!row->parts[0].count || !row->parts[1].count) {
        row->verdict = row->parts[0].count ? CVM_AB_B_FASTER : CVM_AB_A_FASTER;
        return;
    }
    for (int i = 0; i < blocks; i++)
        ratios[i] = log(fmax(row->parts[1].times[i], 1e-9) / fmax(row->parts[0].times[i], 1e-9));
    row->ratio = cvm_ab_ratio(ratios, blocks, comparisons, seed);
    row->verdict = cvm_ab_verdict(&row->ratio);
}

static double change(const CvmAbRow *row) {
    return fabs(row->parts[0].seconds - row->parts[1].seconds);
}

static int by_change(const void *left, const void *right) {
    double a = change(left), b = change(right);
    return (a < b) - (a > b);
}

void cvm_ab_rows_judge(CvmAbRows *rows, int blocks, uint64_t seed) {
    int comparisons = 0;
    for (int i = 0; i < rows->count; i++)
        comparisons += rows->rows[i].parts[0].count && rows->rows[i].parts[1].count;
    for (int i = 0; i < rows->count; i++)
        judge(&rows->rows[i], blocks, comparisons, seed);
    if (rows->count)
        qsort(rows->rows, (size_t)rows->count, sizeof *rows->rows, by_change);
}
