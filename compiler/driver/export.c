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

/* Fills the store, and *normalization with what goes with the weights; its channels stay 0 where
 * nothing states one. */
static bool take_weights(CvmSession *session, const CvmGraph *graph,
                         CvmNormalization *normalization) {
    CvmCheckpointInfo info;
    if (session->predict && session->predict->normalizes)
        *normalization = session->predict->normalize.stated;
    if (session->options->weights)
        return cvm_session_open_weights(session);
    if (!add_parameters(session, graph))
        return false;
    if (!session->options->checkpoint) {
        cvm_report_note("neither --checkpoint nor --weights: the file gets untrained parameters");
        return true;
    }
    if (!cvm_session_load_checkpoint(session, &info))
        return false;
    *normalization = info.normalization;
    return true;
}

static void report(const CvmSession *session, const CvmNormalization *normalization) {
    printf("%s: model %s\n", session->options->onnx, cvm_model_name(session->model));
    for (int c = 0; c < normalization->channels; c++)
        printf("%s(pixel / 255 - %.6g) / %.6g%s", c ? ", " : "its input: ", normalization->mean[c],
               normalization->deviation[c], c + 1 < normalization->channels ? "" : "\n");
}

static bool export(CvmSession *session) {
    CvmError error = {.kind = CVM_ERROR_NONE};
    CvmNormalization normalization = {.channels = 0};
    if (!cvm_session_need_model(session))
        return false;
    CvmGraph *graph = cvm_inference_graph(session->model, 1, false, session->arena, &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    if (!take_weights(session, graph, &normalization))
        return false;
    if (!cvm_onnx_export(session->options->onnx, graph, &session->store,
                         normalization.channels ? &normalization : NULL, session->arena,
                         &session->diag, &error))
        return error.kind == CVM_ERROR_NONE ? cvm_session_fail_compile(session)
                                            : cvm_session_fail(session, &error);
    report(session, &normalization);
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
