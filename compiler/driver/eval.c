/* cvmc eval: accuracy and loss of a checkpoint on the test set. */
#include "compiler/driver/command.h"
#include "compiler/driver/evaluation.h"
#include "compiler/driver/report.h"

int cvm_command_eval(const CvmOptions *options) {
    if (!options->checkpoint) {
        cvm_report_error("eval needs --checkpoint PATH, a file that cvmc train wrote");
        return CVM_EXIT_USAGE;
    }
    CvmSession session;
    if (cvm_session_open(&session, options))
        cvm_session_evaluate_checkpoint(&session);
    return cvm_session_close(&session);
}
