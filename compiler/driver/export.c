/* cvmc export: a model with its parameters in the format of other programs, which is ONNX. */
#include "compiler/onnx/export.h"
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/session.h"
#include "compiler/driver/weights.h"
#include "compiler/plan_builder.h"
#include "compiler/training_graph.h"

/* Puts the parameters into the store that are not there yet, with their starting values. */
static bool add_parameters(CvmSession *session, const CvmGraph *graph) {
    CvmError error;
    uint64_t seed = session->train ? session->train->seed : 0;
    for (int i = 0; i < graph->node_count; i++) {
        if (graph->nodes[i]->op != CVM_OP_PARAMETER)
            continue;
        CvmSlot slot = cvm_slot_of_parameter(graph->nodes[i]);
        if (!cvm_store_find(&session->store, slot.name) &&
            !cvm_store_add(&session->store, &slot, seed, NULL, &error))
            return cvm_session_fail(session, &error);
    }
    return true;
}

static bool take_weights(CvmSession *session, const CvmGraph *graph) {
    CvmCheckpointInfo info;
    if (session->options->weights)
        return cvm_session_open_weights(session);
    if (!add_parameters(session, graph))
        return false;
    if (session->options->checkpoint)
        return cvm_session_load_checkpoint(session, &info);
    cvm_report_note("neither --checkpoint nor --weights: the file gets untrained parameters");
    return true;
}

static bool export(CvmSession *session) {
    CvmError error = {.kind = CVM_ERROR_NONE};
    const char *path = session->options->onnx;
    if (!cvm_session_need_model(session))
        return false;
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    if (!take_weights(session, graph))
        return false;
    if (!cvm_onnx_export(path, graph, &session->store, session->arena, &session->diag, &error))
        return error.kind == CVM_ERROR_NONE ? cvm_session_fail_compile(session)
                                            : cvm_session_fail(session, &error);
    printf("%s: model %s\n", path, cvm_model_name(session->model));
    return true;
}

int cvm_command_export(const CvmOptions *options) {
    CvmSession session;
    if (!options->onnx) {
        cvm_report_error("export needs --onnx PATH, the file to write");
        return CVM_EXIT_USAGE;
    }
    if (options->checkpoint && options->weights) {
        cvm_report_error("--checkpoint and --weights both say where the weights are; give one");
        return CVM_EXIT_USAGE;
    }
    if (cvm_session_open(&session, options))
        export(&session);
    return cvm_session_close(&session);
}
