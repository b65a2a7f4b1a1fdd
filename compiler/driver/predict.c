/* cvmc predict: the likeliest classes of each picture. */
#include "compiler/driver/classify.h"
#include "compiler/driver/command.h"
#include "compiler/driver/pictures.h"
#include "compiler/driver/report.h"
#include "compiler/driver/weights.h"

enum { MAX_BATCH = 4096 };

/* What the options ask for that cannot be; NULL: nothing. */
static const char *impossible(const CvmOptions *options) {
    if (options->csv && options->json)
        return "choose --csv or --json, not both";
    if (options->top > CVM_MAX_GUESSES)
        return "--top goes up to 100";
    if (options->batch > MAX_BATCH)
        return "--batch goes up to 4096";
    if (options->argument_count < 2 && !options->list)
        return "name pictures or folders to classify, or a list of them with --list FILE";
    return NULL;
}

int cvm_command_predict(const CvmOptions *options) {
    if (!cvm_weights_are_named("predict", options))
        return CVM_EXIT_USAGE;
    if (impossible(options)) {
        cvm_report_error("%s", impossible(options));
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (cvm_session_open(&session, options) && cvm_session_need_model(&session))
        cvm_classify_pictures(&session, NULL, options->arguments + 1, options->argument_count - 1);
    return cvm_session_close(&session);
}
