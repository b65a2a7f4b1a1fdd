/* See phase.h. */
#include "compiler/driver/phase.h"

#include "compiler/driver/report.h"
#include "compiler/training_graph.h"

static CvmInstance *compile_step(CvmSession *session, const CvmPrefix *prefix, int64_t batch) {
    CvmGraph *graph = cvm_training_graph(session->train, batch, session->arena, &session->diag);
    if (!graph) {
        cvm_session_fail_compile(session);
        return NULL;
    }
    if (prefix->found)
        cvm_frozen_prefix_drop(graph, &prefix->cut);
    return cvm_session_compile(session, graph, "training step");
}

/* What comes behind the prefix; where that is another part in evaluation, the whole model. */
static bool compile_evaluator(CvmSession *session, const CvmPictures *pictures, CvmPhase *phase) {
    int64_t wanted = session->train->batch, count = pictures->test->count;
    const char *what = "evaluation";
    phase->test_batch = wanted < count ? wanted : count;
    phase->test = (CvmFeed){.data = pictures->test,
                            .normalization = pictures->normalization,
                            .image_input = cvm_model_input_name(session->model)};
    CvmGraph *graph = cvm_inference_graph(session->model, phase->test_batch, false, session->arena,
                                          &session->diag);
    if (!graph)
        return cvm_session_fail_compile(session);
    if (phase->prefix.found && cvm_frozen_prefix_drop(graph, &phase->prefix.cut)) {
        phase->test.features = phase->prefix.features;
        phase->evaluator = cvm_session_compile(session, graph, what);
    } else {
        phase->evaluator = cvm_session_inference(session, phase->test_batch, false);
    }
    return phase->evaluator != NULL;
}

static bool compile(CvmSession *session, const CvmPictures *pictures, CvmPhase *phase) {
    int64_t wanted = session->train->batch, count = pictures->train->count;
    phase->batch = wanted < count ? wanted : count;
    if (!cvm_prefix_open(session, pictures, phase->batch, &phase->prefix))
        return false;
    phase->step = compile_step(session, &phase->prefix, phase->batch);
    if (!phase->step)
        return false;
    if (count % phase->batch != 0) {
        phase->last = compile_step(session, &phase->prefix, count % phase->batch);
        if (!phase->last)
            return false;
    }
    return compile_evaluator(session, pictures, phase) && cvm_session_pool(session) != NULL;
}

bool cvm_phase_enter(CvmSession *session, int epoch, const CvmPictures *pictures, CvmPhase *phase) {
    *phase = (CvmPhase){.end = cvm_train_phase_end(session->train, epoch)};
    session->settings.epoch = epoch;
    if (!compile(session, pictures, phase))
        return false;
    cvm_store_drop_optimizer(&session->store, cvm_instance_plan(phase->step));
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
