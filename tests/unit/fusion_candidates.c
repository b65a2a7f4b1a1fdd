/* Every candidate of a fusion has a remark: on all models, for inference and, where there is a
 * train, for its step, the remarks of each fusing pass are as many as the candidates that the graph
 * has by its pattern, counted here without the pass. */
#include "compiler/front/program.h"
#include "compiler/graph/op.h"
#include "compiler/passes/log.h"
#include "compiler/passes/passes.h"
#include "compiler/training_graph.h"

#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct Run {
    CvmArena *arena;
    CvmDiag diag;
    const char *model;
    int candidates; /* over all models and passes */
} Run;

static bool is_pointwise(const CvmNode *node) {
    return cvm_op_info(node->op)->class == CVM_CLASS_POINTWISE;
}

static bool same_type(const CvmType *a, const CvmType *b) {
    return a->dtype == b->dtype && a->layout == b->layout && cvm_shape_equal(&a->shape, &b->shape);
}

static bool reads(const CvmNode *reader, const CvmNode *value) {
    for (int i = 0; i < reader->input_count; i++)
        if (reader->inputs[i] == value)
            return true;
    return false;
}

static const CvmNode *find(const CvmGraph *graph, int id) {
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->id == id)
            return graph->nodes[i];
    return NULL;
}

/* The first node of the node's kernel. */
static const CvmNode *opener(const CvmGraph *graph, const CvmNode *node) {
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i] == node ||
            (node->group != CVM_NO_GROUP && graph->nodes[i]->group == node->group))
            return graph->nodes[i];
    return node;
}

/* --- candidates, counted in the graph before and after the pass --- */

/* What computes results that something may be applied to before they are stored. */
static bool is_anchor(const CvmNode *node) {
    switch (node->op) {
    case CVM_OP_WINOGRAD_WEIGHT:
    case CVM_OP_MAXPOOL_INDEX:
    case CVM_OP_ADAPTIVE_AVGPOOL_GRAD:
        return false;
    case CVM_OP_BIAS_GRAD:
    case CVM_OP_CENTERED_PRODUCT:
        return true;
    default:
        return cvm_op_info(node->op)->class == CVM_CLASS_CONTRACTION ||
               cvm_op_info(node->op)->class == CVM_CLASS_WINDOW;
    }
}

static bool unpacks(const CvmNode *node) {
    return node->op == CVM_OP_RELAYOUT && node->inputs[0]->op == CVM_OP_CONV_GRAD_WEIGHT &&
           node->type.layout == CVM_LAYOUT_PLAIN;
}

/* Each node that was taken in, and where the chain ends, who else would have come next. */
static int count_epilogues(const CvmGraph *before, const CvmGraph *after) {
    int candidates = 0;
    for (int i = 0; i < after->node_count; i++) {
        const CvmNode *anchor = after->nodes[i], *tail = anchor;
        if (!is_anchor(anchor) || find(before, anchor->id)->group != CVM_NO_GROUP)
            continue;
        for (int k = i + 1; k < after->node_count && anchor->group != CVM_NO_GROUP &&
                            after->nodes[k]->group == anchor->group;
             k++) {
            tail = after->nodes[k];
            candidates++;
        }
        for (int k = 0; k < after->node_count; k++) {
            const CvmNode *node = after->nodes[k];
            if (reads(node, tail) && node->group != tail->group + (tail->group == CVM_NO_GROUP) &&
                (is_pointwise(node) || unpacks(node))) {
                candidates++;
                break;
            }
        }
    }
    return candidates;
}

static int count_bias_gradients(const CvmGraph *before, const CvmGraph *after) {
    int candidates = 0;
    (void)after;
    for (int i = 0; i < before->node_count; i++)
        candidates += before->nodes[i]->op == CVM_OP_BIAS_GRAD;
    return candidates;
}

/* Poolings right behind a convolution's kernel, and what finds the places of the largest values. */
static int count_pools(const CvmGraph *before, const CvmGraph *after) {
    int candidates = 0;
    (void)after;
    for (int i = 0; i < before->node_count; i++) {
        const CvmNode *node = before->nodes[i];
        candidates += node->op == CVM_OP_MAXPOOL_INDEX;
        if ((node->op != CVM_OP_MAXPOOL && node->op != CVM_OP_AVGPOOL) ||
            opener(before, node) != node)
            continue;
        CvmOp source = opener(before, node->inputs[0])->op;
        candidates += source == CVM_OP_CONV || source == CVM_OP_WINOGRAD ||
                      source == CVM_OP_WINOGRAD_ROWS;
    }
    return candidates;
}

/* Groups and nodes that stand alone, among those that could be joined. */
static int count_units(const CvmGraph *before, const CvmGraph *graph) {
    int units = 0;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i], *was = find(before, node->id);
        if (was && is_pointwise(node) && was->group == CVM_NO_GROUP)
            units += opener(graph, node) == node;
    }
    return units;
}

