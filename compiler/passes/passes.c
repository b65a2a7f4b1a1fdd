/* The table of passes and the loop that runs them. A pass is one file beside this one and one row
 * here; choice.c reads the text that chooses among them. */
#include "compiler/passes/pass.h"

#include <limits.h>

static const CvmPass table[] = {
    {"fold-constants", "computes what depends on constants alone", true, cvm_fold_constants},
    {"canonicalise", "gives equal things one form, removes what changes nothing", true,
     cvm_canonicalise},
    {"split-batchnorm", "computes what batch norm needs of each channel once", true,
     cvm_split_batchnorm},
    {"cse", "computes equal things once", true, cvm_common_subexpressions},
    {"mask-pooled", "applies an activation's gradient to pooled values instead of all", true,
     cvm_mask_pooled},
    {"dead-code", "removes what no output and no update needs", true, cvm_dead_code},
    {"layout", "lays pictures or channels side by side in vectors, whichever fill them", true,
     cvm_assign_layouts},
    {"pack-parameters", "keeps weights that learn in the order their convolutions read", true,
     cvm_pack_parameters},
    {"winograd", "computes 3x3 convolutions with fewer multiplications where that is faster", true,
     cvm_choose_winograd},
    {"fuse-epilogue", "applies bias, activation and the like to a result before it is stored", true,
     cvm_fuse_epilogues},
    {"fuse-bias-grad", "sums up a bias's gradient where weights' gradient is made of the same",
     true, cvm_fuse_bias_gradients},
    {"fuse-pool", "pools what a convolution gives before it is stored", true, cvm_fuse_pools},
    {"fuse-pointwise", "makes one kernel of chains of pointwise nodes", true, cvm_fuse_pointwise},
    {"fuse-loss", "makes one kernel of log_softmax, nll and their gradients", false,
     cvm_fuse_losses},
    {"early-updates", "updates each parameter as soon as its gradient is there", true,
     cvm_update_early},
    {"recompute", "runs cheap kernels again instead of keeping what they gave for backward", false,
     cvm_recompute},
};

enum { PASS_COUNT = sizeof table / sizeof *table };

_Static_assert((int)PASS_COUNT <= (int)CVM_MAX_PASSES, "a choice has room for every pass");

const CvmPass *cvm_passes(int *count) {
    *count = PASS_COUNT;
    return table;
}

/* The graph in order and, where asked for, checked. */
static bool finish_pass(const char *name, const CvmPassContext *context, CvmGraph *graph) {
    if (!cvm_graph_sort(graph))
        return cvm_diag_error(context->diag, 1600, (CvmSpan){0}, NULL, NULL,
                              "after '%s', parts of the graph wait for each other in a circle",
                              name);
    bool verify = context->verify;
#ifndef NDEBUG
    verify = true;
#endif
    return !verify || cvm_graph_verify(graph, context->diag);
}

/* Trials leave gaps: groups are numbered again in the order in which they run. */
static void number_groups(CvmGraph *graph) {
    int open = CVM_NO_GROUP;
    graph->next_group = 0;
    for (int i = 0; i < graph->node_count; i++) {
        int *group = &graph->nodes[i]->group, was = *group;
        if (was != CVM_NO_GROUP)
            *group = was == open ? graph->next_group - 1 : graph->next_group++;
        open = was;
    }
}

/* Opens a report, where a log wants one, and closes it. */
static void begin_report(const CvmPassContext *context, const CvmGraph *graph) {
    CvmPassLog *log = context->log;
    if (log && log->report_count < CVM_MAX_PASSES)
        log->reports[log->report_count] =
            (CvmPassReport){.pass = context->pass, .before = cvm_graph_size(graph)};
}

static void end_report(const CvmPassContext *context, const CvmGraph *graph, int before) {
    CvmPassLog *log = context->log;
    if (!log || log->report_count == CVM_MAX_PASSES)
        return;
    log->reports[log->report_count].applications = context->applications - before;
    log->reports[log->report_count++].after = cvm_graph_size(graph);
}

/* applied: how often each pass of the table has been applied so far. */
static bool run_pass(int row, int limit, int *applied, CvmPassContext *context, CvmGraph *graph) {
    const CvmPass *pass = &table[row];
    context->pass = pass->name;
    context->limit = limit;
    context->applications = applied[row];
    begin_report(context, graph);
    if (!pass->run(context, graph) || !finish_pass(pass->name, context, graph))
        return false;
    end_report(context, graph, applied[row]);
    applied[row] = context->applications;
    return true;
}

/* Whether the arena fits the limit, where there is one. */
static bool check_memory(const CvmPassContext *context, const CvmGraph *graph) {
    if (!context->memory_limit)
        return true;
    CvmArena *scratch = cvm_arena_create();
    CvmMemoryPlan plan;
    bool fits = cvm_plan_memory(graph, scratch, &plan, context->diag);
    cvm_arena_free(scratch);
    if (!fits || plan.arena_bytes <= context->memory_limit)
        return fits;
    return cvm_diag_error(context->diag, 1607, (CvmSpan){0}, NULL, "use a smaller batch",
                          "%s needs %.1f MB beside its parameters with all that can be recomputed, "
                          "and may take %.1f MB",
                          graph->name, (double)plan.arena_bytes / 1e6,
                          (double)context->memory_limit / 1e6);
}

bool cvm_run_passes(const CvmPassChoice *choice, CvmPassContext *context, CvmGraph *graph) {
    int applied[PASS_COUNT] = {0};
    context->pass = "precision";
    if (!cvm_apply_precision(context, graph) || !finish_pass("precision", context, graph))
        return false;
    for (int i = 0; i < choice->count; i++) {
        int row = choice->order[i];
        if (!run_pass(row, choice->limits[row], applied, context, graph))
            return false;
    }
    context->pass = "settle";
    context->applications = 0;
    context->limit = INT_MAX;
    if (!cvm_settle_results(context, graph) || !finish_pass("settle", context, graph))
        return false;
    number_groups(graph);
    return check_memory(context, graph);
}
