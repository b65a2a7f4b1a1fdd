/* cvmc predict: the likeliest classes of each picture. */
#include "compiler/driver/classify.h"
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

int cvm_command_predict(const CvmOptions *options) {
    if (!cvm_weights_are_named("predict", options))
        return CVM_EXIT_USAGE;
    if (options->top > CVM_MAX_GUESSES || (options->csv && options->json)) {
        cvm_report_error(options->csv && options->json ? "choose --csv or --json, not both"
                                                       : "--top goes up to 100");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    CvmClassifier classifier;
    if (cvm_session_open(&session, options) && cvm_session_need_model(&session) &&
        cvm_classifier_open(&session, NULL, &classifier))
        cvm_classify_files(&classifier, options->arguments + 1, options->argument_count - 1);
    return cvm_session_close(&session);
}