/* One for each two that were joined, and one for each edge that is left between two. */
static int count_pointwise(const CvmGraph *before, const CvmGraph *after) {
    int candidates = count_units(before, before) - count_units(before, after);
    for (int i = 0; i < after->node_count; i++) {
        const CvmNode *node = after->nodes[i];
        for (int k = 0; k < node->input_count; k++) {
            const CvmNode *from = node->inputs[k];
            candidates += is_pointwise(node) && is_pointwise(from) &&
                          same_type(&node->type, &from->type) &&
                          find(before, node->id)->group == CVM_NO_GROUP &&
                          find(before, from->id)->group == CVM_NO_GROUP &&
                          opener(after, node) != opener(after, from);
        }
    }
    return candidates;
}

/* What works on the rows of a log_softmax. */
static int count_losses(const CvmGraph *before, const CvmGraph *after) {
    int candidates = 0;
    (void)after;
    for (int i = 0; i < before->node_count; i++)
        candidates += before->nodes[i]->op == CVM_OP_NLL ||
                      before->nodes[i]->op == CVM_OP_NLL_GRAD ||
                      before->nodes[i]->op == CVM_OP_LOG_SOFTMAX_GRAD;
    return candidates;
}

static const struct {
    const char *pass;
    int (*count)(const CvmGraph *before, const CvmGraph *after);
} fusions[] = {
    {"fuse-epilogue", count_epilogues}, {"fuse-bias-grad", count_bias_gradients},
    {"fuse-pool", count_pools},         {"fuse-pointwise", count_pointwise},
    {"fuse-loss", count_losses},
};

/* --- models --- */

static CvmPassLog run_pass(Run *run, const char *name, CvmGraph *graph) {
    CvmPassLog log = cvm_pass_log(run->arena);
    CvmPassContext context = {.diag = &run->diag, .vector_lanes = 8, .log = &log};
    CvmPassChoice choice = {.order = {cvm_pass_find(name)}, .count = 1};
    for (int i = 0; i < CVM_MAX_PASSES; i++)
        choice.limits[i] = INT32_MAX;
    if (!cvm_run_passes(&choice, &context, graph)) {
        cvm_diag_print(&run->diag, stderr);
        fail_msg("%s: %s fails", run->model, name);
    }
    return log;
}

static void check_pass(Run *run, int fusion, CvmGraph *graph) {
    const char *pass = fusions[fusion].pass;
    const CvmGraph *before = cvm_graph_copy(graph, run->arena);
    CvmPassLog log = run_pass(run, pass, graph);
    int remarks = 0, refused = 0;
    for (const CvmRemark *remark = log.first; remark; remark = remark->next) {
        if (strcmp(remark->pass, pass) != 0)
            continue;
        remarks++;
        refused += remark->refused;
        if (remark->refused)
            assert_non_null(remark->reason);
    }
    int candidates = fusions[fusion].count(before, graph);
    assert_true(log.reports[0].applications <= remarks - refused); /* a loss is one, of several */
    if (candidates != remarks) {
        cvm_pass_log_print(&log, stderr);
        fail_msg("%s, %s: %d candidates, %d applied and %d refused", run->model, pass, candidates,
                 remarks - refused, refused);
    }
    run->candidates += candidates;
}

static void check_graph(Run *run, CvmGraph *graph) {
    int count;
    const CvmPass *passes = cvm_passes(&count);
    assert_non_null(graph);
    for (int i = 0; i < count; i++) {
        int fusion = -1;
        for (size_t k = 0; k < sizeof fusions / sizeof *fusions; k++)
            if (strcmp(fusions[k].pass, passes[i].name) == 0)
                fusion = (int)k;
        if (fusion >= 0)
            check_pass(run, fusion, graph);
        else if (passes[i].enabled)
            run_pass(run, passes[i].name, graph);
    }
}

static void check_file(Run *run, const char *path) {
    run->arena = cvm_arena_create();
    run->model = path;
    cvm_diag_init(&run->diag, run->arena);
    CvmProgram *program = cvm_program_load(run->arena, path, NULL, &run->diag);
    assert_non_null(program);
    for (int i = 0; i < cvm_program_train_count(program); i++)
        check_graph(run,
                    cvm_training_graph(cvm_program_train(program, i), 8, run->arena, &run->diag));
    for (int i = 0; i < cvm_program_model_count(program); i++)
        check_graph(run, cvm_inference_graph(cvm_program_model(program, i), 1, true, run->arena,
                                             &run->diag));
    cvm_arena_free(run->arena);
}

static void every_candidate_has_a_remark(void **state) {
    (void)state;
    const char *sources = getenv("CVM_SOURCE_DIR");
    Run run = {.candidates = 0};
    char path[1024];
    snprintf(path, sizeof path, "%s/models", sources);
    DIR *folder = opendir(path);
    assert_non_null(folder);
    for (struct dirent *entry; (entry = readdir(folder));) {
        if (!strstr(entry->d_name, ".cvm"))
            continue;
        snprintf(path, sizeof path, "%s/models/%s", sources, entry->d_name);
        check_file(&run, path);
    }
    closedir(folder);
    snprintf(path, sizeof path, "%s/tests/bench/imagenet.cvm", sources);
    check_file(&run, path); /* steps of large models */
    assert_true(run.candidates > 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_candidate_has_a_remark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
