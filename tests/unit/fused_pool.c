/* Pooling in the convolution's kernel: what generated code gives is what the references give, in
 * both blocked layouts, with an epilogue before and behind it, for windows that meet tiles at any
 * place, directly and by minimal filtering; and so are the places of the largest values. */
#include "compiler/graph/op.h"
#include "tests/support/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

typedef struct PoolCase {
    const char *name;
    int64_t n, channels, h, w, outputs, kernel, stride, pad, groups; /* of the convolution */
    const char *pool;
    int64_t window[2];
} PoolCase;

static const PoolCase cases[] = {
    {"first layer", 1, 3, 12, 18, 16, 3, 1, 1, 1, "maxpool", {2, 2}},
    {"odd sizes", 2, 16, 15, 13, 32, 3, 1, 1, 1, "maxpool", {2, 2}},
    {"wide", 1, 16, 4, 59, 16, 3, 1, 1, 1, "maxpool", {2, 2}},
    {"windows of three", 1, 16, 17, 40, 16, 3, 1, 1, 1, "maxpool", {3, 3}},
    {"one row of a window", 1, 16, 5, 23, 16, 5, 1, 2, 1, "maxpool", {1, 4}},
    {"one column of a window", 1, 16, 9, 7, 16, 1, 1, 0, 1, "maxpool", {3, 1}},
    {"means", 1, 16, 8, 22, 48, 3, 1, 1, 1, "avgpool", {2, 3}},
    {"the whole picture", 1, 16, 5, 6, 16, 3, 1, 1, 1, "avgpool", {5, 6}},
    {"stride 2", 1, 16, 17, 25, 16, 3, 2, 1, 1, "maxpool", {2, 2}},
    {"groups", 1, 32, 10, 10, 32, 3, 1, 1, 2, "maxpool", {2, 2}},
    {"depthwise", 1, 16, 11, 14, 16, 3, 1, 1, 16, "maxpool", {2, 2}},
    {"more taps than are unrolled", 1, 16, 24, 24, 16, 20, 1, 0, 1, "avgpool", {2, 2}},
    {"tiles of four", 1, 32, 14, 18, 32, 3, 1, 1, 1, "maxpool", {2, 2}},
    {"tiles of four, rows of four", 1, 32, 16, 22, 48, 3, 1, 1, 1, "maxpool", {4, 2}},
    {"batch", 16, 1, 28, 28, 6, 5, 1, 2, 1, "maxpool", {2, 2}},
    {"batch, odd sizes", 32, 3, 9, 7, 5, 3, 1, 1, 1, "avgpool", {2, 2}},
};

static CvmArena *arena;
static CvmDiag diag;

/* Convolution, bias, a sum and relu, pooling, a scale: as text, so that a failure can be tried. Of
 * maxima, also where they are: there are many equal ones, zeros. */
