/* See phase.h. */
#include "compiler/driver/phase.h"

#include "compiler/driver/evaluation.h"
#include "compiler/driver/report.h"

static bool compile(CvmSession *session, int64_t train_count, int64_t test_count, CvmPhase *phase) {
    int64_t wanted = session->train->batch;
    phase->batch = wanted < train_count ? wanted : train_count;
    phase->step = cvm_session_training(session, phase->batch);
    if (!phase->step)
        return false;
    if (train_count % phase->batch != 0) {
        phase->last = cvm_session_training(session, train_count % phase->batch);
        if (!phase->last)
            return false;
    }
    phase->evaluator = cvm_session_evaluator(session, test_count, &phase->test_batch);
    return phase->evaluator != NULL && cvm_session_pool(session) != NULL;
}

bool cvm_phase_enter(CvmSession *session, int epoch, int64_t train_count, int64_t test_count,
                     CvmPhase *phase) {
    *phase = (CvmPhase){.end = cvm_train_phase_end(session->train, epoch)};
    session->settings.epoch = epoch;
    if (!compile(session, train_count, test_count, phase))
        return false;
    cvm_store_drop_optimizer(&session->store, cvm_instance_plan(phase->step));
    phase->frozen = cvm_frozen_note(session);
    return true;
}

bool cvm_phase_leave(CvmSession *session, const CvmPhase *phase) {
    int changed = cvm_frozen_changed(session, &phase->frozen);
    cvm_session_discard_plans(session, 0);
    return changed == 0 ||
           cvm_session_refuse(
               session, CVM_EXIT_MACHINE,
               "%d of %d frozen tensors changed: a mistake in cvmc; please report it", changed,
               phase->frozen.count);
}
