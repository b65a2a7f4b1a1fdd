/* cvmc dump: what the compiler makes of a file, or of a graph that it printed, at any stage, as
 * text or as a drawing. */
#include "compiler/driver/command.h"
#include "compiler/driver/graphviz.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"

#include <string.h>

typedef struct StageName {
    const char *name;
    CvmStage stage;
    bool drawable; /* has a Graphviz form */
} StageName;

static const StageName stages[] = {
    {"graph", CVM_STAGE_GRAPH, true},      {"fused", CVM_STAGE_FUSED, true},
    {"kernels", CVM_STAGE_KERNELS, false}, {"plan", CVM_STAGE_PLAN, false},
    {"llvm", CVM_STAGE_LLVM, false},       {"asm", CVM_STAGE_ASM, false},
};
enum { STAGE_COUNT = sizeof stages / sizeof *stages };

static const StageName *find_stage(const char *name) {
    const char *names[STAGE_COUNT + 1] = {"ast"};
    for (int i = 0; i < STAGE_COUNT; i++) {
        if (strcmp(stages[i].name, name) == 0)
            return &stages[i];
        names[i + 1] = stages[i].name;
    }
    const char *nearest = cvm_nearest_name(name, names, STAGE_COUNT + 1);
    cvm_report_error("there is no stage '%s'%s%s%s; ast, graph, fused, kernels, plan, llvm and asm "
                     "are the stages",
                     name, nearest ? "; did you mean '" : "", nearest ? nearest : "",
                     nearest ? "'?" : "");
    return NULL;
}

static bool is_drawing(const CvmOptions *options) {
    return options->dot || options->svg;
}

static bool draw(CvmSession *session, CvmGraph *graph, const StageName *stage) {
    const CvmOptions *options = session->options;
    const CvmGraph *before = options->before_after ? cvm_graph_copy(graph, session->arena) : NULL;
    if (stage->stage == CVM_STAGE_FUSED && !cvm_session_run_passes(session, graph, NULL))
        return false;
    char *text = cvm_graphviz_text(before ? before : graph, before ? graph : NULL, session->arena);
    CvmError error;
    if (options->svg && !(text = cvm_graphviz_svg(text, session->arena, &error)))
        return cvm_session_fail(session, &error);
    fputs(text, stdout);
    return true;
}

static bool dump_stage(CvmSession *session, const StageName *stage) {
    CvmGraph *graph = cvm_session_graph(session);
    if (!graph)
        return false;
    if (is_drawing(session->options))
        return draw(session, graph, stage);
    return cvm_dump_stage(graph, &session->compile, stage->stage, stdout, &session->diag) ||
           cvm_session_fail_compile(session);
}

int cvm_command_dump(const CvmOptions *options) {
    if (!options->stage) {
        cvm_report_error("dump needs --stage STAGE: ast, graph, fused, kernels, plan, llvm or asm");
        return CVM_EXIT_USAGE;
    }
    bool tree = strcmp(options->stage, "ast") == 0;
    const StageName *stage = tree ? NULL : find_stage(options->stage);
    if (!tree && !stage)
        return CVM_EXIT_USAGE;
    if (is_drawing(options) && (tree || !stage->drawable)) {
        cvm_report_error("--%s draws the stages graph and fused, not %s",
                         options->dot ? "dot" : "svg", options->stage);
        return CVM_EXIT_USAGE;
    }
    if (options->dot && options->svg) {
        cvm_report_error("either --dot or --svg");
        return CVM_EXIT_USAGE;
    }
    if (options->before_after && (!is_drawing(options) || stage->stage != CVM_STAGE_FUSED)) {
        cvm_report_error("--before-after needs --stage fused, and --dot or --svg");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (tree ? cvm_session_open(&session, options) : cvm_session_open_graph(&session, options)) {
        if (tree)
            cvm_ast_print(cvm_program_ast(session.program), true, stdout);
        else
            dump_stage(&session, stage);
    }
    return cvm_session_close(&session);
}
