/* See phase.h. */
#include "compiler/driver/phase.h"

#include "compiler/driver/report.h"
#include "compiler/training_graph.h"

static CvmInstance *compile_step(CvmSession *session, const CvmPrefix *prefix, int64_t part) {
    CvmGraph *graph = cvm_training_graph(session->train, part, session->arena, &session->diag);
    if (!graph) {
        cvm_session_fail_compile(session);
        return NULL;
    }
    if (prefix->found)
        cvm_frozen_prefix_drop(graph, &prefix->cut);
    return cvm_session_compile(session, graph, "training step");
}

static CvmInstance *compile_apply(CvmSession *session) {
    CvmGraph *graph = cvm_apply_graph(session->train, session->arena, &session->diag);
    if (graph)
        return cvm_session_compile(session, graph, "optimizer's step");
    cvm_session_fail_compile(session);
    return NULL;
}

static CvmGraph *inference_graph(CvmSession *session, const CvmPhase *phase) {
    CvmGraph *graph = cvm_inference_graph(session->model, phase->test_batch, false, session->arena,
                                          &session->diag);
    if (!graph)
        cvm_session_fail_compile(session);
    return graph;
}

/* What comes behind the prefix; where that is another part in evaluation, the whole model. Of
 * weights that are averaged it takes the averages. */
static bool compile_evaluator(CvmSession *session, const CvmPictures *pictures, CvmPhase *phase) {
    int64_t wanted = cvm_train_part(session->train), count = pictures->test->count;
    phase->test_batch = wanted < count ? wanted : count;
    phase->test = (CvmFeed){.data = pictures->test,
                            .normalization = pictures->normalization,
                            .image_input = cvm_model_input_name(session->model),
                            .ahead = cvm_session_reads_ahead(session)};
    CvmGraph *graph = inference_graph(session, phase);
    if (graph && phase->prefix.found) {
        if (cvm_frozen_prefix_drop(graph, &phase->prefix.cut))
            phase->test.features = phase->prefix.features;
        else
            graph = inference_graph(session, phase);
    }
    phase->evaluator = graph ? cvm_session_compile_averaged(session, graph, "evaluation") : NULL;
    return phase->evaluator != NULL;
}

static bool compile(CvmSession *session, const CvmPictures *pictures, CvmPhase *phase) {
    int64_t wanted = cvm_train_part(session->train), count = pictures->train->count;
    phase->part = wanted < count ? wanted : count;
    if (!cvm_prefix_open(session, pictures, phase->part, &phase->prefix))
        return false;
    phase->step = compile_step(session, &phase->prefix, phase->part);
    if (!phase->step)
        return false;
    if (count % phase->part != 0) {
        phase->last = compile_step(session, &phase->prefix, count % phase->part);
        if (!phase->last)
            return false;
    }
    if (session->train->accumulate > 1) {
        phase->apply = compile_apply(session);
        if (!phase->apply)
            return false;
    }
    const CvmInstance *learner = phase->apply ? phase->apply : phase->step;
    cvm_store_drop_optimizer(&session->store, cvm_instance_plan(learner));
    return compile_evaluator(session, pictures, phase) && cvm_session_pool(session) != NULL;
}

bool cvm_phase_enter(CvmSession *session, int epoch, const CvmPictures *pictures, CvmPhase *phase) {
    *phase = (CvmPhase){.end = cvm_train_phase_end(session->train, epoch)};
    session->settings.epoch = epoch;
    if (!compile(session, pictures, phase))
        return false;
    phase->frozen = cvm_frozen_note(session);
    return true;
}

bool cvm_phase_leave(CvmSession *session, CvmPhase *phase) {
    int changed = cvm_frozen_changed(session, &phase->frozen);
    cvm_prefix_close(&phase->prefix);
    cvm_session_discard_plans(session, 0);
    return changed == 0 ||
           cvm_session_refuse(
               session, CVM_EXIT_MACHINE,
               "%d of %d frozen tensors changed: a mistake in cvmc; please report it", changed,
               phase->frozen.count);
}
