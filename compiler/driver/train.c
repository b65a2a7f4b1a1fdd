/* cvmc train: trains a model as its file's train says, see training.c. */
#include "compiler/driver/command.h"
#include "compiler/driver/report.h"
#include "compiler/driver/training.h"

int cvm_command_train(const CvmOptions *options) {
    if (options->output && options->checkpoint) {
        cvm_report_error("--output and --checkpoint both name the file to write; give one");
        return CVM_EXIT_USAGE;
    }
    if (options->weights && options->resume) {
        cvm_report_error("--resume goes on with the checkpoint's weights, and --weights names "
                         "others; give one");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    CvmTrained trained;
    if (cvm_session_open(&session, options))
        cvm_session_train(&session, &trained);
    return cvm_session_close(&session);
}
