/* cvmc run: does what the file says. Without weights it trains; it evaluates; it classifies the
 * pictures named. With --checkpoint or --weights and pictures it only classifies, and so needs
 * neither data set nor train. */
#include "compiler/driver/command.h"
#include "compiler/driver/evaluation.h"
#include "compiler/driver/pictures.h"
#include "compiler/driver/report.h"
#include "compiler/driver/templates.h"
#include "compiler/driver/training.h"
#include "compiler/driver/weights.h"

typedef struct Pictures {
    const char *const *paths;
    int count;
} Pictures;

static bool classify(CvmSession *session, const CvmNormalization *trained, Pictures pictures) {
    return cvm_classify_pictures(session, trained, pictures.paths, pictures.count);
}

static bool run_weights(CvmSession *session, Pictures pictures) {
    if (pictures.count)
        return classify(session, NULL, pictures);
    return cvm_session_evaluate_weights(session) && cvm_write_templates(session);
}

static bool run_train(CvmSession *session, Pictures pictures) {
    CvmTrained trained;
    if (!cvm_session_train(session, &trained))
        return false;
    cvm_session_print_evaluation(session, &trained.evaluation);
    if (!cvm_write_templates(session))
        return false;
    return !pictures.count || classify(session, &trained.normalization, pictures);
}

int cvm_command_run(const CvmOptions *options) {
    bool has_weights = options->checkpoint || options->weights;
    if (has_weights && !cvm_weights_are_named("run", options))
        return CVM_EXIT_USAGE;
    if (has_weights && options->output) {
        cvm_report_error("with --%s nothing is trained, so there is no --output to write",
                         options->weights ? "weights" : "checkpoint");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    Pictures pictures = {options->arguments + 1, options->argument_count - 1};
    if (cvm_session_open(&session, options) && cvm_session_need_model(&session)) {
        if (has_weights)
            run_weights(&session, pictures);
        else
            run_train(&session, pictures);
    }
    return cvm_session_close(&session);
}