static CvmGraph *pooled_graph(const PoolCase *c) {
    int64_t h = (c->h + 2 * c->pad - c->kernel) / c->stride + 1;
    int64_t w = (c->w + 2 * c->pad - c->kernel) / c->stride + 1;
    char between[96], after[96];
    snprintf(between, sizeof between, "f32[%d, %d, %d, %d]", (int)c->n, (int)c->outputs, (int)h,
             (int)w);
    snprintf(after, sizeof after, "f32[%d, %d, %d, %d]", (int)c->n, (int)c->outputs,
             (int)(h / c->window[0]), (int)(w / c->window[1]));
    char *windows = cvm_arena_format(
        arena, "(%%7) {kernel=[%d, %d], stride=[%d, %d], pad=[0, 0, 0, 0], ceil=0",
        (int)c->window[0], (int)c->window[1], (int)c->window[0], (int)c->window[1]);
    bool maxima = *c->pool == 'm';
    char *places = maxima ? cvm_arena_format(arena,
                                             "  %%10 = maxpool_index p %s} : %s\n"
                                             "  output z = %%10\n",
                                             windows, after)
                          : "";
    char *text = cvm_arena_format(
        arena,
        "graph pooled {\n"
        "  %%0 = input x : f32[%d, %d, %d, %d]\n"
        "  %%1 = input other : %s\n"
        "  %%2 = parameter w {kind=\"weight\", bound=1, fill=0} : f32[%d, %d, %d, %d]\n"
        "  %%3 = parameter b {kind=\"weight\", bound=1, fill=0} : f32[%d]\n"
        "  %%4 = conv c (%%0, %%2) {stride=[%d, %d], pad=[%d, %d, %d, %d], dilation=[1, 1], "
        "groups=%d} : %s\n"
        "  %%5 = bias c (%%4, %%3) : %s\n"
        "  %%6 = add c (%%5, %%1) : %s\n"
        "  %%7 = relu c (%%6) : %s\n"
        "  %%8 = %s p %s%s} : %s\n"
        "  %%9 = bias p (%%8, %%3) : %s\n"
        "  output y = %%9\n"
        "%s}\n",
        (int)c->n, (int)c->channels, (int)c->h, (int)c->w, between, (int)c->outputs,
        (int)(c->channels / c->groups), (int)c->kernel, (int)c->kernel, (int)c->outputs,
        (int)c->stride, (int)c->stride, (int)c->pad, (int)c->pad, (int)c->pad, (int)c->pad,
        (int)c->groups, between, between, between, between, c->pool, windows,
        maxima ? "" : ", count_pad=1", after, after, places);
    CvmSource source = {.path = c->name, .text = text, .length = strlen(text)};
    CvmGraph *graph = cvm_graph_parse(arena, &source, &diag);
    cvm_diag_print(&diag, stderr);
    assert_non_null(graph);
    return graph;
}

static bool is_fused(CvmGraph *graph, const char *passes, int lanes) {
    CvmPassChoice choice;
    assert_true(cvm_pass_choice(passes, &choice, &diag));
    CvmPassContext context = {.diag = &diag, .vector_lanes = lanes, .verify = true};
    assert_true(cvm_run_passes(&choice, &context, graph));
    int conv = CVM_NO_GROUP, pool = CVM_NO_GROUP, index = CVM_NO_GROUP;
    for (int i = 0; i < graph->node_count; i++) {
        const CvmNode *node = graph->nodes[i];
        if (node->op == CVM_OP_CONV || node->op == CVM_OP_WINOGRAD)
            conv = node->group;
        if (node->op == CVM_OP_MAXPOOL || node->op == CVM_OP_AVGPOOL)
            pool = index = node->group;
    }
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_MAXPOOL_INDEX)
            index = graph->nodes[i]->group;
    return conv != CVM_NO_GROUP && conv == pool && conv == index;
}

static bool has_tiles(const CvmGraph *graph) {
    for (int i = 0; i < graph->node_count; i++)
        if (graph->nodes[i]->op == CVM_OP_WINOGRAD)
            return true;
    return false;
}

static void fused_pooling_gives_what_the_references_give(void **state) {
    (void)state;
    const char *const *cpus = compiled_cpus();
    int cpu_count = 0;
    while (cpus[cpu_count])
        cpu_count++;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        arena = cvm_arena_create();
        cvm_diag_init(&diag, arena);
        bool tiles = strncmp(cases[i].name, "tiles", 5) == 0;
        const char *passes = tiles   ? "layout,winograd,fuse-epilogue,fuse-pool"
                             : i % 3 ? "layout,fuse-epilogue,fuse-pool"
                                     : "layout,fuse-pool";
        CvmGraph *graph = pooled_graph(&cases[i]);
        CvmGraph *tried = cvm_graph_copy(graph, arena);
        if (!is_fused(tried, passes, 8) && (tiles || i % 3))
            fail_msg("'%s' was not fused", cases[i].name);
        assert_int_equal(has_tiles(tried), tiles);
        CvmTestSources sources = {arena, i + 1};
        cvm_test_compiled(graph, passes, cpus[i % (size_t)cpu_count], &sources, 1e-4);
        cvm_arena_free(arena);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fused_pooling_gives_what_the_references_give),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
